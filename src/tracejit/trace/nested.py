"""Tracing a function inside another trace, for transforms: the closed program of the function, and what to call it with.

``trace_nested`` gives a program whose params are the traced leaves of the arguments, then the values of the outer trace that
the function uses besides. The caller transforms it (jvp, vjp, vmap), inlines it with ``inline_function``, and turns operands
into what the user sees with ``result_leaf``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import inline
from tracejit.ir.core import Function, Literal, Operand, Value
from tracejit.trace.array import TracedArray, TracedScalar, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.calls import enter_callable
from tracejit.trace.context import Trace, active_trace, current_trace
from tracejit.trace.dtypes import PYTHON_DTYPES, check_dtype
from tracejit.trace.inputs import as_array
from tracejit.trace.pytree import Tree, flatten, unflatten
from tracejit.trace.scalar import SymbolicInt, TracedNumber
from tracejit.trace.storage import Storage
from tracejit.trace.tracer import canonical, finish, plain_keys
from tracejit.trace.values import Dims, literal, resolve_dims

__all__ = ["Leaf", "Nested", "inline_function", "is_tracing", "result_leaf", "trace_nested"]


@dataclass(frozen=True)
class Leaf:
    """One leaf of the arguments.

    value: the leaf. operand: its value in the outer trace; param: the position of its param. Both are None for leaves that
    are passed as they are: Python ints, which are sizes, and everything that is no number.
    """

    value: Any
    operand: Operand | None = None
    param: int | None = None

    @property
    def is_float(self) -> bool:
        """Whether derivatives with respect to the leaf exist."""
        return self.operand is not None and self.operand.type.dtype.kind in "fcV"


@dataclass
class Nested:
    """A function traced inside another trace.

    function: a closed program; its params are the leaves with a param, then values of the outer trace that it uses.
    operands: what each param stands for in the outer trace.
    leaves, in_tree: the leaves of ``(args, kwargs)``.
    results, out_tree: the leaves of what the function returned. positions: which result of the program each one is, or
        None for objects that are no numbers (and for Python numbers known while tracing).
    """

    function: Function
    operands: list[Operand]
    leaves: list[Leaf]
    in_tree: Tree
    results: list[Any]
    positions: list[int | None]
    out_tree: Tree


def trace_nested(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    element_dims: Callable[[int, Operand], Dims] | None = None,
) -> Nested:
    """Trace ``fun(*args, **kwargs)`` apart from the running trace, whose tracers may be among the arguments.

    Arrays among the arguments that the function writes into are written in the running trace, too.
    element_dims: gives the dims that the function sees of a leaf, by its number and its operand: for ``vmap`` those of one
        element of the batch. By default the leaf's own.
    """
    outer = current_trace()
    inner = Trace(outer.captures, outer)
    values, tree = flatten((tuple(args), kwargs or {}))
    values = [as_array(value) if isinstance(value, np.ndarray) else value for value in values]
    leaves: list[Leaf] = []
    with inner.running():
        tracers: list[Any] = []
        for position, value in enumerate(values):
            tracer, operand = _enter(inner, outer, value, position, element_dims)
            tracers.append(tracer)
            leaves.append(Leaf(value) if operand is None else Leaf(value, operand, len(inner.builder.params) - 1))
        inner_args, inner_kwargs = unflatten(tree, tracers)
        output = enter_callable(fun, inner)(*inner_args, **inner_kwargs)
        results, out_tree = flatten(output)
        operands, positions = _result_operands(results)
        written = [(leaf, t.storage) for leaf, t in zip(leaves, tracers, strict=True) if _is_written(t, inner)]
        params = inner.builder.params
        finals = [canonical(storage.value, params[leaf.param or 0]) for leaf, storage in written]
        function, _ = finish(inner, [*operands, *finals], getattr(fun, "__name__", "function"), [])
    found = _outer_operands(inner, leaves)
    if written:
        if element_dims is not None:
            raise UnsupportedError("a function under vmap writes into its argument; copy the argument first")
        _write_back([leaf for leaf, _ in written], function, found)
        function = _first_results(function, len(operands))
    return Nested(function, found, leaves, tree, results, positions, plain_keys(out_tree))


def _enter(
    inner: Trace,
    outer: Trace,
    value: Any,
    position: int,
    element_dims: Callable[[int, Operand], Dims] | None,
) -> tuple[Any, Operand | None]:
    """What the function sees of a leaf, and the leaf's operand in the outer trace if it has become a param."""
    with outer.resumed():
        operand = outer_operand(value)
        if operand is None:
            return value, None
        dims = element_dims(position, operand) if element_dims else resolve_dims(operand.type.dims)
    param = inner.builder.param(operand.type.with_dims(dims), operand.loc)
    if dims or (isinstance(value, TracedArray) and not value.dims):
        writeable = not isinstance(value, TracedArray) or value.writeable
        return TracedArray(Storage(param, inner, writeable=writeable)), operand
    if isinstance(value, TracedNumber) or type(value) in (float, complex):
        return TracedNumber(param, value.python_type if isinstance(value, TracedNumber) else type(value)), operand
    return TracedScalar(param), operand


