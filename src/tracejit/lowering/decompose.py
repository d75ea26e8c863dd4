"""Operations that have no nest of their own, written in terms of those that have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import Builder, rebuild
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.ops import PRIMITIVES

__all__ = ["decompose"]


def decompose(function: Function) -> Function:
    """Rewrite argmax, argmin, inner, outer and transposed products; a function without them comes back as it is."""
    if not any(eqn.op.name in _RULES for eqn in function.eqns):
        return function
    turned = _turned_products(function)
    windows = _products_of_windows(function)

    def visit(builder: Builder, eqn: Eqn, operands: list[Operand]) -> Sequence[Operand]:
        if eqn in windows:
            return (_sum_of_products(eqn, operands),)
        if eqn in turned:
            return operands if eqn.op.name == "transpose" else (_turned(eqn, operands),)
        rule = _RULES.get(eqn.op.name)
        replaced = rule(eqn, operands) if rule is not None else None
        if replaced is not None:
            return (replaced,)
        return builder.emit(eqn.op, tuple(operands), eqn.attrs, eqn.regions, eqn.loc)

    return rebuild(function, visit)


def _turned_products(function: Function) -> set[Eqn]:
    """Products that are used only through a transpose which exchanges rows and columns, and those transposes."""
    uses: dict[Operand, list[Eqn | None]] = {}
    for eqn in function.eqns:
        for operand in eqn.operands:
            uses.setdefault(operand, []).append(eqn)
    for result in function.results:
        uses.setdefault(result, []).append(None)
    found: set[Eqn] = set()
    for eqn in function.eqns:
        readers = uses.get(eqn.results[0], []) if eqn.op.name == "dot" else []
        if len(readers) == 1 and readers[0] is not None and readers[0].op.name == "transpose":
            batch, first = _free_axes(eqn)
            rank = eqn.results[0].rank
            if _is_blas(eqn) and readers[0].attrs["perm"] == (*range(batch), *range(first, rank), *range(batch, first)):
                found |= {eqn, readers[0]}
    return found


def _products_of_windows(function: Function) -> set[Eqn]:
    """Products of a vector with windows on an array, which are never written to memory to be multiplied."""
    makers: dict[Operand, Eqn] = {
        eqn.results[0]: eqn for eqn in function.eqns if eqn.op.name in ("gather", "transpose")
    }

    def is_window(operand: Operand) -> bool:
        maker = makers.get(operand)
        while maker is not None and maker.op.name == "transpose":
            maker = makers.get(maker.operands[0])
        return maker is not None and operand.rank > maker.operands[0].rank

    found: set[Eqn] = set()
    for eqn in function.eqns:
        if eqn.op.name == "dot":
            x, y = eqn.operands
            x_used, y_used = (len(c) + len(b) for c, b in zip(eqn.attrs["contract"], eqn.attrs["batch"], strict=True))
            if (y.rank == y_used and is_window(x)) or (x.rank == x_used and is_window(y)):
                found.add(eqn)
    return found


def _is_blas(eqn: Eqn) -> bool:
    """Whether a product is one of matrices (or a matrix and a vector) that BLAS knows."""
    (x_contract, _), (x_batch, _) = eqn.attrs["contract"], eqn.attrs["batch"]
    has_free = eqn.results[0].rank > len(x_batch)
    return eqn.results[0].dtype in (np.float32, np.float64) and bool(x_contract) and has_free


def _free_axes(eqn: Eqn) -> tuple[int, int]:
    """Where in the result the free axes of the first factor begin, and those of the second."""
    (x_contract, _), (x_batch, _) = eqn.attrs["contract"], eqn.attrs["batch"]
    return len(x_batch), eqn.operands[0].rank - len(x_contract)


def _turned(eqn: Eqn, operands: list[Operand]) -> Operand:
    """The transpose of a product is the product of the factors in the other order."""
    (x, y), (x_contract, y_contract), (x_batch, y_batch) = operands, eqn.attrs["contract"], eqn.attrs["batch"]
    contract, batch = (y_contract, x_contract), (y_batch, x_batch)
    return _op("dot", y, x, contract=contract, batch=batch)


def _op(name: str, *operands: Any, **attrs: Any) -> Operand:
    result: Operand = PRIMITIVES[name](*operands, **attrs)
    return result


def _arg_extreme(eqn: Eqn, operands: list[Operand]) -> Operand:
    """The first index that holds the extreme value, or the first NaN: two reductions that vectorise."""
    (x,), axis = operands, eqn.attrs["axis"]
    if x.type.dtype == np.bool_:
        x = _op("cast", x, dtype=np.dtype(np.uint8))
    reduce_name = "reduce_max" if eqn.op.name == "argmax" else "reduce_min"
    extreme = _op(reduce_name, x, axes=(axis,))
    others = tuple(a for a in range(x.rank) if a != axis)
    wide = _op("broadcast", extreme, dims=x.dims, axes=others)
    found = _op("eq", x, wide)
    if x.type.dtype.kind == "f":
        found = _op("bitwise_or", found, _op("isnan", x))
    index = _op("iota", dtype=np.dtype(np.int64), dims=x.dims, axis=axis)
    nowhere = np.int64(np.iinfo(np.int64).max)
    return _op("reduce_min", _op("select", found, index, nowhere), axes=(axis,))


def _product(eqn: Eqn, operands: list[Operand]) -> Operand | None:
    """Inner products become fused sums of products, outer products broadcasts."""
    return None if _is_blas(eqn) else _sum_of_products(eqn, operands)


def _sum_of_products(eqn: Eqn, operands: list[Operand]) -> Operand:
    x, y = operands
    (x_contract, y_contract), (x_batch, y_batch) = eqn.attrs["contract"], eqn.attrs["batch"]
    x_free = [a for a in range(x.rank) if a not in x_contract and a not in x_batch]
    y_free = [a for a in range(y.rank) if a not in y_contract and a not in y_batch]
    rank = len(x_batch) + len(x_free) + len(y_free) + len(x_contract)
    dims = tuple(
        [x.dims[a] for a in x_batch]
        + [x.dims[a] for a in x_free]
        + [y.dims[a] for a in y_free]
        + [x.dims[a] for a in x_contract]
    )
    batch = range(len(x_batch))
    contract = range(rank - len(x_contract), rank)
    first = len(x_batch) + len(x_free)
    left = _spread(x, [*x_batch, *x_free, *x_contract], [*range(first), *contract], dims)
    right = _spread(y, [*y_batch, *y_free, *y_contract], [*batch, *range(first, first + len(y_free)), *contract], dims)
    product = _op("mul", left, right)
    combine = "reduce_any" if x.type.dtype == np.bool_ else "reduce_sum"
    if x.type.dtype == np.bool_:
        product = _op("bitwise_and", left, right)
    return _op(combine, product, axes=tuple(contract)) if x_contract else product


def _spread(x: Operand, order: list[int], axes: list[int], dims: tuple[Any, ...]) -> Operand:
    if order != sorted(order):
        x = _op("transpose", x, perm=tuple(order))
    if x.dims == dims:
        return x
    return _op("broadcast", x, dims=dims, axes=tuple(axes))


_RULES = {"argmax": _arg_extreme, "argmin": _arg_extreme, "dot": _product}
