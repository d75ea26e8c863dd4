"""Tracing the blocks of loops and branches as closed regions, and joining them into one operation.

A block runs on tracers in a :class:`Trace` of its own. Memory of enclosing traces that it writes is carried; what it
only reads becomes a constant operand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tracejit.errors import TracejitError
from tracejit.ir.core import Function, Location, Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.context import Trace, active_trace, current_trace
from tracejit.trace.location import user_location
from tracejit.trace.storage import Storage

__all__ = [
    "CarryError",
    "Inputs",
    "StagedRaise",
    "UnstageableError",
    "emit_regions",
    "region_of",
    "require_set",
    "trying",
    "watched",
]


class UnstageableError(TracejitError):
    """A block cannot become a region; the message says why."""


class StagedRaise(BaseException):
    """Ends the tracing of a branch that raises; not to be caught by the user's ``except``."""

    def __init__(self, error: BaseException | None, location: Location | None, trace: Trace | None = None) -> None:
        """error: None where it is one of several, which the program finds; their checks are in ``trace``."""
        super().__init__(error)
        self.error = error
        self.location = location
        self.trace = trace


class CarryError(BaseException):
    """A variable must be carried from turn to turn by the loop whose body is this trace."""

    def __init__(self, name: str, trace: Trace | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.trace = trace


def require_set(name: str) -> None:
    """A variable without a value is read: in a loop a turn before may have set it."""
    trace = active_trace()
    while trace is not None:
        if name in trace.unset:
            raise CarryError(name, trace)
        trace = trace.parent


class trying:
    """The body of a ``try`` whose handlers are for these exceptions."""

    def __init__(self, kinds: Callable[[], Sequence[Any]]) -> None:
        self.kinds = kinds
        self.trace = active_trace()

    def __enter__(self) -> None:
        if self.trace is not None:
            self.trace.captures.caught.append((self.kinds(), user_location(), self.trace))

    def __exit__(self, *_: object) -> None:
        if self.trace is not None:
            self.trace.captures.caught.pop()


class PeelError(UnstageableError):
    """The first turn of a loop is unlike the others."""


@contextmanager
def region_of(outer: Trace) -> Iterator[Trace]:
    """A trace for one block."""
    region = Trace(outer.captures, outer, region=True)
    with region.running():
        yield region


class Inputs:
    """What several regions use of the trace around them: memory first written, then memory and values only read."""

    def __init__(self, outer: Trace, regions: Sequence[Trace]) -> None:
        self.outer = outer
        self.written: list[Storage] = list(dict.fromkeys(s for region in regions for s in region.written))
        read = dict.fromkeys(s for region in regions for s in region.memory_params)
        self.read: list[Storage] = [s for s in read if s not in set(self.written)]
        self.lifted: list[Operand] = list(dict.fromkeys(o for region in regions for o in region.outer_operands))

    @property
    def constants(self) -> list[Operand]:
        """The operands that only are read."""
        return [*(self.outer.value_of(s) for s in self.read), *self.lifted]

    def memory(self) -> list[Operand]:
        """What the written memory holds before."""
        return [self.outer.value_of(s) for s in self.written]

    def written_params(self, region: Trace) -> list[Value]:
        """The params of a region for written memory."""
        return [self._memory_param(region, s) for s in self.written]

    def constant_params(self, region: Trace) -> list[Value]:
        """The params of a region for what is only read."""
        lifted = dict(zip(region.outer_operands, region.lifted_params, strict=True))
        values = [lifted.get(o) or region.builder.param(o.type) for o in self.lifted]
        return [*(self._memory_param(region, s) for s in self.read), *values]

    def results(self, region: Trace) -> list[Operand]:
        """What the written memory holds at the end of a region."""
        return [region.memory[s] for s in self.written]

    def _memory_param(self, region: Trace, storage: Storage) -> Value:
        param = region.memory_params.get(storage)
        if param is None:
            param = region.builder.param(self.outer.value_of(storage).type)
            region.memory_params[storage] = param
            region.memory.setdefault(storage, param)
        return param

    def write_back(self, values: Sequence[Operand]) -> None:
        """The written memory gets the operation's results."""
        for storage, value in zip(self.written, values, strict=True):
            self.outer.set_value(storage, value)


def finish(region: Trace, params: Sequence[Value], results: Sequence[Operand], name: str) -> Function:
    """The closed region with params in this order."""
    region.builder.params[:] = params
    return region.builder.finish(results, name=name)


def emit_regions(
    name: str, operands: Sequence[Operand], regions: tuple[Function, ...], **attrs: Any
) -> tuple[Operand, ...]:
    """Emit an operation with regions into the current trace."""
    return current_trace().builder.emit(PRIMITIVES[name], tuple(operands), attrs, regions, user_location())


@contextmanager
def watched(values: Sequence[Any]) -> Iterator[Callable[[], bool]]:
    """Put lists and dicts back as they were when the block ends; the function given says whether they had changed."""
    found: dict[int, tuple[Any, Any]] = {}
    stack = [(value, 0) for value in values]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, (list, dict, set, deque)) and id(value) not in found and len(value) < 1000:
            found[id(value)] = (value, value.copy())
        if depth < 3 and isinstance(value, (list, tuple, dict)) and len(value) < 1000:
            stack.extend((item, depth + 1) for item in (value.values() if isinstance(value, dict) else value))

    def changed() -> bool:
        return any(not _same(value, copy) for value, copy in found.values())

    try:
        yield changed
    finally:
        for value, copy in found.values():
            if _same(value, copy):
                continue
            value.clear()
            if isinstance(value, (list, deque)):
                value.extend(copy)
            else:
                value.update(copy)
        found.clear()


def _same(value: Any, copy: Any) -> bool:
    if len(value) != len(copy):
        return False
    if isinstance(value, dict):
        return all(key in copy and copy[key] is item for key, item in value.items())
    if isinstance(value, set):
        return bool(value == copy)
    return all(a is b for a, b in zip(value, copy, strict=True))
