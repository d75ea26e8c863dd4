"""Functions of real and complex numbers: exponentials, trigonometry, rounding, parts of floats, special functions."""

from __future__ import annotations

from collections.abc import Callable
from math import log as _ln
from math import pi
from math import sqrt as _root
from typing import Any

import numpy as np

from tracejit.ir.ops.compare import eq
from tracejit.ir.ops.elementwise import select, sign
from tracejit.ir.ops.families import FLOATS, binary, common_dims, elementwise, same_type, unary, unsupported
from tracejit.ir.primitive import Primitive, literal_like
from tracejit.ir.types import ArrayType

_LN2 = _ln(2)
_LN10 = _ln(10)

# ---------------------------------------------------------------------------------- exponentials and powers

exp = unary("exp", np.exp, lambda d, out, x: d * out)
exp2 = unary("exp2", np.exp2, lambda d, out, x: d * (out * _LN2))
expm1 = unary("expm1", np.expm1, lambda d, out, x: d * (out + 1))
log = unary("log", np.log, lambda d, out, x: d / x)
log2 = unary("log2", np.log2, lambda d, out, x: d * (1 / _LN2 / x))
log10 = unary("log10", np.log10, lambda d, out, x: d * (1 / _LN10 / x))
log1p = unary("log1p", np.log1p, lambda d, out, x: d / (1 + x))
sqrt = unary("sqrt", np.sqrt, lambda d, out, x: d * (0.5 / out))
cbrt = unary("cbrt", np.cbrt, lambda d, out, x: d / (3 * (out * out)))
reciprocal = unary("reciprocal", np.reciprocal, lambda d, out, x: d * -(out * out))


def _exp_difference(d: Any, out: Any, mine: Any, power: Any) -> Any:
    """``exp(mine - out)``, with 1 where both are the same infinity."""
    return d * select(eq(mine, out), literal_like(1, out), power(mine - out))


logaddexp = binary(
    "logaddexp",
    np.logaddexp,
    (lambda d, out, x, y: _exp_difference(d, out, x, exp), lambda d, out, x, y: _exp_difference(d, out, y, exp)),
    commutative=True,
)
logaddexp2 = binary(
    "logaddexp2",
    np.logaddexp2,
    (lambda d, out, x, y: _exp_difference(d, out, x, exp2), lambda d, out, x, y: _exp_difference(d, out, y, exp2)),
    commutative=True,
)

# ---------------------------------------------------------------------------------------------- trigonometry

sin = unary("sin", np.sin, lambda d, out, x: d * cos(x))
cos: Primitive = unary("cos", np.cos, lambda d, out, x: d * -sin(x))
tan = unary("tan", np.tan, lambda d, out, x: d * (1 + out * out))
arcsin = unary("arcsin", np.arcsin, lambda d, out, x: d / (sqrt(1 - x) * sqrt(1 + x)))
arccos = unary("arccos", np.arccos, lambda d, out, x: d / -(sqrt(1 - x) * sqrt(1 + x)))
arctan = unary("arctan", np.arctan, lambda d, out, x: d / (1 + x * x))
sinh = unary("sinh", np.sinh, lambda d, out, x: d * cosh(x))
cosh: Primitive = unary("cosh", np.cosh, lambda d, out, x: d * sinh(x))
tanh = unary("tanh", np.tanh, lambda d, out, x: d * ((1 - out) * (1 + out)))
arcsinh = unary("arcsinh", np.arcsinh, lambda d, out, x: d / sqrt(x * x + 1))
arccosh = unary("arccosh", np.arccosh, lambda d, out, x: d / (sqrt(x - 1) * sqrt(x + 1)))
arctanh = unary("arctanh", np.arctanh, lambda d, out, x: d / ((1 - x) * (1 + x)))
arctan2 = binary(
    "arctan2",
    np.arctan2,
    (lambda d, out, y, x: d * (x / (x * x + y * y)), lambda d, out, y, x: d * (-y / (x * x + y * y))),
)


def _over_length(d: Any, out: Any, mine: Any) -> Any:
    """``mine / out``, and 0 at the origin, as for ``abs``."""
    return d * (mine / select(eq(out, 0), literal_like(1, out), out))


hypot = binary(
    "hypot",
    np.hypot,
    (lambda d, out, x, y: _over_length(d, out, x), lambda d, out, x, y: _over_length(d, out, y)),
    commutative=True,
)

# ------------------------------------------------------------------------------- rounding, parts of a float

floor = unary("floor", np.floor, None)
ceil = unary("ceil", np.ceil, None)
trunc = unary("trunc", np.trunc, None)
rint = unary("rint", np.rint, None)
spacing = unary("spacing", np.spacing, None)
nextafter = binary("nextafter", np.nextafter, (lambda d, out, x, y: d, None))
copysign: Primitive = binary(
    "copysign", np.copysign, (lambda d, out, x, y: d * (sign(x) * copysign(literal_like(1, y), y)), None)
)
heaviside = binary("heaviside", np.heaviside, (None, lambda d, out, x, h: select(eq(x, 0), d, literal_like(0, d))))

