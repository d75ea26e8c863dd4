"""Control flow over whole arrays, with closed regions.

References receive each region as a callable ``region(*arrays) -> sequence of arrays``. Differentiation and batching
transform the regions, which belongs to ``transforms/``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, current_builder, same_dims
from tracejit.ir.core import Function, Operand
from tracejit.ir.ops.common import dim_operand, index_literal, op, require, zeros
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, scalar

__all__ = [
    "cond",
    "custom_jvp",
    "custom_linear",
    "custom_vjp",
    "fori_loop",
    "linear_recurrence",
    "while_loop",
]

Array = np.ndarray[Any, Any]
Region = Callable[..., Sequence[Any]]


def _check_types(name: str, what: str, got: Sequence[ArrayType], wanted: Sequence[ArrayType]) -> None:
    fits = len(got) == len(wanted) and all(
        g.dtype == w.dtype and same_dims(g.dims, w.dims) for g, w in zip(got, wanted, strict=True)
    )
    require(fits, name, f"{what} {list(got)} where {list(wanted)} are needed")


def _types(values: Sequence[Operand]) -> list[ArrayType]:
    return [value.type for value in values]


# ----------------------------------------------------------------------------------------------------------- cond


def _cond_infer(pred: ArrayType, *operands: ArrayType, regions: tuple[Function, Function]) -> tuple[ArrayType, ...]:
    require(pred.dtype == np.bool_ and pred.rank == 0, "cond", f"the predicate is {pred}")
    then, otherwise = regions
    for region in regions:
        _check_types("cond", "parameters", _types(region.params), operands)
    _check_types("cond", "results", _types(otherwise.results), _types(then.results))
    return tuple(_types(then.results))


def _cond_reference(pred: Array, *operands: Array, regions: tuple[Region, Region]) -> tuple[Any, ...]:
    return tuple(regions[0 if pred else 1](*operands))


cond = primitive("cond", infer=_cond_infer, reference=_cond_reference)

# ---------------------------------------------------------------------------------------------------------- loops


def _while_infer(*types: ArrayType, carries: int, regions: tuple[Function, Function]) -> tuple[ArrayType, ...]:
    condition, body = regions
    for region in regions:
        _check_types("while_loop", "parameters", _types(region.params), types)
    _check_types("while_loop", "condition", _types(condition.results), [scalar("bool")])
    _check_types("while_loop", "results", _types(body.results), types[:carries])
    return types[:carries]


def _while_reference(*arrays: Array, carries: int, regions: tuple[Region, Region]) -> tuple[Any, ...]:
    condition, body = regions
    carry, constants = tuple(arrays[:carries]), arrays[carries:]
    while condition(*carry, *constants)[0]:
        carry = tuple(body(*carry, *constants))
    return carry


while_loop = primitive("while_loop", infer=_while_infer, reference=_while_reference)


def _fori_infer(
    lower: ArrayType, upper: ArrayType, *types: ArrayType, carries: int, regions: tuple[Function]
) -> tuple[ArrayType, ...]:
    (body,) = regions
    _check_types("fori_loop", "bounds", (lower, upper), [scalar("i64")] * 2)
    _check_types("fori_loop", "parameters", _types(body.params), [scalar("i64"), *types])
    _check_types("fori_loop", "results", _types(body.results), types[:carries])
    return types[:carries]


def _fori_reference(
    lower: Array, upper: Array, *arrays: Array, carries: int, regions: tuple[Region]
) -> tuple[Any, ...]:
    carry, constants = tuple(arrays[:carries]), arrays[carries:]
    for i in range(int(lower), int(upper)):
        carry = tuple(regions[0](np.int64(i), *carry, *constants))
    return carry


fori_loop = primitive("fori_loop", infer=_fori_infer, reference=_fori_reference)


def linear_recurrence(factors: Operand, increments: Operand, axis: int) -> Operand:
    """``y[i] = y[i-1] * factors[i] + increments[i]`` along an axis, from zero."""
    dims = factors.type.dims
    line = factors.type.with_dims(dims[:axis] + dims[axis + 1 :])
    with Builder() as body:
        i = body.param(scalar("i64"))
        last, out, f, v = (body.param(t) for t in (line, factors.type, factors.type, factors.type))
        at = op("gather", f, i, axes=(axis,)), op("gather", v, i, axes=(axis,))
        new = op("add", op("mul", last, at[0]), at[1])
        region = body.finish([new, op("scatter", out, new, i, axes=(axis,))], name="recurrence")
    operands = (index_literal(0), dim_operand(dims[axis]), zeros(line), zeros(factors.type), factors, increments)
    return current_builder().emit(fori_loop, operands, {"carries": 2}, (region,))[1]


# ------------------------------------------------------------------------------------- derivatives given by the user


def _custom_infer(*types: ArrayType, regions: tuple[Function, ...], residuals: int = 0) -> tuple[ArrayType, ...]:
    _check_types("custom derivative", "parameters", _types(regions[0].params), types)
    return tuple(_types(regions[0].results))


def _custom_reference(*arrays: Array, regions: tuple[Region, ...], residuals: int = 0) -> tuple[Any, ...]:
    return tuple(regions[0](*arrays))


# Regions: the function; its rule, from (operands, tangents of the float ones) to (results, tangents of the float ones).
custom_jvp = primitive("custom_jvp", infer=_custom_infer, reference=_custom_reference)

# Regions: the function; forward, from operands to (results, residuals); backward, from (residuals, cotangents of the
# float results) to cotangents of the float operands. ``residuals`` says how many there are.
custom_vjp = primitive("custom_vjp", infer=_custom_infer, reference=_custom_reference)


def _linear_infer(*types: ArrayType, results: tuple[ArrayType, ...], regions: tuple[Function]) -> tuple[ArrayType, ...]:
    count = len(types) - len(regions[0].results)
    _check_types("custom_linear", "parameters", _types(regions[0].params), [*types[:count], *results])
    _check_types("custom_linear", "results", _types(regions[0].results), types[count:])
    return results


def _linear_reference(*arrays: Array, results: tuple[ArrayType, ...], regions: tuple[Region]) -> tuple[Any, ...]:
    raise UnsupportedError("a function with custom_vjp has no forward derivative; use custom_jvp instead")


# What custom_vjp is to the forward walk: a linear operation of (residuals, tangents) known by its transpose alone.
custom_linear = primitive("custom_linear", infer=_linear_infer, reference=_linear_reference)
