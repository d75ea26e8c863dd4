"""Dicts and sets whose keys are computed: pairs in the order in which they came, which are looked through.

The keys are numbers or tuples of numbers. Each look-up compares all keys: right for histograms, for what was seen and
the like, of some thousands of keys.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.trace.array import new_array
from tracejit.trace.base import Tracer
from tracejit.trace.conditions import branch, choose
from tracejit.trace.context import Trace, as_it_is, current_trace
from tracejit.trace.inputs import operand_of
from tracejit.trace.list_items import Item, split
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import number, to_number
from tracejit.trace.traced_list import TracedList

__all__ = ["TracedMap", "TracedSet", "map_of"]


class _Keyed(TracedList):
    """What dicts and sets have in common. ``made``: what makes the object that the caller gets."""

    __slots__ = ("made",)

    def __init__(self, items: list[Any], owner: Trace, python_class: type, made: Callable[..., Any]) -> None:
        super().__init__(items, owner, python_class)
        self.made = made

    @classmethod
    def around(cls, memory: Any, item: Any, like: Any = None) -> Any:
        """A list of what arrays hold."""
        return TracedList.around(memory, item, like)

    def _class_of_result(self) -> Any:
        return self.made

    def _keys(self) -> list[Any]:
        """The columns of the keys."""
        raise NotImplementedError

    def find(self, key: Any) -> tuple[Any, Any]:
        """Whether a key is there, and at which place (any one where it is not)."""
        if self.item is None:
            return False, 0
        self.own_memory()
        leaves, columns = split(key)[0], self._keys()
        if len(leaves) != len(columns) or any(isinstance(leaf, (str, type(None))) for leaf in leaves):
            return False, 0
        found: Any = None
        for column, leaf in zip(columns, leaves, strict=True):
            equal = column == leaf
            found = equal if found is None else call(np.logical_and, found, equal)
        there = number(operand_of(call(np.any, found)), bool)
        padded = call(np.concatenate, (found, np.array([True])))
        return there, to_number(call(np.argmax, padded), int)

    def contains(self, value: Any) -> Any:
        """``key in dict``."""
        return self.find(value)[0]

    def _check_there(self, key: Any) -> Any:
        there, place = self.find(key)
        if there is False:
            raise KeyError(key)
        if isinstance(there, Tracer):
            shown = [operand_of(key)] if isinstance(key, Tracer) and not key.dims else []
            whole = bool(shown) and shown[0].type.dtype.kind in "iu"
            text = "{0}" if whole else _text(key)
            current_trace().check(operand_of(there), shown if whole else (), "KeyError", text)
        return place

    def __getattr__(self, name: str) -> Any:
        self._refuse(f"{self.python_class.__name__}.{name} is called")

    def _add_item(self, item: Any) -> None:
        TracedList.append(self, item)

    def _drop(self, place: Any) -> None:
        TracedList.pop(self, place)


def _text(key: Any) -> str:
    return "a computed key" if isinstance(key, (Tracer, tuple)) else as_it_is(repr(key))


class TracedMap(_Keyed):
    """A dict, a defaultdict of numbers, or a Counter."""

    __slots__ = ("factory",)

    def __init__(self, entries: Any, owner: Trace) -> None:
        self.factory = entries.default_factory if type(entries) is defaultdict else None
        made: Callable[..., Any] = partial(defaultdict, self.factory) if self.factory is not None else dict
        made = _counter if type(entries) is Counter else made
        super().__init__(list(entries.items()), owner, type(entries), made)

    def _keys(self) -> list[Any]:
        assert self.item is not None
        count = self.item.tree.children[0].size
        return self.all_parts()[:count]

    def _value(self, place: Any) -> Any:
        return self.read(place)[1]

    def __getitem__(self, key: Any) -> Any:
        if self.factory is not None:
            return self.setdefault(key, self.factory())
        if self.python_class is Counter:
            return self.get(key, 0)
        return self._value(self._check_there(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        pair = (key, value)
        self._agree(pair)
        there, place = self.find(key)
        self._changing()

        def replace() -> None:
            if self._by_reference():
                self.moved()
            self.store(place, pair)

        _either(there, replace, lambda: self._add_item(pair))

    def get(self, key: Any, default: Any = None) -> Any:
        """``dict.get``."""
        there, place = self.find(key)
        if isinstance(there, bool):
            return self._value(place) if there else default
        return choose(there, lambda: self._value(place), lambda: default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """``dict.setdefault``."""
        self._agree((key, default))
        self._changing()
        there, _ = self.find(key)
        _either(there, lambda: None, lambda: self._add_item((key, default)))
        return self._value(self.find(key)[1])

    def pop(self, key: Any = None, *default: Any) -> Any:
        """``dict.pop``."""
        if default:
            self._refuse("dict.pop with a default is called")
        place = self._check_there(key)
        value = self.read(place, copy=True)[1]
        self._drop(place)
        return value

    def __delitem__(self, key: Any) -> None:
        self._drop(self._check_there(key))

    def update(self, other: Any) -> None:
        """``dict.update``."""
        for key, value in other.items() if isinstance(other, dict) else other:
            self[key] = value

    def _side(self, side: int) -> Any:
        if self.item is None:
            return []
        self.own_memory()
        trees = self.item.tree.children
        first = trees[0].size
        part = slice(0, first) if side == 0 else slice(first, None)
        found = self.all_parts()
        marks = found[len(self.item.kinds) :]
        columns = found[: len(self.item.kinds)][part]
        items = [Item(trees[side], form.kinds[part]) for form in (self.item, *self.forms)]
        made = TracedList.around([new_array(column.operand()) for column in [*columns, *marks]], items[0])
        made.forms = items[1:]
        made.marks = new_array(marks[0].operand()) if marks else None
        return made

    def keys(self) -> Any:
        """``dict.keys``, as a list."""
        return self._side(0)

    def values(self) -> Any:
        """``dict.values``, as a list."""
        return self._side(1)

    def items(self) -> Any:
        """``dict.items``, as a list of pairs."""
        if self.item is None:
            return []
        return self.taken(slice(None))

    def as_list(self) -> Any:
        """What a loop goes through."""
        return self.keys()

    def item_at(self, place: Any) -> Any:
        """The key at a place."""
        return super().item_at(place)[0]

    def operand(self) -> Operand:
        """A dict is no array."""
        self._refuse("an array is made of it (use list(d.values())), which")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())


class TracedSet(_Keyed):
    """A set. It has no order that the program could tell."""

    __slots__ = ()

    def __init__(self, entries: Any, owner: Trace) -> None:
        super().__init__(sorted(entries), owner, set, set)

    def _keys(self) -> list[Any]:
        return self.all_parts()[: len(self.columns)]

    def add(self, value: Any) -> None:
        """``set.add``."""
        self._agree(value)
        self._changing()
        there, _ = self.find(value)
        _either(there, lambda: None, lambda: self._add_item(value))

    def discard(self, value: Any) -> None:
        """``set.discard``."""
        there, place = self.find(value)
        _either(there, lambda: self._drop(place), lambda: None)

    def remove(self, value: Any) -> None:
        """``set.remove``."""
        self._drop(self._check_there(value))

    def update(self, values: Any) -> None:
        """``set.update``."""
        for value in values:
            self.add(value)

    def item_at(self, place: Any) -> Any:
        """The items come in no order that the program knows."""
        self._refuse("a loop goes through the items, whose order nobody knows (use sorted(...)),")

    def __iter__(self) -> Iterator[Any]:
        return self.item_at(0)  # type: ignore[no-any-return]

    def copy(self) -> Any:
        """``set.copy``, and what ``list`` makes of it."""
        self._refuse("a copy is made")


def _counter(pairs: Any) -> Any:
    return Counter(dict(pairs))


def _either(there: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> None:
    def one() -> None:
        then()

    def other() -> None:
        otherwise()

    branch(there, one, other, (), {})


@implements("map of")
def map_of(value: Any, owner: Trace) -> TracedList | None:
    """A dict or set of Python as one of the program."""
    if type(value) is set:
        return TracedSet(value, owner)
    if type(value) in (dict, Counter) or (type(value) is defaultdict and value.default_factory in (int, float)):
        return TracedMap(value, owner)
    return None
