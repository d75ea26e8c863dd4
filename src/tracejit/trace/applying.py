"""NumPy's functions that call a function of the user: piecewise, apply_along_axis, vectorize. They call it once.

What it does with one element or one row is done with all of them by ``vmap``, or by repeating elementwise operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Eqn, Literal, Operand
from tracejit.ir.dims import product
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar, new_array
from tracejit.trace.calls import dispatch
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import DType, kind_dtype
from tracejit.trace.inputs import as_array, describe_input, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import axis_index
from tracejit.trace.registry import call, implements
from tracejit.trace.values import (
    Dims,
    broadcast_dims,
    broadcast_to,
    cast,
    emit,
    fits,
    literal,
    match,
    reshape,
    resolve_dims,
    select,
    truth,
)

__all__: list[str] = []


def _call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function of the user as calls in the traced function are made."""
    return dispatch(function, args, kwargs, current_trace())


# --------------------------------------------------------------------------------------------------------- piecewise


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """``np.piecewise``, whose functions work on each element by itself; others get the elements that are theirs."""
    array = as_array(x)
    conditions = _conditions(condlist, array)
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        rest = _not_any(conditions)
        conditions = [*conditions, rest]
    elif len(functions) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions are "
            "expected"
        )
    dims = resolve_dims(array.dims)
    result = match(literal(0, array.dtype), dims)
    for condition, function in zip(conditions, functions, strict=True):
        value = _piece(function, array, args, kw)
        if value is None:
            return call("numpy source", np.piecewise, x, condlist, funclist, *args, **kw)
        if not fits(condition.type.dims, dims) or not fits(value.type.dims, dims):
            raise_as_numpy(np.piecewise, array, [new_array(c) for c in conditions], [0] * len(functions))
        result = select(match(condition, dims), match(cast(value, array.dtype), dims), result)
    return new_array(broadcast_to(result, dims), order=array.order())


def _conditions(condlist: Any, array: TracedArray) -> list[Operand]:
    single = not isinstance(condlist, (list, tuple)) or not isinstance(
        condlist[0], (list, tuple, TracedArray, np.ndarray)
    )
    if isinstance(condlist, (list, tuple)) and array.ndim == 0:
        single = False
    return [truth(operand_of(c)) for c in ([condlist] if single else condlist)]


def _not_any(conditions: Sequence[Operand]) -> Operand:
    found: Any = new_array(conditions[0])
    for condition in conditions[1:]:
        found = call("binary", np.logical_or, found, new_array(condition))
    return operand_of(call("binary", np.equal, found, False))


def _piece(function: Any, array: TracedArray, args: tuple[Any, ...], kw: dict[str, Any]) -> Operand | None:
    """The values of one piece for all elements; None where the function is not known to be elementwise."""
    if not callable(function):
        return operand_of(function)
    trace = current_trace()
    size = trace.sizes.fresh("piece", 7)
    inner = Trace(trace.captures, trace)
    with inner.running():
        element = inner.builder.param(ArrayType(array.dtype, (size,)))
        value = operand_of(_call(function, new_array(element), *args, **kw))
        region = inner.builder.finish([value])
    if trace.sizes.resolve(size) != size or any(param.type.dims for param in inner.lifted_params):
        return None
    known: dict[Operand, Operand] = {element: array.operand()}
    known.update(zip(inner.lifted_params, inner.outer_operands, strict=True))
    for eqn in region.eqns:
        if not _is_elementwise(eqn):
            return None
        operands = [o if isinstance(o, Literal) else known[o] for o in eqn.operands]
        repeated = eqn.op.name == "broadcast"
        known[eqn.results[0]] = operands[0] if repeated else emit(eqn.op.name, *operands, **eqn.attrs)
    return value if isinstance(value, Literal) else known[value]


def _is_elementwise(eqn: Eqn) -> bool:
    """Whether an operation does the same for each element, and cannot fail for elements of other pieces."""
    if eqn.op.name == "broadcast":
        return not eqn.operands[0].type.dims
    if eqn.op.name == "wrap_index" or (eqn.op.name == "pow" and eqn.operands[1].type.dtype.kind == "i"):
        return False
    return eqn.op.elementwise


# ---------------------------------------------------------------------------------------------------- rows, elements


