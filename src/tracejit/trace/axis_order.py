"""In which order an array's axes go through memory, and the order that NumPy gives to the axes of results.

An *order* names the axes, those with the longest strides first; ``()`` stands for row-major order. The *paces* of an
array are one number for each axis: 0 where it does not move through memory, else larger for longer strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "ORDER",
    "ROWS",
    "Layout",
    "Order",
    "Paces",
    "Placed",
    "by_rows",
    "columns",
    "fits_layout",
    "inverse",
    "joint_order",
    "layout_of",
    "normal",
    "paces_of",
    "sorted_order",
]

Order = tuple[int, ...]
Paces = tuple[int, ...]

NOTHING, ORDER, EVERYTHING = 0, 1, 2
"""How much of an array's layout a program depends on: nothing; the order, and which paces are 0; all of it."""


def columns(rank: int) -> Order:
    """Column-major order, Fortran's."""
    return tuple(reversed(range(rank))) if rank > 1 else ()


def normal(order: Sequence[int]) -> Order:
    """The same order, ``()`` where it is row-major."""
    return () if list(order) == list(range(len(order))) else tuple(order)


def inverse(order: Order) -> Order:
    """Where each axis stands in an order."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def paces_of(order: Order, rank: int, still: Sequence[int] = ()) -> Paces:
    """Paces of an array of this order; axes in ``still`` have none."""
    places = range(rank, 0, -1)
    if not order and not still:
        return tuple(places)
    paces = dict(zip(order or range(rank), places, strict=True))
    return tuple(0 if axis in still else paces[axis] for axis in range(rank))


def by_rows(paces: Sequence[int]) -> bool:
    """Whether each axis has longer strides than its follower."""
    return all(a > b for a, b in pairwise((*paces, 0)))


def sorted_order(paces: Sequence[int]) -> Order:
    """The order of an array with these paces, or strides, and of copies that keep it.

    Example:
        >>> sorted_order((8, 16, 80)), sorted_order((80, 16, 8))
        ((2, 1, 0), ())
    """
    return normal(sorted(range(len(paces)), key=lambda axis: -abs(paces[axis])))


def joint_order(operands: Sequence[Sequence[int]]) -> Order:
    """The order of the result of an elementwise function, from the paces of its operands (all of the result's rank).

    As in NumPy's iterator, an insertion sort from the last axis to the first: two axes are exchanged where some operand
    wants it and none objects; an operand has no say where one of its two paces is 0.

    Example:
        >>> joint_order([(1, 2), (1, 2)]), joint_order([(1, 2), (2, 1)]), joint_order([(1, 2), (0, 0)])
        ((1, 0), (), (1, 0))
    """
    rank = len(operands[0])
    order: list[int] = []  # the shortest strides first
    for axis in reversed(range(rank)):
        place = len(order)
        for position in reversed(range(len(order))):
            wish = _exchanged(operands, axis, order[position])
            if wish is None:
                continue
            if not wish:
                break
            place = position
        order.insert(place, axis)
    return normal(order[::-1])


def _exchanged(operands: Sequence[Sequence[int]], axis: int, inner: int) -> bool | None:
    """Whether an axis belongs inside of another one that follows it in row-major order; None: no answer."""
    found = [paces[inner] > paces[axis] for paces in operands if paces[inner] and paces[axis]]
    return all(found) if found else None


class Layout(NamedTuple):
    """What a program may depend on of how an array lies in memory.

    order: of its axes; axes of size 1 count as row-major. still: axes with more than one element and no step.
    joined: for the axes in that order, whether each can be seen as one with its follower. dense: there are no gaps.
    """

    order: Order = ()
    still: tuple[int, ...] = ()
    joined: tuple[bool, ...] = ()
    dense: bool = True

    @property
    def by_columns(self) -> bool:
        """Whether it is contiguous as Fortran has it, and not as C has it."""
        return self.dense and bool(self.order) and self.order == columns(len(self.order))


ROWS = Layout()


def layout_of(array: np.ndarray[Any, Any]) -> Layout:
    """How an array lies in memory.

    Example:
        >>> layout_of(np.zeros((2, 3)).T)
        Layout(order=(1, 0), still=(), joined=(), dense=True)
        >>> layout_of(np.zeros((2, 6))[:, ::3])
        Layout(order=(), still=(), joined=(True,), dense=False)
    """
    flags = array.flags
    if flags.c_contiguous:
        return ROWS
    if flags.f_contiguous:
        return Layout(columns(array.ndim))
    moving = [axis for axis, size in enumerate(array.shape) if size != 1]
    paces = [abs(stride) for stride in array.strides]
    rest = iter(sorted(moving, key=lambda axis: -paces[axis]))
    order = [next(rest) if size != 1 else axis for axis, size in enumerate(array.shape)]
    strides = [(array.strides[axis], array.shape[axis]) for axis in order if array.shape[axis] != 1]
    joined = tuple(a == b * size for (a, _), (b, size) in pairwise(strides))
    still = tuple(axis for axis in moving if not paces[axis])
    dense = all(joined) and not still and strides[-1][0] == array.itemsize
    return Layout(normal(order), still, joined, dense)


class Placed(Protocol):
    """An argument or a capture: the layout that its program was traced for, and how much of it counts."""

    layout: Layout
    layout_used: int


def fits_layout(source: Placed, array: np.ndarray[Any, Any]) -> bool:
    """Whether a program is right for an array with this layout."""
    if source.layout_used == NOTHING:
        return True
    found = layout_of(array)
    if source.layout_used == EVERYTHING:
        return found == source.layout
    return found[:2] == source.layout[:2]
