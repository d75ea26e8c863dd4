"""What works inside a traced function and outside: outside it is compiled, once for each function it is given.

Also what transforms need of a nested trace: the function as a closed program without effects, its results as objects.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.api import jit
from tracejit.config import config
from tracejit.ir.builder import inline
from tracejit.ir.core import Function, Operand
from tracejit.passes import optimise
from tracejit.trace.context import active_trace, current_trace
from tracejit.trace.nested import Leaf, Nested

__all__ = ["compiled_once", "dual", "emit_program", "is_float", "label_of", "pure_program"]

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
        return _only_traced(inside, label)
    with _lock:
        found = _kept.get(full)
        if found is None:
            found = _kept[full] = _only_traced(inside, label)
            if len(_kept) > _MOST:
                _kept.popitem(last=False)
        else:
            _kept.move_to_end(full)
    return found


def _only_traced(inside: Callable[..., Any], label: str) -> Any:
    """A compiled function that means nothing to NumPy, whatever asks for NumPy's loops."""
    compiled = jit(inside, name=label)
    compiled.only_traced = True
    return compiled


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


def pure_program(nested: Nested) -> Function:
    """The nested function in the form that is transformed: simplified and stabilised, so that derivatives are stable,
    too.

    Writes into its arguments stay inside: transforms see the function of the arguments' values.
    """
    function = nested.function
    if function.aliases:
        function = function.replace(results=function.results[: nested.result_count], aliases={})
    return optimise(function, exact=config.exact)


def emit_program(function: Function, operands: Sequence[Operand]) -> list[Operand]:
    """Emit a program's equations into the current trace; gives its results."""
    return inline(current_trace().builder, function, operands)


def is_float(nested: Nested, leaf: Leaf) -> bool:
    """Whether an argument is floating point or complex."""
    if leaf.index < 0:
        return False
    return nested.operands[leaf.index].type.dtype.kind in "fcV"
