"""Results of a size that the program computes: the program hands them out itself, by a callback at its end.

The caller allocates the memory of all other results before a call; for these nobody knows how large it must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import Dim, DimLike, evaluate
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.context import Trace
from tracejit.trace.frames import current_frame
from tracejit.trace.location import user_location
from tracejit.trace.values import dim_value

__all__ = ["Delivery", "LateSizes", "ListDelivery", "Parcel"]


class Delivery:
    """The callback, and what the running call has handed out by it: arrays and sizes."""

    def __repr__(self) -> str:
        return "the delivery of results"

    def __call__(self, *arrays: np.ndarray[Any, Any]) -> tuple[()]:
        """Keep the arrays until the call takes them."""
        current_frame().delivered = arrays
        return ()

    def take(self, index: int) -> np.ndarray[Any, Any]:
        """The array of this number."""
        found: np.ndarray[Any, Any] = current_frame().delivered[index]
        return found

    def size(self, index: int) -> int:
        """The size of this number."""
        return int(self.take(index))


class ListDelivery:
    """Hands out an array as a list of its items."""

    def __init__(self, delivery: Delivery, numbers: bool) -> None:
        self.delivery = delivery
        self.numbers = numbers

    def __repr__(self) -> str:
        return repr(self.delivery)

    def take(self, index: int) -> list[Any]:
        """The list of this number: of Python numbers, or of arrays or NumPy scalars."""
        array = self.delivery.take(index)
        return array.tolist() if self.numbers else list(array)


class Parcel:
    """What a delivery will hand out, collected while results are described."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.delivery = Delivery()
        self.operands: list[Operand] = []
        self.sizes: dict[DimLike, int] = {}

    def add(self, operand: Operand) -> int:
        """The number of an array."""
        self.operands.append(operand)
        return len(self.operands) - 1

    def needs(self, dims: Sequence[DimLike]) -> bool:
        """Whether dims are known only when the program has run."""
        return any(map(self.trace.sizes.is_late, dims))

    def add_sizes(self, value: Any) -> None:
        """Note the computed sizes in the steps of a view."""
        if isinstance(value, tuple):
            for item in value:
                self.add_sizes(item)
        elif isinstance(value, Dim):
            dim = self.trace.sizes.resolve(value)
            if self.trace.sizes.is_late(dim) and dim not in self.sizes:
                self.sizes[dim] = self.add(dim_value(dim))

    def emit(self) -> Delivery | None:
        """Let the program hand out what was collected."""
        if not self.operands:
            return None
        attrs = {"function": self.delivery, "types": ()}
        self.trace.builder.emit(PRIMITIVES["callback"], tuple(self.operands), attrs, (), user_location())
        return self.delivery


class LateSizes:
    """Values of dims after a call: those of the call's sizes, and those that were delivered."""

    def __init__(self, sizes: Mapping[str, int], late: Mapping[DimLike, int], delivery: Delivery | None) -> None:
        self.sizes = sizes
        self.late = late
        self.delivery = delivery

    def __call__(self, dim: DimLike) -> int:
        """The value of a dim."""
        if self.delivery is not None and dim in self.late:
            return self.delivery.size(self.late[dim])
        return evaluate(dim, self.sizes)
