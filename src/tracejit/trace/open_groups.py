"""Groups of turns of a loop that exchanges the names of arrays and may end after any turn (see ``rotation.py``).

The first turn of a group always runs, each other one where the loop goes on. A number tells how many turns of the last
group were run; by it the names are put right after the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType
from typing import Any

from tracejit.trace.conditions import both, branch, opposite
from tracejit.trace.iteration import Indexed
from tracejit.trace.jumps import PREFIX
from tracejit.trace.loop_body import LoopBody, loop_index
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.rotation import Rotation
from tracejit.trace.scalar import as_dim, number, python_size
from tracejit.trace.state import get, put
from tracejit.trace.values import dim_value, emit

__all__ = ["OpenGroups"]

_LEFT = PREFIX + "left"  # a variable: the turns of the last group that were run, 0 for all of them


class OpenGroups:
    """The turns of one loop in groups."""

    def __init__(self, loop: LoopBody, indexed: Indexed | None, rotation: Rotation) -> None:
        self.loop = loop
        self.items = indexed
        self.rotation = rotation
        self.left = CellType(0)
        self.home: dict[Any, Any] = {}  # what each name holds at the beginning of a group
        self.test = loop.test
        self.indexed: Indexed | None = None
        if indexed is not None:
            begin, period = python_size(indexed.start), rotation.period
            count = indexed.stop - indexed.start
            self.indexed = Indexed(0, (count + period - 1) // period, lambda k: begin + k * period)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the loop run groups."""
        loop, carried, assigned, needed = self.loop, self.loop.carried, self.loop.assigned, self.loop.needed
        loop.cells[_LEFT] = self.left
        loop.assigned, loop.carried, loop.needed = [*assigned, _LEFT], [*carried, _LEFT], [*needed, _LEFT]
        if self.test is not None:
            loop.test = self._test
        loop.run_group = self._run
        try:
            yield
        finally:
            loop.run_group, loop.test = None, self.test
            loop.assigned, loop.carried, loop.needed = assigned, carried, needed
            del loop.cells[_LEFT]

    def put_right(self) -> None:
        """Give the names their arrays after the loop."""
        self._find_home()
        names = self._names()
        for turns in range(1, self.rotation.period):
            branch(get(self.left) == turns, lambda: self._rename(turns), lambda: None, names, self.loop.cells)  # noqa: B023

    def _names(self) -> list[str]:
        return sorted({*self.loop.needed, *self.loop.cells})

    def _test(self) -> Any:
        assert self.test is not None
        return both(get(self.left) == 0, self.test)

    def _run(self, first: Any) -> None:
        self._find_home()
        self._turn(first, 0)

    def _turn(self, first: Any, done: int) -> None:
        if self.items is None:
            self.loop.body()
        else:
            self.loop.body(self.items.item(loop_index(dim_value(as_dim(first + done)), self.items)))
        done += 1
        if done == self.rotation.period:
            put(self.left, 0)
            return
        going = self._goes_on(first, done)
        branch(going, lambda: self._turn(first, done), lambda: self._leave(done), self._names(), self.loop.cells)

    def _goes_on(self, first: Any, done: int) -> Any:
        stopped = self.loop.stopped
        going = True if stopped is None else opposite(get(self.loop.cells[stopped]))
        if self.items is None:
            assert self.test is not None
            return both(going, self.test)
        inside = number(emit("lt", dim_value(as_dim(first + done)), dim_value(self.items.stop)), bool)
        return both(going, lambda: inside)

    def _leave(self, done: int) -> None:
        put(self.left, done)
        self._rename(0)

    def _find_home(self) -> None:
        self.home = {key: flatten(get(self.loop.cells[key[0]]))[0][key[1]] for key in self.rotation.step}

    def _rename(self, turns: int) -> None:
        """Let the names hold what they hold so many turns after the beginning of a group."""
        for key in self.rotation.step:
            name, position = key
            leaves, tree = flatten(get(self.loop.cells[name]))
            leaves[position] = self.home[self.rotation.after(key, turns)]
            put(self.loop.cells[name], unflatten(tree, leaves))
