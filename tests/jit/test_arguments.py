"""Everything that may be passed to a compiled function, and what happens to it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tests.jit.test_elementwise import LAYOUTS, unaligned
from tests.util.compare import assert_same_outcome, check, clone, outcome_of, versions_of


def matrix(dtype: str = "f8") -> np.ndarray:
    return np.arange(35).reshape(7, 5).astype(dtype)


def update(x, y):
    x += 2 * y
    x[0] = -1
    return x.sum(), x


# ---------------------------------------------------------------------------------------------- layouts of written


@pytest.mark.parametrize(
    "layout", [n for n in LAYOUTS if n not in ("read-only", "broadcast", "all the same", "sliding")]
)
@pytest.mark.parametrize("dtype", ["f8", "i4"])
def test_written_arguments_of_any_layout(layout, dtype):
    x = LAYOUTS[layout](matrix(dtype))
    jitted = check(update, x, np.ones_like(matrix(dtype)[0][: x.shape[-1]]), tolerance=1e-14)
    check(
        update, matrix(dtype)[: len(x)] if x.ndim > 1 else np.arange(9).astype(dtype), 2, jitted=jitted, tolerance=1e-14
    )


@pytest.mark.parametrize("layout", ["read-only", "broadcast", "all the same", "sliding"])
def test_read_only_arguments_are_refused_as_numpy_refuses_them(layout):
    x = LAYOUTS[layout](matrix())
    check(update, x, 1.0)
    jitted = tj.jit(update)
    jitted(matrix() if x.ndim == 2 else matrix()[0].copy(), 1.0)  # compiled for arrays that may be written
    check(update, x, 1.0, jitted=jitted)

    def only_reads(x):
        return x[1:] * 2

    check(only_reads, x)


def test_writeable_broadcast_views_behave_as_in_numpy():
    x = np.lib.stride_tricks.as_strided(np.arange(5.0), (3, 5), (0, 8))
    y = np.lib.stride_tricks.as_strided(np.arange(12.0), (3, 5), (16, 8))

    def function(x):
        x[1] = 7
        x[0, 2:] = x[2, :3]
        return x.sum()

    for argument in (x, y):
        # What NumPy does with memory that overlaps itself is its own order of writes: kept by running NumPy.
        check(function, argument)


# ---------------------------------------------------------------------------------------------------- shared memory


def test_the_same_array_twice():
    def function(x, y):
        x += 1
        y *= 2
        return x - y, x, y

    x = matrix()
    jitted = check(function, x, x)
    check(function, matrix(), matrix(), jitted=jitted)
    check(function, x, x, jitted=jitted)

    def reads(x, y):
        return x @ y.T, x + y

    check(reads, x, x, tolerance=1e-13)


def test_three_times_and_in_containers():
    def function(x, pair, named):
        x[0] += pair[0][1]
        named["a"][2] = 5
        return pair[1].sum(), x

    x, y = matrix(), matrix()
    check(function, x, (x, y), {"a": y})
    check(function, x, [x, x], {"a": x})


@pytest.mark.parametrize(
    "parts",
    [
        (slice(0, 5), slice(2, 7)), (slice(2, 7), slice(0, 5)), (slice(0, 5), slice(0, 5)),
        (slice(0, 10, 2), slice(1, 10, 2)), (slice(4, None, -1), slice(0, 5)), (slice(0, 5), slice(5, 10)),
    ],
    ids=str,
)  # fmt: skip
def test_partially_overlapping_arguments(parts):
    def write_one(x, y):
        x += y
        return y.sum()

    def write_both(x, y):
        x += 1
        y *= 3
        x -= y

    def overwrite(x, y):
        x[...] = y

    for function in (write_one, write_both, overwrite):
        base = np.arange(10.0)
        first, second = base[parts[0]], base[parts[1]]
        check(function, first, second)
        jitted = tj.jit(function)
        jitted(np.ones(5), np.ones(5))  # compiled for separate arrays
        check(function, first, second, jitted=jitted)
        wide = np.arange(20.0).reshape(10, 2)
        check(function, wide[parts[0]], wide[parts[1], :1])


def test_overlapping_views_of_different_dtypes():
    base = np.arange(8.0)

    def function(x, y):
        y[...] = 0
        return x + 1

    check(function, base[2:5], base.view("i8"))


# ------------------------------------------------------------------------------------------------------- results


def test_returned_views_share_memory():
    def function(x, n):
        x[1] = 5
        return x, x[1:3], x.T, x[::-1, ::2], x.reshape(-1), x[..., None], x[2], x[:n], x.ravel()[3:9]

    check(function, matrix(), 3)
    check(function, np.asfortranarray(matrix()), 3)


def test_returned_views_of_fresh_arrays_share_memory():
    def function(x):
        y = x * 2
        return y, y[1:], y.T, {"a": y, "b": (y[0], y)}, x

    jitted = check(function, matrix())
    result = jitted(matrix())
    result[0][0, 0] = 99
    assert result[3]["b"][0][0] == 99 and result[3]["a"] is result[0]


def test_fresh_results_share_nothing():
    def function(x):
        y = x.copy()
        return y, y.copy(), np.array(x), x + 0, np.zeros_like(x), x.astype("f8"), x.flatten()

    jitted = check(function, matrix())
    first, second = jitted(matrix()), jitted(matrix())
    assert not any(np.shares_memory(a, b) for a in first for b in second)


def test_results_live_as_long_as_they_are_used():
    jitted = tj.jit(lambda x: x + 1)
    kept = [jitted(np.full(1000, k)) for k in range(50)]
    assert all((r == k + 1).all() for k, r in enumerate(kept))


def test_constants_and_python_values_are_returned():
    def function(x, n):
        return (
            1,
            2.5,
            "text",
            None,
            n,
            n + 1,
            True,
            (),
            [],
            {},
            x.shape,
            x.ndim,
            len(x),
            x.dtype,
            slice(None),
            np.float32(3),
        )

    check(function, matrix(), 4)
    check(lambda: (1, np.zeros(3)))
    check(lambda x: None, matrix())


def test_numbers_come_back_as_the_types_that_numpy_gives():
    def function(x, a, b):
        return a * 2, b * 2, a + b, a / 3, x[0, 0], x[0, 0] + a, float(2), -a, a // 2, a % 2, b // 0.3, abs(b), b**2

    check(function, matrix(), 3, 2.5)
    check(function, matrix("f4"), -3, -2.5)


# ------------------------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    "value",
    [3, -2, True, 2.5, 1 + 2j, np.float32(1.5), np.int8(-4), np.uint64(2**63), np.bool_(True), np.complex64(1j),
     np.float64(0.1),
     np.array(2.0), np.array(3, "i4"), np.array(True), np.float16(2), 0.0, -0.0, float("nan"), float("inf"), 2**40],
    ids=repr,
)  # fmt: skip
def test_scalars(value):
    def function(x, s):
        return x + s, s * 2, np.add(s, s), x * s

    for dtype in ("f4", "i8"):
        check(function, matrix(dtype), value)


def test_scalars_do_not_retrace():
    jitted = tj.jit(lambda x, a, n, flag: np.where(flag, x * a, x + n))
    for k in range(5):
        expected = matrix() * (k + 0.5) if k % 2 else matrix() + k
        np.testing.assert_array_equal(jitted(matrix(), k + 0.5, k, bool(k % 2)), expected)
    assert versions_of(jitted) <= 3  # flag may choose a branch, n == 0 or 1 may


def test_ints_of_any_size():
    function = lambda x, n: x + n  # noqa: E731
    check(function, matrix("i8"), 2**62)
    check(function, matrix("i8"), 2**64)
    check(function, matrix("f8"), 10**30)
    check(function, matrix("u1"), 300)
    check(function, matrix("u1"), 200)
    jitted = tj.jit(function)
    jitted(matrix("u1"), 1)
    check(function, matrix("u1"), 300, jitted=jitted)
    check(function, matrix("u1"), -1, jitted=jitted)


def test_written_zero_dimensional_arrays():
    def function(x):
        x += 1
        x[()] = x * 2
        return x

    check(function, np.array(3.0))
    check(function, np.float64(3.0), text=False)


def test_branches_on_scalars_are_guarded():
    def function(x, n, a):
        if n > 3:
            return x * n
        return x + a if n else x - a

    jitted = None
    for n in (1, 5, 0, 4, 2, -1):
        jitted = check(function, matrix(), n, 0.5, jitted=jitted)
    assert versions_of(jitted) <= 3


# ------------------------------------------------------------------------------------------------------ structures


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class State:
    position: Any
    velocity: Any
    name: str = "state"


def test_pytrees_in_and_out():
    def function(tree):
        a, (b, c) = tree["a"], tree["pair"]
        return {"sum": a + b, "nested": [c, (a, None)], "point": Point(b, c * 2)}

    check(function, {"a": matrix(), "pair": (matrix() + 1, 2.5)})


def test_dataclasses_and_namedtuples():
    def function(state, point):
        state.position += state.velocity * point.x
        return State(state.position * 2, state.velocity), Point(1, point.y)

    state = State(matrix(), np.ones(5))
    point = Point(0.5, matrix())
    expected, actual = clone(state), clone(state)
    one, two = function(expected, point), tj.jit(function)(actual, point)
    np.testing.assert_array_equal(actual.position, expected.position)
    np.testing.assert_array_equal(two[0].position, one[0].position)
    assert type(two[0]) is State and two[0].name == "state" and type(two[1]) is Point and two[1].y is point.y


def test_dicts_keep_their_order():
    check(lambda d: {k: d[k] + 1 for k in reversed(list(d))}, {"b": matrix(), "a": matrix(), "c": 2.0})
    jitted = tj.jit(lambda d: list(d.values()))
    assert jitted({"a": 1, "b": 2}) == [1, 2] and jitted({"b": 2, "a": 1}) == [2, 1]


def test_structures_select_versions():
    jitted = tj.jit(lambda t: sum(t[1:], t[0]))
    for count in (1, 2, 3, 2, 1):
        np.testing.assert_array_equal(jitted([matrix()] * count), matrix() * count)
    assert jitted.cache_info().entries == 3
    check(lambda t: t[0] + 1, (matrix(),))
    check(lambda t: t[0] + 1, [matrix()])


def test_keywords_and_defaults():
    def function(x, y=2.0, *rest, scale=1.0, offset=None, **more):
        found = x * y * scale
        if offset is not None:
            found = found + offset
        return found, sum(rest), {k: v + 1 for k, v in more.items()}

    x = matrix()
    check(function, x)
    check(function, x, 3.0)
    check(function, x, y=x)
    check(function, x, 1.0, 5, 6.5, scale=x, offset=3)
    check(function, x, scale=2, extra=x, other=1)
    check(function, y=1.5, x=x)
    jitted = tj.jit(function)
    for offset in (None, 2.0, x, None):
        check(function, x, offset=offset, jitted=jitted)


def test_argument_errors_are_pythons():
    def function(x, y=1, *, z=2):
        return x + y + z

    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"w": 1}), ((1,), {"x": 2}), ((), {"z": 1})]:
        check(function, *args, **kwargs)
    jitted = tj.jit(function)
    jitted(np.ones(2))
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"w": 1})]:
        check(function, *args, jitted=jitted, **kwargs)


def test_array_defaults_are_read_at_each_call():
    weights = np.ones(5)

    def function(x, w=weights):
        return x * w

    jitted = check(function, matrix())
    weights *= 3
    check(function, matrix(), jitted=jitted)
    assert versions_of(jitted) == 1


def test_static_arguments():
    def function(x, mode, axis=0):
        return getattr(np, mode)(x, axis=axis)

    jitted = tj.jit(function, static_argnums=1, static_argnames="axis")
    for mode, axis in [("sum", 0), ("max", 1), ("sum", 1), ("sum", 0)]:
        check(function, matrix(), mode, axis, jitted=jitted)
        check(function, matrix(), mode=mode, axis=axis, jitted=jitted)
    assert versions_of(jitted) <= 8


def test_static_objects_are_compared_by_value():
    jitted = tj.jit(lambda x, shape: x.reshape(shape), static_argnums=(1,))
    for shape in ((5, 7), (35,), (7, 5), (5, 7), (1, -1)):
        np.testing.assert_array_equal(jitted(matrix(), shape), matrix().reshape(shape))
    assert jitted.cache_info().entries == 4
    kinds = tj.jit(lambda x, n: x * n, static_argnums=1)
    assert kinds(np.int8([1]), 1).dtype == "i1" and kinds(np.int8([1]), 1.0).dtype == "f8"  # 1 == 1.0, and yet
    assert kinds(np.int8([1]), True).dtype == "i1" and kinds(np.float32([1]), 0.0)[0] == 0
    assert np.signbit(kinds(np.float32([1]), -0.0))[0]


def test_strings_and_other_objects():
    def function(x, how, item):
        return x.sum() if how == "sum" else x.max() if item is None else x.min()

    jitted = None
    for how, item in [("sum", None), ("max", None), ("min", "x"), ("sum", 3), ("sum", (1, "a"))]:
        jitted = check(function, matrix(), how, item, jitted=jitted)


# ------------------------------------------------------------------------------------------------ kinds of callables


class Model:
    def __init__(self):
        self.weights = np.ones(5)
        self.scale = 2.0

    def plain(self, x):
        return x * self.weights * self.scale

    @tj.jit
    def decorated(self, x):
        return x * self.weights * self.scale

    @staticmethod
    @tj.jit
    def static(x):
        return x + 1

    @classmethod
    def of_class(cls, x):
        return x + 2

    def __call__(self, x):
        return x - self.weights


def test_methods_lambdas_partials_and_callables():
    model = Model()
    x = matrix()
    np.testing.assert_array_equal(tj.jit(model.plain)(x), model.plain(x))
    np.testing.assert_array_equal(model.decorated(x), model.plain(x))
    np.testing.assert_array_equal(Model.static(x), x + 1)
    np.testing.assert_array_equal(tj.jit(Model.of_class)(x), x + 2)
    np.testing.assert_array_equal(tj.jit(model)(x), x - 1)
    np.testing.assert_array_equal(tj.jit(functools.partial(np.multiply, 3))(x), 3 * x)
    np.testing.assert_array_equal(tj.jit(functools.partial(lambda a, b: a - b, b=2.0))(x), x - 2)
    np.testing.assert_array_equal(tj.jit(np.floor)(x / 3), x // 3)
    np.testing.assert_array_equal(tj.jit(np.linalg.norm)(x), np.linalg.norm(x))
    model.weights = model.weights * 2
    model.scale = 3.0
    np.testing.assert_array_equal(model.decorated(x), model.plain(x))
    other = Model()
    np.testing.assert_array_equal(other.decorated(x), other.plain(x))


def test_a_jitted_function_has_its_functions_face():
    @tj.jit
    def scale(x, factor: float = 2.0):
        """Multiply."""
        return x * factor

    import inspect

    assert scale.__name__ == "scale" and scale.__doc__ == "Multiply." and scale.__wrapped__(2, 3) == 6
    assert list(inspect.signature(scale).parameters) == ["x", "factor"]
    assert "scale" in repr(scale)


def test_jitted_functions_call_each_other():
    inner = tj.jit(lambda x, y: (x * y, y))

    @tj.jit
    def outer(x):
        a, b = inner(x, 2.0)
        return inner(a, x)[0] + b

    x = matrix()
    np.testing.assert_array_equal(outer(x), x * 2 * x + 2)
    assert versions_of(inner) == 0


# --------------------------------------------------------------------------------------------------- array-likes


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return np.arange(5.0)


def test_array_likes():
    check(lambda x: np.asarray(x) * 2, ArrayLike())
    np.testing.assert_array_equal(tj.jit(lambda x: x * 2)(memoryview(np.arange(5.0))), np.arange(5.0) * 2)
    check(lambda x: np.asarray(x) + 1, [1, 2, 3])
    check(lambda x: np.array(x) * 2.0, [1, 2.5, 3])


def test_subclasses_of_arrays(tmp_path):
    memory = np.memmap(tmp_path / "x", "f8", "w+", shape=(7, 5))
    memory[...] = matrix()
    jitted = tj.jit(update)
    total, _ = jitted(memory, 1.0)
    expected = matrix()
    assert total == update(expected, 1.0)[0]
    np.testing.assert_array_equal(np.asarray(memory), expected)
    with pytest.raises(TypeError, match=r"x\.filled\(value\)"):
        tj.jit(lambda x: x + 1)(np.ma.masked_array([1.0, 2.0], [True, False]))
    with pytest.raises(TypeError, match=r"np\.asarray"):
        tj.jit(lambda x: x * x)(matrix().view(np.recarray))


# --------------------------------------------------------------------------------------------------------- errors


def test_arguments_are_unchanged_when_tracing_fails():
    def function(x, y):
        x += 1
        return x @ y

    x = matrix()
    before = x.copy()
    with pytest.raises(ValueError, match="matmul"):
        tj.jit(function)(x, np.ones(3))
    np.testing.assert_array_equal(x, before)


def test_changing_layouts_between_calls():
    jitted = tj.jit(update, exact=True)
    for name, layout in [*LAYOUTS.items()] * 2:
        x = layout(matrix())
        if x.ndim == 2:
            actual, expected = outcome_of(jitted, (x, 1.5), {}), outcome_of(update, (x, 1.5), {})
            assert_same_outcome(actual, expected, tolerance=1e-14)
        assert name
    assert versions_of(jitted) <= 2


def test_unaligned_written():
    x = unaligned(matrix())
    assert not x.flags.aligned
    check(update, x, x[::-1].copy(), tolerance=1e-14)


def test_ufuncs_compare_python_ints():
    def comparisons(x, n):
        return (
            np.greater(int(x), 2),
            np.equal(int(x), int(x) + 1),
            np.less(n, 3),
            np.not_equal(n, int(x)),
            max(int(x), 2),
        )

    check(comparisons, 2.5, 3)
    check(comparisons, 3.5, 7)
