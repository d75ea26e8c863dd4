"""The columns of a traced list: an array for each leaf of the items, the place of an item, reading and writing it.

What is stored are copies.
An item that is an array or a list is read by reference, as long as the items stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.inputs import operand_of
from tracejit.trace.item_view import ItemView, part_at
from tracejit.trace.list_items import (
    Item,
    element_of,
    equal_forms,
    has_mixed_rows,
    item_of,
    join_items,
    rebuilt,
    row_kind,
    split,
    stored,
)
from tracejit.trace.list_methods import ListMethods
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import LEAF
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import call
from tracejit.trace.scalar import SymbolicInt, number, python_size, to_number
from tracejit.trace.state import Kind, enter
from tracejit.trace.storage import Storage
from tracejit.trace.values import Dims, cast, emit, late_dim, literal, select

__all__ = ["MARK", "GrowsError", "ListColumns", "NeedsMapsError"]

MARK = np.dtype(np.uint8)


class GrowsError(BaseException):
    """A list must be prepared for changes: trace the loop or branch again, the first one after the list was made."""

    def __init__(
        self, grown: ListColumns, item: Item | None = None, form: Item | None = None, *, resizes: bool = False
    ) -> None:
        super().__init__()
        self.list: Any = grown
        self.owner = grown.owner
        self.item = item
        self.form = form
        self.resizes = resizes


class NeedsMapsError(BaseException):
    """Trace everything again: a dict has keys that are no indices of loops."""


class ListColumns(ListMethods):
    """A list (or deque) that is columns of the program.

    owner: the trace in which it was made. item: of what kind its items are; None as long as there is none.
    first: the items themselves until there is memory (``columns``). length: how many there are, as long as no loop or
    branch changes that; ``counter``: their number in memory while one does, and the position of the first one.
    """

    __slots__ = (
        "blank",
        "capacity",
        "columns",
        "counter",
        "done",
        "endless",
        "exact",
        "first",
        "fixed",
        "forms",
        "has_head",
        "impure",
        "item",
        "iterating",
        "length",
        "live",
        "marks",
        "maxlen",
        "needs",
        "owner",
        "parent",
        "python_class",
        "regular",
        "room",
        "shown",
        "shrinks",
        "sources",
        "stage",
        "stamp",
        "unsure",
    )

    def __init__(self, items: list[Any], owner: Trace, python_class: type = list) -> None:
        self.owner = owner
        self.python_class = python_class
        self.first = items
        self.item: Item | None = None
        self.length: DimLike = len(items)
        self.columns: list[TracedArray] = []
        self.capacity: DimLike = 0
        self.counter: TracedArray | None = None
        self.has_head = False  # whether the first item moves on
        self.fixed = False  # whether the columns are parts of another list's: the length does not change
        self.forms: list[Item] = []  # the kinds that items have in Python; what they have in common is ``item``
        self.blank = False  # whether it began as ``[None] * n``
        self.parent: ListColumns | None = None  # the list of which this one is a row
        self.impure = False  # of lists of lists: whether numbers of several classes were stored
        self.unsure = False  # whether nobody knows the dtype of an array of them
        self.marks: TracedArray | None = None  # which of the forms each item has, counted from 1; 0: it is None
        self.live: list[TracedArray] = []  # items that were read by reference
        self.maxlen: int | None = None  # of a deque
        self.needs: DimLike = 0  # room for a list that is assigned to the variable
        self.stamp = 0  # counts the changes that move items
        self.sources: list[Storage] = []  # arrays of which items are copies
        self.stage: Any = None  # the loop or branch that is being traced and changes the list
        self.exact: DimLike | None = None  # in it: how many items each turn appends, if that is always the same
        self.iterating = 0
        self.endless = False  # whether it is in a while loop that it becomes longer
        self._begin()
        for item in items:
            self._agree(item)

    def _begin(self) -> None:
        self.room: DimLike = 0
        self.done = 0
        self.regular = True
        self.shrinks = False
        self.shown: list[tuple[Storage, int]] = []
        self.live = []

    @classmethod
    def around(cls, memory: list[TracedArray], item: Item, like: ListColumns | None = None) -> Any:
        """A list of what arrays hold. like: a list from which the items are, whose marks may come last."""
        made = cls([], current_trace())
        made.owner.captures.has_traced_lists = True
        count = len(item.kinds)
        made.item, made.forms, made.columns = item, [item], memory[:count]
        made.length = made.capacity = memory[0].dims[0]
        if like is not None:
            made.forms, made.blank = list(like.forms), like.blank
            made.marks = memory[count] if len(memory) > count else None
        return made

    @classmethod
    def blanks(cls, count: DimLike) -> Any:
        """``[None] * count``."""
        made = cls([], current_trace())
        made.owner.captures.has_traced_lists = True
        made.length, made.blank = count, True
        return made

    # ------------------------------------------------------------------------------------------------------ as a tracer

    @property
    def dtype(self) -> DType:
        """Of the items, as an array."""
        if self.item is None:
            return np.dtype(np.float64)
        return np.result_type(*(kind.type.dtype for kind in self.item.kinds))

    @property
    def kind(self) -> DType:
        """The same."""
        return self.dtype

    @property
    def dims(self) -> Dims:
        """Of the items as one array."""
        if self.item is None:
            return (self.size(),)
        if self.item.single is None:
            return (self.size(), len(self.item.kinds), *self.item.kinds[0].type.dims)
        return (self.size(), *self.item.single.type.dims)

    def operand(self) -> Operand:
        """The items as one array."""
        if self.unsure or (self.parent is not None and self.parent.unsure):
            self._refuse("the dtype of an array is not known, as numbers of several dtypes were stored")
        if len(self.forms) > 1 and self.item is not None and self.item.single is not None:
            self._check_dtype(self.item.single.type.dtype)
        return self.array().operand()

    @property
    def mixed(self) -> bool:
        """Whether there are items of Python's kinds and of NumPy's, or of several of either."""
        return len(self.forms) > 1

    def _check_dtype(self, dtype: DType) -> None:
        """Let the program check that an item has the dtype of the array that NumPy would make."""
        if self.marks is None:
            return
        marks = self.all_parts()[-1]
        numbers = [k + 1 for k, form in enumerate(self.forms) if form.kinds[0].type.dtype == dtype]
        there = call(np.logical_or, call(np.any, call(np.isin, marks, numbers)), marks.shape[0] == 0)
        text = (
            f"the dtype of an array of a list depends on which items were replaced; it is {dtype} in the compiled "
            "function, but no item is of that kind. Begin with items of the kind that is stored later, or use an array"
        )
        current_trace().check(operand_of(there), (), "UnsupportedError", text)

    def array(self) -> TracedArray:
        """The items as one array."""
        if not self.columns:
            return call(np.asarray, self.first)  # type: ignore[no-any-return]
        parts = self.parts()
        assert self.item is not None
        if self.item.single is not None:
            return parts[0]
        if any(child is not LEAF for child in self.item.tree.children) or len({p.ndim for p in parts}) > 1:
            self._refuse("an array is made of nested tuples")
        return call(np.stack, parts, axis=1)  # type: ignore[no-any-return]

    def parts(self) -> list[TracedArray]:
        """The columns, as long as the list."""
        found = self.all_parts()
        if self.blank:
            text = "an item of a list is read that is None in this call; a compiled list of numbers has none"
            current_trace().check(operand_of(call(np.all, found[-1] != 0)), (), "UnsupportedError", text)
        return found[: len(self.columns)]

    def all_parts(self) -> list[TracedArray]:
        """The columns and the marks, as long as the list."""
        start = self._head()
        size = python_size(self.size())
        return [column[start : start + size] for column in self.memory()]

    def memory(self) -> list[TracedArray]:
        """The columns and the marks."""
        return self.columns if self.marks is None else [*self.columns, self.marks]

    def as_list(self) -> Any:
        """What a loop goes through: of dicts the keys."""
        return self

    def as_row(self) -> Kind | None:
        """The kind of this list as an item of another one."""
        item = self.item
        if self.counter is not None or item is None or item.single is None or self.python_class is not list:
            return None
        return None if self.owner.sizes.is_late(self.length) else row_kind(item.single, self.length)

    def __repr__(self) -> str:
        return f"a {self.python_class.__name__} of {self.item or 'nothing yet'} that the compiled function makes"

    def __len__(self) -> int:
        return int(python_size(self.size()))

    def __bool__(self) -> bool:
        return bool(python_size(self.size()))

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def _refuse(self, what: str) -> NoReturn:
        raise UnstageableError(
            f"{what} in a {self.python_class.__name__} of the compiled function ({describe(user_location())})"
        )

    # ----------------------------------------------------------------------------------------------- how many there are

    def size(self) -> DimLike:
        """The number of items as a size."""
        count = self.held()
        if isinstance(count, Tracer) and not isinstance(count, SymbolicInt):
            return late_dim(count.operand(), 0, self.capacity)
        return count.dim if isinstance(count, SymbolicInt) else count

    def held(self) -> Any:
        """The number of items as a Python number."""
        if self.exact is not None:
            return python_size(self.length + self._turn() * self.exact + self.done)
        if self.counter is None:
            return python_size(self.length)
        end = number(self.counter[0].operand(), int)
        return end - self._head() if self.has_head else end

    def _turn(self) -> DimLike:
        """How many turns there have been before this one, of the loop that makes the list longer."""
        trace = current_trace()
        while trace.parent is not self.owner:
            assert trace.parent is not None
            trace = trace.parent
        return trace.turn

    def _head(self) -> Any:
        """Where the first item is."""
        return number(self.counter[1].operand(), int) if self.has_head and self.counter is not None else 0

    def _resize(self, count: Any) -> None:
        """The list has another number of items."""
        if self.stage is None:
            self.length = count.dim if isinstance(count, SymbolicInt) else count
            if isinstance(count, Tracer) and not isinstance(count, SymbolicInt):
                self.length = late_dim(count.operand(), 0, self.capacity)
        elif self.exact is None:
            assert self.counter is not None
            self.counter[0] = count + self._head()

    def _changing(self) -> None:
        """The number of items is about to change."""
        if self.blank:
            self._refuse("the length changes of what began as [None] * n,")
        if self.fixed:
            self._refuse("the length of an item changes, which is itself a list,")
        if self.iterating:
            self._refuse("items are added or removed while a loop goes through them,")
        if current_trace() is not self.owner and (self.counter is None and self.exact is None):
            self._require_regions()
            raise GrowsError(self, resizes=True)

    def _require_regions(self) -> None:
        trace: Trace | None = current_trace()
        while trace is not self.owner and trace is not None and trace.region:
            trace = trace.parent
        if trace is not self.owner:
            raise UnsupportedError(
                f"a function under a transform (grad, vmap, ...) changes a list of the function around it "
                f"({describe(user_location())}); let it return what the list gets"
            )

    def _shrinking(self) -> None:
        self._changing()
        self.shrinks = True
        self.regular = False
        if self.exact is not None:
            raise GrowsError(self)

    # ---------------------------------------------------------------------------------------------------- single items

    def position(self, key: Any, what: str = "list index out of range") -> Any:
        """The place of an item, negative ones counted from the end; the program checks that there is one."""
        count = self.held()
        if isinstance(key, TracedArray) or (isinstance(key, Tracer) and getattr(key.kind, "kind", "i") not in "iub"):
            raise TypeError(f"list indices must be integers or slices, not {'numpy.ndarray' if key.dims else 'float'}")
        if isinstance(key, Tracer) and not isinstance(key, SymbolicInt):
            if getattr(key, "dim", None) is not None:
                key = python_size(key.dim)  # type: ignore[attr-defined]
            else:
                key = to_number(key, int)
        elif not isinstance(key, SymbolicInt):
            key = key.__index__()
        place = self._from_front(key, count)
        self._check_place(place, count, what)
        return place

    def _from_front(self, key: Any, count: Any) -> Any:
        if type(key) is int:
            return key + count if key < 0 else key
        sizes = current_trace().sizes
        if isinstance(key, SymbolicInt):
            if sizes.proves(key.dim):
                return key
            if sizes.proves(-1 - key.dim):
                return key + count
            if not sizes.is_late(sizes.resolve(key.dim)):
                return key if key >= 0 else key + count
        x, size = operand_of(key), operand_of(count)
        negative = emit("lt", x, literal(0, INT64))
        return number(select(negative, emit("add", x, size), x), int)

    def _check_place(self, place: Any, count: Any, what: str) -> None:
        sizes = current_trace().sizes
        if all(isinstance(x, (int, SymbolicInt)) for x in (place, count)):
            first, size = (getattr(x, "dim", x) for x in (place, count))
            if sizes.proves(first) and sizes.proves(size - 1 - first):
                return
            if isinstance(first, int) and isinstance(size, int):
                raise IndexError(what)
        x, size = operand_of(place), operand_of(count)
        holds = emit("bitwise_and", emit("ge", x, literal(0, INT64)), emit("lt", x, size))
        current_trace().check(holds, (), "IndexError", what)

    def at(self, column: TracedArray, place: Any) -> TracedArray:
        """The part of a column at a place that is known to be one."""
        if self.has_head and self.counter is not None:
            place = place + self._head()
        if isinstance(place, int) and isinstance(column.dims[0], int):
            place = min(place, column.dims[0] - 1)  # where there is none, the program has raised by then
        return part_at(column, place)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self.sliced(key)
        if not self.columns:
            if type(key) is int or not self.first:
                return self.first[key]
            self.own_memory()
        return self.read(self.position(key))

    def item_at(self, place: Any) -> Any:
        """The item at a place that is known to be one."""
        if not self.columns:
            if type(place) is int:
                return self.first[place]
            self.own_memory()
        return self.read(place)

    def read(self, place: Any, *, copy: bool = False) -> Any:
        """The item at a place."""
        if self.item is None:
            self._refuse("an item is read before any is stored")
        if self.blank and self.marks is not None:
            there = emit("ne", self.at(self.marks, place).operand(), literal(0, MARK))
            text = "an item of a list is read that is None in this call; a compiled list of numbers has none"
            current_trace().check(there, (), "UnsupportedError", text)
        leaves = []
        for column, kind in zip(self.columns, self.item.kinds, strict=True):
            found = self.at(column, place)
            if kind.form in ("array", "list"):
                if copy:
                    found = new_array(found.operand())
                else:
                    found = TracedArray(found.storage, (*found.views, ItemView(found.dims, self)), found.dtype)
                    self.live.append(found)
            leaves.append(self._entered(found, kind, copy))
        return rebuilt(self.item, leaves)

    def _entered(self, found: TracedArray, kind: Kind, copy: bool) -> Any:
        if kind.form == "array":
            return found
        if kind.form == "list":
            made = type(self).around([found], Item(LEAF, (element_of(kind),)))
            made.fixed = not copy
            made.parent = None if copy else self
            return made
        return enter(found.operand(), kind)

    def own_memory(self) -> None:
        """Columns for the items, where there are none yet."""
        if not self.columns:
            if current_trace() is not self.owner:
                self._require_regions()
                raise GrowsError(self)
            if self.item is not None:
                self.allocate(self.length)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self._refuse("a slice is assigned")
        self._agree(value)
        if self.first and not self.columns and type(key) is int and current_trace() is self.owner and not self.stage:
            self.first[key] = value
            return
        self.own_memory()
        place = self.position(key, "list assignment index out of range")
        if self._by_reference():
            self.moved()
        self.store(place, value)

    def store(self, place: Any, value: Any) -> None:
        """Write an item."""
        assert self.item is not None
        leaves, _ = split(value)
        if self.marks is not None:
            found = item_of(value)
            number = next(k for k, form in enumerate(self.forms) if found is not None and equal_forms(form, found))
            self.at(self.marks, place).write(literal(number + 1, MARK))
        for column, kind, leaf in zip(self.columns, self.item.kinds, leaves, strict=True):
            self.at(column, place).write(stored(leaf, kind))
            origin = leaf.storage if isinstance(leaf, TracedArray) else None
            if isinstance(leaf, ListColumns) and leaf.columns:
                origin = leaf.columns[0].storage
            if origin is not None and origin is not column.storage:
                self.shown.append((origin, origin.version))
                self.sources.append(origin)
            elif type(leaf) is list:
                current_trace().captures.stored_lists.append((leaf, list(leaf)))

    def _by_reference(self) -> bool:
        return self.item is not None and any(kind.form in ("array", "list") for kind in self.item.kinds)

    def moved(self) -> None:
        """Items are about to be at other places, or other ones: what was read by reference becomes a copy."""
        trace = current_trace()
        for array in self.live:
            view = array.views[-1] if array.views else None
            if isinstance(view, ItemView) and view.trace is trace and view.stamp == self.stamp:
                array.storage, array.views = new_array(array.operand()).storage, ()
                array._version, array._cached = -1, None
        self.live.clear()
        self.stamp += 1

    def _agree(self, value: Any) -> None:
        """Be a list that can hold a value."""
        found = item_of(value)
        if has_mixed_rows(value):
            self.impure = True
        if found is None:
            self._refuse(f"{value!r} is stored, which is no number, no array and no tuple of these,")
        self._agree_with(found)

    def _agree_with(self, found: Item) -> None:
        if self.parent is not None and self.item is not None:
            self._agree_in_row(found)
            return
        if self.item is None:
            self._become(found, found)
            return
        joined = self.item if found == self.item else join_items(self.item, found)
        if joined is None:
            self._refuse(f"{found} is stored among items that are {self.item}")
        if not any(equal_forms(form, found) for form in self.forms) or not equal_forms(joined, self.item):
            self._become(joined, found)

    def _agree_in_row(self, found: Item) -> None:
        """A row holds numbers of one dtype; of which class each is, is not known."""
        assert self.item is not None and self.parent is not None
        joined = join_items(self.item, found)
        if joined is None or joined.single is None:
            self._refuse(f"{found} is stored among items that are {self.item}")
        root = self.parent
        while root.parent is not None:
            root = root.parent
        if found != self.item:
            root.impure = True
            old, new = (item.single.type.dtype if item.single else None for item in (self.item, found))
            root.unsure = root.unsure or (joined == self.item and old != new)
        if joined != self.item:
            row = root.item.single if root.item is not None else None
            if row is None or (current_trace() is root.owner and root.stage is None):
                self._refuse(f"{found} is stored in a list of {self.item}")
            number = joined.single.number
            wider = Item(LEAF, (replace(row, type=ArrayType(joined.single.type.dtype, row.type.dims), number=number),))
            raise GrowsError(root, wider, root.forms[0])

    def _become(self, item: Item, form: Item) -> None:
        if any(self.owner.sizes.is_late(dim) for kind in item.kinds for dim in kind.type.dims):
            if current_trace() is not self.owner or self.owner.region:
                raise UnstageableError(
                    f"arrays of a size that is known only when the function runs are stored in a list: {item}"
                )
        if current_trace() is not self.owner or self.stage is not None:
            self._require_regions()
            raise GrowsError(self, item, form)
        self.change_item(item, form)

    def change_item(self, item: Item, form: Item) -> None:
        """Items may have one more form from now on."""
        if not any(equal_forms(known, form) for known in self.forms):
            self.forms.append(form)
        self.item = item
        if self.columns:
            self.columns = [
                new_array(cast(column.operand(), kind.type.dtype))
                for column, kind in zip(self.columns, item.kinds, strict=True)
            ]
            if len(self.forms) > 1 and self.marks is None:
                self.marks = call(np.ones, self.columns[0].shape[0], MARK)
