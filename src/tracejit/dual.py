"""What works inside a traced function and outside: outside it is compiled, once for each function it is given."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tracejit.api import jit
from tracejit.trace.context import active_trace

__all__ = ["compiled_once", "dual", "label_of"]

_MOST = 512  # compiled functions that are kept; the least recently used is dropped
_kept: OrderedDict[Any, Callable[..., Any]] = OrderedDict()
_lock = threading.Lock()


def label_of(what: str, fun: Callable[..., Any]) -> str:
    """The name of a transformed function in messages."""
    return f"{what}({getattr(fun, '__name__', type(fun).__name__)})"


def compiled_once(inside: Callable[..., Any], fun: Callable[..., Any], key: tuple[Any, ...], label: str) -> Any:
    """``inside`` compiled, the same object again for an equal key and the same ``fun``."""
    try:
        full = (key, fun)
        hash(full)
    except TypeError:  # fun cannot be hashed
        return jit(inside, name=label)
    with _lock:
        found = _kept.get(full)
        if found is None:
            found = _kept[full] = jit(inside, name=label)
            if len(_kept) > _MOST:
                _kept.popitem(last=False)
        else:
            _kept.move_to_end(full)
    return found


def dual(inside: Callable[..., Any], fun: Callable[..., Any], key: tuple[Any, ...], what: str) -> Callable[..., Any]:
    """A function that calls ``inside`` within a trace, and runs it compiled outside."""
    compiled = compiled_once(inside, fun, key, label_of(what, fun))

    @functools.wraps(fun, assigned=("__module__", "__doc__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if active_trace() is not None:
            return inside(*args, **kwargs)
        return compiled(*args, **kwargs)

    call.__name__ = call.__qualname__ = label_of(what, fun)
    return call
