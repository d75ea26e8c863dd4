"""Appends equations to a function: infers types, folds constants, reuses equal operations, drops dead ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.ir.core import Eqn, Function, Guard, Literal, Location, Operand, Value, walk
from tracejit.ir.dims import Dim, DimLike, symbols_of
from tracejit.ir.types import ArrayType

if TYPE_CHECKING:
    from tracejit.ir.primitive import Primitive

__all__ = [
    "Builder",
    "current_builder",
    "has_effect",
    "inline",
    "is_check",
    "rebuild",
    "same_dim",
    "same_dims",
    "substitute_sizes",
]


class _Stack(threading.local):
    def __init__(self) -> None:
        self.builders: list[Builder] = []


_stack = _Stack()


def current_builder() -> Builder:
    """The innermost active builder of this thread."""
    try:
        return _stack.builders[-1]
    except IndexError:
        raise RuntimeError("an operation was emitted while no builder is active") from None


def same_dim(a: DimLike, b: DimLike) -> bool:
    """Whether two dims are equal as far as the current builder knows."""
    return (
        a is b or a == b or (bool(_stack.builders) and _stack.builders[-1].resolve(a) == _stack.builders[-1].resolve(b))
    )


def same_dims(a: Sequence[DimLike], b: Sequence[DimLike]) -> bool:
    """Whether two shapes are equal as far as the current builder knows."""
    return a is b or a == b or (len(a) == len(b) and all(map(same_dim, a, b)))


class Builder:
    """Makes one :class:`Function`. Use as a context manager: inside ``with``, primitives emit here.

    parent: the enclosing builder of an open (loop-level) region; equal operations of enclosing regions are reused.
    """

    def __init__(self, parent: Builder | None = None, *, loc: Location | None = None) -> None:
        self.params: list[Value] = []
        self.eqns: list[Eqn] = []
        self.parent = parent
        self.loc = loc
        self._known: dict[Any, tuple[Operand, ...]] = {}

    def __enter__(self) -> Builder:
        _stack.builders.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _stack.builders.pop()

    def resolve(self, dim: DimLike) -> DimLike:
        """The canonical form of a dim under what is known of sizes; a tracing builder knows more than equality."""
        return dim

    def param(self, type: ArrayType, loc: Location | None = None) -> Value:
        """A new parameter of the function."""
        value = Value(type, loc)
        self.params.append(value)
        return value

    def emit(
        self,
        op: Primitive,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Any] | None = None,
        regions: tuple[Function, ...] = (),
        loc: Location | None = None,
    ) -> tuple[Operand, ...]:
        """Append one operation, or return an equal earlier one, or its constant value."""
        attrs = attrs or {}
        key = None
        if op.effect is None and not regions:
            key = (op.name, operands, tuple(sorted(attrs.items()))) if attrs else (op.name, operands)
            scope: Builder | None = self
            while scope is not None:
                if (known := scope._known.get(key)) is not None:
                    return known
                scope = scope.parent
            if op.elementwise and type(operands[0]) is Literal and all(type(o) is Literal for o in operands):
                folded = _fold(op, operands, attrs)
                self._known[key] = folded
                return folded
        types = [o.type for o in operands]
        inferred = op.infer(*types, regions=regions, **attrs) if regions else op.infer(*types, **attrs)
        loc = loc or self.loc
        single = isinstance(inferred, ArrayType)
        results = (Value(inferred, loc),) if single else tuple([Value(t, loc) for t in inferred])
        self.eqns.append(Eqn(op, operands, attrs, regions, results, loc))
        if key is not None:
            self._known[key] = results
        return results

    def finish(
        self,
        results: Sequence[Operand],
        *,
        name: str = "",
        sizes: tuple[str, ...] = (),
        guards: tuple[Guard, ...] = (),
        aliases: Mapping[int, int] | None = None,
    ) -> Function:
        """The finished function, without the equations that nothing needs; what may raise stays, as in NumPy."""
        needed = {r for r in results if isinstance(r, Value)}
        kept = []
        symbols: set[str] | None = None  # that dims of what is kept depend on; found only where sizes are bound
        if any(eqn.op.name == "bind_size" for eqn in self.eqns):
            symbols = set().union(*(symbols_in(r.type) for r in needed))
        for eqn in reversed(self.eqns):
            if symbols is not None and eqn.op.name == "bind_size" and eqn.attrs["symbol"] not in symbols:
                continue
            if has_effect(eqn) or is_check(eqn) or not needed.isdisjoint(eqn.results):
                if symbols is not None:
                    symbols |= _symbols_of_eqn(eqn)
                kept.append(eqn)
                for operand in eqn.operands:
                    if type(operand) is Value:
                        needed.add(operand)
                for region in eqn.regions:
                    needed.update(free_values(region))
        kept.reverse()
        return Function(
            name, tuple(self.params), tuple(kept), tuple(results), sizes=sizes, guards=guards, aliases=aliases
        )


def symbols_in(attribute: Any) -> set[str]:
    """The size symbols in an attribute, a type or dims."""
    if isinstance(attribute, tuple):
        return set().union(*map(symbols_in, attribute))
    if isinstance(attribute, ArrayType):
        return symbols_in(attribute.dims)
    return symbols_of(attribute) if isinstance(attribute, Dim) else set()


def _symbols_of_eqn(eqn: Eqn) -> set[str]:
    """The size symbols that an equation depends on."""
    found = symbols_in(tuple(eqn.attrs.values())) | symbols_in(tuple(o.type for o in (*eqn.operands, *eqn.results)))
    for region in eqn.regions:
        found |= symbols_in(tuple(value.type for value in (*region.params, *region.results)))
        for inner in region.eqns:
            found |= _symbols_of_eqn(inner)
    return found


def has_effect(eqn: Eqn) -> bool:
    """Whether an equation does something besides computing its results, by itself or in its regions."""
    return eqn.op.effect == "write" or any(
        inner.op.effect == "write" for region in eqn.regions for inner in walk(region)
    )


def is_check(eqn: Eqn) -> bool:
    """Whether an operation can fail by itself."""
    if eqn.op.name == "pow":
        exponent = eqn.operands[1]
        return exponent.type.dtype.kind == "i" and not (isinstance(exponent, Literal) and exponent.value >= 0)
    return eqn.op.name in ("wrap_index", "check")


def free_values(region: Function) -> set[Value]:
    """Values that a region uses but does not define (none in closed regions)."""
    used: set[Value] = set()
    defined: set[Value] = set()
    stack = [region]
    while stack:
        function = stack.pop()
        defined.update(function.params)
        used.update(r for r in function.results if isinstance(r, Value))
        for eqn in function.eqns:
            used.update(o for o in eqn.operands if isinstance(o, Value))
            defined.update(eqn.results)
            stack.extend(eqn.regions)
    return used - defined


def _fold(op: Primitive, operands: tuple[Operand, ...], attrs: Mapping[str, Any]) -> tuple[Operand, ...]:
    with np.errstate(all="ignore"):
        values = op.reference(*[o.value for o in operands], **attrs)  # type: ignore[union-attr]
    types = op.infer(*[o.type for o in operands], **attrs)
    if isinstance(types, ArrayType):
        return (Literal(values, types),)
    return tuple(Literal(v, t) for v, t in zip(values, types, strict=True))


Visit = Callable[[Builder, Eqn, list[Operand]], Sequence[Operand]]


def rebuild(function: Function, visit: Visit, builder: Builder | None = None) -> Function:
    """Run every equation through ``visit(builder, eqn, operands) -> results`` into a new function."""
    builder = builder or Builder()
    environment: dict[Operand, Operand] = {}
    with builder:
        for param in function.params:
            environment[param] = builder.param(param.type, param.loc)
        for eqn in function.eqns:
            builder.loc = eqn.loc
            operands = [environment.get(o, o) for o in eqn.operands]
            environment.update(zip(eqn.results, visit(builder, eqn, operands), strict=True))
        return builder.finish(
            [environment.get(r, r) for r in function.results],
            name=function.name,
            sizes=function.sizes,
            guards=function.guards,
            aliases=function.aliases,
        )


def inline(builder: Builder, function: Function, arguments: Sequence[Operand]) -> list[Operand]:
    """Emit the equations of a closed function into a builder, its params replaced by arguments; gives its results."""
    environment: dict[Operand, Operand] = dict(zip(function.params, arguments, strict=True))
    for eqn in function.eqns:
        operands = tuple(environment.get(o, o) for o in eqn.operands)
        results = builder.emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
        environment.update(zip(eqn.results, results, strict=True))
    return [environment.get(r, r) for r in function.results]


def substitute_sizes(function: Function, replace: Callable[[DimLike], DimLike]) -> Function:
    """The same function with every dim replaced: in types, attrs, guards and (closed) regions."""
    return _substitute(function, replace, {})


def _substitute(function: Function, replace: Callable[[DimLike], DimLike], values: dict[Operand, Operand]) -> Function:
    def value(old: Operand) -> Operand:
        if not isinstance(old, Value):
            return old
        if (new := values.get(old)) is None:
            new = values[old] = Value(old.type.with_dims(tuple(map(replace, old.type.dims))), old.loc)
        return new

    def attribute(a: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(map(attribute, a))
        if isinstance(a, ArrayType):
            return a.with_dims(tuple(map(replace, a.dims)))
        return a if isinstance(a, (str, bool, int, float, np.dtype, type(None))) else _replace_dim(a, replace)

    params = tuple(value(p) for p in function.params)
    eqns = []
    for eqn in function.eqns:
        operands = tuple(map(value, eqn.operands))
        regions = tuple(_substitute(r, replace, values) for r in eqn.regions)
        results = tuple(map(value, eqn.results))
        eqns.append(Eqn(eqn.op, operands, {k: attribute(a) for k, a in eqn.attrs.items()}, regions, results, eqn.loc))  # type: ignore[arg-type]
    return Function(
        function.name,
        params,  # type: ignore[arg-type]
        tuple(eqns),
        tuple(map(value, function.results)),
        sizes=function.sizes,
        guards=tuple(Guard(replace(g.dim), g.relation, g.loc) for g in function.guards),
        aliases=function.aliases,
    )


def _replace_dim(attribute: Any, replace: Callable[[DimLike], DimLike]) -> Any:
    if isinstance(attribute, ArrayType):
        return attribute.with_dims(tuple(map(replace, attribute.dims)))
    return replace(attribute) if isinstance(attribute, Dim) else attribute
