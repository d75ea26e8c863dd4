"""Text with values that the program computes: made when the program runs, for print and the like."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.trace.base import Tracer
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.scalar import SymbolicInt

__all__ = ["TracedText", "finished", "formatted", "is_pending", "joined", "unfinished"]


class TracedText:
    """``function(*args)``, a text that only the running program can make."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args

    def __repr__(self) -> str:
        return f"<a text made of {', '.join(repr(value) for value in self.args if contains_tracer(value))}>"

    def __add__(self, other: Any) -> TracedText:
        return TracedText(operator.add, self, other)

    def __radd__(self, other: Any) -> TracedText:
        return TracedText(operator.add, other, self)


_MARK = object()


def unfinished(value: Any) -> Any:
    """A text as a tuple that can be passed to the running program; other values as they are."""
    if isinstance(value, TracedText):
        return (_MARK, value.function, *map(unfinished, value.args))
    return tuple(map(unfinished, value)) if type(value) is tuple else value


def finished(value: Any) -> Any:
    """The text of such a tuple."""
    if type(value) is not tuple:
        return value
    if len(value) > 1 and value[0] is _MARK:
        return value[1](*map(finished, value[2:]))
    return tuple(map(finished, value))


def is_pending(value: Any) -> bool:
    """Whether only the running program knows the text of a value; sizes are known, and guarded."""
    if isinstance(value, SymbolicInt):
        return value.sizes.is_late(value.sizes.resolve(value.dim))
    if isinstance(value, (list, tuple)):
        return any(map(is_pending, value))
    if isinstance(value, dict):
        return any(map(is_pending, value.values()))
    return isinstance(value, (Tracer, TracedText))


def joined(*pieces: Any) -> Any:
    """An f-string: its pieces are texts, and ``(value, conversion, format)``."""
    if any(is_pending(piece) for piece in pieces):
        return TracedText(_join, *pieces)
    return _join(*pieces)


_CONVERSIONS: dict[int, Callable[[Any], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}


def _join(*pieces: Any) -> str:
    found = []
    for piece in pieces:
        if type(piece) is tuple:
            value, conversion, spec = piece
            piece = format(_CONVERSIONS[conversion](value) if conversion in _CONVERSIONS else value, spec)
        found.append(piece)
    return "".join(found)


def formatted(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> TracedText:
    """``function(*args, **kwargs)``, for the functions and methods that make texts."""
    return TracedText(lambda given, named: function(*given, **named), tuple(args), kwargs)
