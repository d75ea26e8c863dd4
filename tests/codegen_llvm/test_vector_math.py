from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from tests.codegen_llvm import vector_math_harness as harness
from tracejit.codegen_llvm.vector_math import ARITY, NAMES, definition

ALL = tuple(sorted(NAMES))
TYPES = ("f32", "f64")
LONG_DOUBLE = np.finfo(np.longdouble).nmant >= 63
REFERENCES: dict[str, Callable[..., Any]] = {
    "arccos": mpmath.acos,
    "arccosh": mpmath.acosh,
    "arcsin": mpmath.asin,
    "arcsinh": mpmath.asinh,
    "arctan": mpmath.atan,
    "arctan2": mpmath.atan2,
    "arctanh": mpmath.atanh,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "exp2": lambda x: mpmath.power(2, x),
    "hypot": mpmath.hypot,
    "log10": lambda x: mpmath.log(x, 10),
    "log2": lambda x: mpmath.log(x, 2),
    "logaddexp": lambda x, y: max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + mpmath.log1p(mpmath.power(2, -abs(x - y))) / mpmath.log(2),
    "pow": mpmath.power,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}
OVERFLOWING = ("cosh", "exp", "exp2", "expm1", "sigmoid", "sinh", "softplus")
UNIT_INTERVAL = ("arccos", "arcsin", "arctanh")


def function(name: str, type_name: str, width: int = 8, fma: bool | None = None) -> harness.ArrayFunction:
    fma = harness.host_has_fma() if fma is None else fma
    return harness.compiled(ALL, type_name, width, fma)[name]


# -- points -----------------------------------------------------------------------------------------------------------


