"""What a Python function returns, found by calling it once while tracing, on samples of its arguments.

Samples have the dtypes and ranks of the arguments, and harmless elements. The dims of results are those of a rule where
the sample agrees with it, else sizes known after the call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.dims import DimLike, evaluate, symbols_of
from tracejit.trace.array import NumpyValue, TracedArray
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace, paused
from tracejit.trace.dtypes import PYTHON_DTYPES
from tracejit.trace.frames import fresh_slot
from tracejit.trace.generators import is_generator, sample_of
from tracejit.trace.inputs import as_array
from tracejit.trace.location import describe, user_location
from tracejit.trace.python_calls import Announced, Outcome, Part, take_apart
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.scalar import PythonNumber, SymbolicInt
from tracejit.trace.values import Dims

__all__ = ["Sample", "outcome_like", "sample_call"]

_SMALL = 8
"""Sizes up to this are those of the traced call in sample arrays; larger ones become slightly larger than this."""


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

    def returned_generator(self) -> Any:
        """The generator among the arguments that the function returns itself, if it does."""
        for leaf, sample in zip(self.leaves, self.samples, strict=True):
            if sample is self.output and is_generator(leaf):
                return leaf
        return None

    def outcome(self, name: str, expected: Sequence[Dims] | None = None) -> Outcome:
        """What the function returns for arguments of these types; expected: the dims of arrays that a rule gives."""
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
            if kind == "object":
                parts.append(Part(kind, fresh_slot(), leaf))
                continue
            parts.append(Part(kind, len(arrays), type(leaf) if kind == "python" else None))
            arrays.append(np.asarray(leaf, PYTHON_DTYPES.get(type(leaf))))
        if expected is None or not self._has_dims(arrays, expected):
            announced = [Announced(array.dtype, (None,) * array.ndim) for array in arrays]
        else:
            announced = [Announced(array.dtype, own) for array, own in zip(arrays, expected, strict=True)]
        return Outcome(tree, tuple(parts), tuple(announced))

    def _has_dims(self, arrays: Sequence[np.ndarray[Any, Any]], expected: Sequence[Dims]) -> bool:
        return [array.shape for array in arrays] == [tuple(_size(d, self.sizes) for d in dims) for dims in expected]

    def _is_view(self, array: np.ndarray[Any, Any]) -> bool:
        given = [sample for sample in self.samples if isinstance(sample, np.ndarray)]
        return any(array is not sample and np.may_share_memory(array, sample) for sample in given)


def outcome_like(value: Any) -> Outcome:
    """The outcome of a function that returns a number of this type."""
    return Sample([], [], {}, value).outcome("a number from outside")


_IRREGULAR = 0.25
_Filler = Callable[[int], float]
_FILLERS: tuple[_Filler, ...] = (lambda k: 1, lambda k: k + 1, lambda k: 0.5, lambda k: _IRREGULAR)
"""Values for the k-th leaf where it is a number that the program computes; others are tried where these fail."""


def sample_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], name: str, changed: Sequence[Any] = ()
) -> Sample:
    """Call a function on samples of its arguments: small ones, and if it refuses these, as large as the call's."""
    tree, leaves = take_apart(args, kwargs)
    hints = current_trace().sizes.hints
    failure: Exception | None = None
    for sizes in (_small_sizes(hints), hints):
        for filler in _FILLERS:
            samples = [_Sampler(sizes, changed, filler(k)).of(leaf) for k, leaf in enumerate(leaves)]
            plain_args, plain_kwargs = unflatten(tree, samples)
            try:
                with paused(), np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    output = function(*plain_args, **plain_kwargs)
            except Exception as error:
                failure = failure or error
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


class _Sampler:
    """Makes the sample of one leaf."""

    def __init__(self, sizes: dict[str, int], changed: Sequence[Any], filler: float) -> None:
        self.sizes = sizes
        self.changed = changed
        self.filler = filler

    def of(self, leaf: Any) -> Any:
        """A plain object for the leaf."""
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
            leaf = as_array(leaf)
        if isinstance(leaf, TracedArray):
            return self.array(leaf)
        if isinstance(leaf, SymbolicInt):
            size = leaf.sizes.resolve(leaf.dim)
            return leaf.python_type(_size(size, self.sizes) if leaf.sizes.is_late(size) else evaluate(size, self.sizes))
        if isinstance(leaf, PythonNumber):
            return leaf.python_type(self.filler)
        if is_generator(leaf):
            return sample_of(leaf)
        return leaf.dtype.type(self.filler) if isinstance(leaf, NumpyValue) else leaf

    def array(self, leaf: TracedArray) -> np.ndarray[Any, Any]:
        """A constant itself, or an array of the leaf's dtype and rank: other fillers make other kinds of elements."""
        is_changed = any(leaf is array for array in self.changed)
        if not is_changed and (known := constant_value(leaf.operand())) is not None:
            return known
        array = _content(tuple(_size(dim, self.sizes) for dim in leaf.dims), leaf.dtype)
        if self.filler == _IRREGULAR:
            array = np.random.default_rng(1).integers(1, 99, array.shape).astype(leaf.dtype)
        elif self.filler != 1 and array.ndim == 1 and array.size and leaf.dtype.kind == "f":
            array = np.full(array.shape, 1 / array.size, leaf.dtype)
        array.flags.writeable = leaf.writeable and is_changed
        return array


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
    if is_generator(leaf):
        return "object"
    if type(leaf) in PYTHON_DTYPES:
        return "python"
    if isinstance(leaf, np.generic):
        return "scalar" if leaf.dtype.kind in "biufc" else None
    return "array" if type(leaf) is np.ndarray and leaf.dtype.kind in "biufc" else None
