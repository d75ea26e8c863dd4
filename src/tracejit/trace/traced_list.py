"""Lists as arrays of the program: one column for each leaf of the items, and how many items there are.

A list that loops or branches change has room for what may come, and its length in memory (or, where every turn appends
as many items, as a function of the loop's index). What is stored are copies.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, maximum
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.inputs import accept_input, operand_of
from tracejit.trace.list_items import (
    EMPTY,
    Item,
    ListShape,
    element_of,
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
from tracejit.trace.registry import ask, call
from tracejit.trace.scalar import SymbolicInt, number, python_size, to_number
from tracejit.trace.state import Kind, enter
from tracejit.trace.storage import LOST, IndexView, SliceView, Storage, Twin, View
from tracejit.trace.values import Dims, cast, dim_value, emit, late_dim, literal, resolve_dims, select

__all__ = ["GrowsError", "NeedsMapsError", "TracedList"]

MOST_IN_WHILE = 1 << 22  # numbers in a list that a while loop makes longer
MARK = np.dtype(np.uint8)


class GrowsError(BaseException):
    """A list must be prepared for changes: trace the loop or branch again, the outermost one after the list was made."""

    def __init__(
        self, grown: TracedList, item: Item | None = None, form: Item | None = None, *, resizes: bool = False
    ) -> None:
        super().__init__()
        self.list = grown
        self.owner = grown.owner
        self.item = item
        self.form = form
        self.resizes = resizes


class NeedsMapsError(BaseException):
    """Trace everything again: a dict has keys that are no indices of loops."""


class TracedList(ListMethods):
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
        self.parent: TracedList | None = None  # the list of which this one is a row
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
    def around(cls, memory: list[TracedArray], item: Item, like: TracedList | None = None) -> TracedList:
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
    def blanks(cls, count: DimLike) -> TracedList:
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
            f"the dtype of an array of a list depends on which of its items were replaced; it is {dtype} in the compiled "
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

    # ------------------------------------------------------------------------------------------------- how many there are

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
        dims = column.dims
        rank = len(dims)
        view: View
        if isinstance(place, int) and isinstance(dims[0], int):
            place = min(place, dims[0] - 1)  # where there is none, the program has raised by then
        if isinstance(place, (int, SymbolicInt)):
            start = place if isinstance(place, int) else place.dim
            view = SliceView(dims, (start, *(0,) * (rank - 1)), (1, *dims[1:]), (1,) * rank, (0,))
        else:
            view = IndexView(dims, (0,), (operand_of(place),), current_trace())
        return TracedArray(column.storage, (*column.views, view), column.dtype)

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
                    found = TracedArray(found.storage, (*found.views, _ItemView(found.dims, self)), found.dtype)
                    self.live.append(found)
            leaves.append(self._entered(found, kind, copy))
        return rebuilt(self.item, leaves)

    def _entered(self, found: TracedArray, kind: Kind, copy: bool) -> Any:
        if kind.form == "array":
            return found
        if kind.form == "list":
            made = TracedList.around([found], Item(LEAF, (element_of(kind),)))
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
            number = next(k for k, form in enumerate(self.forms) if found is not None and _equal_forms(form, found))
            self.at(self.marks, place).write(literal(number + 1, MARK))
        for column, kind, leaf in zip(self.columns, self.item.kinds, leaves, strict=True):
            self.at(column, place).write(stored(leaf, kind))
            origin = leaf.storage if isinstance(leaf, TracedArray) else None
            if isinstance(leaf, TracedList) and leaf.columns:
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
            if isinstance(view, _ItemView) and view.trace is trace and view.stamp == self.stamp:
                array.storage, array.views = new_array(array.operand()).storage, ()
                array._version, array._cached = -1, None
        self.live.clear()
        self.stamp += 1

    def _agree(self, value: Any) -> None:
        """Be a list that can hold a value."""
        found = item_of(value)
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
        if not any(_equal_forms(form, found) for form in self.forms) or not _equal_forms(joined, self.item):
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
        if not any(_equal_forms(known, form) for known in self.forms):
            self.forms.append(form)
        self.item = item
        if self.columns:
            self.columns = [
                new_array(cast(column.operand(), kind.type.dtype))
                for column, kind in zip(self.columns, item.kinds, strict=True)
            ]
            if len(self.forms) > 1 and self.marks is None:
                self.marks = call(np.ones, self.columns[0].shape[0], MARK)

    # ------------------------------------------------------------------------------------------------------------ growing

    def append(self, value: Any) -> None:
        """``list.append``."""
        if self.maxlen is not None:
            if not self.maxlen:
                return
            ask("when", self.held() >= self.maxlen, lambda: self.pop(0))
        self._agree(value)
        self._changing()
        if self.stage is None:
            self._append_here(value)
            return
        trace = current_trace()
        turns = _turns(trace, self.owner, self.stage.known)
        self.room = self.room + (self._room_in_while() if turns is None else turns)
        if trace.parent is not self.owner or trace.turns is None:
            self.regular = False  # in a branch or an inner loop: how often is found out by counting
            if self.exact is not None:
                raise GrowsError(self)
        if not self.columns:
            raise GrowsError(self)
        if turns is None and not self.endless:
            self.endless = True
            raise GrowsError(self)
        count = self.held()
        if self.endless:
            self._require_room()
            count = self.held()
        self.store(count, value)
        self.done += 1
        self._resize(count + 1)

    def become(self, other: TracedList) -> None:
        """At the end of a turn: hold what a list of this turn holds, which the next turn does not know."""
        trace = current_trace()
        if other.owner is not trace or other.python_class is not self.python_class:
            self._refuse("a variable gets another list that outlives the turn, which is one")
        if other.item is None:
            if isinstance(other.length, int) and not other.length:
                self.clear()
                return
            self._refuse("a variable gets a list of unknown items")
        for form in other.forms:
            self._agree_with(form)
        self._shrinking()
        if not self.columns:
            raise GrowsError(self)
        other.own_memory()
        most = self.owner.sizes.upper_bound(other.capacity, () if self.stage is None else self.stage.known)
        if not self.endless and (most is None or self.needs not in (0, most)):
            self.endless = True  # each attempt would need more
            raise GrowsError(self)
        self.needs = self._room_in_while() if most is None or self.endless else most
        if self.endless:
            holds = emit("le", operand_of(other.held()), dim_value(self.capacity))
            text = f"a list of more than {MOST_IN_WHILE} numbers is made in a loop; use an array"
            trace.check(holds, (), "UnsupportedError", text)
        size = python_size(other.size())
        self.moved()
        for column, part in zip(self.columns, other.all_parts(), strict=False):
            column[:size] = part
        if self.marks is not None:
            self.marks[:size] = other.marks_among(self.forms)
        if self.has_head and self.counter is not None:
            self.counter[1] = 0
        self._resize(other.held())

    def marks_among(self, forms: list[Item]) -> TracedArray:
        """The marks of the items, where the forms are those of another list."""
        numbers = [0, *(next(k for k, form in enumerate(forms) if _equal_forms(form, own)) + 1 for own in self.forms)]
        own = call(np.ones, python_size(self.size()), MARK) if self.marks is None else self.all_parts()[-1]
        return call(np.take, np.array(numbers, MARK), own)  # type: ignore[no-any-return]

    def _append_here(self, value: Any) -> None:
        """Outside of what is traced as a region: the length is known."""
        if not self.columns and isinstance(self.length, int):
            self.first.append(value)
            self.length = len(self.first)
            return
        self.allocate(self.length + 1)
        self.store(python_size(self.length), value)
        self.length = self.length + 1

    def _room_in_while(self) -> DimLike:
        """Where nobody knows how often values are appended: memory that is not used costs next to nothing."""
        assert self.item is not None
        most: DimLike = MOST_IN_WHILE
        for kind in self.item.kinds:
            size: DimLike = 1
            for dim in kind.type.dims:
                size = size * dim
            if self.owner.sizes.is_late(size):
                self._refuse(f"{kind} is appended in a while loop, whose size is known only when the function runs,")
            if size != 1:
                most = MOST_IN_WHILE // maximum(size, 1) + 16
        return most

    def _require_room(self) -> None:
        if self.has_head:
            self._move_to_front()
        assert self.counter is not None
        holds = emit("lt", self.counter[0].operand(), dim_value(self.capacity))
        text = (
            f"a {self.python_class.__name__} of more than {MOST_IN_WHILE} numbers is made in a while loop; "
            "use a for loop with break, or an array"
        )
        current_trace().check(holds, (), "UnsupportedError", text)

    def _move_to_front(self) -> None:
        """Use the room of items that were taken from the front, where the room at the end is used up."""
        assert self.counter is not None
        full = number(emit("ge", self.counter[0].operand(), dim_value(self.capacity)), bool)
        full = call("binary", np.bitwise_and, full, self._head() > 0)

        def move() -> None:
            assert self.counter is not None
            parts, count = self.all_parts(), self.held()
            values = [new_array(part.operand()) for part in parts]
            size = values[0].shape[0]
            for column, value in zip(self.memory(), values, strict=True):
                column[:size] = value
            self.counter[1] = 0
            self.counter[0] = count

        ask("when", full, move)

    def allocate(self, capacity: DimLike) -> None:
        """Memory for so many items, in the owner's trace, with the items that there are."""
        assert self.item is not None
        current_trace().captures.has_traced_lists = True
        before, self.columns = self.columns, []
        for position, kind in enumerate(self.item.kinds):
            column = new_array(emit("empty", dtype=kind.type.dtype, dims=(capacity, *resolve_dims(kind.type.dims))))
            self.columns.append(column)
            if before:
                size = python_size(self.length)
                column[:size] = before[position][:size]
            else:
                self._fill(column, kind, [split(value)[0][position] for value in self.first])
        self._allocate_marks(capacity)
        self.capacity = capacity
        self.fixed = False
        for value in self.first if not before else ():
            self.sources += [leaf.storage for leaf in split(value)[0] if isinstance(leaf, TracedArray)]

    def _fill(self, column: TracedArray, kind: Kind, values: list[Any]) -> None:
        if kind.form == "array" or len(values) <= 4:
            for place, value in enumerate(values):
                self.at(column, place).write(stored(value, kind))
        else:
            column[: len(values)] = call(np.asarray, values, dtype=kind.type.dtype)

    def _allocate_marks(self, capacity: DimLike) -> None:
        before, self.marks = self.marks, None
        if len(self.forms) < 2 and not self.blank:
            return
        if before is None and self.blank:
            self.marks = call(np.zeros, python_size(capacity), MARK)
            return
        self.marks = call(np.ones, python_size(capacity), MARK)
        if before is not None:
            size = python_size(self.length)
            self.marks[:size] = before[:size]
        elif self.first:
            items = [item_of(value) for value in self.first]
            numbers = [next(k for k, f in enumerate(self.forms) if i and _equal_forms(f, i)) + 1 for i in items]
            self.marks[: len(numbers)] = call(np.asarray, numbers, dtype=MARK)

    # ------------------------------------------------------------------------------------------------------- by loops

    def _names_of_state(self) -> list[str]:
        return "item length columns marks capacity forms blank first has_head sources endless needs".split()

    def snapshot(self) -> tuple[Any, ...]:
        """What a loop or branch that cannot be staged must put back."""
        names = self._names_of_state()
        values: list[Any] = [getattr(self, name) for name in names]
        return names, [list(value) if isinstance(value, list) else value for value in values]

    def restore(self, state: tuple[Any, ...]) -> None:
        """Put it back."""
        for name, value in zip(*state, strict=True):
            setattr(self, name, value)
        self.stage = self.exact = self.counter = None

    def begin(self) -> None:
        """One more attempt to trace the loop or branch."""
        self._begin()

    def start_counting(self) -> None:
        """The length becomes a number in memory that the loop changes."""
        self.counter = new_array(emit("empty", dtype=INT64, dims=(2 if self.has_head else 1,)))
        self.counter[0] = number(dim_value(self.length), int)
        if self.has_head:
            self.counter[1] = 0

    def check_unchanged(self, written: dict[Storage, None]) -> None:
        """What was appended must be what it still is: items are copies."""
        for storage, version in self.shown:
            if storage in written or storage.version != version:
                self._refuse("an array is changed after it was appended")

    def finish(self, turns: DimLike | None) -> None:
        """The loop or branch is emitted; turns: how many there are in any case."""
        if self.exact is not None and turns is not None:
            self.length = self.length + turns * self.exact
        elif self.counter is not None:
            low = 0 if self.shrinks else self.length
            count = self.held()
            end = late_dim(count.operand(), low, self.capacity)
            if self.has_head:
                start = late_dim(self._head().operand(), 0, self.capacity)
                self.counter, head = None, python_size(start)
                memory = [new_array(c[head : head + python_size(end)].operand()) for c in self.memory()]
                count = len(self.columns)
                self.columns, self.marks = memory[:count], memory[count] if len(memory) > count else None
                self.capacity = end
            self.length = end
        self.counter = self.exact = self.stage = None

    # ------------------------------------------------------------------------------------------------------- as results

    def described(self) -> tuple[ListShape, list[TracedArray]]:
        """What makes the list that the caller gets, and the arrays of which."""
        made = self._class_of_result()
        if self.impure:
            raise UnstageableError(
                "a list of lists is returned in which numbers of several classes were stored; let them be of one class "
                "(0.0 instead of 0, float(x) instead of x), or return np.array of the list"
            )
        if not self.columns and not self.first and isinstance(self.length, int) and not self.length:
            return ListShape(EMPTY, made, 0), []
        self.own_memory()
        if self.item is None or not self.columns:
            raise UnstageableError("a list is returned of whose items nothing is known")
        parts = self.all_parts()
        return ListShape(self.item, made, len(parts), tuple(self.forms) if self.marks is not None else ()), parts

    def _class_of_result(self) -> Any:
        return self.python_class

    @property
    def holds_numbers(self) -> bool:
        """Whether the items are Python's own numbers."""
        return self.item is not None and self.item.single is not None and self.item.single.form == "python"

    def as_item(self, value: Any) -> Any:
        """What NumPy computed of the items, as a Python number if they are Python numbers."""
        if self.item is None or self.item.single is None or self.item.single.number is None:
            return value
        return to_number(value, self.item.single.number)


