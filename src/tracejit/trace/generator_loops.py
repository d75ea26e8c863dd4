"""``sum``, ``any``, ``all``, ``max`` and ``min`` of a generator expression, as loops.

The functions below are traced: their loops and branches become those of the program.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LOOPS"]


def _sum(items: Any, value: Any, test: Any, start: Any = 0) -> Any:
    total = start
    for item in items:
        if test is None or test(item):
            total = total + value(item)
    return total


def _any(items: Any, value: Any, test: Any) -> Any:
    for item in items:
        if (test is None or test(item)) and value(item):
            return True
    return False


def _all(items: Any, value: Any, test: Any) -> Any:
    for item in items:
        if (test is None or test(item)) and not value(item):
            return False
    return True


def _message_of(function: Any) -> str:
    try:
        function(())
    except ValueError as error:
        return str(error)
    return ""


def _max(items: Any, value: Any, test: Any, message: str = _message_of(max)) -> Any:
    best = None
    for item in items:
        if test is None or test(item):
            found = value(item)
            if best is None or found > best:
                best = found
    if best is None:
        raise ValueError(message)
    return best


def _min(items: Any, value: Any, test: Any, message: str = _message_of(min)) -> Any:
    best = None
    for item in items:
        if test is None or test(item):
            found = value(item)
            if best is None or found < best:
                best = found
    if best is None:
        raise ValueError(message)
    return best


LOOPS: dict[Any, Any] = {sum: _sum, any: _any, all: _all, max: _max, min: _min}
