"""Random loop-level programs whose numbers stay small integers, so that no order of evaluation changes a result."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.codegen_llvm.emit_harness import buffer
from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Literal, Value
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import ArrayType, scalar
from tracejit.lowering.loops import allocate, for_loop, store

N, M = symbol("n"), symbol("m")
DIMS: tuple[Any, ...] = (N, M, 3, N, M)
DTYPES = ("f64", "f32", "i64", "i32", "i16")


def region(emit: Any) -> Function:
    """An open region made by a function that gives its results."""
    inner = Builder(current_builder())
    with inner:
        return inner.finish(list(emit()))


class Program:
    """One random program: sources to read, a result for each nest."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.builder = Builder()
        self.sources: list[Value] = []
        self.results: list[Value] = []
        with self.builder:
            for dtype in ("f64", "f32", "i64", "i32"):
                for dims in ((N,), (M,), (N, M), (M, N), (N, 3)):
                    if self.random.random() < 0.4 or not self.sources:
                        self.sources.append(self.builder.param(buffer(dtype, *dims)))
            self.indices = self.builder.param(buffer("i64", M))  # in [-n, n)
            for _ in range(self.random.randint(1, 3)):
                self.nest((), [], self.random.randint(1, 3))
            self.function = self.builder.finish([], name="random")

    # ---------------------------------------------------------------------------------- expressions

    def literal(self, dtype: str) -> Literal:
        return Literal(self.random.randint(-3, 3), scalar(dtype))

    def as_dtype(self, value: Any, dtype: str) -> Any:
        return value if value.type == scalar(dtype) else P["cast"](value, dtype=scalar(dtype).dtype)

    def index_for(self, dim: Any, loops: Sequence[tuple[Any, Any]]) -> Any:
        """An index below a dim: a loop's, mirrored, from data, or a small constant."""
        fitting = [i for i, size in loops if size == dim]
        choice = self.random.random()
        if dim == N and choice < 0.15 and any(size == M for _, size in loops):
            j = next(i for i, size in reversed(list(loops)) if size == M)
            return P["wrap_index"](P["load"](self.indices, j), P["dim"](dim=N))
        if fitting and choice < 0.8:
            return self.random.choice(fitting[-2:])
        if fitting and choice < 0.9:
            return P["dim"](dim=dim) - 1 - fitting[-1] if dim != 3 else 2 - fitting[-1]
        return Literal(0, scalar("i64"))

    def read(self, loops: Sequence[tuple[Any, Any]], dtype: str) -> Any:
        source = self.random.choice(self.sources)
        index = [self.index_for(dim, loops) for dim in source.dims]
        return self.as_dtype(P["load"](source, *index), dtype)

    def expression(self, loops: Sequence[tuple[Any, Any]], dtype: str, known: Sequence[Any]) -> Any:
        pool = [v for v in known if isinstance(v, Value)]
        value = self.read(loops, dtype)
        for _ in range(self.random.randint(0, 4)):
            other = self.as_dtype(self.random.choice(pool), dtype) if pool and self.random.random() < 0.5 else None
            if other is None:
                other = self.random.choice([self.literal(dtype), self.read(loops, dtype)])
            if loops and self.random.random() < 0.2:
                other = self.as_dtype(self.random.choice(loops)[0], dtype)
            kind = self.random.choice(["add", "sub", "maximum", "minimum", "select", "mod"])
            if kind == "select":
                value = P["select"](P["lt"](value, other), other, value)
            elif kind == "mod":
                value = P["mod"](value, Literal(7, scalar(dtype)))
            else:
                value = P[kind](value, other)
        return P["mod"](value, Literal(self.random.choice([16, 13]), scalar(dtype)))

    # ---------------------------------------------------------------------------------------- loops

    def nest(self, loops: tuple[tuple[Any, Any], ...], known: list[Any], depth: int, kinds: str = "") -> None:
        """A loop over the next dim around more of them."""
        dim = self.random.choice([d for d in DIMS if d not in [size for _, size in loops]] or [3])
        kind = self.random.choice(["serial", "vector", "parallel", "parallel_vector", "vector"])

        def body(i: Any, _: Any) -> list[Any]:
            self.statements((*loops, (i, dim)), list(known), depth - 1)
            return []

        for_loop(P["dim"](dim=dim) if dim != 3 else 3, body, kind=kind, cost=self.random.choice([1, 10**6]))

    def statements(self, loops: tuple[tuple[Any, Any], ...], known: list[Any], depth: int) -> None:
        dtype = self.random.choice(DTYPES)
        for _ in range(self.random.randint(1, 3)):
            choice = self.random.choice(["plain", "reduce", "serial", "if", "temporary", "while", "plain"])
            known.append(getattr(self, f"_{choice}")(loops, dtype, known))
        result = self.builder.param(buffer(dtype, *[size for _, size in loops]))
        self.results.append(result)
        index = [i for i, _ in loops]
        if self.random.random() < 0.3:
            store(P["add"](P["load"](result, *index), self.as_dtype(known[-1], dtype)), result, index)
        else:
            store(self.as_dtype(known[-1], dtype), result, index)
        if self.random.random() < 0.3:
            store(P["mod"](P["load"](result, *index), Literal(5, scalar(dtype))), result, index)
        if depth > 0:
            self.nest(loops, known, depth)

    def _plain(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        return self.expression(loops, dtype, known)

    def _reduce(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        dim = self.random.choice([N, M, 3])
        op, row = self.random.choice([("add", "add"), ("max", "maximum"), ("min", "minimum")])

        def body(i: Any, carries: Any) -> list[Any]:
            inner = (*loops, (i, dim))
            return [P[row](carries[0], self.expression(inner, dtype, known)), carries[1] + self.read(inner, dtype)]

        inits = [self.literal(dtype), self.expression(loops, dtype, known) if loops else self.literal(dtype)]
        upper = P["dim"](dim=dim) if dim != 3 else 3
        first, second = for_loop(upper, body, inits, kind="reduce", ops=(op, "add"))
        return P["mod"](first + second, Literal(11, scalar(dtype)))

    def _serial(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        dim = self.random.choice([N, M, 3])

        def body(i: Any, carries: Any) -> list[Any]:
            new = self.expression((*loops, (i, dim)), dtype, [*known, *carries])
            return [new, carries[0], carries[2] + 1]

        inits = [self.literal(dtype), self.expression(loops, dtype, known), Literal(0, scalar("i64"))]
        upper = P["dim"](dim=dim) if dim != 3 else 3
        results = for_loop(upper, body, inits, kind="serial")
        return self.as_dtype(results[2], dtype) + results[0] - results[1]

    def _if(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        predicate = P["lt"](self.expression(loops, dtype, known), self.literal(dtype))
        if self.random.random() < 0.3:
            predicate = P["lt"](P["dim"](dim=N), P["dim"](dim=M))
        regions = tuple(region(lambda: [self.expression(loops, dtype, known)]) for _ in range(2))
        (result,) = current_builder().emit(P["if"], (predicate,), {}, regions)
        return result

    def _while(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        limit = P["mod"](self.expression(loops, "i64", known), Literal(5, scalar("i64")))
        if self.random.random() < 0.3:
            limit = Literal(4, scalar("i64"))
        types = (ArrayType(scalar("i64").dtype), ArrayType(scalar(dtype).dtype))
        parent = current_builder()
        condition, body = Builder(parent), Builder(parent)
        with condition:
            count, _ = (condition.param(t) for t in types)
            test = condition.finish([P["lt"](count, limit)])
        with body:
            count, value = (body.param(t) for t in types)
            new = self.expression(loops, dtype, [*known, value])
            step = body.finish([count + 1, P["sub"](new, value)])
        inits = (Literal(0, scalar("i64")), self.expression(loops, dtype, known))
        _, result = parent.emit(P["while"], inits, {}, (test, step))
        return P["mod"](result, Literal(9, scalar(dtype)))

    def _temporary(self, loops: Any, dtype: str, known: list[Any]) -> Any:
        """Fill a temporary, then read it backwards, and add it up in place."""
        dim = self.random.choice([3, 5, M])
        size = P["dim"](dim=dim) if dim == M else Literal(dim, scalar("i64"))
        memory = allocate(scalar(dtype).dtype, (dim,))

        def fill(i: Any, _: Any) -> list[Any]:
            store(self.as_dtype(i, dtype) + self.expression(loops, dtype, known), memory, [i])
            return []

        def add(i: Any, _: Any) -> list[Any]:
            store(P["load"](memory, i) + P["load"](memory, i - 1), memory, [i])
            return []

        def total(i: Any, carries: Any) -> list[Any]:
            return [carries[0] + P["load"](memory, size - 1 - i)]

        for_loop(size, fill, kind=self.random.choice(["serial", "vector"]))
        for_loop(size, add, lower=1, kind="serial")
        (result,) = for_loop(size, total, [self.literal(dtype)], kind="reduce", ops=("add",))
        return P["mod"](result, Literal(19, scalar(dtype)))


def arguments(program: Program, n: int, m: int, seed: int) -> tuple[list[np.ndarray[Any, Any]], dict[str, int]]:
    """Arrays for a program's params, in order."""
    rng = np.random.default_rng(seed)
    sizes = {"n": n, "m": m}
    arrays = []
    for param in program.function.params:
        shape = tuple(sizes[d.as_symbol] if not isinstance(d, int) else d for d in param.dims)
        array = rng.integers(-9, 10, shape).astype(param.dtype)
        if param is program.indices:
            array = rng.integers(-n, n, shape) if n else np.zeros(shape, np.int64)
        arrays.append(array)
    return arrays, sizes
