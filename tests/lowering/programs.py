"""Random array-level programs over the operations that have loop forms, for comparing stages with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tracejit.ir.builder import Builder
from tracejit.ir.core import Function, Literal, Value
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import ArrayType

n, m = symbol("n"), symbol("m")
F8 = np.dtype(np.float64)
SHAPES: list[tuple[Any, ...]] = [(n, m), (n,), (m,), (), (n, m), (m, n)]


class Writer:
    """Appends random operations to a program; every step picks among the values made so far."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.values: list[Any] = []

    def pick(self, dims: tuple[Any, ...] | None = None, rank: int | None = None) -> Any:
        fits = [v for v in self.values if (dims is None or v.dims == dims) and (rank is None or len(v.dims) >= rank)]
        return self.draw(st.sampled_from(fits)) if fits else None

    def unary(self) -> Any:
        name = self.draw(st.sampled_from(["sin", "neg", "abs", "tanh", "exp"]))
        x = self.pick()
        return P[name](P["sin"](x) if name == "exp" else x)

    def binary(self) -> Any:
        x = self.pick()
        y = self.pick(x.dims) if self.draw(st.booleans()) else self.pick(())
        return P[self.draw(st.sampled_from(["add", "sub", "mul", "maximum"]))](x, y if y is not None else 1.5)

    def where(self) -> Any:
        x = self.pick()
        return P["select"](P["lt"](x, 0.5), x, self.pick(x.dims))

    def broadcast(self) -> Any:
        x = self.pick()
        dims = self.draw(st.sampled_from([(n, m), (m, n), (2, n, m)]))
        for axes in [(0,), (1,), (0, 1), (1, 2), (), (2,)]:
            if len(axes) == len(x.dims) and all(
                a < len(dims) and dims[a] == d for a, d in zip(axes, x.dims, strict=True)
            ):
                return P["broadcast"](x, dims=dims, axes=axes)
        return None

    def reduce(self) -> Any:
        x = self.pick(rank=1)
        axes = tuple(a for a in range(len(x.dims)) if self.draw(st.booleans())) or (0,)
        return P[self.draw(st.sampled_from(["reduce_sum", "reduce_max", "reduce_min"]))](x, axes=axes)

    def transpose(self) -> Any:
        x = self.pick(rank=2)
        return P["transpose"](x, perm=tuple(range(len(x.dims)))[::-1]) if x is not None else None

    def reverse(self) -> Any:
        x = self.pick(rank=1)
        axis = self.draw(st.integers(0, len(x.dims) - 1))
        starts = tuple(d - 1 if k == axis else 0 for k, d in enumerate(x.dims))
        return P["slice"](
            x, starts=starts, sizes=x.dims, steps=tuple(-1 if k == axis else 1 for k in range(len(x.dims)))
        )

    def shift(self) -> Any:
        """``x[1:] = f(y[:-1])`` along the first axis."""
        x = self.pick(rank=1)
        y = self.pick(x.dims)
        ones = (1,) * len(x.dims)
        at = self.draw(st.sampled_from([0, 1]))
        part = P["slice"](y, starts=(at, *[0] * (len(x.dims) - 1)), sizes=(x.dims[0] - 1, *x.dims[1:]), steps=ones)
        to = self.draw(st.sampled_from([0, 1]))
        value = part * 2.0 if self.draw(st.booleans()) else part
        return P["update_slice"](x, value, starts=(to, *[0] * (len(x.dims) - 1)), steps=ones)

    def scan(self) -> Any:
        x = self.pick(rank=1)
        return P["cumsum"](P["sin"](x), axis=self.draw(st.integers(0, len(x.dims) - 1)))

    def join(self) -> Any:
        x = self.pick(rank=1)
        joined = P["concatenate"](x, P["sin"](self.pick(x.dims)), axis=0)
        return P["slice"](joined, starts=(1, *[0] * (len(x.dims) - 1)), sizes=x.dims, steps=(1,) * len(x.dims))

    def take(self) -> Any:
        x = self.pick(rank=1)
        index = P["iota"](dtype=np.dtype(np.int64), dims=(x.dims[0],), axis=0)
        index = P["sub"](P["sub"](P["dim"](dim=x.dims[0]), 1), index)
        if self.draw(st.booleans()):
            return P["gather"](x, index, axes=(0,))
        return P["scatter_add"](x, P["gather"](self.pick(x.dims), index, axes=(0,)), index, axes=(0,))

    def product(self) -> Any:
        x, y = self.pick(rank=2), self.pick(rank=2)
        if x is None or len(x.dims) != 2 or len(y.dims) != 2:
            return None
        for a in (0, 1):
            for b in (0, 1):
                if x.dims[a] == y.dims[b]:
                    return P["sin"](P["dot"](x, y, contract=((a,), (b,)), batch=((), ())))
        return None

    def flatten(self) -> Any:
        x = self.pick(rank=2)
        if x is None:
            return None
        flat = P["reshape"](x, dims=(x.type.size,))
        return P["reshape"](P["sin"](flat), dims=x.dims)

    def extreme(self) -> Any:
        x = self.pick(rank=1)
        return P["cast"](P["argmax"](x, axis=len(x.dims) - 1), dtype=F8)

    def step(self) -> None:
        names = "unary unary binary binary binary where broadcast reduce reduce transpose reverse shift shift scan"
        name = self.draw(st.sampled_from([*names.split(), "join", "take", "product", "flatten", "extreme"]))
        made = getattr(self, name)()
        if made is not None:
            self.values.append(made)


@st.composite
def programs(draw: Any) -> Function:
    """A function of two matrices, a vector and a scalar, with some results written into arguments of the same type."""
    writer = Writer(draw)
    with Builder() as builder:
        params = [builder.param(ArrayType(F8, dims)) for dims in [(n, m), (n, m), (n,), ()]]
        writer.values.extend(params)
        for _ in range(draw(st.integers(2, 14))):
            writer.step()
        made = [v for v in writer.values if isinstance(v, (Value, Literal))]
        results = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))
        aliases: dict[int, int] = {}
        if draw(st.booleans()):
            for index, param in enumerate(params[:3]):
                fits = [v for v in made if v.dims == param.dims and v is not param]
                if fits and draw(st.booleans()):
                    aliases[len(results)] = index
                    results.append(draw(st.sampled_from(fits)))
        return builder.finish(results, name="random", aliases=aliases)


def arguments(seed: int, rows: int, columns: int) -> list[Any]:
    """Arrays for a random program."""
    random = np.random.default_rng(seed)
    shapes = [(rows, columns), (rows, columns), (rows,), ()]
    return [random.normal(size=shape) if shape else np.float64(0.7) for shape in shapes]
