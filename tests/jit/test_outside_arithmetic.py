"""Arrays of outside containers that Python hands on by itself: arithmetic with two of them is part of the program."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same

X = np.array([1.0, 2.0, 3.0])


def both(p: Any, q: Any) -> Any:
    return p + q


def unpacked(o: Any) -> Any:
    p, q = o.items
    return p + q


def starred(o: Any) -> Any:
    p, *q = o.items
    return p + q[0]


def nested(o: Any) -> Any:
    ((p, q),) = o.nested
    return p + q


def in_loops(o: Any) -> Any:
    total = 0
    for ((p, q),), k in zip([o.nested], [2.0], strict=True):
        total = total + (p + q) * k
    for p, q in o.nested:
        total = total + (p + q)
    return total


FUNCTIONS: list[Callable[[Any], Any]] = [
    unpacked,
    starred,
    nested,
    in_loops,
    lambda o: both(*o.items),
    lambda o: both(*o.nested[0]),
    lambda o: both(**o.named),
    lambda o: sum(o.items),
    lambda o: list(o.items)[1] + tuple(o.items)[1],
    lambda o: next(iter(o.items)) + o.items[-1],
    lambda o: sum(v for v in o.named.values()),
]


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_arithmetic_with_outside_arrays(function: Callable[[Any], Any], kind: Any) -> None:
    own = types.SimpleNamespace()
    jitted = tj.jit(lambda: function(own), exact=True)
    for k in range(3):
        p, q = X + k, X * 2
        own.items, own.nested, own.named = kind([p, q]), kind([(p, q)]), {"p": p, "q": q}
        for _ in range(2):
            assert_same(jitted(), function(own))
            p[0] += 1


def test_unpacked_lists_are_themselves() -> None:
    rows: list[Any] = []
    state = (rows, X.copy(), 3)

    @tj.jit
    def function(x: Any) -> Any:
        own, w, k = state
        own.append(x.sum() * k)
        return x + w + w

    for k in range(1, 4):
        np.testing.assert_array_equal(function(X), X + state[1] + state[1])
        state[1][0] = k
        assert len(rows) == k
