"""Containers of Python in loops: one program for all sizes, which gives what the undecorated function gives."""

from __future__ import annotations

import contextlib
import heapq
import io
import logging
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.jit import list_programs, table_programs
from tests.util.compare import assert_same

Program = Callable[..., Any]

GRAPHS = ("dfs", "bfs", "bfs_list", "bfs_levels", "topo", "union_find")
WEIGHTS = ("dijkstra", "path_back")
IMAGES = ("flood",)
MATRICES = ("comp_rows", "np_array_rows")


def inputs(name: str, size: int) -> np.ndarray[Any, Any]:
    """An array of the kind that a program wants."""
    random = np.random.default_rng(size)
    if name in GRAPHS:
        edges = (random.random((size, size)) < 0.25).astype(int)
        return edges | edges.T
    if name in WEIGHTS:
        return np.where(random.random((size, size)) < 0.4, random.random((size, size)), 0.0)
    if name in IMAGES:
        return (random.random((size, size + 2)) < 0.5).astype(int)
    return random.normal(size=(size, 5) if name in MATRICES else size)


def classes(value: Any) -> Any:
    """The classes of everything in a result."""
    if isinstance(value, (list, tuple, deque)):
        return type(value), [classes(item) for item in value]
    if isinstance(value, dict):
        return type(value), [(classes(k), classes(v)) for k, v in value.items()]
    return type(value)


@pytest.mark.parametrize("program", [*list_programs.PROGRAMS, *table_programs.PROGRAMS], ids=lambda f: f.__name__)
def test_one_program_for_all_sizes(program: Program) -> None:
    jitted = tj.jit(program)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tj.PerformanceWarning)
        for size, n in ((8, 6), (13, 9), (30, 12)):
            x = inputs(program.__name__, size)
            found, expected = jitted(x.copy(), n), program(x.copy(), n)
            assert_same(found, expected, ulps=64)
            assert classes(found) == classes(expected)
    assert jitted.cache_info().traces == 1


# ------------------------------------------------------------------------------------------------------------ errors


def pop_of_an_empty_list(x):
    stack = []
    for v in x:
        if v > 0:
            stack.append(v)
        else:
            stack.pop()
    return len(stack)


def pop_of_an_empty_deque(x):
    queue = deque()
    for v in x:
        if v > 0:
            queue.append(v)
        else:
            queue.popleft()
    return len(queue)


def pop_of_an_empty_heap(x):
    heap = []
    for v in x:
        if v > 0:
            heapq.heappush(heap, v)
        else:
            heapq.heappop(heap)
    return len(heap)


def index_behind_the_end(x):
    items = []
    for v in x:
        if v > 0:
            items.append(v)
    return items[len(x)]


def assignment_behind_the_end(x):
    items = [0.0] * len(x)
    for i in range(len(x) + 1):
        items[i] = x[0]
    return sum(items)


def missing_key(x):
    found = {}
    for i in range(len(x)):
        if x[i] > 0:
            found[i] = x[i]
    total = 0.0
    for i in range(len(x)):
        total += found[i]
    return total


def missing_computed_key(x):
    found = {}
    for v in x:
        found[int(v)] = 1
    return found[100]


def value_that_is_not_there(x):
    items = [int(v) for v in x]
    items.remove(77)
    return items


