"""Objects of a class as arguments: what compares a compiled function with the plain one on equal objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tracejit as tj

__all__ = ["Layer", "Make", "Other", "X", "check_objects", "same", "step", "with_layer"]

X = np.array([1.0, 2.0, 3.0])
Make = Callable[[], tuple[Any, ...]]


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


def check_objects(function: Callable[..., Any], makes: list[Make], versions: int | None = None) -> Any:
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
