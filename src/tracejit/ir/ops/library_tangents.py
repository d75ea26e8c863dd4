"""Derivatives of linear algebra and Fourier transforms, as compositions of loops, products and triangles.

Loops read one triangle of a symmetric matrix: the derivatives are those of the functions of that triangle. Where a
matrix has equal eigenvalues or singular values the vectors are no function of it; their tangents are not finite then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, same_dim
from tracejit.ir.core import Eqn, Function, Literal, Operand
from tracejit.ir.dims import DimLike, minimum, modulo
from tracejit.ir.ops.common import Tangent, dim_operand, full, index_literal, op, zeros
from tracejit.ir.ops.library import LOOPS, TANGENTS, TRANSPOSES, Rule
from tracejit.ir.types import ArrayType

__all__ = ["qr_factors", "qr_tangents"]

INT64 = np.dtype(np.int64)


def tangents_of(*names: str) -> Callable[[Rule], Rule]:
    """Register the tangents of loops."""

    def register(rule: Rule) -> Rule:
        TANGENTS.update(dict.fromkeys(names, rule))
        return rule

    return register


def _loop(
    name: str, *operands: Operand, sizes: Sequence[DimLike] = (), variant: DimLike = 0, axis: int = -1
) -> tuple[Operand, ...]:
    """The results of a loop, without whether it failed."""
    results = op("library_loop", *operands, loop=name, sizes=tuple(sizes), variant=variant, axis=axis)
    results = results if isinstance(results, tuple) else (results,)
    return results[: len(LOOPS[name].outputs)]


def _again(eqn: Eqn, primals: Sequence[Operand]) -> tuple[Operand, ...]:
    """The results for the primals: emitted already, so found again."""
    name = eqn.attrs["loop"]
    return _loop(name, *primals, sizes=eqn.attrs["sizes"], variant=eqn.attrs.get("variant", 0))


def _sum(terms: Sequence[Tangent]) -> Tangent:
    present = [term for term in terms if term is not None]
    if not present:
        return None
    total = present[0]
    for term in present[1:]:
        total = op("add", total, term)
    return total


# ----------------------------------------------------------------------------------------------------- matrices


def _swapped(x: Operand) -> Operand:
    rank = x.type.rank
    perm = (*range(rank - 2), rank - 1, rank - 2)
    result: Operand = op("transpose", x, perm=perm)
    return result


def _adjoint(x: Operand) -> Operand:
    return _swapped(_conjugate(x))


def _conjugate(x: Operand) -> Operand:
    result: Operand = op("conj", x) if x.type.dtype.kind == "c" else x
    return result


def _real(x: Operand) -> Operand:
    result: Operand = op("real", x) if x.type.dtype.kind == "c" else x
    return result


def _as(x: Operand, dtype: np.dtype[Any]) -> Operand:
    result: Operand = x if x.type.dtype == dtype else op("cast", x, dtype=dtype)
    return result


def _in_batch(x: Operand, core: int, batch: tuple[DimLike, ...]) -> Operand:
    """The operand with all axes of the batch."""
    own = x.type.dims
    if len(own) > core or not batch:
        return x
    dims = (*batch, *own)
    result: Operand = op("broadcast", x, dims=dims, axes=tuple(range(len(batch), len(dims))))
    return result


def _product(x: Operand, y: Operand) -> Operand:
    """The product of matrices (or of matrices and vectors) with the same batch."""
    count = x.type.rank - 2
    lead = tuple(range(count))
    result: Operand = op("dot", x, y, contract=((count + 1,), (count,)), batch=(lead, lead))
    return result


def _inner(x: Operand, y: Operand) -> Operand:
    """The sum of the elementwise product over the core."""
    rank = x.type.rank
    result: Operand = op("reduce_sum", op("mul", x, y), axes=(rank - 2, rank - 1))
    return result


def _diagonal(x: Operand) -> Operand:
    """The diagonals of square matrices."""
    rank = x.type.rank
    kept = op("select", _compare("eq", x.type.dims), x, Literal(0, ArrayType(x.type.dtype)))
    result: Operand = op("reduce_sum", kept, axes=(rank - 1,))
    return result


def _compare(relation: str, dims: tuple[DimLike, ...]) -> Operand:
    """A mask over matrices: how an element's row compares with its column."""
    rank = len(dims)
    rows, columns = (op("iota", dtype=INT64, dims=dims, axis=axis) for axis in (rank - 2, rank - 1))
    result: Operand = op(relation, rows, columns)
    return result


