"""The trace that is running: where equations go, what sizes are known, which outside arrays are read.

Each thread has its own innermost trace. Traces nest: a transform inside a traced function traces its function
separately, and values of the outer trace enter the inner one as extra parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracejit.errors import TracejitError
from tracejit.ir.core import Literal, Operand, Value
from tracejit.trace.sizes import SizeEnvironment, TracingBuilder, leaked

if TYPE_CHECKING:
    from tracejit.trace.captures import CaptureTable

__all__ = ["Trace", "active_trace", "current_trace"]


class Trace:
    """One run of a function on tracers."""

    def __init__(self, captures: CaptureTable, parent: Trace | None = None) -> None:
        self.parent = parent
        self.captures = captures
        self.sizes: SizeEnvironment = SizeEnvironment() if parent is None else parent.sizes
        self.builder = TracingBuilder(self.sizes)
        self.active = True
        self.outer_operands: list[Operand] = []  # of the parent trace, for the params in `_lifted`
        self.lifted_params: list[Value] = []
        self._lifted: dict[Operand, Value] = {}

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
        return param

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
    """The current trace, which must be that of a storage about to be written."""
    trace = current_trace()
    if owner is not trace:
        if not owner.active:
            raise leaked("an array")
        raise TracejitError(
            "a function under a transform (grad, vmap, ...) writes into an array of the function around it; "
            "pass the array as an argument, or return the new values"
        )
    return trace
