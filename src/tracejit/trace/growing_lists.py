"""Lists that a loop appends to: an array with room for what may come, and how much of it is filled.

A list that existed before a loop, that nothing else refers to and whose items are all of one kind becomes such an array
when the loop is staged. Appending stores a copy of the value, so what is stored must not change afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType
from typing import Any, NoReturn

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.inputs import accept_input
from tracejit.trace.location import describe, user_location
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import call
from tracejit.trace.scalar import SymbolicInt, number, python_size, to_number
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.state import Kind, enter, get, kind_of, operand_as, put
from tracejit.trace.storage import Storage
from tracejit.trace.values import Dims, dim_value, emit, late_dim, literal

__all__ = ["GrowingList", "GrowingLists", "GrowsError"]


class GrowsError(BaseException):
    """A list needs more room: trace the loop again, the one in front of which the list was made."""

    def __init__(self, owner: Trace) -> None:
        super().__init__()
        self.owner = owner


_MOST_IN_WHILE = 1 << 22


class GrowingList(Tracer):
    """A list that is an array of the program.

    kind_: of the items; None as long as there is none. Outside of the loop that makes it longer, its length is a size;
    inside, a number in memory.
    """

    __slots__ = (
        "_sites",
        "buffer",
        "capacity",
        "counter",
        "first",
        "item",
        "length",
        "owner",
        "room",
        "shown",
        "start",
        "turns",
    )

    def __init__(self, items: list[Any], owner: Trace) -> None:
        self.owner = owner
        self.first = items  # what is in it before the loop, until there is room
        self.item: Kind | None = None
        self.length: DimLike = len(items)
        self.buffer: TracedArray | None = None
        self.start: TracedArray | None = None  # the memory before the loop
        self.counter: TracedArray | None = None
        self.capacity: DimLike = 0
        self.room: DimLike = 0
        self.turns: DimLike | None = None
        self._sites = 0
        self.shown: list[tuple[Storage, int]] = []
        for item in items:
            self._agree(item)

    # ------------------------------------------------------------------------------------------------------ as a tracer

    @property
    def dtype(self) -> DType:
        """Of the items, as an array."""
        return np.dtype(np.float64) if self.item is None else self.item.type.dtype

    @property
    def kind(self) -> DType:
        """The same."""
        return self.dtype

    @property
    def dims(self) -> Dims:
        """Of the items as one array."""
        return (self._length(), *(() if self.item is None else self.item.type.dims))

    def operand(self) -> Operand:
        """The items as one array."""
        return self.array().operand()

    def array(self) -> TracedArray:
        """A view of the items."""
        if self.buffer is None:
            return call(np.asarray, self.first)  # type: ignore[no-any-return]
        return self.buffer[: python_size(self._length())]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<a list of {self.item or 'nothing yet'} that a loop makes longer>"

    def __len__(self) -> int:
        return int(python_size(self._length()))

    def __bool__(self) -> bool:
        return bool(python_size(self._length()))

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def _length(self) -> DimLike:
        if self.counter is None:
            return self.length
        return late_dim(self.counter[0].operand(), 0, self.capacity)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return _fixed(self.array()[key], self.item)
        if self.buffer is None:
            return self.first[key]
        assert self.item is not None
        count = self._count()
        position = key + count if _is_negative(key) else key
        holds = call("binary", np.bitwise_and, position >= 0, position < count)
        if holds is not True:
            current_trace().check(
                holds.operand() if isinstance(holds, Tracer) else literal(bool(holds), np.dtype(bool)),
                (),
                "IndexError",
                "list index out of range",
            )
        found = self.buffer[position]
        return found if self.item.form == "array" else enter(found.operand(), self.item)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.buffer is None or isinstance(key, slice):
            self._refuse("an item is replaced")
        self._agree(value)
        count = self._count()
        self.buffer[key + count if _is_negative(key) else key] = value

    def __contains__(self, value: Any) -> bool:
        self._refuse("`in` asks for an item")

    def _refuse(self, what: str) -> NoReturn:
        raise UnstageableError(f"{what} in a list that a loop makes longer ({describe(user_location())})")

    def __getattr__(self, name: str) -> Any:
        if hasattr(list, name):
            self._refuse(f"list.{name} is called")
        raise AttributeError(f"'list' object has no attribute {name!r}")

    def copy(self) -> GrowingList:
        """``list.copy``."""
        return _fixed(self.array(), self.item)

    # ---------------------------------------------------------------------------------------------------------- growing

    def append(self, value: Any) -> None:
        """``list.append``."""
        trace = current_trace()
        self._agree(value)
        turns = _turns(trace, self.owner)
        if turns is None:
            turns = self._room_in_while()
        if trace is self.owner:
            self.start = self.buffer
            self.make_room(1)
        self._sites += 1
        self.room = self.room + turns
        if trace.parent is not self.owner or trace.turns is None:
            self.turns = None  # in a branch or an inner loop: how often is found out by counting
        if self.buffer is None or (self.counter is None and trace is not self.owner):
            raise GrowsError(self.owner)
        assert self.item is not None
        if isinstance(value, TracedArray):
            self.shown.append((value.storage, value.storage.version))
        if trace is self.owner:
            self.buffer[python_size(self.length)] = value
            self.length = self.length + 1
            return
        count = self._count()
        self.buffer[count] = new_array(operand_as(value, self.item)) if not isinstance(value, TracedArray) else value
        assert self.counter is not None
        self.counter[0] = count + 1

    def _room_in_while(self) -> DimLike:
        """Where nobody knows how often values are appended: memory that is not used costs next to nothing."""
        assert self.item is not None
        if self.item.type.rank:
            self._refuse("in a while loop arrays are appended, how many is known only when the function runs,")
        if self.counter is not None:
            count = self.counter[0].operand()
            holds = emit("lt", count, dim_value(self.capacity))
            text = f"a list of more than {_MOST_IN_WHILE} items is made in a while loop; use a for loop with break"
            current_trace().check(holds, (), "UnsupportedError", text)
        return _MOST_IN_WHILE

    def extend(self, values: Any) -> None:
        """``list.extend``."""
        if not isinstance(values, (list, tuple)):
            self._refuse("list.extend of more than a list or tuple is called")
        for value in values:
            self.append(value)

    def _count(self) -> Any:
        """How many items there are, as a Python number."""
        if self.counter is None:
            return python_size(self.length)
        return number(self.counter[0].operand(), int)

    def _agree(self, value: Any) -> None:
        kind = kind_of(value)
        if kind is None:
            self._refuse(f"{value!r} is appended, which is no number and no array,")
        if self.item is None:
            _check_outer(kind, self.owner)
            self.item = kind
        elif kind != self.item and not _same_dims(kind, self.item):
            self._refuse(f"{kind} is appended to {self.item}")

    # -------------------------------------------------------------------------------------------------------- the loop

    def again(self) -> GrowingList:
        """The same list, for one more loop."""
        made = GrowingList(self.first, self.owner)
        made.item, made.length, made.capacity = self.item, self.length, self.capacity
        made.buffer = made.start = self.buffer
        return made

    def begin(self, turns: DimLike | None) -> None:
        """One more attempt to trace the loop; turns: how many there are in any case."""
        self.turns = turns
        self._sites = 0
        self.room = 0
        self.shown = []

    def make_room(self, more: DimLike) -> None:
        """Get memory for so many further items, in the owner's trace."""
        assert self.item is not None
        old, item = self.start, self.item
        self.capacity = self.length + more
        dims = (self.capacity, *item.type.dims)
        self.buffer = new_array(emit("empty", dtype=item.type.dtype, dims=dims))
        if old is not None:
            filled = slice(0, python_size(self.length))
            self.buffer[filled] = old[filled]
            return
        for position, value in enumerate(self.first):
            self.buffer[position] = value

    def start_counting(self) -> None:
        """The length becomes a number in memory that the loop changes."""
        self.counter = new_array(emit("empty", dtype=INT64, dims=(1,)))
        self.counter[0] = number(dim_value(self.length), int)

    def check_unchanged(self, written: dict[Storage, None]) -> None:
        """What was appended must be what it still is: items are copies."""
        for storage, version in self.shown:
            if storage in written or storage.version != version:
                self._refuse("an array is changed after it was appended")

    def finish(self) -> None:
        """The loop is emitted."""
        assert self.counter is not None
        if self.turns is None:
            self.length = late_dim(self.counter[0].operand(), self.length, self.capacity)
        else:
            self.length = self.length + self.turns * self._sites
        self.counter = None

    @property
    def holds_numbers(self) -> bool:
        """Whether the items are Python's own numbers."""
        return self.item is not None and self.item.form == "python"

    def as_item(self, value: Any) -> Any:
        """What NumPy computed of the items, as a Python number if they are Python numbers."""
        if self.item is None or self.item.number is None:
            return value
        return to_number(value, self.item.number)

    @property
    def has_grown(self) -> bool:
        """Whether the body that was traced last appends anything."""
        return self._sites > 0


