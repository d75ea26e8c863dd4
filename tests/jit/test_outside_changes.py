"""Attributes, globals, lists and dicts from outside that a compiled function changes: as without the decorator."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same
from tracejit.trace.tracer import trace

X = np.array([1.0, 2.0, 3.0])
COUNT = 0
TOTALS = [1.0, 2.0]
TABLE: dict[str, Any] = {"a": 1, "b": 2.5}


class Model:
    """Everything that the methods change."""

    def __init__(self) -> None:
        self.time = 0.0
        self.steps = 0
        self.weights = np.arange(3.0)
        self.history: list[Any] = []
        self.info: dict[str, Any] = {}

    def advance(self, x: Any) -> Any:
        self.time += x[0]
        self.steps += 1
        self.weights = self.weights * 0.9 + x
        return self.weights * self.steps

    def record(self, x: Any) -> Any:
        self.history.append(x.sum())
        self.info["last"] = self.weights
        self.info["count"] = self.info.get("count", 0) + 1
        setattr(self, "new", x * 2)  # noqa: B010
        return self.new  # type: ignore[attr-defined]

    def replace(self, x: Any) -> Any:
        old, self.weights = self.weights, x
        return old, self.weights

    def loop(self, x: Any, n: int) -> Any:
        for i in range(n):
            x = x + i
        self.steps = n
        self.time = x.sum()
        return x

    def nothing(self, x: Any) -> Any:
        self.steps = self.steps
        return x + self.steps


METHODS: list[tuple[Callable[..., Any], tuple[Any, ...], int]] = [
    (Model.advance, (), 2),  # time becomes a NumPy float
    (Model.record, (), 9),
    (Model.replace, (), 1),
    (Model.loop, (6,), 1),
    (Model.nothing, (), 1),
]


@pytest.mark.parametrize(("method", "more", "traces"), METHODS, ids=lambda value: getattr(value, "__name__", ""))
def test_objects(method: Callable[..., Any], more: tuple[Any, ...], traces: int) -> None:
    jitted = tj.jit(method, exact=True)
    own, other = Model(), Model()
    for k in range(5):
        x = X * k
        assert_same(jitted(own, x, *more), method(other, x, *more))
        assert_same(vars(own), vars(other))
    assert jitted.cache_info().traces <= traces
    assert jitted.__wrapped__ is method


def test_stored_arrays_are_the_ones_that_were_given() -> None:
    model, jitted = Model(), tj.jit(Model.replace)
    first, second = X.copy(), X.copy()
    jitted(model, first)
    old, new = jitted(model, second)
    assert old is first and new is second and model.weights is second


def with_globals(x: Any) -> Any:
    global COUNT
    COUNT += 1
    TOTALS[0] += x[0]
    TABLE["a"] += 2
    TABLE["b"] = x[1] * TABLE["a"]
    return x * COUNT + TOTALS[0]


def test_globals() -> None:
    state: dict[str, Any] = globals()
    before = {name: copy.deepcopy(state[name]) for name in ("COUNT", "TOTALS", "TABLE")}
    jitted = tj.jit(with_globals)
    outcomes = []
    try:
        for function in (with_globals, jitted):
            state.update(copy.deepcopy(before))
            outcomes.append([(function(X + k), COUNT, copy.deepcopy(TOTALS), copy.deepcopy(TABLE)) for k in range(5)])
    finally:
        state.update(before)
    assert_same(outcomes[1], outcomes[0])
    assert jitted.cache_info().traces <= 2


def test_variables_of_enclosing_functions() -> None:
    def counter() -> tuple[Any, Any]:
        calls, last = 0, None

        def function(x: Any) -> Any:
            nonlocal calls, last
            calls += 1
            last = x[-1]
            return x * calls

        return function, lambda: (calls, last)

    plain, seen = counter()
    function, own = counter()
    jitted = tj.jit(function)
    for k in range(4):
        assert_same(jitted(X + k), plain(X + k))
        assert_same(own(), seen())
    assert jitted.cache_info().traces <= 3


def update(x: Any, parameters: Any, out: Any) -> Any:
    parameters["w"] = parameters["w"] - x
    parameters["steps"] += 1
    parameters["inner"]["new"] = x.sum()
    out.append(x.mean())
    out.append(x)
    del out[0]
    return parameters["w"][0]


def test_containers_that_are_given() -> None:
    jitted = tj.jit(update)
    own: Any = ({"w": np.ones(3), "steps": 0, "inner": {}}, [1.0])
    other = copy.deepcopy(own)
    inner = own[0]["inner"]
    for k in range(4):
        x = X * k
        assert_same(jitted(x, *own), update(x, *other))
        assert_same(own, other)
        assert own[1][-1] is x and own[0]["inner"] is inner


def test_a_failed_call_changes_nothing() -> None:
    def function(model: Any, x: Any, k: int) -> Any:
        model.time = x[k]
        model.history.append(x[0])
        return x

    model, jitted = Model(), tj.jit(function)
    for _ in range(2):
        with pytest.raises(IndexError):
            jitted(model, X, 7)
        assert model.time == 0.0 and model.history == []
    jitted(model, X, 1)
    assert model.time == 2.0


def test_tracing_changes_nothing() -> None:
    model = Model()
    before = copy.deepcopy(vars(model))
    tj.jit(Model.record).ir(model, X)
    tj.jit(Model.advance).ir(model, X)
    assert_same(vars(model), before)


def in_a_loop(model: Any, x: Any, n: int) -> Any:
    for i in range(n):
        model.time += x[i % 3]
    return x


def in_a_branch(model: Any, x: Any, n: int) -> Any:
    if x[0] > 0:
        model.time = x[0]
    return x


def growing_set(model: Any, x: Any, n: int) -> Any:
    QUEUE.append(n)
    return x


QUEUE: Any = deque()


@pytest.mark.parametrize("function", [in_a_loop, in_a_branch, growing_set])
def test_changes_are_right_or_refused(function: Callable[..., Any]) -> None:
    jitted = tj.jit(function)
    own, other = Model(), Model()
    for x in (X, X * 2, -X):
        try:
            jitted(own, x, 30)
        except tj.TracejitError:
            continue
        function(other, x, 30)
        assert_same(vars(own), vars(other))
    assert not QUEUE


LOG: dict[str, Any] = {"losses": [], "calls": 0}


def test_a_list_that_only_grows_does_not_count() -> None:
    @tj.jit
    def step(x: Any) -> Any:
        LOG["losses"].append((x**2).sum())
        return x * 2

    for k in range(5):
        step(X + k)
    assert step.cache_info().traces == 1
    np.testing.assert_array_equal(LOG["losses"], [((X + k) ** 2).sum() for k in range(5)])


def test_a_list_that_grows_and_is_read() -> None:
    rows: list[Any] = []

    def step(x: Any) -> Any:
        rows.append(x.sum())
        rows.append(len(rows))
        return x * rows[0] + len(rows)

    jitted = tj.jit(step)
    actual = [jitted(X + k) for k in range(3)], list(rows)
    rows.clear()
    assert_same(actual, ([step(X + k) for k in range(3)], list(rows)))


def test_changed_containers_are_returned_themselves() -> None:
    rows: list[Any] = []

    @tj.jit
    def step(parameters: Any, x: Any) -> Any:
        for name in parameters:
            parameters[name] = parameters[name] - x
        rows.append(x.sum())
        return parameters, (rows, 3)

    given = {"w": X + 5, "b": X + 6}
    first, (second, _) = step(given, X)
    assert first is given and second is rows
    assert_same(given, {"w": X + 5 - X, "b": X + 6 - X})
    assert_same(rows, [X.sum()])


def test_entries_are_set_alone() -> None:
    table: dict[str, Any] = {"a": X, "b": [1.0, X]}

    def step(x: Any, given: Any) -> None:
        table["a"] = table["a"] * x
        table["b"][1] = table["a"] + 1
        table["c"] = x.sum()
        given[0]["k"] = x

    assert [place.kind for place in trace(step, (X, [{"k": 1.0, "l": X}])).writes] == ["entry"] * 4
    before, inner = table["b"], {"k": 1.0, "l": X}
    jitted = tj.jit(step)
    for k in (1.0, 2.0):
        expected = table["a"] * X * k
        jitted(X * k, [inner])
        assert_same(table, {"a": expected, "b": [1.0, expected + 1], "c": X.sum() * k})
        assert table["b"] is before and inner["k"].tolist() == (X * k).tolist() and list(inner) == ["k", "l"]


def test_containers_inside_containers_change() -> None:
    table: dict[str, Any] = {}

    @tj.jit
    def step(x: Any) -> None:
        table.setdefault("sums", []).append(x.sum())

    for _ in range(3):
        step(X)
    assert_same(table, {"sums": [X.sum()] * 3})
