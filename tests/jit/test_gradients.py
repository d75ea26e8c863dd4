"""Derivatives of NumPy's functions, against finite differences; and what has none says so.

The names in the expressions: x a positive matrix, v a positive vector, p a positive definite matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.jit.namespace_table import split
from tests.trace.harness import function_of
from tracejit.testing import check_grads

DIFFERENTIABLE = {
    "sorting": """
np.percentile(v, 30) | np.quantile(x, 0.3, axis=1)
np.sort(v) | np.sort(x, axis=0) | np.sort(x, axis=None) | np.median(v) | np.median(x, axis=0)
np.sum(np.bincount([0, 1, 1, 0], weights=v) ** 2) | np.sum(np.unique(v) ** 2)
""",
    "products": """
np.linalg.norm(x) | np.linalg.norm(v, 3) | np.linalg.norm(x, 1) | np.linalg.norm(x, np.inf) | np.linalg.norm(v, 1)
np.linalg.matrix_power(p, 3) | np.linalg.multi_dot([x, x.T, x]) | np.linalg.cross(x[:, :3], x[:, 1:])
np.linalg.trace(p) | np.einsum('ij,kj->ik', x, x) | np.einsum('ij,ij->', x, x) | np.einsum('ii->i', p)
np.einsum('i,ij,j', x[:, 0], x, v) | np.tensordot(x, x, 2) | np.kron(v, v) | np.outer(v, v) | np.inner(x, x)
np.vdot(x, x) | np.dot(x, v) | np.vecdot(x, x) | np.convolve(v, v) | np.correlate(v, v[:2])
np.trapezoid(v, np.cumsum(v)) | np.subtract.outer(v, v)
""",
    "systems": """
np.linalg.solve(p, x) | np.linalg.solve(p, x[:, 0]) | np.linalg.solve(np.stack([p, p + x[:, :3]]), x)
np.linalg.solve(p + 1j * x[:, :3], x) | np.linalg.solve(np.stack([p, p * 2]), v[:3]) | np.linalg.inv(p)
np.linalg.inv(np.stack([p, p.T * v[:3]])) | np.linalg.inv(p + 1j * x[:, :3]) | np.linalg.matrix_power(p, -2)
np.linalg.det(p) | np.linalg.det(np.stack([p, p * 2])) | np.linalg.det(p + 1j * x[:, :3]) | np.linalg.slogdet(p)[1]
np.linalg.slogdet(p + 1j * x[:, :3])[0] | np.linalg.slogdet(p + 1j * x[:, :3])[1] | np.linalg.tensorsolve(p, x[:, 0])
np.linalg.lstsq(x.T, v, rcond=None)[0] | np.linalg.lstsq(x, x[:, 0])[0] | np.linalg.lstsq(x.T, v)[3]
np.linalg.lstsq(x.T * (1 + 1j), v)[0] | np.polyfit(np.arange(4.), v, 1)
""",
    "decompositions": """
np.linalg.cholesky(p) | np.linalg.cholesky(p, upper=True) | np.linalg.cholesky(np.stack([p, p @ p.T]))
np.linalg.cholesky(p + 1j * np.diag(v[:2], 1)) | np.linalg.eigh(p)[0] | np.linalg.eigh(p, UPLO='U')[1] ** 2
np.linalg.eigvalsh(p + x[:, :3]) | np.linalg.eigvalsh(p + 1j * x[:, :3]) | abs(np.linalg.eigh(p + 1j * x[:, :3])[1])
np.linalg.eigh(np.stack([p, p @ p]))[0] | np.linalg.svd(x, compute_uv=False) | np.linalg.svdvals(x.T)
np.linalg.svd(x, full_matrices=False)[0] ** 2 | np.linalg.svd(x.T, full_matrices=False)[0] ** 2
np.linalg.svd(x, full_matrices=False)[2] ** 2 | np.linalg.svd(p * v[:3])[2] ** 2
abs(np.linalg.svd(p + 1j * x[:, :3])[0])
np.linalg.svd(p + 1j * x[:, :3])[0][:, :1] @ np.linalg.svd(p + 1j * x[:, :3])[2][:1]
np.linalg.svd(x.T + 1j * x.T ** 2, full_matrices=False)[1] | np.linalg.norm(x, 'nuc') | np.linalg.norm(x, 2)
np.linalg.qr(p)[1] | np.linalg.qr(p)[0] | np.linalg.qr(x)[0] | np.linalg.qr(x)[1] | np.linalg.qr(x.T)[0]
np.linalg.qr(x.T)[1] | np.linalg.qr(x.T * (1 + 1j) + 1j)[0] | np.linalg.qr(np.stack([p, p.T * v[:3]]) + 1j)[1]
np.linalg.pinv(x) | np.linalg.pinv(x.T) | np.linalg.pinv(x * (1 + 1j)) | np.linalg.cond(p) | np.linalg.norm(x, -2)
""",
    "transforms": """
np.fft.fft(v) | np.fft.fft(v, 3) | np.fft.fft(v, 7, norm='ortho') | np.fft.ifft(v) | np.fft.fft(x + 1j * x ** 2, axis=0)
np.fft.fft(v + 1j * v ** 2, 2) | np.fft.rfft(x) | np.fft.rfft(x, 3) | np.fft.rfft(x, 7) | np.fft.rfft(x, 8, axis=0)
np.fft.irfft(x + 1j * x ** 2) | np.fft.irfft(v + 1j * v ** 2, 5) | np.fft.irfft(v * 1j, 2) | np.fft.irfft(v + 0j, 3)
np.fft.irfft(v + 1j * v ** 2, 9, norm='ortho') | np.fft.hfft(v + 1j * v ** 2) | np.fft.ihfft(v) | np.fft.fft2(x)
np.fft.irfft2(x + 1j * x ** 2) | np.fft.rfftn(x) | abs(np.fft.rfft(x)) | np.fft.irfft(np.fft.rfft(v) * 2)
np.fft.fftn(x, axes=(0,)).imag
""",
    "shapes": """