@pytest.mark.parametrize(
    "program",
    [
        pop_of_an_empty_list, pop_of_an_empty_deque, pop_of_an_empty_heap, index_behind_the_end,
        assignment_behind_the_end, missing_key, missing_computed_key, value_that_is_not_there,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_exceptions_are_those_of_python(program: Program) -> None:
    x = np.array([1.0, 2, -3, -4, -5, -6, 7])
    with pytest.raises((LookupError, ValueError)) as expected:
        program(x)
    with pytest.raises(type(expected.value)) as found:
        tj.jit(program)(x)
    assert str(expected.value).strip("'") == str(found.value).strip("'")


# ------------------------------------------------------------------------------------------ references and copies


def test_rows_of_a_table_are_written_where_they_are() -> None:
    def program(x, n):
        table = [[0.0] * n for _ in range(len(x))]
        for i in range(len(x)):
            row = table[i]
            for j in range(n):
                row[j] = x[i] * j
        table[0], table[1] = table[1], table[0]
        first = table[0]
        table[0] = table[2]
        return np.array(table), first[1], first[2]

    jitted = tj.jit(program)
    for size, n in ((5, 4), (7, 9)):
        x = np.arange(1.0, size + 1)
        assert_same(jitted(x, n), program(x, n))


def test_items_changed_in_place_after_the_loop() -> None:
    def program(x):
        rows = []
        for v in x:
            rows.append([v, v * 2])
        rows[1][0] = 100.0
        row = rows[2]
        row[1] = -1.0
        return rows

    x = np.arange(6.0)
    found, expected = tj.jit(program)(x), program(x)
    assert_same(found, expected)
    assert classes(found) == classes(expected)


def test_a_list_that_is_stored_many_times_is_one_list() -> None:
    def program(x):
        row = [0.0] * 3
        table = []
        for _ in x:
            table.append(row)
        row[0] = 5.0
        return table

    assert_same(tj.jit(program)(np.ones(6)), program(np.ones(6)))


def test_items_added_while_a_loop_goes_through_them() -> None:
    def program(x):
        queue = [0]
        for i in range(len(x)):
            queue.append(i)
        for v in queue:
            if v == 5:
                queue.append(v + 1)
        return queue

    assert_same(tj.jit(program)(np.ones(10)), program(np.ones(10)))


def test_lists_are_printed_as_lists() -> None:
    def program(x):
        items = []
        for v in x:
            items.append((int(v), 2.5))
        print("items", items, f"{len(items)}")
        return len(items)

    x = np.arange(7.0)
    texts = []
    for function in (program, tj.jit(program)):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            function(x)
        texts.append(text.getvalue())
    assert texts[0] == texts[1]


def test_operators_beside_arrays() -> None:
    def program(x):
        items = [v * 2 for v in x]
        return items * x, items + x, x - items, items == x, np.array(items + items)

    x = np.arange(6.0)
    assert_same(tj.jit(program)(x), program(x))
    for wrong in (lambda x: [v for v in x] - [1], lambda x: -[v for v in x]):
        with pytest.raises(TypeError):
            wrong(x)
        with pytest.raises(TypeError):
            tj.jit(wrong)(x)


def test_lists_given_to_transforms_are_lists_of_python() -> None:
    def program(x):
        weights = [x * k for k in range(40)]
        return tj.grad(lambda ws: sum(np.sum(w * w) for w in ws))(weights)

    found = tj.jit(program)(np.arange(3.0))
    assert type(found) is list
    assert_same(found, [np.arange(3.0) * k * 2 for k in range(40)])


# ------------------------------------------------------------------------------------------------ what is unrolled


def test_too_many_operations_say_which_loop_and_why() -> None:
    def program(x, n):
        names = {}
        total = x[0]
        for i in range(n):
            for k in range(n):
                names["a%d" % (i % 7)] = k  # noqa: UP031
                total = total * 0.5 + x[0] * i
        return total

    line = program.__code__.co_firstlineno + 3
    with pytest.raises(tj.UnsupportedError, match=rf"the loop at .*:{line} runs turn by turn .* operations"):
        tj.jit(program)(np.ones(3), 3000)


def test_unrolled_loops_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def program(x, n):
        names = {}
        for i in range(n):
            for k in range(n):
                names["a%d" % (i * k)] = x[0] * k  # noqa: UP031
        return len(names)

    with caplog.at_level(logging.INFO, "tracejit.guards"):
        assert tj.jit(program)(np.ones(3), 6) == program(np.ones(3), 6)
    told = [record.getMessage() for record in caplog.records if "while tracing" in record.getMessage()]
    assert len(told) == 2
    assert all(f":{program.__code__.co_firstlineno + k}: loop run" in "".join(told) for k in (2, 3))
