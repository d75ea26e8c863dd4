"""Layer normalisation of the rows: mean, variance, scale and shift."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.registry import Function, workload

EPSILON = 1e-5


@workload("layernorm", "layer normalisation of the rows of (2048, 1024) float32", tolerance=1e-4)
def layernorm(size: str) -> tuple[Any, ...]:
    generator = np.random.default_rng(0)
    rows, columns = (2048, 1024) if size == "large" else (64, 128)
    shapes = ((rows, columns), (columns,), (columns,))
    return tuple(generator.standard_normal(shape).astype(np.float32) for shape in shapes)


@layernorm.reference
def layernorm_numpy(x, gain, bias):
    mean = np.mean(x, axis=1, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    return centred / np.sqrt(variance + EPSILON) * gain + bias


@layernorm.peer("numba")
def layernorm_numba() -> Function:
    import numba

    epsilon = np.float32(EPSILON)

    @numba.njit(parallel=True, fastmath=True)
    def run(x, gain, bias):
        out = np.empty_like(x)
        columns = np.float32(x.shape[1])
        for i in numba.prange(x.shape[0]):
            total = np.float32(0)
            for j in range(x.shape[1]):
                total += x[i, j]
            mean = total / columns
            squares = np.float32(0)
            for j in range(x.shape[1]):
                squares += (x[i, j] - mean) * (x[i, j] - mean)
            scale = np.float32(1) / np.sqrt(squares / columns + epsilon)
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - mean) * scale * gain[j] + bias[j]
        return out

    return run


@layernorm.peer("jax")
def layernorm_jax() -> Function:
    import jax
    import jax.numpy as jnp

    def run(x, gain, bias):
        centred = x - jnp.mean(x, axis=1, keepdims=True)
        variance = jnp.mean(centred * centred, axis=1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + EPSILON) * gain + bias

    return jax.jit(run)


@layernorm.peer("torch")
def layernorm_torch() -> Function:
    import torch

    return torch.compile(lambda x, gain, bias: torch.nn.functional.layer_norm(x, x.shape[1:], gain, bias, EPSILON))


@layernorm.peer("pytensor")
def layernorm_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    x, gain, bias = pt.fmatrix("x"), pt.fvector("gain"), pt.fvector("bias")
    centred = x - pt.mean(x, axis=1, keepdims=True)
    variance = pt.mean(centred * centred, axis=1, keepdims=True)
    out = centred / pt.sqrt(variance + np.float32(EPSILON)) * gain + bias
    return pytensor.function([x, gain, bias], out.astype("float32"), trust_input=True)
