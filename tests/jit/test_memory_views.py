"""Views by what lies in memory: other dtypes, strides, sliding windows; what is computed, written and returned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import tracejit as tj
from tests.trace.harness import function_of
from tests.util.compare import check, versions_of

NAMES = {"sliding_window_view": sliding_window_view, "as_strided": as_strided}
MATRIX = np.random.default_rng(5).standard_normal((5, 6))
LINE = np.arange(12.0)


def program(body: str, names: str = "x") -> Any:
    """A function with this body; the last line is what it returns."""
    made = function_of(body, names)
    made.__globals__.update(NAMES)
    return made


WINDOWS = """
sliding_window_view(x, 3, axis=0) | sliding_window_view(x, (2, 3)) | sliding_window_view(x, (2, 2), axis=(1, 1))
sliding_window_view(x, (3, 3)).max(axis=(2, 3)) | sliding_window_view(x[::2], 2, axis=-1).std(axis=-1)
sliding_window_view(x.T, (2, 2))[::2, ::2].sum(axis=(2, 3)) | sliding_window_view(x + 1, 2, 0)[1:].copy()
np.einsum("ijkl,kl->ij", sliding_window_view(x, (2, 3)), x[:2, :3]) | sliding_window_view(x, 4, 1) @ x[0, :4]
np.tensordot(sliding_window_view(x, (2, 2)), x[:2, :2], axes=((2, 3), (0, 1))) | sliding_window_view(x, (), ())
sliding_window_view(x, 9, 0) | sliding_window_view(x, 2) | sliding_window_view(x, (-1, 2))
sliding_window_view(x, (1, 2), axis=0) | sliding_window_view(x, 2, axis=4) | sliding_window_view(x, 0, axis=0).shape
sliding_window_view(x, 2, 0).strides | sliding_window_view(x, 2, 0).flags.writeable
"""


@pytest.mark.parametrize("body", [b.strip() for line in WINDOWS.strip().splitlines() for b in line.split("|")])
def test_sliding_windows(body: str) -> None:
    check(program(body), MATRIX, tolerance=1e-13)


def test_windows_serve_all_sizes() -> None:
    def means(x: Any, n: Any) -> Any:
        return sliding_window_view(x, n).mean(axis=1)

    jitted = check(means, LINE, 3, tolerance=1e-13)
    check(means, np.arange(30.0), 7, jitted=jitted, tolerance=1e-13)
    check(means, LINE, 13, jitted=jitted)
    assert versions_of(jitted) == 1


def test_windows_are_not_written() -> None:
    def overlapping(x: Any) -> Any:
        windows = sliding_window_view(x, 3, writeable=True)
        windows[0] = 1
        return x

    def read_only(x: Any) -> Any:
        windows = sliding_window_view(x, 3)
        windows[0] = 1
        return x

    check(read_only, LINE)
    with pytest.raises(tj.UnsupportedError, match="may appear more than once"):
        tj.jit(overlapping)(LINE.copy())


def test_a_convolution_of_windows_writes_no_windows() -> None:
    """The product of windows and a kernel is a sum over the array itself, not a matrix product of what was copied."""
    jitted = tj.jit(lambda x, k: np.tensordot(sliding_window_view(x, k.shape), k, axes=((2, 3), (0, 1))))
    assert "gemm" not in jitted.ir(MATRIX, MATRIX[:2, :2], stage="loops")


STRIDED = """
as_strided(x, (3, 4, 3, 3), x.strides + x.strides).mean(axis=(2, 3)) | as_strided(x, (3,), (x.strides[0],))
as_strided(x, (6, 5), (x.strides[1], x.strides[0])) | as_strided(x, (4, 6), (0, x.itemsize)) | as_strided(x)
as_strided(x, (5,), (x.strides[0] + x.strides[1],)) | as_strided(x, (15,), (16,)) | as_strided(x[1:], (3, 3), (8, 8))
as_strided(x + 1, (2, 3, 2, 2), (96, 16, 48, 8)) | as_strided(x[::-1], (2,), (-48,)) | as_strided(x, (3,), (8, 8))
as_strided(x[1:, 2:], (2, 2), x[1:, 2:].strides) | as_strided(x, (2, 3), (8, 48), writeable=False)
x.strides | x.T.strides | x[:, 1:3].strides | x[::-2, ::3].strides | (x * 2).strides | x.ravel().strides
x.real.strides | (x + 0j).imag.strides | x[0].strides | x[:, None].copy().strides
np.broadcast_to(x, (2, 5, 6)).strides | x.reshape(5, 2, 3).strides | x.diagonal().strides
x.view(np.int32).strides | x.nbytes | x.itemsize | x[0, 0].strides
x.sum(axis=0, keepdims=True).strides | x.device | x.flags.c_contiguous | x.T.flags.f_contiguous
x[::2].flags["C_CONTIGUOUS"] | (x + 1).flags.owndata
(x + 1).base is None | x[1:].flags.owndata | x.to_device("cpu") | x.to_device("gpu")
"""


@pytest.mark.parametrize("body", [b.strip() for line in STRIDED.strip().splitlines() for b in line.split("|")])
def test_strides(body: str) -> None:
    check(program(body), MATRIX, tolerance=1e-13)


def test_strides_are_those_of_each_call() -> None:
    def blocks(x: Any) -> Any:
        h, w = x.shape
        down, along = x.strides
        return as_strided(x, (h // 2, w // 2, 2, 2), (2 * down, 2 * along, down, along)).sum(axis=(2, 3))

    jitted = check(blocks, MATRIX, tolerance=1e-13)
    check(blocks, np.arange(80.0).reshape(8, 10), jitted=jitted, tolerance=1e-13)
    assert versions_of(jitted) == 1
    check(blocks, np.asfortranarray(MATRIX), jitted=jitted, tolerance=1e-13)
    with pytest.raises(tj.UnsupportedError, match="gaps in memory"):
        jitted(np.zeros((10, 12))[::2])


def test_writes_through_strides() -> None:
    def diagonal(x: Any) -> Any:
        d = as_strided(x, (5,), (x.strides[0] + x.strides[1],))
        d[:] = np.arange(5)
        d += 1
        return d

    def blocks(x: Any) -> Any:
        b = as_strided(x, (2, 3, 2, 2), (2 * x.strides[0], 2 * x.strides[1], *x.strides))
        b[0, 1] = 7
        b *= 2

    check(diagonal, MATRIX)
    check(blocks, MATRIX)


def test_memory_outside_is_refused() -> None:
    for body in ("as_strided(x, (9, 9), (48, 8))", "as_strided(x, (2,), (-8,))", "as_strided(x, (2,), (4,))"):
        with pytest.raises(tj.UnsupportedError, match="as_strided"):
            tj.jit(program(body))(MATRIX)
    for body in ("x.base", "x[1:].base", "x.flags.owndata", "x.data", "x.ctypes"):
        with pytest.raises(tj.UnsupportedError):
            tj.jit(program(body))(MATRIX)


# ------------------------------------------------------------------------------------------------------ other dtypes

KINDS = ["f8", "f4", "f2", "i8", "u4", "i2", "u1", "c16", "c8", "?"]


@pytest.mark.parametrize("source", KINDS)
def test_views_as_another_dtype(source: str) -> None:
    data = np.random.default_rng(1).integers(0, 100, (2, 8)).astype(source)
    targets = [kind for kind in KINDS if kind != "?" and 8 * data.itemsize % np.dtype(kind).itemsize == 0]
    check(program(f"[x.view(kind) for kind in {targets}]"), data)
    check(program(f"[(x[1:] * 1).view(kind) + 0 for kind in {targets}]"), data)
    for target in set(KINDS[:-1]) - set(targets):
        check(program(f"x.view('{target}')"), data)


VIEWED = """
x.view(np.int64) | x.view("u8") >> np.uint64(52) | x.view() | x.view(np.ndarray) | x.view(type=np.ndarray)
x[::2].view(np.int64) | x[:, ::2].view(np.int32) | x.T.view(np.uint64) | x.T.view(np.int32) | x.view(dtype=np.int32)
x[0, 0].view(np.int64) | np.float32(x[0, 0]).view(np.int32) + 1 | x[0, 0].view(np.int32) | x.view(np.complex128).imag
x[:, :5].view(complex)
x.sum().view(np.uint64) | (x > 0).view(np.uint8).sum(axis=0) | x.view("S8") | x.reshape(()).view()
"""


@pytest.mark.parametrize("body", [b.strip() for line in VIEWED.strip().splitlines()[:-1] for b in line.split("|")])
def test_views_of_floats(body: str) -> None:
    check(program(body), MATRIX)


def test_writes_through_another_dtype() -> None:
    def flip(x: Any) -> Any:
        bits = x.view(np.uint64)
        bits ^= np.uint64(1 << 63)
        return bits

    def parts(z: Any) -> None:
        pairs = z.view(np.float64)
        pairs[:, ::2] = 0
        pairs[0] += 1

    def bytes_of(x: Any) -> Any:
        x.view(np.uint8)[:, 7::8] &= 0x7F
        return x.sum()

    check(flip, MATRIX)
    check(parts, MATRIX + 1j)
    check(bytes_of, MATRIX, tolerance=1e-13)


def test_the_fast_inverse_square_root() -> None:
    def inverse_root(x: Any) -> Any:
        bits = np.int32(0x5F3759DF) - (x.view(np.int32) >> 1)
        y = bits.view(np.float32)
        return y * (np.float32(1.5) - np.float32(0.5) * x * y * y)

    jitted = check(inverse_root, np.linspace(0.1, 9, 33, dtype=np.float32), ulps=1)
    check(inverse_root, np.linspace(0.1, 9, 300, dtype=np.float32), jitted=jitted, ulps=1)
    assert versions_of(jitted) == 1


def test_a_size_that_does_not_fit_another_dtype() -> None:
    jitted = check(program("x.view(np.complex128)"), LINE)
    check(program("x.view(np.complex128)"), np.arange(7.0), jitted=jitted)
    check(program("x.view(np.complex128)"), np.arange(6.0), jitted=jitted)


def test_gradients_go_through_windows() -> None:
    def loss(x: Any) -> Any:
        return (sliding_window_view(x, 3) ** 2).sum()

    np.testing.assert_allclose(tj.grad(loss)(LINE), 2 * LINE * np.minimum(3, np.minimum(LINE + 1, 12 - LINE)))
