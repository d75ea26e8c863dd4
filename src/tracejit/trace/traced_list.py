"""Lists as arrays of the program: one column for each leaf of the items, and how many items there are.

A list that loops or branches change has room for what may come, and its length in memory (or, where every turn appends
as many items, as a function of the loop's index). What is stored are copies.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike, maximum
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.inputs import accept_input, operand_of
from tracejit.trace.list_columns import MARK, GrowsError, ListColumns, NeedsMapsError
from tracejit.trace.list_items import (
    EMPTY,
    Item,
    ListShape,
    equal_forms,
    item_of,
    split,
    stored,
)
from tracejit.trace.location import describe, user_location
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import ask, call
from tracejit.trace.scalar import number, python_size, to_number
from tracejit.trace.state import Kind
from tracejit.trace.storage import Storage
from tracejit.trace.values import dim_value, emit, late_dim, resolve_dims

__all__ = ["MARK", "GrowsError", "NeedsMapsError", "TracedList"]

MOST_IN_WHILE = 1 << 22  # numbers in a list that a while loop makes longer


class TracedList(ListColumns):
    """A list (or deque) of the program: columns that loops and branches make longer or shorter."""

    __slots__ = ()

    # ---------------------------------------------------------------------------------------------------------- growing

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
            if other.length != 0:
                self._refuse("a variable gets a list of unknown items")
            self.clear()
            return
        for form in other.forms:
            self._agree_with(form)
        self._shrinking()
        if not self.columns:
            raise GrowsError(self)
        other.own_memory()
        self._take_room(other)
        size = python_size(other.size())
        self.moved()
        for column, part in zip(self.columns, other.all_parts(), strict=False):
            column[:size] = part
        if self.marks is not None:
            self.marks[:size] = other.marks_among(self.forms)
        if self.has_head and self.counter is not None:
            self.counter[1] = 0
        self._resize(other.held())

    def _take_room(self, other: TracedList) -> None:
        """Have as much room as another list may need."""
        most = self.owner.sizes.upper_bound(other.capacity, () if self.stage is None else self.stage.known)
        if not self.endless and (most is None or self.needs not in (0, most)):
            self.endless = True  # each attempt would need more
            raise GrowsError(self)
        self.needs = self._room_in_while() if most is None or self.endless else most
        if self.endless:
            holds = emit("le", operand_of(other.held()), dim_value(self.capacity))
            text = f"a list of more than {MOST_IN_WHILE} numbers is made in a loop; use an array"
            current_trace().check(holds, (), "UnsupportedError", text)

    def marks_among(self, forms: list[Item]) -> TracedArray:
        """The marks of the items, where the forms are those of another list."""
        numbers = [0, *(next(k for k, form in enumerate(forms) if equal_forms(form, own)) + 1 for own in self.forms)]
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
            numbers = [next(k for k, f in enumerate(self.forms) if i and equal_forms(f, i)) + 1 for i in items]
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

    def have_head(self) -> None:
        """Let the first item move on."""
        self.has_head = True
        raise GrowsError(self)

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

    def as_item(self, value: Any, *others: Any) -> Any:
        """What NumPy computed of the items, as a Python number if they are Python numbers.

        others: numbers that have been added to them; bools become ints by that.
        """
        if self.item is None or self.item.single is None or self.item.single.number is None:
            return value
        kinds = [self.item.single.number, *(getattr(x, "python_type", type(x)) for x in others)]
        if any(kind not in _NUMBERS for kind in kinds):
            return value
        return to_number(value, _NUMBERS[max(map(_NUMBERS.index, kinds))])


_NUMBERS = (bool, int, float, complex)
accept_input(TracedList, lambda value: (value.dtype, value.operand()))


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
