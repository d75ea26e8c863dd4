"""The lists that a loop or branch changes: what is prepared for them in front of it, and what they are after it.

Lists of Python become traced lists (``traced_list.py``) where nothing else refers to them. How much room they need is
found out by tracing: the loop is traced again with the memory that the attempt before asked for.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from types import CellType
from typing import Any

from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray
from tracejit.trace.context import Trace
from tracejit.trace.liveness import GIVEN
from tracejit.trace.region import PeelError, UnstageableError
from tracejit.trace.registry import ask
from tracejit.trace.scalar import PythonNumber
from tracejit.trace.state import get, put
from tracejit.trace.storage import Storage
from tracejit.trace.traced_list import GrowsError, TracedList
from tracejit.trace.traced_table import TracedTable

__all__ = ["GrowingLists", "GrowsError"]

_ONE_REFERENCE = 3  # the variable, `value`, and the argument of getrefcount
_CONVERTED = (list, deque, dict, set, defaultdict, Counter)
_LONGEST = 10_000  # lists of Python that are converted


class GrowingLists:
    """Those of one loop or branch, while it is being staged.

    turns: of a loop, where all of them run and are counted.
    """

    def __init__(self, owner: Trace, cells: Mapping[str, CellType], changed: Sequence[str]) -> None:
        self.owner = owner
        self.cells = cells
        self.turns: DimLike | None = None
        self.known = frozenset(owner.sizes.late)  # sizes that are known in front of it
        self.used_from_outside: set[int] = set()
        self._lists: dict[int, TracedList] = {}
        self._before: dict[int, Any] = {}
        self._stamps: dict[int, int] = {}
        self._inexact: set[int] = set()
        self._resizing: set[int] = set()
        self.converted: dict[str, tuple[Any, TracedList]] = {}
        self._unshared: set[str] = set()
        if owner.captures.plain_lists is None:
            self._find(changed)

    def _find(self, changed: Sequence[str]) -> None:
        for name, cell in self.cells.items():
            value = get(cell)
            if type(value) in _CONVERTED and sys.getrefcount(value) <= _ONE_REFERENCE:
                self._unshared.add(name)
        for name in changed:
            if name.removeprefix(GIVEN) not in self._unshared or name.removeprefix(GIVEN) in self.converted:
                continue
            if not name.startswith(GIVEN) or _is_of_numbers(get(self.cells[name[1:]])):
                self._convert(name.removeprefix(GIVEN))

    def _convert(self, name: str) -> None:
        value = get(self.cells[name])
        if len(value) > _LONGEST:
            return
        made: Any
        try:
            if type(value) not in (list, deque):
                indices = type(value) is dict and all(type(key) is int for key in value)
                if indices and not self.owner.captures.maps_only:
                    made = TracedTable(dict(value), self.owner)
                else:
                    made = ask("map of", value, self.owner)
                if made is not None:
                    self.converted[name] = value, made
                return
            made = TracedList(list(value), self.owner, type(value))
        except UnstageableError:
            return
        made.maxlen = value.maxlen if type(value) is deque else None
        self.converted[name] = value, made

    def convert(self, name: str) -> None:
        """Let a variable have a traced list, whose contents change where another list was assigned."""
        if name in self._unshared and name not in self.converted:
            self._convert(name)
            if name in self.converted:
                put(self.cells[name], self.converted[name][1])
                return
        raise PeelError(f"the structure of {name!r} changes from turn to turn")

    def enter(self) -> None:
        """Let the variables have the traced lists."""
        for name, (_, made) in self.converted.items():
            put(self.cells[name], made)

    def leave(self, *, done: bool) -> None:
        """Lists that did not change are Python's again; all of them where the loop was not staged."""
        for name, (plain, made) in self.converted.items():
            if not done or (get(self.cells[name]) is made and id(made) not in self._lists):
                put(self.cells[name], plain)
        if not done:
            for key, each in self._lists.items():
                each.restore(self._before[key])
        self.converted.clear()  # which refers to the lists, too

    def begin(self, turns: DimLike | None) -> None:
        """Before the body is traced."""
        self.turns = turns
        self.used_from_outside.clear()
        for key, each in self._lists.items():
            each.begin()
            self._stamps[key] = each.stamp

    def prepare(self, error: GrowsError) -> None:
        """What the attempt before asked for, in front of the loop."""
        each, key = error.list, id(error.list)
        if key not in self._lists:
            self._lists[key], self._before[key] = each, each.snapshot()
            each.stage = self
        if error.resizes:
            self._resizing.add(key)
        before = dict(zip(*self._before[key], strict=True))
        item = error.item or each.item
        each.columns, each.length, each.marks = list(before["columns"]), before["length"], before["marks"]
        each.item = before["item"]
        if item is not None:
            each.change_item(item, error.form or each.forms[0])
        if each.exact is not None:
            self._inexact.add(key)
        self._make_room(key)

    def _make_room(self, key: int) -> None:
        each = self._lists[key]
        each.exact = each.counter = None
        if each.item is not None:
            each.allocate(_needed(each))
        if key in self._resizing:
            if self._is_exact(key, each):
                each.exact = each.done
            else:
                each.start_counting()

    def _is_exact(self, key: int, each: TracedList) -> bool:
        """Whether each turn appends the same number of items, as far as the attempt has come."""
        return (
            self.turns is not None and each.regular and each.done > 0 and not each.endless and key not in self._inexact
        )

    def check(self, written: dict[Storage, None]) -> None:
        """After the body is traced: whether there is as much room as it needs, and whether copies are right."""
        for key, each in self._lists.items():
            if key in self._resizing:
                exact = each.done if self._is_exact(key, each) else None
                if each.exact != exact or each.capacity != _needed(each):
                    raise GrowsError(each)
            each.check_unchanged(written)
            if key in self.used_from_outside and each.stamp != self._stamps.get(key, each.stamp):
                raise UnstageableError("an item of a list that was read before a loop is used in it, and items move")

    def finish(self, ends: Mapping[str, Any]) -> None:
        """The loop is emitted: the variables get the lists that have changed.

        ends: what variables held after a turn; an array that is an item, too, must not change from now on.
        """
        shown = {storage for each in self._lists.values() for storage, _ in each.shown}
        kept = [s for s in shown if not s.trace.region] + [
            value.storage
            for name, end in ends.items()
            if isinstance(end, TracedArray) and end.storage in shown
            if isinstance(value := get(self.cells[name]), TracedArray)
        ]
        for storage in kept:
            storage.ambiguous = lambda: (
                "an array that a loop has appended to a list is changed, which changes the item, too; append a copy"
            )
        for each in self._lists.values():
            each.finish(self.turns)
        self.leave(done=True)


def _is_of_numbers(value: Any) -> bool:
    """Whether a list that a function is given holds nothing but numbers, so that the function hardly needs to know."""
    return type(value) in (list, deque) and all(isinstance(item, (int, float, PythonNumber)) for item in value)


def _needed(each: TracedList) -> DimLike:
    """Room for what there is and what may come; never none, so that there is a place to read in checked code."""
    needed = each.length + each.room + each.needs
    return max(needed, 1) if isinstance(needed, int) else needed