accept_input(GrowingList, lambda value: (value.dtype, value.operand()))


def _fixed(array: TracedArray, item: Kind | None) -> GrowingList:
    """A list of the items of an array."""
    made = GrowingList([], current_trace())
    made.item = item
    made.buffer = new_array(array.operand())
    made.length = made.capacity = array.dims[0]
    return made


def _same_dims(a: Kind, b: Kind) -> bool:
    same = (a.form, a.number, a.type.dtype, a.type.rank) == (b.form, b.number, b.type.dtype, b.type.rank)
    sizes = current_trace().sizes
    try:
        with sizes.answering(usually=False):
            return same and all(map(sizes.require_equal, a.type.dims, b.type.dims))
    except UndecidedError:
        return False


def _check_outer(kind: Kind, owner: Trace) -> None:
    """Room is made in front of the loop: sizes must be known there."""
    if any(owner.sizes.is_late(dim) for dim in kind.type.dims):
        raise UnstageableError(f"arrays of a size that is known only when the function runs are appended: {kind}")


def _is_negative(key: Any) -> bool:
    if isinstance(key, SymbolicInt):
        return not key.sizes.proves(key.dim)
    if isinstance(key, Tracer):
        raise UnstageableError("a list that a loop makes longer is read at a computed index")
    return bool(key < 0)


