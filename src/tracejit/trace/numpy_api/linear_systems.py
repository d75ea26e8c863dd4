"""Linear systems and what NumPy composes of decompositions: solve, lstsq, pinv, matrix_rank, cond, polyfit."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, maximum, minimum, product
from tracejit.trace.array import new_array, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import FLOAT64, INT64
from tracejit.trace.inputs import as_array, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import NO_VALUE, left_to_numpy, ufunc
from tracejit.trace.numpy_api.library_loops import Matrices, apply_loop, same_size
from tracejit.trace.numpy_api.linear_algebra import svd
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import python_size
from tracejit.trace.values import (
    cast,
    dim_value,
    emit,
    full,
    late_dim,
    literal,
    reshape,
    resolve_dims,
    select,
    size_of,
    slice_axis,
    squeeze,
)

__all__: list[str] = []

_SINGULAR = "Singular matrix"


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """``np.linalg.solve``."""
    arrays = [as_array(a), as_array(b)]
    core = 1 if arrays[1].ndim == 1 else 2
    matrices = Matrices(np.linalg.solve, arrays, (2, core))
    size = matrices.require_square()
    if not same_size(size, matrices.sizes(1)[0], "the right side has {1} rows where the matrix has {0}"):
        matrices.raise_as_numpy()
    matrices.give_size(1, -core, size)
    (found,) = apply_loop("solve1" if core == 1 else "solve", *matrices.operands, error=_SINGULAR)
    return matrices.result(found, core)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """``np.linalg.tensorsolve``."""
    array, right = as_array(a), as_array(b)
    if axes is not None:
        order = list(range(array.ndim))
        for axis in axes:
            order.remove(axis)
            order.insert(array.ndim, axis)
        array = call(np.transpose, array, order)
    dims = resolve_dims(array.dims[right.ndim - array.ndim :])
    total = product(dims)
    if not same_size(size_of(array.dims), total * total, "the dimensions of the tensor do not fit"):
        raise_as_numpy(np.linalg.tensorsolve, array, right)
    size = python_size(total)
    found = solve(call(np.reshape, array, (size, size)), call(np.ravel, right))
    return new_array(reshape(found.operand(), dims))


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """``np.linalg.tensorinv``."""
    array = as_array(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    dims = resolve_dims(array.dims)
    size = python_size(product(dims[ind:]))
    inverse = call(np.linalg.inv, call(np.reshape, array, (size, -1)))
    return new_array(reshape(inverse.operand(), (*dims[ind:], *dims[:ind])))


# ------------------------------------------------------------------------------------------------- least squares


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """``np.linalg.lstsq``: how many residues there are depends on the rank, which the program computes."""
    left, right = as_array(a), as_array(b)
    is_vector = right.ndim == 1
    columns = new_array(reshape(right.operand(), (*resolve_dims(right.dims), 1))) if is_vector else right
    if left.ndim != 2 or columns.ndim != 2:
        raise_as_numpy(np.linalg.lstsq, left, right)
    matrices = Matrices(np.linalg.lstsq, [left, columns], (2, 2))
    (rows, unknowns), (own_rows, count) = matrices.sizes(), matrices.sizes(1)
    if not same_size(rows, own_rows, "Incompatible dimensions"):
        raise_as_numpy(np.linalg.lstsq, left, right)
    matrices.give_size(1, -2, rows)
    sizes = current_trace().sizes
    if sizes.decide(rows, "== 0") or sizes.decide(count, "== 0"):
        return left_to_numpy(np.linalg.lstsq, left, right, rcond)
    found, residues, rank, values = apply_loop(
        "lstsq",
        *matrices.operands,
        _least_ratio(rcond, maximum(unknowns, rows)),
        sizes=(minimum(rows, unknowns),),
        error="SVD did not converge in Linear Least Squares",
    )
    solution = cast(squeeze(found, (1,)) if is_vector else found, matrices.dtype)
    kept: DimLike = 0
    if sizes.decide(rows - unknowns - 1, ">= 0"):
        is_full = emit("eq", cast(rank, INT64), dim_value(unknowns))
        kept = late_dim(select(is_full, dim_value(count), literal(0, INT64)), 0, count)
    residues = slice_axis(cast(residues, matrices.real), 0, 0, kept)
    return new_array(solution), new_array(residues), wrap(rank), new_array(cast(values, matrices.real))


def _least_ratio(rcond: Any, longest: DimLike) -> Operand:
    """The ratio to the largest singular value below which one counts as zero."""
    if rcond is not None:
        return cast(operand_of(rcond), FLOAT64)
    return emit("mul", literal(np.finfo(np.float64).eps, FLOAT64), cast(dim_value(longest), FLOAT64))


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """``np.polyfit`` of one degree, without what it tells about the fit."""
    points, values = (ufunc(np.add, as_array(part), 0.0) for part in (x, y))
    plain = type(deg) is int and deg >= 0 and not full and cov is False and points.ndim == 1 and values.ndim in (1, 2)
    if not plain or (w is not None and as_array(w).ndim != 1):
        return left_to_numpy(np.polyfit, x, y, deg, rcond, full, w, cov)
    sizes = current_trace().sizes
    count = resolve_dims(points.dims)[0]
    if sizes.decide(count, "== 0") or not sizes.require_equal(count, values.dims[0]):
        raise_as_numpy(np.polyfit, points, values, deg)
    if rcond is None:
        rcond = ufunc(np.multiply, python_size(count), np.finfo(points.dtype).eps)
    matrix, right = call(np.vander, points, deg + 1), values
    if w is not None:
        weights = ufunc(np.add, as_array(w), 0.0)
        if not sizes.require_equal(weights.dims[0], count):
            raise_as_numpy(np.polyfit, points, values, deg, w=weights)
        matrix = ufunc(np.multiply, matrix, weights[:, None])
        right = ufunc(np.multiply, right, weights if right.ndim == 1 else weights[:, None])
    scale = ufunc(np.sqrt, call(np.sum, ufunc(np.multiply, matrix, matrix), axis=0))
    found = lstsq(ufunc(np.divide, matrix, scale), right, rcond)[0]
    return ufunc(np.divide, found.T, scale).T


# ---------------------------------------------------------------------------------- composed of singular values


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NO_VALUE) -> Any:
    """``np.linalg.pinv``."""
    array = as_array(a)
    if rcond is not None and rtol is not NO_VALUE:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if array.ndim < 2:
        raise_as_numpy(np.linalg.pinv, array)
    *lead, rows, columns = resolve_dims(array.dims)
    if rcond is None:
        rcond = 1e-15 if rtol is NO_VALUE else rtol
        if rtol is None:
            rcond = ufunc(np.multiply, python_size(maximum(rows, columns)), np.finfo(array.dtype).eps)
    if current_trace().sizes.decide(rows * columns, "== 0"):
        return new_array(emit("empty", dtype=array.dtype, dims=(*lead, columns, rows)))
    left, values, right = svd(ufunc(np.conjugate, array), full_matrices=False, hermitian=hermitian)
    ratio = call(np.asarray, rcond)[..., None]
    cutoff = ufunc(np.multiply, ratio, call(np.max, values, axis=-1, keepdims=True))
    large = ufunc(np.greater, values, cutoff)
    inverse = call(np.where, large, ufunc(np.divide, 1, values), values.dtype.type(0))
    scaled = ufunc(np.multiply, inverse[..., None], call(np.swapaxes, left, -1, -2))
    return call(np.matmul, call(np.swapaxes, right, -1, -2), scaled)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """``np.linalg.matrix_rank``."""
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    array = as_array(A)
    if array.ndim < 2:
        return call(int, ufunc(np.logical_not, call(np.all, ufunc(np.equal, array, 0))))
    rows, columns = resolve_dims(array.dims)[-2:]
    values = svd(array, compute_uv=False, hermitian=hermitian)
    if tol is not None:
        bound = call(np.asarray, tol)[..., None]
    else:
        if rtol is None:
            rtol = ufunc(np.multiply, python_size(maximum(rows, columns)), np.finfo(values.dtype).eps)
        else:
            rtol = call(np.asarray, rtol)[..., None]
        bound = ufunc(np.multiply, call(np.max, values, axis=-1, keepdims=True, initial=0), rtol)
    return call(np.count_nonzero, ufunc(np.greater, values, bound), axis=-1)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """``np.linalg.cond``."""
    array = as_array(x)
    if array.ndim < 2:
        raise_as_numpy(np.linalg.cond, array, p)
    rows, columns = resolve_dims(array.dims)[-2:]
    if current_trace().sizes.decide(rows * columns, "== 0"):
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    if p is None or p in (2, -2):
        values = svd(array, compute_uv=False)
        first, last = values[..., 0], values[..., -1]
        ratio = ufunc(np.divide, last, first) if p == -2 else ufunc(np.divide, first, last)
    else:
        matrices = Matrices(np.linalg.cond, [array], p=p)
        matrices.require_square()
        (inverse,) = apply_loop("inv", *matrices.operands)
        norms = [
            call(np.linalg.norm, part, p, axis=(-2, -1)) for part in (array, matrices.result(inverse, 2, matrices.loop))
        ]
        ratio = call("astype", ufunc(np.multiply, *norms), matrices.real)
    missing = call(np.any, ufunc(np.isnan, array), axis=(-2, -1))
    infinite = ufunc(np.logical_and, ufunc(np.isnan, ratio), ufunc(np.logical_not, missing))
    operand = operand_of(ratio)
    limit = full(literal(np.inf, operand.type.dtype), operand.type.dims)
    return wrap(select(operand_of(infinite), limit, operand))
