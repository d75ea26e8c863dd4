"""Reading and writing parts of arrays, compiled: random subscripts, views of views, gathers and scatters."""

from __future__ import annotations

import operator
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tracejit as tj
from tests.util.compare import assert_same_outcome, check, outcome_of, versions_of
from tests.util.programs import compiled_text

SHAPE = (5, 4, 3)


def array(shape: tuple[int, ...] = SHAPE, dtype: str = "f8") -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


# ---------------------------------------------------------------------------------------------- random subscripts


@st.composite
def basic_keys(draw, shape=SHAPE, inside=True):
    """Ints, slices, newaxis and an ellipsis; ints are inside, slices anything."""
    key = []
    axes = draw(st.integers(0, len(shape)))
    for axis in range(axes):
        bound = st.none() | st.integers(-7, 7)
        if shape[axis] and draw(st.booleans()):
            key.append(draw(st.integers(-shape[axis], shape[axis] - 1)))
        else:
            key.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3, -1, -2]))))
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), None)
    if draw(st.booleans()):
        position = draw(st.integers(0, len(key)))
        rest = [k for k in key[position:] if k is not None]
        if len(rest) < len(shape):  # the ellipsis moves the rest to the last axes: ints there must fit, too
            for offset, item in enumerate(reversed(rest)):
                size = shape[len(shape) - 1 - offset]
                if isinstance(item, int) and not -size <= item < size:
                    return tuple(key)
            key.insert(position, Ellipsis)
    return tuple(key)


# Keys are static, so a function compiles for each: one call for each example, through a fresh trace.
@settings(max_examples=60)
@given(st.data())
def test_basic_reads_and_views_of_views(data):
    first = data.draw(basic_keys())
    shape = np.empty(SHAPE)[first].shape
    second = data.draw(basic_keys(shape))
    x = array()

    def function(x):
        y = x[first]
        return y, y[second], y[second] + 1, x[first].T

    check(function, x, calls=1)


@settings(max_examples=60)
@given(st.data())
def test_basic_writes_through_views(data):
    first = data.draw(basic_keys())
    shape = np.empty(SHAPE)[first].shape
    assume(shape or any(k is Ellipsis for k in first))  # three ints give a number, which is no view
    second = data.draw(basic_keys(shape))
    target = np.empty(shape)[second].shape
    kind = data.draw(st.sampled_from(["scalar", "array", "broadcast", "increment", "itself"]))

    def function(x, value):
        y = x[first]
        if kind == "itself":
            y[second] = y[second] * 2
        elif kind == "increment":
            y[second] += value
        else:
            y[second] = value
        return y.sum(), y

    value = {"array": np.linspace(0, 1, int(np.prod(target))).reshape(target), "broadcast": np.ones(target[-1:])}.get(
        kind, -1.5
    )
    check(function, array(), value, calls=1, tolerance=1e-13)


@settings(max_examples=40)
@given(st.data())
def test_overlapping_assignment(data):
    """``x[a] = x[b]`` reads everything before it writes."""
    key = st.tuples(st.integers(0, 4), st.sampled_from([1, -1, 2]))
    (a, s), (b, t) = data.draw(key), data.draw(key)
    twice = data.draw(st.booleans())

    def part(x, start, step):
        return (
            x[start : start + 4]
            if step == 1
            else x[start + 3 : start - 1 if start else None : -1]
            if step < 0
            else x[start::2][:2]
        )

    if (s == 2) != (t == 2):
        s = t

    def function(x):
        part(x, a, s)[...] = part(x, b, t)
        if twice:
            part(x, b, t)[...] += part(x, a, s)
        return x[1:]

    check(function, np.arange(20.0).reshape(10, 2), calls=1)


@settings(max_examples=50)
@given(st.data())
def test_integer_array_reads_and_writes(data):
    rank = data.draw(st.integers(1, 2))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank)))
    key: list = []
    arrays = []
    for size in SHAPE:
        kind = data.draw(st.sampled_from(["array", "array", "slice", "int", "stop"]))
        if kind == "stop":
            break
        if kind == "array":
            own = data.draw(st.sampled_from([shape, shape[-1:], (1,) * rank]))
            elements = st.lists(st.integers(-size, size - 1), min_size=int(np.prod(own)), max_size=int(np.prod(own)))
            key.append(len(arrays))
            positions = np.array(data.draw(elements), "i8").reshape(own)
            kind = data.draw(st.sampled_from(["i8", "i4", "u1"]))
            arrays.append((positions % size if kind == "u1" else positions).astype(kind))
        else:
            key.append(slice(None, None, data.draw(st.sampled_from([1, -1, 2]))) if kind == "slice" else "one")
    write = data.draw(st.sampled_from(["no", "scalar", "increment"]))

    def function(x, arrays):
        full = tuple(arrays[k] if isinstance(k, int) else 1 if k == "one" else k for k in key)
        if write == "scalar":
            x[full] = 7
        elif write == "increment":
            x[full] += 1
        return x[full]

    check(function, array(), arrays, calls=1)