class Points:
    """Arguments in the domain of a function, with many where it is difficult."""

    def __init__(self, type_name: str, seed: int, count: int) -> None:
        self.dtype = harness.DTYPES[type_name]
        self.limits = np.finfo(self.dtype)
        self.random = np.random.default_rng(seed)
        self.count = count
        # The logarithms of the smallest subnormal and of the largest number.
        self.lowest = float(np.log(np.float64(2.0))) * (int(self.limits.minexp) - int(self.limits.nmant))
        self.highest = float(np.log(np.float64(self.limits.max)))

    def signed(self, x: np.ndarray) -> np.ndarray:
        return x * self.random.choice([-1.0, 1.0], x.size)

    def spread(self, low: float, high: float, count: int = 0) -> np.ndarray:
        """Positive numbers with logarithms uniform between two limits."""
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(self.random.uniform(low, high, count or self.count)))

    def near(self, centre: float) -> np.ndarray:
        return centre + self.signed(self.spread(np.log(float(self.limits.epsneg)), -1.0))

    def near_multiples(self) -> np.ndarray:
        """Numbers nearest to multiples of pi/2 of all magnitudes, known worst cases among them."""
        digits = int(self.limits.nmant) + 1
        bits = self.random.integers(1, int(self.limits.maxexp) - 2, self.count)
        with mpmath.workprec(1300):
            multiples = [mpmath.nint(mpmath.ldexp(self.random.uniform(1.0, 2.0), int(b))) * mpmath.pi / 2 for b in bits]
        worst = [6381956970095103.0 * 2.0**797, 5.319372648326541e255, 37362253.0 * 2.0**-24] if digits == 53 else []
        return np.array([float(m) for m in multiples] + worst + [float(np.pi / 2 * k) for k in range(1, 40)])

    def of(self, name: str) -> tuple[np.ndarray, ...]:
        """The argument arrays for a function, rounded to the type and limited to its domain."""
        arrays = [np.concatenate(parts) for parts in zip(*self._parts(name), strict=True)]
        with np.errstate(all="ignore"):
            rounded = [array.astype(self.dtype) for array in arrays]
        keep = np.logical_and.reduce([np.isfinite(array) & (array != 0.0) for array in rounded])
        return tuple(array[keep] for array in rounded)

    def _parts(self, name: str) -> list[tuple[np.ndarray, ...]]:
        n, low, high = self.count, self.lowest, self.highest
        if ARITY[name] == 2:
            return self._pairs(name)
        if name in OVERFLOWING:
            scale = 1.4426950408889634 if name == "exp2" else 1.0
            edges = np.array([low, high, low - 0.5, high + 0.5, high + 0.7, high - 0.5]) * scale
            whole = self.random.uniform(low - 2.0, high + 2.0, 2 * n) * scale
            return [(whole,), (self.random.uniform(-1.5, 1.5, n),), (self.signed(self.spread(low, 1.0)),), (edges,)]
        if name in UNIT_INTERVAL:
            inside = self.random.uniform(-1.0, 1.0, 2 * n)
            edge = 1.0 - self.spread(np.log(float(self.limits.epsneg)), -1.0)
            return [(inside,), (self.signed(self.spread(low, -1e-9)),), (self.signed(edge),)]
        if name == "arccosh":
            return [(1.0 + self.spread(-36.0, 3.0),), (self.spread(1e-9, high, 2 * n),)]
        if name in ("erf", "erfc"):
            whole = self.random.uniform(-6.0, 27.2 if high > 100.0 else 10.05, 2 * n)
            return [(whole,), (self.random.uniform(-1.5, 1.5, n),), (self.signed(self.spread(low, 0.0)),)]
        if name in ("log", "log2", "log10", "log1p"):
            centre = 0.0 if name == "log1p" else 1.0
            small = self.signed(self.spread(low, -1e-9)) if name == "log1p" else self.near(1.0)
            return [(self.spread(low, high, 2 * n),), (centre - 1.0 + self.random.uniform(1e-5, 3.0, n),), (small,)]
        parts: list[tuple[np.ndarray, ...]] = [
            (self.signed(self.spread(low, high, 2 * n)),),
            (self.random.uniform(-7.0, 7.0, n),),
        ]
        return [*parts, (self.near_multiples(),)] if name in ("sin", "cos", "tan") else parts

    def _pairs(self, name: str) -> list[tuple[np.ndarray, ...]]:
        n, low, high = self.count, self.lowest, self.highest
        if name == "pow":
            base = np.concatenate([self.spread(low, high), self.near(1.0), self.random.uniform(0.5, 2.0, n)])
            with np.errstate(all="ignore"):
                base = base.astype(self.dtype).astype(np.float64)
                return [(base, self.random.uniform(low - 1.0, high + 1.0, 3 * n) / np.log(base))]
        if name in ("arctan2", "hypot"):
            wide = (self.signed(self.spread(low, high)), self.signed(self.spread(low, high)))
            return [wide, (self.random.uniform(-2.0, 2.0, 2 * n), self.random.uniform(-2.0, 2.0, 2 * n))]
        # The sum of logarithms is accurate relative to the larger argument, so no sums near zero here.
        return [(self.random.uniform(0.0, 60.0, 2 * n), self.random.uniform(-60.0, 60.0, 2 * n))]


# -- accuracy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_two_units_in_the_last_place(name: str, type_name: str) -> None:
    arguments = Points(type_name, 1, 150).of(name)
    reference = REFERENCES.get(name) or getattr(mpmath, name)
    with mpmath.workprec(200):
        error, where = harness.worst_error(function(name, type_name)(*arguments), arguments, reference)
    assert error <= 2.0, where


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_two_units_without_fused_multiply_add(name: str, type_name: str) -> None:
    arguments = Points(type_name, 2, 40).of(name)
    reference = REFERENCES.get(name) or getattr(mpmath, name)
    with mpmath.workprec(200):
        error, where = harness.worst_error(function(name, type_name, fma=False)(*arguments), arguments, reference)
    assert error <= 2.0, where


