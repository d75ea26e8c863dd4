"""NumPy to the letter: promotion of Python numbers, wrap-around, special values, empty arrays, types, error texts."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.util.expressions import check_expressions, check_statements

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")  # sorting is NumPy's

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f2", "f4", "f8"]
DTYPES = ["?", *INTEGERS, *FLOATS, "c8", "c16"]


def special(dtype: str) -> np.ndarray:
    """A few values of a dtype, its limits among them."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([True, False, True, True, False])
    if kind in "iu":
        info = np.iinfo(dtype)
        return np.array([0, 1, 3, info.max, info.min, info.max - 1, 7, 5], dtype)
    if kind == "c":
        return np.array([0, 1, -1j, np.nan, np.inf, 1 + 2j, complex(-0.0, 0.0), complex(np.inf, np.nan)], dtype)
    return np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 7.0], dtype)


def grid(values: object, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of some values."""
    x, y = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    return x.ravel(), y.ravel()


# ------------------------------------------------------------------------------------------- Python numbers (NEP 50)

OPERATORS = "+ - * / // % & | ^ < == >=".split()
PYTHON_NUMBERS = ["True", "3", "-3", "300", "2**31", "2**63", "1e300", "-0.0", "2j"]


def means_the_same(dtype: str, operator: str, number: str) -> bool:
    """Whether an error's text names operands in the same way: those of complex scalars do not."""
    return not (dtype.startswith("c") and operator in ("//", "%"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_operators_with_python_numbers(dtype):
    expressions = [
        text
        for number in PYTHON_NUMBERS
        for operator in OPERATORS
        if means_the_same(dtype, operator, number)
        for text in (f"a {operator} {number}", f"({number}) {operator} s")
        if not (dtype == "f8" and text.endswith("s") and "j" in text)  # Python's complex numbers answer first
    ]
    check_expressions(expressions, {"a": special(dtype), "s": special(dtype)[2]}, ulps=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ufuncs_with_python_numbers(dtype):
    names = "maximum fmin copysign arctan2 left_shift gcd logical_and logical_xor float_power divmod ldexp equal less"
    expressions = [
        f"np.{name}({operand}, {number})"
        for name in names.split()
        for number in ("True", "3", "-3", "300", "2**63", "2**64", "0.5")
        for operand in "as"
        if not (name == "left_shift" and number != "3") and not (name == "float_power" and dtype.startswith("c"))
    ]
    check_expressions(expressions, {"a": special(dtype), "s": special(dtype)[2]}, ulps=4)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", "f4"])
def test_python_ints_that_do_not_fit(dtype):
    """Also as arguments, whose values the compiled program does not know."""
    names = {"a": np.array([1, 0], dtype), "k": 300, "m": -1, "f": 2.5}
    values = ("300", "-1", "k", "m")
    expressions = [f"a {operator} {value}" for operator in "+ * & < == !=".split() for value in values]
    expressions = [e for e in expressions if not (dtype == "f4" and "&" in e)]
    makers = ["np.full_like(a, {})", "np.full(2, {}, a.dtype)", "np.array([{}, 1], a.dtype)", "np.where(a, a, {})"]
    makers += ["np.insert(a, 0, {})", "np.maximum(a, {})", "np.isin(a, {})", "np.searchsorted(a[::-1], {})"]
    makers += ["np.clip(a, 0, {})", "np.clip(a, {}, 2)", "np.select([a == 1], [a], {})", "np.int8({})", "np.uint16({})"]
    expressions += [maker.format(value) for maker in makers for value in values]
    check_expressions(expressions, names)
    statements = ["a[0] = {}", "a[:] = {}", "a[[0, 1]] = {}", "a[a > 0] = {}", "a.fill({})", "np.copyto(a, {})"]
    statements += ["np.put(a, [0], {})", "np.place(a, a > 0, {})", "np.putmask(a, a > 0, {})", "a += {}", "a[0] -= {}"]
    statements += [
        "np.fill_diagonal(a.reshape(1, 2), {})",
        "a[:] = [{}, 1]",
        "np.put_along_axis(a, np.array([0]), {}, 0)",
    ]
    check_statements([s.format(value) for s in statements for value in values], names)


# ------------------------------------------------------------------------------------------------------- integers


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_arithmetic(dtype):
    info = np.iinfo(dtype)
    edges = (0, 1, 2, 3, 7, -1, -2, -3, -7, info.max, info.min, info.max - 1, info.min + 1, 8, 31, 32, 63, 64, -8)
    a, b = grid([v for v in edges if info.min <= v <= info.max], dtype)
    names = {"a": a, "b": b, "s": a[3], "t": b[-1], "z": a[0]}
    pairs = ("a", "b"), ("a", "s"), ("s", "a"), ("s", "t"), ("s", "z"), ("a", "z"), ("t", "z")
    operators = "+ - * / // % & | ^ << >> < <= == !=".split()
    expressions = [f"{x} {operator} {y}" for operator in operators for x, y in pairs]
    functions = "divmod floor_divide remainder fmod gcd lcm left_shift right_shift maximum fmin heaviside copysign"
    expressions += [f"np.{name}({x}, {y})" for name in functions.split() for x, y in pairs[:1] + pairs[4:6]]
    unary = "-{} ~{} +{} abs({}) np.sign({}) np.abs({}) np.square({}) np.reciprocal({}) np.invert({}) np.sqrt({})"
    expressions += [
        text.format(x) for text in (unary + " round({}) bool({}) float({}) complex({})").split() for x in "as"
    ]
    expressions += [
        "divmod(a, b)",
        "divmod(s, z)",
        "a ** np.abs(b % 5)",
        "s ** -1",
        "a ** -1",
        "a ** -300",
        "2 ** (a % 7)",
    ]
    expressions += ["a ** b", "2 ** a", "np.power(a, b)", "np.power(2, a)", "a ** 2", "a ** 2.0", "a ** 0.5", "s ** 2"]
    expressions += [f"np.round(a // 2, {decimals})" for decimals in (0, 1, -1, -2)]
    expressions += [
        f"a {o} {q}" for o in "+ // <".split() for q in ("np.int8(-1)", "np.uint64(2**63)", "np.float32(1.5)")
    ]
    check_expressions(expressions, names, ulps=4)


def test_bools_are_no_integers():
    names = {"a": np.array([True, False, True]), "b": np.array([True, True, False]), "s": np.True_}
    expressions = [
        "a + b",
        "a * b",
        "a - b",
        "s - s",
        "-a",
        "-s",
        "~a",
        "~s",
        "+a",
        "abs(a)",
        "a / b",
        "a // b",
        "a % b",
    ]
    expressions += ["a ** b", "a ** 2", "s ** 2", "a << b", "a & b", "a ^ b", "a < b", "np.sign(a)", "np.negative(a)"]
    expressions += [
        "a.sum()",
        "a.mean()",
        "a.cumsum()",
        "a.prod()",
        "a.max()",
        "np.diff(a)",
        "np.abs(a)",
        "np.square(a)",
    ]
    expressions += [
        "np.add.reduce(a)",
        "np.subtract.reduce(a)",
        "np.dot(a, b)",
        "a @ b",
        "np.ptp(a)",
        "a + 1",
        "a + True",
    ]
    expressions += [
        "a < 2**63",
        "np.equal(a, 2**64)",
        "a == 2",
        "np.logical_and(a, 2**63)",
        "np.median(a)",
        "np.round(a)",
    ]
    check_expressions(expressions, names)


# --------------------------------------------------------------------------------------------------------- floats


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_arithmetic(dtype):
    info = np.finfo(dtype)
    edges = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -3, np.inf, -np.inf, np.nan, info.max, info.tiny]
    a, b = grid([*edges, info.smallest_subnormal], dtype)
    names = {"a": a, "b": b, "s": a[6], "t": a[8], "z": a[0], "m": a[1], "i": a[11], "q": a[13]}
    pairs = ["ab", "as", "sa", "st", "sz", "az", "tz", "sm", "zi", "iz", "qs", "ti", "ai", "im"]
    expressions = [f"{x} {operator} {y}" for operator in "+ * / // % < == !=".split() for x, y in pairs]
    functions = "divmod floor_divide remainder fmod maximum minimum fmax fmin copysign nextafter heaviside isclose"
    expressions += [f"np.{name}({x}, {y})" for name in functions.split() for x, y in pairs]
    expressions += ["s ** 2", "s ** -1", "s ** 0.5", "m ** 0.5", "z ** -1", "m ** -1", "divmod(s, t)", "s.is_integer()"]
    expressions += ["a ** 2", "a ** -1", "a ** 0.5", "np.power(a, 0.5)", "np.power(a, 2)", "np.power(a, -1)"]
    check_expressions(expressions, names, ulps=2)


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_in_functions_of_one_array(dtype):
    v = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, np.inf, -np.inf, np.nan], dtype)
    names = {
        "v": v,
        "s": v[7],
        "m": v[1],
        "q": v[12],
        "i": v[10],
        "o": v[[0, 1, 1]],
        "w": v[[1, 1, 1]],
        "g": v[None, :12],
    }
    elementwise = "sign abs sqrt trunc floor ceil rint fix round modf frexp signbit isnan spacing square reciprocal "
    elementwise += "negative nan_to_num isneginf sinc real imag angle logical_not"
    reductions = "sum prod max min argmax argmin sort argsort median cumsum cumprod mean fmax.reduce fmin.reduce ptp "
    reductions += "maximum.accumulate nanmax nanmin nansum nanprod nanargmax unique std any all count_nonzero"
    expressions = [f"np.{name}({x})" for name in (elementwise + " " + reductions).split() for x in "vsqow"]
    rounded = ("v", "s", "np.array([0.5, 1.5, 2.5, -0.5, 1234.5, 15, 25, 35, -15, 0.05, 0.15, 2.675])", "g * 100")
    expressions += [f"np.round({x}, {decimals})" for x in rounded for decimals in (0, 1, 2, -1, -2, 400, -400)]
    bounds = [(low, high) for low in ("0", "np.nan", "None", "m", "1") for high in ("3", "None", "s", "np.nan", "-1")]
    expressions += [f"np.clip(v, {low}, {high})" for low, high in bounds if (low, high) != ("None", "None")]
    expressions += [
        "round(s)",
        "round(s, 1)",
        "abs(m)",
        "-m",
        "bool(q)",
        "int(s)",
        "float(m)",
        "complex(s)",
        "round(m)",
    ]
    expressions += ["v.max(where=v > 0, initial=0)", "w.sum(initial=-0.0)", "np.sum(w[:0])", "np.dot(w, w * 0 + 1)"]
    expressions += [
        "np.maximum(v, -v)",
        "np.fmax(v, v[::-1])",
        "np.where(np.isnan(v), 0, v)",
        "np.searchsorted(np.sort(v), v)",
    ]
    expressions += [
        "np.convolve(v, [1.0, 2.0, 3.0])",
        "np.convolve(v[::-1], [1.0, 2.0, 3.0], 'same')",
        "np.correlate(v, v, 'full')",
    ]
    check_expressions(expressions, names, ulps=4)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_special_complex_values(dtype):
    parts = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan]
    a = np.array([complex(x, y) for x in parts for y in parts]).astype(dtype)
    names = {"a": a, "s": a[14], "t": a[8]}
    expressions = [f"{x} {o} {y}" for o in "+ - * == !=".split() for x, y in ("aa", "as", "st", "a1", "1a")]
    expressions += [
        "a * True",
        "a / True",
        "a / 1",
        "a * 1.0",
        "a * 1j",
        "a.conj()",
        "a.real",
        "a.imag",
        "abs(a)",
        "-a",
    ]
    expressions += [f"a ** {exponent}" for exponent in (0, 1, 2, 3, 5)]
    expressions += [f"np.power(a, {exponent})" for exponent in (0, 1, 2, 3, -3)]
    expressions += [
        "np.isnan(a)",
        "np.isinf(a)",
        "np.sort(a)",
        "np.sign(a[:8])",
        "a < a[::-1]",
        "np.argmin(a)",
    ]
    check_expressions(expressions, names, ulps=16)