accept_input(TracedList, lambda value: (value.dtype, value.operand()))


def _equal_forms(a: Item, b: Item) -> bool:
    """Whether values of two items are seen in one way."""
    forms = [[(k.form, k.number, k.type.dtype) for k in item.kinds] for item in (a, b)]
    return forms[0] == forms[1]


class _ItemView(View):
    """The last step to an item that was read by reference: right as long as the items stay where they are."""

    __slots__ = ("list", "stamp", "trace")
    replayable = False

    def __init__(self, dims: Dims, source: TracedList) -> None:
        self.dims = dims
        self.list = source
        self.stamp = source.stamp
        self.trace = current_trace()

    def _check(self) -> None:
        if self.list.stamp != self.stamp:
            self.list._refuse("an item is used that was read before others were replaced or removed; copy it")
        if self.list.stage is not None and current_trace() is not self.trace:
            self.list.stage.used_from_outside.add(id(self.list))

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        self._check()
        return x

    def write(self, x: Operand, part: Operand) -> Operand:
        """The value of the memory with the item replaced; arrays of which items are copies are no longer right."""
        self._check()
        trace, where = current_trace(), describe(user_location())
        for storage in self.list.sources:
            if storage.trace is not trace and trace.region and storage.trace.active:
                raise UnstageableError(f"an item of a list is changed that was stored under another name ({where})")
            storage.twins.append(Twin(storage.trace, storage, LOST, where))
        return part

    def strides(self, strides: Any, shape: Any) -> Any:
        """The strides seen through the view."""
        return strides

    def paces(self, paces: Any) -> Any:
        """The paces of the axes seen through the view."""
        return paces

    def replay(self) -> tuple[Any, ...]:
        """The step, for comparing."""
        return "item", id(self.list), self.stamp


def _turns(trace: Trace, owner: Trace, known: Container[str]) -> DimLike | None:
    """How often a block runs at most while its owner's block runs once."""
    total: DimLike = 1
    while trace is not owner:
        turns = trace.turns if trace.turns is not None else trace.most_turns
        if turns is None or trace.parent is None:
            return None
        bound = trace.sizes.upper_bound(turns, known)
        if bound is None:
            return None
        total = total * bound
        trace = trace.parent
    return total


def plain_list(value: Any) -> Any:
    """A list of the program as one of Python, for transforms, which need its items one by one."""
    if not isinstance(value, TracedList):
        return value
    count = value.held()
    if type(count) is not int or value.python_class is not list:
        raise UnstageableError(
            f"{value} is given to a transform or returned from a transformed function ({describe(user_location())}); "
            "give it an array (np.array of the list)"
        )
    return [value[k] for k in range(count)]


def check_stored_lists(captures: Any) -> None:
    """Lists of Python that were stored in traced lists must be what they were: items are copies."""
    for value, copy in captures.stored_lists:
        if len(value) != len(copy) or any(a is not b for a, b in zip(value, copy, strict=True)):
            raise UnstageableError("a list is changed after it was stored in another list; store a copy")