@pytest.mark.skipif(not LONG_DOUBLE, reason="long double is no longer than double here")
@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", [name for name in ALL if hasattr(np, name)])
def test_many_points_against_long_double(name: str, type_name: str) -> None:
    arguments = Points(type_name, 3, 3000).of(name)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(*[array.astype(np.longdouble) for array in arguments])
    errors = harness.errors_against(function(name, type_name)(*arguments), exact)
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2.0, [array[worst] for array in arguments]


@pytest.mark.skipif(not LONG_DOUBLE, reason="long double is no longer than double here")
@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", [name for name in ALL if hasattr(np, name) and ARITY[name] == 1])
def test_random_bit_patterns(name: str, type_name: str) -> None:
    dtype = harness.DTYPES[type_name]
    raw = np.random.default_rng(4).bytes(20_000 * np.dtype(dtype).itemsize)
    x = np.frombuffer(raw, dtype)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
    errors = harness.errors_against(function(name, type_name)(x), exact)
    assert errors.max() <= 2.0, x[np.argmax(errors)]


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "erf", "sigmoid"])
def test_results_stay_in_range(name: str, type_name: str) -> None:
    points = Points(type_name, 5, 4000)
    x = np.concatenate([points.random.uniform(-50.0, 50.0, 20_000), *points.of("sin")]).astype(points.dtype)
    for fma in (True, False):
        assert np.abs(function(name, type_name, fma=fma)(x)).max() <= 1.0


@pytest.mark.parametrize("type_name", TYPES)
def test_exact_results(type_name: str) -> None:
    dtype = harness.DTYPES[type_name]
    exponents = np.arange(np.finfo(dtype).minexp - np.finfo(dtype).nmant, np.finfo(dtype).maxexp)
    powers = np.ldexp(np.ones(exponents.size, dtype), exponents)
    np.testing.assert_array_equal(function("log2", type_name)(powers), exponents.astype(dtype))
    np.testing.assert_array_equal(function("exp2", type_name)(exponents.astype(dtype)), powers)
    tens = np.array([10.0**k for k in range(11)], dtype)
    np.testing.assert_array_equal(function("log10", type_name)(tens), np.arange(11, dtype=dtype))
    whole = np.arange(-100, 101).astype(dtype)
    np.testing.assert_array_equal(function("cbrt", type_name)(whole**3), whole)
    np.testing.assert_array_equal(function("pow", type_name)(whole, np.full_like(whole, 3)), whole**3)
    np.testing.assert_array_equal(function("hypot", type_name)(3 * whole, 4 * whole), 5 * np.abs(whole))
    np.testing.assert_array_equal(function("logaddexp", type_name)(whole, whole), np.logaddexp(whole, whole))
    np.testing.assert_array_equal(function("logaddexp2", type_name)(whole, whole), whole + 1)


# -- special values ---------------------------------------------------------------------------------------------------


def special_values(dtype: Any) -> np.ndarray:
    limits = np.finfo(dtype)
    positive = [0.0, limits.smallest_subnormal, limits.tiny * 0.75, limits.tiny, 1e-20, 0.25, 0.5, limits.max, np.inf]
    positive += [1.0 - limits.epsneg, 1.0, 1.0 + limits.eps, 1.5, 2.0, 2.5, 3.0, 4.0, 10.0, 30.0, 170.0, 1e10, 3e9]
    positive += [2.0**k + d for k in (limits.nmant, limits.nmant + 1) for d in (-1.0, 0.0, 1.0, 2.0)]
    positive += [800.0] if limits.nmant > 23 else [110.0]
    return np.array([*positive, *[-value for value in positive], np.nan], dtype)


