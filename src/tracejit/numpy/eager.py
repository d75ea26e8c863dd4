"""Functions of NumPy as compiled functions: which arguments are data of a call, and which are part of the program.

Arrays, NumPy scalars and Python floats and complex numbers are data; Python ints are data where they are numbers or
sizes (ufuncs, creation), and like everything else (axes, dtypes, flags, texts) part of the program where they are not.
One compiled function is kept for each arrangement of the arguments that differs in a part of the program.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tracejit.api import jit
from tracejit.errors import ConcretizationError, PerformanceWarning, UnsupportedError
from tracejit.trace.calls import dispatch
from tracejit.trace.context import active_trace
from tracejit.trace.location import frames_to_user

__all__ = ["compiled"]

_MOST_PROGRAMS = 4096
# Functions whose Python ints are sizes or numbers, not axes or modes.
_OF_SIZES = frozenset("arange empty eye full identity linspace ones tri zeros".split())
# Functions with sizes that follow from their floats: with these NumPy is as fast.
_OF_SIZES_FROM_FLOATS = frozenset(["arange"])


class _Leaf:
    """The place of an argument that is data."""

    def __repr__(self) -> str:
        return "_"


_LEAF = _Leaf()


class _Sequence(NamedTuple):
    """A list or tuple among the arguments."""

    kind: type
    items: tuple[Hashable, ...]


class _Constant(NamedTuple):
    """Anything else that is part of the program; the type tells True from 1."""

    kind: type
    value: Hashable


class _NotCompilable(Exception):
    """An argument that NumPy has to handle: an array of objects, a subclass of ndarray, a float that decides a size."""


class _Arguments:
    """The arguments of one call, taken apart: data in ``leaves``, the program in what ``take`` returns."""

    __slots__ = ("floats_are_sizes", "ints_are_data", "leaves")

    def __init__(self, ints_are_data: bool, floats_are_sizes: bool) -> None:
        self.ints_are_data = ints_are_data
        self.floats_are_sizes = floats_are_sizes
        self.leaves: list[Any] = []

    def take(self, value: Any) -> Hashable:
        """The program's part of one argument."""
        kind = type(value)
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value)
        if kind is list or kind is tuple:
            return _Sequence(kind, tuple(map(self.take, value)))
        if kind is float or kind is complex:
            if self.floats_are_sizes:
                raise _NotCompilable
            return self._leaf(value)
        if kind is int and self.ints_are_data and -(2**63) <= value < 2**63:
            return self._leaf(value)
        if kind is slice:
            return _Sequence(slice, (self.take(value.start), self.take(value.stop), self.take(value.step)))
        if isinstance(value, np.ndarray) or not _is_hashable(value):
            raise _NotCompilable
        return _Constant(kind, value)

    def _array(self, value: Any) -> Hashable:
        dtype = value.dtype
        if dtype.kind not in "biufc" or dtype.char in "gG":
            raise _NotCompilable
        return self._leaf(value)

    def _leaf(self, value: Any) -> Hashable:
        self.leaves.append(value)
        return _LEAF


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _put_back(part: Any, leaves: Iterator[Any]) -> Any:
    """The argument that ``_Arguments.take`` took apart, with other leaves."""
    if part is _LEAF:
        return next(leaves)
    if type(part) is _Sequence:
        items = [_put_back(item, leaves) for item in part.items]
        return slice(*items) if part.kind is slice else part.kind(items)
    return part.value


@functools.lru_cache(maxsize=_MOST_PROGRAMS)
def _program(function: Any, parts: tuple[Hashable, ...], names: tuple[str, ...], count: int) -> Callable[..., Any]:
    """The compiled function of ``count`` leaves that calls a NumPy function with the given arrangement."""

    def call(*leaves: Any) -> Any:
        iterator = iter(leaves)
        values = [_put_back(part, iterator) for part in parts]
        positional = values[: len(values) - len(names)]
        return _run(function, tuple(positional), dict(zip(names, values[len(positional) :], strict=True)))

    return jit(call, name=_label(function))  # type: ignore[no-any-return]


def _label(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "function")
    return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else str(name)


def _run(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a NumPy function, inside a trace if one is running."""
    trace = active_trace()
    return function(*args, **kwargs) if trace is None else dispatch(function, args, kwargs, trace)


def compiled(function: Any) -> Any:
    """A function that does what a function of NumPy does, by machine code; a part of the trace inside a trace.

    What cannot be compiled runs through NumPy, with a PerformanceWarning.
    """
    name = getattr(function, "__name__", "")
    is_ufunc = isinstance(function, np.ufunc)
    of_sizes = name in _OF_SIZES
    floats_are_sizes = name in _OF_SIZES_FROM_FLOATS

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        trace = active_trace()
        if trace is not None:
            return dispatch(function, args, kwargs, trace)
        arguments = _Arguments(is_ufunc or of_sizes, floats_are_sizes)
        try:
            parts = [*map(arguments.take, args)]
            arguments.ints_are_data = of_sizes
            parts += map(arguments.take, kwargs.values())
        except _NotCompilable:
            return function(*args, **kwargs)
        if not arguments.leaves:
            return function(*args, **kwargs)
        try:
            return _program(function, tuple(parts), tuple(kwargs), len(arguments.leaves))(*arguments.leaves)
        except (UnsupportedError, ConcretizationError) as error:
            _warn(function, error)
            return function(*args, **kwargs)

    call.__doc__ = _documentation(function)
    if is_ufunc and not hasattr(function, "__signature__"):
        call.__signature__ = _ufunc_signature(function)  # type: ignore[attr-defined]
    return call


def _documentation(function: Any) -> str:
    """NumPy's text without its examples: what they print depends on settings and versions."""
    text = function.__doc__ or ""
    for start in ("\n    Examples\n", "\nExamples\n"):
        text = text.partition(start)[0]
    return text if ">>> " not in text or function.__module__.startswith("tracejit") else text.partition("\n\n")[0]


def _warn(function: Any, error: Exception) -> None:
    message = f"np.{_label(function)} runs through NumPy instead of machine code: {error}"
    warnings.warn(message, PerformanceWarning, stacklevel=frames_to_user())


def _ufunc_signature(function: np.ufunc) -> Any:
    """What ``inspect`` says of the wrapper: NumPy's ufuncs had no signature before NumPy 2.4."""
    import inspect  # noqa: PLC0415  (slow to import, needed with old versions of NumPy only)

    kinds = inspect.Parameter
    names = ["x"] if function.nin == 1 else [f"x{k + 1}" for k in range(function.nin)]
    inputs = [kinds(name, kinds.POSITIONAL_ONLY) for name in names]
    axis = [] if function.signature is None else [kinds("axis", kinds.KEYWORD_ONLY, default=-1)]
    keywords = [kinds("out", kinds.KEYWORD_ONLY, default=None), *axis, kinds("kwargs", kinds.VAR_KEYWORD)]
    return inspect.Signature([*inputs, *keywords])
