"""Python's own functions with effects: print, logging, files, clocks. They run when the program does, in its order."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.trace.location import describe, user_location
from tracejit.trace.python_calls import Outcome, call_python
from tracejit.trace.sampling import sample_call
from tracejit.trace.text import finished, unfinished

__all__ = ["call_effect", "has_effect"]

_CLOCKS = frozenset(getattr(time, name) for name in dir(time) if name.removesuffix("_ns") in ("time", "perf_counter",
    "monotonic", "process_time", "thread_time"))  # fmt: skip
_SILENT = frozenset((print, time.sleep))  # give None
_REFUSED = frozenset((open, input))
_WRITE = frozenset(("write", "writelines", "flush"))
_LOG = frozenset(("debug", "info", "warning", "error", "exception", "critical", "log", "warn"))
_MOMENTS = frozenset(("now", "utcnow", "today"))


def has_effect(function: Any) -> bool:
    """Whether a callable is one that this module knows."""
    owner = getattr(function, "__self__", None)
    try:
        known = function in _CLOCKS or function in _SILENT or function in _REFUSED
    except TypeError:  # not hashable
        return False
    return known or isinstance(owner, io.IOBase) or _logs(function, owner) or _is_moment(function, owner)


def _logs(function: Any, owner: Any) -> bool:
    logging: Any = sys.modules.get("logging")
    if logging is None or getattr(function, "__name__", "") not in _LOG:
        return False
    return isinstance(owner, (logging.Logger, logging.LoggerAdapter)) or function.__module__ == "logging"


def _is_moment(function: Any, owner: Any) -> bool:
    return isinstance(owner, type) and owner.__module__ == "datetime" and function.__name__ in _MOMENTS


def call_effect(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call such a function when the program runs; what it gives counts for clocks alone."""
    name = str(getattr(function, "__qualname__", None) or getattr(function, "__name__", function))
    if function in _CLOCKS:
        return call_python(function, (), {}, sample_call(function, (), {}, name).outcome(name), name=name, effects=True)
    owner = getattr(function, "__self__", None)
    writes = isinstance(owner, io.IOBase) and function.__name__ in _WRITE
    if not (function in _SILENT or writes or _logs(function, owner)):
        raise UnsupportedError(
            f"{name} inside a compiled function would run once, while the function is traced "
            f"({describe(user_location())}). Call it outside, and pass what it gives"
        )
    texts = {key: unfinished(value) for key, value in kwargs.items()}
    call_python(_Silent(function), [*map(unfinished, args)], texts, Outcome.nothing(), name=name, effects=True)
    return None


class _Silent:
    """A function whose result nobody wants, called with finished texts."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.function(*map(finished, args), **{key: finished(value) for key, value in kwargs.items()})
