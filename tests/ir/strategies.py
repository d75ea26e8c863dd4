"""Random dims, types, attributes and functions for property tests. Functions are well scoped, not well typed."""

from __future__ import annotations

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


@st.composite
def functions(draw: st.DrawFn, visible: tuple[Value, ...] = (), depth: int = 2) -> Function:
    """A function, or a region inside of one whose values are ``visible``."""
    params = tuple(Value(t) for t in draw(st.lists(types(), max_size=3)))
    known: list[Value] = [*visible, *params]
    eqns = []
    for _ in range(draw(st.integers(0, 4))):
        regions = ()
        if depth and draw(st.integers(0, 3)) == 0:
            regions = tuple(draw(functions(tuple(known), depth - 1)) for _ in range(draw(st.integers(1, 2))))
        loc = draw(st.one_of(st.none(), st.tuples(NAMES.map(lambda s: f"{s}.py"), st.integers(1, 999))))
        results = tuple(Value(t, loc) for t in draw(st.lists(types(), max_size=2)))
        op = PRIMITIVES[draw(st.sampled_from(sorted(PRIMITIVES)))]
        attrs = draw(st.dictionaries(NAMES, attributes(), max_size=2))
        eqns.append(Eqn(op, draw(operands(known)), attrs, regions, results, loc))
        known.extend(results)
    outer = depth == 2
    returned = draw(operands(known))
    return Function(
        draw(st.one_of(NAMES, st.text(max_size=5))),
        params,
        tuple(eqns),
        returned,
        sizes=tuple(draw(st.lists(st.sampled_from(SYMBOLS), max_size=2, unique=True))) if outer else (),
        guards=tuple(draw(st.lists(guards(), max_size=2))) if outer else (),
        aliases={0: 0} if outer and params and returned and draw(st.booleans()) else {},
    )


def guards() -> st.SearchStrategy[Guard]:
    return st.builds(Guard, dims(), st.sampled_from(["== 0", "!= 0", ">= 0"]))


def operands(known: list[Value]) -> st.SearchStrategy[tuple[Operand, ...]]:
    one = st.one_of(literals(), st.sampled_from(known)) if known else literals()
    return st.lists(one, max_size=3).map(tuple)