def _where(relation: str, x: Operand, factor: float = 1.0) -> Operand:
    """The elements of a part of matrices, multiplied; zeros elsewhere."""
    zero = Literal(0, ArrayType(x.type.dtype))
    value = x if factor == 1 else op("mul", x, factor)
    result: Operand = op("select", _compare(relation, x.type.dims), value, zero)
    return result


def _along_rows(v: Operand, dims: tuple[DimLike, ...]) -> Operand:
    """Vectors as rows that are all the same: element (i, j) is ``v[j]``."""
    rank = len(dims)
    result: Operand = op("broadcast", v, dims=dims, axes=(*range(rank - 2), rank - 1))
    return result


def _along_columns(v: Operand, dims: tuple[DimLike, ...]) -> Operand:
    """Element (i, j) is ``v[i]``."""
    rank = len(dims)
    result: Operand = op("broadcast", v, dims=dims, axes=tuple(range(rank - 1)))
    return result


def _from_triangle(x: Operand, *, lower: bool) -> Operand:
    """The Hermitian matrix of which one triangle is given."""
    strict = _where("gt" if lower else "lt", x)
    middle = _as(_real(_where("eq", x)), x.type.dtype)
    result: Operand = op("add", op("add", strict, _adjoint(strict)), middle)
    return result


def _solved(a: Operand, b: Operand) -> Operand:
    return _loop("solve", a, b)[0]


# ---------------------------------------------------------------------------------------------- linear systems


