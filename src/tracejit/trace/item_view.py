"""The last step to an item of a traced list that is read by reference."""

from __future__ import annotations

from typing import Any

from tracejit.ir.core import Operand
from tracejit.trace.context import current_trace
from tracejit.trace.location import describe, user_location
from tracejit.trace.region import UnstageableError
from tracejit.trace.storage import LOST, Twin, View
from tracejit.trace.values import Dims

__all__ = ["ItemView"]


class ItemView(View):
    """Right as long as the items stay where they are."""

    __slots__ = ("list", "stamp", "trace")
    replayable = False

    def __init__(self, dims: Dims, source: Any) -> None:
        self.dims = dims
        self.list = source
        self.stamp = source.stamp
        self.trace = current_trace()

    def _check(self) -> None:
        if self.list.stamp != self.stamp:
            self.list._refuse("an item is used that was read before others were replaced or removed; copy it")
        if self.list.stage is not None and current_trace() is not self.trace:
            self.list.stage.used_from_outside.add(id(self.list))

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        self._check()
        return x

    def write(self, x: Operand, part: Operand) -> Operand:
        """The value of the memory with the item replaced; arrays of which items are copies are no longer right."""
        self._check()
        trace, where = current_trace(), describe(user_location())
        for storage in self.list.sources:
            if storage.trace is not trace and trace.region and storage.trace.active:
                raise UnstageableError(f"an item of a list is changed that was stored under another name ({where})")
            storage.twins.append(Twin(storage.trace, storage, LOST, where))
        return part

    def strides(self, strides: Any, shape: Any) -> Any:
        """The strides seen through the view."""
        return strides

    def paces(self, paces: Any) -> Any:
        """The paces of the axes seen through the view."""
        return paces

    def replay(self) -> tuple[Any, ...]:
        """The step, for comparing."""
        return "item", id(self.list), self.stamp
