"""The order in memory that NumPy gives to the axes of results: from the operands, or from an ``order=`` argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray
from tracejit.trace.axis_order import Order, Paces, by_rows, columns, joint_order, normal, sorted_order
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array
from tracejit.trace.values import Dims, resolve_dims

__all__ = [
    "appended_order",
    "elementwise_order",
    "gathered_order",
    "has_order",
    "indexed_order",
    "is_by_columns",
    "kept_order",
    "made_order",
    "memory_order",
    "places_in_memory",
    "reduced_order",
]


def elementwise_order(inputs: Sequence[Any], dims: Dims, order: str = "K") -> Order:
    """The order of an elementwise function's result with these dims."""
    rank = len(dims)
    if rank < 2 or (order := _checked(order)) == "C":
        return ()
    if order == "F":
        return columns(rank)
    arrays = [as_array(value) for value in inputs if isinstance(value, (TracedArray, np.ndarray))]
    if order == "A":
        return columns(rank) if arrays and all(map(is_by_columns, arrays)) else ()
    paces = [array.paces() for array in arrays]
    if all(map(by_rows, paces)):
        return ()
    agreed = _agreed_order(arrays, paces, rank)
    if agreed is not None:
        return agreed
    paces = [_moving(array, own) for array, own in zip(arrays, paces, strict=True)]
    return joint_order([(0,) * (rank - len(own)) + own for own in paces])


def _agreed_order(arrays: Sequence[TracedArray], paces: Sequence[Paces], rank: int) -> Order | None:
    """The order of an operand that moves along all axes, if no other one objects; then sizes of 1 change nothing."""
    full = [
        own
        for array, own in zip(arrays, paces, strict=True)
        if len(own) == rank and all(own) and 1 not in resolve_dims(array.dims)
    ]
    if not full:
        return None
    order = sorted_order(full[0])
    for own in paces:
        aligned = (0,) * (rank - len(own)) + own
        found = [aligned[axis] for axis in order or range(rank) if aligned[axis]]
        if found != sorted(found, reverse=True):
            return None
    return order


def _moving(array: TracedArray, paces: Paces) -> Paces:
    """The paces with 0 for axes of size 1."""
    return tuple(0 if _is_one(dim) else pace for dim, pace in zip(array.dims, paces, strict=True))


def _is_one(dim: DimLike) -> bool:
    """Whether a size is 1 in the traced call, on which the program depends from now on: such axes have no say."""
    sizes = current_trace().sizes
    dim = sizes.resolve(dim)
    return dim == 1 if isinstance(dim, int) or sizes.is_late(dim) else sizes.decide(dim - 1, "== 0")


def kept_order(array: TracedArray, order: str | None = "K") -> Order:
    """The order of a copy: ``copy(order=...)``, ``astype``, ``zeros_like``."""
    order = _checked(order)
    if order == "A":
        order = "F" if is_by_columns(array) else "C"
    if array.ndim < 2 or order == "C":
        return ()
    return columns(array.ndim) if order == "F" else array.order()


def reduced_order(value: Any, axes: Sequence[int], keepdims: bool = False) -> Order:
    """The order of what is left of an array when axes are reduced."""
    if not isinstance(value, (TracedArray, np.ndarray)):
        return ()
    array = as_array(value)
    paces = array.paces()
    left = [pace if axis not in axes else 0 for axis, pace in enumerate(paces) if keepdims or axis not in axes]
    return joint_order([left]) if len(left) > 1 and not by_rows(paces) else ()


def indexed_order(array: TracedArray, axes: Sequence[int]) -> Order:
    """The order of what one-dimensional index arrays into these axes give, each axis in its place."""
    rest = [axis for axis in range(array.ndim) if axis not in axes]
    return normal([*axes, *(rest[place] for place in places_in_memory(array, rest))])


def gathered_order(array: TracedArray, axes: Sequence[int], rank: int, perm: Sequence[int]) -> Order:
    """The order of what index arrays of a rank into these axes give: theirs are outermost, then moved by ``perm``."""
    rest = places_in_memory(array, [axis for axis in range(array.ndim) if axis not in axes])
    return normal([perm.index(axis) for axis in (*range(rank), *(rank + place for place in rest))])


def places_in_memory(array: TracedArray, axes: Sequence[int]) -> Order:
    """Some axes, by their places among each other, in the order in which memory goes through them."""
    paces = array.paces()
    return sorted_order([paces[axis] for axis in axes]) or tuple(range(len(axes)))


def memory_order(array: TracedArray) -> Order:
    """The order in which ``ravel(order="K")`` goes through the elements."""
    paces = array.paces()
    return () if len(paces) < 2 or by_rows(paces) else joint_order([_moving(array, paces)])


def appended_order(arrays: Sequence[TracedArray]) -> Order:
    """The order of arrays of one rank that are joined: the axes by all of their strides; row-major unless all agree."""
    paces = [array.paces() for array in arrays]
    if all(map(by_rows, paces)):
        return ()
    single = [list(map(_is_one, array.dims)) for array in arrays]
    order: list[int] = []
    for axis in range(len(paces[0])):  # an insertion sort; axes of size 1 have no say
        place = len(order)
        for position in reversed(range(len(order))):
            before = order[position]
            ones = zip(paces, single, strict=True)
            found = [own[axis] > own[before] for own, one in ones if not one[axis] and not one[before]]
            if found and not all(found):
                break
            place = position if found else place
        order.insert(place, axis)
    return normal(order)


def made_order(order: str | None, rank: int) -> Order:
    """The order of a new array: ``zeros(..., order=...)``."""
    checked = "C" if order is None else _checked(order)
    if checked not in ("C", "F"):
        raise ValueError("only 'C' or 'F' order is permitted")
    return columns(rank) if checked == "F" else ()


def is_by_columns(array: TracedArray) -> bool:
    """Whether an array is contiguous as Fortran has it, and not as C has it."""
    return bool(array.flags.fnc)


def has_order(array: TracedArray, order: str | None) -> bool:
    """Whether an array is as ``np.asarray(array, order=order)`` would make it."""
    order = _checked(order)
    if order == "K":
        return True
    if array.ndim < 1:
        return True
    flags = array.flags
    return bool(flags.f_contiguous if order == "F" else flags.c_contiguous or (order == "A" and flags.f_contiguous))


def _checked(order: str | None) -> str:
    if order is None:
        return "K"
    if not isinstance(order, str):
        raise TypeError(f"order must be str, not {type(order).__name__}")
    if order.upper() not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    return order.upper()
