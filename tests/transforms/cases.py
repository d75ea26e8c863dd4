"""Small programs over the whole set of operations, with arguments: name -> (function, arguments)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.transforms.helpers import K, M, N, array, build, cond, fori, i64, op, while_loop
from tracejit.ir.core import Function
from tracejit.ir.types import ArrayType

CASES: dict[str, tuple[Function, tuple[Any, ...]]] = {}
LINE, GRID, SCALAR, INDEX = array((N,)), array((N, M)), array(), array((K,), "i64")
_rng = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape)


def case(name: str, make: Callable[..., Any], types: list[ArrayType], *args: Any) -> None:
    CASES[name] = build(make, *types, name=name), args


def at(x: Any, i: Any) -> Any:
    return op("gather", x, i, axes=(0,))


def put(x: Any, v: Any, i: Any) -> Any:
    return op("scatter", x, v, i, axes=(0,))


def total(x: Any) -> Any:
    return op("reduce_sum", x, axes=tuple(range(x.rank)))


WITH_ZEROS = np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0], [0.0, 5.0, 0.0]])
POSITIONS = np.array([1, 1, 3, 0, 1])

# Elementwise, and scalars beside arrays.
case("arithmetic", lambda x, y: op("sin", x * y) / (y * y + 1.0) - x, [LINE, LINE], draw(4), draw(4))
case("scalars", lambda x, s: [op("sin", x) * (s * s), op("exp", s)], [GRID, SCALAR], draw(3, 4), 1.3)
case("select", lambda x, y: op("select", x < y, x * x, op("exp", y)), [LINE, LINE], draw(5), draw(5))
case("select_scalar", lambda x, s: op("select", x < s, s, x * s), [LINE, SCALAR], draw(5), 0.1)
case("power", lambda x, y: op("pow", x * x + 1.0, y), [LINE, LINE], draw(4), draw(4))
case(
    "complex",
    lambda x, y: op("real", op("exp", op("complex", x, y)) * op("complex", y, x)),
    [LINE] * 2,
    draw(4),
    draw(4),
)
case("complex_in", lambda z: [op("conj", z) * z * z, op("abs", z)], [array((N,), "c128")], draw(4) + 1j * draw(4))
case("stop", lambda x: op("sin", x) + op("stop_gradient", op("floor", x)), [LINE], draw(4))
# Shapes.
case("broadcast", lambda x: op("broadcast", x, dims=(3, N, M), axes=(1, 2)), [GRID], draw(3, 4))
case("broadcast_one", lambda x: op("broadcast", x, dims=(5, M), axes=(0, 1)), [array((1, M))], draw(1, 4))
case("reshape", lambda x: op("reshape", x * x, dims=(M * N,)), [GRID], draw(3, 4))
case("transpose", lambda x: op("transpose", x * x, perm=(2, 0, 1)), [array((N, M, 2))], draw(3, 4, 2))
case(
    "slice",
    lambda x: op("slice", x * x, starts=(N - 1, 1), sizes=(N - 1, 2), steps=(-1, 2)),
    [GRID],
    draw(3, 4),
)
case("slice_repeats", lambda x: op("slice", x * x, starts=(0, 1), sizes=(N, 3), steps=(1, 0)), [GRID], draw(3, 4))
case(
    "update_slice",
    lambda x, v: op("update_slice", x * x, v, starts=(1, 0), steps=(2, 1)),
    [array((5, M)), array((2, M))],
    draw(5, 4),
    draw(2, 4),
)
case("concatenate", lambda x, y: op("concatenate", x, y * y, x, axis=1), [GRID, array((N, 2))], draw(3, 4), draw(3, 2))
case("iota", lambda x: x * op("iota", dtype=np.dtype(float), dims=(N, M), axis=1), [GRID], draw(3, 4))
case(
    "constant",
    lambda x: x * op("constant", dtype=np.dtype(float), dims=(3,), data=np.arange(3.0).tobytes()),
    [array((3,))],
    draw(3),
)
# Reductions.
case("reduce_sum", lambda x: op("reduce_sum", x * x, axes=(0, 2)), [array((N, M, 2))], draw(3, 4, 2))
case("reduce_max", lambda x: op("reduce_max", x, axes=(1,)), [GRID], draw(3, 4))
case("reduce_min", lambda x: op("reduce_min", x * x, axes=(0, 1)), [GRID], draw(3, 4))
case("reduce_prod", lambda x: op("reduce_prod", x, axes=(1,)), [GRID], draw(3, 4))
case("reduce_prod_zeros", lambda x: op("reduce_prod", x, axes=(0,)), [GRID], WITH_ZEROS)
case("reduce_prod_all", lambda x: op("reduce_prod", x, axes=(0, 2)), [array((N, M, 2))], draw(2, 3, 2))
case("argmax", lambda x: [op("argmax", x, axis=1), x * x], [GRID], draw(3, 4))
case("cumsum", lambda x: op("cumsum", x * x, axis=1), [GRID], draw(3, 4))
case("cumprod", lambda x: op("cumprod", x, axis=1), [GRID], draw(3, 4))
case("cumprod_zeros", lambda x: op("cumprod", x, axis=0), [GRID], WITH_ZEROS)
case("cummax", lambda x: op("cummax", x, axis=1), [GRID], draw(3, 4))
case("cummin", lambda x: op("cummin", x * x, axis=0), [GRID], draw(3, 4))
# Contractions.
case(
    "dot",
    lambda x, y: op("dot", x, y, contract=((1,), (0,)), batch=((), ())),
    [GRID, array((M, K))],
    draw(3, 4),
    draw(4, 2),
)
case("dot_vectors", lambda x, y: op("dot", x, y, contract=((0,), (0,)), batch=((), ())), [LINE, LINE], draw(3), draw(3))
case("outer", lambda x, y: op("dot", x, y, contract=((), ()), batch=((), ())), [LINE, array((M,))], draw(3), draw(2))
case(
    "dot_batched",
    lambda x, y: op("dot", x, y, contract=((3, 0), (1, 2)), batch=((2,), (0,))),
    [array((N, M, K, 3)), array((K, 3, N, 2))],
    draw(2, 4, 5, 3),
    draw(5, 3, 2, 2),
)
# Indices.
case("gather", lambda x, i: op("gather", x * x, i, axes=(1,)), [GRID, INDEX], draw(3, 4), POSITIONS)
case(
    "gather_two",
    lambda x, i: op("gather", x * x, i, i, axes=(2, 0)),
    [array((4, M, 5)), INDEX],
    draw(4, 2, 5),
    POSITIONS,
)
case("gather_scalar", lambda x, i: op("gather", x * x, i, axes=(0,)), [GRID, array((), "i64")], draw(3, 4), np.int64(2))
for _name in ("scatter", "scatter_add"):
    case(
        _name,
        lambda x, v, i, _name=_name: op(_name, x * x, v * v, i, axes=(1,)),
        [GRID, array((K, N)), INDEX],
        draw(3, 4),
        draw(5, 3),
        POSITIONS,
    )
case("scatter_scalar", lambda x, v: put(x * x, v * v, i64(1)), [LINE, SCALAR], draw(3), 1.5)
# Control flow.
case(
    "cond",
    lambda x, y: cond(
        total(x) < 0.0, [x, y], lambda x, y: [op("sin", x) * y, x], lambda x, y: [op("exp", x) * y * y, y]
    ),
    [LINE, LINE],
    draw(5),
    draw(5),
)
case("cond_one_side", lambda x: cond(total(x) < 0.0, [x], lambda x: x, lambda x: x * 0.0 + 2.0), [LINE], draw(5))
case(
    "loop",
    lambda x, c: fori(i64(0), op("dim", dim=N), [x], [c], lambda i, x, c: op("sin", x) * at(c, i)),
    [GRID, LINE],
    draw(3, 4),
    draw(3),
)
case("loop_from", lambda x: fori(op("dim", dim=N - 2), op("dim", dim=N), [x], [], lambda i, x: x * x), [LINE], draw(4))
case("loop_none", lambda x: fori(op("dim", dim=N), i64(2), [x], [], lambda i, x: x * x), [LINE], draw(4))
case(
    "in_place",
    lambda a: fori(i64(1), op("dim", dim=N), [a], [], lambda i, a: put(a, op("sin", at(a, i - 1)) * at(a, i), i)),
    [LINE],
    draw(6),
)
case(
    "swap",
    lambda x, y: fori(i64(0), i64(3), [x, y], [], lambda i, x, y: [y, op("sin", x)]),
    [LINE, LINE],
    draw(3),
    draw(3),
)
case(
    "late_activity",
    lambda x: fori(
        i64(0),
        i64(3),
        [op("iota", dtype=np.dtype(float), dims=(N,), axis=0), x],
        [],
        lambda i, a, b: [a + b * a, op("cos", b)],
    )[0],
    [LINE],
    draw(3),
)


def _triangle(x: Any) -> Any:
    def outer(i: Any, s: Any, x: Any) -> Any:
        return fori(i64(0), i, [s], [x, i], lambda j, s, x, i: s * op("cos", at(x, j)) + at(x, i))

    return fori(i64(0), op("dim", dim=N), [total(x)], [x], outer)


case("triangle", _triangle, [LINE], draw(5))
case(
    "cond_in_loop",
    lambda x: fori(
        i64(0),
        op("dim", dim=N),
        [total(x)],
        [x],
        lambda i, s, x: cond(at(x, i) < s, [s, at(x, i)], lambda s, a: s * a, lambda s, a: op("sin", s) + a * a),
    ),
    [LINE],
    draw(6),
)
case(
    "loop_in_cond",
    lambda x: cond(
        total(x) < 1e9, [x], lambda x: fori(i64(0), i64(4), [x], [], lambda i, x: op("sin", x) + x), lambda x: x
    ),
    [LINE],
    draw(3),
)
case(
    "unknown_trip",
    lambda x, n: fori(i64(0), n, [x], [], lambda i, x: op("sin", x) * 1.2),
    [LINE, array((), "i64")],
    draw(3),
    np.int64(7),
)


def _while(x: Any) -> Any:
    return while_loop(
        [x, total(x)],
        [],
        lambda x, s: s < 1e3,
        lambda x, s: [x * 1.2 + op("sin", x), s + total(x * x)],
    )


case("while", _while, [LINE], draw(3))


def _while_in_loop(x: Any) -> Any:
    def body(i: Any, s: Any, x: Any) -> Any:
        a, s = while_loop([at(x, i), s], [], lambda a, s: a < 3.0, lambda a, s: [a * 1.3 + 1.0, s * 1.01 + a * 0.1])
        return a * s * 0.1 + op("sin", s)

    return fori(i64(0), op("dim", dim=N), [total(x)], [x], body)


case("while_in_loop", _while_in_loop, [LINE], draw(4))
