"""Eight elementwise operations on two arrays: bound by memory bandwidth as soon as they are fused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.registry import Function, workload

A = 0.75


def _three_arrays(x: Any, y: Any) -> int:
    return int(3 * x.nbytes)


def _two_arrays(x: Any, y: Any) -> int:
    return int(2 * x.nbytes)


@workload("axpy_chain", "eight operations on float32", tolerance=1e-5, bytes_moved=_three_arrays)
def axpy_chain(size: str) -> tuple[Any, ...]:
    """Two arrays of 1e7."""
    generator = np.random.default_rng(0)
    count = 10_000_000 if size == "large" else 100_000
    return tuple(generator.standard_normal(count).astype(np.float32) for _ in range(2))


@axpy_chain.reference
def axpy_chain_numpy(x, y):
    """a(a(a(ax + y) + y) + y) + y."""
    z = A * x + y
    z = A * z + y
    z = A * z + y
    return A * z + y


@axpy_chain.peer("numba")
def axpy_chain_numba() -> Function:
    import numba

    a = np.float32(A)

    @numba.njit(parallel=True, fastmath=True)
    def run(x, y):
        out = np.empty_like(x)
        for i in numba.prange(x.size):
            out[i] = a * (a * (a * (a * x[i] + y[i]) + y[i]) + y[i]) + y[i]
        return out

    return run


@axpy_chain.peer("jax")
def axpy_chain_jax() -> Function:
    import jax

    return jax.jit(axpy_chain_numpy)


@axpy_chain.peer("torch")
def axpy_chain_torch() -> Function:
    import torch

    return torch.compile(axpy_chain_numpy)


@axpy_chain.peer("pytensor")
def axpy_chain_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    x, y = pt.fvector("x"), pt.fvector("y")
    z, a = x, pt.constant(np.float32(A))
    for _ in range(4):
        z = a * z + y
    return pytensor.function([x, y], z, trust_input=True)


@axpy_chain.peer("numexpr")
def axpy_chain_numexpr() -> Function:
    import numexpr

    a = np.float32(A)
    text = "a * (a * (a * (a * x + y) + y) + y) + y"
    return lambda x, y: numexpr.evaluate(text, {"a": a, "x": x, "y": y})


@axpy_chain.peer("drjit")
def axpy_chain_drjit() -> Function:
    return axpy_chain_numpy


@axpy_chain.peer("copy", bytes_moved=_two_arrays)
def axpy_chain_copy() -> Function:
    """NumPy's copy between warm buffers, one slice per thread: memcpy's bandwidth."""
    import os

    threads = int(os.environ["OMP_NUM_THREADS"])
    pool = ThreadPoolExecutor(threads)
    buffers: list[Any] = []

    def run(x: Any, y: Any) -> Any:
        if not buffers:
            buffers.append(np.zeros_like(x))
        slices = zip(np.array_split(buffers[0], threads), np.array_split(x, threads), strict=True)
        list(pool.map(lambda pair: np.copyto(*pair), slices))
        return buffers[0]

    return run


@axpy_chain.peer("copy_numba", bytes_moved=_two_arrays)
def axpy_chain_copy_numba() -> Function:
    """A plain compiled loop between warm buffers: what loads and stores without streaming stores reach."""
    import numba

    buffers: list[Any] = []

    @numba.njit(parallel=True)
    def copy(x, out):
        for i in numba.prange(x.size):
            out[i] = x[i]

    def run(x: Any, y: Any) -> Any:
        if not buffers:
            buffers.append(np.zeros_like(x))
        copy(x, buffers[0])
        return buffers[0]

    return run
