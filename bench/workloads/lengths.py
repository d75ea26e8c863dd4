"""Fifty array lengths through one function: total time, and how often the library compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers import PEERS
from bench.registry import Function, special
from bench.session import Session

LENGTHS = [1000 + 37 * k for k in range(50)]


def decay(x, sin, exp):
    """A few operations over the elementary functions of any library."""
    return sin(x) * exp(-0.5 * x) + 2.0 * x


def decay_numpy(x):
    """The same for NumPy and what compiles its source."""
    return np.sin(x) * np.exp(-0.5 * x) + 2.0 * x


def _no_count() -> int | None:
    return None


def _numpy() -> tuple[Function, Callable[[], int | None]]:
    return decay_numpy, _no_count


def _tracejit() -> tuple[Function, Callable[[], int | None]]:
    import tracejit

    function = tracejit.jit(decay_numpy)
    return function, lambda: function.cache_info().compiles


def _numba() -> tuple[Function, Callable[[], int | None]]:
    import numba

    function = numba.njit(decay_numpy)
    return function, lambda: len(function.signatures)


def _jax() -> tuple[Function, Callable[[], int | None]]:
    import jax
    import jax.numpy as jnp

    function = jax.jit(lambda x: decay(x, jnp.sin, jnp.exp))
    return function, function._cache_size


def _torch() -> tuple[Function, Callable[[], int | None]]:
    import torch
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    function = torch.compile(lambda x: decay(x, torch.sin, torch.exp))
    return function, lambda: int(counters["stats"]["unique_graphs"] - before)


def _pytensor() -> tuple[Function, Callable[[], int | None]]:
    import pytensor
    import pytensor.tensor as pt

    x = pt.dvector("x")
    return pytensor.function([x], decay(x, pt.sin, pt.exp), trust_input=True), lambda: 1


def _drjit() -> tuple[Function, Callable[[], int | None]]:
    import drjit

    drjit.set_flag(drjit.JitFlag.KernelHistory, True)
    drjit.kernel_history_clear()

    def compiled() -> int:
        return sum(not entry.get("cache_hit", True) for entry in drjit.kernel_history())

    return lambda x: decay(x, drjit.sin, drjit.exp), compiled


BUILDERS = {
    "numpy": _numpy,
    "tracejit": _tracejit,
    "numba": _numba,
    "jax": _jax,
    "torch": _torch,
    "pytensor": _pytensor,
    "drjit": _drjit,
}


def measure_lengths(name: str, threads: int) -> tuple[float, float, int | None]:
    """In the fresh process: seconds of all lengths, of all but the first, and compilations."""
    peer = PEERS[name]
    peer.prepare(threads)
    inputs = [peer.adopt(np.linspace(0.0, 1.0, length)) for length in LENGTHS]
    start = time.perf_counter()
    function, compiled = BUILDERS[name]()
    peer.wait(function(inputs[0]))
    first = time.perf_counter()
    for x in inputs[1:]:
        result = peer.wait(function(x))
    end = time.perf_counter()
    np.testing.assert_allclose(peer.fetch(result), decay_numpy(np.linspace(0.0, 1.0, LENGTHS[-1])), rtol=1e-9)
    return end - start, end - first, compiled()


@special("lengths", "50 array lengths through one function")
def lengths(session: Session) -> list[dict[str, Any]]:
    """Each peer in a fresh process with empty caches."""
    rows = []
    for name in (name for name in session.peers if name in BUILDERS):
        answer = session.fresh(measure_lengths, name, session.caches(f"lengths-{name}"), name, session.threads)
        failed = answer.get("failed") if isinstance(answer, dict) else None
        total, rest, compiles = (None, None, None) if failed else answer
        rows.append({"peer": name, "total": total, "the other 49": rest, "compilations": compiles, "failed": failed})
    return rows
