"""Building small programs, and checking derivatives against finite differences and each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tracejit.ir.ops  # noqa: F401  (declares the operations)
from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Literal, Operand
from tracejit.ir.dims import DimLike, symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, dtype_named
from tracejit.ir.verifier import verify
from tracejit.transforms import jvp_function, vjp_function
from tracejit.transforms.jvp import differentiable

N, M, K = symbol("n"), symbol("m"), symbol("k")


def array(dims: tuple[DimLike, ...] = (), dtype: str = "f64") -> ArrayType:
    return ArrayType(dtype_named(dtype), dims)


def op(name: str, *operands: Any, **attrs: Any) -> Any:
    return PRIMITIVES[name](*operands, **attrs)


def i64(value: int) -> Literal:
    return Literal(value, array((), "i64"))


def build(make: Callable[..., Any], *types: ArrayType, name: str = "f") -> Function:
    """A function from Python that emits it; ``make`` gives one result or a sequence."""
    with Builder() as builder:
        results = make(*[builder.param(t) for t in types])
        return builder.finish(results if isinstance(results, list | tuple) else [results], name=name)


def control(name: str, operands: Sequence[Operand], regions: Sequence[Function], **attrs: Any) -> list[Operand]:
    return list(current_builder().emit(PRIMITIVES[name], tuple(operands), attrs, tuple(regions)))


def fori(
    lower: Any, upper: Any, carry: Sequence[Operand], constants: Sequence[Operand], body: Callable[..., Any]
) -> list[Operand]:
    types = [o.type for o in (*carry, *constants)]
    region = build(body, array((), "i64"), *types, name="body")
    return control("fori_loop", [lower, upper, *carry, *constants], [region], carries=len(carry))


def while_loop(
    carry: Sequence[Operand], constants: Sequence[Operand], condition: Callable[..., Any], body: Callable[..., Any]
) -> list[Operand]:
    types = [o.type for o in (*carry, *constants)]
    regions = [build(condition, *types, name="condition"), build(body, *types, name="body")]
    return control("while_loop", [*carry, *constants], regions, carries=len(carry))


def cond(pred: Operand, operands: Sequence[Operand], then: Callable[..., Any], other: Callable[..., Any]) -> list[Any]:
    types = [o.type for o in operands]
    return control("cond", [pred, *operands], [build(then, *types), build(other, *types)])


def random_like(value: Any, rng: np.random.Generator) -> Any:
    value = np.asarray(value)
    draw = rng.standard_normal(value.shape)
    if value.dtype.kind == "c":
        draw = draw + 1j * rng.standard_normal(value.shape)
    return np.asarray(draw, value.dtype)


def inner(a: Any, b: Any) -> float:
    """The pairing under which transposes are taken: no conjugation; of complex numbers the real part."""
    return float(np.sum(np.real(np.asarray(a) * np.asarray(b))))


def check_derivatives(
    function: Function, *args: Any, seed: int = 0, tolerance: float = 1e-6, reverse: bool = True
) -> None:
    """The jvp against central differences, and the vjp against the jvp."""
    rng = np.random.default_rng(seed)
    args = tuple(np.asarray(a) for a in args)
    active = [differentiable(p.type) for p in function.params]
    wrt = tuple(k for k, a in enumerate(active) if a)
    moves = [random_like(args[k], rng) for k in wrt]
    forward = interpret(verify(jvp_function(function, active)), *args, *moves)
    values = interpret(function, *args)
    floats = [k for k, r in enumerate(function.results) if differentiable(r.type)]
    tangents = forward[len(values) :]
    for got, value in zip(forward, values, strict=False):
        np.testing.assert_array_equal(got, value)

    def at(step: float) -> list[Any]:
        shifted = list(args)
        for k, move in zip(wrt, moves, strict=True):
            shifted[k] = args[k] + step * move
        return interpret(function, *shifted)

    h = 1e-6
    above, below = at(h), at(-h)
    assert len(tangents) == len(floats)
    for k, tangent in zip(floats, tangents, strict=True):
        expected = (above[k] - below[k]) / (2 * h)
        scale = 1 + np.max(np.abs(expected), initial=0)
        np.testing.assert_allclose(np.asarray(tangent) / scale, expected / scale, atol=tolerance)
    if reverse:
        check_transpose(function, args, wrt, moves, [values[k] for k in floats], tangents, rng)


def check_transpose(
    function: Function,
    args: Sequence[Any],
    wrt: tuple[int, ...],
    moves: Sequence[Any],
    outputs: Sequence[Any],
    tangents: Sequence[Any],
    rng: np.random.Generator,
) -> None:
    cotangents = [random_like(value, rng) for value in outputs]
    pulled = verify(vjp_function(function, wrt))
    results = interpret(pulled, *args, *cotangents)
    gradients = results[len(function.results) :]
    assert [r.type for r in pulled.results[len(function.results) :]] == [function.params[k].type for k in wrt]
    left = sum(inner(ct, t) for ct, t in zip(cotangents, tangents, strict=True))
    right = sum(inner(g, m) for g, m in zip(gradients, moves, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)
    for k, g in zip(wrt, gradients, strict=True):
        assert np.shape(g) == np.shape(args[k]) and np.asarray(g).dtype == np.asarray(args[k]).dtype
