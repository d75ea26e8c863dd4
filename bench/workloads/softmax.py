"""Softmax of the rows: an exponential between two reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.registry import Function, workload


@workload("softmax", "softmax of the rows of (2048, 1024) float32", tolerance=1e-5)
def softmax(size: str) -> tuple[Any, ...]:
    shape = (2048, 1024) if size == "large" else (64, 128)
    return (np.random.default_rng(0).standard_normal(shape).astype(np.float32),)


@softmax.reference
def softmax_numpy(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


@softmax.peer("numba")
def softmax_numba() -> Function:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def run(x):
        out = np.empty_like(x)
        for i in numba.prange(x.shape[0]):
            top = x[i, 0]
            for j in range(1, x.shape[1]):
                top = max(top, x[i, j])
            total = np.float32(0)
            for j in range(x.shape[1]):
                out[i, j] = np.exp(x[i, j] - top)
                total += out[i, j]
            scale = np.float32(1) / total
            for j in range(x.shape[1]):
                out[i, j] *= scale
        return out

    return run


@softmax.peer("jax")
def softmax_jax() -> Function:
    import jax

    return jax.jit(lambda x: jax.nn.softmax(x, axis=1))


@softmax.peer("torch")
def softmax_torch() -> Function:
    import torch

    return torch.compile(lambda x: torch.softmax(x, dim=1))


@softmax.peer("pytensor")
def softmax_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    x = pt.fmatrix("x")
    return pytensor.function([x], pt.special.softmax(x, axis=1), trust_input=True)
