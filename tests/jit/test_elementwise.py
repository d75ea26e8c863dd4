"""Every ufunc of NumPy, compiled, on every dtype: values, dtypes, shapes."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same_outcome, check, outcome_of, versions_of

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
DTYPES = ["?", *INTEGERS, "f2", "f4", "f8", "c8", "c16"]
UFUNCS = {
    ufunc.__name__: ufunc
    for ufunc in (getattr(np, name) for name in dir(np))
    if isinstance(ufunc, np.ufunc) and ufunc.signature is None and ufunc is not np.isnat
}

# Units in the last place by which functions that are no single IEEE operation may differ from NumPy's: both round.
TRANSCENDENTAL = frozenset(
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cos cosh exp exp2 expm1 float_power hypot log log10 "
    "log1p "
    "log2 logaddexp logaddexp2 pow power sin sinh tan tanh".split()
)
ULPS = 4


def values(dtype: str, size: int, seed: int = 0) -> np.ndarray:
    """Ordinary and special values of a dtype."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.integers(0, 2, size).astype(bool)
    if kind in "iu":
        info = np.iinfo(dtype)
        edges = [0, 1, 2, 3, info.max, info.min, info.max - 1, info.min + 1, 7, 64]
        small = random.integers(max(-20, info.min), 20, size).astype(dtype)
        return np.where(random.random(size) < 0.5, small, random.choice(np.array(edges, dtype), size))
    if kind == "c":
        part = "f4" if dtype == "c8" else "f8"
        result = np.empty(size, dtype)
        result.real, result.imag = values(part, size, seed), values(part, size, seed + 1000)
        return result
    info = np.finfo(dtype)
    edges = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -1.0,
        0.5,
        -0.5,
        float(info.max),
        float(info.tiny),
        -2.5,
        1.5,
        2.5,
    ]
    ordinary = random.normal(size=size) * 3
    with np.errstate(over="ignore"):
        return np.where(random.random(size) < 0.6, ordinary, random.choice(edges, size)).astype(dtype)


def supported(ufunc: np.ufunc, *dtypes: str) -> bool:
    try:
        ufunc.resolve_dtypes((*map(np.dtype, dtypes), *[None] * ufunc.nout))
    except TypeError:
        return False
    return True


def operands(ufunc: np.ufunc, dtype: str, size: int, seed: int = 0) -> list[np.ndarray]:
    found = [values(dtype, size, seed + k) for k in range(ufunc.nin)]
    if ufunc is np.power and np.dtype(dtype).kind == "i":
        found[1] = np.maximum(found[1], 0)  # others are an error, see test_errors.py
    return found


def ulps_of(ufunc: np.ufunc, kinds: str) -> int:
    rounded = ufunc in (np.absolute, np.sign) and "c" in kinds  # through hypot
    return ULPS if ufunc.__name__ in TRANSCENDENTAL or rounded else 0


@pytest.mark.parametrize("name", UFUNCS)
def test_every_real_dtype(name):
    ufunc = UFUNCS[name]
    dtypes = [dtype for dtype in DTYPES if dtype[0] != "c" and supported(ufunc, *[dtype] * ufunc.nin)]
    if name in TRANSCENDENTAL:
        dtypes = [dtype for dtype in dtypes if dtype not in ("i1", "u1", "u4", "i8", "u8")]  # one cast is like another

    def function(groups):
        return [ufunc(*group) for group in groups]

    jitted = None
    for size in (0, 1, 5, 61):
        groups = [operands(ufunc, dtype, size, size) for dtype in dtypes]
        jitted = check(function, groups, jitted=jitted, ulps=ulps_of(ufunc, "f"), calls=1)
    assert versions_of(jitted) == 1


COMPLEX = [name for name, ufunc in UFUNCS.items() if supported(ufunc, *["c16"] * ufunc.nin)]


@pytest.mark.parametrize("name", COMPLEX)
def test_every_complex_dtype(name):
    ufunc = UFUNCS[name]

    def function(groups):
        return [ufunc(*group) for group in groups]

    groups = [operands(ufunc, dtype, 61) for dtype in ("c8", "c16")]
    jitted = tj.jit(function, exact=True)
    actual = outcome_of(jitted, (groups,), {})
    expected = outcome_of(function, (groups,), {})
    if name in TRANSCENDENTAL or name in ("multiply", "square", "sqrt"):
        for x, y, group in zip(actual.result, expected.result, groups, strict=True):
            # The phase of a power is a product, whose last bits NumPy has no better: both are up to 20 eps from
            # mpmath's.
            rounding = 32 if "power" in name else 4
            assert_complex_close(x, y, group if name in ("multiply", "square") else [y], rounding)
    else:
        assert_same_outcome(actual, expected, ulps=ulps_of(ufunc, "c"))