def expected(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            return np.asarray(1.0 / (1.0 + np.exp(-arrays[0])))
        if name == "softplus":
            return np.asarray(np.logaddexp(np.zeros_like(arrays[0]), arrays[0]))
        if name in ("erf", "erfc"):
            return np.array([getattr(math, name)(float(v)) for v in arrays[0]]).astype(arrays[0].dtype)
        return np.asarray(getattr(np, name)(*arrays))


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_special_values_are_those_of_numpy(name: str, type_name: str, fma: bool) -> None:
    values = special_values(harness.DTYPES[type_name])
    arrays = [values] if ARITY[name] == 1 else [grid.ravel() for grid in np.meshgrid(values, values)]
    got, wanted = function(name, type_name, fma=fma)(*arrays), expected(name, arrays)
    # Sums of logarithms may cancel to zero or nearly: theirs is an absolute accuracy.
    cancels = name.startswith("logaddexp")
    # Where either is zero, infinite or nan, both must be, with the same sign; elsewhere they are close.
    zero = ((got == 0.0) | (wanted == 0.0)) & (not cancels)
    special = ~np.isfinite(got) | ~np.isfinite(wanted) | zero
    same = (got == wanted) & (np.signbit(got) == np.signbit(wanted)) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(all="ignore"):
        close = np.abs(got - wanted) <= 4 * np.spacing(np.maximum(np.abs(wanted), 1.0 if cancels else 0.0))
    wrong = np.flatnonzero(~np.where(special, same, close))
    assert not wrong.size, [([a[i] for a in arrays], got[i], wanted[i]) for i in wrong[:5]]


# -- widths and text --------------------------------------------------------------------------------------------------


def canonical_bits(x: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), np.nan, x).astype(x.dtype).view(np.uint32 if x.dtype == np.float32 else np.uint64)


@pytest.mark.parametrize("type_name", TYPES)
def test_the_same_bits_at_every_width(type_name: str) -> None:
    fma = harness.host_has_fma()
    for name in ALL:
        points = Points(type_name, 6, 300)
        specials = special_values(points.dtype)
        arguments = [np.concatenate([array, specials, specials[::-1][:7]]) for array in points.of(name)]
        wanted = canonical_bits(function(name, type_name)(*arguments))
        for width in (1, 4, 16):
            names = ALL if width == 1 else ("exp", "log", "pow", "sin", "tanh")
            if name in names:
                got = harness.compiled(names, type_name, width, fma)[name](*arguments)
                np.testing.assert_array_equal(canonical_bits(got), wanted, err_msg=f"{name} at width {width}")


def test_a_huge_lane_does_not_change_its_neighbours() -> None:
    x = np.linspace(-3.0, 3.0, 64)
    with_huge = x.copy()
    with_huge[5::8] = 1e300
    for name in ("sin", "cos", "tan"):
        plain, mixed = function(name, "f64")(x), function(name, "f64")(with_huge)
        others = np.ones(64, bool)
        others[5::8] = False
        np.testing.assert_array_equal(plain[others], mixed[others])


def test_not_inlined_functions_compute_the_same() -> None:
    x = np.linspace(0.1, 5.0, 101)
    called = harness.compiled(("exp", "sin"), "f64", 4, True, inline=False)
    np.testing.assert_array_equal(called["exp"](x), function("exp", "f64", fma=True)(x))
    np.testing.assert_array_equal(called["sin"](x), function("sin", "f64", fma=True)(x))


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("name", ALL)
def test_text(name: str, width: int) -> None:
    found = definition(name, "f64", width)
    vector = "double" if width == 1 else f"<{width} x double>"
    assert found.symbol == f"tj.{name}.f64.v{width}"
    assert found.text.startswith(f'define internal {vector} @"{found.symbol}"({vector} %x')
    assert found is definition(name, "f64", width)
    assert "alwaysinline" in found.text
    assert "noinline" in definition(name, "f64", width, inline=False).text
    assert ("br " in found.text) == (name in ("sin", "cos", "tan")) == bool(found.calls)
    assert all(line.startswith("declare ") for line in found.requires)
    assert not any(flag in found.text for flag in (" fast ", " contract ", " reassoc ", " nnan ", " ninf ", " nsz "))
    assert ("llvm.fma" not in definition(name, "f64", width, fma=False).text) and len(found.text) < 20_000
