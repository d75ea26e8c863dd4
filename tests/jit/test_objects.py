"""Objects of the user's classes: one program for all that look alike to the function, and none that is stale."""

from __future__ import annotations

import dataclasses
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj

X = np.array([1.0, 2.0, 3.0])
Make = Callable[[], tuple[Any, ...]]


# ------------------------------------------------------------------------------------------------ what is compared


def same(a: Any, b: Any, depth: int = 0) -> bool:
    """Whether two results, or two objects, look the same, attribute by attribute."""
    if type(a) is not type(b):
        return False
    if isinstance(b, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, depth + 1) for x, y in zip(a, b, strict=True))
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key], depth + 1) for key in b)
    if callable(b) or depth > 6:
        return True
    if hasattr(b, "__dict__"):
        return same(vars(a), vars(b), depth + 1)
    if hasattr(b, "__slots__"):
        return all(same(getattr(a, name, None), getattr(b, name, None), depth + 1) for name in b.__slots__)
    return bool(a == b)


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """What a call gives, or the class of what it raises."""
    try:
        return function(*arguments), None
    except (AttributeError, ValueError, IndexError) as error:
        return None, type(error)


def check(function: Callable[..., Any], makes: list[Make], versions: int | None = None) -> Any:
    """Call compiled and plain on equal objects, one pair after the other, and compare all that a caller sees."""
    jitted = tj.jit(function, exact=True)
    for turn in range(2):
        for k, make in enumerate(makes):
            own, other = make(), make()
            found, expected = outcome(jitted, own), outcome(function, other)
            assert found[1] is expected[1], (turn, k, found, expected)
            assert same(found[0], expected[0]), (turn, k, found, expected)
            assert same(own, other), (turn, k, own, other)
    if versions is not None:
        assert jitted.cache_info().entries == versions
    return jitted


class Layer:
    """Arrays, numbers, methods, a property."""

    rate: Any = 2.0

    def __init__(self, n: int = 3, k: float = 1.0, **more: Any) -> None:
        self.w = np.arange(float(n)) * k
        self.k = k
        self.n = n
        vars(self).update(more)

    @property
    def energy(self) -> Any:
        return (self.w**2).sum() * self.k

    def forward(self, x: Any) -> Any:
        return x * self.k + self.w.sum()

    def itself(self) -> Any:
        return self


class Other(Layer):
    def forward(self, x: Any) -> Any:
        return x - self.k


def step(layer: Any, x: Any) -> Any:
    layer.w = layer.w * layer.k
    layer.k = layer.k + 1
    return layer.forward(x)


def with_layer(*arguments: Any, **more: Any) -> Make:
    return lambda: (Layer(*arguments, **more), X.copy())


# ------------------------------------------------------------------------------------------------ by class


def test_sizes_and_values_compile_nothing() -> None:
    check(step, [with_layer(), with_layer(5, 2.0), with_layer(7, -1.0), with_layer(0)], 1)


def test_classes_are_told_apart() -> None:
    check(step, [with_layer(), lambda: (Other(5, 2.0), X), with_layer(7, -1.0), lambda: (Other(), X)], 2)


def test_a_property_is_traced_after_a_write() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.w = layer.w + 1
        return layer.energy * x

    check(function, [with_layer(), with_layer(4, 3.0)], 1)


def test_class_attributes_and_what_hides_them() -> None:
    rates = [{}, {"rate": 5.0}, {"rate": 3}, {"rate": np.ones(3) * 4}, {"rate": np.float32(2)}]
    check(lambda layer, x: x * layer.rate, [with_layer(**more) for more in (*rates, {})], 4)


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
    check(lambda layer, x: layer.forward(x), [with_layer(), with_layer(**hidden), with_layer()])
    jitted = tj.jit(lambda layer, x: layer.forward(x))
    np.testing.assert_array_equal(jitted(Local(), X), Local().forward(X))
    Local.forward = lambda self, x: x - 7  # type: ignore[method-assign]
    np.testing.assert_array_equal(jitted(Local(), X), X - 7)


def test_an_attribute_is_deleted_between_calls() -> None:
    def deleted() -> tuple[Any, ...]:
        layer = Layer()
        del layer.w
        return layer, X

    check(step, [with_layer(), deleted, with_layer()])


def test_an_attribute_is_deleted_by_the_function() -> None:
    def function(layer: Any, x: Any) -> Any:
        del layer.w
        return x * layer.k

    check(function, [with_layer(), with_layer(3, 5.0)], 1)