def assert_complex_close(x: np.ndarray, y: np.ndarray, factors: list[np.ndarray], rounding: int) -> None:
    """The parts are as exact as the size of the whole allows.

    NumPy's own parts are no better: it contracts products where the processor has fused multiply-add.
    """
    assert x.dtype == y.dtype
    np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
    np.testing.assert_array_equal(np.isinf(x), np.isinf(y))
    finite = np.isfinite(x)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(factors[0][finite]) * (np.abs(factors[-1][finite]) if len(factors) > 1 else 1)
        apart = np.abs((x - y)[finite])
    assert (apart <= rounding * np.finfo(x.dtype).eps * size).all(), (x[finite], y[finite])


BINARY = [u for n, u in UFUNCS.items() if u.nin == 2 and supported(u, "f8", "f8")]


@pytest.mark.parametrize(
    "dtypes", [("i4", "f4"), ("u8", "i8"), ("f2", "i2"), ("?", "f4"), ("u1", "i1"), ("i8", "f4")], ids="-".join
)
def test_mixed_dtypes(dtypes):
    ufuncs = [u for u in BINARY if u.__name__ not in TRANSCENDENTAL and supported(u, *dtypes)]
    x, y = values(dtypes[0], 37), values(dtypes[1], 37, 1)

    def function(x, y):
        return [ufunc(x, y) for ufunc in ufuncs]

    check(function, x, y)


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", "?", "c8"])
def test_python_scalars_are_weak(dtype):
    x = values(dtype, 23)
    numbers = [2, 2.5] if np.dtype(dtype).kind == "f" else [2]

    def function(x, *numbers):
        found = []
        for number in numbers:
            found += [x + number, number - x, x * number, np.minimum(x, number), x > number, number == x]
        return found

    if dtype == "c8":
        function = lambda x, *numbers: [x + n for n in numbers] + [x == n for n in numbers]  # noqa: E731
    check(function, x, *numbers)


def test_casts_between_all_dtypes():
    # Out-of-range floats to integers are undefined in C, and NumPy's answer depends on the machine: kept in range.
    for source in DTYPES:
        x = values(source, 41)
        if np.dtype(source).kind in "fc":
            x = np.nan_to_num(x, nan=3, posinf=100, neginf=2)
            x = np.clip(x.real, 0, 100).astype(source)

        def function(x):
            return [x.astype(target) for target in DTYPES]

        with np.errstate(all="ignore"):
            check(function, x)


def test_keywords_of_ufuncs():
    def function(x, y, mask, out):
        np.add(x, y, out=out, where=mask)
        a = np.multiply(x, y, dtype="f4", casting="same_kind")
        b = np.subtract(x, y, out=np.zeros_like(x))
        np.divide(x, y, out)
        return a, b, np.add(x, 1, where=True)

    x, y = values("f8", 20), values("f8", 20, 5)
    check(function, x, y, values("?", 20), np.full(20, 7.0))


def test_operators():
    def function(x, y):
        return [
            x + y, x - y, x * y, x / y, x // y, x % y, x**2, -x, +x, abs(x), x < y, x <= y, x > y, x >= y,
            x == y, x != y,
            divmod(x, y)[0], x**3, x**0.5, x**-1, 2**y,
        ]  # fmt: skip

    x, y = values("f8", 30), values("f8", 30, 9)
    check(function, x, y, ulps=ULPS)

    def bits(i, j):
        i = i.copy()
        i += j
        i ^= j
        i <<= 1
        return [~i, i & j, i | j, i ^ j, i << 3, i >> 2, i // 3, i % 3, -i, i // j, i % j]

    check(bits, values("i4", 30), values("i4", 30, 9))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (7, 5), (2, 3, 4), (1, 1, 1), (1000,), (33, 129)])
def test_shapes(shape):
    x = np.random.default_rng(1).normal(size=shape)
    check(lambda x: (x * 2 + 1, np.maximum(x, 0.0) - x), x)


