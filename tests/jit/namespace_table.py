"""What of NumPy's namespaces is compared with NumPy: expressions by theme, and the arguments that they are given.

An entry is a Python expression, or statements separated by `;`. Its names are the samples of :func:`samples`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NAMES", "REFUSED", "THEMES", "entries", "samples", "split"]

NAMES = "x, w, v, s, e, o, c, i, m"


def samples(dtype: str) -> tuple[Any, ...]:
    """Matrices x and w, a vector v, a 0-d array s, no elements e, one element o, a cube c, indices i, a mask m."""
    random = np.random.default_rng(7)

    def make(*shape: int) -> Any:
        kind = np.dtype(dtype).kind
        if kind in "?b":
            return random.integers(0, 2, shape).astype(dtype)
        low = 0 if kind == "u" else -4
        values = random.integers(low, 9, shape)
        if kind in "iu":
            return values.astype(dtype)
        values = values + random.integers(0, 8, shape) / 8
        return (values + 1j * random.integers(-3, 4, shape) if kind == "c" else values).astype(dtype)

    return (
        make(4, 3), make(4, 3), make(5), make(), make(0, 3), make(1), make(2, 3, 4),
        np.array([2, 0, 1, -1]), np.array([[True, False, True]] * 2 + [[False, True, True]] * 2),
    )  # fmt: skip


def entries(theme: str) -> list[str]:
    """The expressions of a theme."""
    return split(THEMES[theme])


def split(text: str) -> list[str]:
    """The expressions of one text."""
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split(" | ")]


THEMES = {
    "sums": """
np.sum(x) | np.sum(x, 0) | np.sum(c, (0, 2)) | np.sum(x, axis=1, keepdims=True) | np.sum(x, initial=3)
np.sum(x, where=m) | np.sum(x, 0, initial=2, where=m) | np.sum(s) | np.sum(e) | np.sum(e, 0) | np.sum(e, 1)
np.sum(o, keepdims=True) | np.sum(x, dtype="f4") | np.sum(x, dtype="i2") | np.sum(x, 2) | np.sum(x, (0, 0))
r = np.zeros(3); np.sum(x, 0, out=r); return r | np.sum(x, 0, out=np.zeros(2)) | x.sum(0, "f8") | x.sum(-1)
np.prod(x) | np.prod(x, 0) | np.prod(c, (0, 2)) | np.prod(v, keepdims=True) | np.prod(x, where=m, axis=1) | np.prod(e)
np.prod(e, 0) | np.prod(s) | np.prod(v, initial=2) | np.prod(v, dtype="f8") | np.cumsum(x) | np.cumsum(x, 0)
np.cumsum(x, axis=-1) | np.cumsum(e, 0) | np.cumsum(s) | np.cumsum(x, dtype="f4") | np.cumprod(v) | np.cumprod(x, 1)
np.cumprod(e) | np.cumprod(o) | x.cumsum(0) | x.cumprod(1) | r = np.zeros((4, 3)); np.cumsum(x, 0, out=r); return r
np.cumsum(x, 2) | np.nancumsum(x, 0) | np.nancumprod(v) | np.cumulative_sum(v)
np.cumulative_sum(v, include_initial=True) | np.cumulative_sum(x, axis=0) | np.cumulative_sum(x)
np.cumulative_prod(v) | np.cumulative_prod(x, axis=1, include_initial=True)
np.cumulative_sum(x, axis=1, include_initial=True, dtype="f8") | np.count_nonzero(x) | np.count_nonzero(x, axis=0)
np.count_nonzero(x, axis=1, keepdims=True) | np.any(x) | np.any(x, 0) | np.any(e) | np.any(e, 1) | np.all(x)
np.all(x, 1, keepdims=True) | np.all(e) | np.all(s) | np.any(x, where=m) | np.all(x, 0, where=m) | np.trace(x)
np.trace(c) | np.trace(x, 1) | np.trace(c, 0, 1, 2) | np.trace(x, dtype="f8") | np.trace(v) | np.linalg.trace(c)
np.nansum(x) | np.nansum(x, 1) | np.nanprod(v) | np.nansum(e, 0) | np.nansum(x, 0, keepdims=True, initial=1)
""",
    "extremes": """
np.max(x) | np.max(x, 0) | np.max(c, (0, 1)) | np.min(x, axis=1, keepdims=True) | np.min(s) | np.max(e) | np.max(e, 0)
np.max(e, 1) | np.min(x, initial=3) | np.max(x, where=m) | np.max(x, where=m, initial=1) | np.min(o) | np.amax(x, 0)
np.amin(x, 1) | x.max(0) | x.min() | np.ptp(x) | np.ptp(x, 0) | np.ptp(x, axis=1, keepdims=True) | np.ptp(e)
np.argmax(x) | np.argmax(x, 0) | np.argmin(x, axis=1, keepdims=True) | np.argmin(s) | np.argmax(e) | np.argmin(e, 0)
x.argmax(1) | x.argmin() | np.argmax(c, axis=-1) | np.argmax(x, 2) | np.nanmax(x) | np.nanmin(x, 0) | np.nanmax(x, 1)
np.nanargmax(x) | np.nanargmin(x, 0) | np.nanargmax(x, axis=1, keepdims=True) | np.nanmin(e) | np.nanargmin(e)
r = np.zeros(3, x.dtype); np.max(x, 0, out=r); return r | np.max(x, 0, np.zeros(3)) | np.clip(x, 1, 3)
np.clip(x, 2, 1) | np.clip(x, None, 2) | np.clip(x, 1, None) | np.clip(x, w, 5) | np.clip(x, v[:3], None)
x.clip(1, 2) | x.clip(max=3) | np.clip(x, min=1, max=2) | np.clip(x, 0.5, 1.5) | np.clip(x, 0, 300) | np.clip(x)
np.clip(x, -1, 1) | r = x.copy(); np.clip(r, 1, 2, out=r); return r | np.clip(x, 1, 2, dtype="f8") | np.clip(s, 0, 1)
np.clip(e, 0, 1)
""",
    "statistics": """
