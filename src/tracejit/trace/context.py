"""The trace that is running: where equations go, what sizes are known, which outside arrays are read.

Each thread has its own innermost trace. Traces nest: a transform inside a traced function traces its function
separately, and values of the outer trace enter the inner one as extra parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracejit.errors import TracejitError, exception_named
from tracejit.ir.core import Literal, Location, Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.location import describe, user_location
from tracejit.trace.sizes import SizeEnvironment, TracingBuilder, leaked

if TYPE_CHECKING:
    from tracejit.ir.dims import Dim, DimLike
    from tracejit.trace.captures import CaptureTable
    from tracejit.trace.storage import Storage

__all__ = ["Trace", "active_trace", "current_trace"]


class Trace:
    """One run of a function on tracers."""

    def __init__(self, captures: CaptureTable, parent: Trace | None = None, *, region: bool = False) -> None:
        """region: the block of a loop or branch of the parent; it may write what the parent may write."""
        self.parent = parent
        self.region = region
        self.conditional = False  # whether it runs only where a traced condition holds
        self.turns: DimLike | None = None  # of a loop's body: how often it runs, where that is known
        self.turn: DimLike = 0  # how many turns there have been before this one
        self.most_turns: DimLike | None = 1  # how often it runs at most; None: known only in the end
        self.captures = captures
        self.sizes: SizeEnvironment = SizeEnvironment() if parent is None else parent.sizes
        self.builder = TracingBuilder(self.sizes)
        self.active = True
        self.outer_operands: list[Operand] = []  # of the parent trace, for the params in `_lifted`
        self.lifted_params: list[Value] = []
        self._lifted: dict[Operand, Value] = {}
        self.outer_of: dict[Operand, Operand] = {}  # the other way round
        self.memory: dict[Storage, Operand] = {}  # of enclosing traces: values inside this region
        self.memory_params: dict[Storage, Value] = {}
        self.written: dict[Storage, None] = {}
        self.late_sizes: dict[Operand, Dim] = {}  # what was computed and has become a size
        self.twins: list[tuple[Storage, Storage, Operand]] = []  # copies, of what, and what the copies held
        self.checked: set[Any] = set()  # what the program has checked of sizes
        self.unset: frozenset[str] = (
            frozenset()
        )  # variables of a loop that may not be set yet in any turn but the first
        self.facts: dict[Operand, bool] = {}  # truth values of this and enclosing traces that are known here
        self.meanings: dict[Operand, Any] = {} if parent is None else parent.meanings  # see facts.py
        self.bits: dict[int, Any] = {}  # of generators of random numbers: what the program knows of them

    def lift(self, operand: Operand, owner: Trace) -> Operand:
        """An operand of this trace for an operand of the same or an enclosing one."""
        if owner is self or type(operand) is Literal:
            return operand
        if self.parent is None or not owner.active:
            raise leaked("an array or number")
        outer = self.parent.lift(operand, owner)
        param = self._lifted.get(outer)
        if param is None:
            param = self._lifted[outer] = self.builder.param(outer.type, outer.loc)
            self.outer_operands.append(outer)
            self.lifted_params.append(param)
            self.outer_of[param] = outer
        return param

    def lifted(self, operand: Operand) -> Operand | None:
        """The param for an operand of the parent, if there is one."""
        return self._lifted.get(operand)

    def value_of(self, storage: Storage) -> Operand:
        """What a memory holds now, as an operand of this trace."""
        if storage.trace is self:
            return storage.value
        found = self.memory.get(storage)
        if found is not None:
            return found
        if self.parent is None or not storage.trace.active:
            raise leaked("an array")
        outer = self.parent.value_of(storage)
        if not self.region:
            return self.lift(outer, self.parent)
        param = self.builder.param(outer.type, outer.loc)
        self.memory_params[storage] = param
        self.memory[storage] = param
        return param

    def set_value(self, storage: Storage, value: Operand) -> None:
        """A memory gets another value."""
        storage.version += 1
        if storage.trace is self:
            storage.value = value
            storage.written = True
            return
        self.value_of(storage)
        self.memory[storage] = value
        self.written[storage] = None

    def check(self, holds: Operand, values: Sequence[Operand], exception: str, text: str) -> None:
        """Let the program raise an exception, whose text shows some i64 values, unless a condition holds."""
        self.emit_check(holds, values, exception, text, user_location())

    def emit_check(
        self, holds: Operand, values: Sequence[Operand], exception: str, text: str, location: Location | None
    ) -> None:
        """The same at another line. What Python would catch, the program cannot go on from."""
        for kinds, where, _ in reversed(self.captures.caught):
            if issubclass(exception_named(exception), flat(kinds)):
                text = (
                    f"{exception} is raised in a try statement that would catch it ({describe(where)}), which compiled "
                    "code cannot do; test for it with an `if` instead"
                )
                exception, values = "UnsupportedError", ()
                break
        attrs = {"exception": exception, "text": text}
        self.builder.emit(PRIMITIVES["check"], (holds, *values), attrs, (), location)

    def is_checked(self, what: Any) -> bool:
        """Whether this trace or one around it has let the program check something."""
        trace: Trace | None = self
        while trace is not None:
            if what in trace.checked:
                return True
            trace = trace.parent
        return False

    def outside_regions(self) -> Trace:
        """The trace in front of all loops and branches that this one is inside of."""
        outer = self
        while outer.region and outer.parent is not None:
            outer = outer.parent
        return outer

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Let a block emit into this trace, which is the current one or around it."""
        previous = _local.trace
        _local.trace = self
        try:
            with self.builder:
                yield
        finally:
            _local.trace = previous

    @contextmanager
    def running(self) -> Iterator[Trace]:
        """Make this the current trace of the thread; it is over when the block ends."""
        previous = _local.trace
        _local.trace = self
        try:
            with self.builder:
                yield self
        finally:
            _local.trace = previous
            self.active = False
            if self.parent is None:
                self.sizes.active = False


def as_it_is(text: str) -> str:
    """A text for a check that shows no values: its braces mean themselves."""
    return text.replace("{", "{{").replace("}", "}}")


def flat(kinds: Any) -> tuple[Any, ...]:
    """The exceptions of ``except`` clauses, which may be tuples of them."""
    if isinstance(kinds, (tuple, list)):
        return tuple(kind for part in kinds for kind in flat(part))
    return (kinds,)


class _Local(threading.local):
    trace: Trace | None = None


_local = _Local()


def active_trace() -> Trace | None:
    """The innermost trace of this thread, if one is running."""
    return _local.trace


def current_trace() -> Trace:
    """The innermost trace of this thread."""
    trace = _local.trace
    if trace is None:
        raise leaked("an array or number")
    return trace


@contextmanager
def paused() -> Iterator[None]:
    """Run a block as plain Python although a trace is running."""
    previous: Any = _local.trace
    _local.trace = None
    try:
        yield
    finally:
        _local.trace = previous


def require_owner(owner: Trace) -> Trace:
    """The current trace, which must be that of a storage about to be written, or a region inside of that."""
    trace = current_trace()
    inner = trace
    while inner is not owner and inner.region and inner.parent is not None:
        inner = inner.parent
    if owner is not inner:
        if not owner.active:
            raise leaked("an array")
        raise TracejitError(
            "a function under a transform (grad, vmap, ...) writes into an array of the function around it; "
            "pass the array as an argument, or return the new values"
        )
    return trace
