"""Indices that move with the lanes of a vector loop by a constant stride."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Linear"]


class Linear(NamedTuple):
    """``stride * (index of the loop + lane) + base + offset``; ``base`` is the text of a uniform i64, "" for none."""

    stride: int
    base: str
    offset: int

    def moved(self, by: int) -> Linear:
        """This plus a constant."""
        return Linear(self.stride, self.base, self.offset + by)
