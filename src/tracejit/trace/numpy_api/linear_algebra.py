"""Matrix decompositions: the functions of ``np.linalg`` that are a loop of LAPACK and some checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, minimum
from tracejit.ir.ops.library_tangents import qr_factors, qr_tangents
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array
from tracejit.trace.location import user_location
from tracejit.trace.numpy_api.common import left_to_numpy, ufunc
from tracejit.trace.numpy_api.library_loops import Matrices, apply_loop, named_result
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import kept_order
from tracejit.trace.scalar import python_size
from tracejit.trace.values import cast, emit

__all__: list[str] = []

NOT_CONVERGED = "Eigenvalues did not converge"


def _square(function: Any, a: Any, loop: str, error: str = "", **keywords: Any) -> tuple[Matrices, tuple[Operand, ...]]:
    """A loop applied to square matrices."""
    matrices = Matrices(function, [as_array(a)], **keywords)
    matrices.require_square()
    return matrices, apply_loop(loop, *matrices.operands, error=error)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """``np.linalg.inv``."""
    matrices, (inverse,) = _square(np.linalg.inv, a, "inv", "Singular matrix")
    return matrices.result(inverse, 2)


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """``np.linalg.det``."""
    matrices, (found,) = _square(np.linalg.det, a, "det")
    return matrices.result(found, 0)


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """``np.linalg.slogdet``."""
    matrices, (sign, logarithm) = _square(np.linalg.slogdet, a, "slogdet")
    return named_result(np.linalg.slogdet)(matrices.result(sign, 0), matrices.result(logarithm, 0, matrices.real))


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """``np.linalg.cholesky``."""
    loop = "cholesky_up" if upper else "cholesky_lo"
    matrices, (factor,) = _square(np.linalg.cholesky, a, loop, "Matrix is not positive definite")
    return matrices.result(factor, 2)


def _triangle(uplo: str) -> str:
    side = uplo.upper()
    if side not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return "lo" if side == "L" else "up"


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigh``."""
    loop = f"eigh_{_triangle(UPLO)}"
    matrices, (values, vectors) = _square(np.linalg.eigh, a, loop, NOT_CONVERGED)
    return named_result(np.linalg.eigh)(matrices.result(values, 1, matrices.real), matrices.result(vectors, 2))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigvalsh``."""
    matrices, (values,) = _square(np.linalg.eigvalsh, a, f"eigvalsh_{_triangle(UPLO)}", NOT_CONVERGED)
    return matrices.result(values, 1, matrices.real)


def _require_finite(x: Operand) -> None:
    finite = emit("isfinite", x)
    holds = emit("reduce_all", finite, axes=tuple(range(x.type.rank)))
    current_trace().check(holds, (), "LinAlgError", "Array must not contain infs or NaNs")


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """``np.linalg.eig`` of complex matrices; of real ones the values decide about the dtype of the results."""
    array = as_array(a)
    if array.dtype.kind != "c":
        return left_to_numpy(np.linalg.eig, array)
    matrices = Matrices(np.linalg.eig, [array])
    matrices.require_square()
    _require_finite(matrices.operands[0])
    values, vectors = apply_loop("eig", *matrices.operands, error=NOT_CONVERGED)
    return named_result(np.linalg.eig)(matrices.result(values, 1), matrices.result(vectors, 2))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """``np.linalg.eigvals`` of complex matrices; of real ones the values decide about the dtype of the result."""
    array = as_array(a)
    if array.dtype.kind != "c":
        return left_to_numpy(np.linalg.eigvals, array)
    matrices = Matrices(np.linalg.eigvals, [array])
    matrices.require_square()
    _require_finite(matrices.operands[0])
    (values,) = apply_loop("eigvals", *matrices.operands, error=NOT_CONVERGED)
    return matrices.result(values, 1)


# ------------------------------------------------------------------------------------------------ singular values


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """``np.linalg.svd``."""
    if hermitian:
        return _svd_of_hermitian(as_array(a), compute_uv)
    matrices = Matrices(np.linalg.svd, [as_array(a)])
    if full_matrices and compute_uv:
        rows, columns = matrices.sizes()
        known = current_trace().sizes
        if not known.is_late(rows - columns) and known.hint(rows) == known.hint(columns):
            known.require_equal(rows, columns)  # only then do the vectors have derivatives
    sizes, error = (minimum(*matrices.sizes()),), "SVD did not converge"
    if not compute_uv:
        (values,) = apply_loop("svd", *matrices.operands, sizes=sizes, error=error)
        return matrices.result(values, 1, matrices.real)
    loop = "svd_f" if full_matrices else "svd_s"
    left, values, right = apply_loop(loop, *matrices.operands, sizes=sizes, error=error)
    return named_result(np.linalg.svd)(
        matrices.result(left, 2), matrices.result(values, 1, matrices.real), matrices.result(right, 2)
    )


def _svd_of_hermitian(array: TracedArray, compute_uv: bool) -> Any:
    """The singular values of a Hermitian matrix are the sizes of its eigenvalues."""
    if not compute_uv:
        sizes = ufunc(np.absolute, eigvalsh(array))
        return call(np.sort, sizes)[..., ::-1]
    values, vectors = eigh(array)
    signs = ufunc(np.copysign, 1.0, values)
    order = call(np.argsort, ufunc(np.absolute, values))[..., ::-1]
    signs = call(np.take_along_axis, signs, order, axis=-1)
    values = call(np.take_along_axis, ufunc(np.absolute, values), order, axis=-1)
    left = call(np.take_along_axis, vectors, call(np.expand_dims, order, -2), axis=-1)
    right = ufunc(np.multiply, left, call(np.expand_dims, signs, -2))
    return named_result(np.linalg.svd)(left, values, ufunc(np.conjugate, call(np.swapaxes, right, -2, -1)))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """``np.linalg.svdvals``."""
    return svd(x, compute_uv=False)


# ------------------------------------------------------------------------------------------------------------- QR

_QR = "Incorrect argument found while performing QR factorization"


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """``np.linalg.qr``."""
    array = as_array(a)
    if mode not in ("reduced", "complete", "r", "raw"):
        return left_to_numpy(np.linalg.qr, array, mode)
    matrices = Matrices(np.linalg.qr, [array])
    if mode == "reduced":
        return _reduced_qr(matrices)
    rows, columns = matrices.sizes()
    is_taller = mode == "complete" and current_trace().sizes.decide(rows - columns - 1, ">= 0")
    shorter = columns if is_taller else minimum(rows, columns)
    packed, scales = apply_loop("qr_r_raw", *matrices.operands, sizes=(shorter,), error=_QR)
    factors = new_array(cast(packed, matrices.dtype), order=kept_order(array))
    if mode == "raw":
        return call(np.swapaxes, factors, -1, -2), matrices.result(scales, 1)
    wanted: DimLike = shorter
    if is_taller:
        wanted = rows
        (q,) = apply_loop("qr_complete", packed, scales, error=_QR)
    elif mode == "complete":
        (q,) = apply_loop("qr_reduced", packed, scales, error=_QR)
    upper = call(np.triu, factors[..., : python_size(wanted), :])
    return upper if mode == "r" else named_result(np.linalg.qr)(matrices.result(q, 2), upper)


def _reduced_qr(matrices: Matrices) -> Any:
    """The reduced decomposition, which has derivatives."""
    (a,) = matrices.operands
    trace = current_trace()
    regions = (qr_factors(a), qr_tangents(a))
    q, r = trace.builder.emit(PRIMITIVES["custom_jvp"], (a,), {}, regions, user_location())
    upper = new_array(cast(r, matrices.dtype), order=kept_order(matrices.arrays[0]))
    return named_result(np.linalg.qr)(matrices.result(q, 2), call(np.triu, upper))  # which chooses the order of axes
