"""The program: values, literals, equations, functions. One structure for both levels; immutable once finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tracejit.ir.dims import Dim, DimLike, symbols_of
from tracejit.ir.types import ArrayType

if TYPE_CHECKING:
    from tracejit.ir.primitive import Primitive

__all__ = ["Eqn", "Function", "Guard", "Literal", "Location", "Operand", "Value", "walk", "writes"]

Location: TypeAlias = tuple[str, int]  # file and line of the user's code

_PRIMITIVES: dict[str, Primitive] = {}  # ``ir/primitive.py`` owns it; here because operators on values emit primitives


class _Expression:
    """Operators on operands: each emits the primitive of that name into the current builder."""

    __slots__ = ()

    def __add__(self, other: Any) -> Value:
        return _emit("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return _emit("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return _emit("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return _emit("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return _emit("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return _emit("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return _emit("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return _emit("div", other, self)

    def __neg__(self) -> Value:
        return _emit("neg", self)

    def __lt__(self, other: Any) -> Value:
        return _emit("lt", self, other)

    def __le__(self, other: Any) -> Value:
        return _emit("le", self, other)

    def __gt__(self, other: Any) -> Value:
        return _emit("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return _emit("ge", self, other)

    def __and__(self, other: Any) -> Value:
        return _emit("bitwise_and", self, other)

    def __or__(self, other: Any) -> Value:
        return _emit("bitwise_or", self, other)


class Value(_Expression):
    """One result of an equation, or a parameter. Equal only to itself; named only by the printer."""

    __slots__ = ("loc", "type")

    def __init__(self, type: ArrayType, loc: Location | None = None) -> None:
        self.type = type
        self.loc = loc

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return self.type.dtype

    @property
    def dims(self) -> tuple[DimLike, ...]:
        """The sizes of the axes."""
        return self.type.dims

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.type.dims)

    def __repr__(self) -> str:
        return f"<{self.type}>"


class Literal(_Expression):
    """A scalar constant. Equal to another of the same dtype and bits, so ``-0.0`` is not ``0.0`` and NaN is NaN."""

    __slots__ = ("_bits", "type", "value")

    def __init__(self, value: Any, type: ArrayType | None = None) -> None:
        scalar = np.asarray(value, dtype=None if type is None else type.dtype)
        self.value: Any = scalar[()]
        self.type = type or ArrayType(scalar.dtype)
        self._bits = scalar.tobytes()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return self.type.dtype

    @property
    def dims(self) -> tuple[DimLike, ...]:
        """The sizes of the axes."""
        return ()

    @property
    def rank(self) -> int:
        """The number of axes."""
        return 0

    @property
    def loc(self) -> None:
        """Literals come from nowhere in particular."""
        return None

    @property
    def bits(self) -> bytes:
        """The bytes of the value."""
        return self._bits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._bits == other._bits and self.type.dtype == other.type.dtype

    def __hash__(self) -> int:
        return hash((self._bits, self.type.dtype.char))

    def __repr__(self) -> str:
        return f"{self.type}({self.value})"


Operand: TypeAlias = Value | Literal


class Eqn:
    """One operation: ``results = op operands {attrs} (regions)``. ``attrs`` holds hashable values only."""

    __slots__ = ("attrs", "loc", "op", "operands", "regions", "results")

    def __init__(
        self,
        op: Primitive,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Any],
        regions: tuple[Function, ...],
        results: tuple[Value, ...],
        loc: Location | None = None,
    ) -> None:
        self.op = op
        self.operands = operands
        self.attrs = attrs
        self.regions = regions
        self.results = results
        self.loc = loc

    def __repr__(self) -> str:
        return f"<{self.op.name} -> {', '.join(str(r.type) for r in self.results)}>"


@dataclass(frozen=True, slots=True)
class Guard:
    """What a trace assumed of sizes: ``dim == 0``, ``dim != 0`` or ``dim >= 0``."""

    dim: DimLike
    relation: str
    loc: Location | None = None

    def holds(self, value: int) -> bool:
        """Whether the guard allows this value of its dim."""
        return {"== 0": value == 0, "!= 0": value != 0, ">= 0": value >= 0}[self.relation]


class Function:
    """A program or a region: parameters, equations in order, results.

    ``sizes`` names the size symbols bound by Python ints of the call; every other symbol is bound by the first
    parameter
    dim that is that symbol. ``aliases`` maps a result's position to the parameter whose memory it is written to.
    """

    __slots__ = ("_symbols", "aliases", "eqns", "guards", "name", "params", "results", "sizes")

    def __init__(
        self,
        name: str,
        params: tuple[Value, ...],
        eqns: tuple[Eqn, ...],
        results: tuple[Operand, ...],
        *,
        sizes: tuple[str, ...] = (),
        guards: tuple[Guard, ...] = (),
        aliases: Mapping[int, int] | None = None,
    ) -> None:
        self.name = name
        self.params = params
        self.eqns = eqns
        self.results = results
        self.sizes = sizes
        self.guards = guards
        self.aliases: dict[int, int] = dict(aliases or {})
        self._symbols: tuple[str, ...] | None = None

    def replace(
        self,
        *,
        eqns: Iterable[Eqn] | None = None,
        results: Iterable[Operand] | None = None,
        aliases: Mapping[int, int] | None = None,
    ) -> Function:
        """The same function with other equations, results or aliases."""
        return Function(
            self.name,
            self.params,
            self.eqns if eqns is None else tuple(eqns),
            self.results if results is None else tuple(results),
            sizes=self.sizes,
            guards=self.guards,
            aliases=self.aliases if aliases is None else aliases,
        )

    def symbols(self) -> tuple[str, ...]:
        """Every size symbol, in the order in which the kernel receives their values."""
        if self._symbols is None:
            found = dict.fromkeys(self.sizes)
            for param in self.params:
                for dim in param.type.dims:
                    if isinstance(dim, Dim) and (name := dim.as_symbol) is not None:
                        found.setdefault(name)
            for param in self.params:
                for dim in param.type.dims:
                    for name in sorted(symbols_of(dim)):
                        found.setdefault(name)
            self._symbols = tuple(found)
        return self._symbols

    def __str__(self) -> str:
        from tracejit.ir.printer import format_function  # noqa: PLC0415  (the printer reads this module)

        return format_function(self)

    def __repr__(self) -> str:
        return f"<Function {self.name}: {len(self.eqns)} equations>"


def walk(function: Function) -> Iterator[Eqn]:
    """Every equation, those of nested regions after their owner; iterative, so depth does not matter."""
    stack = [iter(function.eqns)]
    while stack:
        for eqn in stack[-1]:
            yield eqn
            if eqn.regions:
                stack.extend(iter(region.eqns) for region in reversed(eqn.regions))
                break
        else:
            stack.pop()


def writes(eqn: Eqn) -> bool:
    """Whether an equation does something besides giving results (it stores, fails, calls), by itself or in regions."""
    return eqn.op.effect == "write" or any(inner.op.effect == "write" for r in eqn.regions for inner in walk(r))


def _emit(name: str, *operands: Any) -> Value:
    result: Value = _PRIMITIVES[name](*operands)
    return result
