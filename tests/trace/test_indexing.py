"""Random index expressions, read and assigned, and chains of views with writes, against NumPy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trace.harness import Jit, check


def entries(size: int) -> st.SearchStrategy[Any]:
    """One entry of an index for an axis of a size: mostly in range."""
    bounds = st.none() | st.integers(-size - 2, size + 2)
    slices = st.builds(slice, bounds, bounds, st.none() | st.sampled_from([1, 2, 3, -1, -2]))
    if size == 0:
        return slices
    whole = st.integers(-size, size - 1)
    arrays = st.lists(whole, min_size=1, max_size=3).map(np.array)
    return slices | whole | whole | arrays


@st.composite
def indices(draw: Any, shape: tuple[int, ...], *, advanced: bool = True) -> tuple[Any, ...]:
    """An index for an array of a shape."""
    count = draw(st.integers(0, len(shape)))
    key: list[Any] = []
    for size in shape[:count]:
        entry = draw(entries(size))
        if isinstance(entry, np.ndarray) and (not advanced or sum(isinstance(k, np.ndarray) for k in key) == 2):
            entry = slice(None)
        first = next((k for k in key if isinstance(k, np.ndarray)), None)
        if isinstance(entry, np.ndarray) and first is not None:
            entry = np.resize(entry, first.shape)
        key.append(entry)
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    if draw(st.booleans()):
        # After the given entries come the axes that the ellipsis stands for.
        key.append(Ellipsis)
    return tuple(key)


shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


def sample(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)


@given(st.data())
@settings(max_examples=200)
def test_read(data: Any) -> None:
    shape = data.draw(shapes)
    key = data.draw(indices(shape))
    check(lambda x: operator.getitem(x, key), sample(shape))


@given(st.data())
@settings(max_examples=200)
def test_assign(data: Any) -> None:
    shape = data.draw(shapes)
    key = data.draw(indices(shape))
    scalar = data.draw(st.booleans())

    def store(x: Any, v: Any) -> None:
        x[key] = v

    part = sample(shape)[key]
    value = -1.0 if scalar else np.asarray(-sample(np.shape(part)) - 1)
    if not scalar and len({int(i) for k in key if isinstance(k, np.ndarray) for i in k}) < sum(
        k.size for k in key if isinstance(k, np.ndarray)
    ):
        value = -1.0  # which of several writes to one element wins is not defined
    check(store, sample(shape), value)


@given(st.data())
@settings(max_examples=150)
def test_views_of_views(data: Any) -> None:
    """A chain of views, a write through the last, reads through all."""
    shape = data.draw(shapes)
    steps: list[Any] = []
    x = sample(shape)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["index", "transpose", "reshape", "flip", "newaxis"]))
        if kind == "index":
            key = data.draw(indices(x.shape, advanced=False))
            step = lambda a, key=key: a[(*key, ...)] if ... not in key else a[key]  # noqa: E731
        elif kind == "transpose":
            step = lambda a: a.T  # noqa: E731
        elif kind == "reshape":
            step = lambda a: a.reshape(-1)  # noqa: E731
        elif kind == "flip":
            step = lambda a: a[::-1] if a.ndim else a  # noqa: E731
        else:
            step = lambda a: a[None]  # noqa: E731
        x = step(x)
        steps.append(step)

    def program(a: Any) -> Any:
        views = [a]
        for step in steps:
            views.append(step(views[-1]))
        views[-1] += 100
        views[-1][...] *= 2
        return [view.sum() for view in views], views[-1]

    check(program, sample(shape))


@given(st.data())
@settings(max_examples=60)
def test_one_program_for_other_sizes(data: Any) -> None:
    """The same index with other sizes: one more trace where a clamp goes another way, the right answer always."""
    rank = data.draw(st.integers(1, 2))
    shape = tuple(data.draw(st.integers(3, 6)) for _ in range(rank))
    key = data.draw(indices((3,) * rank))

    def program(x: Any) -> Any:
        x[key] += 1
        return x[key], x

    jit = Jit(program)
    for _ in range(4):
        check(program, sample(shape), jit=jit)
        shape = tuple(data.draw(st.integers(2, 7)) for _ in range(rank))


@pytest.mark.parametrize("order", ["C", "F", "sliced", "reversed"])
def test_reshape_of_arguments_shares_memory_as_numpy_does(order: str) -> None:
    x = {
        "C": np.arange(12.0).reshape(3, 4),
        "F": np.arange(12.0).reshape(4, 3).T,
        "sliced": np.arange(24.0).reshape(3, 8)[:, ::2],
        "reversed": np.arange(12.0).reshape(3, 4)[::-1],
    }[order]

    def program(a: Any) -> Any:
        flat = a.reshape(-1)
        flat[0] = 100
        return flat

    jit = Jit(program)
    expected = x.copy(order="K") if order in "CF" else x.copy()
    if order in ("C", "F"):
        check(program, x)
    else:
        result = jit(x)
        assert np.shares_memory(result, x) == np.shares_memory(x.reshape(-1), x)
        del expected


def test_returned_views_show_the_callers_memory() -> None:
    x = np.arange(12.0).reshape(3, 4)

    def program(a: Any) -> Any:
        return a, a[1:, ::2], a.T[0], a.reshape(-1)[3:], a[0, 0]

    whole, part, row, flat, number = Jit(program)(x)
    assert whole is x
    assert all(np.shares_memory(view, x) for view in (part, row, flat))
    x[:] = -x
    same = program(x)
    for view, expected in zip((part, row, flat), same[1:4], strict=True):
        np.testing.assert_array_equal(view, expected)
    assert isinstance(number, np.float64)


def test_results_share_memory_with_each_other() -> None:
    def program(a: Any) -> Any:
        z = a * 2
        return z[1:], z, z, z.T

    tail, whole, again, turned = Jit(program)(np.arange(4.0))
    assert whole is again
    assert np.shares_memory(tail, whole) and np.shares_memory(turned, whole)


def test_arrays_returned_together_do_not_alias_when_equal() -> None:
    first, second = Jit(lambda x: (x.copy(), x.copy()))(np.arange(3.0))
    assert not np.shares_memory(first, second)


def test_shifted_assignment_reads_before_it_writes() -> None:
    def program(a: Any) -> None:
        a[1:] = a[:-1]
        a[::-1] += a

    check(program, np.arange(6.0))
