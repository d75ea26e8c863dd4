"""Arithmetic, selection and conversion of elements: the operations in which derivatives are written.

Linear ones among them (``add sub neg mul div select cast real imag conj complex``) have transposes. Complex derivatives
and transposes follow the convention without conjugation: the transpose of multiplying by ``k`` multiplies by ``k``.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from tracejit.ir.core import Literal
from tracejit.ir.ops.families import (
    BOOL,
    COMPLEXES,
    FLOATS,
    INTEGERS,
    binary,
    common_dims,
    elementwise,
    kind_of,
    same_type,
    transpose_rule,
    unary,
)
from tracejit.ir.primitive import Primitive, literal_like
from tracejit.ir.types import ArrayType, dtype_name, scalar

__all__ = [
    "abs",
    "add",
    "bitcast",
    "cast",
    "complex",
    "conj",
    "div",
    "imag",
    "mul",
    "neg",
    "pow",
    "real",
    "select",
    "sign",
    "stop_gradient",
    "sub",
    "wrap_index",
]

_ALL = (BOOL, *INTEGERS, *FLOATS, *COMPLEXES)
_PARTS: dict[np.dtype[Any], np.dtype[Any]] = {np.dtype("F"): np.dtype("f"), np.dtype("D"): np.dtype("d")}
_JOINED = {part: whole for whole, part in _PARTS.items()}

# ------------------------------------------------------------------------------------------------- arithmetic

add = binary(
    "add",
    np.add,
    (lambda d, out, x, y: d, lambda d, out, x, y: d),
    transpose=(lambda ct, x, y: ct, lambda ct, x, y: ct),
    commutative=True,
)
sub = binary(
    "sub",
    np.subtract,
    (lambda d, out, x, y: d, lambda d, out, x, y: -d),
    transpose=(lambda ct, x, y: ct, lambda ct, x, y: -ct),
)
mul = binary(
    "mul",
    np.multiply,
    (lambda d, out, x, y: d * y, lambda d, out, x, y: x * d),
    transpose=(lambda ct, x, y: ct * y, lambda ct, x, y: x * ct),
    commutative=True,
)
div = binary(
    "div",
    np.true_divide,
    (lambda d, out, x, y: d / y, lambda d, out, x, y: d * -(out / y)),
    transpose=(lambda ct, x, y: ct / y, None),
)
neg = unary("neg", np.negative, lambda d, out, x: -d, transpose=lambda ct, x: -ct)


def _sign_tangent(d: Any, out: Any, x: Any) -> Any:
    """Zero for reals; for complex z the sign is z/|z|, which turns with z."""
    if kind_of(x.dtype) != "c":
        return None
    along = real(d * conj(out))
    return (d - complex(along, literal_like(0, along)) * out) / complex(abs(x), literal_like(0, along))


def _abs_tangent(d: Any, out: Any, x: Any) -> Any:
    return real(d * conj(sign(x))) if kind_of(x.dtype) == "c" else d * sign(x)


sign = unary("sign", np.sign, _sign_tangent)
abs = unary("abs", np.absolute, _abs_tangent)


def _base_tangent(d: Any, out: Any, x: Any, y: Any) -> Any:
    """``d * y * x**(y-1)``, and 0 where y is 0 even if ``x**-1`` is infinite."""
    if isinstance(y, Literal):
        exponent = y.value
        if exponent == 0:
            return None
        if exponent == 1:
            return d
        return d * (y * (x if exponent == 2 else pow(x, literal_like(exponent - 1, y))))
    is_zero = _eq(y, 0)
    return d * select(is_zero, literal_like(0, y), y * pow(x, select(is_zero, literal_like(1, y), y - 1)))


def _exponent_tangent(d: Any, out: Any, x: Any, y: Any) -> Any:
    """``d * out * log(x)``; 0 at x == 0 where the power is finite, NaN for negative x: no real derivative exists."""
    return d * (out * _log(select(_eq(x, 0), literal_like(1, x), x)))


pow = binary("pow", np.power, (_base_tangent, _exponent_tangent))

# ------------------------------------------------------------------------------------------- complex numbers


def _part(name: str, function: Any, tangent: Any, transpose: Any) -> Primitive:
    return unary(
        name,
        function,
        tangent,
        loops={**same_type(BOOL, *INTEGERS, *FLOATS), **_PARTS},
        transpose=transpose,
    )


def _from_real(ct: Any, x: Any) -> Any:
    return complex(ct, literal_like(0, ct)) if kind_of(x.type.dtype) == "c" else ct


def _from_imag(ct: Any, x: Any) -> Any:
    return complex(literal_like(0, ct), -ct) if kind_of(x.type.dtype) == "c" else None


real: Primitive = _part("real", np.real, lambda d, out, x: real(d), _from_real)
imag: Primitive = _part("imag", np.imag, lambda d, out, x: imag(d) if kind_of(x.dtype) == "c" else None, _from_imag)
conj: Primitive = unary("conj", np.conjugate, lambda d, out, x: conj(d), transpose=lambda ct, x: conj(ct))


def _complex_reference(x: Any, y: Any) -> Any:
    """``x + i*y`` without arithmetic, which would turn infinite parts into NaN."""
    joined: np.dtype[Any] = _JOINED[np.asarray(x).dtype]
    result = np.empty(np.broadcast_shapes(np.shape(x), np.shape(y)), joined)
    result.real = x
    result.imag = y
    return result


complex: Primitive = binary(
    "complex",
    _complex_reference,
    (
        lambda d, out, x, y: complex(d, literal_like(0, d)),
        lambda d, out, x, y: complex(literal_like(0, d), d),
    ),
    loops=_JOINED,
    transpose=(lambda ct, x, y: real(ct), lambda ct, x, y: -imag(ct)),
)

# --------------------------------------------------------------------------------- conversion and selection


def _cast_infer(x: ArrayType, *, dtype: np.dtype[Any]) -> ArrayType:
    dtype_name(dtype)  # refuses what is no number
    return x if dtype == x.dtype else ArrayType(dtype, x.dims)


def _cast_reference(x: Any, *, dtype: np.dtype[Any]) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = x.real
    return x.astype(dtype)


def _cast_tangent(d: Any, out: Any, x: Any, *, dtype: np.dtype[Any]) -> Any:
    return cast(d, dtype=dtype)


cast: Primitive = elementwise(
    "cast",
    _cast_infer,
    _cast_reference,
    (_cast_tangent,),
    transpose=transpose_rule(lambda ct, x: cast(ct, dtype=x.type.dtype)),
    domain=_ALL,
)


def _bitcast_infer(x: ArrayType, *, dtype: np.dtype[Any]) -> ArrayType:
    if x.dtype.itemsize != dtype.itemsize or not {x.dtype.kind, dtype.kind} <= set("iufV"):
        raise TypeError(f"bitcast: {x} and {dtype_name(dtype)} are not integers or floats of one size")
    return ArrayType(dtype, x.dims)


def _bitcast_reference(x: Any, *, dtype: np.dtype[Any]) -> Any:
    return np.asarray(x).view(dtype)


bitcast = elementwise("bitcast", _bitcast_infer, _bitcast_reference, None, domain=(*INTEGERS, *FLOATS))


def _select_infer(condition: ArrayType, a: ArrayType, b: ArrayType) -> ArrayType:
    if condition.dtype != BOOL:
        raise TypeError(f"select: the condition must be bool, not {condition}")
    if a.dtype != b.dtype:
        raise TypeError(f"select: branches have different dtypes {a} and {b}; one of them needs a cast")
    dims = common_dims("select", condition, a, b)
    return a if dims is a.dims else b if dims is b.dims else ArrayType(a.dtype, dims)


def _select_reference(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)


select: Primitive = elementwise(
    "select",
    _select_infer,
    _select_reference,
    # Each tangent passes through a select of its own, so that NaN on the side not taken stays out of the sum.
    (
        None,
        lambda d, out, c, a, b: select(c, d, literal_like(0, d)),
        lambda d, out, c, a, b: select(c, literal_like(0, d), d),
    ),
    transpose=transpose_rule(
        None,
        lambda ct, c, a, b: select(c, ct, literal_like(0, ct)),
        lambda ct, c, a, b: select(c, literal_like(0, ct), ct),
    ),
    domain=_ALL,
)

stop_gradient = unary("stop_gradient", np.asarray, None, loops=same_type(*_ALL))

# ------------------------------------------------------------------------------------------------- indices


def _wrap_index_infer(i: ArrayType, n: ArrayType, *, axis: int = 0, error: str = "", text: str = "") -> ArrayType:
    if i.dtype != scalar("i64").dtype or n != scalar("i64"):
        raise TypeError(f"wrap_index: takes i64 indices and one i64 size, not {i} and {n}")
    return i


def _wrap_index_reference(i: Any, n: Any, *, axis: int = 0, error: str = "", text: str = "") -> Any:
    """Negative indices count from the end; with ``error``, the name of an exception, they are outside, too."""
    i = np.asarray(i)
    outside = (i < (0 if error else -n)) | (i >= n)
    if outside.any():
        if error:
            raise getattr(builtins, error)(text.format(i[outside].flat[0], n))
        raise IndexError(f"index {i[outside].flat[0]} is out of bounds for axis {axis} with size {n}")
    return np.where(i < 0, i + n, i)


wrap_index = elementwise("wrap_index", _wrap_index_infer, _wrap_index_reference, None, domain=(scalar("i64").dtype,))


def _eq(x: Any, y: Any) -> Any:
    from tracejit.ir.ops.compare import eq  # noqa: PLC0415  (comparisons are declared after arithmetic)

    return eq(x, y)


def _log(x: Any) -> Any:
    from tracejit.ir.ops.floating import log  # noqa: PLC0415  (transcendentals are declared after arithmetic)

    return log(x)
