"""One step of logistic regression with its gradient, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.registry import Function, workload

RATE = 0.1
DECAY = 0.01


@workload("logreg_step", "logistic regression step, 400 x 784 float64, with gradient", tolerance=1e-9)
def logreg(size: str) -> tuple[Any, ...]:
    """Weights, bias, samples, labels of -1 and +1."""
    generator = np.random.default_rng(0)
    samples, features = (400, 784) if size == "large" else (50, 20)
    x = generator.standard_normal((samples, features))
    labels = np.where(generator.random(samples) < 0.5, -1.0, 1.0)
    return 0.01 * generator.standard_normal(features), np.array(0.1), x, labels


@logreg.reference
def logreg_numpy(w, b, x, y):
    """The gradient by hand."""
    margin = y * (x @ w + b)
    loss = np.mean(np.log1p(np.exp(-margin))) + DECAY * np.sum(w * w)
    slope = -y / (1 + np.exp(margin)) / len(y)
    return loss, w - RATE * (slope @ x + 2 * DECAY * w), b - RATE * np.sum(slope)


@logreg.peer("tracejit")
def logreg_tracejit() -> Function:
    import tracejit as tj

    @tj.jit
    def step(w, b, x, y):
        def loss(w, b):
            return np.mean(np.log1p(np.exp(-y * (x @ w + b)))) + DECAY * np.sum(w * w)

        value, (slope_w, slope_b) = tj.value_and_grad(loss, argnums=(0, 1))(w, b)
        return value, w - RATE * slope_w, b - RATE * slope_b

    return step


@logreg.peer("numba")
def logreg_numba() -> Function:
    """BLAS for the products, loops for the rest, the gradient by hand."""
    import numba

    @numba.njit(fastmath=True)
    def step(w, b, x, y):
        scores = np.dot(x, w)
        slope = np.empty_like(y)
        loss = 0.0
        total = 0.0
        for i in range(y.size):
            margin = y[i] * (scores[i] + b[()])
            loss += np.log1p(np.exp(-margin))
            slope[i] = -y[i] / (1 + np.exp(margin)) / y.size
            total += slope[i]
        loss /= y.size
        descent = np.dot(slope, x)
        for j in range(w.size):
            loss += DECAY * w[j] * w[j]
            descent[j] = w[j] - RATE * (descent[j] + 2 * DECAY * w[j])
        return loss, descent, b[()] - RATE * total

    return step


@logreg.peer("jax")
def logreg_jax() -> Function:
    import jax
    import jax.numpy as jnp

    def loss(w, b, x, y):
        return jnp.mean(jnp.log1p(jnp.exp(-y * (x @ w + b)))) + DECAY * jnp.sum(w * w)

    def step(w, b, x, y):
        value, (slope_w, slope_b) = jax.value_and_grad(loss, argnums=(0, 1))(w, b, x, y)
        return value, w - RATE * slope_w, b - RATE * slope_b

    return jax.jit(step)


@logreg.peer("torch")
def logreg_torch() -> Function:
    import torch

    def loss(w, b, x, y):
        return torch.mean(torch.log1p(torch.exp(-y * (x @ w + b)))) + DECAY * torch.sum(w * w)

    def step(w, b, x, y):
        (slope_w, slope_b), value = torch.func.grad_and_value(loss, argnums=(0, 1))(w, b, x, y)
        return value, w - RATE * slope_w, b - RATE * slope_b

    return torch.compile(step)


@logreg.peer("pytensor")
def logreg_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    w, b, x, y = pt.dvector("w"), pt.dscalar("b"), pt.dmatrix("x"), pt.dvector("y")
    loss = pt.mean(pt.log1p(pt.exp(-y * (x @ w + b)))) + DECAY * pt.sum(w * w)
    slope_w, slope_b = pytensor.grad(loss, [w, b])
    return pytensor.function([w, b, x, y], [loss, w - RATE * slope_w, b - RATE * slope_b], trust_input=True)