np.mean(x) | np.mean(x, 0) | np.mean(c, (0, 2)) | np.mean(x, axis=1, keepdims=True) | np.mean(s)
np.mean(x, dtype="f4") | np.mean(x, where=m) | np.mean(x, 0, where=m) | x.mean(1) | np.var(x) | np.var(x, 0)
np.var(x, axis=1, ddof=1) | np.var(x, 1, keepdims=True) | np.std(x) | np.std(c, (0, 1)) | np.std(x, 0, ddof=1)
x.var(0) | x.std() | np.std(s) | np.var(x, where=m) | np.std(x, 0, where=m) | np.var(x, mean=np.mean(x))
np.var(x, correction=1) | np.mean(x, dtype="i4") | np.nanmean(x) | np.nanmean(x, 0) | np.nanvar(x, 1) | np.nanstd(x)
np.nanstd(x, 0, ddof=1, keepdims=True) | np.average(x) | np.average(x, 0) | np.average(x, 0, np.arange(4))
np.average(x, weights=np.ones((4, 3))) | np.average(x, axis=1, weights=np.ones(3), returned=True)
np.average(x, returned=True) | np.average(x, 1, keepdims=True) | np.average(x, weights=np.ones(3))
np.average(c, (0, 1), np.ones((2, 3))) | np.average(x, 0, np.ones(3)) | np.cov(x) | np.cov(v)
np.cov(x, rowvar=False) | np.cov(x, w) | np.cov(x, bias=True) | np.cov(x, ddof=0) | np.corrcoef(x + np.eye(4, 3))
np.cov(s) | np.corrcoef(x + np.eye(4, 3), rowvar=False) | np.cov(x, dtype="f8") | np.digitize(v, [0, 1, 5])
np.digitize(v, [5, 1, 0]) | np.digitize(x, np.array([0, 1, 5]), right=True) | np.searchsorted(np.cumsum(np.abs(v)), 3)
np.interp(v, [0, 1, 5], [3, 4, 8]) | np.interp(v, np.arange(3.0), np.array([1.0, 2, 0]), left=-1, right=7)
np.interp(2.5, np.arange(4), v[:4].real) | np.interp(x, np.arange(3.0), np.array([1.0, 2, 0]))
""",
    "differences": """
np.diff(x) | np.diff(x, axis=0) | np.diff(v, 2) | np.diff(v, 0) | np.diff(x, prepend=0) | np.diff(x, append=w, axis=0)
np.diff(s) | np.diff(v, -1) | np.diff(e, axis=0) | np.diff(o) | np.ediff1d(v) | np.ediff1d(x)
np.ediff1d(v, to_end=v[:2]) | np.ediff1d(v, to_begin=v[0], to_end=v[:2]) | np.ediff1d(o) | np.gradient(v)
np.gradient(x) | np.gradient(x, axis=0) | np.gradient(v, 2) | np.gradient(x, 2, 3) | np.gradient(v, edge_order=2)
np.gradient(c, axis=(0, 2)) | np.gradient(o) | np.trapezoid(v) | np.trapezoid(x, axis=0) | np.trapezoid(x, dx=2)
np.trapezoid(v, np.arange(5)) | np.trapezoid(x, w, axis=0) | np.trapezoid(x, np.array([0, 2, 3]))
np.convolve(v, v[:3]) | np.convolve(v[:2], v) | np.convolve(v, [1, 2, 1], "same") | np.convolve(v, v[:2], "valid")
np.convolve(v, []) | np.convolve(v, v[:4], mode="same") | np.convolve(v, x) | np.convolve(v, s)
np.correlate(v, v[:3]) | np.correlate(v, v[:3], "full") | np.correlate(v[:2], v, "same") | np.correlate(v[:2], v)
np.correlate(v, v[:2], "same") | np.correlate(v, [1, 2, 3, 4], "same") | np.unwrap(v) | np.unwrap(x, axis=0)
np.unwrap(v, period=4) | np.unwrap(v, discont=5) | np.cross(x, w) | np.cross(x[0], w) | np.cross(v[:3], v[1:4])
np.cross(c[:, :, 0], c[:, :, 1]) | np.cross(x.T[:, :3], w.T[:, :3], axis=0) | np.cross(v[:2], v[:2]) | np.cross(v, v)
np.linalg.cross(x, w) | np.linalg.cross(v[:2], v[:2])
""",
    "shapes": """
