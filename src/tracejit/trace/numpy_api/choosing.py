"""Functions that choose between values or test them: where, clip, select, comparisons with tolerance, copyto."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.base import Tracer
from tracejit.trace.dtypes import result_type
from tracejit.trace.inputs import as_array, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import NO_VALUE, given, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import to_number
from tracejit.trace.ufuncs import broadcast_operands, write_out
from tracejit.trace.values import broadcast_to, emit, fits, match, resolve_dims, select, truth

__all__: list[str] = []


@implements(np.where)
def where(condition: Any, x: Any = NO_VALUE, y: Any = NO_VALUE) -> Any:
    """``np.where`` with three arguments."""
    if x is NO_VALUE and y is NO_VALUE:
        raise UnsupportedError(
            "np.where with one argument gives arrays whose size depends on data, which is not compiled; "
            "use np.where(condition, x, y)"
        )
    if x is NO_VALUE or y is NO_VALUE:
        raise ValueError("either both or neither of x and y should be given")
    described = [describe_input(x), describe_input(y)]
    loop = result_type(*(kind for kind, _ in described))
    a, b = (materialize(content, loop) for _, content in described)
    mask = truth(operand_of(condition))
    mask, a, b = broadcast_operands(np.where, (condition, x, y), [mask, a, b])
    return new_array(select(mask, a, b))


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
    if low is None and high is None:
        return ufunc(np.positive, a, out=out, **kwargs)
    if high is None:
        return ufunc(np.maximum, a, low, out=out, **kwargs)
    if low is None:
        return ufunc(np.minimum, a, high, out=out, **kwargs)
    described = [describe_input(value) for value in (a, low, high)]
    loop = np.dtype(kwargs["dtype"]) if kwargs.get("dtype") is not None else result_type(*(k for k, _ in described))
    operands = [materialize(content, loop) for _, content in described]
    x, lower, upper = broadcast_operands(np.clip, (a, low, high), operands)
    value = emit("minimum", emit("maximum", x, lower), upper)
    return write_out(np.clip, (a, low, high), value, out) if given(out) else wrap(value)


@implements(np.select)
def np_select(condlist: Any, choicelist: Any, default: Any = 0) -> TracedArray:
    """``np.select``."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not len(condlist):
        raise ValueError("select with an empty condition list is not possible")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return as_array(result)


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """``np.choose`` between a list of arrays; indices out of range choose the last."""
    if mode != "raise" or not isinstance(choices, (list, tuple)):
        raise UnsupportedError("np.choose is compiled for a list of choices and mode='raise' only")
    result = choices[-1]
    for position in range(len(choices) - 2, -1, -1):
        result = where(ufunc(np.equal, a, position), choices[position], result)
    return result if out is None else ufunc(np.positive, result, out=out)


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """``np.copyto``."""
    if not isinstance(dst, (TracedArray, np.ndarray)):
        raise TypeError(f"copyto() argument 1 must be numpy.ndarray, not {type(dst).__name__}")
    target = as_array(dst)
    kind, content = describe_input(src)
    source = content if isinstance(kind, type) else wrap(content)
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
    """``np.putmask`` with a scalar or values of the array's shape."""
    copyto(a, values, casting="unsafe", where=mask)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """``np.isclose``."""
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
    if dtype.kind not in "fc":
        return x
    if dtype.kind == "c":
        raise UnsupportedError("np.nan_to_num of complex numbers is not compiled; treat .real and .imag apart")
    limits = np.finfo(dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    result = where(ufunc(np.isnan, x), dtype.type(nan), x)
    result = where(ufunc(np.equal, result, np.inf), dtype.type(high), result)
    result = where(ufunc(np.equal, result, -np.inf), dtype.type(low), result)
    if not copy and isinstance(x, TracedArray):
        call("assign", x, result)
        return x
    return wrap(operand_of(result))


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
    if isinstance(val, TracedArray):
        return val.real
    x = operand_of(val)
    return wrap(emit("real", x) if x.type.dtype.kind == "c" else x)


@implements(np.imag)
def imag(val: Any) -> Any:
    """``np.imag``."""
    if isinstance(val, TracedArray):
        return val.imag
    x = operand_of(val)
    return wrap(emit("imag", x)) if x.type.dtype.kind == "c" else wrap(materialize(0, x.type.dtype))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """``np.angle``."""
    result = ufunc(np.arctan2, imag(z), real(z))
    return ufunc(np.multiply, result, 180 / np.pi) if deg else result


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """``np.sinc``."""
    y = ufunc(np.multiply, np.pi, where(ufunc(np.equal, x, 0), 1.0e-20, x))
    return ufunc(np.divide, ufunc(np.sin, y), y)


@implements(np.round, np.around)
def np_round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """``np.round``."""
    x = operand_of(a)
    if x.type.dtype.kind in "iub" and decimals >= 0:
        return ufunc(np.positive, a, out=out) if x.type.dtype.kind != "b" else ufunc(np.rint, a, out=out)
    if x.type.dtype.kind == "c" or x.type.dtype.kind == "i":
        raise UnsupportedError("np.round of these numbers is not compiled")
    if decimals == 0:
        return ufunc(np.rint, a, out=out)
    factor = float(10 ** abs(decimals))
    forward, back = (np.multiply, np.divide) if decimals > 0 else (np.divide, np.multiply)
    return ufunc(back, ufunc(np.rint, ufunc(forward, a, factor)), factor, out=out)


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """``np.fix``."""
    return ufunc(np.trunc, x, out=out)


for _function, _clipped in ((np.isposinf, np.inf), (np.isneginf, -np.inf)):

    @implements(_function)
    def _is_infinite(x: Any, out: Any = None, _value: float = _clipped) -> Any:
        return ufunc(np.equal, x, _value, out=out)