_INT32 = np.dtype(np.int32)


def _ldexp_infer(x: ArrayType, exponent: ArrayType) -> ArrayType:
    if x.dtype.kind not in "fV" or exponent.dtype.kind != "i" or exponent.dtype.itemsize < 4:
        raise unsupported("ldexp")
    dims = common_dims("ldexp", x, exponent)
    return x if dims is x.dims else ArrayType(x.dtype, dims)


ldexp: Primitive = elementwise(
    "ldexp",
    _ldexp_infer,
    np.ldexp,
    (lambda d, out, x, exponent: d * ldexp(literal_like(1, x), exponent), None),
    ufunc=np.ldexp,
    domain=FLOATS,
)


def _unscale(d: Any, out: Any, x: Any) -> Any:
    return d * ldexp(literal_like(1, x), -frexp_exponent(x))


# NumPy's frexp and modf have two results; each result is an operation here, and the whole part of modf is trunc.
frexp_mantissa = unary("frexp_mantissa", lambda x: np.frexp(x)[0], _unscale, loops=same_type(*FLOATS))
frexp_exponent: Primitive = unary("frexp_exponent", lambda x: np.frexp(x)[1], None, loops=dict.fromkeys(FLOATS, _INT32))
modf_fraction = unary("modf_fraction", lambda x: np.modf(x)[0], lambda d, out, x: d, loops=same_type(*FLOATS))


def _sort_key(x: Any) -> Any:
    x = np.asarray(x)
    bits = x.view(f"u{x.itemsize}")
    sign = bits.dtype.type(1 << (8 * x.itemsize - 1))
    return np.where(np.isnan(x), ~bits.dtype.type(0), np.where(bits & sign, ~bits, bits | sign))[()]


def _from_sort_key(key: Any) -> Any:
    key = np.asarray(key)
    sign = key.dtype.type(1 << (8 * key.itemsize - 1))
    return np.where(key & sign, key & ~sign, ~key).view(f"f{key.itemsize}")[()]


_KEYS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float32): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.uint64),
}
sort_key = unary("sort_key", _sort_key, None, loops=_KEYS)
"""An unsigned integer for each float, in the same order; -0.0 is below 0.0, and all NaNs are one, above the rest."""

from_sort_key = unary("from_sort_key", _from_sort_key, None, loops={key: dtype for dtype, key in _KEYS.items()})
"""The float of a key."""

# ------------------------------------------------------------------------------------------ special functions


def _special(name: str) -> Callable[..., Any]:
    """A function of scipy.special as a reference: half precision goes through single, as NumPy does it."""

    def reference(x: Any) -> Any:
        from scipy import special  # noqa: PLC0415  (a slow import that most programs never need)

        dtype = np.asarray(x).dtype
        wide = np.asarray(x, np.float32) if dtype.itemsize < 4 else x
        return np.asarray(getattr(special, name)(wide)).astype(dtype, copy=False)

    return reference


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros((), np.asarray(x).dtype))


def _polygamma_reference(x: Any, *, order: int) -> Any:
    from scipy import special  # noqa: PLC0415  (a slow import that most programs never need)

    return np.asarray(special.polygamma(order, x)).astype(np.asarray(x).dtype, copy=False)


def _polygamma_infer(x: ArrayType, *, order: int) -> ArrayType:
    if x.dtype.kind not in "fV":
        raise unsupported("polygamma")
    return x


_SPECIAL = same_type(*FLOATS)

erf = unary("erf", _special("erf"), lambda d, out, x: d * (2 / _root(pi) * exp(-(x * x))), loops=_SPECIAL)
erfc = unary("erfc", _special("erfc"), lambda d, out, x: d * (-2 / _root(pi) * exp(-(x * x))), loops=_SPECIAL)
sigmoid: Primitive = unary("sigmoid", _special("expit"), lambda d, out, x: d * (out * (1 - out)), loops=_SPECIAL)
softplus = unary("softplus", _softplus, lambda d, out, x: d * sigmoid(x), loops=_SPECIAL)
lgamma = unary("lgamma", _special("gammaln"), lambda d, out, x: d * digamma(x), loops=_SPECIAL)
digamma: Primitive = unary("digamma", _special("psi"), lambda d, out, x: d * polygamma(x, order=1), loops=_SPECIAL)
polygamma: Primitive = elementwise(
    "polygamma",
    _polygamma_infer,
    _polygamma_reference,
    (lambda d, out, x, order: d * polygamma(x, order=order + 1),),
    domain=FLOATS,
)