def test_threaded_size():
    x = np.random.default_rng(1).normal(size=(1100, 1001))
    check(lambda x, y: x * y + np.abs(x), x, x[::-1], calls=3)


LAYOUTS = {
    "contiguous": lambda x: x,
    "Fortran": np.asfortranarray,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "strided": lambda x: np.repeat(x, 3, 1)[:, ::3],
    "row of a matrix": lambda x: x[2],
    "column of a matrix": lambda x: x[:, 1],
    "broadcast": lambda x: np.broadcast_to(x[:1], (12, 5)),
    "all the same": lambda x: np.broadcast_to(x[0, 0], (4, 5)),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: unaligned(x),
    "read-only": lambda x: read_only(x),
    "of a field": lambda x: record(x)["b"],
    "sliding": lambda x: np.lib.stride_tricks.sliding_window_view(x[0], 3),
}


def unaligned(x: np.ndarray) -> np.ndarray:
    copy = np.empty(x.nbytes + 1, "u1")[1:].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def record(x: np.ndarray) -> np.ndarray:
    copy = np.zeros(x.shape, np.dtype([("a", "i1"), ("b", x.dtype)]))
    copy["b"] = x
    return copy


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "c8", "?"])
def test_layouts(dtype):
    x = values(dtype, 35, 3).reshape(7, 5)
    jitted = {}
    for layout in LAYOUTS.values():
        y = layout(x)
        function = lambda x: (x == x, x[..., ::2], np.where(x, x, 1), x + x)  # noqa: E731
        jitted[y.ndim] = check(function, y, jitted=jitted.get(y.ndim) or tj.jit(function, exact=True))


# ------------------------------------------------------------------------------------------- what once went wrong


def test_uint64_beyond_half_of_its_range_is_not_negative_in_divisions():
    x = np.array([2**64 - 1, 2**64 - 64, 2**63, 5] * 8, "u8")
    y = np.array([2, 3, 2**64 - 2, 2**64 - 1] * 8, "u8")
    check(lambda x, y: (x // y, x % y, np.gcd(x, y), np.fmod(x, y)), x, y)
    check(lambda x, y: (x // y, x % y), x[:1].repeat(40), np.full(40, 2**64 - 2, "u8"))


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
def test_comparisons_of_int64_and_uint64_are_exact(name):
    ufunc = getattr(np, name)
    x = np.array([-1, 0, 2**63 - 1, -(2**63), 5], "i8")
    y = np.array([2**64 - 1, 0, 2**63 - 1, 2**63, 6], "u8")
    check(lambda x, y: (ufunc(x[:, None], y), ufunc(y, x[:, None]), ufunc(x[0], y), ufunc(y[0], x)), x, y)


def test_degrees_and_radians_of_small_floats_have_numpys_constants():
    for dtype in ("f2", "f4", "i1", "u2"):
        check(lambda x: (np.rad2deg(x), np.deg2rad(x)), np.arange(100).astype(dtype))


def test_bools_of_any_byte_are_true():
    x = np.array([2, 0, 255, 1] * 20, "u1").view("?")
    check(lambda x: (x | False, ~x, x.astype(int), x.sum(), x.any(), np.where(x, 1, 2), x * 1.0, x.all()), x)


def test_subnormal_numbers_are_not_flushed():
    for dtype in ("f8", "f4"):
        x = np.finfo(dtype).smallest_subnormal * np.arange(1, 40).astype(dtype)
        check(lambda x: (x * x.dtype.type(0.5), x + x, x / 3, x.sum(), np.sqrt(x)), x)


def test_the_parts_of_a_number_are_of_its_type():
    def parts(x):
        return np.real(x), np.imag(x), x.real, x.imag, x.conjugate(), np.isreal(x), np.iscomplex(x)

    for x in (3, 0, 2.5, True, False, 2 - 1j, np.float32(2), np.bool_(True), np.int8(3), np.arange(3) * 1j):
        check(parts, x)


def test_the_method_conj_leaves_real_arrays_alone():
    for x in (np.array([True, False]), np.arange(3.0), np.array([1 + 2j]), np.float64(2), np.bool_(True)):
        check(lambda x: (x.conj(), x.conjugate(), np.conj(x)), x)

    def writes(x):
        y = x.conj()
        y[0] = 1
        return x

    check(writes, np.array([4, 5]))
    check(writes, np.array([4j, 5]))
