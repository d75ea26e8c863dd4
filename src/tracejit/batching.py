"""Batching for users: ``vmap`` and ``vectorize``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.dual import dual, emit_program, pure_program
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.types import ArrayType
from tracejit.trace.array import wrap
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array
from tracejit.trace.nested import Nested, call_traced, outer_operand
from tracejit.trace.pytree import LEAF, Tree, flatten, unflatten
from tracejit.trace.values import resolve_dims, slice_axis, squeeze, transpose
from tracejit.transforms import vmap_function

__all__ = ["vmap"]

Axes = Any  # an int, None, or a tuple, list or dict of them that is a prefix of the arguments


def vmap(fun: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """A function that applies ``fun`` to every element along an axis of its arguments.

    in_axes: which axis of each argument is the batch: one int for all, or an entry for each argument (a pytree prefix);
        None for arguments that are the same for all. out_axes: where the batch axis of each result is.
    Raises ValueError where the sizes of the batch axes differ or an argument has no such axis.

    Example:
        >>> import numpy as np
        >>> vmap(lambda x, y: x @ y, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
        array([3., 4.])
    """

    def inside(*args: Any, **kwargs: Any) -> Any:
        axes = _spread(in_axes, args, kwargs)
        leaves, _ = flatten((args, kwargs))
        types, size = _element_types(leaves, axes)
        nested = call_traced(fun, args, kwargs, types=types)
        flags = [False] * len(nested.function.params)
        operands = list(nested.operands)
        for leaf, axis in zip(nested.arguments, axes, strict=True):
            if axis is not None:
                flags[leaf.index] = True
                operand = operands[leaf.index]
                operands[leaf.index] = _moved(operand, axis % operand.rank, 0)
        values = emit_program(vmap_function(pure_program(nested), flags, size), operands)
        return _outputs(nested, values, out_axes)

    return dual(inside, fun, ("vmap", repr(in_axes), repr(out_axes)), "vmap")


def _element_types(leaves: Sequence[Any], axes: Sequence[int | None]) -> tuple[list[ArrayType | None], DimLike]:
    """The type of one element of each leaf (None: the leaf's own), and the size of the batch."""
    sizes = current_trace().sizes
    types: list[ArrayType | None] = []
    size: DimLike | None = None
    for k, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            types.append(None)
            continue
        operand = outer_operand(as_array(leaf) if isinstance(leaf, np.ndarray) else leaf)
        rank = 0 if operand is None else operand.rank
        if operand is None or not -rank <= axis < rank:
            raise ValueError(
                f"vmap: argument leaf {k} has {rank} axes, so no axis {axis}; in_axes says where the batch is"
            )
        dims = resolve_dims(operand.type.dims)
        own = dims[axis]
        if size is None:
            size = own
        elif not sizes.require_equal(size, own):
            raise ValueError(f"vmap: batch axes of different sizes, {sizes.hint(size)} and {sizes.hint(own)}")
        axis %= rank
        types.append(ArrayType(operand.type.dtype, dims[:axis] + dims[axis + 1 :]))
    if size is None:
        raise ValueError("vmap: no argument has a batch axis (all in_axes are None)")
    return types, size


def _spread(axes: Axes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int | None]:
    """An axis for each leaf; keyword arguments are batched along axis 0."""
    found: list[int | None] = []
    if isinstance(axes, list):
        axes = tuple(axes)
    if isinstance(axes, tuple) and len(axes) != len(args):
        raise ValueError(f"vmap: in_axes has {len(axes)} entries for {len(args)} arguments")
    for k, value in enumerate(args):
        found.extend(_prefix(axes[k] if isinstance(axes, tuple) else axes, flatten(value)[1]))
    for value in kwargs.values():
        found.extend(_prefix(0, flatten(value)[1]))
    return found


def _prefix(axes: Axes, tree: Tree) -> list[int | None]:
    if axes is None or isinstance(axes, int):
        return [axes] * tree.size
    given, shape = flatten(axes)
    if shape == tree:
        return given
    if tree is LEAF or shape.kind != tree.kind or len(shape.children) != len(tree.children):
        raise ValueError(f"vmap: axes {axes!r} do not fit an argument built as {tree!r}")
    parts = axes.values() if isinstance(axes, dict) else axes
    return [axis for part, child in zip(parts, tree.children, strict=True) for axis in _prefix(part, child)]


def _moved(value: Operand, source: int, target: int) -> Operand:
    rest = [a for a in range(value.rank) if a != source]
    rest.insert(target, source)
    return transpose(value, tuple(rest))


def _outputs(nested: Nested, values: Sequence[Operand], out_axes: Axes) -> Any:
    axes = _prefix(out_axes, nested.out_tree)
    leaves = []
    for leaf, axis in zip(nested.results, axes, strict=True):
        if leaf.index < 0:
            leaves.append(leaf.value)
        elif axis is None:
            leaves.append(wrap(squeeze(slice_axis(values[leaf.index], 0, 0, 1), (0,))))
        else:
            value = values[leaf.index]
            leaves.append(wrap(_moved(value, 0, axis % value.rank)))
    return unflatten(nested.out_tree, leaves)
