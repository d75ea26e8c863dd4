"""Tracing a function inside another trace, for transforms: the closed program, and what to call it with.

``call_traced`` gives a program whose params are the traced leaves of the arguments, then the values of the outer trace
that the function uses besides. The caller transforms it (jvp, vjp, vmap), inlines it with ``builder.inline``, and turns
the operands into Python objects again with :meth:`Nested.rebuild`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import inline
from tracejit.ir.core import Function, Literal, Operand, Value
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar, new_array
from tracejit.trace.axis_order import Order
from tracejit.trace.base import Tracer
from tracejit.trace.calls import enter_callable
from tracejit.trace.context import Trace, active_trace, current_trace
from tracejit.trace.dtypes import PYTHON_DTYPES, check_dtype
from tracejit.trace.inputs import as_array
from tracejit.trace.maybe import settled
from tracejit.trace.pytree import Tree, flatten, replace_containers, unflatten
from tracejit.trace.scalar import SymbolicInt, TracedNumber, number
from tracejit.trace.storage import Storage
from tracejit.trace.traced_list import plain_list
from tracejit.trace.tracer import canonical, finish, plain_keys
from tracejit.trace.values import literal, resolve_dims

__all__ = ["Leaf", "Nested", "as_leaf", "call_traced", "is_tracing", "outer_operand"]


@dataclass(frozen=True)
class Leaf:
    """One leaf of arguments or results.

    kind: "array", "scalar" (a NumPy scalar), "python" (a number of type ``value``), or "static" (the object ``value``).
    index: position of its param, or of its result; -1 for static leaves.
    """

    kind: str
    index: int = -1
    value: Any = None


@dataclass
class Nested:
    """A function traced inside another trace.

    function: a closed program; its params are the leaves of the arguments with an index, then values of the outer
        trace. Its results are the result leaves with an index, then the final values of written arguments
        (``function.aliases``).
    operands: what each param stands for in the outer trace.
    arguments, in_tree: the leaves of ``(args, kwargs)``. results, out_tree: the leaves of what the function returned.
    """

    function: Function
    operands: list[Operand]
    arguments: list[Leaf]
    in_tree: Tree
    results: list[Leaf]
    out_tree: Tree
    _sources: list[Any]

    @property
    def result_count(self) -> int:
        """How many of the function's results are returned; the others are final values of written arguments."""
        return len(self.function.results) - len(self.function.aliases)

    def rebuild(self, values: Sequence[Operand]) -> Any:
        """The object that the function returned, made of operands of the current trace, one for each result."""
        return unflatten(self.out_tree, [as_leaf(leaf, values) for leaf in self.results])

    def write_back(self, values: Sequence[Operand]) -> None:
        """Give the written arguments their final values, which are the last results of the program."""
        for position, value in zip(sorted(self.function.aliases), values, strict=True):
            param = self.function.aliases[position]
            source = next(s for s, leaf in zip(self._sources, self.arguments, strict=True) if leaf.index == param)
            if isinstance(source, TracedArray):
                source.write(canonical(value, source.operand()))


def _gives_none(none: None) -> None:
    raise UnsupportedError(
        "a function under grad, vmap and the like gives None for some data and a value for other data; let it "
        "always give a value"
    )


def as_leaf(leaf: Leaf, values: Sequence[Operand]) -> Any:
    """The Python object of a leaf whose value is one of some operands of the current trace."""
    if leaf.kind == "static":
        return leaf.value
    operand = values[leaf.index]
    if operand.type.dims or leaf.kind == "array":
        return new_array(operand, order=leaf.value if leaf.value and len(leaf.value) == len(operand.type.dims) else ())
    return number(operand, leaf.value) if leaf.kind == "python" else TracedScalar(operand)