x.reshape(-1) | x.reshape(3, 4) | x.reshape((2, -1)) | x.reshape(5, -1) | x.reshape(7) | x.ravel() | x.flatten()
s.ravel() | np.reshape(x, (3, 4), order="F") | np.reshape(x, -1, "F") | np.reshape(x, (6, 2), copy=True)
x.reshape(12, order="A") | x.ravel("F") | x.ravel("K") | x.flatten("F") | x.T.ravel("A") | x.T.ravel("K")
x.T.flatten("A") | np.ravel(e) | e.reshape(-1) | e.reshape(0, 7) | e.reshape(-1, 3) | e.reshape(0, -1)
np.resize(x, (2, 3)) | np.resize(v, (3, 4)) | np.resize(e, 3) | np.resize(v, 7) | x.T | c.T | x.mT | c.mT | v.mT
np.transpose(c, (1, 0, 2)) | c.transpose(2, 0, 1) | c.transpose() | c.transpose((-1, 0, 1)) | np.transpose(x, (0, 0))
np.transpose(x, (0,)) | np.swapaxes(c, 0, 2) | np.moveaxis(c, 0, -1) | np.moveaxis(c, (0, 1), (2, 0))
np.moveaxis(c, [0, 1], [0]) | np.moveaxis(c, (0, 0), (0, 1)) | np.rollaxis(c, 2) | np.rollaxis(c, 1, 3)
np.rollaxis(c, 0, -1) | np.rollaxis(c, 0, 7) | np.permute_dims(c, (2, 0, 1)) | np.matrix_transpose(c)
np.squeeze(x[None]) | o.squeeze() | np.squeeze(o, 0) | np.squeeze(x, 1) | np.squeeze(x[:, :1], axis=(1,))
np.expand_dims(x, 0) | np.expand_dims(x, (0, -1)) | np.expand_dims(x, 5) | np.expand_dims(s, 0)
np.expand_dims(x, (0, 0)) | np.broadcast_to(x, (2, 4, 3)) | np.broadcast_to(o, (3,)) | np.broadcast_to(x, (4, 4))
np.broadcast_to(s, 3) | np.broadcast_arrays(x, v[:3]) | np.broadcast_arrays(x, v) | np.broadcast_arrays(s, x)
np.atleast_1d(s) | np.atleast_1d(s, x) | np.atleast_2d(v) | np.atleast_2d(s) | np.atleast_3d(s) | np.atleast_3d(v)
np.atleast_3d(x) | np.atleast_3d(c) | np.atleast_2d(v, x, c) | np.shape(x) | np.ndim(c) | np.size(x) | np.size(x, 0)
np.size(c, (0, 1)) | np.shape(s) | np.flip(x) | np.flip(x, 0) | np.flip(c, (0, 2)) | np.flip(s) | np.flip(x, 3)
np.fliplr(x) | np.flipud(x) | np.flipud(v) | np.fliplr(v) | np.roll(x, 1) | np.roll(x, -2, 0) | np.roll(x, 17)
np.roll(x, (1, 2), (0, 1)) | np.roll(x, 2, (0, 1)) | np.roll(x, (1, 1), 0) | np.roll(e, 1) | np.roll(s, 1)
np.roll(v, np.int64(2)) | np.roll(v, -13) | np.roll(x, 1, 5) | np.roll(v, np.array([1, 2]), axis=0) | np.roll(v, 0)
np.rot90(x) | np.rot90(x, 2) | np.rot90(x, -1) | np.rot90(c, 1, (1, 2)) | np.rot90(c, 3, (2, 0)) | np.rot90(v)
np.rot90(x, axes=(0, 0)) | np.rot90(x, axes=(0, 2)) | np.tril(x) | np.triu(x) | np.tril(x, 1) | np.triu(x, -1)
np.tril(c) | np.triu(v) | np.tril(x, -7) | np.triu(x, 9) | np.diag(x) | np.diag(v) | np.diag(v, 1) | np.diag(v, -2)
np.diag(x, 1) | np.diag(x, -2) | np.diag(c) | np.diag(x, 7) | np.diagonal(x) | np.diagonal(c)
np.diagonal(c, 1, 1, 2) | np.diagonal(c, -1, 0, 2) | x.diagonal(1) | np.diagonal(v) | np.diagonal(x, 0, 0, 0)
np.linalg.diagonal(c) | np.linalg.diagonal(c, offset=1) | np.diagflat(x) | np.diagflat(v, 1) | np.diagflat(s)
r = x.copy(); np.fill_diagonal(r, 7); return r | r = np.zeros((3, 3)); np.fill_diagonal(r, v[:3].real); return r
r = np.zeros((7, 2), x.dtype); np.fill_diagonal(r, 1, wrap=True); return r
r = np.zeros((2, 5)); np.fill_diagonal(r, 3); return r
r = np.zeros((2, 2, 2), x.dtype); np.fill_diagonal(r, 1); return r | r = c.copy(); np.fill_diagonal(r, 1); return r
r = v.copy(); np.fill_diagonal(r, 1); return r | np.vander(v) | np.vander(v, 3) | np.vander(v, increasing=True)
np.vander(x) | np.kron(x, v) | np.kron(x, w) | np.kron(s, x) | np.kron(c, x) | np.kron(v, v) | np.copy(x)
x.copy("F") | np.array(x, ndmin=4) | x[np.ix_([0, 2], [1, 2])] | np.asfortranarray(x) | np.ascontiguousarray(s)
np.require(x) | x.swapaxes(0, -1) | x.view() | x.nbytes | x.itemsize | x.size | c.ndim | x.dtype | x.shape | x.T.shape
len(x) | np.fft.fftshift(v) | np.fft.ifftshift(x) | np.fft.fftshift(x, axes=0) | np.unravel_index(i, (2, 2))
np.unravel_index(5, (2, 3)) | np.unravel_index(11, x.shape) | np.unravel_index(np.argmax(x), x.shape)
np.ravel_multi_index((i[:2], i[1:3]), (3, 4)) | np.ravel_multi_index((i, i), (4, 4), mode="wrap")
np.ravel_multi_index((1, 2), x.shape) | np.ravel_multi_index((i, i), (3, 3)) | np.unravel_index(99, (2, 3))
np.unravel_index(i, (2, 2), order="F") | np.ravel_multi_index((i, i), (4, 4), mode="clip", order="F")
""",
    "joining": """
