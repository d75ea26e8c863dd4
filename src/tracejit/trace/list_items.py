"""What the items of a traced list are: numbers, arrays, lists of numbers, or tuples of those, and their columns.

A list keeps one array for each leaf of its items; all items have one structure and leaves of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.types import ArrayType
from tracejit.trace.base import Tracer
from tracejit.trace.dtypes import PYTHON_DTYPES
from tracejit.trace.pytree import LEAF, Tree, unflatten
from tracejit.trace.registry import call
from tracejit.trace.scalar import number
from tracejit.trace.state import Kind, join, kind_of, operand_as, same_dims
from tracejit.trace.values import cast

__all__ = [
    "EMPTY",
    "Item",
    "ListShape",
    "comes_before",
    "element_of",
    "equal_forms",
    "has_mixed_rows",
    "item_of",
    "join_items",
    "rebuilt",
    "row_kind",
    "split",
    "stored",
]


@dataclass(frozen=True)
class Item:
    """The structure of an item, and the kind of each leaf. A leaf of form "list" is a list of numbers, or of lists."""

    tree: Tree
    kinds: tuple[Kind, ...]

    @property
    def single(self) -> Kind | None:
        """The kind of an item that is one leaf."""
        return self.kinds[0] if self.tree is LEAF else None

    def __str__(self) -> str:
        shown = [_shown(kind) for kind in self.kinds]
        return shown[0] if self.tree is LEAF else f"a tuple of {', '.join(shown)}"


EMPTY = Item(Tree("tuple"), ())  # of a list that has none


def _shown(kind: Kind) -> str:
    return f"a list of shape {kind.type.dims}" if kind.form == "list" else str(kind)


def split(value: Any) -> tuple[list[Any], Tree]:
    """The leaves of an item: tuples are taken apart, lists and arrays are leaves."""
    leaves: list[Any] = []
    return leaves, _split(value, leaves)


def _split(value: Any, leaves: list[Any]) -> Tree:
    if isinstance(value, tuple) and not isinstance(value, Tracer):
        named = type(value) is not tuple
        children = tuple(_split(child, leaves) for child in value)
        return Tree("named" if named else "tuple", type(value) if named else None, children)
    leaves.append(value)
    return LEAF


def item_of(value: Any) -> Item | None:
    """The item that a value is; None for what the program does not compute."""
    leaves, tree = split(value)
    kinds = [_kind(leaf) for leaf in leaves]
    return None if None in kinds else Item(tree, tuple(kinds))  # type: ignore[arg-type]


def _kind(leaf: Any) -> Kind | None:
    if isinstance(leaf, Tracer) and hasattr(leaf, "as_row"):
        return leaf.as_row()  # type: ignore[no-any-return]
    if type(leaf) is not list:
        return kind_of(leaf)
    if not leaf:
        return None
    kinds = [_kind(element) for element in leaf]
    first = kinds[0]
    for other in kinds[1:]:
        first = None if first is None or other is None else _joined(first, other)
    return None if first is None else row_kind(first, len(leaf))


def row_kind(element: Kind, length: Any) -> Kind | None:
    """The kind of a list of so many elements of a kind."""
    if element.form == "array":
        return None
    return Kind("list", ArrayType(element.type.dtype, (length, *element.type.dims)), element.number)


def element_of(row: Kind) -> Kind:
    """The kind of the elements of a list that is a leaf."""
    dims = row.type.dims[1:]
    form = "list" if dims else "scalar" if row.number is None else "python"
    return Kind(form, ArrayType(row.type.dtype, dims), row.number)


def has_mixed_rows(value: Any) -> bool:
    """Whether a list in an item has numbers of several classes, of which its column knows one."""
    if isinstance(value, tuple):
        return any(map(has_mixed_rows, value))
    if type(value) is not list:
        return False
    kinds = {(kind.form, kind.number, kind.type.dtype) for kind in map(_kind, value) if kind is not None}
    return len(kinds) > 1 or any(map(has_mixed_rows, value))


def join_items(a: Item, b: Item) -> Item | None:
    """The item of which both are a special case; None where there is none."""
    if a == b:
        return a
    if a.tree != b.tree:
        return None
    kinds = [_joined(x, y) for x, y in zip(a.kinds, b.kinds, strict=True)]
    return None if None in kinds else Item(a.tree, tuple(kinds))  # type: ignore[arg-type]


def _joined(a: Kind, b: Kind) -> Kind | None:
    if a == b:
        return a
    if "array" in (a.form, b.form) or "list" in (a.form, b.form):
        if (
            a.form != b.form
            or a.type.dtype != b.type.dtype
            or a.number is not b.number
            or a.type.rank != b.type.rank
            or not same_dims(a, b)
        ):
            return None
        return a
    found = join(a, b)
    if found is None or found.form == "python":
        return found
    parts = [PYTHON_DTYPES[k.number] if k.number is not None else k.type.dtype for k in (a, b)]
    return found if np.result_type(*parts) == found.type.dtype else None  # numbers of Python must not be rounded


def stored(leaf: Any, kind: Kind) -> Operand:
    """A leaf as an element of its column."""
    if kind.form == "list":
        return cast(call(np.asarray, leaf).operand(), kind.type.dtype)
    return operand_as(leaf, replace(kind, order=()))


def rebuilt(item: Item, leaves: Sequence[Any]) -> Any:
    """An item of its leaves."""
    return leaves[0] if item.tree is LEAF else unflatten(item.tree, leaves)


def equal_forms(a: Item, b: Item) -> bool:
    """Whether values of two items are seen in one way."""
    forms = [[(k.form, k.number, k.type.dtype) for k in item.kinds] for item in (a, b)]
    return forms[0] == forms[1]


def comes_before(a: Any, b: Any) -> Any:
    """``a < b`` of items: of tuples the first difference decides."""
    x, y = split(a)[0], split(b)[0]
    result: Any = x[-1] < y[-1]
    for p, q in zip(reversed(x[:-1]), reversed(y[:-1]), strict=True):
        before, same = p < q, p == q
        result = call(np.logical_or, before, call(np.logical_and, same, result))
    return number(result.operand(), bool) if isinstance(result, Tracer) else bool(result)


@dataclass(frozen=True)
class ListShape:
    """What a list that is returned is made of: so many arrays, one for each leaf of its items.

    forms: where items have several kinds, these; the last array says which of them each item has.
    """

    item: Item
    python_class: type
    count: int
    forms: tuple[Item, ...] = ()

    def build(self, *columns: np.ndarray[Any, Any]) -> Any:
        """The list."""
        if not self.count:
            return self.python_class()
        if self.forms:
            found = zip(*columns, strict=True)
            return self.python_class(self._formed(leaves, mark) for *leaves, mark in found)
        parts = [_values(column, kind) for column, kind in zip(columns, self.item.kinds, strict=True)]
        if self.item.single is not None:
            return parts[0] if self.python_class is list else self.python_class(parts[0])
        return self.python_class(rebuilt(self.item, leaves) for leaves in zip(*parts, strict=True))

    def _formed(self, leaves: list[Any], mark: int) -> Any:
        """An item of the form that a mark tells."""
        if not mark:
            return None
        form = self.forms[mark - 1]
        found = zip(leaves, form.kinds, strict=True)
        return rebuilt(form, [_values(np.asarray(x)[None].astype(k.type.dtype), k)[0] for x, k in found])


def _values(column: np.ndarray[Any, Any], kind: Kind) -> list[Any]:
    if kind.number is not None:
        return column.tolist()  # type: ignore[no-any-return]
    return _rows(column, kind.type.rank if kind.form == "list" else 0)


def _rows(column: np.ndarray[Any, Any], depth: int) -> list[Any]:
    """A list of NumPy scalars or arrays, or of lists of them."""
    return [_rows(part, depth - 1) for part in column] if depth else list(column)