np.fft.fftshift(v) | np.take(v, np.argsort(v)) | np.take_along_axis(x, np.argsort(x, 1), 1)
np.where(x > 1, x * x, 1 / x) | np.select([x > 1.5, x > 1], [x, x ** 2], 3.0)
np.piecewise(v, [v > 1, v <= 1], [lambda t: t * t, lambda t: np.sqrt(t)])
np.choose([0, 1, 0], [x[:, 0], x[:, 1] ** 2]) | np.clip(x, 0.7, 1.2) | np.compress([1, 0, 1], x, 0)
np.extract([1, 0, 1, 1], v) | np.pad(x, 1, 'edge') | np.pad(x, 2, 'reflect') | np.pad(x, 1, 'mean')
np.repeat(v, [1, 0, 2, 3]) | np.tile(x, (2, 1)) | np.roll(x, 1) | np.rot90(x) | np.insert(v, 1, v[0])
np.delete(v, 1) | np.block([[x], [x]]) | np.triu(p) | np.diag(v) | np.linspace(v, 2 * v, 3) | np.logspace(0, v[0], 3)
np.apply_along_axis(np.sum, 0, x) | np.flip(v) | np.cross(x[:, :3], x[:, 1:])
""",
    "reductions": """
np.interp(v, [0., .7, 1.3, 3], [1., 3, 2, 5]) | np.interp(1.1, np.cumsum(v), v)
np.interp(v, [0., .7, 1.3, 3], v * 2) | np.cumprod(v) | np.cumprod(x, axis=1) | np.cumsum(x, 0) | np.prod(x)
np.prod(x, axis=0) | np.prod(v * np.array([0, 1., 2, 3])) | np.prod(v * np.array([0, 1., 0, 3]))
np.cumprod(v * np.array([1, 0, 2., 3])) | np.ptp(v) | np.max(x, 0) | np.min(x) | np.argsort(v) * v | np.std(x)
np.var(x, 0) | np.average(x, 0, weights=x) | np.cov(x) | np.corrcoef(x) | np.nan_to_num(x) | np.maximum(x, 1)
np.nansum(x) | np.nanmean(x, 0) | np.nanmax(x, 0) | np.nanstd(x) | np.maximum.accumulate(v) | np.multiply.reduce(v)
np.add.reduceat(v, [0, 2]) | np.minimum.reduce(x) | np.logaddexp.reduce(v) | np.add.accumulate(x)
np.lexsort((v, v)) * v | np.searchsorted(v, 1.0) * v | np.digitize(v, [1.]) * v | np.multiply.accumulate(v)
""",
    "functions": """
np.gradient(v) | np.diff(v, 2) | np.polyval(v, 1.3) | np.unwrap(v) | np.vander(v, 3) | np.sinc(v) | np.i0(v)
np.hypot(v, 2 * v) | np.arctan2(v, 1 + v) | np.logaddexp(v, 2 * v) | np.logaddexp2(v, 2 * v) | np.exp2(v) | np.cbrt(v)
np.float_power(v, 1.5) | np.power(v, v) | np.mod(5 * v, 1.3) | np.fmod(5 * v, 1.3) | np.divmod(5 * v, 1.3)[1]
np.copysign(v, -1) | np.fabs(-v) | np.sign(v) * v | np.heaviside(v, 0.5) * v | np.ldexp(v, 2) | np.frexp(v)[0]
np.modf(v)[0] | np.angle(v + 1j * v ** 2) | abs(v + 1j * v ** 2) | np.tan(v + 1j * v).real
np.arcsin(v + 1j * v).imag | np.arctanh(v * 1j + v).real | np.log1p(v + 1j * v).real | np.rint(v) * v
""",
}

# Called through NumPy, without a derivative: an entry that gets one belongs above.
REFUSED = """
np.linalg.eigvals(p).real | np.partition(v, 2) | np.roots(v).real | np.linalg.svd(x)[0] | np.linalg.eigvals(p + 0j).real
np.geomspace(v[0], 9, 3) | np.histogram2d(v, v, 2, weights=v)[0]
"""


def arguments() -> tuple[Any, ...]:
    random = np.random.default_rng(3)
    x, v, q = random.uniform(0.4, 2, (3, 4)), random.uniform(0.5, 2, 4), random.normal(size=(3, 3))
    return x, v, q @ q.T + 3 * np.eye(3)


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize("theme", DIFFERENTIABLE)
def test_derivatives(theme: str) -> None:
    wrong = []
    for entry in split(DIFFERENTIABLE[theme]):
        try:
            check_grads(function_of(entry, "x, v, p"), arguments())
        except Exception as error:
            wrong.append(f"{entry}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
def test_what_has_no_derivative_says_so() -> None:
    for entry in split(REFUSED):
        function = function_of(f"r = {entry}; return np.sum(abs(np.asarray(r)))", "x, v, p")
        with pytest.raises(tj.UnsupportedError, match="cannot be differentiated"):
            tj.grad(function, argnums=(0, 1, 2))(*arguments())
