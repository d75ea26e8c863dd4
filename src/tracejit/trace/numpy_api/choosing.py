"""Functions that choose between values or test them: where, clip, select, comparisons with tolerance, copyto."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.dims import product
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.axis_order import columns
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, FLOAT64, INT64, result_type
from tracejit.trace.inputs import (
    as_array,
    describe_input,
    materialize,
    operand_of,
    raise_as_numpy,
    stand_in,
    stored_operand,
    unchecked_operand,
)
from tracejit.trace.numpy_api.common import NO_VALUE, given, in_range, left_to_numpy, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import elementwise_order, is_by_columns
from tracejit.trace.scalar import (
    SymbolicBool,
    SymbolicInt,
    TracedNumber,
    to_number,
)
from tracejit.trace.ufuncs import broadcast_operands, write_out
from tracejit.trace.values import (
    broadcast_to,
    cast,
    dim_value,
    emit,
    fits,
    iota,
    literal,
    match,
    reshape,
    resolve_dims,
    select,
    truth,
)

__all__: list[str] = []


@implements(np.where)
def where(condition: Any, x: Any = NO_VALUE, y: Any = NO_VALUE) -> Any:
    """``np.where`` with three arguments."""
    if x is NO_VALUE and y is NO_VALUE:
        return call(np.nonzero, condition)
    if x is NO_VALUE or y is NO_VALUE:
        raise ValueError("either both or neither of x and y should be given")
    described = [describe_input(x), describe_input(y)]
    loop = result_type(*(kind for kind, _ in described))
    a, b = (unchecked_operand(content, loop) for _, content in described)
    mask = truth(operand_of(condition))
    mask, a, b = broadcast_operands(np.where, (condition, x, y), [mask, a, b])
    result = select(mask, a, b)
    return new_array(result, order=elementwise_order((condition, x, y), result.type.dims))


_PLAIN_INTS = (int, SymbolicInt)


@implements(np.clip)
def clip(
    a: Any,
    a_min: Any = NO_VALUE,
    a_max: Any = NO_VALUE,
    out: Any = None,
    *,
    min: Any = NO_VALUE,
    max: Any = NO_VALUE,
    **kwargs: Any,
) -> Any:
    """``np.clip``."""
    low = a_min if a_min is not NO_VALUE else min
    high = a_max if a_max is not NO_VALUE else max
    low, high = (None if bound is NO_VALUE else bound for bound in (low, high))
    kind = describe_input(a)[0]
    if not isinstance(kind, type) and kind.kind in "iu":  # Python ints that no element can be beyond
        low = None if isinstance(low, _PLAIN_INTS) and low <= int(np.iinfo(kind).min) else low
        high = None if isinstance(high, _PLAIN_INTS) and high >= int(np.iinfo(kind).max) else high
    if low is None and high is None:
        return ufunc(np.positive, a, out=out, **kwargs)
    if high is None:
        return ufunc(np.maximum, a, low, out=out, **kwargs)
    if low is None:
        return ufunc(np.minimum, a, high, out=out, **kwargs)
    if set(kwargs) - {"dtype", "order", "subok"}:
        return _clip_by_parts(a, low, high, out, kwargs)
    described = [describe_input(value) for value in (a, low, high)]
    loop = np.dtype(kwargs["dtype"]) if kwargs.get("dtype") is not None else result_type(*(k for k, _ in described))
    for kind, _ in described:
        if not isinstance(kind, type) and not np.can_cast(kind, loop, "same_kind"):
            raise_as_numpy(np.clip, a, low, high, dtype=loop)
    operands = [materialize(content, loop) for _, content in described]
    x, lower, upper = broadcast_operands(np.clip, (a, low, high), operands)
    value = emit("minimum", emit("maximum", x, lower), upper)
    if given(out):
        return write_out(np.clip, (a, low, high), value, out)
    return wrap(value, elementwise_order((a, low, high), value.type.dims))


def _clip_by_parts(a: Any, low: Any, high: Any, out: Any, keywords: dict[str, Any]) -> Any:
    """``np.clip`` with keywords of ufuncs that change more than the dtype."""
    inner = {key: value for key, value in keywords.items() if key != "where"}
    return ufunc(np.minimum, ufunc(np.maximum, a, low, **inner), high, out=out, **keywords)


@implements(np.select)
def np_select(condlist: Any, choicelist: Any, default: Any = 0) -> TracedArray:
    """``np.select``."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not len(condlist):
        raise ValueError("select with an empty condition list is not possible")
    for position, condition in enumerate(condlist):
        kind = describe_input(condition)[0]
        if kind != BOOL:
            raise TypeError(f"invalid entry {position} in condlist: should be boolean ndarray")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return call("copy", as_array(result))  # type: ignore[no-any-return]


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """``np.choose``."""
    which = as_array(a)
    if which.dtype.kind not in "biu":
        raise_as_numpy(np.choose, which, [0, 1])
    entries = list(choices) if isinstance(choices, TracedArray) else choices
    arrays = [as_array(choice) for choice in entries]
    loop = result_type(*(describe_input(choice)[0] for choice in entries))
    total = literal(len(arrays), INT64)
    place = in_range(cast(which.operand(), INT64), total, mode, "ValueError", "invalid entry in choice array")
    operands = [place, *(cast(array.operand(), loop) for array in arrays)]
    place, *values = broadcast_operands(np.choose, (which, arrays), operands)
    result = values[-1]
    for position in range(len(values) - 2, -1, -1):
        result = select(emit("eq", place, literal(position, INT64)), values[position], result)
    return wrap(result) if out is None else write_out(np.choose, (which, arrays), result, out, casting="unsafe")


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """``np.copyto``."""
    if not isinstance(dst, (TracedArray, np.ndarray)):
        raise TypeError(f"copyto() argument 1 must be numpy.ndarray, not {type(dst).__name__}")
    target = as_array(dst)
    kind, content = describe_input(src)
    source = content if isinstance(kind, type) else wrap(content)
    if isinstance(kind, type) or (isinstance(src, (bool, SymbolicBool)) and target.dtype != BOOL):
        np.copyto(np.empty(1, target.dtype), stand_in(src), casting=casting)  # type: ignore[arg-type]
    if not isinstance(kind, type) and not np.can_cast(kind, target.dtype, casting):  # type: ignore[arg-type]
        raise_as_numpy(np.copyto, target, source, casting=casting)
    if where is True:
        call("assign", target, src)
        return
    value = materialize(content, target.dtype)
    mask = truth(operand_of(where))
    dims = resolve_dims(target.dims)
    if not fits(value.type.dims, dims) or not fits(mask.type.dims, dims):
        raise_as_numpy(np.copyto, target, source, casting=casting, where=where)
    target.write(broadcast_to(select(match(mask, dims), match(value, dims), target.operand()), dims))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """``np.putmask``: values are repeated where there are fewer than elements."""
    if not isinstance(a, (TracedArray, np.ndarray)):
        raise TypeError(f"argument 1 must be numpy.ndarray, not {type(a).__name__}")
    target, chosen = as_array(a), truth(operand_of(mask))
    source = stored_operand(values, target.dtype)
    sizes = current_trace().sizes
    dims = resolve_dims(target.dims)
    if not sizes.require_equal(product(dims), product(resolve_dims(chosen.type.dims))):
        raise ValueError("putmask: mask and data must be the same size")
    count = product(resolve_dims(source.type.dims))
    if sizes.decide(count, "== 0"):
        return
    flat = reshape(source, (count,))
    if sizes.decide(count - 1, "== 0"):
        new = emit("gather", flat, literal(0, INT64), axes=(0,))
    else:
        place = emit("mod", iota(INT64, (product(dims),), 0), dim_value(count))
        new = reshape(emit("gather", flat, place, axes=(0,)), dims)
    target.write(broadcast_to(select(reshape(chosen, dims), new, target.operand()), dims))


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """``np.isclose``."""
    inexact = result_type(describe_input(b)[0], float)
    b = wrap(materialize(describe_input(b)[1], inexact))
    difference = ufunc(np.absolute, ufunc(np.subtract, a, b))
    bound = ufunc(np.add, ufunc(np.multiply, ufunc(np.absolute, b), rtol), atol)
    close = ufunc(np.logical_and, ufunc(np.less_equal, difference, bound), ufunc(np.isfinite, b))
    result = ufunc(np.logical_or, close, ufunc(np.equal, a, b))
    if equal_nan:
        result = ufunc(np.logical_or, result, ufunc(np.logical_and, ufunc(np.isnan, a), ufunc(np.isnan, b)))
    return result


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """``np.allclose``: traced, so it cannot decide an ``if``."""
    return to_number(call(np.all, isclose(a, b, rtol, atol, equal_nan)), bool)


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """``np.array_equal``."""
    x, y = as_array(a1), as_array(a2)
    if x.ndim != y.ndim or not all(a == b for a, b in zip(x.shape, y.shape, strict=True)):
        return False
    same = ufunc(np.equal, x, y)
    if equal_nan:
        same = ufunc(np.logical_or, same, ufunc(np.logical_and, ufunc(np.isnan, x), ufunc(np.isnan, y)))
    return to_number(call(np.all, same), bool)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """``np.nan_to_num``."""
    source = operand_of(x)
    dtype = source.type.dtype
    order = elementwise_order((x,), source.type.dims)
    if dtype.kind not in "fc":
        return wrap(source, order)
    if dtype.kind == "c":
        parts = [nan_to_num(wrap(emit(part, source)), True, nan, posinf, neginf) for part in ("real", "imag")]
        result = wrap(emit("complex", *(operand_of(part) for part in parts)), order)
        if not copy and isinstance(x, TracedArray):
            call("assign", x, result)
        return result
    limits = np.finfo(dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    result = where(ufunc(np.isnan, x), dtype.type(nan), x)
    result = where(ufunc(np.equal, result, np.inf), dtype.type(high), result)
    result = where(ufunc(np.equal, result, -np.inf), dtype.type(low), result)
    if not copy and isinstance(x, TracedArray):
        call("assign", x, result)
        return x
    return wrap(operand_of(result), order)


@implements(np.result_type)
def np_result_type(*arrays_and_dtypes: Any) -> Any:
    """``np.result_type``."""
    kinds = [describe_input(a)[0] if isinstance(a, Tracer) else a for a in arrays_and_dtypes]
    return np.result_type(*[kind(0) if isinstance(kind, type) and kind in _PYTHON else kind for kind in kinds])


_PYTHON = (int, float, complex)


@implements(np.isscalar)
def isscalar(element: Any) -> bool:
    """``np.isscalar``."""
    return not isinstance(element, TracedArray)


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """``np.iscomplexobj``."""
    return operand_of(x).type.dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """``np.isrealobj``."""
    return not iscomplexobj(x)


@implements(np.real)
def real(val: Any) -> Any:
    """``np.real``."""
    if isinstance(val, (TracedArray, TracedNumber, SymbolicInt)):
        return val.real
    x = operand_of(val)
    return wrap(emit("real", x) if x.type.dtype.kind == "c" else x)


@implements(np.imag)
def imag(val: Any) -> Any:
    """``np.imag``."""
    if isinstance(val, (TracedArray, TracedNumber, SymbolicInt)):
        return val.imag
    x = operand_of(val)
    return wrap(emit("imag", x)) if x.type.dtype.kind == "c" else wrap(materialize(0, x.type.dtype))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """``np.angle``."""
    is_complex = describe_input(z)[0] is complex or iscomplexobj(z)
    result = ufunc(np.arctan2, imag(z) if is_complex else 0, real(z) if is_complex else z)
    return ufunc(np.multiply, result, 180 / np.pi) if deg else result


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """``np.sinc``."""
    scaled = ufunc(np.multiply, np.pi, x)
    dtype = operand_of(scaled).type.dtype
    least = np.finfo(dtype).eps if dtype.kind == "f" else 1e-20
    y = where(ufunc(np.equal, scaled, 0), least, scaled)
    return ufunc(np.divide, ufunc(np.sin, y), y)


_MOST_DECIMALS = 308  # 10 to more is infinite


@implements(np.round, np.around)
def np_round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """``np.round``."""
    x = operand_of(a)
    kind = x.type.dtype.kind
    if kind == "b" and decimals != 0:
        raise_as_numpy(np.round, wrap(x), decimals)
    kept = elementwise_order((a,), x.type.dims)
    by_columns = columns(x.rank) if kept and is_by_columns(as_array(a)) else ()  # of what is scaled
    if kind in "iu":
        if decimals < 0:
            x = cast(operand_of(np_round(wrap(cast(x, FLOAT64)), decimals)), x.type.dtype)
        return wrap(x, kept) if out is None else write_out(np.round, (a,), x, out)
    if kind == "c":
        parts = [operand_of(np_round(wrap(emit(part, x)), decimals)) for part in ("real", "imag")]
        x = emit("complex", *parts)
        return wrap(x, by_columns) if out is None else write_out(np.round, (a,), x, out)
    if decimals == 0:
        return ufunc(np.rint, a, out=out)
    factor = float(10 ** abs(decimals)) if abs(decimals) <= _MOST_DECIMALS else np.inf
    forward, back = (np.multiply, np.divide) if decimals > 0 else (np.divide, np.multiply)
    result = ufunc(back, ufunc(np.rint, ufunc(forward, a, factor)), factor, out=out)
    return wrap(operand_of(result), by_columns) if out is None and x.rank > 1 else result


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """``np.fix``."""
    return ufunc(np.trunc, x, out=out)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """``np.isreal``."""
    return imag(x) == 0


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """``np.iscomplex``."""
    return ufunc(np.not_equal, call(np.asanyarray, x).imag, 0)


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """``np.real_if_close``: what it gives for complex numbers depends on their values."""
    return left_to_numpy(np.real_if_close, a, tol) if iscomplexobj(a) else as_array(a)


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """``np.can_cast`` of an array: of its dtype."""
    kinds = [describe_input(a)[0] if isinstance(a, Tracer) else a for a in (from_, to)]
    return np.can_cast(kinds[0], kinds[1], casting)  # type: ignore[arg-type]


@implements(np.min_scalar_type)
def min_scalar_type(a: Any, /) -> Any:
    """``np.min_scalar_type`` of an array: its dtype; that of a scalar depends on its value."""
    array = as_array(a)
    return array.dtype if array.ndim else left_to_numpy(np.min_scalar_type, a)


_MOST_TESTED = 32


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """``np.isin`` for a few test elements: each is compared with every element."""
    tested = as_array(test_elements)
    if kind not in (None, "sort", "table"):
        raise ValueError(f"Invalid kind: '{kind}'. Please use None, 'sort' or 'table'.")
    count = product(resolve_dims(tested.dims))
    if not isinstance(count, int) or count > _MOST_TESTED:
        return call("isin by sorting", element, tested, invert)
    flat = call(np.ravel, tested)
    found: Any = call(np.zeros_like, as_array(element), dtype=BOOL)
    for k in range(count):
        found = ufunc(np.logical_or, found, ufunc(np.equal, element, flat[k]))
    return call(np.asarray, ufunc(np.logical_not, found) if invert else found)


for _function, _clipped in ((np.isposinf, np.inf), (np.isneginf, -np.inf)):

    @implements(_function)
    def _is_infinite(x: Any, out: Any = None, _value: float = _clipped) -> Any:
        if (dtype := operand_of(x).type.dtype).kind == "c":
            raise TypeError(f"This operation is not supported for {dtype} values because it would be ambiguous.")
        return ufunc(np.equal, x, _value, out=out)