np.concatenate([x, w]) | np.concatenate((x, w), axis=1) | np.concatenate([x, v], axis=None) | np.concatenate([x, v])
np.concatenate([]) | np.concatenate([x, w], axis=2) | np.concatenate([s, s]) | np.concatenate([x, w], dtype="f8")
np.concatenate([x, np.zeros((1, 3))]) | np.concatenate([x, w], dtype="i1", casting="unsafe") | np.concatenate(c)
np.concat([v, v]) | np.concatenate([e, x]) | r = np.zeros(10); np.concatenate([v.real, v.real], out=r); return r
np.stack([x, w]) | np.stack([x, w], 1) | np.stack([x, w], axis=-1) | np.stack([x, v]) | np.stack([])
np.stack([s, s]) | np.stack([x, w], axis=4) | np.stack(c) | np.vstack([x, w]) | np.vstack([v, v])
np.vstack([x, v[:3]]) | np.vstack([s, s]) | np.hstack([x, w]) | np.hstack([v, o]) | np.hstack([s, s])
np.hstack([x, w[:2]]) | np.vstack(c) | np.dstack([x, w]) | np.dstack([v, v]) | np.column_stack([v, v])
np.column_stack([x, w]) | np.column_stack([x[:, 0], w]) | np.hstack(c) | np.block([[x, w], [w, x]]) | np.block([v, v])
np.block([[x], [w]]) | np.block(x) | np.block([[v[:3]], [x]]) | np.block([[1, 2], [3, 4]]) | np.append(x, w)
np.append(x, w, 0) | np.append(x, v, axis=0) | np.append(v, 1) | np.append(v, [1, 2]) | np.append(s, v)
np.split(x, 2) | np.split(x, 3) | np.split(x, 3, axis=1) | np.split(x, [1, 3]) | np.split(v, [2, 9])
np.array_split(v, 3) | np.array_split(v, 7) | np.array_split(x, 2, axis=1) | np.hsplit(x, 3) | np.vsplit(x, [1])
np.dsplit(c, 2) | np.hsplit(v, 5) | np.vsplit(v, 2) | np.split(v, 0) | np.dsplit(x, 2) | np.hsplit(s, 2)
np.unstack(x) | np.unstack(x, axis=1) | np.unstack(s) | np.tile(x, 2) | np.tile(x, (2, 1)) | np.tile(v, (2, 2, 2))
np.tile(s, 3) | np.tile(e, 2) | np.tile(x, ()) | np.tile(x, 0) | np.repeat(x, 2) | np.repeat(x, 3, axis=1)
x.repeat(2, 0) | np.repeat(s, 3) | np.repeat(x, [1, 2, 0], axis=1) | np.repeat(v, np.arange(5)) | np.repeat(x, [1, 2])
np.repeat(x, -1) | np.repeat(x, 0) | np.repeat(v, [2]) | np.insert(v, 1, 7) | np.insert(x, 1, 7, axis=0)
np.insert(x, [0, 2], 5, axis=1) | np.insert(v, [1, 3], [7, 8]) | np.insert(x, 1, v[:3], axis=0)
np.insert(v, slice(1, 4), 3) | np.insert(v, -1, 2) | np.insert(v, 99, 1) | np.insert(x, 3, 1)
np.insert(x, [1], np.ones((4, 1)), axis=1) | np.delete(v, 1) | np.delete(x, 0, axis=0) | np.delete(x, [0, 2], axis=1)
np.delete(v, slice(1, 4)) | np.delete(v, -1) | np.delete(v, 9) | np.delete(v, [True, False, True, False, False])
np.delete(x, 3) | np.delete(v, [0, 0, 3]) | np.delete(v, []) | np.delete(c, 1, axis=-1) | np.pad(x, 1)
np.pad(x, (1, 2)) | np.pad(x, ((1, 2), (0, 1))) | np.pad(v, 2, constant_values=7)
np.pad(x, 1, constant_values=((1, 2), (3, 4))) | np.pad(x, 2, "edge") | np.pad(x, 1, mode="reflect")
np.pad(x, 1, "symmetric") | np.pad(x, 1, "wrap") | np.pad(v, 7, "reflect") | np.pad(v, 7, "wrap")
np.pad(v, (6, 13), "symmetric") | np.pad(x, 1, "maximum") | np.pad(x, 1, "minimum") | np.pad(x, 1, "mean")
np.pad(x, 2, "linear_ramp") | np.pad(x, 2, "linear_ramp", end_values=3) | np.pad(x, 1, "maximum", stat_length=2)
np.pad(v, 2, "mean", stat_length=(1, 3)) | np.pad(v, 1, "empty").shape | np.pad(x, -1) | np.pad(x, 1, "nothing")
np.pad(e, 1) | np.pad(x, 0) | np.pad(x, [(1, 1)], "edge") | np.pad(e, 1, "edge") | np.pad(v, 1.5) | np.pad(s, 1)
np.pad(o, 3, "reflect") | np.pad(x, {0: 1}) | np.pad(x, {-1: (1, 2)}, "edge")
np.pad(c, ((0, 0), (1, 1), (2, 0)), "wrap") | np.pad(v, 1, "edge", constant_values=3) | np.packbits(m)
np.packbits(m, axis=0) | np.packbits(m, axis=1, bitorder="little") | np.packbits(x)
np.unpackbits(np.arange(4, dtype="u1")) | np.unpackbits(np.packbits(m), count=12)
np.unpackbits(np.array([[1, 200]], "u1"), axis=1, count=5, bitorder="little") | np.unpackbits(x)
""",
    "choosing": """