def test_types_of_attributes_change() -> None:
    values = [1.0, np.ones(3), 1, np.float32(2), 2.5, np.ones(3, "f4")]
    check(lambda layer, x: x * layer.v, [with_layer(v=value) for value in values], 5)


def test_none_at_first() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.c = x * 2 if layer.c is None else layer.c + x
        return layer.c

    check(function, [with_layer(c=None), with_layer(c=X), with_layer(c=None)], 2)


def test_what_is_not_there() -> None:
    def function(layer: Any, x: Any) -> Any:
        if not hasattr(layer, "c"):
            layer.c = x.sum()
        return layer.c * x * getattr(layer, "zz", 7.0)

    check(function, [with_layer(), with_layer(c=4.0), with_layer(), with_layer(zz=2.0)])


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
    check(function, [makes[first], makes[1 - first], makes[first]], 2)


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

    check(function, [lambda: (Layer(), Layer(), X), twice], 2)


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
        check(function, makes)


def test_lists_that_are_shared() -> None:
    def function(a: Any, b: Any, x: Any) -> Any:
        a.rows.append(x.sum())
        return len(b.rows) + x

    def shared() -> tuple[Any, ...]:
        rows: list[Any] = []
        return Layer(rows=rows), Layer(rows=rows), X

    apart: Make = lambda: (Layer(rows=[]), Layer(rows=[]), X)  # noqa: E731
    check(function, [apart, shared, apart])
    check(function, [shared, apart])


def test_a_read_only_array() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.w[0] += x[0]
        return layer.w

    def frozen() -> tuple[Any, ...]:
        layer = Layer()
        layer.w.flags.writeable = False
        return layer, X

    check(function, [with_layer(), frozen, with_layer()])
    check(function, [frozen, with_layer()])


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

    check(function, [with_layer(n) for n in (3, 4, 5, 6, 9, 20)], 1)


def test_results_are_the_objects_of_the_call() -> None:
    jitted = tj.jit(lambda layer: layer.itself())
    first, second = Layer(), Layer(4)
    assert jitted(first) is first and jitted(second) is second and jitted(first) is first
    assert jitted.cache_info().entries == 1


# ------------------------------------------------------------------------------------------------ kinds of classes


@dataclasses.dataclass(slots=True)
class Slotted:
    w: Any
    k: float

    def step(self, x: Any) -> Any:
        self.w = self.w * 2
        self.k = self.k + 1
        return x * self.k + self.w


class WithSlots:
    __slots__ = ("k", "w")

    def __init__(self, k: float) -> None:
        self.w, self.k = X * k, k

    step = Slotted.step


@dataclasses.dataclass
class Config:
    rate: float
    bias: Any


class Net:
    def __init__(self, *layers: Any) -> None:
        self.layers = list(layers)
        self.table = {"r": 0.5, "b": np.ones(3)}
        self.inner = types.SimpleNamespace(q=2.0)
        self.config = Config(0.5, X * 2)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer.forward(x)
        self.inner.q = self.inner.q + 1
        return x * self.table["r"] + self.table["b"] * self.inner.q + self.config.rate * self.config.bias


class Private:
    def __init__(self, k: float) -> None:
        self.__k = k
        self.w = X * k

    def step(self, x: Any) -> Any:
        self.w: Any = self.w + self.__k * x
        self.__k = self.__k + 1
        return self.w


class Vector:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __mul__(self, k: Any) -> Any:
        return self.data * k

    def __add__(self, other: Any) -> Any:
        return Vector(self.data + other.data)


class Table:
    def __init__(self, k: float) -> None:
        self.data = {"w": X * k}

    def __getattr__(self, name: str) -> Any:
        if name != "w":
            raise AttributeError(name)
        return self.data[name]


class Doubling:
    def __init__(self) -> None:
        self._k = 1.0

    @property
    def k(self) -> float:
        return self._k

    @k.setter
    def k(self, value: Any) -> None:
        self._k = value * 2


def test_slots() -> None:
    check(Slotted.step, [lambda: (Slotted(X, 1.0), X), lambda: (Slotted(np.ones(3), 3.0), X)], 1)
    check(WithSlots.step, [lambda: (WithSlots(1.0), X), lambda: (WithSlots(3.0), X)], 1)