@tangents_of("solve", "solve1")
def _solve(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (a, _), (da, db) = primals, tangents
    name = eqn.attrs["loop"]
    core = 1 if name == "solve1" else 2
    (x,) = _again(eqn, primals)
    batch = x.type.dims[: x.type.rank - core]
    right = None if db is None else _in_batch(db, core, batch)
    if da is not None:
        moved = op("neg", _product(_in_batch(da, 2, batch), x))
        right = moved if right is None else op("add", right, moved)
    return [None if right is None else _loop(name, a, right)[0]]


def _solve_transpose(eqn: Eqn, cotangent: Operand, operands: Sequence[Any]) -> list[Tangent]:
    a, b = operands
    (result,) = _loop(eqn.attrs["loop"], _swapped(a), cotangent)
    if result.type.rank > b.type.rank:  # one right side for all of the batch
        result = op("reduce_sum", result, axes=tuple(range(result.type.rank - b.type.rank)))
    return [None, result]


TRANSPOSES.update(solve=_solve_transpose, solve1=_solve_transpose)


@tangents_of("inv")
def _inv(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (inverse,), (da,) = _again(eqn, primals), tangents
    return [None if da is None else op("neg", _product(_product(inverse, da), inverse))]


def _relative_change(primals: Sequence[Operand], da: Operand) -> Operand:
    """The trace of ``inv(a) @ da``."""
    return _inner(_swapped(_loop("inv", primals[0])[0]), da)


@tangents_of("det")
def _det(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (value,), (da,) = _again(eqn, primals), tangents
    return [None if da is None else op("mul", value, _relative_change(primals, da))]


@tangents_of("slogdet")
def _slogdet(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (sign, _), (da,) = _again(eqn, primals), tangents
    if da is None:
        return [None, None]
    change = _relative_change(primals, da)
    if sign.type.dtype.kind != "c":
        return [None, change]
    turned = op("complex", zeros(_real(sign).type), op("imag", change))
    return [op("mul", sign, turned), _real(change)]


# -------------------------------------------------------------------------------------------------- Hermitian


@tangents_of("cholesky_lo", "cholesky_up")
def _cholesky(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (factor,), (da,) = _again(eqn, primals), tangents
    if da is None:
        return [None]
    lower = eqn.attrs["loop"] == "cholesky_lo"
    moved = _from_triangle(da, lower=lower)
    left = factor if lower else _adjoint(factor)
    inside = _adjoint(_solved(left, _adjoint(_solved(left, moved))))
    change = _product(left, op("add", _where("gt", inside), _where("eq", inside, 0.5)))
    return [change if lower else _adjoint(change)]


def _hermitian(eqn: Eqn, primals: Sequence[Operand], da: Operand) -> tuple[Operand, Operand, Operand]:
    """The eigenvalues, the eigenvectors, and the change of the matrix seen from these."""
    side = eqn.attrs["loop"][-2:]
    values, vectors = _loop(f"eigh_{side}", *primals)
    moved = _from_triangle(da, lower=side == "lo")
    return values, vectors, _product(_product(_adjoint(vectors), moved), vectors)


@tangents_of("eigvalsh_lo", "eigvalsh_up")
def _eigvalsh(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (da,) = tangents
    return [None if da is None else _real(_diagonal(_hermitian(eqn, primals, da)[2]))]


@tangents_of("eigh_lo", "eigh_up")
def _eigh(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (da,) = tangents
    if da is None:
        return [None, None]
    values, vectors, change = _hermitian(eqn, primals, da)
    return [_real(_diagonal(change)), _product(vectors, op("mul", _gaps(values, change.type), change))]


def _gaps(values: Operand, type: ArrayType) -> Operand:
    """``1 / (v[j] - v[i])``, zeros on the diagonal, in the dtype of matrices of a type."""
    dims = type.dims
    difference = op("sub", _along_rows(values, dims), _along_columns(values, dims))
    one = Literal(1, ArrayType(values.type.dtype))
    inverse = op("div", one, op("select", _compare("eq", dims), one, difference))
    off = op("select", _compare("eq", dims), Literal(0, ArrayType(values.type.dtype)), inverse)
    return _as(off, type.dtype)


# --------------------------------------------------------------------------------------------- singular values


def _singular(a: Operand) -> tuple[Operand, Operand, Operand]:
    rows, columns = a.type.dims[-2:]
    left, values, right = _loop("svd_s", a, sizes=(minimum(rows, columns),))
    return left, values, right


@tangents_of("svd")
def _svd_values(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (a,), (da,) = primals, tangents
    if da is None:
        return [None]
    left, _, right = _singular(a)
    return [_real(_diagonal(_product(_product(_adjoint(left), da), _adjoint(right))))]


@tangents_of("svd_s", "svd_f")
def _svd(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (a,), (da,) = primals, tangents
    if da is None:
        return [None] * 3
    if eqn.attrs["loop"] == "svd_f" and not same_dim(*a.type.dims[-2:]):
        raise UnsupportedError(
            "np.linalg.svd of matrices that are not square cannot be differentiated with full_matrices=True, whose "
            "further vectors are no function of the matrix; use full_matrices=False"
        )
    left, values, right = _singular(a)
    back = _adjoint(right)
    change = _product(_product(_adjoint(left), da), back)
    dims, dtype = change.type.dims, change.type.dtype
    columns = _as(_along_rows(values, dims), dtype)
    rows = _as(_along_columns(values, dims), dtype)
    gaps = _gaps(op("mul", values, values), change.type)
    swapped = _adjoint(change)
    inside_left = op("mul", gaps, op("add", op("mul", change, columns), op("mul", rows, swapped)))
    inside_right = op("mul", gaps, op("add", op("mul", rows, change), op("mul", swapped, columns)))
    inverse = op("div", Literal(1, ArrayType(values.type.dtype)), values)
    if dtype.kind == "c":  # what is left of the phase belongs to the left vectors
        phase = op("sub", change, swapped)
        halves = op("mul", _where("eq", phase, 0.5), _as(_along_rows(inverse, dims), dtype))
        inside_left = op("add", inside_left, halves)
    d_left = _product(left, inside_left)
    d_back = _product(back, inside_right)
    # What leaves the space of the vectors, where they do not fill all of it.
    moved = _product(da, back)
    outside = op("sub", moved, _product(left, _product(_adjoint(left), moved)))
    d_left = op("add", d_left, op("mul", outside, _as(_along_rows(inverse, outside.type.dims), dtype)))
    moved = _product(_adjoint(da), left)
    outside = op("sub", moved, _product(back, _product(right, moved)))
    d_back = op("add", d_back, op("mul", outside, _as(_along_rows(inverse, outside.type.dims), dtype)))
    return [d_left, _real(_diagonal(change)), _adjoint(d_back)]


@tangents_of("lstsq")
def _lstsq(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """The derivatives where the rank stays the same."""
    (a, b, ratio), (da, db, _) = primals, tangents
    x, *_ = _again(eqn, primals)
    left, values, right = _singular(a)
    real = values.type.dtype
    largest = op("reduce_max", values, axes=(values.type.rank - 1,))
    least = op("mul", largest, _as(ratio, real))
    kept = op("gt", values, op("broadcast", least, dims=values.type.dims, axes=()))
    none = Literal(0, ArrayType(real))
    inverse = op("select", kept, op("div", Literal(1, ArrayType(real)), values), none)
    back = _adjoint(right)
    pseudo = _product(op("mul", back, _as(_along_rows(inverse, back.type.dims), a.type.dtype)), _adjoint(left))
    residue = op("sub", b, _product(a, x))
    moved = _sum([db, None if da is None else op("neg", _product(da, x))])
    if moved is None:
        return [None] * 4
    dx = _product(pseudo, moved)
    ds: Tangent = None
    if da is not None:
        dx = op("add", dx, _product(pseudo, _product(_adjoint(pseudo), _product(_adjoint(da), residue))))
        free = _product(_adjoint(da), _product(_adjoint(pseudo), x))
        dx = op("add", dx, op("sub", free, _product(pseudo, _product(a, free))))
        ds = _real(_diagonal(_product(_product(_adjoint(left), da), back)))
    turned = op("mul", _conjugate(residue), moved)
    dr = op("mul", op("reduce_sum", _real(turned), axes=(turned.type.rank - 2,)), 2.0)
    return [dx, dr, None, ds]


# ---------------------------------------------------------------------------------------------------------- QR


def qr_factors(a: Operand) -> Function:
    """The function from a matrix like this one to the factors of the reduced QR decomposition."""
    with Builder() as builder:
        return builder.finish(_factors(builder.param(a.type)), name="qr")


def qr_tangents(a: Operand) -> Function:
    """The function from a matrix and its tangent to the factors and theirs, as ``custom_jvp`` wants it.

    Example:
        >>> len(qr_tangents(Literal(1.0, ArrayType(np.dtype("f8"), (3, 2)))).results)
        4
    """
    with Builder() as builder:
        matrix, da = builder.param(a.type), builder.param(a.type)
        q, r = _factors(matrix)
        count = q.type.dims[-1]
        first, square = _first_columns(da, count), _first_columns(r, count)
        moved = _swapped(_solved(_swapped(square), _swapped(first)))
        inside = _product(_adjoint(q), moved)
        below = _where("gt", inside)
        turn = op("sub", below, _adjoint(below))
        if inside.type.dtype.kind == "c":  # the diagonal of R stays real
            middle = _where("eq", inside)
            turn = op("add", turn, op("sub", middle, _as(_real(middle), inside.type.dtype)))
        dq = op("add", _product(q, op("sub", turn, inside)), moved)
        dr = op("sub", _product(_adjoint(q), da), _product(turn, r))
        return builder.finish([q, r, dq, _where("le", dr)], name="qr_tangents")


def _factors(a: Operand) -> list[Operand]:
    rows, columns = a.type.dims[-2:]
    count = minimum(rows, columns)
    packed, scales = _loop("qr_r_raw", a, sizes=(count,))
    (q,) = _loop("qr_reduced", packed, scales)
    dims = packed.type.dims
    top = op("slice", packed, starts=(0,) * len(dims), sizes=(*dims[:-2], count, columns), steps=(1,) * len(dims))
    return [q, _where("le", top)]


def _first_columns(x: Operand, count: DimLike) -> Operand:
    dims = x.type.dims
    result: Operand = op("slice", x, starts=(0,) * len(dims), sizes=(*dims[:-1], count), steps=(1,) * len(dims))
    return result


# ------------------------------------------------------------------------------------------ Fourier transforms


@tangents_of("fft", "ifft", "rfft", "irfft")
def _fourier(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (x, scale), (dx, dscale) = primals, tangents
    name = eqn.attrs["loop"]
    attrs = {key: value for key, value in eqn.attrs.items() if key != "loop"}
    parts = []
    if dx is not None:
        parts.append(_loop(name, dx, scale, **attrs)[0])
    if dscale is not None:
        plain = _loop(name, x, Literal(1, scale.type), **attrs)[0]
        wide = full(0, scale.type.dtype, plain.type.dims)
        parts.append(op("mul", plain, _as(op("add", wide, dscale), plain.type.dtype)))
    return [_sum(parts)]


def _resized(x: Operand, size: DimLike, axis: int) -> Operand:
    """The first elements along an axis, or with zeros behind them."""
    own = x.type.dims[axis]

    def dims(size: DimLike) -> tuple[DimLike, ...]:
        found = list(x.type.dims)
        found[axis] = size
        return tuple(found)

    if same_dim(own, size):
        return x
    kept = minimum(own, size)
    none, ones = (0,) * x.type.rank, (1,) * x.type.rank
    part = op("slice", x, starts=none, sizes=dims(kept), steps=ones)
    if same_dim(kept, size):
        return part  # type: ignore[no-any-return]
    empty = full(0, x.type.dtype, dims(size))
    result: Operand = op("update_slice", empty, part, starts=none, steps=ones)
    return result


def _fourier_transpose(eqn: Eqn, cotangent: Operand, operands: Sequence[Any]) -> list[Tangent]:
    x, scale = operands
    name, (points,), axis = eqn.attrs["loop"], eqn.attrs["sizes"], eqn.attrs.get("axis", -1)
    if name in ("fft", "ifft"):
        (full_sum,) = _loop(name, cotangent, scale, sizes=(points,), axis=axis)
    elif name == "rfft":
        whole = 2 * points - 2 + eqn.attrs.get("variant", 0)
        full_sum = op("real", _loop("fft", cotangent, scale, sizes=(whole,), axis=axis)[0])
    else:
        full_sum = _irfft_transpose(cotangent, scale, points, axis)
    return [_resized(full_sum, x.type.dims[axis], axis), None]


def _irfft_transpose(cotangent: Operand, scale: Operand, points: DimLike, axis: int) -> Operand:
    """All coefficients but the first, and for an even size the last, stand for two."""
    half = points // 2 + 1
    odd = modulo(points, 2)
    (transformed,) = _loop("rfft", cotangent, scale, sizes=(half,), variant=odd, axis=axis)
    dims, real = transformed.type.dims, _real(transformed).type.dtype
    place = op("iota", dtype=INT64, dims=dims, axis=len(dims) + axis)
    double = op(
        "bitwise_and",
        op("gt", place, index_literal(0)),
        op("lt", op("mul", place, index_literal(2)), dim_operand(points)),
    )
    one, two = Literal(1, ArrayType(real)), Literal(2, ArrayType(real))
    factor = op("select", double, two, one)
    result: Operand = op("mul", op("conj", transformed), _as(factor, transformed.type.dtype))
    return result


TRANSPOSES.update(dict.fromkeys(("fft", "ifft", "rfft", "irfft"), _fourier_transpose))
