"""Ways to what a traced function reads outside: read again at each call, and compared to find what is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CellType
from typing import Any

from tracejit.trace.foreign import plain_array

__all__ = [
    "UNREACHABLE",
    "AllDifferent",
    "ArrayOf",
    "AttributeOf",
    "ClosureCell",
    "Fixed",
    "Getter",
    "GlobalName",
    "ItemOf",
    "is_hashable",
    "is_of_call",
]

Getter = Callable[[], Any]
UNREACHABLE = (AttributeError, IndexError, KeyError, NameError, TypeError, ValueError)
"""What getters raise for what is not there any more."""


@dataclass(frozen=True, eq=False)
class GlobalName:
    """Reads a name of a module."""

    namespace: dict[str, Any]
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GlobalName) and self.name == other.name and self.namespace is other.namespace

    def __hash__(self) -> int:
        return hash((id(self.namespace), self.name))

    def __call__(self) -> Any:
        """What is there now."""
        return self.namespace[self.name]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class ClosureCell:
    """Reads a variable of an enclosing function."""

    cell: CellType
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClosureCell) and self.cell is other.cell

    def __hash__(self) -> int:
        return id(self.cell)

    def __call__(self) -> Any:
        """What is there now."""
        return self.cell.cell_contents

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Fixed:
    """One object, whatever happens to the names that it had."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __call__(self) -> Any:
        """What is there now."""
        return self.value

    def __str__(self) -> str:
        return f"<{type(self.value).__name__}>"


@dataclass(frozen=True)
class AttributeOf:
    """Reads an attribute of what another getter reads."""

    parent: Getter
    name: str

    def __call__(self) -> Any:
        """What is there now."""
        return getattr(self.parent(), self.name)

    def __str__(self) -> str:
        return f"{self.parent}.{self.name}"


@dataclass(frozen=True)
class ItemOf:
    """Reads an entry of the container that another getter reads."""

    parent: Getter
    key: Any

    def __call__(self) -> Any:
        """What is there now."""
        return self.parent()[self.key]

    def __str__(self) -> str:
        return f"{self.parent}[{self.key!r}]"


@dataclass(frozen=True)
class ArrayOf:
    """Reads the array that NumPy takes a foreign object for (see ``foreign``)."""

    parent: Getter

    def __call__(self) -> Any:
        """What is there now."""
        return plain_array(self.parent(), str(self.parent))

    def __str__(self) -> str:
        return str(self.parent)


@dataclass(frozen=True)
class AllDifferent:
    """Tells whether several getters give different objects."""

    getters: tuple[Getter, ...]

    def __call__(self) -> bool:
        """Whether they do now."""
        return len({id(getter()) for getter in self.getters}) == len(self.getters)

    def __str__(self) -> str:
        return ", ".join(map(str, self.getters))


def is_of_call(getter: Getter) -> bool:
    """Whether a way begins at the call that is running, not in a module, a closure or at a fixed object."""
    while isinstance(getter, (AttributeOf, ItemOf, ArrayOf)):
        getter = getter.parent
    return not isinstance(getter, (GlobalName, ClosureCell, Fixed))


def is_hashable(getter: Getter) -> bool:
    """Whether ways like this one can be compared: not with an unhashable key on them."""
    try:
        hash(getter)
    except TypeError:
        return False
    return True
