"""Arrays whose names go round in a loop: ``u, v = v, u`` at the end of each turn.

After as many turns as the names need to come back, each name is where it was: so many turns are traced as one, and no
array moves. The turns left over follow the loop. Where a loop may end after any turn: ``open_groups.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tracejit.trace.array import TracedArray
from tracejit.trace.iteration import Indexed
from tracejit.trace.region import UnstageableError
from tracejit.trace.scalar import python_size

__all__ = ["Rotation", "grouped", "period_of", "steps_of"]

_LONGEST = 4


Key = tuple[str, int]  # the name of a variable, and which leaf of its value


class Rotation(UnstageableError):
    """Names of arrays are exchanged in each turn, and are back after ``period`` turns.

    step: after a turn each of these has the array that the other had before; outside: whether the caller knows one.
    """

    def __init__(self, period: int, step: Mapping[Key, Key], outside: bool) -> None:
        super().__init__("its arrays change their names from turn to turn")
        self.period = period
        self.step = step
        self.outside = outside

    def after(self, key: Key, turns: int) -> Key:
        """Whose array of the beginning a name has after some turns."""
        for _ in range(turns):
            key = self.step.get(key, key)
        return key


def steps_of(before: Mapping[Key, Any], after: Mapping[Key, Any]) -> dict[Key, Key]:
    """Whose array of before each name has that has got another one."""
    step: dict[Key, Key] = {}
    for key, value in after.items():
        if isinstance(value, TracedArray) and not value.shares_place(before[key]):
            source = next((k for k, v in before.items() if value.shares_place(v)), None)
            if source is not None:
                step[key] = source
    return step


def period_of(step: Mapping[Key, Key]) -> int:
    """After how many turns all arrays have their names again that only exchange them; 1 where none does."""
    period = 1
    for key in step:
        length, current = 1, step[key]
        while current != key and current in step and length <= _LONGEST:
            length, current = length + 1, step[current]
        if current == key:
            period = math.lcm(period, length)
    return period if period <= _LONGEST else 1


def grouped(indexed: Indexed, period: int) -> Indexed:
    """The items in whole groups of ``period``."""
    groups = (indexed.stop - indexed.start) // period
    first = python_size(indexed.start)

    def items(k: Any) -> list[Any]:
        return [indexed.item(first + k * period + turn) for turn in range(period)]

    return Indexed(0, groups, items, indexed.lists)
