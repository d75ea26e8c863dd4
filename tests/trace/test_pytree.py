"""Flattening and rebuilding of nested containers."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.trace.harness import check
from tracejit.trace.pytree import flatten, leaf_names, map_leaves, unflatten

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class State:
    w: Any
    names: tuple[str, ...] = ()


TREES = [
    1, None, (), [], {}, (1, [2, {"a": 3, "b": (None, 4)}]), Point(1, (2, 3)), State([1, 2], ("a",)),
    OrderedDict(b=1, a=2), defaultdict(list, a=[1]), {"z": 1, "a": 2}, "text",
]  # fmt: skip


@pytest.mark.parametrize("value", TREES, ids=repr)
def test_round_trip(value: Any) -> None:
    leaves, tree = flatten(value)
    again = unflatten(tree, leaves)
    assert again == value and type(again) is type(value)
    assert tree == flatten(value)[1] and hash(tree) == hash(flatten(value)[1])
    assert len(leaf_names(tree)) == len(leaves) == tree.size


def test_shapes_differ() -> None:
    shapes = [flatten(value)[1] for value in TREES if not isinstance(value, (str, int))]
    assert len(set(shapes)) == len(shapes)


def test_names_of_leaves() -> None:
    _, tree = flatten({"p": (1, Point(2, State(3)))})
    assert leaf_names(tree, "args") == ["args['p'][0]", "args['p'][1].x", "args['p'][1].y.w"]


def test_map() -> None:
    assert map_leaves(lambda v: v * 2, {"a": (1, [2])}) == {"a": (2, [4])}


def test_types_registered_with_optree() -> None:
    import optree

    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

    optree.register_pytree_node(Pair, lambda p: ((p.a, p.b), None), lambda _, c: Pair(*c), namespace="tracejit")  # type: ignore[arg-type]
    leaves, tree = flatten({"p": Pair(1, (2, 3))})
    assert leaves == [1, 2, 3]
    assert unflatten(tree, [4, 5, 6])["p"].b == (5, 6)


def test_through_a_trace() -> None:
    check(
        lambda s, p: (State(s.w + 1, s.names), Point(p.y, p.x), {"k": [s.w]}), State(np.ones(2), ("a",)), Point(1, 2.5)
    )