# ---------------------------------------------------------------------------------------- empty arrays and reductions

REDUCTIONS = (
    "sum prod max min mean std var any all argmax argmin cumsum cumprod median ptp nansum nanmean count_nonzero "
    "sort argsort diff unique average nanmax nanargmin"
).split()


@pytest.mark.parametrize("dtype", ["?", "i2", "u8", "f2", "f8", "c16"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_arrays(dtype, shape):
    expressions = [f"np.{name}(a)" for name in REDUCTIONS]
    expressions += [f"np.{name}(a, axis=0)" for name in REDUCTIONS if name != "average"]
    expressions += [f"np.{name}(a, axis=-1, keepdims=True)" for name in REDUCTIONS[:9]]
    ufuncs = "add multiply maximum logical_and fmax bitwise_or subtract hypot".split()
    expressions += [f"np.{name}.reduce(a{axis})" for name in ufuncs for axis in ("", ", axis=None")]
    expressions += [
        "np.sum(a, initial=1)",
        "np.max(a, initial=0)",
        "np.min(a, initial=1, where=a == a)",
        "np.dot(a, a.T)",
    ]
    check_expressions(expressions, {"a": np.empty(shape, dtype)})


@pytest.mark.parametrize("dtype", ["?", "i1", "f4", "c16"])
def test_arrays_without_axes(dtype):
    """NumPy reduces them over axis 0 and -1 in some functions; results are scalars of NumPy's own types."""
    names = "sum prod max min any all argmax argmin nansum nanmax count_nonzero mean cumsum sort argsort add.reduce"
    expressions = [f"np.{name}(z, axis={axis})" for name in names.split() for axis in (0, -1, 1, "(0,)")]
    expressions += [
        "z + 1",
        "z * z",
        "-(z + 1)",
        "z[()]",
        "z == z",
        "np.exp(z)",
        "z.copy()",
        "z.sum()",
        "np.asarray(z)",
    ]
    expressions += [
        "z.astype('f8')",
        "np.add(z, 1)",
        "np.where(z, z, z)",
        "np.maximum(z, z)",
        "np.stack([z, z])",
        "z.T",
    ]
    check_expressions(expressions, {"z": np.array(special(dtype)[2])}, ulps=2)


# ----------------------------------------------------------------------------------- casts, outputs, keyword arguments


@pytest.mark.parametrize("dtype", DTYPES)
def test_casts(dtype):
    a = special(dtype)
    small = a[:3].real.astype(dtype) if dtype.startswith("c") else a[:3]
    names = {"a": a, "b": np.abs(small), "s": a[1]}
    targets = [t for t in DTYPES if not (np.dtype(dtype).kind in "fc" and np.dtype(t).kind in "iu")]
    expressions = [f"a.astype('{target}')" for target in targets] + [f"b.astype('{target}')" for target in DTYPES]
    rules = ("safe", "same_kind", "no", "equiv")
    expressions += [f"b.astype('{target}', casting='{rule}')" for target in DTYPES for rule in rules]
    makers = "np.int8 np.uint16 np.float16 np.float64 np.bool_ np.complex64 bool int float complex np.asarray np.array"
    expressions += [f"{maker}({x})" for maker in makers.split() for x in ("s", "b[1]", "b[:2]", "b[:1]")]
    expressions += [f"np.array(b, dtype='{target}')" for target in DTYPES]
    expressions += ["np.array([s, 1])", "np.array([s, 1.5])", "np.where(a, 1, 2)", "np.where(a, a, 1.5)", "a.dtype"]
    expressions += ["np.concatenate([b, np.arange(3)])", "np.stack([b, b.astype('f4')])", "np.result_type(a, 3)"]
    check_expressions(expressions, names)


@pytest.mark.parametrize("dtype", ["?", "i2", "u1", "i8", "f4", "f8", "c16"])
def test_operations_in_place_cast_by_the_rule(dtype):
    names = {"a": np.abs(special(dtype)[:3]).astype(dtype), "b": np.ones(3, bool), "f": np.full(3, 2.5)}
    values = ("1", "1.5", "2j", "True", "np.float32(1.5)", "np.int8(1)", "np.uint64(3)", "b", "f", "300", "-1")
    programs = [f"a {o}= {value}; return a" for o in "+ - * / // % ** & << ^".split() for value in values]
    if dtype == "c16":  # other words for the same TypeError
        programs = [p for p in programs if "//" not in p and "%" not in p]
    check_statements(programs, names, ulps=4)


def test_outputs_and_keywords():
    names = {"a": np.array([1, 2, 3], "i2"), "b": np.ones(3, bool), "f": np.full(3, 2.5), "c": np.ones(3, "c16")}
    keywords = ["out=a", "out=(a,)", "out=f", "out=c", "out=b", "dtype='f4'", "dtype='f8'", "dtype='i4'", "dtype='c16'"]
    keywords += ["casting='unsafe'", "casting='safe'", "casting='no'", "casting='equiv'", "casting='unsafe', out=a"]
    keywords += ["casting='unsafe', dtype='i4'", "dtype=bool", "out=a[:2]", "out=None", "out=3", "out=..."]
    keywords += ["out=f, where=b", "out=f, where=a > 1", "out=a, dtype='f8'", "out=(f, f)", "where=b[:2], out=f"]
    calls = [
        "np.add(a, a, {})",
        "np.multiply(a, f, {})",
        "np.less(a, f, {})",
        "np.true_divide(a, 2, {})",
        "np.negative(a, {})",
    ]
    check_statements([f"return {call.format(k)}, a, b, f, c" for call in calls for k in keywords], names)
    reductions = ["out=f[:1].reshape(())", "dtype='f4'", "dtype='i1'", "keepdims=True", "where=a > 1", "initial=1"]
    reductions += [
        "axis=0, out=a[0]",
        "dtype=bool",
        "dtype='c8'",
        "axis=()",
        "axis=(0,)",
        "axis=1",
        "initial=1.5",
        "initial=2j",
    ]
    functions = [f"np.{name}(a, {k})" for name in ("sum", "prod", "add.reduce") for k in reductions]
    check_statements([f"return {call}, a, f" for call in functions], names, ulps=2)


def test_numpys_own_crashes_do_not_reach_the_caller():
    """NumPy 2.4 ends the process when it is asked which loop a Python int and no casts mean."""
    names = {"a": np.array([1, 2, 3], "i2")}
    check_statements(["return np.true_divide(a, 2, casting='equiv')", "return np.add(a, 2, casting='no')"], names)


# ------------------------------------------------------------------------------------------- errors while running


def test_indices_out_of_range_are_errors_wherever_they_stand():
    names = {"a": np.arange(12.0).reshape(3, 4), "k": np.int64(5), "n": np.int64(-9), "j": 7, "i": np.array([0, 9])}
    reads = [
        "a[k]",
        "a[n]",
        "a[j]",
        "a[0, k]",
        "a[0, n]",
        "a[i]",
        "a[:, i]",
        "a[0][i]",
        "a.T[k]",
        "a[::-1][n]",
        "a[1, i]",
    ]
    reads += ["np.take(a, k, axis=0)", "np.take(a, i, axis=1)", "a.ravel()[k * 9]", "np.take_along_axis(a, i[None], 0)"]
    programs = [f"return {read}" for read in reads] + [
        f"{read}; return 1" for read in reads
    ]  # also where nothing is done with it
    programs += [
        "x = a[i]; return len(x)",
        "return np.zeros_like(a[k])",
        "return a[k] * 0",
        "return np.choose(k, [a, a])",
    ]
    programs += ["a[k] = 1", "a[n] += 1", "a[i] = 2", "a[0, k] = 2", "np.add.at(a, i, 1.0)", "i ** n; return 1"]
    check_statements(programs, names)
    loops = [
        "s = 0.0\nfor q in range(5):\n  s += a[q, 0]\nreturn s",
        "s = 0.0\nfor q in range(n, 0):\n  s += a[q, 0]\nreturn s",
    ]
    loops += [
        "s = 0.0\nq = 0\nwhile q < k:\n  s += a[0, q]\n  q += 1\nreturn s",
        "for q in range(k):\n  a[q, 0]\nreturn 1",
    ]
    check_statements(loops, names)


def test_an_index_error_has_the_users_line():
    @tj.jit
    def function(x, k):
        total = x[0]
        total += x[k]
        return total

    x = np.arange(3.0)
    assert function(x, np.int64(2)) == 2.0
    for _ in range(2):
        with pytest.raises(IndexError, match="index 3") as caught:
            function(x, np.int64(3))
        assert str(caught.value) == "index 3 is out of bounds for axis 0 with size 3"
    line = function.__wrapped__.__code__.co_firstlineno + 3
    assert any(f"{__file__}:{line}" in note for note in caught.value.__notes__)


def test_axes_are_arguments():
    names = {"a": np.arange(1.0, 13.0).reshape(3, 4), "k": 1, "e": -1, "wrong": 7}
    functions = (
        "sum prod max min any all argmax argmin mean std var cumsum sort argsort median ptp nansum count_nonzero"
    )
    expressions = [f"np.{name}(a, axis={axis})" for name in functions.split() for axis in ("k", "e", "wrong")]
    expressions += ["a.sum(k)", "np.quantile(a, 0.3, axis=k)", "np.linalg.norm(a, axis=k)", "np.tensordot(a, a.T, k)"]
    expressions += ["np.sum(a, (0, k))", "a[(0, 1),]", "a[((0, 1), (2, 3))]", "a[0, (1, 2)]"]
    check_expressions(expressions, names, ulps=40)
