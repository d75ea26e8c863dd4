"""Functions that call themselves: under a traced condition, tracing them would not come to an end."""

from __future__ import annotations

from types import FunctionType

from tracejit.errors import UnsupportedError
from tracejit.trace.context import Trace
from tracejit.trace.location import describe, user_location
from tracejit.trace.syntax import let_loop

__all__ = ["TraceAgain", "calling"]

_DEEPEST = 40  # calls of a function in itself, each under one more traced condition


class TraceAgain(BaseException):
    """A function has become a loop: the trace begins anew."""


class calling:
    """A call of a function of the user."""

    def __init__(self, function: FunctionType, trace: Trace) -> None:
        self.function = function
        self.trace = trace

    def __enter__(self) -> None:
        code, depth = self.function.__code__, _conditions(self.trace)
        active = self.trace.captures.active
        first = next((d for c, d in active if c is code), None)
        if first is not None and depth - first >= _DEEPEST:
            if let_loop(self.function):
                raise TraceAgain
            where = describe(user_location())
            raise UnsupportedError(
                f"{self.function.__qualname__} calls itself where a traced condition holds ({where}), so that "
                "only the running program knows how deep it goes. Write it as a loop, with an array and a counter "
                "for what is still to do, or end it by a size or a static argument; only a call that is the "
                f"last act, `return {self.function.__name__}(...)`, becomes a loop by itself"
            )
        active.append((code, depth))

    def __exit__(self, *_: object) -> None:
        self.trace.captures.active.pop()


def _conditions(trace: Trace | None) -> int:
    """How many traced conditions the trace is under."""
    depth = 0
    while trace is not None:
        depth += trace.conditional
        trace = trace.parent
    return depth
