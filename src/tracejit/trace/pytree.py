"""Nested containers of arguments and results: flattened to a list of leaves and a hashable description, and back.

Tuples, lists, dicts, namedtuples, dataclasses and None are handled here; types registered with optree (globally, or in
its namespace "tracejit") go through it.
"""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["LEAF", "Tree", "add_container", "flatten", "leaf_names", "map_leaves", "replace_containers", "unflatten"]


class Tree:
    """The shape of a pytree: what kind of container, its static data, and the shapes of its children."""

    __slots__ = ("_hash", "children", "data", "kind", "size")

    def __init__(self, kind: str, data: Any = None, children: tuple[Tree, ...] = ()) -> None:
        self.kind = kind
        self.data = data
        self.children = children
        self.size: int = 1 if kind == "leaf" else sum(child.size for child in children)
        if kind == "optree":
            self.size = data.num_leaves
        self._hash = hash((kind, data, children))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Tree)
            and self._hash == other._hash
            and self.kind == other.kind
            and self.data == other.data
            and self.children == other.children
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        if self.kind == "leaf":
            return "*"
        return f"{self.kind}({', '.join(map(repr, self.children))})"


LEAF = Tree("leaf")
NAMESPACE = "tracejit"
_NONE = Tree("none")


def flatten(value: Any) -> tuple[list[Any], Tree]:
    """The leaves of a pytree in order, and its shape.

    Example:
        >>> flatten({"a": 1, "b": (2, None)})
        ([1, 2], dict(*, tuple(*, none())))
    """
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves)


def _flatten(value: Any, leaves: list[Any]) -> Tree:
    kind = type(value)
    split = _CONTAINERS.get(kind)
    if split is None:
        if value is None:
            return _NONE
        split = _splitter(kind)
        if split is None:
            return _flatten_registered(value, leaves)
    name, data, children = split(value)
    return Tree(name, data, tuple([_flatten(child, leaves) for child in children]))


def _split_tuple(value: Any) -> tuple[str, Any, Any]:
    return "tuple", None, value


def _split_list(value: Any) -> tuple[str, Any, Any]:
    return "list", None, value


def _split_dict(value: Any) -> tuple[str, Any, Any]:
    return "dict", tuple(value), value.values()


def _split_ordered(value: Any) -> tuple[str, Any, Any]:
    return "ordered", tuple(value), value.values()


def _split_default(value: Any) -> tuple[str, Any, Any]:
    return "default", (value.default_factory, tuple(value)), value.values()


def _split_named(value: Any) -> tuple[str, Any, Any]:
    return "named", type(value), value


def _split_dataclass(value: Any) -> tuple[str, Any, Any]:
    names = tuple(field.name for field in dataclasses.fields(value))
    return "dataclass", (type(value), names), [getattr(value, name) for name in names]


Splitter = Callable[[Any], tuple[str, Any, Any]]
_CONTAINERS: dict[type, Splitter] = {
    tuple: _split_tuple,
    list: _split_list,
    dict: _split_dict,
    OrderedDict: _split_ordered,
    defaultdict: _split_default,
}


def _splitter(kind: type) -> Splitter | None:
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _split_named
    if dataclasses.is_dataclass(kind):
        return _split_dataclass
    return None


def _flatten_registered(value: Any, leaves: list[Any]) -> Tree:
    # Only a program that has imported optree can have registered a type with it.
    optree: Any = sys.modules.get("optree")
    if optree is not None and not optree.tree_is_leaf(value, namespace=NAMESPACE):
        parts, spec = optree.tree_flatten(value, namespace=NAMESPACE)
        leaves.extend(parts)
        return Tree("optree", spec)
    leaves.append(value)
    return LEAF


def unflatten(tree: Tree, leaves: Any) -> Any:
    """The pytree of a shape with these leaves."""
    return _build(tree, iter(leaves))


def _build(tree: Tree, leaves: Iterator[Any]) -> Any:
    if tree.kind == "leaf":
        return next(leaves)
    if tree.kind == "none":
        return None
    if tree.kind == "optree":
        import optree  # noqa: PLC0415  (only programs that use it pay for the import)

        return optree.tree_unflatten(tree.data, [next(leaves) for _ in range(tree.size)])
    return _BUILD[tree.kind](tree.data, [_build(child, leaves) for child in tree.children])


def _build_dataclass(data: Any, values: list[Any]) -> Any:
    kind, names = data
    result = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(result, name, value)
    return result


_BUILD: dict[str, Callable[[Any, list[Any]], Any]] = {
    "tuple": lambda data, values: tuple(values),
    "list": lambda data, values: values,
    "dict": lambda data, values: dict(zip(data, values, strict=True)),
    "ordered": lambda data, values: OrderedDict(zip(data, values, strict=True)),
    "default": lambda data, values: defaultdict(data[0], zip(data[1], values, strict=True)),
    "named": lambda data, values: tuple.__new__(data, values),  # SciPy's have constructors with more arguments
    "dataclass": _build_dataclass,
}


def add_container(kind: type, split: Splitter, name: str, build: Callable[[Any, list[Any]], Any]) -> None:
    """Let values of one more class be containers: how to take them apart, and how to make them anew."""
    _CONTAINERS[kind] = split
    _BUILD[name] = build


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The same pytree with every leaf replaced."""
    leaves, tree = flatten(value)
    return unflatten(tree, [function(leaf) for leaf in leaves])


def replace_containers(replacement: Callable[[Any], Any], value: Any) -> Any:
    """The same pytree with a leaf in the place of each container that ``replacement`` gives another object for."""
    other = replacement(value)
    split = _CONTAINERS.get(type(value)) or _splitter(type(value))
    if other is not value or split is None:
        return other
    kind, data, children = split(value)
    parts = [replace_containers(replacement, child) for child in children]
    if all(map(operator.is_, parts, children)):
        return value
    return _BUILD[kind](data, parts)


def leaf_names(tree: Tree, root: str = "") -> list[str]:
    """A name for each leaf, for messages: ``params['w'][0]``."""
    if tree.kind == "leaf":
        return [root]
    if tree.kind == "optree":
        return [f"{root}[...]" for _ in range(tree.size)]
    names: list[str] = []
    for label, child in zip(_labels(tree), tree.children, strict=True):
        names.extend(leaf_names(child, root + label))
    return names


def _labels(tree: Tree) -> list[str]:
    if tree.kind in ("dict", "ordered"):
        return [f"[{key!r}]" for key in tree.data]
    if tree.kind == "default":
        return [f"[{key!r}]" for key in tree.data[1]]
    if tree.kind == "named":
        return [f".{name}" for name in tree.data._fields]
    if tree.kind == "dataclass":
        return [f".{name}" for name in tree.data[1]]
    return [f"[{position}]" for position in range(len(tree.children))]