def _turns(trace: Trace, owner: Trace) -> DimLike | None:
    """How often a block runs at most while its owner's block runs once."""
    total: DimLike = 1
    while trace is not owner:
        turns = trace.turns if trace.turns is not None else trace.most_turns
        if turns is None or trace.parent is None:
            return None
        bound = trace.sizes.upper_bound(turns)
        if bound is None:
            return None
        total = total * bound
        trace = trace.parent
    return total


# ---------------------------------------------------------------------------------------------------- finding the lists


def _growing(body: FunctionType, cells: dict[str, CellType], owner: Trace) -> dict[str, GrowingList]:
    """The variables of a loop whose lists may become arrays, with the lists that take their place."""
    found: dict[str, GrowingList] = {}
    if not _appends(body.__code__):
        return found
    for name, cell in cells.items():
        value = get(cell)
        if isinstance(value, GrowingList) and value.owner is owner:
            found[name] = value.again()
        elif type(value) is list and len(value) < 100 and sys.getrefcount(value) <= _ONE_REFERENCE:
            try:
                found[name] = GrowingList(value, owner)
            except UnstageableError:
                continue
    return found


_ONE_REFERENCE = 3  # the variable, `value`, and the argument of getrefcount


def _appends(code: CodeType) -> bool:
    """Whether the code of a loop, in which attributes are read by name through a hook, asks for ``append``."""
    return "append" in code.co_consts or any(_appends(c) for c in code.co_consts if isinstance(c, CodeType))


class GrowingLists:
    """Those of one loop, while it is being staged."""

    def __init__(self, body: FunctionType, cells: dict[str, CellType], owner: Trace) -> None:
        self.owner = owner
        self.by_name = _growing(body, cells, owner)

    def begin(self, turns: DimLike | None) -> None:
        """Before the body is traced."""
        for each in self.by_name.values():
            each.begin(turns)

    def check(self, written: dict[Storage, None]) -> None:
        """After the body is traced: whether there is as much room as it needs, and whether copies are right."""
        for each in self.by_name.values():
            if each.has_grown and each.capacity != each.length + each.room:
                raise GrowsError(self.owner)
            each.check_unchanged(written)

    def make_room(self) -> None:
        """As much as the body that was traced last needs."""
        for each in self.by_name.values():
            if each.has_grown:
                each.make_room(each.room)
                each.start_counting()

    def finish(self, cells: dict[str, CellType], ends: dict[str, Any]) -> None:
        """The loop is emitted: the variables get the lists that have grown.

        ends: what variables held after a turn; an array that is an item, too, must not change from now on.
        """
        shown = {storage for each in self.by_name.values() for storage, _ in each.shown}
        kept = [s for s in shown if not s.trace.region] + [
            value.storage
            for name, end in ends.items()
            if isinstance(end, TracedArray) and end.storage in shown
            if isinstance(value := get(cells[name]), TracedArray)
        ]
        for storage in kept:
            storage.ambiguous = lambda: (
                "an array that a loop has appended to a list is changed, which changes the item, too; append a copy"
            )
        for name, each in self.by_name.items():
            if each.has_grown:
                each.finish()
                put(cells[name], each)
