"""How the arguments of a call, and objects from outside of it, are taken apart into leaves: plain data, and in Python.

This module owns the description of containers and of the way to captured objects, for calls that machine code answers.
It knows only what such code can check: lists, tuples, dicts with strings as keys, namedtuples and None. What else a
pytree may be is up to ``trace.pytree``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import CellType
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["LEAF", "CallShape", "Lookup", "Node", "find", "flat_shape", "leaf_count", "split_call", "split_value"]

NodeKind: TypeAlias = Literal["leaf", "none", "tuple", "list", "dict", "named"]
LookupKind: TypeAlias = Literal["object", "cell", "global", "argument", "attribute", "list", "tuple", "dict"]


class Node(NamedTuple):
    """A leaf, None, or a container of exactly this type and size; ``keys`` are those of a dict, in their order.

    Which type a ``"named"`` tuple has is not here: types belong to a process (``Program.types``).
    """

    kind: NodeKind
    keys: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def keys_in_order(self) -> Iterator[str]:
        """The keys of all dicts, each before what is below it: the order in which a dict's items are taken."""
        if self.kind == "dict":
            for key, child in zip(self.keys, self.children, strict=True):
                yield key
                yield from child.keys_in_order()
        else:
            for child in self.children:
                yield from child.keys_in_order()


LEAF = Node("leaf")


class CallShape(NamedTuple):
    """What is passed by position, and what by keyword, in the order of the call."""

    positional: tuple[Node, ...] = ()
    keywords: tuple[tuple[str, Node], ...] = ()

    def trees(self) -> list[Node]:
        """The tree of each argument."""
        return [*self.positional, *(tree for _, tree in self.keywords)]


class Lookup(NamedTuple):
    """How an object outside of the call is found.

    Roots: the ``"object"`` itself, what a ``"cell"`` holds, the value of the name ``key`` in a ``"global"`` namespace
    (``Program.roots`` has the object, cell or namespace), and the ``"argument"`` number ``key`` of the call. The others
    start from what another lookup (number ``parent``) found: its ``"attribute"`` called ``key``, or its item at
    ``key`` where it is exactly a ``"list"``, ``"tuple"`` or ``"dict"``.
    """

    kind: LookupKind
    key: str | int = ""
    parent: int = -1


def flat_shape(count: int) -> CallShape:
    """So many positional arguments, all of them leaves."""
    return CallShape((LEAF,) * count)


def leaf_count(trees: Sequence[Node]) -> int:
    """How many leaves the trees have."""
    return sum(node.kind == "leaf" for tree in trees for node in tree.walk())


_EXACT: dict[str, type] = {"none": type(None), "tuple": tuple, "list": list, "dict": dict}


class _MismatchError(Exception):
    """The value has another structure."""


def split_call(
    shape: CallShape, types: Sequence[type], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Any] | None:
    """The leaves of a call, or None where it has another structure; ``types`` are those of its namedtuples."""
    if len(args) != len(shape.positional) or tuple(kwargs) != tuple(name for name, _ in shape.keywords):
        return None
    return _split_all(shape.trees(), iter(types), [*args, *kwargs.values()])


def split_value(tree: Node, types: Sequence[type], value: Any) -> list[Any] | None:
    """The leaves of one value, or None where it has another structure."""
    return _split_all([tree], iter(types), [value])


def _split_all(trees: Sequence[Node], types: Iterator[type], values: Sequence[Any]) -> list[Any] | None:
    leaves: list[Any] = []
    try:
        for tree, value in zip(trees, values, strict=True):
            _split(tree, types, value, leaves)
    except _MismatchError:
        return None
    return leaves


def _split(tree: Node, types: Iterator[type], value: Any, leaves: list[Any]) -> None:
    kind = tree.kind
    if kind == "leaf":
        leaves.append(value)
        return
    wanted: Any = _EXACT.get(kind) or next(types)
    if type(value) is not wanted or (kind != "none" and len(value) != len(tree.children)):
        raise _MismatchError
    if kind == "dict" and tuple(value) != tree.keys:
        raise _MismatchError
    for child, item in zip(tree.children, value.values() if kind == "dict" else value or (), strict=True):
        _split(child, types, item, leaves)


def find(lookups: Sequence[Lookup], roots: Mapping[int, Any], arguments: Sequence[Any] = ()) -> list[Any]:
    """What every lookup finds now, in a call with these arguments; one of ``UNREACHABLE`` is raised where one fails."""
    found: list[Any] = []
    for number, (kind, key, parent) in enumerate(lookups):
        root: Any = roots.get(number)
        if kind == "object":
            found.append(root)
        elif kind == "cell":
            found.append(_content(root))
        elif kind == "global":
            found.append(root[key])
        elif kind == "argument":
            found.append(arguments[int(key)])
        elif kind == "attribute":
            found.append(getattr(found[parent], str(key)))
        else:
            found.append(_item(found[parent], kind, key))
    return found


def _content(cell: Any) -> Any:
    assert isinstance(cell, CellType)
    return cell.cell_contents


def _item(owner: Any, kind: str, key: Any) -> Any:
    exact = type(owner) is _EXACT[kind]
    if not exact:
        raise TypeError(f"a {type(owner).__name__} where a {kind} was")
    return owner[key]
