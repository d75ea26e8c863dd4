"""Objects of the user's classes: one program for all that look alike to the function, and none that is stale."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.runtime.function as runtime_function
from tests.util.objects import Layer, Make, Other, X, check_objects, same, step, with_layer

# ------------------------------------------------------------------------------------------------ by class


def test_sizes_and_values_compile_nothing() -> None:
    check_objects(step, [with_layer(), with_layer(5, 2.0), with_layer(7, -1.0), with_layer(0)], 1)


def test_classes_are_told_apart() -> None:
    check_objects(step, [with_layer(), lambda: (Other(5, 2.0), X), with_layer(7, -1.0), lambda: (Other(), X)], 2)


def test_a_property_is_traced_after_a_write() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.w = layer.w + 1
        return layer.energy * x

    check_objects(function, [with_layer(), with_layer(4, 3.0)], 1)


def test_class_attributes_and_what_hides_them() -> None:
    rates = [{}, {"rate": 5.0}, {"rate": 3}, {"rate": np.ones(3) * 4}, {"rate": np.float32(2)}]
    check_objects(lambda layer, x: x * layer.rate, [with_layer(**more) for more in (*rates, {})], 4)


def test_class_attributes_that_change() -> None:
    class Settings:
        rate = 2.0
        calls = 0

    @tj.jit
    def function(x: Any) -> Any:
        Settings.calls = Settings.calls + 1
        return x * Settings.rate

    for rate in (2.0, 5.0, 2.0):
        Settings.rate = rate
        np.testing.assert_array_equal(function(X), X * rate)
    assert Settings.calls == 3


def test_methods_that_are_replaced() -> None:
    class Local(Layer):
        pass

    hidden = {"forward": lambda x: x * 100}
    check_objects(lambda layer, x: layer.forward(x), [with_layer(), with_layer(**hidden), with_layer()])
    jitted = tj.jit(lambda layer, x: layer.forward(x))
    np.testing.assert_array_equal(jitted(Local(), X), Local().forward(X))
    Local.forward = lambda self, x: x - 7  # type: ignore[method-assign]
    np.testing.assert_array_equal(jitted(Local(), X), X - 7)


def test_an_attribute_is_deleted_between_calls() -> None:
    def deleted() -> tuple[Any, ...]:
        layer = Layer()
        del layer.w
        return layer, X

    check_objects(step, [with_layer(), deleted, with_layer()])


def test_an_attribute_is_deleted_by_the_function() -> None:
    def function(layer: Any, x: Any) -> Any:
        del layer.w
        return x * layer.k

    check_objects(function, [with_layer(), with_layer(3, 5.0)], 1)


def test_types_of_attributes_change() -> None:
    values = [1.0, np.ones(3), 1, np.float32(2), 2.5, np.ones(3, "f4")]
    check_objects(lambda layer, x: x * layer.v, [with_layer(v=value) for value in values], 5)


def test_none_at_first() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.c = x * 2 if layer.c is None else layer.c + x
        return layer.c

    check_objects(function, [with_layer(c=None), with_layer(c=X), with_layer(c=None)], 2)


def test_what_is_not_there() -> None:
    def function(layer: Any, x: Any) -> Any:
        if not hasattr(layer, "c"):
            layer.c = x.sum()
        return layer.c * x * getattr(layer, "zz", 7.0)

    check_objects(function, [with_layer(), with_layer(c=4.0), with_layer(), with_layer(zz=2.0)])


@pytest.mark.parametrize("first", [0, 1])
def test_the_same_object_twice(first: int) -> None:
    def function(a: Any, b: Any, layers: Any, x: Any) -> Any:
        a.k = a.k + 1
        b.k = b.k * 2
        for layer in layers:
            layer.w = layer.w + x
        return x * a.k

    def twice() -> tuple[Any, ...]:
        layer, other = Layer(), Layer()
        return layer, layer, [other, other], X

    makes: list[Make] = [lambda: (Layer(), Layer(), [Layer(), Layer()], X), twice]
    check_objects(function, [makes[first], makes[1 - first], makes[first]], 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, x: x * 2 if a is b else x * 3,
        lambda a, b, x: x * 2 if a == b else x * 3,
        lambda a, b, x: x * 2 if a in [b] else x * 3,
    ],
)
def test_comparing_objects(function: Any) -> None:
    def twice() -> tuple[Any, ...]:
        layer = Layer()
        return layer, layer, X

    check_objects(function, [lambda: (Layer(), Layer(), X), twice], 2)


def test_attributes_that_share_memory() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.w += 1
        return layer.v * x

    def shared(view: bool) -> Make:
        def make() -> tuple[Any, ...]:
            layer = Layer()
            vars(layer)["v"] = layer.w[:] if view else layer.w
            return layer, X

        return make

    apart = with_layer(v=np.ones(3))
    for makes in ([apart, shared(False), shared(True), apart], [shared(False), apart, shared(True)]):
        check_objects(function, makes)


def test_lists_that_are_shared() -> None:
    def function(a: Any, b: Any, x: Any) -> Any:
        a.rows.append(x.sum())
        return len(b.rows) + x

    def shared() -> tuple[Any, ...]:
        rows: list[Any] = []
        return Layer(rows=rows), Layer(rows=rows), X

    apart: Make = lambda: (Layer(rows=[]), Layer(rows=[]), X)  # noqa: E731
    check_objects(function, [apart, shared, apart])
    check_objects(function, [shared, apart])


def test_a_read_only_array() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.w[0] += x[0]
        return layer.w

    def frozen() -> tuple[Any, ...]:
        layer = Layer()
        layer.w.flags.writeable = False
        return layer, X

    check_objects(function, [with_layer(), frozen, with_layer()])
    check_objects(function, [frozen, with_layer()])


def test_subclasses_of_arrays_are_refused() -> None:
    class Special(np.ndarray[Any, Any]):
        pass

    jitted = tj.jit(lambda layer, x: x * layer.w)
    jitted(Layer(), X)
    layer = Layer()
    layer.w = layer.w.view(Special)
    with pytest.raises(TypeError, match="Special"):
        jitted(layer, X)


def test_integers_as_sizes_and_indices() -> None:
    def function(layer: Any, x: Any) -> Any:
        y = np.zeros(layer.n)
        for i in range(layer.n):
            y[i] = x[i % 3] * i
        return y[layer.n - 1] + x[layer.n % 3]

    check_objects(function, [with_layer(n) for n in (3, 4, 5, 6, 9, 20)], 1)


def test_results_are_the_objects_of_the_call() -> None:
    jitted = tj.jit(lambda layer: layer.itself())
    first, second = Layer(), Layer(4)
    assert jitted(first) is first and jitted(second) is second and jitted(first) is first
    assert jitted.cache_info().entries == 1


# ------------------------------------------------------------------------------------------------ outside of the call


def test_captured_objects_are_replaced() -> None:
    model = Layer()

    @tj.jit
    def function(x: Any) -> Any:
        model.k = model.k + 1
        return model.forward(x)

    for _ in range(3):
        expected = X * (model.k + 1) + model.w.sum()
        np.testing.assert_array_equal(function(X), expected)
        model = Layer(5, 4.0)
    assert function.cache_info().entries == 1
    model = Other()
    np.testing.assert_array_equal(function(X), X - 2.0)


def test_methods_of_a_class_that_are_compiled() -> None:
    class Model:
        def __init__(self, n: int) -> None:
            self.x, self.v = np.ones(n), np.zeros(n)
            self.history: list[Any] = []

        @tj.jit
        def step(self, dt: float) -> None:
            self.v = self.v - dt * self.x
            self.x += dt * self.v
            self.history.append(self.x.sum())

    for n in (10, 3, 20):
        model, x, v = Model(n), np.ones(n), np.zeros(n)
        for k in range(1, 4):
            model.step(0.1)
            v = v - 0.1 * x
            x = x + 0.1 * v
            np.testing.assert_array_equal(model.x, x)
            assert len(model.history) == k
    assert Model.step.cache_info().entries == 1
    assert Model.step.cache_info().hits == 8


def test_threads() -> None:
    jitted = tj.jit(step)
    wrong = []

    def work(k: int) -> None:
        for n in range(1, 60):
            own, other = Layer(n % 7 + 1, float(k)), Layer(n % 7 + 1, float(k))
            if not same(jitted(own, X * k), step(other, X * k)) or not same(own, other):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert jitted.cache_info().entries == 1


# ------------------------------------------------------------------------------------------------ numbers


def test_numbers_that_must_be_known_are_remembered() -> None:
    def function(layer: Any, x: Any) -> Any:
        return x * {1.0: 2.0, 3.0: 5.0}[layer.k]

    check_objects(function, [with_layer(3, 1.0), with_layer(5, 3.0), with_layer(2, 1.0)], 2)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer versions than usual are enough."""
    monkeypatch.setattr(runtime_function, "_MOST_FOR_NUMBERS", 4)
    monkeypatch.setattr(runtime_function, "_MOST_FOR_OUTSIDE", 6)


