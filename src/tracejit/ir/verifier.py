"""Checks that a function keeps the rules of the IR: scoping, types, levels, regions, sizes, reductions.

Types are inferred again and compared with those written. Nothing is repaired here.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from typing import Any
from typing import Literal as Choice

from tracejit.errors import VerifyError
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value, walk
from tracejit.ir.dims import Dim, DimLike, symbols_of
from tracejit.ir.printer import format_context
from tracejit.ir.types import ArrayType, BufferType

__all__ = ["Level", "level_of", "verify"]

Level = Choice["array", "loop"]

_COMBINERS = {
    "add": ("add",),
    "mul": ("mul",),
    "min": ("minimum", "fmin"),
    "max": ("maximum", "fmax"),
    "and": ("bitwise_and",),
    "or": ("bitwise_or",),
}


def level_of(function: Function) -> Level:
    """The level that a function is written at: "loop" as soon as it has a buffer or an operation of that level."""
    if any(isinstance(param.type, BufferType) for param in function.params):
        return "loop"
    return "loop" if any(eqn.op.level == "loop" for eqn in function.eqns) else "array"


def verify(function: Function, level: Level | None = None) -> Function:
    """Give the function back, or raise :class:`VerifyError` showing the equation that breaks a rule and its neighbours.

    Example:
        >>> from tracejit.ir.parser import parse
        >>> verify(parse("func @f(%x: f64[n]) -> (f64[n]) { %y: f64[] = sin %x  return %y }"))
        Traceback (most recent call last):
        tracejit.errors.VerifyError: f: sin gives f64[n], but f64[] is written
        > %1: f64[] = sin %0
    """
    _Verifier(function, level or level_of(function)).run()
    return function


class _Verifier:
    """One check of one function; ``visible`` holds the values that the current equation may use."""

    def __init__(self, function: Function, level: Level) -> None:
        self.function = function
        self.level = level
        self.defined: set[Value] = set()
        self.visible: set[Value] = set()
        self.symbols = set(function.symbols())
        self.body: Sequence[Eqn] = function.eqns
        self.eqn: Eqn | None = None

    def error(self, message: str) -> VerifyError:
        text = f"{self.function.name or 'a function'}: {message}"
        if self.eqn is not None:
            text += "\n" + format_context(self.function, self.body, self.eqn)
            if self.eqn.loc and (line := linecache.getline(*self.eqn.loc).strip()):
                text += f"\n{self.eqn.loc[0]}:{self.eqn.loc[1]}: {line}"
        return VerifyError(text)

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise self.error(message)

    # --------------------------------------------------------------------------------------------- functions

    def run(self) -> None:
        function = self.function
        self.scope(function)
        for guard in function.guards:
            self.check_symbols(guard.dim, "a guard")
            self.require(guard.relation in ("== 0", "!= 0", ">= 0"), f"{guard.relation!r} is no relation of a guard")
        for result, param in function.aliases.items():
            self.require(
                result < len(function.results) and param < len(function.params), "an alias of what does not exist"
            )
            self.require(
                function.results[result].type == function.params[param].type,
                f"result {result} of type {function.results[result].type} is to be written to a param of type "
                f"{function.params[param].type}",
            )

    def scope(self, function: Function) -> None:
        """Check a body, with what is visible now; afterwards its own values are visible no more."""
        own: list[Value] = [*function.params]
        for param in function.params:
            self.define(param)
        outer_body, outer_eqn = self.body, self.eqn
        self.body = function.eqns
        for eqn in function.eqns:
            self.eqn = eqn
            self.check(eqn)
            for defined in eqn.results:
                self.define(defined)
            own.extend(eqn.results)
        self.body, self.eqn = outer_body, outer_eqn
        for result in function.results:
            self.check_operand(result, "a result")
        self.visible.difference_update(own)

    def define(self, value: Value) -> None:
        self.require(value not in self.defined, f"a value of type {value.type} is defined twice")
        if self.level == "array":
            self.require(not isinstance(value.type, BufferType), f"a buffer at array level: {value.type}")
        for dim in value.type.dims:
            self.check_symbols(dim, str(value.type))
        self.defined.add(value)
        self.visible.add(value)

    def check_symbols(self, dim: DimLike, where: str) -> None:
        if isinstance(dim, Dim) and not (unknown := symbols_of(dim) - self.symbols) <= set():
            raise self.error(f"nothing binds the sizes {', '.join(sorted(unknown))} of {where}")

    # --------------------------------------------------------------------------------------------- equations

    def check(self, eqn: Eqn) -> None:
        for operand in eqn.operands:
            self.check_operand(operand, "an operand")
        self.check_level(eqn)
        for name, attribute in eqn.attrs.items():
            self.check_attribute(name, attribute)
        for region in eqn.regions:
            self.check_region(region)
        self.check_types(eqn)
        if eqn.op.name == "bind_size":
            self.symbols.add(eqn.attrs["symbol"])
        if eqn.op.name == "for" and eqn.attrs["kind"] == "reduce":
            self.check_reduction(eqn)

    def check_operand(self, operand: Operand, what: str) -> None:
        if isinstance(operand, Literal):
            return
        if operand not in self.visible:
            reason = "belongs to another region" if operand in self.defined else "is not defined before its use"
            raise self.error(f"{what} of type {operand.type} {reason}")

    def check_level(self, eqn: Eqn) -> None:
        level, name = eqn.op.level, eqn.op.name
        self.require(level in ("both", self.level), f"{name} does not exist at {self.level} level")
        for operand in eqn.operands if eqn.op.elementwise else ():
            self.require(not isinstance(operand.type, BufferType), f"{name} of a buffer")
            scalar = self.level == "array" or not operand.rank
            self.require(scalar, f"{name} of {operand.type}: at loop level arithmetic is of scalars")

    def check_attribute(self, name: str, attribute: Any) -> None:
        try:
            hash(attribute)
        except TypeError:
            raise self.error(f"the attribute {name} is not hashable: {attribute!r}") from None
        for dim in _dims_of(attribute):
            self.check_symbols(dim, f"the attribute {name}")

    def check_region(self, region: Function) -> None:
        if self.level == "loop":
            self.scope(region)
            return
        outer, self.visible = self.visible, set()
        self.scope(region)
        self.visible = outer

    def check_types(self, eqn: Eqn) -> None:
        regions = {"regions": eqn.regions} if eqn.regions else {}
        try:
            inferred = eqn.op.infer(*[o.type for o in eqn.operands], **regions, **eqn.attrs)
        except (VerifyError, TypeError, ValueError, KeyError) as error:
            raise self.error(str(error)) from error
        types = (inferred,) if isinstance(inferred, ArrayType) else tuple(inferred)
        written = tuple(result.type for result in eqn.results)
        if types != written:
            raise self.error(f"{eqn.op.name} gives {_listed(types)}, but {_listed(written)} is written")

    def check_reduction(self, eqn: Eqn) -> None:
        """The yield is ``op(carry, something)``, and nothing else in the body uses a carry."""
        (body,) = eqn.regions
        makers = {result: inner for inner in body.eqns for result in inner.results}
        carries = body.params[1:]
        uses = [operand for inner in walk(body) for operand in inner.operands]
        uses += [result for inner in walk(body) for region in inner.regions for result in region.results]
        for carry, yielded, op in zip(carries, body.results, eqn.attrs["ops"], strict=True):
            maker = None if isinstance(yielded, Literal) else makers.get(yielded)
            combines = maker is not None and maker.op.name in _COMBINERS[op] and carry in maker.operands
            self.require(combines, f"a reduction by {op} must yield {_COMBINERS[op][0]} of its carry and a new term")
            self.require(
                uses.count(carry) == 1 and carry not in body.results,
                f"the carry of a reduction by {op} is used outside of its combination",
            )


def _dims_of(attribute: Any) -> Iterable[DimLike]:
    if isinstance(attribute, tuple):
        for item in attribute:
            yield from _dims_of(item)
    elif isinstance(attribute, Dim):
        yield attribute
    elif isinstance(attribute, ArrayType):
        yield from attribute.dims


def _listed(types: Sequence[ArrayType]) -> str:
    return ", ".join(map(str, types)) or "nothing"
