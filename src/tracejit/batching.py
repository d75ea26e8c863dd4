"""Batching for users: ``vmap`` and ``vectorize``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.config import config
from tracejit.dual import dual
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.passes import optimise
from tracejit.trace.context import current_trace
from tracejit.trace.nested import Nested, inline_function, result_leaf, trace_nested
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
        batch = _Batch(axes)
        nested = trace_nested(fun, args, kwargs, element_dims=batch.element_dims)
        if batch.size is None:
            raise ValueError("vmap: no argument has a batch axis (all in_axes are None)")
        flags = [False] * len(nested.function.params)
        operands = list(nested.operands)
        for k, leaf in enumerate(nested.leaves):
            axis = axes[k]
            if axis is None:
                continue
            if leaf.param is None or leaf.operand is None:
                raise ValueError(f"vmap: argument leaf {k} is {leaf.value!r}, which has no axis {axis}; give in_axes None")
            flags[leaf.param] = True
            operands[leaf.param] = _moved(operands[leaf.param], axis % leaf.operand.rank, 0)
        function = optimise(nested.function, exact=config.exact)
        values = inline_function(vmap_function(function, flags, batch.size), operands)
        return _outputs(nested, values, out_axes)

    return dual(inside, fun, ("vmap", repr(in_axes), repr(out_axes)), "vmap")


class _Batch:
    """Learns the size of the batch from the arguments as they are entered."""

    def __init__(self, axes: Sequence[int | None]) -> None:
        self.axes = axes
        self.size: DimLike | None = None

    def element_dims(self, k: int, operand: Operand) -> tuple[DimLike, ...]:
        """The dims of one element of leaf number k."""
        dims = resolve_dims(operand.type.dims)
        axis = self.axes[k]
        if axis is None:
            return dims
        if not -len(dims) <= axis < len(dims):
            raise ValueError(f"vmap: axis {axis} of an argument of rank {len(dims)}; in_axes says where the batch is")
        axis %= len(dims)
        if self.size is None:
            self.size = dims[axis]
        elif not current_trace().sizes.require_equal(self.size, dims[axis]):
            sizes = [current_trace().sizes.hint(size) for size in (self.size, dims[axis])]
            raise ValueError(f"vmap: batch axes of different sizes, {sizes[0]} and {sizes[1]}")
        return dims[:axis] + dims[axis + 1 :]


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
    for original, position, axis in zip(nested.results, nested.positions, axes, strict=True):
        if position is None:
            leaves.append(original)
        elif axis is None:
            leaves.append(result_leaf(squeeze(slice_axis(values[position], 0, 0, 1), (0,))))
        else:
            value = values[position]
            leaves.append(result_leaf(_moved(value, 0, axis % value.rank)))
    return unflatten(nested.out_tree, leaves)
