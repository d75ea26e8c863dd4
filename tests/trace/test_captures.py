"""What functions read from outside: arrays are read at each call, rebinding and changed numbers are noticed."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit
from tracejit.errors import TracejitError

ARRAY = np.arange(3.0)
NUMBER = 2.0
NESTED: dict[str, Any] = {"w": np.ones(3), "n": 3, "layers": [np.ones(3), np.zeros(3)]}


def scaled(v: Any) -> Any:
    return np.tanh(v) * NUMBER + ARRAY


def program(x: Any) -> Any:
    total = x * NESTED["w"]
    for layer in NESTED["layers"]:
        total = total + layer
    return scaled(total), NESTED["n"]


def compare(jit: Jit) -> None:
    x = np.ones(3)
    for actual, expected in zip(jit(x), program(x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_outside_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    jit = Jit(program)
    compare(jit)
    monkeypatch.setitem(globals(), "ARRAY", ARRAY + 5)
    compare(jit)
    ARRAY[0] = 100
    compare(jit)
    monkeypatch.setitem(NESTED, "w", np.full(3, 4.0))
    compare(jit)
    NESTED["layers"][1] = np.full(3, 9.0)
    compare(jit)
    assert len(jit.traces) == 1
    monkeypatch.setitem(globals(), "NUMBER", 3.0)
    compare(jit)
    monkeypatch.setitem(NESTED, "n", 4)
    compare(jit)
    monkeypatch.setitem(globals(), "scaled", lambda v: v)
    compare(jit)
    monkeypatch.setitem(globals(), "ARRAY", np.ones((2, 3)))
    compare(jit)
    assert len(jit.traces) == 4


def test_closures() -> None:
    weight = np.ones(3)
    factor = 2.0

    def inner(x: Any) -> Any:
        return x * weight * factor

    jit = Jit(inner)
    np.testing.assert_array_equal(jit(np.ones(3)), inner(np.ones(3)))
    weight[:] = 5
    np.testing.assert_array_equal(jit(np.ones(3)), inner(np.ones(3)))
    weight = np.zeros(4)
    np.testing.assert_array_equal(jit(np.ones(4)), inner(np.ones(4)))
    assert len(jit.traces) == 1
    factor = 3.0
    weight = np.ones(3)
    np.testing.assert_array_equal(jit(np.ones(3)), inner(np.ones(3)))
    assert len(jit.traces) == 2


def test_writing_into_captured_arrays() -> None:
    state = np.zeros(3)

    def inner(x: Any) -> Any:
        state[0] += x[0]
        state[1:] = x[1:] * 2
        return state.sum()

    jit = Jit(inner)
    assert jit(np.ones(3)) == 5.0
    assert jit(np.ones(3)) == 6.0
    np.testing.assert_array_equal(state, [2.0, 2.0, 2.0])


def test_captured_arrays_are_returned_themselves() -> None:
    jit = Jit(lambda: (NESTED["w"], NESTED["w"][1:]))
    whole, part = jit()
    assert whole is NESTED["w"] and np.shares_memory(part, whole)


def test_two_names_of_one_array() -> None:
    a = np.ones(3)
    b = a

    def inner() -> Any:
        return a + b

    jit = Jit(inner)
    np.testing.assert_array_equal(jit(), [2.0, 2.0, 2.0])
    b = np.zeros(3)
    np.testing.assert_array_equal(jit(), [1.0, 1.0, 1.0])


def test_partials_bind_arrays() -> None:
    bound = np.ones(3)
    jit = Jit(functools.partial(lambda a, b: a + b, bound))
    np.testing.assert_array_equal(jit(np.ones(3)), [2.0, 2.0, 2.0])
    bound[:] = 9
    np.testing.assert_array_equal(jit(np.ones(3)), [10.0, 10.0, 10.0])


def test_leaked_arrays_raise() -> None:
    kept: list[Any] = []

    def leak(x: Any) -> Any:
        for value in (x * 2, x.sum(), x.shape[0], x.sum().item()):
            [value].sort(key=kept.append)  # as nobody sees
        return x

    Jit(leak)(np.ones(3))
    assert len(kept) == 4
    for value in kept:
        with pytest.raises(TracejitError, match="used after the tracing has ended"):
            np.sin(value)
        with pytest.raises(TracejitError, match="used after the tracing has ended"):
            value + 1


def test_storing_traced_values_outside() -> None:
    class Box:
        value: Any = None

    box = Box()
    cache: dict[str, Any] = {}
    number: Any = 0

    def store(x: Any, parameters: Any) -> None:
        global NUMBER
        nonlocal number
        box.value = x + 1
        cache["x"] = x + 2
        NUMBER, number = x.sum(), x[0]
        parameters["w"] = x

    before = NUMBER
    try:
        given = {"w": np.ones(3)}
        x = np.ones(3)
        Jit(store)(x, given)
        np.testing.assert_array_equal([box.value, cache["x"]], [x + 1, x + 2])
        assert (NUMBER, number) == (3.0, 1.0) and given["w"] is x
    finally:
        globals()["NUMBER"] = before


def test_objects_made_inside_are_free() -> None:
    class Box:
        def __init__(self, value: Any) -> None:
            self.value = value

    def program(x: Any) -> Any:
        box = Box(x)
        box.value = box.value + 1
        box.value += 1
        found: dict[str, Any] = {}
        found["a"] = box.value
        found["a"] += 1
        return found, box.value

    from tests.trace.harness import check

    check(program, np.arange(3.0))


def test_threads_trace_apart() -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for n in range(1, 15):
                x = np.full(n, float(seed))
                result = Jit(lambda x: (np.sin(x) + x[:1]).sum() * seed)(x)
                assert result == (np.sin(x) + x[:1]).sum() * seed
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
