"""Functions of NumPy and SciPy without an implementation of ours: called when the program runs.

What such a function returns is found by calling it once, while tracing, on sample arrays of the same dtypes and ranks.
The dims of results are those of a rule (``fallback_shapes.py``) where there is one, else sizes known after the call.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import PerformanceWarning, UnsupportedError
from tracejit.ir.core import Location
from tracejit.ir.dims import DimLike, evaluate, symbols_of
from tracejit.trace.array import NumpyValue, TracedArray
from tracejit.trace.base import Tracer, unknown_function
from tracejit.trace.context import current_trace, paused
from tracejit.trace.dtypes import PYTHON_DTYPES
from tracejit.trace.fallback_shapes import result_dims
from tracejit.trace.inputs import as_array
from tracejit.trace.location import describe, frames_to_user, user_location
from tracejit.trace.python_calls import Announced, Outcome, Part, call_python, take_apart
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import PythonNumber, SymbolicInt

__all__ = ["call_through_numpy", "display_name", "is_library_function"]

_SMALL = 8
"""Sizes up to this are those of the traced call in sample arrays; larger ones become slightly larger than this."""
_LIBRARIES = ("numpy", "scipy")
_REFUSED = {np.shares_memory, np.may_share_memory, np.isfortran, np.save, np.savez, np.savez_compressed, np.savetxt}
_CHANGES_FIRST = {np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis, np.copyto} | {
    getattr(np.ndarray, name) for name in ("sort", "partition", "put", "fill", "resize")
}
_warned: set[tuple[str, Location | None]] = set()


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
    outcome = sample.outcome(function, args, kwargs, name)
    _warn(name)
    return call_python(function, args, kwargs, outcome, name=name, effects=False, mutated=changed, borrows=borrows)


def _without_result(function: Any, *args: Any, **kwargs: Any) -> None:
    function(*args, **kwargs)


def _write_out(function: Any, args: Sequence[Any], result: Any, out: Any) -> Any:
    if not isinstance(result, NumpyValue):
        raise unknown_function(function)
    return call("write out", function, tuple(args), result.operand(), out)


def _warn(name: str) -> None:
    place = user_location()
    if (name, place) not in _warned:
        warnings.warn(
            f"{name} is called through NumPy from compiled code ({describe(place)})",
            PerformanceWarning,
            stacklevel=frames_to_user(),
        )
        _warned.add((name, place))


# ------------------------------------------------------------------------------------------------------- what it gives


@dataclass
class Sample:
    """A call with sample arrays: the leaves of the arguments, what stood for them, and what came out."""

    leaves: list[Any]
    samples: list[Any]
    sizes: dict[str, int]
    output: Any

    def returned_argument(self) -> Any:
        """The array among the arguments that the function returns itself, if it does."""
        for leaf, sample in zip(self.leaves, self.samples, strict=True):
            if sample is self.output and isinstance(sample, np.ndarray):
                return as_array(leaf)
        return None

    def outcome(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any], name: str) -> Outcome:
        """What the function returns for arguments of these types."""
        found, tree = flatten(self.output)
        parts: list[Part] = []
        arrays: list[np.ndarray[Any, Any]] = []
        for leaf in found:
            kind = _kind_of(leaf)
            if kind is None or (kind == "array" and self._is_view(leaf)):
                raise UnsupportedError(
                    f"{name} gives a {'view' if kind else type(leaf).__name__}, which compiled code cannot hold "
                    f"({describe(user_location())}); call it before or after the compiled function"
                )
            parts.append(Part(kind, len(arrays), type(leaf) if kind == "python" else None))
            arrays.append(np.asarray(leaf, PYTHON_DTYPES.get(type(leaf))))
        shapes = [array.shape for array in arrays]
        dims = result_dims(function, args, kwargs, shapes, lambda dim: _size(dim, self.sizes))
        announced = [Announced(array.dtype, own) for array, own in zip(arrays, dims, strict=True)]
        return Outcome(tree, tuple(parts), tuple(announced))

    def _is_view(self, array: np.ndarray[Any, Any]) -> bool:
        given = [sample for sample in self.samples if isinstance(sample, np.ndarray)]
        return any(array is not sample and np.may_share_memory(array, sample) for sample in given)


def sample_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], name: str, changed: Sequence[Any] = ()
) -> Sample:
    """Call a function on samples of its arguments: small ones, and if it refuses these, as large as the call's."""
    tree, leaves = take_apart(args, kwargs)
    hints = current_trace().sizes.hints
    failure: Exception | None = None
    for sizes in (_small_sizes(hints), hints):
        samples = [_sample(leaf, sizes, changed) for leaf in leaves]
        plain_args, plain_kwargs = unflatten(tree, samples)
        try:
            with paused(), np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output = function(*plain_args, **plain_kwargs)
        except Exception as error:
            failure = error
        else:
            return Sample(leaves, samples, sizes, output)
    assert failure is not None
    failure.add_note(f"raised by {name} for sample arrays of the same dtypes and shapes ({describe(user_location())})")
    raise failure


def _small_sizes(hints: dict[str, int]) -> dict[str, int]:
    """Sizes for samples: equal where the call's are equal, in the same order, and small."""
    large = sorted({size for size in hints.values() if size > _SMALL})
    return {name: size if size <= _SMALL else _SMALL + 1 + large.index(size) for name, size in hints.items()}


def _size(dim: DimLike, sizes: dict[str, int]) -> int:
    if isinstance(dim, int):
        return dim
    return max(evaluate(dim, {name: sizes.get(name, _SMALL - 1) for name in symbols_of(dim)}), 0)


def _sample(leaf: Any, sizes: dict[str, int], changed: Sequence[Any]) -> Any:
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
        leaf = as_array(leaf)
    if isinstance(leaf, TracedArray):
        array = _content(tuple(_size(dim, sizes) for dim in leaf.dims), leaf.dtype)
        array.flags.writeable = leaf.writeable and any(leaf is array for array in changed)
        return array
    if isinstance(leaf, SymbolicInt):
        size = leaf.sizes.resolve(leaf.dim)
        return leaf.python_type(size if isinstance(size, int) else evaluate(size, sizes))
    if isinstance(leaf, PythonNumber):
        return leaf.python_type(1)
    return leaf.dtype.type(1) if isinstance(leaf, NumpyValue) else leaf


def _content(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Harmless elements: square matrices are positive definite, floats positive and increasing, integers small."""
    if len(shape) >= 2:
        rows, columns = np.ogrid[: shape[-2], : shape[-1]]
        matrix = 2.0 * (rows == columns)
        if dtype.kind in "fc":
            matrix = matrix + 0.1 / (1 + rows + columns)
        return np.broadcast_to(matrix, shape).astype(dtype)
    if dtype.kind in "fc":
        return (np.arange(1, 1 + np.prod(shape, dtype=int)) / (1.0 + np.prod(shape))).reshape(shape).astype(dtype)
    return np.zeros(shape, dtype)


def _kind_of(leaf: Any) -> str | None:
    if type(leaf) in PYTHON_DTYPES:
        return "python"
    if isinstance(leaf, np.generic):
        return "scalar" if leaf.dtype.kind in "biufc" else None
    return "array" if type(leaf) is np.ndarray and leaf.dtype.kind in "biufc" else None
