"""Kinds of classes, reads of their objects that tracing does not see, and objects that compiled functions make."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.objects import Layer, Other, X, check_objects, same, with_layer
from tracejit.runtime import layout

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


class Polynomial:
    """Arrays and numbers in containers, which operators read and change."""

    def __init__(self, *parts: Any) -> None:
        self.parts = list(parts)
        self.ends = (parts[0], parts[-1])
        self.table = {"first": parts[0]}

    def __add__(self, other: Any) -> Any:
        return Polynomial(*[a + b for a, b in zip(self.parts, other.parts, strict=True)])

    def __getitem__(self, k: int) -> Any:
        return self.parts[k] + self.ends[0] + self.table["first"]

    def __iadd__(self, other: Any) -> Any:
        self.parts[0] = self.parts[0] + other.parts[0]
        self.parts.append(other.parts[1])
        self.table["new"] = other.parts[0] * 2
        return self

    def __len__(self) -> int:
        return len(self.parts)


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
    check_objects(Slotted.step, [lambda: (Slotted(X, 1.0), X), lambda: (Slotted(np.ones(3), 3.0), X)], 1)
    check_objects(WithSlots.step, [lambda: (WithSlots(1.0), X), lambda: (WithSlots(3.0), X)], 1)


def test_nested_objects() -> None:
    nets = [Net, lambda: Net(Layer(), Layer(4)), lambda: Net(Layer(5), Layer(6, 3.0)), lambda: Net(Layer(5), Other(6))]
    check_objects(Net.forward, [lambda make=make: (make(), X) for make in nets], 3)  # type: ignore[misc]


def test_private_names() -> None:
    check_objects(Private.step, [lambda: (Private(1.0), X), lambda: (Private(5.0), X)], 1)


def test_operators_of_classes_see_the_object_of_the_call() -> None:
    vectors = [X, X * 5, np.ones(4)[:3]]
    check_objects(lambda v, x: v * x, [lambda d=d: (Vector(d), X) for d in vectors], 1)  # type: ignore[misc]
    check_objects(lambda v, x: v + Vector(x), [lambda d=d: (Vector(d), X) for d in vectors], 1)  # type: ignore[misc]
    check_objects(lambda v, x: (v + v).data * x, [lambda d=d: (Vector(d), X) for d in vectors], 1)  # type: ignore[misc]


def added(p: Any, q: Any, x: Any) -> Any:
    p += q
    return p.parts[0] * x + len(p)


@pytest.mark.parametrize("function", [lambda p, q, x: (p + q).parts[0] * x, lambda p, q, x: p[0] * x + q[1], added])
def test_operators_on_containers(function: Any) -> None:
    firsts = [X, X * 5, 2.0, X[:2], 3.0]
    made = [
        lambda a=a: (Polynomial(a * 1, X * 2), Polynomial(a * 3, X + 1), X if np.ndim(a) == 0 else X[: np.size(a)])
        for a in firsts
    ]
    check_objects(function, made, 2)  # type: ignore[arg-type]


def test_operators_see_what_changes() -> None:
    one, other = Vector(X.copy()), Vector(X * 2)
    jitted = tj.jit(lambda: one + other, exact=True)
    for k in range(3):
        one.data[0] = k
        assert same(jitted(), one + other)
        one.data = np.ones(3) * k
        assert same(jitted(), one + other)
    one = Vector(X * 7)
    assert same(jitted(), one + other)
    assert jitted.cache_info().entries == 1


class Dual:
    def __init__(self, v: Any, e: Any) -> None:
        self.v, self.e = v, e

    def __mul__(self, other: Any) -> Any:
        return Dual(self.v * other.v, self.v * other.e + self.e * other.v)

    def __iadd__(self, other: Any) -> Any:
        self.v = self.v + other.v
        self.e += other.e
        self.count = getattr(self, "count", 0) + 1
        return self


def test_operators_on_numbers_and_in_place() -> None:
    def function(a: Any, b: Any, x: Any) -> Any:
        a += b
        return a * b, a.count + x

    made = [lambda k=k: (Dual(k * 1.0, 2.0), Dual(3.0, k + 0.5), X) for k in range(4)]
    check_objects(function, made, 1)  # type: ignore[arg-type]
    counted = Dual(1.0, 2.0)
    counted.count = 5
    jitted = tj.jit(function)
    jitted(Dual(1.0, 2.0), Dual(1.0, 2.0), X)
    assert jitted(counted, Dual(1.0, 2.0), X)[1][0] == 7 and counted.count == 6


def test_computed_attributes() -> None:
    check_objects(lambda t, x: t.w * x, [lambda: (Table(1.0), X), lambda: (Table(5.0), X)], 1)

    def function(d: Any, x: Any) -> Any:
        d.k = d.k + x[0]
        return x * d.k

    check_objects(function, [lambda: (Doubling(), X), lambda: (Doubling(), X * 2)], 1)


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
    check_objects(function, makes)
    layer, jitted = Layer(), tj.jit(function, exact=True)
    for k in (1.0, 4.0, 1.0):
        layer.k = k
        layer.w[0] = k + 1
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
    check_objects(lambda x: [Linked(x + 1, Linked(x * 2)), Linked(x.sum()), 3], [lambda: (X,), lambda: (X * 2,)], 1)


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


# ------------------------------------------------------------------------------------------------ machine code


@dataclasses.dataclass
class State:
    w: Any
    inner: Any
    k: float = 2.0


def through_dataclass(state: Any, x: Any) -> Any:
    state.w = state.w * state.k + state.inner["b"][0]
    return x * state.k


def through_lists(layers: Any, x: Any) -> Any:
    for layer in layers:
        layer.k = layer.k + 1
        x = layer.forward(x)
    return x


def through_callback(layer: Any, x: Any) -> Any:
    layer.k = np.linalg.cond(layer.w.reshape(1, 3)) + layer.k
    return x + layer.k


def through_slots(own: Any, x: Any) -> Any:
    return own.step(x)


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize(
    ("function", "make"),
    [
        (through_dataclass, lambda: State(X * 2, {"b": (X + 1,)})),
        (lambda states, x: through_dataclass(states[1], x), lambda: [3, State(X * 2, {"b": (X + 1,)}, 0.5)]),
        (through_slots, lambda: Slotted(X * 1, 1.0)),
        (through_slots, lambda: WithSlots(1.0)),
        (through_lists, lambda: [Layer(3), Layer(4, 2.0)]),
        (through_callback, Layer),
        (lambda v, x: (v + v).data * x, lambda: Vector(X * 2)),
        (lambda net, x: net.forward(x), lambda: Net(Layer(), Layer(4))),
    ],
)
def test_machine_code_answers(function: Any, make: Any) -> None:
    jitted = tj.jit(function, exact=True)
    own, other = make(), make()
    for k in range(5):
        assert same(jitted(own, X + k), function(other, X + k))
        assert same(own, other)
    if layout.problem() is None:
        assert jitted._hits >= 3


# ------------------------------------------------------------------------------------------------ ways that change


class Inner:
    def __init__(self, k: float) -> None:
        self.k, self.w = k, X * k
        self.rows: list[Any] = []


class Holder:
    def __init__(self, k: float) -> None:
        self.a, self.b = Inner(k), Inner(k + 1)
        self.config = FrozenConfig(k)

    @functools.cached_property
    def norm(self) -> Any:
        return np.sqrt((self.a.w**2).sum()) * self.a.k


@dataclasses.dataclass(frozen=True)
class FrozenConfig:
    k: float


def exchanged(holder: Any, x: Any) -> Any:
    old = holder.a
    holder.a = holder.b
    old.k = old.k + 5
    holder.a.k = holder.a.k * 2
    holder.b = old
    return holder.a.k * x + holder.b.k


def made_anew(holder: Any, x: Any) -> Any:
    holder.a.k = holder.a.k + 1
    holder.a = Inner(9.0)
    holder.a.k = holder.a.k + 1
    return x * holder.a.k


def swapped(holder: Any, x: Any) -> Any:
    holder.a, holder.b = holder.b, holder.a
    holder.a.w = holder.a.w + x
    holder.b.rows.append(x.sum())
    holder.a.rows += [1.0, x]
    return holder.a.w


def removed(holder: Any, x: Any) -> Any:
    own = holder.a
    holder.a = None
    own.w = own.w * 2
    own.rows.append(2.0)
    return own.w + x


def cached(holder: Any, x: Any) -> Any:
    holder.a.w = holder.a.w + x
    return holder.norm * x


def replaced(holder: Any, x: Any) -> Any:
    holder.config = dataclasses.replace(holder.config, k=holder.config.k + 1)
    return x * holder.config.k


@pytest.mark.parametrize("function", [exchanged, made_anew, swapped, removed, cached])
def test_ways_to_objects_change(function: Any) -> None:
    check_objects(function, [lambda: (Holder(1.0), X), lambda: (Holder(3.0), X)], 1)


def test_frozen_objects_are_replaced() -> None:
    holder, other, jitted = Holder(1.0), Holder(1.0), tj.jit(replaced)
    for _ in range(3):
        assert same(jitted(holder, X), replaced(other, X)) and same(holder, other)


def test_classes_that_set_attributes_themselves_are_refused() -> None:
    class Counting:
        def __setattr__(self, name: str, value: Any) -> None:
            vars(self)[name] = value
            vars(self)["count"] = vars(self).get("count", 0) + 1

    own = Counting()
    own.k = 1.0
    with pytest.raises(tj.UnsupportedError, match="Counting defines __setattr__"):
        tj.jit(lambda own, x: setattr(own, "k", x.sum()))(own, X)
    assert vars(own) == {"k": 1.0, "count": 1}
