"""What lists can do besides holding items: the methods of ``list`` and ``deque`` on columns of the program."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

import numpy as np

from tracejit.trace.array import NumpyValue, TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import as_it_is, current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.inputs import operand_of
from tracejit.trace.list_items import Item, split
from tracejit.trace.registry import ask, call
from tracejit.trace.scalar import number, python_size, to_number
from tracejit.trace.values import emit, literal

__all__ = ["ListMethods"]


def _is_numpys(value: Any) -> bool:
    return isinstance(value, (NumpyValue, np.ndarray, np.generic))


def _no_operator(*operands: Any) -> Any:
    kinds = [getattr(x, "python_class", type(x)).__name__ for x in operands]
    raise TypeError(f"unsupported operand type(s): {' and '.join(map(repr, kinds))}")


def _with_arrays(function: np.ufunc, *, reflected: bool) -> Any:
    """An operator that lists have beside arrays only, which see them as arrays."""

    def method(self: Any, other: Any) -> Any:
        if not _is_numpys(other):
            _no_operator(self, other)
        return call("binary", function, *((other, self) if reflected else (self, other)))

    return method


def _compared(function: np.ufunc) -> Any:
    def method(self: Any, other: Any) -> Any:
        if _is_numpys(other):
            return call("binary", function, self, other)
        return self._compared(other)

    return method


class ListMethods(Tracer):
    """Methods of lists, on top of what :class:`TracedList` is made of."""

    __slots__ = ()
    item: Item | None
    columns: list[TracedArray]
    first: list[Any]
    python_class: type
    has_head: bool
    counter: TracedArray | None
    stage: Any

    @classmethod
    @abstractmethod
    def around(cls, memory: list[TracedArray], item: Item, like: Any = None) -> Any:
        """A list of what arrays hold."""

    @abstractmethod
    def _refuse(self, what: str) -> NoReturn: ...
    @abstractmethod
    def _shrinking(self) -> None: ...
    @abstractmethod
    def _changing(self) -> None: ...
    @abstractmethod
    def _resize(self, count: Any) -> None: ...
    @abstractmethod
    def held(self) -> Any:
        """The number of items as a Python number."""

    @abstractmethod
    def size(self) -> Any:
        """The number of items as a size."""

    @abstractmethod
    def parts(self) -> list[TracedArray]:
        """The columns, as long as the list."""

    @abstractmethod
    def all_parts(self) -> list[TracedArray]:
        """The columns and what else belongs to each item, as long as the list."""

    @abstractmethod
    def own_memory(self) -> None:
        """Columns for the items."""

    @abstractmethod
    def position(self, key: Any, what: str = "") -> Any:
        """The place of an item."""

    @abstractmethod
    def read(self, place: Any, *, copy: bool = False) -> Any:
        """The item at a place."""

    @abstractmethod
    def at(self, column: TracedArray, place: Any) -> TracedArray:
        """The part of a column at a place."""

    @abstractmethod
    def store(self, place: Any, value: Any) -> None:
        """Write an item."""

    @abstractmethod
    def have_head(self) -> None:
        """Let the first item move on."""

    @abstractmethod
    def moved(self) -> None:
        """Items are at other places."""

    @abstractmethod
    def append(self, value: Any) -> None:
        """``list.append``."""

    # ------------------------------------------------------------------------------------------------------- removing

    def pop(self, key: Any = -1, *default: Any) -> Any:
        """``list.pop``."""
        if default:
            raise TypeError(f"pop expected at most 1 argument, got {1 + len(default)}")
        last = type(key) is int and key == -1
        text = "pop from empty list" if self.python_class is list else "pop from an empty deque"
        self.check_not_empty(text)
        self._shrinking()
        self.own_memory()
        if type(key) is int and key == 0:
            return self._pop_first()
        count = self.held()
        place = count - 1 if last else self.position(key, "pop index out of range")
        item = self.read(place, copy=True)
        self.moved()
        if not last:
            self._close_gap(place, count)
        self._resize(count - 1)
        return item

    def check_not_empty(self, text: str) -> None:
        """Let the program raise an IndexError if there is no item."""
        count = self.held()
        if type(count) is int:
            if not count:
                raise IndexError(text)
            return
        trace = current_trace()
        if not isinstance(count, Tracer) or not trace.sizes.proves(getattr(count, "dim", -1) - 1):
            trace.check(emit("gt", operand_of(count), literal(0, INT64)), (), "IndexError", text)

    def _pop_first(self) -> Any:
        count = self.held()
        if self.stage is None:
            item = self.read(0, copy=True)
            self.moved()
            self._close_gap(0, count)
            self._resize(count - 1)
            return item
        if not self.has_head:
            self.have_head()
        item = self.read(0, copy=True)
        self.moved()
        assert self.counter is not None
        self.counter[1] = number(self.counter[1].operand(), int) + 1
        return item

    def _close_gap(self, place: Any, count: Any) -> None:
        """Items behind a place move up by one."""
        for column in self.all_parts():
            rest = new_array(column[place + 1 :].operand())
            column[place : count - 1] = rest

    def popleft(self) -> Any:
        """``deque.popleft``."""
        return self.pop(0)

    def __delitem__(self, key: Any) -> None:
        if isinstance(key, slice):
            self._refuse("a slice is deleted")
        self.position(key, "list assignment index out of range")
        self.pop(key)

    def remove(self, value: Any) -> None:
        """``list.remove``."""
        self.pop(self.index(value, error="list.remove(x): x not in list"))

    def clear(self) -> None:
        """``list.clear``."""
        self._shrinking()
        self.moved()
        self._resize(0)

    # --------------------------------------------------------------------------------------------------------- adding

    def insert(self, key: Any, value: Any) -> None:
        """``list.insert``."""
        count = self.held()
        self.append(value)
        self.own_memory()
        if isinstance(key, int) and key == 0:
            place: Any = 0
        else:
            index = key + count if isinstance(key, int) and key < 0 else key
            place = to_number(call(np.clip, index, 0, count), int) if isinstance(index, Tracer) else None
            if place is None:
                place = ask("smaller", index, count)
        self.moved()
        for column in self.all_parts():
            moved = new_array(column[place:count].operand())
            column[place + 1 :] = moved
        self.store(place, value)

    def appendleft(self, value: Any) -> None:
        """``deque.appendleft``."""
        self.insert(0, value)

    def extend(self, values: Any) -> None:
        """``list.extend``."""
        if isinstance(values, (list, tuple)) and len(values) <= 8:
            for value in values:
                self.append(value)
            return
        ask("for each", values, self.append)

    def __iadd__(self, values: Any) -> Any:
        self.extend(values)
        return self

    # -------------------------------------------------------------------------------------------------------- questions

    def _equal(self, value: Any) -> Any:
        """Which items are equal to a value."""
        if self.item is None or any(kind.form in ("array", "list") for kind in self.item.kinds):
            self._refuse("an item is looked for")
        self.own_memory()
        leaves, tree = split(value)
        if tree != self.item.tree or any(leaf is None or isinstance(leaf, str) for leaf in leaves):
            return None
        found: Any = None
        for part, leaf in zip(self.parts(), leaves, strict=True):
            equal = part == leaf
            found = equal if found is None else call(np.logical_and, found, equal)
        return found

    def contains(self, value: Any) -> Any:
        """``value in list``."""
        if self.item is None:
            return False
        found = self._equal(value)
        return False if found is None else to_number(call(np.any, found), bool)

    def index(self, value: Any, start: Any = 0, *stop: Any, error: str | None = None) -> Any:
        """``list.index``."""
        if stop or not (type(start) is int and start == 0):
            self._refuse("list.index with bounds is called")
        found = None if self.item is None else self._equal(value)
        text = error or ("item is not in list" if isinstance(value, Tracer) else f"{value!r} is not in list")
        if found is None:
            raise ValueError(text)
        there = call(np.any, found)
        current_trace().check(there.operand(), (), "ValueError", as_it_is(text))
        positions = call(np.where, found, call(np.arange, found.shape[0]), found.shape[0])
        return to_number(call(np.min, positions, initial=python_size(self.size())), int)

    def count(self, value: Any) -> Any:
        """``list.count``."""
        found = None if self.item is None else self._equal(value)
        return 0 if found is None else to_number(call(np.sum, found), int)

    # ---------------------------------------------------------------------------------------------------------- orders

    def sort(self, *, key: Any = None, reverse: Any = False) -> None:
        """``list.sort``."""
        if self.item is None:
            return
        order = self.sorting_order(key, reverse)
        self.own_memory()
        self.moved()
        for part in self.all_parts():
            part[:] = part[order]

    def sorting_order(self, key: Any = None, reverse: Any = False) -> Any:
        """The indices that sort the list, equal items in the order in which they are."""
        self.own_memory()
        keys = self if key is None else ask("map list", key, self)
        assert isinstance(keys, ListMethods)
        keys.own_memory()
        if keys.item is None or any(kind.form in ("array", "list") for kind in keys.item.kinds):
            self._refuse("lists or arrays are sorted")
        columns = keys.parts()
        if reverse:
            columns = [column[::-1] for column in columns]
        if len(columns) == 1:
            order = call(np.argsort, columns[0], kind="stable")
        else:
            order = call(np.lexsort, tuple(reversed(columns)))
        return python_size(self.size()) - 1 - order[::-1] if reverse else order

    def reverse(self) -> None:
        """``list.reverse``."""
        if self.item is None:
            return
        self.own_memory()
        self.moved()
        for part in self.all_parts():
            part[:] = new_array(part[::-1].operand())

    # -------------------------------------------------------------------------------------------------------- new lists

    def sliced(self, key: slice) -> Any:
        """``list[a:b]``."""
        return self.taken(key)

    def taken(self, key: Any) -> Any:
        """A new list of the items at a slice or at indices."""
        self.own_memory()
        if self.item is None:
            return self.first[key] if isinstance(key, slice) else []
        return self.around([new_array(part[key].operand()) for part in self.all_parts()], self.item, self)

    def copy(self) -> Any:
        """``list.copy``."""
        return self.taken(slice(None))

    __copy__ = copy

    def __add__(self, other: Any) -> Any:
        return call("binary", np.add, self, other) if _is_numpys(other) else ask("concatenate lists", self, other)

    def __radd__(self, other: Any) -> Any:
        return call("binary", np.add, other, self) if _is_numpys(other) else ask("concatenate lists", other, self)

    def __mul__(self, times: Any) -> Any:
        if isinstance(times, (TracedArray, np.ndarray)):
            return call("binary", np.multiply, self, times)
        return ask("repeat list", self, times)

    __rmul__ = __mul__

    def _compared(self, other: Any) -> Any:
        self._refuse("it is compared as a whole, which is not compiled,")

    __hash__ = object.__hash__
    __neg__ = __pos__ = __abs__ = __invert__ = lambda self: _no_operator(self)

    def __getattr__(self, name: str) -> Any:
        if hasattr(self.python_class, name) and not name.startswith("__"):
            self._refuse(f"{self.python_class.__name__}.{name} is called")
        raise AttributeError(f"{self.python_class.__name__!r} object has no attribute {name!r}")


_function: np.ufunc
for _name, _function in (
    ("sub", np.subtract),
    ("truediv", np.divide),
    ("floordiv", np.floor_divide),
    ("mod", np.remainder),
    ("pow", np.power),
    ("and", np.bitwise_and),
    ("or", np.bitwise_or),
    ("xor", np.bitwise_xor),
):
    setattr(ListMethods, f"__{_name}__", _with_arrays(_function, reflected=False))
    setattr(ListMethods, f"__r{_name}__", _with_arrays(_function, reflected=True))
_comparison: np.ufunc
for _name, _comparison in (
    ("eq", np.equal),
    ("ne", np.not_equal),
    ("lt", np.less),
    ("le", np.less_equal),
    ("gt", np.greater),
    ("ge", np.greater_equal),
):
    setattr(ListMethods, f"__{_name}__", _compared(_comparison))