np.where(m, x, w) | np.where(x > 1, x, 0) | np.where(m, 1, 2.5) | np.where(x, x, v[:3]) | np.where(m, x, v)
np.where(m, x) | np.where(s > 0, 1, 2) | np.select([x > 2, x > 1], [x, w]) | np.select([x > 2], [x], 7)
np.select([x > 1, x > 2], [1, 2.5], default=-1) | np.select([], []) | np.select([x > 2], [x, w])
np.select([m, ~m], [x, v[:3]], w) | np.select([x], [x]) | np.choose(i % 2, [v[:4], v[1:]])
np.choose([0, 1, 0, 1], [v[:4], 5]) | np.choose(i, [v[:4], v[1:], 1], mode="wrap")
np.choose(i, [v[:4], 7], mode="clip") | np.choose(i, [v[:4], 7]) | np.choose(m, [x, w]) | (i % 2).choose([v[:4], 7])
np.choose(m, c[:, :, 0]) | np.choose([0, 0], [v[:2], v[:2]], out=np.zeros(2)) | np.choose(1, [x, w])
np.choose(x, [1, 2]) | np.piecewise(x, [x > 1], [1, 2]) | np.piecewise(v, [v > 3, v > 1], [lambda t: t * 2, 5])
np.piecewise(v, [v > 1, v <= 1], [lambda t: 3 - t, lambda t: t]) | np.piecewise(v, [v > 1], [7])
np.piecewise(v, [v > 1], [1, 2, 3]) | np.piecewise(s, [s > 1], [1, 2]) | np.piecewise(v, v > 1, [1, 2])
np.take(x, 1) | np.take(x, i) | np.take(x, [0, 2], axis=1) | np.take(x, [[0, 1], [2, 0]], 0)
np.take(x, i + 9, mode="wrap") | np.take(x, i + 9, mode="clip") | np.take(x, 99) | np.take(x, -1, axis=0)
x.take([1, 1]) | x.take(i, 0, mode="clip") | np.take(x, 2, 0, mode="wrap") | np.take(e, [0]) | np.take(s, 0)
r = np.zeros(2, x.dtype); np.take(v, [0, 3], out=r); return r
np.take_along_axis(x, np.argmin(x.real, 1)[:, None], 1) | np.take_along_axis(x, i[None, :3] % 4, 0)
np.take_along_axis(x, i, None) | np.take_along_axis(v, i, 0) | np.take_along_axis(x, i, 0) | np.take_along_axis(v, i)
r = x.copy(); np.put_along_axis(r, i[:, None] % 3, 7, 1); return r
r = v.copy(); np.put_along_axis(r, i, v[:4], 0); return r | r = x.copy(); np.put_along_axis(r, i, 1, None); return r
r = x.copy(); np.put(r, [0, 5], [7, 8]); return r | r = x.copy(); np.put(r, i, 1); return r
r = x.copy(); np.put(r, [0, 1, 2], [4, 5]); return r | r = x.copy(); np.put(r, i + 20, 1, mode="wrap"); return r
r = x.copy(); r.put([3], 2); return r | r = x.copy(); np.put(r, i + 20, 1, mode="clip"); return r
r = x.copy(); np.put(r, 99, 1); return r | np.put(x.T, [1, 2], [5, 6]); return x
r = x.copy(); np.putmask(r, r > 2, 1); return r | r = x.copy(); np.putmask(r, m, w); return r
r = x.copy(); np.putmask(r, m, [1, 2]); return r | r = x.copy(); np.place(r, m, [1, 2, 3]); return r
r = x.copy(); np.place(r, r > 2, 5); return r | r = x.copy(); np.copyto(r, w); return r
r = x.copy(); np.copyto(r, w, where=m); return r | r = x.copy(); np.copyto(r, 1); return r
r = x.copy(); np.copyto(r, 2.5); return r | r = x.copy(); np.copyto(r, 2.5, casting="unsafe"); return r
r = x.copy(); np.copyto(r, v); return r | np.compress([True, False, True], x, axis=1) | np.compress([0, 1], x, axis=0)
np.compress([True, False, True], x) | v.compress([1, 0, 1]) | np.compress([True] * 9, v)
np.extract([True, False, True, False, True], v) | np.extract([[True, False, True]] * 4, x) | np.isclose(x, w)
np.isclose(x, x + 1e-9) | np.isclose(x, w, rtol=1) | np.isclose(x, x, equal_nan=True) | np.allclose(x, w)
np.allclose(x, x) | np.array_equal(x, x) | np.array_equal(x, v) | np.array_equal(x, x, equal_nan=True)
np.array_equiv(x, x[None]) | np.array_equiv(x, v) | np.array_equiv(v, v[0]) | np.nan_to_num(x)
np.nan_to_num(x, nan=1) | np.nan_to_num(s) | np.real(x) | np.imag(x) | np.real(s) | np.imag(s) | np.angle(x)
np.angle(v, deg=True) | np.round(x) | np.round(x, 1) | np.round(x, -1) | x.round(2) | np.around(v, 1) | np.round(s, 1)
np.fix(x) | np.sinc(x) | np.i0(v) | np.isposinf(x) | np.isneginf(x) | np.isreal(x) | np.iscomplex(x) | np.isrealobj(x)
np.iscomplexobj(x) | np.isscalar(x) | np.isscalar(x[0, 0]) | np.isscalar(s) | np.isfortran(x) | np.result_type(x, v)
np.can_cast(x, "f8") | np.min_scalar_type(x) | np.common_type(x, v) | np.promote_types(x.dtype, "f4")
np.issubdtype(x.dtype, np.floating) | np.isdtype(x.dtype, "real floating") | np.iterable(x) | np.iterable(s)
np.finfo(x.dtype).eps | np.iinfo(x.dtype).max | np.typename(x.dtype.char) | np.mintypecode([x.dtype.char])
np.isin(x, [1, 2]) | np.isin(v, v[:2], invert=True) | np.logical_and(x, w) | np.logical_not(x)
np.apply_along_axis(np.sum, 0, x) | np.apply_along_axis(lambda t: t * 2, 1, x)
np.apply_along_axis(lambda t: t[:2], 0, c) | np.apply_over_axes(np.sum, c, (0, 2)) | np.apply_over_axes(np.sum, x, 1)
np.apply_along_axis(lambda t, k: t[0] + k, -1, x, 3) | np.apply_along_axis(lambda t: [t[0], t[1]], 0, x)
np.vectorize(lambda t: t * 2 + 1)(x) | np.vectorize(lambda a, b: a + b)(x, v[:3])
np.vectorize(lambda a, b=2: (a, b))(v) | np.vectorize(lambda a: a.sum(), signature="(n)->()")(x)
np.vectorize(lambda a, b: a @ b, signature="(n),(n)->()")(x, w)
np.vectorize(lambda a, k: a * k, excluded=["k"])(v, k=3) | np.vectorize(lambda t: t * 2, otypes=[float])(v)
[k for k in np.ndindex(2, 3)] | [k for k in np.ndindex(x.shape)] | [(k, t) for k, t in np.ndenumerate(x)]
[t + 1 for t in np.nditer(v)] | list(v.flat) | [a + b for a, b in np.nditer([x, w])] | x.flat[3] | x.flat[1:3]
r = x.copy(); r.flat[2] = 1; return r | x.item(2) | x.item(1, 2) | o.item() | x.item()
""",
    "making": """
