"""LLVM metadata: which memory an access cannot touch, as buffers are distinct objects, and which loops are finished.

While a function is emitted, accesses name buffers by their number in the kernel. When it is done its buffers are
numbered anew, in the order in which the function uses them: equal loops over different buffers become equal text, and
are emitted once.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["IN_LANES", "AliasScopes", "access_metadata"]

_MARK = re.compile(r"!(load|store)\.(\d+)")
_FIRST = 10  # lower numbers belong to the module
IN_LANES = ", !llvm.loop !lanes"
"""What the end of a loop says that LLVM need not unroll or vectorise again."""


def access_metadata(number: int, *, writes: bool) -> str:
    """What an access of the buffer of this number says, until :meth:`AliasScopes.settle` puts metadata in its place."""
    return f", !{'store' if writes else 'load'}.{number}"


_LOOP = -2  # instead of a position: the loop of this number in a function


class AliasScopes:
    """The metadata nodes of one module: scopes by position, and for each how many others there are."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}  # (position, count of scopes; 0 the scope itself, -1 alone) -> id
        self._lines: list[str] = []

    def settle(self, text: str) -> str:
        """The text of a function with its accesses' metadata."""
        order: dict[str, int] = {}
        for number in _MARK.findall(text):
            order.setdefault(number[1], len(order))
        count = len(order)

        def metadata(match: re.Match[str]) -> str:
            position = order[match[2]]
            own = f"!alias.scope !{self._list(position)}"
            return own if match[1] == "load" or count == 1 else f"{own}, !noalias !{self._others(position, count)}"

        loops = itertools.count()
        text = re.sub("!lanes\\b", lambda _: f"!{self._node((_LOOP, next(loops)), 'distinct !{@, !3, !4}')}", text)
        return _MARK.sub(metadata, text)

    def lines(self) -> list[str]:
        """The definitions of all nodes."""
        return self._lines

    def _node(self, key: tuple[int, int], content: str) -> int:
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = _FIRST + len(self._nodes)
            self._lines.append(f"!{found} = {content.replace('@', f'!{found}')}")
        return found

    def _scope(self, position: int) -> int:
        return self._node((position, 0), "distinct !{@, !2}")

    def _list(self, position: int) -> int:
        scope = self._scope(position)
        return self._node((position, -1), f"!{{!{scope}}}")

    def _others(self, position: int, count: int) -> int:
        others = ", ".join(f"!{self._scope(other)}" for other in range(count) if other != position)
        return self._node((position, count), f"!{{{others}}}")