def _mapped(function: Callable[..., Any], arrays: Sequence[Operand]) -> Any:
    """The results of a function for each index of the first axis, along a first axis."""
    return call("vmap", function)(*(new_array(x) for x in arrays))


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """``np.apply_along_axis``."""
    array = as_array(arr)
    position = axis_index(axis, array.ndim)
    moved = operand_of(call(np.moveaxis, array, position, -1))
    *lead, size = resolve_dims(moved.type.dims)
    if current_trace().sizes.decide(product(tuple(lead)), "== 0"):
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    rows = reshape(moved, (product(tuple(lead)), size))

    def one(row: Any) -> Any:
        return as_array(_call(func1d, row, *args, **kwargs))

    found = operand_of(_mapped(one, [rows]))
    own = found.type.dims[1:]
    found = reshape(found, (*lead, *own))
    count = len(lead)
    order = (*range(position), *range(count, count + len(own)), *range(position, count))
    return new_array(emit("transpose", found, perm=order)) if len(order) > 1 else new_array(found)


@implements("vectorized")
def vectorized(vectorizer: np.vectorize, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an object made by ``np.vectorize`` gives for some arguments."""
    function, excluded = vectorizer.pyfunc, set(vectorizer.excluded or ())
    named = [key for key in kwargs if key not in excluded]
    places = [k for k in range(len(args)) if k not in excluded]

    def applied(*values: Any) -> Any:
        positional = list(args)
        for k, value in zip(places, values, strict=False):
            positional[k] = value
        chosen = dict(zip(named, values[len(places) :], strict=True))
        return _call(function, *positional, **{**kwargs, **chosen})

    arrays = [as_array(args[k]) for k in places] + [as_array(kwargs[key]) for key in named]
    if vectorizer.signature is not None:
        return _with_signature(applied, arrays, vectorizer)
    dims = broadcast_dims([array.dims for array in arrays])
    if dims is None:
        raise_as_numpy(np.broadcast, *arrays)
    if vectorizer.otypes is None and current_trace().sizes.decide(product(dims), "== 0"):
        raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
    dtypes = _result_dtypes(applied, arrays, vectorizer.otypes)
    rows = [reshape(broadcast_to(array.operand(), dims), (product(dims),)) for array in arrays]

    def one(*values: Any) -> Any:
        found = applied(*(call("item", value) for value in values))  # Python numbers, as NumPy passes them
        return tuple(_as_dtype(part, dtype) for part, dtype in zip(_parts(found), dtypes, strict=True))

    results = [new_array(reshape(operand_of(part), dims)) for part in _mapped(one, rows)]
    return tuple(results) if len(results) > 1 else results[0]


def _parts(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _as_dtype(value: Any, dtype: DType) -> TracedScalar:
    if operand_of(value).type.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError("float() argument must be a string or a real number, not 'complex'")
    return TracedScalar(cast(operand_of(value), dtype))


def _result_dtypes(function: Callable[..., Any], arrays: Sequence[TracedArray], otypes: Any) -> list[DType]:
    """The dtypes of the results: those asked for, or those for NumPy scalars."""
    if otypes is not None:
        return [np.dtype(kind) for kind in otypes]
    trace = current_trace()
    inner = Trace(trace.captures, trace)
    with inner.running():
        scalars = [TracedScalar(inner.builder.param(ArrayType(array.dtype))) for array in arrays]
        return [kind_dtype(describe_input(part)[0]) for part in _parts(function(*scalars))]


def _with_signature(function: Callable[..., Any], arrays: Sequence[TracedArray], vectorizer: np.vectorize) -> Any:
    """Functions of the last axes."""
    inputs = re.findall(r"\(([^()]*)\)", str(vectorizer.signature).split("->")[0])
    ranks = [len([name for name in entry.split(",") if name.strip()]) for entry in inputs]
    if len(ranks) != len(arrays):
        raise TypeError(f"wrong number of positional arguments: expected {len(ranks)}, got {len(arrays)}")
    leads = [array.dims[: array.ndim - rank] for array, rank in zip(arrays, ranks, strict=True)]
    dims = broadcast_dims(leads)
    if dims is None:
        raise_as_numpy(np.broadcast_shapes, *(tuple(1 for _ in lead) for lead in leads))
    rows = []
    for array, rank in zip(arrays, ranks, strict=True):
        core: Dims = resolve_dims(array.dims[array.ndim - rank :])
        rows.append(reshape(broadcast_to(array.operand(), (*dims, *core)), (product(dims), *core)))

    def one(*values: Any) -> Any:
        return tuple(as_array(part) for part in _parts(function(*values)))

    results = []
    for part, kind in zip(parts := _mapped(one, rows), vectorizer.otypes or [None] * len(parts), strict=True):
        value = operand_of(part)
        value = reshape(value, (*dims, *value.type.dims[1:]))
        results.append(new_array(value if kind is None else cast(value, np.dtype(kind))))
    return tuple(results) if len(results) > 1 else results[0]