# ---------------------------------------------------------------------------------------------------- chosen cases


def test_indices_are_arguments():
    """Run-time indices and slice bounds: one compiled version."""

    def function(x, i, j):
        return x[i], x[i:], x[:j], x[i, j], x[-1 - i, 0]

    jitted = None
    for i, j in [(2, 1), (3, 2), (1, 3)]:
        jitted = check(function, array(), i, j, jitted=jitted)
    assert versions_of(jitted) == 1


def test_slices_longer_than_the_array():
    jitted = None
    for stop in (2, 3, 7, 100, -1, -3, -100):
        jitted = check(lambda x, stop: (x[:stop], x[stop:], x[::-1][:stop]), array(), stop, jitted=jitted)


def test_slices_from_arrays_of_any_length():
    def function(x):
        return x[1:], x[:-1], x[2:-2], x[::2], x[::-3], x[1:] - x[:-1]

    jitted = None
    for size in (5, 6, 20, 4, 3, 2, 1):
        jitted = check(function, np.arange(float(size)), jitted=jitted)
    assert versions_of(jitted) <= 4  # the lengths where -2 or 1: is beyond the start differ


def test_arrays_of_indices_are_arguments():
    def function(x, index):
        y = x[index]
        x[index] = 0
        return y, x[:, index % 4]

    check(function, array(), np.array([0, -1, 3]))
    check(function, array(), np.array([[0, 1], [2, 3]], "u1"))
    check(function, array(), np.array([], "i8"))


def test_last_write_wins():
    def function(x, index, values):
        x[index] = values
        return x

    check(function, np.zeros(4), np.array([1, 2, 1, 1, 3, 2]), np.arange(6.0))


def test_ufunc_at_adds_repeatedly():
    def function(x, index, values):
        np.add.at(x, index, values)

    check(function, np.zeros(4), np.array([1, 2, 1, 1, 3, 2]), np.arange(6.0))


def test_masks():
    def function(x, mask):
        x[mask] = 0
        x[x > 30] = 2.5
        return np.where(mask, x, -x)

    check(function, array(), array() % 3 == 0)


def test_take_and_friends():
    def function(x, i):
        found = [np.take(x, i), np.take(x, i, axis=1), x.take(i, 0), np.take_along_axis(x[0], i[:2, None], 1)]
        return [*found, x.diagonal(), np.diag(x[0]), np.trace(x), np.roll(x, 1, 0), np.flip(x, 1)]

    check(function, array(), np.array([0, 2, 1]))


def test_writes_into_local_arrays():
    def function(x, n):
        out = np.zeros((n, x.size))
        out[0] = x.ravel()
        out[1:, ::2] = 3
        out[:, -1] += x[0, 0, 0]
        view = out.T
        view[0] = 9
        return out, view[::2]

    check(function, array(), 4)


def test_write_through_transposed_and_reshaped_views():
    def function(x):
        x.T[0] = 1
        x.reshape(-1)[::7] = 2
        x.ravel()[5] = 3
        np.swapaxes(x, 0, 1)[1, 2] = 4
        x[:, None, 0] += 10
        x.reshape(10, 6)[3:5, ::2] *= -1
        return x.reshape(6, 10)

    check(function, array())


def test_write_through_a_copying_reshape_changes_nothing():
    def function(x):
        flat = x.T.reshape(-1)
        flat[0] = 99
        return flat

    check(function, array())


def test_swaps():
    def function(x, y):
        x[0], x[1] = x[1].copy(), x[0].copy()
        x[[2, 3]] = x[[3, 2]]
        y[...], x[0, 0] = x[:2], y[0, 0]

    check(function, array(), np.zeros((2, 4, 3)))


def test_casting_writes():
    def function(x, y):
        x[0] = y[0]
        x[1:3] = 2.75
        x += 1
        return x

    check(function, array(dtype="i4"), array() + 0.7)
    check(function, array(dtype="f4"), array() + 0.7)
    check(function, array(dtype="c8"), array() + 0.7)


def test_stencil_in_place():
    def function(u, steps):
        for _ in range(steps):
            u[1:-1, 1:-1] = 0.25 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
        return u.sum()

    check(function, np.random.default_rng(0).normal(size=(20, 30)), 3, tolerance=1e-14)


def test_cumulative_loop():
    def function(x):
        for k in range(1, 5):
            x[k] += x[k - 1]
        return x[-1]

    check(function, array())


def test_assignments_to_elements():
    def function(x):
        x[0, 0, 0] = x[1, 1, 1] + 1
        x[-1, -1, -1] = 5
        x[(1, 2, 0)] = x[2][1][0]
        return x[0, 0, 0]

    check(function, array())


def test_shape_errors_of_writes():
    x = array()
    check(lambda x: x.__setitem__(slice(0, 2), np.ones(7)), x, text=False)

    def function(x, y):
        x[:2] = y

    check(function, x, np.ones((3, 4, 3)))
    jitted = tj.jit(function)
    jitted(x.copy(), np.ones((2, 4, 3)))
    check(function, x, np.ones((3, 4, 3)), jitted=jitted)


