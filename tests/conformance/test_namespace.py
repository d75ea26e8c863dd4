"""What the array API standard (2024.12) asks of the namespace, without the official suite: names, signatures, dtypes.

``run_array_api_tests.py`` runs the official suite.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.numpy.names import public_name
from tracejit.numpy.through_numpy import REASONS, THROUGH_NUMPY
from tracejit.trace import library
from tracejit.trace.registry import FUNCTIONS

# Number of positional arguments, and the keywords that the standard names, for the functions that have more than x.
FUNCTIONS_OF_ONE = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log
log1p log2 log10 logical_not negative positive real reciprocal round sign signbit sin sinh square sqrt tan tanh trunc
nonzero unique_all unique_counts unique_inverse unique_values matrix_transpose finfo iinfo
linalg.det linalg.eigh linalg.eigvalsh linalg.inv linalg.matrix_transpose linalg.slogdet linalg.svdvals
""".split()
FUNCTIONS_OF_TWO = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide
greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply
nextafter not_equal pow remainder subtract matmul can_cast broadcast_to expand_dims squeeze permute_dims tile
linalg.matmul linalg.outer linalg.solve linalg.matrix_power
""".split()
WITH_KEYWORDS = """
arange:1 stop step dtype device | asarray:1 dtype device copy | empty:0 shape dtype device | empty_like:1 dtype device
eye:2 k dtype device | from_dlpack:1 device copy | full:0 shape fill_value dtype device
full_like:1 fill_value dtype device | linspace:2 num dtype device endpoint | ones:0 shape dtype device
ones_like:1 dtype device | tril:1 k | triu:1 k | zeros:0 shape dtype device | zeros_like:1 dtype device
astype:2 copy device | isdtype:0 dtype kind | clip:1 min max | take:2 axis | take_along_axis:2 axis | tensordot:2 axes
vecdot:2 axis | concat:1 axis | flip:1 axis | moveaxis:3 | repeat:2 axis | reshape:1 shape copy | roll:1 shift axis
stack:1 axis | unstack:1 axis | argmax:1 axis keepdims | argmin:1 axis keepdims | count_nonzero:1 axis keepdims
searchsorted:2 side sorter | where:3 | argsort:1 axis descending stable | sort:1 axis descending stable
cumulative_prod:1 axis dtype include_initial | cumulative_sum:1 axis dtype include_initial | max:1 axis keepdims
mean:1 axis keepdims | min:1 axis keepdims | prod:1 axis dtype keepdims | std:1 axis correction keepdims
sum:1 axis dtype keepdims | var:1 axis correction keepdims | all:1 axis keepdims | any:1 axis keepdims
diff:1 axis n prepend append
fft.fft:1 n axis norm | fft.ifft:1 n axis norm | fft.fftn:1 s axes norm | fft.ifftn:1 s axes norm
fft.rfft:1 n axis norm | fft.irfft:1 n axis norm | fft.rfftn:1 s axes norm | fft.irfftn:1 s axes norm
fft.hfft:1 n axis norm | fft.ihfft:1 n axis norm | fft.fftfreq:1 d dtype device | fft.rfftfreq:1 d dtype device
fft.fftshift:1 axes | fft.ifftshift:1 axes
linalg.cholesky:1 upper | linalg.cross:2 axis | linalg.diagonal:1 offset | linalg.matrix_norm:1 keepdims ord
linalg.matrix_rank:1 rtol | linalg.pinv:1 rtol | linalg.qr:1 mode | linalg.svd:1 full_matrices
linalg.tensordot:2 axes | linalg.trace:1 offset dtype | linalg.vecdot:2 axis | linalg.vector_norm:1 axis keepdims ord
""".replace("\n", "|")


def signatures() -> list[tuple[str, int, list[str]]]:
    given = [entry.split() for entry in WITH_KEYWORDS.split("|") if entry.strip()]
    rows = [(head.split(":")[0], int(head.split(":")[1]), keywords) for head, *keywords in given]
    return rows + [(name, 1, []) for name in FUNCTIONS_OF_ONE] + [(name, 2, []) for name in FUNCTIONS_OF_TWO]


def found(name: str) -> Any:
    value: Any = tnp
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(("name", "positional", "keywords"), signatures(), ids=lambda value: str(value))
def test_signature(name: str, positional: int, keywords: list[str]) -> None:
    function = found(name)
    try:
        signature = inspect.signature(function)
    except ValueError:  # builtin functions of NumPy's without a signature
        assert name in ("arange", "can_cast", "where", "from_dlpack", "asarray", "empty", "zeros", "empty_like")
        return
    signature.bind(*range(positional), **dict.fromkeys(keywords))


@pytest.mark.parametrize("name", ["broadcast_arrays", "meshgrid"])
def test_results_are_lists(name: str) -> None:
    result = found(name)(np.ones(2), np.ones(2))
    assert isinstance(result, list)
    assert len(result) == 2
    assert tnp.result_type(np.float32, np.zeros(1, np.int8)) == np.float32


def test_constants_and_dtypes() -> None:
    assert (tnp.pi, tnp.e, tnp.inf, tnp.newaxis) == (np.pi, np.e, np.inf, None)
    assert np.isnan(tnp.nan)
    for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split():
        assert np.dtype(getattr(tnp, name)) == np.dtype(name)


def test_inspection() -> None:
    information = tnp.__array_namespace_info__()
    assert tnp.__array_api_version__ == "2024.12"
    capabilities = information.capabilities()
    assert capabilities["boolean indexing"] and capabilities["data-dependent shapes"]
    assert capabilities["max dimensions"] == 64
    assert information.default_device() == "cpu"
    assert information.devices() == ["cpu"]
    defaults = information.default_dtypes()
    expected = {"real floating": "f8", "complex floating": "c16", "integral": "i8", "indexing": "i8"}
    assert {kind: np.dtype(dtype) for kind, dtype in defaults.items()} == {k: np.dtype(d) for k, d in expected.items()}
    assert set(information.dtypes(kind="integral")) == {
        f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
    }


# The standard's tables: within a kind the larger, signed and unsigned integers the next signed one that holds both,
# float and complex the complex one that holds both.
SIGNED, UNSIGNED = ["i1", "i2", "i4", "i8"], ["u1", "u2", "u4", "u8"]
PROMOTION = [
    *[(row[i], row[j], row[max(i, j)]) for row in (SIGNED, UNSIGNED) for i in range(4) for j in range(4)],
    *[(SIGNED[i], UNSIGNED[j], SIGNED[max(i, j + 1)]) for i, j in itertools.product(range(4), range(3))],
    ("f4", "f4", "f4"), ("f4", "f8", "f8"), ("f8", "f8", "f8"), ("c8", "c8", "c8"), ("c8", "c16", "c16"),
    ("f4", "c8", "c8"), ("f4", "c16", "c16"), ("f8", "c8", "c16"), ("f8", "c16", "c16"),
]  # fmt: skip


def test_promotion() -> None:
    for first, second, expected in PROMOTION:
        for x, y in ((first, second), (second, first)):
            result = tnp.add(np.ones(2, x), np.ones(2, y))
            assert (type(result), result.dtype) == (np.ndarray, np.dtype(expected)), (x, y)
            assert tnp.result_type(np.dtype(x), np.dtype(y)) == np.dtype(expected)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f4", "f8", "c8"])
def test_python_numbers_keep_the_dtype_of_arrays(dtype: str) -> None:
    assert tnp.multiply(np.ones(3, dtype), 2).dtype == np.dtype(dtype)


def test_the_namespace_traces_inside_compiled_functions() -> None:
    def function(x: np.ndarray) -> np.ndarray:
        return tnp.sum(tnp.exp(x) * tnp.clip(x, min=0.0, max=1.0), axis=0, keepdims=True)

    x = np.linspace(-1, 2, 12).reshape(3, 4)
    compiled = tj.jit(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(compiled(x), np.sum(np.exp(x) * np.clip(x, 0, 1), axis=0, keepdims=True))
        compiled(x[:, :2])
    assert compiled.cache_info().compiles == 1


@pytest.mark.parametrize("arguments", [(5,), (2, 9, 3), (9, 2, -3), (0, 1.5), (-1, 2.5, 0.5), (3.0,)])
def test_arange_is_numpys_without_warnings(arguments: tuple[float, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = tnp.arange(*arguments)
    np.testing.assert_array_equal(actual, np.arange(*arguments))
    assert actual.dtype == np.arange(*arguments).dtype


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_keeps_the_order_of_equal_elements(descending: bool) -> None:
    x = np.array([[2, 1, 2, 0], [3, 3, 1, 3]], np.uint8)
    sign = -1 if descending else 1
    expected = np.argsort(sign * x.astype(int), axis=1, stable=True)
    np.testing.assert_array_equal(tnp.argsort(x, descending=descending), expected)
    np.testing.assert_array_equal(tnp.sort(x, descending=descending), np.take_along_axis(x, expected, 1))


@pytest.mark.parametrize("name", sorted(THROUGH_NUMPY))
def test_what_runs_through_numpy_has_no_implementation(name: str) -> None:
    assert library  # loaded: it registers implementations
    homes = [home for home in (np, np.linalg, np.fft) if name in home.__all__]
    assert homes
    assert sum(name in names.split() for names in REASONS.values()) == 1
    for home in homes:
        assert getattr(home, name) not in FUNCTIONS, "compiled now: take it out of the table"
        if name not in ("sort", "argsort"):
            assert public_name(home, name, "tracejit.numpy") is getattr(home, name)


def test_what_is_not_compiled_says_so() -> None:
    x = np.array([1.0, 2.0])
    with pytest.warns(tj.PerformanceWarning, match=r"np\.pad is called through NumPy"):
        np.testing.assert_array_equal(tnp.pad(x, 1, "reflect", reflect_type="odd"), [0.0, 1.0, 2.0, 3.0])
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        tnp.no_such_name  # noqa: B018


def test_limits_of_complex_functions_are_the_standards() -> None:
    """NumPy computes from the parts, and has NaN where the standard names a limit; far from there both are the same."""
    parts = (0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan)
    z = np.array([complex(a, b) for a in parts for b in parts])
    with np.errstate(all="ignore"):
        plain = np.expm1(z), np.tanh(z)
    made = tnp.expm1(z), tnp.tanh(z)
    finite = np.isfinite(z.real) & (z != 0)
    for own, expected in zip(made, plain, strict=True):
        np.testing.assert_allclose(own[finite], expected[finite], rtol=4e-16)
    assert repr(tnp.expm1(np.array([complex(-0.0, 0.0)]))[0]) == repr(np.complex128(0))
    limits = {
        (np.inf, 0.0): (np.inf, 0.0), (-np.inf, np.inf): (-1.0, 0.0), (np.inf, np.inf): (np.inf, np.nan),
        (-np.inf, np.nan): (-1.0, 0.0), (np.inf, np.nan): (np.inf, np.nan), (np.nan, 0.0): (np.nan, 0.0),
        (-np.inf, 2.0): (-1.0, 0.0), (np.inf, 2.0): (-np.inf, np.inf), (np.nan, 1.0): (np.nan, np.nan),
    }  # fmt: skip
    for given, wanted in limits.items():
        found = tnp.expm1(np.array([complex(*given)]))[0]
        np.testing.assert_array_equal([found.real, found.imag], wanted)
        assert np.signbit(found.imag) == np.signbit(wanted[1]) or np.isnan(wanted[1])
    for y, sign in ((2.0, 1.0), (-2.0, -1.0)):
        found = tnp.tanh(np.array([complex(np.inf, y)]))[0]
        assert (found.real, np.copysign(1.0, found.imag)) == (1.0, sign)
    assert type(tnp.expm1(np.complex64(1))) is np.complex64
    assert tnp.tanh(np.ones((2, 2), np.complex64)).dtype == np.complex64