np.zeros((2, 3), x.dtype) | np.ones_like(x) | np.zeros_like(x, dtype="f4") | np.full_like(x, 3) | np.full((2, 2), s)
np.full_like(x, v[:3]) | np.full_like(x, 2.5) | np.empty_like(x).shape | np.empty((2, 3)).dtype
np.zeros_like(x, shape=(2, 2)) | np.zeros_like(s) | np.ones_like(e) | np.full(3, [1, 2, 3]) | np.zeros(()) | np.eye(3)
np.eye(2, 4, 1, dtype=x.dtype) | np.identity(3, x.dtype) | np.tri(3) | np.tri(3, 5, -1, dtype=x.dtype)
np.eye(3, k=-5) | np.tri(2, k=9) | np.arange(5) | np.arange(2, 8, 2) | np.arange(0, 1, 0.1) | np.arange(3.5)
np.arange(5, dtype=x.dtype) | np.arange(9, 2, -2) | np.arange(x.shape[0]) | np.arange(1, 10, x.shape[1])
np.linspace(0, 1) | np.linspace(0, 1, 5, retstep=True) | np.linspace(0, 5, 4, False) | np.linspace(s, 5, 3)
np.linspace(v, 2, 3) | np.linspace(v, 2, 4, axis=-1) | np.linspace(0, 9, 4, dtype=int)
np.linspace(-3, 1, 5, dtype=int) | np.linspace(0, 1, 0) | np.linspace(0, 1, -1) | np.linspace(0, 1, 1)
np.linspace(0, 1, 1, endpoint=False, retstep=True) | np.linspace(s, s, 3) | np.linspace(1, 0, x.shape[0])
np.logspace(0, 2, 4) | np.logspace(0, 2, 4, base=2) | np.logspace(0, 1, 3, endpoint=False) | np.logspace(0, s.real, 3)
np.geomspace(1, 1000, 4) | np.geomspace(1, 8, 4, dtype=int) | np.geomspace(-1, -8, 4) | np.geomspace(0, 1, 3)
np.logspace(0, 2, 3, base=np.array([2, 3])[:, None], axis=-1) | np.meshgrid(v, x[0])
np.meshgrid(v, x[0], indexing="ij") | np.meshgrid(v, x[0], sparse=True) | np.meshgrid(v)
np.meshgrid(v, v[:2], v[:3]) | np.meshgrid() | np.meshgrid(v, s) | np.mgrid[0:3, 0:2] | np.mgrid[0:1:5j]
np.mgrid[-1:1:3j, 0:2] | np.ogrid[0:3, 0:2] | np.ogrid[0:1:3j] | np.mgrid[0:x.shape[0], 0:x.shape[1]]
np.ogrid[:x.shape[0], :x.shape[1]] | np.mgrid[1:9:2] | np.indices((2, 3)) | np.indices((2, 3), dtype="f4")
np.indices(x.shape, sparse=True) | np.indices((2,)) | np.indices(()) | np.r_[v, 1, v] | np.r_[1:4, 0, v] | np.c_[v, v]
np.c_[x, w] | np.r_["0,2", v[:3], x] | np.r_[0:1:5j] | np.c_[v[:2]] | np.r_["-1", x, w] | np.s_[1:2] | np.r_[x, w]
np.index_exp[1:2] | np.fromfunction(lambda a, b: a * 2 + b, (2, 3)) | np.fromfunction(lambda a: a, (3,), dtype=int)
np.fromiter([1, 2], float) | np.diag_indices(3) | np.diag_indices_from(x[:3]) | np.tril_indices(3)
np.triu_indices(3, 1) | np.tril_indices_from(x) | np.triu_indices_from(x, 1) | x[np.triu_indices(3)]
np.triu_indices(3, m=4) | np.mask_indices(3, np.triu) | x[np.diag_indices(3)] | np.hanning(4) | np.hamming(5)
np.bartlett(5) | np.blackman(6) | np.kaiser(5, 2.0) | np.hanning(x.shape[0]) | np.fft.fftfreq(8)
np.fft.fftfreq(x.shape[0], 0.5) | np.fft.rfftfreq(7) | np.array([s, s]) | np.array([[s, 1], [2, s]])
np.array([v, v]) | np.array([x, x]) | np.asarray([s, 2.5]) | np.array([v[:2], v]) | np.array([[1, 2], [3]])
np.array(x, "f4") | np.array([True, 2]) | np.array(5) | np.array([]) | np.array([[], []]) | np.asarray(x) is x
np.array(x, copy=False) is x | np.asanyarray(v) | np.array((s, 1)) | np.float32(s.real) | np.int8(s.real)
np.bool_(s) | np.complex64(s)
""",
    "products": """
