"""One step of a multilayer perceptron with its gradient: mostly matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.registry import Function, workload

RATE = 0.05


@workload("mlp_step", "784-500-10 perceptron step on 256 samples, float32, with gradient", tolerance=1e-4)
def mlp(size: str) -> tuple[Any, ...]:
    """Two layers, the samples, their labels one-hot."""
    generator = np.random.default_rng(0)
    samples, inputs, hidden = (256, 784, 500) if size == "large" else (20, 64, 32)
    w1 = generator.standard_normal((inputs, hidden)) / np.sqrt(inputs)
    w2 = generator.standard_normal((hidden, 10)) / np.sqrt(hidden)
    x = generator.standard_normal((samples, inputs))
    onehot = np.eye(10)[generator.integers(0, 10, samples)]
    arrays = (w1, np.zeros(hidden), w2, np.zeros(10), x, onehot)
    return tuple(array.astype(np.float32) for array in arrays)


@mlp.reference
def mlp_numpy(w1, b1, w2, b2, x, onehot):
    """The gradient by hand."""
    hidden = np.tanh(x @ w1 + b1)
    scores = hidden @ w2 + b2
    scores = scores - np.max(scores, axis=1, keepdims=True)
    exponentials = np.exp(scores)
    sums = np.sum(exponentials, axis=1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - np.sum(onehot * scores, axis=1))
    slope2 = (exponentials / sums - onehot) / len(x)
    slope1 = (slope2 @ w2.T) * (1 - hidden * hidden)
    return (
        loss,
        w1 - RATE * (x.T @ slope1),
        b1 - RATE * np.sum(slope1, axis=0),
        w2 - RATE * (hidden.T @ slope2),
        b2 - RATE * np.sum(slope2, axis=0),
    )


@mlp.peer("tracejit")
def mlp_tracejit() -> Function:
    import tracejit as tj

    @tj.jit
    def step(w1, b1, w2, b2, x, onehot):
        def loss(w1, b1, w2, b2):
            scores = np.tanh(x @ w1 + b1) @ w2 + b2
            scores = scores - np.max(scores, axis=1, keepdims=True)
            return np.mean(np.log(np.sum(np.exp(scores), axis=1)) - np.sum(onehot * scores, axis=1))

        value, slopes = tj.value_and_grad(loss, argnums=(0, 1, 2, 3))(w1, b1, w2, b2)
        return value, w1 - RATE * slopes[0], b1 - RATE * slopes[1], w2 - RATE * slopes[2], b2 - RATE * slopes[3]

    return step


@mlp.peer("jax")
def mlp_jax() -> Function:
    import jax
    import jax.numpy as jnp

    def loss(parameters, x, onehot):
        w1, b1, w2, b2 = parameters
        scores = jnp.tanh(x @ w1 + b1) @ w2 + b2
        return -jnp.mean(jnp.sum(onehot * jax.nn.log_softmax(scores), axis=1))

    def step(w1, b1, w2, b2, x, onehot):
        parameters = (w1, b1, w2, b2)
        value, slopes = jax.value_and_grad(loss)(parameters, x, onehot)
        return value, *(array - RATE * slope for array, slope in zip(parameters, slopes, strict=True))

    return jax.jit(step)


@mlp.peer("torch")
def mlp_torch() -> Function:
    import torch

    def loss(w1, b1, w2, b2, x, onehot):
        scores = torch.tanh(x @ w1 + b1) @ w2 + b2
        return -torch.mean(torch.sum(onehot * torch.log_softmax(scores, dim=1), dim=1))

    def step(w1, b1, w2, b2, x, onehot):
        slopes, value = torch.func.grad_and_value(loss, argnums=(0, 1, 2, 3))(w1, b1, w2, b2, x, onehot)
        return value, w1 - RATE * slopes[0], b1 - RATE * slopes[1], w2 - RATE * slopes[2], b2 - RATE * slopes[3]

    return torch.compile(step)


@mlp.peer("pytensor")
def mlp_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    w1, b1, w2, b2 = pt.fmatrix("w1"), pt.fvector("b1"), pt.fmatrix("w2"), pt.fvector("b2")
    x, onehot = pt.fmatrix("x"), pt.fmatrix("onehot")
    scores = pt.tanh(x @ w1 + b1) @ w2 + b2
    loss = -pt.mean(pt.sum(onehot * pt.special.log_softmax(scores, axis=1), axis=1))
    parameters, rate = [w1, b1, w2, b2], np.float32(RATE)
    slopes = pytensor.grad(loss, parameters)
    updated = [array - rate * slope for array, slope in zip(parameters, slopes, strict=True)]
    return pytensor.function([*parameters, x, onehot], [loss, *updated], trust_input=True)
