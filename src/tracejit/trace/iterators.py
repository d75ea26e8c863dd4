"""NumPy's iterators over elements, ``nditer`` and ``ndenumerate``: they run while tracing, over sizes of this call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.array import TracedArray
from tracejit.trace.builtin_functions import BUILTINS
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array, contains_tracer
from tracejit.trace.registry import call

__all__: list[str] = []


def _indices(array: TracedArray) -> Iterator[tuple[int, ...]]:
    return np.ndindex(*(current_trace().sizes.concrete(dim) for dim in array.dims))


class ElementIterator:
    """``np.nditer`` of arrays in C's order, without buffering: each element is an array of rank 0."""

    def __init__(self, op: Any, flags: Any = (), op_flags: Any = None) -> None:
        unknown = set(flags) - {"multi_index", "zerosize_ok", "refs_ok", "c_index"}
        if unknown:
            raise UnsupportedError(f"np.nditer with flags {sorted(unknown)} is not compiled; write loops over indices")
        single = not isinstance(op, (list, tuple))
        arrays = [as_array(x) for x in ([op] if single else op)]
        if len(arrays) > 1:
            arrays = list(call(np.broadcast_arrays, *arrays)) if op_flags is None else arrays
        if not all(array.flags.c_contiguous or len(array.views) for array in arrays):
            raise UnsupportedError("np.nditer of arrays in Fortran's order is not compiled; iterate over a copy")
        self.operands = tuple(arrays)
        self.shape = arrays[0].shape
        self._order = list(_indices(arrays[0]))
        self._position = 0

    @property
    def multi_index(self) -> tuple[int, ...]:
        """The index of the current element."""
        return self._order[self._position]

    @property
    def finished(self) -> bool:
        """Whether all elements have been visited."""
        return self._position >= len(self._order)

    def iternext(self) -> bool:
        """Go on to the next element; whether there is one."""
        self._position += 1
        return not self.finished

    def __getitem__(self, number: int) -> Any:
        return self.operands[number][(*self.multi_index, Ellipsis)]

    @property
    def value(self) -> Any:
        """The current element, or a tuple of one of each operand."""
        found = tuple(self[number] for number in range(len(self.operands)))
        return found[0] if len(found) == 1 else found

    def __enter__(self) -> ElementIterator:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        while not self.finished:
            yield self.value
            self._position += 1


def _nditer(op: Any, *args: Any, **kwargs: Any) -> Any:
    traced = contains_tracer(op) or isinstance(op, np.ndarray)
    return ElementIterator(op, *args, **kwargs) if traced else np.nditer(op, *args, **kwargs)


def _ndenumerate(arr: Any) -> Any:
    array = as_array(arr)
    return ((index, array[index]) for index in _indices(array))


BUILTINS[np.nditer] = _nditer
BUILTINS[np.ndenumerate] = _ndenumerate