x @ w.T | x @ v[:3] | v[:4] @ x | v @ v | x @ w | s @ x | x @ v | c @ x.T[:, :] | c @ w.reshape(4, 3)
np.matmul(x, w.T) | np.matmul(c, c.mT) | np.matmul(e.T, e) | np.matmul(x, w.T, dtype="f8")
r = np.zeros((4, 4), x.dtype); np.matmul(x, w.T, out=r); return r | np.matmul(x, w.T, out=np.zeros((3, 3)))
np.dot(x, w.T) | np.dot(c, w[:, :2]) | np.dot(v, v) | np.dot(x, 2) | np.dot(s, v) | np.dot(x, w) | x.dot(v[:3])
np.dot(x, v[:3], out=np.zeros(4, x.dtype)) | np.vdot(v, v) | np.vdot(x, w) | np.vdot(x, v) | np.inner(x, w)
np.inner(v, v) | np.inner(c, v[:4]) | np.inner(x, 2) | np.inner(x, v) | np.outer(v, x) | np.outer(s, v)
np.outer(v, v, out=np.zeros((5, 5), x.dtype)) | np.linalg.outer(v, v) | np.linalg.outer(x, v) | np.tensordot(x, w, 2)
np.tensordot(x, w, ([1], [1])) | np.tensordot(x, w.T, 1) | np.tensordot(v, v, 0)
np.tensordot(x, w, ((0, 1), (0, 1))) | np.tensordot(c, x, ([1], [1])) | np.tensordot(x, w, (1, 0))
np.tensordot(x, w.T, axes=(-1, 0)) | np.linalg.tensordot(x, w.T, axes=1) | np.vecdot(x, w) | np.vecdot(v, v)
np.matvec(x, v[:3]) | np.vecmat(v[:4], x) | np.vecdot(x, w, axis=0) | np.linalg.vecdot(x, w)
np.linalg.matmul(x, w.T) | np.linalg.matrix_transpose(x) | np.einsum("ij,kj->ik", x, w) | np.einsum("ij,ij", x, w)
np.einsum("ii", x[:3]) | np.einsum("ii->i", x[:3]) | np.einsum("ij->ji", x) | np.einsum("ij->j", x)
np.einsum("i,j->ij", v, v) | np.einsum("ij,j->i", x, v[:3]) | np.einsum("ijk,kl->ijl", c, x)
np.einsum("...j->...", c) | np.einsum("...j,...j->...", x, w) | np.einsum("ij,jk,kl->il", x, w.T, x)
np.einsum("ij,jk,kl->il", x, w.T, x, optimize=True) | np.einsum("ij,ik,il->jkl", x, w, x, optimize="optimal")
np.einsum(x, [0, 1], w, [0, 1]) | np.einsum(x, [0, 1], w, [2, 1], [0, 2]) | np.einsum("ij,jk", x, w)
np.einsum("ij->ijk", x) | np.einsum("i", x) | np.einsum("ij,ij->i", x, w, dtype="f8") | np.einsum("i,i->", v, v)
np.einsum("ij,j", x, o) | np.einsum("ij,kj->ik", x, w, out=np.zeros((4, 4), x.dtype)) | np.einsum("i->", e[:, 0])
np.einsum("i->i", v) | np.einsum("ij,jk,k->i", x, w.T, v[:4], optimize="greedy")
np.einsum("ij,jk,k->i", x, w.T, v[:4], optimize=["einsum_path", (0, 1), (0, 1)]) | np.einsum(",ij->ij", s, x)
np.einsum("ab,ab,c->", x, w, v) | np.einsum("ij,jj->i", x, x[:3]) | np.einsum("b...->...", c)
np.linalg.matrix_power(x[:3], 2) | np.linalg.matrix_power(x[:3], 5) | np.linalg.matrix_power(x[:3], 0)
np.linalg.matrix_power(x[:3], 1) | np.linalg.matrix_power(x, 2) | np.linalg.matrix_power(x[:3], 2.5)
np.linalg.multi_dot([x, w.T, x]) | np.linalg.multi_dot([x, w.T, x, v[:3]]) | np.linalg.multi_dot([v[:4], x, w.T])
np.linalg.multi_dot([x, v[:3]]) | np.linalg.multi_dot([x]) | np.einsum("ij,ik->jk", x, w) | np.linalg.norm(x)
np.linalg.norm(v) | np.linalg.norm(c) | np.linalg.norm(x, axis=1) | np.linalg.norm(x, "fro") | np.linalg.norm(x, 1)
np.linalg.norm(x, -1) | np.linalg.norm(x, np.inf) | np.linalg.norm(x, -np.inf) | np.linalg.norm(v, 1)
np.linalg.norm(v, 0) | np.linalg.norm(v, 3) | np.linalg.norm(v, -2) | np.linalg.norm(v, np.inf)
np.linalg.norm(v, 2.5) | np.linalg.norm(x, 3) | np.linalg.norm(v, "fro") | np.linalg.norm(c, axis=(0, 1))
np.linalg.norm(x, axis=0, keepdims=True) | np.linalg.norm(x, keepdims=True)
np.linalg.norm(c, 1, axis=(1, 2), keepdims=True) | np.linalg.norm(c, np.inf, (0, 2))
np.linalg.norm(c, axis=(0, 1, 2)) | np.linalg.norm(x, "nuc1") | np.linalg.norm(c, 2) | np.linalg.norm(s)
np.linalg.norm(e) | np.linalg.norm(x, -0.5, axis=0) | np.linalg.norm(x, axis=(0, 0)) | np.linalg.vector_norm(x)
np.linalg.vector_norm(c, axis=(0, 1), ord=3) | np.linalg.vector_norm(x, keepdims=True) | np.linalg.matrix_norm(x)
np.linalg.matrix_norm(c, ord=1) | np.linalg.matrix_norm(c, keepdims=True) | np.linalg.vector_norm(v, ord=np.inf)
np.linalg.vector_norm(v, ord=0)
""",
    "polynomials": """
