"""Functions of NumPy and SciPy without an implementation of ours: called when the program runs.

What such a function returns is found by calling it once, while tracing, on samples of its arguments (``sampling.py``).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import PerformanceWarning, UnsupportedError
from tracejit.trace.array import NumpyValue, TracedArray
from tracejit.trace.base import Tracer, unknown_function
from tracejit.trace.context import current_trace
from tracejit.trace.fallback_shapes import dims_by_rule
from tracejit.trace.inputs import as_array
from tracejit.trace.location import describe, frames_to_user, user_location
from tracejit.trace.python_calls import Outcome, call_python
from tracejit.trace.registry import call, implements
from tracejit.trace.sampling import sample_call

__all__ = ["call_through_numpy", "display_name", "is_library_function"]

_LIBRARIES = ("numpy", "scipy")
_REFUSED = {np.shares_memory, np.may_share_memory, np.save, np.savez, np.savez_compressed, np.savetxt}
_CHANGES_FIRST = {np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis, np.copyto} | {
    getattr(np.ndarray, name) for name in ("sort", "partition", "put", "fill", "resize")
}


def is_library_function(function: Any) -> bool:
    """Whether a callable is a function (no class) of NumPy or SciPy."""
    if isinstance(function, np.ufunc):
        return True
    module = getattr(function, "__module__", None) or ""
    return module.split(".")[0] in _LIBRARIES and not isinstance(function, type)


def display_name(function: Any) -> str:
    """The name under which users know a function: ``np.linalg.svd``."""
    name = str(getattr(function, "__qualname__", None) or getattr(function, "__name__", repr(function)))
    if isinstance(function, np.ufunc):
        return f"np.{name}" if getattr(np, name, None) is function else f"scipy.special.{name}"
    module = getattr(function, "__module__", None) or ""
    if not module and name.startswith("ndarray."):
        return name
    public = ".".join(part for part in module.split(".") if not part.startswith("_"))
    return f"{public}.{name}".replace("numpy.", "np.", 1) if public else name


@implements("python function")
def call_through_numpy(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy or SciPy when the program runs."""
    if function in _REFUSED:
        raise unknown_function(function)
    if kwargs.get("overwrite_input"):  # what NumPy leaves there is undefined, and compiled code needs it untouched
        kwargs = {**kwargs, "overwrite_input": False}
    out = kwargs.get("out")
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    if out is not None:
        rest = {key: value for key, value in kwargs.items() if key != "out"}
        return _write_out(function, args, call_through_numpy(function, args, rest), out)
    return _call(function, args, kwargs)


@implements("otherwise python function")
def call_instead(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The same where our implementation has just raised UnsupportedError, which stands if this is refused, too."""
    problem = sys.exc_info()[1]
    assert problem is not None
    try:
        return call_through_numpy(function, args, kwargs)
    except UnsupportedError:
        raise problem from None


def _call(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = display_name(function)
    changed: list[TracedArray] = []
    if function in _CHANGES_FIRST and args and isinstance(args[0], (Tracer, np.ndarray)):
        args = (as_array(args[0]), *args[1:])
        changed.append(args[0])
    sample = sample_call(function, args, kwargs, name, changed)
    borrows = str(getattr(function, "__module__", None) or "numpy").startswith("numpy")
    same = sample.returned_argument()
    if same is not None:  # it only checks
        _warn(name)
        check = partial(_without_result, function)
        call_python(check, args, kwargs, Outcome.nothing(), name=name, effects=True, mutated=changed, borrows=borrows)
        return same
    outcome = sample.outcome(name, dims_by_rule(function, args, kwargs))
    _warn(name)
    return call_python(function, args, kwargs, outcome, name=name, effects=False, mutated=changed, borrows=borrows)


def _without_result(function: Any, *args: Any, **kwargs: Any) -> None:
    function(*args, **kwargs)


def _write_out(function: Any, args: Sequence[Any], result: Any, out: Any) -> Any:
    if not isinstance(result, NumpyValue):
        raise unknown_function(function)
    return call("write out", function, tuple(args), result.operand(), out)


def _warn(name: str) -> None:
    place, warned = user_location(), current_trace().captures.warned
    library = "Python" if name.startswith("math.") else "NumPy"
    if (name, place) not in warned:
        warnings.warn(
            f"{name} is called through {library} from compiled code ({describe(place)})",
            PerformanceWarning,
            stacklevel=frames_to_user(),
        )
        warned.add((name, place))
