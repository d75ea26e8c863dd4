"""NumPy's functions, methods and attributes, one line each, on several dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trace.harness import check, function_of

_random = np.random.default_rng(3)
FLOATS = _random.standard_normal((4, 3))
SAMPLES: dict[str, Any] = {
    "float64": FLOATS,
    "float32": FLOATS.astype(np.float32),
    "int64": _random.integers(-5, 5, (4, 3)),
    "uint8": np.arange(12, dtype=np.uint8).reshape(4, 3),
    "bool": FLOATS > 0,
    "complex128": FLOATS + 1j * FLOATS[::-1],
    "cube": _random.standard_normal((2, 3, 4)),
}

REDUCTIONS = [
    "np.sum(x, axis={})", "x.prod(axis={})", "np.mean(x, axis={}, keepdims=True)", "x.std(axis={})",
    "x.var(axis={}, ddof=1, keepdims=True)", "np.any(x, axis={})", "np.all(x, axis={}, keepdims=True)",
    "np.sum(x, axis={}, dtype=np.float32, initial=3, where=x != 0)", "np.mean(x, axis={}, where=x != 0)",
    "np.count_nonzero(x, axis={})", "np.prod(x, axis={}, where=x != 0)", "np.add.reduce(x, axis={})",
    "np.nansum(x, axis={})",
]  # fmt: skip
ORDERED = [
    "np.max(x, axis={})", "np.min(x, axis={}, keepdims=True)", "np.max(x, axis={}, initial=2, where=x > 1)",
    "np.ptp(x, axis={})", "np.minimum.reduce(x, axis={})", "np.amax(x, {})", "np.nanmin(x, axis={})",
]  # fmt: skip
ALONG = ["np.cumsum(x, axis={})", "x.cumprod(axis={})", "np.add.accumulate(x, axis={})"]
POSITIONS = ["x.argmax(axis={})", "np.argmin(x, axis={}, keepdims=True)"]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("axis", ["None", "0", "-1", "(0, 1)", "1", "()"])
def test_reductions(name: str, axis: str) -> None:
    x = SAMPLES[name]
    bodies = list(REDUCTIONS)
    if x.dtype.kind != "c":
        bodies += ORDERED if x.dtype.kind != "b" else ORDERED[:2]
    if "(" not in axis and axis != "None":
        bodies += ALONG
    if "(" not in axis and x.dtype.kind != "c":
        bodies += POSITIONS
    for body in bodies:
        check(function_of(body.format(axis), "x"), x)


REARRANGING = """
x.reshape(-1) | x.reshape(3, 4) | x.reshape((2, -1)) | x.reshape(5, -1) | x.reshape(7) | x.ravel() | x.flatten()
x.T | x.mT | x.transpose(1, 0) | np.transpose(x, (1, 0)) | np.transpose(x, (0, 0)) | np.transpose(x, (0,))
x.swapaxes(0, 1) | np.moveaxis(x, 0, -1) | np.rollaxis(x, 1) | np.squeeze(x[None]) | x.squeeze()
np.squeeze(x, 0) | np.expand_dims(x, (0, 2)) | np.matrix_transpose(x) | np.concatenate([x, x], axis=1)
np.concatenate([x, x[:1]]) | np.concatenate([x, x[:, :1]]) | np.concatenate([x, x], axis=None)
np.concatenate([x, np.zeros((4, 1))], axis=1) | np.concatenate([x], axis=2) | np.stack([x, x], -1)
np.stack([x, x[0]]) | np.vstack([x, x[0]]) | np.hstack([x, x]) | np.hstack([x[0], x[1]]) | np.dstack([x, x])
np.column_stack([x[0], x[1]]) | np.split(x, 2) | np.split(x, 3) | np.array_split(x, 3) | np.split(x, [1, 3])
np.split(x, [1, 7]) | np.hsplit(x, 3) | np.vsplit(x, 2) | np.broadcast_to(x, (2, 4, 3))
np.broadcast_to(x, (4, 4)) | np.broadcast_arrays(x, x[0]) | np.atleast_1d(x) | np.atleast_2d(x[0])
np.atleast_3d(x) | np.atleast_3d(x[0]) | np.tile(x, 2) | np.tile(x, (2, 1)) | np.tile(x, (2, 2, 2))
np.repeat(x, 2) | np.repeat(x, 3, axis=1) | x.repeat([1, 2, 3], axis=1) | np.flip(x) | np.flip(x, 0)
np.fliplr(x) | np.flipud(x) | np.roll(x, 1) | np.roll(x, -2, axis=0) | np.roll(x, 17)
np.roll(x, np.argmax(x[0])) | np.roll(x, -np.argmax(x), axis=1) | np.roll(x, (int(x[0, 0]), 1), axis=(0, 1))
np.roll(x, (1, 2), axis=(0, 1)) | np.rot90(x) | np.rot90(x, 2) | np.rot90(x, 3) | np.tril(x) | np.triu(x, 1)
np.diag(x) | np.diag(x[0], 1) | np.diag(x[0], -2) | np.diagonal(x, 1) | np.diagflat(x[:2]) | np.trace(x)
x.trace(offset=-1) | np.block([[x, x], [x, x]]) | np.append(x, x) | np.append(x, x, axis=0) | np.pad(x, 1)
np.pad(x, ((1, 2), (0, 1)), mode="edge") | np.pad(x, 1, mode="wrap") | np.pad(x, 1, mode="reflect")
np.pad(x, 2, mode="symmetric") | np.pad(x, (1, 2), constant_values=7) | np.reshape(x, (3, 4), order="F") | x.ravel("F")
np.take(x, [0, 2], axis=1) | x.take([1, 1]) | np.take(x, 1) | np.shape(x) | np.ndim(x) | np.size(x, 1)
np.take_along_axis(x, np.argmin(x, axis=1)[:, None], axis=1) | np.swapaxes(x, 0, 5) | x.flat[3] | list(x.flat)
"""

NUMERIC = """
np.diff(x) | np.diff(x, 2, axis=0) | np.diff(x, axis=0, prepend=0) | np.linalg.norm(x)
np.linalg.norm(x, axis=1) | np.linalg.norm(x, axis=0, keepdims=True) | np.linalg.norm(x, 1, axis=1)
np.linalg.norm(x, np.inf, axis=1) | np.linalg.norm(x, 1) | np.linalg.norm(x, 3, axis=0) | np.linalg.norm(x[0])
np.average(x) | np.average(x, axis=1, weights=x[0]) | np.average(x, weights=np.abs(x) + 1)
np.nanmax(x, axis=0) | np.nanmean(x, axis=0) | np.nanstd(x) | np.trapezoid(x) | np.trapezoid(x, x[0], axis=1)
np.where(x > 0, x, 0) | np.where(x > 0, x, -x) | np.where(x > 0, 1, 0) | np.where(x > 0, x[0], 2)
np.where(x > 0, x[:2], 0) | np.clip(x, -1, 1) | x.clip(0) | x.clip(max=1) | np.clip(x, None, 0.5)
x.clip(x[0], 2) | x.astype(int) | x.astype(np.float32) | x.astype(bool) | x.astype(np.float32, casting="safe")
x.copy() | x.astype("f4", copy=False) | np.select([x > 1, x > 0], [x, 2 * x], -1) | np.isclose(x, x + 1e-9)
np.allclose(x, x) | np.array_equal(x, x) | np.array_equal(x, x[0]) | np.nan_to_num(x / (x * 0))
np.angle(x * 1j) | np.round(x, 2) | np.round(x) | x.round(1) | np.sinc(x) | np.real(x) | np.imag(x) | x.real
x.imag | (x * 1j).imag | (x * 1j).conj() | x.conj() | np.fix(x) | np.isposinf(x) | x.sum() ** 2 | 2.0**x | x**2
x**3 | x**2.0 | x**1 | x**-1 | x**0.5 | -x | +x | divmod(x, 3) | x // 2 | x % 3 | 3 // (x + 10) | x / 3 | 1 / x
x == x | x != 0 | x == None | (x > 0) & (x < 1) | ~(x > 0) | 1j * x | x @ x.T | np.add.outer(x[0], x[1])
np.multiply.accumulate(x, axis=1) | np.logical_and.reduce(x > 0) | np.max(x) - x.min() | np.iscomplexobj(x)
np.isscalar(x[0, 0]) | np.choose(np.array([0, 1, 0]), [x[0], x[1]]) | x.any() | x.max(axis=5)
np.sum(x, axis=(0, 0)) | x.mean(dtype=np.float32)
"""

MAKING = """
np.zeros(3) + x[0] | np.zeros(x.shape) | np.ones(x.shape[0], dtype=int) | np.full((2, 3), x[0, 0])
np.full(x.shape, 7) | np.empty_like(x).shape | np.zeros_like(x) | np.ones_like(x, dtype=np.float32)
np.full_like(x, 2.5) | np.full(3, x[0]) | np.eye(3) | np.eye(x.shape[0], x.shape[1], 1)
np.identity(x.shape[1]) | np.arange(5) | np.arange(x.shape[0]) | np.arange(1, x.size, 2) | np.arange(0, 1, 0.1)
np.arange(x.shape[0], 0, -1) | np.arange(x.shape[0], dtype=float) | np.arange(1000) * 1.0
np.arange(0, 1000, 0.5) | np.arange(5, 2) | np.linspace(0, 1, 5) | np.linspace(x[0, 0], x[1, 1], 7)
np.linspace(0, 1, x.shape[0]) | np.linspace(x[0], x[1], 4) | np.linspace(0, 1, 4, endpoint=False, retstep=True)
np.linspace(0, 10, x.shape[0], dtype=int) | np.linspace(0, 1, 1) | np.linspace(x[0], x[1], 4, axis=1)
np.logspace(0, 2, 4) | np.array([x[0, 0], 1.0]) | np.array([[x[0, 0], 2], [3, x[1, 1]]])
np.asarray([x[0], x[1]]) | np.array([x[0], x[1, :2]]) | np.array(x) | np.array(x, ndmin=3)
np.array([1, 2, 3]) * x | np.array([1, 2.5]) | np.array(5) | np.meshgrid(x[0], x[:, 0])
np.meshgrid(x[0], x[:, 0], indexing="ij", sparse=True) | np.indices((2, x.shape[1])) | np.tri(3, 4, 1)
np.copy(x) | np.fromfunction(lambda i, j: i + j, (3, x.shape[0])) | np.zeros((2, -1)) | np.zeros(2.5)
np.ones((2, 3), "int8") | x.item(0) | x[0, 0].item() | float(x[0, 0]) * 2 | int(x[0, 0]) + 1 | len(x) + 1
x.size | x.ndim | x.dtype | x.nbytes | x.itemsize | math.sin(x[0, 0]) | math.floor(x[0, 0])
min(x[0, 0], x[0, 1]) | sum(x[0]) | abs(x) | isinstance(x, np.ndarray) | isinstance(x[0, 0], np.floating)
[r * 2 for r in x] | {'a': x, 'b': (x[0], None)} | np.float32(x[0, 0]) | x[0, 0] > 0 | round(float(x[0, 0]), 1)
round(x[0, 0]) | float(x) | len(x[0, 0]) | "abc" | None | np.pi * x | all(x[0] > 0) | any(x[0] > 0)
"""

PRODUCTS: list[tuple[str, Any, Any]] = [
    ("x @ y", (4, 3), (3, 5)), ("x @ y", (4,), (4, 3)), ("x @ y", (4, 3), (3,)), ("x @ y", (3,), (3,)),
    ("x @ y", (4, 3), (4, 3)), ("x @ y", (2, 3, 4), (2, 4, 5)), ("x @ y", (2, 3, 4), (1, 4, 5)),
    ("x @ y", (7, 1, 3, 4), (2, 4, 5)), ("x @ y", (2, 3, 4), (4,)), ("x @ y[0, 0]", (2, 2), (2, 2)),
    ("np.dot(x, y)", (2, 3, 4), (5, 4, 2)), ("np.dot(x, y[0])", (3, 2), (2, 2)), ("x.dot(y)", (4,), (4,)),
    ("np.dot(x, 2.0)", (4,), (1,)), ("np.outer(x, y)", (4,), (2, 3)), ("np.inner(x, y)", (4, 3), (2, 5, 3)),
    ("np.tensordot(x, y, axes=([1], [0]))", (4, 3), (3, 5)), ("np.tensordot(x, y, 1)", (4, 3), (3, 5)),
    ("np.tensordot(x, y, 0)", (2,), (3,)), ("np.tensordot(x, y)", (4, 3), (4, 3)),
    ("np.tensordot(x, y, 1)", (4, 3), (4, 3)), ("np.kron(x, y)", (4, 3), (3, 5)), ("np.kron(x, y)", (4,), (2, 3)),
    ("np.vdot(x, y)", (4, 3), (12,)), ("np.vecdot(x, y)", (4, 3), (3,)),
    ("np.matmul(x, y, out=np.zeros((4, 5)))", (4, 3), (3, 5)),
]  # fmt: skip

EINSUMS: list[tuple[str, ...]] = [
    ("ij,jk->ik", "ij", "jk"), ("ij,jk", "ij", "jk"), ("ij->ji", "ij"), ("ij->", "ij"), ("ii->i", "ii"),
    ("ii", "ii"), ("i,i->i", "i", "i"), ("i,j->ij", "i", "j"), ("ij,j,i->", "ij", "j", "i"),
    ("bij,bjk->bik", "bij", "bjk"), ("...ij,...jk->...ik", "bij", "bjk"), ("ij,kj->ik", "ij", "kj"),
    ("ij,ij->i", "ij", "ij"), ("ji,jk->ki", "ji", "jk"), ("ijk,kl,lm->ijm", "ijk", "kl", "lm"), ("i,i", "i", "i"),
    ("ij,jk,ki->", "ij", "jk", "ki"), ("ij,j->ij", "ij", "j"), ("ij,kl->", "ij", "kl"), ("i...->...", "ijk"),
    ("iij->j", "iij"), ("ab,cd->dcba", "ab", "cd"), ("ij,ij->ji", "ij", "ij"), ("b...,...b->b...", "bi", "ib"),
]  # fmt: skip


def table(text: str) -> list[str]:
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split(" | ")]


@pytest.mark.parametrize("body", table(REARRANGING) + table(NUMERIC) + table(MAKING))
def test_expressions(body: str) -> None:
    check(function_of(body, "x"), SAMPLES["float64"])


@pytest.mark.parametrize("body", table(REARRANGING))
def test_rearranging_ints(body: str) -> None:
    check(function_of(body, "x"), SAMPLES["int64"])


@pytest.mark.parametrize(("body", "left", "right"), PRODUCTS)
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.complex128, np.bool_])
def test_products(body: str, left: Any, right: Any, dtype: Any) -> None:
    make = np.random.default_rng(5)
    x, y = ((make.integers(-3, 4, shape) * (1 + 2j)) for shape in (left, right))
    if dtype != np.complex128:
        x, y = x.real, y.real
    if dtype == np.bool_ and ("2.0" in body or "tensordot" in body or "out=" in body):
        pytest.skip("not of bools")
    if dtype == np.complex128 and "out=" in body:
        pytest.skip("complex into float")
    check(function_of(body), x.astype(dtype), y.astype(dtype))


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum(case: tuple[str, ...]) -> None:
    sizes = dict(zip("abcdijklm", (2, 3, 4, 5, 2, 3, 4, 5, 2), strict=True))
    make = np.random.default_rng(5)
    operands = [make.standard_normal([sizes[label] for label in labels]) for labels in case[1:]]
    names = ", ".join("xyz"[: len(operands)])
    check(function_of(f"np.einsum({case[0]!r}, {names})", names), *operands)


def test_einsum_other_forms() -> None:
    x, y = np.ones((2, 3)), np.ones((3, 4))
    check(function_of("np.einsum(x, [0, 1], y, [1, 2], [0, 2])"), x, y)
    check(function_of("np.einsum('ij,jk->ik', x, y)"), x, np.ones((1, 4)))
    check(function_of("np.einsum('ij,jk->ik', x, y)"), x, np.ones((2, 4)), text=False)
    check(function_of("np.einsum('ij,jk->iz', x, y)"), x, y)


FROM_SOURCE = """
np.gradient(x) | np.gradient(x, axis=0) | np.gradient(x, 0.5, axis=1) | np.gradient(x, 2, 3) | np.gradient(x[:, 0])
np.cross(x, x[::-1]) | np.cross(x[0], x[1]) | np.polyval(x[0], x)
np.vander(x[0]) | np.vander(x[0], 5, increasing=True)
np.cov(x) | np.cov(x, rowvar=False, bias=True) | np.corrcoef(x) | np.unwrap(x * 5) | np.geomspace(1, 10, 5)
np.polyadd(x[0], x[1]) | np.polysub(x[0], x[1]) | np.resize(x, (2, 2)) | np.apply_over_axes(np.sum, x, [0])
x[np.ix_([0, 1], [1, 2])] | np.real_if_close(x) | x[:3][np.tril_indices(3)] | np.linalg.multi_dot([x, x.T, x])
np.linalg.vector_norm(x) | np.linalg.matrix_norm(x) | np.linalg.outer(x[0], x[1]) | np.linalg.matrix_power(x[:3], 3)
np.linalg.matmul(x, x.T) | np.result_type(x, 1) | np.broadcast(x, x[0]).shape | np.mgrid[0:3, 0:2] * x[0, 0]
x[np.s_[1:, 0]] | np.ogrid[0:3, 0:2][0] * x[0, 0] | np.linalg.tensordot(x, x.T, axes=1)
"""


@pytest.mark.parametrize("body", table(FROM_SOURCE))
def test_functions_traced_from_numpys_source(body: str) -> None:
    check(function_of(body, "x"), SAMPLES["float64"])
    check(function_of(body, "x"), SAMPLES["float32"])


def test_empty_reductions() -> None:
    for body in (
        "x.max()",
        "x.max(axis=1)",
        "x.argmax()",
        "x.sum()",
        "x.mean()",
        "x.min(axis=0)",
        "x.prod()",
        "x.any()",
    ):
        check(function_of(body, "x"), np.zeros((0, 3)))
        check(function_of(body, "x"), np.zeros((3, 0)))
