"""Random dims, types, attributes and functions for property tests. Functions are well scoped, not well typed."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tracejit.ir.ops  # noqa: F401
from tracejit.ir import dims as dim
from tracejit.ir.core import Eqn, Function, Guard, Literal, Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, BufferType

SYMBOLS = ("n", "m", "k2", "size_0")
DTYPES = tuple(map(np.dtype, "?bhilBHILefdFD"))


def symbols() -> st.SearchStrategy[dim.DimLike]:
    return st.sampled_from(SYMBOLS).map(dim.symbol)


def _combine(parts: st.SearchStrategy[dim.DimLike]) -> st.SearchStrategy[dim.DimLike]:
    divisors = st.integers(1, 5)
    return st.one_of(
        st.tuples(parts, parts).map(lambda p: p[0] + p[1]),
        st.tuples(parts, parts).map(lambda p: p[0] - p[1]),
        st.tuples(parts, parts).map(lambda p: p[0] * p[1]),
        st.tuples(parts, divisors).map(lambda p: dim.floordiv(*p)),
        st.tuples(parts, divisors).map(lambda p: dim.modulo(*p)),
        st.tuples(parts, parts).map(lambda p: dim.maximum(*p)),
        st.tuples(parts, parts).map(lambda p: dim.minimum(*p)),
    )


def dims() -> st.SearchStrategy[dim.DimLike]:
    return st.recursive(st.one_of(st.integers(-9, 9), symbols()), _combine, max_leaves=5)


def types(buffers: bool = True) -> st.SearchStrategy[ArrayType]:
    shapes = st.lists(dims(), max_size=3).map(tuple)
    kinds = st.sampled_from([ArrayType, BufferType] if buffers else [ArrayType])
    return st.builds(lambda kind, dtype, shape: kind(dtype, shape), kinds, st.sampled_from(DTYPES), shapes)


@st.composite
def literals(draw: st.DrawFn) -> Literal:
    """Scalars of any bits."""
    dtype = draw(st.sampled_from(DTYPES))
    if dtype.kind == "b":
        return Literal(draw(st.booleans()), ArrayType(dtype))
    if draw(st.booleans()):
        values = st.integers(0, 100) if dtype.kind in "iu" else st.sampled_from([0.0, -0.0, 1.5, np.inf, np.nan])
        return Literal(draw(values), ArrayType(dtype))
    data = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    return Literal(np.frombuffer(data, dtype)[0], ArrayType(dtype))


def attributes() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(max_size=6),
        st.sampled_from(DTYPES),
        dims(),
        types(),
        literals(),
        literals().map(lambda literal: literal.value),
    )
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


NAMES = st.from_regex(r"[a-z_][a-z_0-9]{0,5}", fullmatch=True)


class _Pool:
    """What random functions are made of. The structure comes from a seed, because many small draws are slow."""

    def __init__(self, seed: int, **parts: list[Any]) -> None:
        self.random = Random(seed)
        self.parts = parts

    def some(self, part: str, most: int) -> list[Any]:
        return self.random.choices(self.parts[part], k=self.random.randint(0, most))

    def one(self, part: str) -> Any:
        return self.random.choice(self.parts[part])

    def operands(self, known: list[Value]) -> tuple[Operand, ...]:
        return tuple(self.random.choices([*known, *self.parts["literals"]], k=self.random.randint(0, 3)))

    def function(self, visible: tuple[Value, ...] = (), depth: int = 0) -> Function:
        """A function, or a region inside of one whose values are ``visible``."""
        params = tuple(map(Value, self.some("types", 3)))
        known: list[Value] = [*visible, *params]
        eqns = []
        for _ in range(self.random.randint(0, 4)):
            regions: tuple[Function, ...] = ()
            if depth < 2 and self.random.random() < 0.3:
                regions = tuple(self.function(tuple(known), depth + 1) for _ in range(self.random.randint(1, 2)))
            loc = self.one("locations")
            results = tuple(Value(t, loc) for t in self.some("types", 2))
            attrs = dict(zip(self.some("keys", 2), self.some("attributes", 2), strict=False))
            op = PRIMITIVES[self.random.choice(sorted(PRIMITIVES))]
            eqns.append(Eqn(op, self.operands(known), attrs, regions, results, loc))
            known.extend(results)
        returned = self.operands(known)
        if depth:
            return Function(self.one("names"), params, tuple(eqns), returned)
        aliases = {0: 0} if params and returned and self.random.random() < 0.5 else {}
        sizes = tuple(dict.fromkeys(self.random.choices(SYMBOLS, k=2)))
        guards = tuple(self.some("guards", 2))
        return Function(self.one("names"), params, tuple(eqns), returned, sizes=sizes, guards=guards, aliases=aliases)


def functions() -> st.SearchStrategy[Function]:
    """Functions with nested regions."""
    locations = st.one_of(st.none(), st.tuples(NAMES.map(lambda name: f"{name}.py"), st.integers(1, 999)))
    pools = st.builds(
        _Pool,
        st.integers(0, 1 << 30),
        types=st.lists(types(), min_size=2, max_size=4),
        literals=st.lists(literals(), min_size=1, max_size=4),
        attributes=st.lists(attributes(), min_size=2, max_size=4),
        keys=st.lists(NAMES, min_size=2, max_size=2),
        names=st.lists(st.one_of(NAMES, NAMES, st.text(max_size=4)), min_size=2, max_size=4),
        locations=st.lists(locations, min_size=2, max_size=2),
        guards=st.lists(st.builds(Guard, dims(), st.sampled_from(["== 0", "!= 0", ">= 0"])), min_size=1, max_size=2),
    )
    return pools.map(lambda pool: pool.function())