def call_traced(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    types: Sequence[ArrayType | None] | None = None,
    effects: bool = True,
) -> Nested:
    """Trace ``fun(*args, **kwargs)`` apart from the running trace, whose tracers may be among the arguments.

    types: for each leaf of ``(args, kwargs)`` the type that the function sees instead of the leaf's own, or None: for
        ``vmap`` that of one element of the batch. Python ints are sizes and stay what they are.
    effects: arrays among the arguments that the function writes into change in the running trace, as by a plain call.
    """
    outer = current_trace()
    leaves, tree = flatten(replace_containers(plain_list, (tuple(args), kwargs or {})))
    inner = Trace(outer.captures, outer)
    sources = [as_array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    entered = [outer_operand(leaf) for leaf in sources]
    outer_of: dict[Value, Operand] = {}
    arguments: list[Leaf] = []
    tracers: list[Any] = []
    storages: list[tuple[Storage, Value]] = []
    with inner.running():
        for position, (leaf, operand) in enumerate(zip(sources, entered, strict=True)):
            if operand is None:
                arguments.append(Leaf("static", value=leaf))
                tracers.append(leaf)
                continue
            type = (types[position] if types else None) or operand.type.with_dims(resolve_dims(operand.type.dims))
            param = inner.builder.param(type, operand.loc)
            outer_of[param] = operand
            tracer, kind = _tracer(param, leaf, position, inner)
            if isinstance(tracer, TracedArray):
                storages.append((tracer.storage, param))
            arguments.append(Leaf(kind[0], len(outer_of) - 1, kind[1]))
            tracers.append(tracer)
        inner_args, inner_kwargs = unflatten(tree, tracers)
        given = settled(enter_callable(fun, inner)(*inner_args, **inner_kwargs), _gives_none)
        output = replace_containers(plain_list, given)
        out_leaves, out_tree = flatten(output)
        results, operands = _results(out_leaves)
        written = [(storage, param) for storage, param in storages if storage.written]
        finals = [canonical(storage.value, param) for storage, param in written]
        name = getattr(fun, "__name__", "function")
        function, _ = finish(inner, [*operands, *finals], name, [param for _, param in written])
    outer_of.update(zip(inner.lifted_params, inner.outer_operands, strict=True))
    found = [outer_of[param] for param in inner.builder.params]
    nested = Nested(function, found, arguments, tree, results, plain_keys(out_tree), sources)
    if effects and function.aliases:
        if types is not None and any(types):
            raise UnsupportedError(f"{name!r} writes into its argument under vmap; let it copy the argument first")
        nested.write_back(inline(outer.builder, function, found)[nested.result_count :])
    return nested


def outer_operand(leaf: Any) -> Operand | None:
    """The operand of an argument that becomes a param; None for what is passed as it is."""
    if isinstance(leaf, SymbolicInt) or isinstance(leaf, (bool, int)):
        return None
    if isinstance(leaf, Tracer):
        return leaf.operand()
    if isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
        check_dtype(leaf.dtype, "an argument")
        return Literal(leaf)
    if type(leaf) in (float, complex):
        return literal(leaf, PYTHON_DTYPES[type(leaf)])
    return None


def _tracer(param: Value, leaf: Any, position: int, inner: Trace) -> tuple[Any, tuple[str, Any]]:
    """What the function sees of a param, and its kind."""
    if param.type.dims or (isinstance(leaf, TracedArray) and not leaf.dims):
        writeable = not isinstance(leaf, TracedArray) or leaf.writeable
        order: Order = ()
        if isinstance(leaf, TracedArray) and leaf.ndim == len(param.type.dims):  # not under vmap
            order = leaf.order()
        return TracedArray(Storage(param, inner, writeable=writeable, order=order)), ("array", None)
    if isinstance(leaf, TracedNumber) or type(leaf) in (float, complex):
        kind = leaf.python_type if isinstance(leaf, TracedNumber) else type(leaf)
        return TracedNumber(param, kind), ("python", kind)
    return TracedScalar(param), ("scalar", None)


def _results(leaves: Sequence[Any]) -> tuple[list[Leaf], list[Operand]]:
    operands: list[Operand] = []
    results: list[Leaf] = []
    for leaf in leaves:
        value = as_array(leaf) if isinstance(leaf, np.ndarray) else leaf
        if isinstance(value, SymbolicInt) and value.sizes.is_late(value.sizes.resolve(value.dim)):
            value = TracedNumber(value.operand(), int)  # a size that only this function knows
        operand = outer_operand(value)
        if operand is None:
            results.append(Leaf("static", value=leaf))
            continue
        kind = value.python_type if isinstance(value, TracedNumber) else type(value)
        if isinstance(value, TracedArray):
            results.append(Leaf("array", len(operands), value.order()))
        elif kind in PYTHON_DTYPES:
            results.append(Leaf("python", len(operands), kind))
        else:
            results.append(Leaf("scalar", len(operands)))
        operands.append(operand)
    return results, operands


def is_tracing() -> bool:
    """Whether a trace is running in this thread."""
    return active_trace() is not None