def outer_operand(value: Any) -> Operand | None:
    """The operand of a value that becomes a param or a result; None for what is passed as it is."""
    if isinstance(value, (SymbolicInt, bool, int)):
        return None
    if isinstance(value, Tracer):
        return value.operand()
    if isinstance(value, np.generic) and value.dtype.kind in "biufcV":
        check_dtype(value.dtype, "an argument")
        return Literal(value)
    if type(value) in (float, complex):
        return literal(value, PYTHON_DTYPES[type(value)])
    return None


def _result_operands(results: Sequence[Any]) -> tuple[list[Operand], list[int | None]]:
    operands: list[Operand] = []
    positions: list[int | None] = []
    for value in results:
        operand = outer_operand(as_array(value) if isinstance(value, np.ndarray) else value)
        positions.append(None if operand is None else len(operands))
        if operand is not None:
            operands.append(operand)
    return operands, positions


def _is_written(tracer: Any, inner: Trace) -> bool:
    return isinstance(tracer, TracedArray) and tracer.storage.trace is inner and tracer.storage.written


def _outer_operands(inner: Trace, leaves: Sequence[Leaf]) -> list[Operand]:
    """What each param of the inner trace stands for."""
    known: dict[Value, Operand] = dict(zip(inner.lifted_params, inner.outer_operands, strict=True))
    params = inner.builder.params
    for leaf in leaves:
        if leaf.param is not None and leaf.operand is not None:
            known[params[leaf.param]] = leaf.operand
    return [known[param] for param in params]


def _write_back(written: Sequence[Leaf], function: Function, operands: Sequence[Operand]) -> None:
    """Give the arrays that the function wrote into their final values, which are the last results of the program."""
    finals = inline_function(function, operands)[len(function.results) - len(written) :]
    for leaf, value in zip(written, finals, strict=True):
        if isinstance(leaf.value, TracedArray):
            leaf.value.write(value)


def _first_results(function: Function, count: int) -> Function:
    return Function(function.name, function.params, function.eqns, function.results[:count])


def inline_function(function: Function, operands: Sequence[Operand]) -> list[Operand]:
    """Emit a closed program into the running trace; gives the operands of its results."""
    return inline(current_trace().builder, function, operands)


def result_leaf(operand: Operand, original: Any = None) -> Any:
    """What the user sees of an operand: an array, or a NumPy scalar unless ``original`` was an array without axes."""
    if operand.type.dims or (isinstance(original, TracedArray) and not original.dims):
        return new_array(operand)
    return TracedScalar(operand)


def is_tracing() -> bool:
    """Whether a trace is running in this thread."""
    return active_trace() is not None
