"""Layouts of memory: arguments that lie otherwise than C has it, and results whose axes are in NumPy's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracejit as tj

Array = Any


def axis_order(a: Array) -> tuple[int, ...]:
    """The axes with more than one element, those with the longest strides first."""
    return tuple(sorted((k for k in range(a.ndim) if a.shape[k] > 1), key=lambda k: -abs(a.strides[k])))


def check_same(got: Any, expected: Any) -> None:
    """Equal values, dtype, shape, order of the axes; and where the expected one has no gaps, equal flags."""
    if isinstance(expected, tuple):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            check_same(one, other)
        return
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=") and got.shape == expected.shape
    if expected.ndim < 2 or expected.size == 0:
        return
    assert axis_order(got) == axis_order(expected)
    flags = expected.flags
    if flags.c_contiguous or flags.f_contiguous:
        assert (got.flags.c_contiguous, got.flags.f_contiguous) == (flags.c_contiguous, flags.f_contiguous)


CUBE = np.arange(24.0).reshape(2, 3, 4) % 7 + 1
LAYOUTS: dict[str, Array] = {
    "rows": CUBE,
    "columns": np.asfortranarray(CUBE),
    "cycled": CUBE.transpose(1, 2, 0),
    "swapped": CUBE.transpose(0, 2, 1),
    "strided": np.repeat(CUBE, 2, axis=2)[:, :, ::2],
    "strided columns": np.repeat(np.asfortranarray(CUBE), 2, axis=1)[:, ::2],
    "reversed": CUBE[::-1, :, ::-1],
    "repeated": np.broadcast_to(np.arange(3.0)[:, None] + 1, (2, 3, 4)),
    "byte-swapped": np.asfortranarray(CUBE).astype(">f8"),
    "misaligned": np.ndarray((2, 3, 4), "f8", bytearray(200), 1, (8, 16, 48)),
}
LAYOUTS["misaligned"][...] = CUBE

PROGRAMS: dict[str, Callable[[Array], Any]] = {
    "elementwise": lambda x: (x + 1, -x, np.sqrt(x), x**2, x > 2, np.divmod(x, 2), 2.0 / x, np.clip(x, 0, 3)),
    "two arrays": lambda x: (x + x, x + np.ones(x.shape), x + np.ones(x.shape, order="F"), np.hypot(x, x[:, ::-1])),
    "broadcasting": lambda x: (x * np.arange(3.0)[: x.shape[1], None].max(), x[None] + 1, x + x[:1], x[:, None] * 2),
    "keywords": lambda x: (np.add(x, 1, order="C"), np.add(x, 1, order="F"), np.add(x, 1, order="A")),
    "choices": lambda x: (np.where(x > 3, x, 0), np.select([x > 1], [x], 0), np.choose((x > 1).astype(int), [x, x])),
    "copies": lambda x: (x.copy(), np.copy(x), x.copy("F"), np.array(x), np.array(x, order="F"), x.astype("f4")),
    "as arrays": lambda x: (np.asfortranarray(x), np.ascontiguousarray(x), np.asarray(x, order="F"), x.copy("A")),
    "like": lambda x: (np.zeros_like(x), np.ones_like(x, order="F"), np.full_like(x, 3), np.empty_like(x, bool) | True),
    "new": lambda x: (
        np.zeros((2, 3), order="F"),
        np.full((2, 3), 7, order="F"),
        np.eye(3, order="F"),
        np.ones((2, 3)),
    ),
    "views": lambda x: (x.T, x.T + 1, (x + 1).T, np.moveaxis(x + 1, 0, 1), np.swapaxes(x, 0, 1) * 2, x.mT + 0),
    "slices": lambda x: (x[::-1] + 1, x[:, ::2] + 1, (x + 1)[1:], x[:, 1:].reshape(2, -1) + 1),
    "reductions": lambda x: (x.sum(0), x.max(1), x.mean(1, keepdims=True), x.std(0), x.any(2), x.argmax(0)),
    "more reductions": lambda x: (np.add.reduce(x, 1), np.ptp(x, 0), np.nanmax(x, 0), np.average(x, 0), x.min(0)),
    "scans": lambda x: (np.cumsum(x, 0), np.cumprod(x, 2), np.maximum.accumulate(x, 1), np.diff(x, axis=1)),
    "joined": lambda x: (np.concatenate([x, x]), np.concatenate([x, np.ones(x.shape)]), np.stack([x, x], 2)),
    "stacked": lambda x: (np.vstack([x, x]), np.dstack([x, x]), np.append(x, x, 0), np.hstack([x[0], x[0]])),
    "indexed": lambda x: (x[[0, 1]], x[:, [1, 0]], x[:, :, [0]], x[[0, 1], [0, 1]], x.take([0, 1], 1)),
    "rearranged": lambda x: (np.roll(x, 1, 1), np.roll(x, 1), np.repeat(x, 2, 1), np.tile(x, 2), np.flip(x) + 1),
    "edited": lambda x: (np.pad(x, 1), np.tril(x), np.delete(x, 0, 1), np.insert(x, 0, 1, 1), np.round(x, 1)),
    "products": lambda x: (x @ x.mT, x[0] @ x[0].T, np.einsum("ijk,ijk->ij", x, x), np.multiply.outer(x, x[0])),
    "reshaped": lambda x: (
        x.reshape(4, 6),
        x.reshape(4, 6, order="F"),
        (x + 1).reshape(-1),
        x.reshape(6, 4, order="A"),
    ),
    "flat": lambda x: tuple(x.ravel(order) for order in "CFAK") + tuple(x.flatten(order) for order in "CFAK"),
    "flags": lambda x: (x + 1 if x.flags.c_contiguous else x + 2, x + 1 if np.isfortran(x * 2) else x + 3),
}


MOST_IMPORTANT = ("rows", "columns", "cycled", "strided columns")
SENSITIVE = ("elementwise", "copies", "views", "reductions", "indexed", "reshaped", "flat", "edited")
CASES = [(name, layout) for name in PROGRAMS for layout in LAYOUTS if layout in MOST_IMPORTANT or name in SENSITIVE]


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_results_have_the_order_of_axes_that_numpy_gives(name: str, layout: str) -> None:
    program, x = PROGRAMS[name], LAYOUTS[layout]
    check_same(tj.jit(program)(x), program(x))


def test_one_function_answers_calls_with_any_layout() -> None:
    f = tj.jit(lambda x: (x + 1, x.reshape(-1), x.sum(0)))
    for x in [*LAYOUTS.values()] * 3:
        check_same(f(x), (x + 1, x.reshape(-1), x.sum(0)))
        assert np.shares_memory(f(x)[1], x) == np.shares_memory(x.reshape(-1), x)


def test_a_column_major_argument_is_neither_copied_nor_read_by_rows() -> None:
    x = np.asfortranarray(np.ones((3, 4)))
    loops = str(tj.jit(lambda x: np.sqrt(x + 1) * 2).ir(x, stage="loops"))
    assert "alloc" not in loops and "load %0, %5, %6" in loops and "store %10, %1, %5, %6" in loops


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "repeated"])
def test_writes_into_arguments_of_any_layout_are_there_after_the_call(layout: str) -> None:
    def program(x: Array) -> Array:
        x[0, 1] = 7
        x += 1
        x.T[1:] *= 2
        return x

    f = tj.jit(program)
    for _ in range(3):
        expected, given_array = (np.array(LAYOUTS[layout], order="K", copy=True) for _ in range(2))
        result = f(given_array)
        assert result is given_array
        np.testing.assert_array_equal(given_array, program(expected))


@pytest.mark.parametrize("index", [np.s_[::2], np.s_[:, ::-1], np.s_[1:, ::2], np.s_[..., 0]])
def test_writes_into_views_reach_the_array_below(index: Any) -> None:
    def program(x: Array) -> None:
        x[0] = -1
        x *= 2

    f = tj.jit(program)
    for make in (np.array, np.asfortranarray):
        expected, below = make(CUBE.copy()), make(CUBE.copy())
        f(below[index])
        program(expected[index])
        np.testing.assert_array_equal(below, expected)


def test_a_view_for_one_shape_is_a_copy_for_another() -> None:
    def program(x: Array) -> Array:
        y = x.T.reshape(-1)
        y[0] = 9
        return x * 1

    f = tj.jit(program)
    for shape in [(1, 3), (2, 3), (3, 1), (3, 2), (1, 1)]:
        x, y = np.ones(shape), np.ones(shape)
        np.testing.assert_array_equal(f(x), program(y))
        np.testing.assert_array_equal(x, y)


def test_strided_arrays_are_views_or_copies_by_their_gaps() -> None:
    def program(x: Array) -> Array:
        y = x.reshape(-1)
        y[0] = 9
        return y * 1

    f = tj.jit(program)
    base = np.arange(48.0)
    for make in [
        lambda b: b.reshape(4, 12)[:, ::2],  # one step for both axes
        lambda b: b.reshape(8, 6)[::2],
        lambda b: b.reshape(4, 12)[:, :6],
        lambda b: b.reshape(4, 12)[:, ::3],
        lambda b: b.reshape(4, 12)[::-1],
    ]:
        x, y = base.copy(), base.copy()
        np.testing.assert_array_equal(f(make(x)), program(make(y)))
        np.testing.assert_array_equal(x, y)


def test_the_order_of_a_first_axis_of_one_is_not_taken_for_that_of_others() -> None:
    f = tj.jit(lambda x: x.T + 1)
    for shape in [(1, 4), (3, 4), (4, 1), (0, 3)]:
        x = np.ones(shape)
        check_same(f(x), x.T + 1)


def test_axes_of_one_element_have_no_say_in_the_order_of_others() -> None:
    f = tj.jit(lambda x: (np.stack([x, x], axis=1)[0], x + np.ones((2, 1, 1))))
    for shape in [(1, 2, 2), (2, 2, 2), (2, 1, 2)]:
        x = np.asfortranarray(np.arange(float(np.prod(shape))).reshape(shape))
        check_same(f(x), f.__wrapped__(x))


def test_loops_and_branches_keep_the_order() -> None:
    def program(x: Array, n: int) -> Array:
        for _ in range(n):
            x = x * 2 + 1
        if x[0, 0, 0] > 0:
            x = x + 1
        return x

    f = tj.jit(program)
    for x in (CUBE, np.asfortranarray(CUBE), CUBE.transpose(1, 2, 0)):
        check_same(f(x, 3), program(x, 3))


def test_functions_that_numpy_computes_keep_the_order() -> None:
    f = tj.jit(lambda x: (np.sort(x), np.sort(x, axis=0), np.argsort(x), np.partition(x, 1), np.fft.fft(x).real + 0))
    for x in (CUBE, np.asfortranarray(CUBE)):
        with pytest.warns(tj.PerformanceWarning):
            got = tj.jit(f.__wrapped__)(x)
        check_same(got, f.__wrapped__(x))


def test_captured_arrays_of_any_layout() -> None:
    weights = np.asfortranarray(CUBE)

    def program(x: Array) -> Array:
        return x * weights, weights + 1

    f = tj.jit(program)
    check_same(f(CUBE), program(CUBE))
    weights = CUBE.transpose(2, 0, 1).copy().transpose(1, 2, 0)
    check_same(f(CUBE), program(CUBE))
    check_same(f(np.asfortranarray(CUBE)), program(np.asfortranarray(CUBE)))


def test_captured_arrays_are_written_where_they_lie() -> None:
    total = np.asfortranarray(np.zeros((3, 4)))

    def accumulate(x: Array) -> None:
        total[...] += x
        total[0] = 1

    f = tj.jit(accumulate)
    f(np.ones((3, 4)))
    f(np.ones((3, 4)))
    assert total[0].tolist() == [1] * 4 and total[1:].tolist() == [[2] * 4] * 2


@pytest.mark.parametrize("make", [np.zeros, np.ones, np.empty])
@pytest.mark.parametrize("order", ["K", "Z", 3])
def test_orders_that_numpy_refuses(make: Any, order: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as expected:
        make((2, 3), order=order)
    with pytest.raises(expected.type) as got:
        tj.jit(lambda: make((2, 3), order=order))()
    assert str(got.value) == str(expected.value)


def test_derivatives_at_any_layout() -> None:
    gradient = tj.grad(lambda x: (np.sin(x) * x.T.reshape(-1)[0]).sum())
    expected = gradient(CUBE)
    for layout in ("columns", "cycled"):
        x = LAYOUTS[layout]
        np.testing.assert_allclose(gradient(np.asfortranarray(CUBE)), expected)
        assert gradient(x).shape == x.shape


# ------------------------------------------------------------------------------------------------- random programs


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """An array of two or three axes, its memory transposed, sliced or reversed."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
    x = np.arange(1.0, 1 + np.prod(shape) * 2 ** len(shape)).reshape([2 * n for n in shape])
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    cut = []
    for size in x.shape:
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        cut.append(slice(None, None, step) if draw(st.booleans()) else slice(0, max(size // 2, 1)))
    x = x[tuple(cut)]
    return x if draw(st.booleans()) else np.array(x, order=draw(st.sampled_from(["C", "F", "K"])))


STEPS: dict[str, Callable[[Array, int], Array]] = {
    "x * 2 + 1": lambda x, k: x * 2 + 1,
    "sqrt": lambda x, k: np.sqrt(np.abs(x)),
    "x + x of ones": lambda x, k: x + np.ones(x.shape),
    "T": lambda x, k: x.T,
    "cycled": lambda x, k: np.moveaxis(x, 0, -1),
    "swapped": lambda x, k: np.swapaxes(x, 0, -1),
    "sliced": lambda x, k: x[:, : max(1, k)],
    "reversed": lambda x, k: x[::-1],
    "sum": lambda x, k: x.sum(k % x.ndim, keepdims=True) + x,
    "reduced": lambda x, k: np.expand_dims(x.max(k % x.ndim), k % x.ndim),
    "scan": lambda x, k: np.cumsum(x, k % x.ndim),
    "copy": lambda x, k: np.copy(x),
    "copy of order": lambda x, k: x.copy("CFAK"[k % 4]),
    "reshape": lambda x, k: x.reshape(-1, x.shape[k % x.ndim], order="CF"[k % 2]),
    "where": lambda x, k: np.where(x > 2, x, np.zeros_like(x)),
    "joined": lambda x, k: np.concatenate([x, x * 2], axis=k % x.ndim),
    "stacked": lambda x, k: np.stack([x, x], axis=k % x.ndim)[0],
    "indexed": lambda x, k: x[(slice(None),) * (k % x.ndim) + ([0, 0],)],
    "broadcast": lambda x, k: x + x[:1],
    "written": lambda x, k: _written(x * 1),
    "written through": lambda x, k: _written_through(x + 0, "CFAK"[k % 4]),
}


def _written(x: Array) -> Array:
    x[0] = 5
    return x


def _written_through(x: Array, order: str) -> Array:
    """Whether this reaches x depends on whether ravel gives a view."""
    flat = x.ravel(order)
    flat[0] = 99
    return x


@settings(max_examples=120, deadline=None)
@given(arrays(), st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 5)), min_size=1, max_size=5))
def test_random_chains(x: Array, chain: list[tuple[str, int]]) -> None:
    def program(x: Array) -> Array:
        for name, k in chain:
            x = STEPS[name](x, k)
        return x

    before = x.copy()
    check_same(tj.jit(program)(x), program(x))
    np.testing.assert_array_equal(x, before)