@pytest.mark.parametrize("index", [5, -6, 100])
def test_ints_out_of_range(index):
    check(lambda x: x[index], array())
    check(lambda x, i: x[i], array(), index)
    check(lambda x, i: x[0, i], array(), index)
    jitted = tj.jit(lambda x, i: x[i])
    jitted(array(), 1)
    check(lambda x, i: x[i], array(), index, jitted=jitted)


@pytest.mark.parametrize("index", [5, -6, 1000])
def test_elements_of_index_arrays_out_of_range(index):
    def read(x, i):
        return x[i]

    def write(x, i):
        x[i] = 0

    for function in (read, write):
        jitted = tj.jit(function)
        assert_same_outcome(
            outcome_of(jitted, (array(), np.array([1, 2])), {}), outcome_of(function, (array(), np.array([1, 2])), {})
        )
        check(function, array(), np.array([1, index, 2]), jitted=jitted)
        check(lambda x, i, f=function: f(x.T, i), array((3, 4, 5)), np.array([index]))


@pytest.mark.parametrize("bad", [False, True])
def test_nothing_is_written_when_an_index_is_out_of_range(bad):  # noqa: C901  (a table of programs)
    """Wherever the index is used: before, after and in the loop of a write, or read in part."""
    index = np.array([1, 2, 99 if bad else 3])

    def before(x, y, i):
        z = y[i]
        x += 1
        return z

    def after(x, y, i):
        x += 1
        return y[i]

    def between(x, y, i):
        x[0] = 42
        z = y[i]
        x[1] = 43
        return z

    def fused(x, y, i):
        x[:3] = y[i] + 1

    def dependent(x, y, i):
        x += 100
        x[i] = x[i - 1]

    def increment(x, y, i):
        x[i] += y[: len(i)]

    def chained(x, y, i):
        x[i] = y[i]
        y[i] = x[i[::-1]]

    def in_part(x, y, i):
        x[0] = y[i][0]

    def of_a_number(x, y, i):
        x *= y[i[2], 0]

    for function in (before, after, between, fused, dependent, increment, chained, in_part, of_a_number):
        jitted = tj.jit(function, exact=True)
        good = (np.ones((5, 2)), np.arange(10.0).reshape(5, 2), np.array([0, 4, 2]))
        assert_same_outcome(outcome_of(jitted, good, {}), outcome_of(function, good, {}))
        check(function, *good[:2], index, jitted=jitted)
        check(function, good[0][:, ::-1], good[1], index, jitted=jitted)


def test_an_element_by_a_computed_and_a_plain_index_is_one_store():
    def write(a, i, j, v):
        a[i, 0] = v
        a[1, j] = v + 1
        a[i, -1] += 2
        a[-1, j] = a[i, 0] * 2
        for k in range(a.shape[0]):
            a[k, 1] = a[k, 0] + k
            a[j, 2] += 1

    jitted = tj.jit(write)
    for rows in (4, 7):
        for i, j in ((np.int64(2), np.int64(-1)), (np.int64(-2), np.int64(1))):
            expected, actual = (np.arange(4.0 * rows).reshape(rows, 4) for _ in range(2))
            write(expected, i, j, 2.5)
            jitted(actual, i, j, 2.5)
            np.testing.assert_array_equal(actual, expected)
    with pytest.raises(IndexError, match="index 9 is out of bounds for axis 0 with size 4"):
        jitted(np.zeros((4, 4)), np.int64(9), np.int64(0), 1.0)
    stored = tj.jit(lambda a, i: operator.setitem(a, (i, 0), 1.0)).ir(np.zeros((9, 9)), np.int64(2), stage="loops")
    assert "for " not in stored  # no column is copied


@pytest.mark.parametrize("part", ["table[labels[i], column]", "table[column, labels[i]]", "table[labels[i], 1:3]"])
def test_a_computed_and_a_plain_index_read_no_more_than_they_show(part: str) -> None:
    text = f"""\
def f(table, labels):
    for i in range(len(labels)):
        for column in range(4):
            {part} += 1.0 + {part}
"""
    function = compiled_text(text)
    table, labels = np.arange(16.0).reshape(4, 4), np.array([0, 3, -1, 0, 2])
    check(function, table, labels)
    loops = str(tj.jit(function).ir(table, labels, stage="loops"))
    assert not re.search(r"alloc \{dims=\((?!2,\))", loops)


def test_an_array_that_an_early_return_gives_is_the_argument_itself() -> None:
    def function(a, s):
        for i in range(len(a)):
            if s <= a[i]:
                return a, i
            a[i] = 7.0
        return a, -1

    compiled = tj.jit(function)
    for s in (2.0, 0.0, 100.0):
        a = np.arange(1.0, 9.0)
        assert compiled(a, s)[0] is a
        check(function, np.arange(1.0, 9.0), s)