np.polyval([1, 2, 3], x) | np.polyval(v, 2) | np.polyval(v, x) | np.polyval([], v) | np.polyadd(v, [1, 2])
np.polyadd(v[:2], v) | np.polysub(v, [1, 2]) | np.polysub([1], v) | np.polyder(v) | np.polyder(v, 2)
np.polyder(v, 0) | np.polyder(v, -1) | np.polyint(v) | np.polyint(v, 2) | np.polyint(v, k=3)
np.polyint(v, 2, [1, 2]) | np.polyadd([1, 2], 3) | np.polyval([s, 1, 2], v) | np.polyder(o) | np.polyint(v, 0)
np.polyint(v, -1)
""",
}

# What is refused: most of it needs a call of NumPy when the program runs.
REFUSED = """
np.cov(x, aweights=np.arange(1, 4)) | np.cov(x, fweights=np.arange(1, 4)) | np.median(x) | np.median(x, 0)
np.median(v) | np.median(c, axis=(0, 1)) | np.median(x, axis=1, keepdims=True) | np.median(o) | np.median(s)
np.nanmedian(x, 0) | np.percentile(x, 30) | np.percentile(x, [10, 50], axis=0) | np.quantile(x, 0.25)
np.quantile(x, [0.1, 0.9], axis=1) | np.quantile(x, 0.5, method="nearest")
np.quantile(x, 0.3, axis=0, method="lower", keepdims=True) | np.nanpercentile(x, 30, axis=0) | np.nanquantile(v, 0.3)
np.quantile(v, 0.3, method="hazen") | np.quantile(v, 2) | np.bincount(i + 1) | np.bincount(i + 1, minlength=9)
np.bincount(i + 1, weights=v[:4].real) | np.histogram(v) | np.histogram(x, bins=4)
np.histogram(x, bins=3, range=(0, 5)) | np.histogram(v, bins=[0, 1, 5, 9]) | np.histogram(v, 3, density=True)
np.histogram(v, 3, weights=np.arange(5.0)) | np.histogram_bin_edges(v, 4) | np.histogram2d(v, v[::-1], 3)
np.histogram2d(v, v[::-1], [[0, 1, 5], [0, 2, 9]]) | np.searchsorted([0, 1, 2, 5], v)
np.searchsorted(np.arange(4), x, side="right") | np.interp(v, [0, 3], [1, 2], period=4)
np.gradient(v, np.array([0, 1, 3, 4, 7])) | np.ix_(v > 1, i[:2]) | np.asarray_chkfinite(x)
np.pad(v, 3, "reflect", reflect_type="odd") | np.pad(v, 3, "symmetric", reflect_type="odd") | np.pad(x, 1, "median")
r = x.copy(); np.place(r, m, []); return r | np.real_if_close(x) | np.real_if_close(x + 0j)
np.arange(0, x.shape[0] / 2, 0.5) | np.geomspace(s + 9, 100, 3) | np.polymul(v, [1, 2]) | np.polymul(v, v)
"""
