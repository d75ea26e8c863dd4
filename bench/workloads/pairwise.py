"""Distances between all pairs of points, reduced: fast only where the pairs are never stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.registry import Function, Workload, workload


def _points(size: str) -> tuple[Any, ...]:
    generator = np.random.default_rng(0)
    count = 3000 if size == "large" else 200
    return tuple(generator.standard_normal((count, 3)) for _ in range(2))


pairwise_sum = workload("pairwise_sum", "sum of all distances of 3000 x 3000 points, float64")(_points)
pairwise_min = workload("pairwise_min", "smallest distance of each of 3000 points to 3000 others, float64")(_points)


@pairwise_sum.reference
def pairwise_sum_numpy(x, y):
    difference = x[:, None, :] - y[None, :, :]
    return np.sum(np.sqrt(np.sum(difference * difference, axis=2)))


@pairwise_min.reference
def pairwise_min_numpy(x, y):
    difference = x[:, None, :] - y[None, :, :]
    return np.min(np.sqrt(np.sum(difference * difference, axis=2)), axis=1)


@pairwise_sum.peer("numba")
def pairwise_sum_numba() -> Function:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def run(x, y):
        total = 0.0
        for i in numba.prange(x.shape[0]):
            part = 0.0
            for j in range(y.shape[0]):
                a, b, c = x[i, 0] - y[j, 0], x[i, 1] - y[j, 1], x[i, 2] - y[j, 2]
                part += np.sqrt(a * a + b * b + c * c)
            total += part
        return total

    return run


@pairwise_min.peer("numba")
def pairwise_min_numba() -> Function:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def run(x, y):
        out = np.empty(x.shape[0])
        for i in numba.prange(x.shape[0]):
            least = np.inf
            for j in range(y.shape[0]):
                a, b, c = x[i, 0] - y[j, 0], x[i, 1] - y[j, 1], x[i, 2] - y[j, 2]
                least = min(least, a * a + b * b + c * c)
            out[i] = np.sqrt(least)
        return out

    return run


def _jax(task: Workload, name: str, axis: int | None) -> None:
    @task.peer("jax")
    def build() -> Function:
        import jax
        import jax.numpy as jnp

        def run(x, y):
            difference = x[:, None, :] - y[None, :, :]
            return getattr(jnp, name)(jnp.sqrt(jnp.sum(difference * difference, axis=2)), axis=axis)

        return jax.jit(run)


def _torch(task: Workload, reduce: Function) -> None:
    @task.peer("torch")
    def build() -> Function:
        import torch

        def run(x, y):
            difference = x[:, None, :] - y[None, :, :]
            return reduce(torch.sqrt(torch.sum(difference * difference, dim=2)))

        return torch.compile(run)


def _pytensor(task: Workload, name: str, axis: int | None) -> None:
    @task.peer("pytensor")
    def build() -> Function:
        import pytensor
        import pytensor.tensor as pt

        x, y = pt.dmatrix("x"), pt.dmatrix("y")
        difference = x[:, None, :] - y[None, :, :]
        distance = pt.sqrt(pt.sum(difference * difference, axis=2))
        return pytensor.function([x, y], getattr(pt, name)(distance, axis=axis), trust_input=True)


_jax(pairwise_sum, "sum", None)
_jax(pairwise_min, "min", 1)
_torch(pairwise_sum, lambda distance: distance.sum())
_torch(pairwise_min, lambda distance: distance.amin(dim=1))
_pytensor(pairwise_sum, "sum", None)
_pytensor(pairwise_min, "min", 1)


@pairwise_sum.peer("numexpr")
def pairwise_sum_numexpr() -> Function:
    import numexpr

    def run(x, y):
        names = {f"x{k}": x[:, None, k] for k in range(3)} | {f"y{k}": y[None, :, k] for k in range(3)}
        return np.sum(numexpr.evaluate("sqrt((x0-y0)**2 + (x1-y1)**2 + (x2-y2)**2)", names))

    return run
