"""Objects that a traced function makes, of the user's classes, as results: taken apart into their attributes.

Each call makes such an object anew, without running ``__init__`` again, as pytrees do with dataclasses.
"""

from __future__ import annotations

from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.trace.captures import CaptureTable
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.instances import is_made_of_attributes, own_attributes
from tracejit.trace.pytree import LEAF, Tree, flatten

__all__ = ["flatten_result"]


def flatten_result(output: Any, captures: CaptureTable) -> tuple[list[Any], Tree]:
    """The leaves of what a traced function returns, and its structure, with new objects as dataclasses."""
    return _Flattener(captures).flatten(output)


class _Flattener:
    def __init__(self, captures: CaptureTable) -> None:
        self.captures = captures
        self.known: set[int] = set()

    def flatten(self, value: Any) -> tuple[list[Any], Tree]:
        """Like ``pytree.flatten``."""
        leaves, tree = flatten(value)
        if not any(map(self._is_new, leaves)):
            return leaves, tree
        found: list[Any] = []
        return found, self._expanded(tree, iter(leaves), found)

    def _is_new(self, leaf: Any) -> bool:
        return _is_users(leaf) and self.captures.path_of(leaf) is None and _holds_tracers(leaf, {id(leaf)})

    def _expanded(self, tree: Tree, leaves: Any, found: list[Any]) -> Tree:
        if tree.kind == "optree":
            found += [next(leaves) for _ in range(tree.size)]
            return tree
        if tree.kind != "leaf":
            return Tree(tree.kind, tree.data, tuple(self._expanded(child, leaves, found) for child in tree.children))
        leaf = next(leaves)
        if not self._is_new(leaf):
            found.append(leaf)
            return LEAF
        if id(leaf) in self.known:
            raise UnsupportedError(
                f"the function gives one {type(leaf).__name__} in two places, or inside of itself; return it once"
            )
        self.known.add(id(leaf))
        parts = own_attributes(leaf)
        children = []
        for part in parts.values():
            own, child = self.flatten(part)
            found += own
            children.append(child)
        return Tree("dataclass", (type(leaf), tuple(parts)), tuple(children))


def _is_users(leaf: Any) -> bool:
    return is_made_of_attributes(leaf) and type(leaf).__module__.split(".")[0] not in ("tracejit", "numpy", "scipy")


def _holds_tracers(value: Any, seen: set[int]) -> bool:
    """Whether something traced is among the attributes of an object, or below them."""
    for part in own_attributes(value).values():
        leaves, _ = flatten(part)
        for leaf in leaves:
            if contains_tracer(leaf):
                return True
            if id(leaf) not in seen and _is_users(leaf):
                seen.add(id(leaf))
                if _holds_tracers(leaf, seen):
                    return True
    return False