@pytest.mark.usefixtures("few")
def test_an_integer_that_selects_runs_uncompiled_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"n{k}" for k in range(100)]

    def function(layer: Any, x: Any) -> Any:
        return x * len(names[layer.n]) * layer.n

    jitted = tj.jit(function)
    caplog.set_level("INFO", "tracejit.guards")
    for n in range(12):
        np.testing.assert_array_equal(jitted(Layer(n), X), function(Layer(n), X))
    assert jitted.cache_info().entries == 4
    assert sum("run uncompiled" in record.getMessage() for record in caplog.records) == 1


def test_a_number_outside_that_changes_is_read_at_each_call(caplog: pytest.LogCaptureFixture) -> None:
    rate, count = 0.5, 2

    @tj.jit
    def function(x: Any) -> Any:
        return x[:count] * rate

    caplog.set_level("INFO", "tracejit.guards")
    for k in range(6):
        rate, count = k / 2, k % 3 + 1
        np.testing.assert_array_equal(function(X), X[:count] * rate)
    assert function.cache_info().entries <= 3
    assert sum("read at each call" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.usefixtures("few")
def test_lists_of_numbers_are_constants(caplog: pytest.LogCaptureFixture) -> None:
    def function(layer: Any, x: Any) -> Any:
        return x * layer.numbers[0] + len(layer.label)

    jitted = tj.jit(function)
    caplog.set_level("INFO", "tracejit.guards")
    for k in range(9):
        own = Layer(numbers=[k, 2.0], label=str(k))
        np.testing.assert_array_equal(jitted(own, X), function(own, X))
    assert jitted.cache_info().entries == 4
    assert sum("run uncompiled" in record.getMessage() for record in caplog.records) == 1


def test_static_objects_are_constants() -> None:
    jitted = tj.jit(lambda x, layer: x**layer.k, static_argnums=1)
    layer = Layer(3, 2.0)
    for k in (2.0, 3.0, 2.0):
        layer.k = k
        np.testing.assert_array_equal(jitted(X, layer), X**k)
    assert jitted.cache_info().entries == 2
    assert "pow" not in jitted.ir(X, layer)


def test_objects_are_not_kept() -> None:
    jitted = tj.jit(step)
    layer = Layer()
    jitted(layer, X)
    jitted(layer, X)
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("few")
def test_contents_that_always_change_run_uncompiled_in_the_end() -> None:
    rows: list[Any] = []

    @tj.jit
    def function(x: Any) -> Any:
        rows.append(x.sum())
        return x * len(rows)

    for k in range(1, 12):
        np.testing.assert_array_equal(function(X), X * k)
    assert len(rows) == 11 and function.cache_info().entries == 6