def test_nested_objects() -> None:
    nets = [Net, lambda: Net(Layer(), Layer(4)), lambda: Net(Layer(5), Layer(6, 3.0)), lambda: Net(Layer(5), Other(6))]
    check(Net.forward, [lambda make=make: (make(), X) for make in nets], 3)  # type: ignore[misc]


def test_private_names() -> None:
    check(Private.step, [lambda: (Private(1.0), X), lambda: (Private(5.0), X)], 1)


def test_operators_of_classes_see_the_object_of_the_call() -> None:
    vectors = [X, X * 5, np.ones(3)]
    check(lambda v, x: v * x, [lambda d=d: (Vector(d), X) for d in vectors])  # type: ignore[misc]
    check(lambda v, x: v + Vector(x), [lambda d=d: (Vector(d), X) for d in vectors])  # type: ignore[misc]


def test_computed_attributes() -> None:
    check(lambda t, x: t.w * x, [lambda: (Table(1.0), X), lambda: (Table(5.0), X)], 1)

    def function(d: Any, x: Any) -> Any:
        d.k = d.k + x[0]
        return x * d.k

    check(function, [lambda: (Doubling(), X), lambda: (Doubling(), X * 2)], 1)


def test_descriptors_that_set_are_refused() -> None:
    class Recorded:
        def __get__(self, owner: Any, kind: Any = None) -> Any:
            return self if owner is None else vars(owner)["_x"]

        def __set__(self, owner: Any, value: Any) -> None:
            vars(owner)["_x"] = value

    class Holder:
        x = Recorded()

    def function(holder: Any, x: Any) -> Any:
        holder.x = x * 2
        return x

    holder = Holder()
    with pytest.raises(tj.UnsupportedError, match="descriptor"):
        tj.jit(function)(holder, X)
    assert not vars(holder)


# ------------------------------------------------------------------------------------------------ unseen reads


class Reader:
    def __init__(self, layer: Any, x: Any) -> None:
        self.y = x * layer.k + layer.w[0]


def matched(layer: Any, x: Any) -> Any:
    match layer:
        case Layer(k=k):
            return x * k
    return x


@pytest.mark.parametrize(
    "function",
    [
        lambda layer, x: Reader(layer, x).y,
        lambda layer, x: sorted([layer], key=lambda own: own.k)[0].k * x,
        lambda layer, x: f"{layer.k}" and x * layer.k,
        lambda layer, x: {layer: 2.0}[layer] * x * layer.k,
        lambda layer, x: vars(layer)["k"] * x + layer.__dict__["w"],
        matched,
    ],
)
def test_what_tracing_does_not_see(function: Any) -> None:
    makes = [with_layer(), with_layer(3, 5.0), with_layer(3, -2.0)]
    check(function, makes)
    layer, jitted = Layer(), tj.jit(function, exact=True)
    for k in (1.0, 4.0, 1.0):
        layer.k = k
        assert same(jitted(layer, X), function(layer, X))


def test_a_memo_by_object() -> None:
    known = Layer()
    memo = {known: 3.0}
    jitted = tj.jit(lambda layer, x: memo.get(layer, 1.0) * x)
    for layer in (known, Layer(), known):
        np.testing.assert_array_equal(jitted(layer, X), memo.get(layer, 1.0) * X)


# ------------------------------------------------------------------------------------------------ objects that are made


class Linked:
    def __init__(self, value: Any, following: Any = None) -> None:
        self.value, self.following = value, following


def test_new_objects_are_results() -> None:
    check(lambda x: [Linked(x + 1, Linked(x * 2)), Linked(x.sum()), 3], [lambda: (X,), lambda: (X * 2,)], 1)


def test_new_objects_are_stored() -> None:
    def function(layer: Any, x: Any) -> Any:
        layer.last = Linked(x * layer.k, layer)
        return layer.last.value

    layer, jitted = Layer(3, 2.0), tj.jit(function)
    for k in (1, 2):
        np.testing.assert_array_equal(jitted(layer, X * k), X * k * 2)
        found: Any = layer.last  # type: ignore[attr-defined]
        assert found.following is layer and same(found.value, X * k * 2)


def test_new_objects_in_a_circle_are_refused() -> None:
    def function(x: Any) -> Any:
        own = Linked(x * 2)
        own.following = own
        return own

    with pytest.raises(tj.UnsupportedError, match="in two places"):
        tj.jit(function)(X)


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
