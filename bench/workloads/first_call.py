"""The first call of a new function in a fresh process: 30 elementwise operations, with cold and warm disk caches.

Counted from the declaration of the function to its first result, in a process where the library has compiled
something trivial before.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from bench.peers import PEERS
from bench.registry import Function, special
from bench.session import Session

COUNT = 1000
COMPILERS = ("tracejit", "jax", "drjit", "numba", "pytensor", "torch")


def thirty(x, y, sin, exp, sqrt, tanh):
    """30 operations over the elementary functions of any library."""
    for a in (0.3, 0.7, 1.1):
        u = sin(a * x + y)
        v = exp(-u * u) * y
        w = sqrt(v * v + a) / (u + 2.0)
        x = tanh(w - a * x)
    return x


def thirty_numpy(x, y):
    """The same for NumPy and what compiles its source."""
    for a in (0.3, 0.7, 1.1):
        u = np.sin(a * x + y)
        v = np.exp(-u * u) * y
        w = np.sqrt(v * v + a) / (u + 2.0)
        x = np.tanh(w - a * x)
    return x


def _tracejit() -> Function:
    import tracejit

    return tracejit.jit(thirty_numpy)


def _numba() -> Function:
    import numba

    return numba.njit(thirty_numpy, cache=True)


def _jax() -> Function:
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda x, y: thirty(x, y, jnp.sin, jnp.exp, jnp.sqrt, jnp.tanh))


def _torch() -> Function:
    import torch

    return torch.compile(lambda x, y: thirty(x, y, torch.sin, torch.exp, torch.sqrt, torch.tanh))


def _pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    x, y = pt.dvector("x"), pt.dvector("y")
    return pytensor.function([x, y], thirty(x, y, pt.sin, pt.exp, pt.sqrt, pt.tanh), trust_input=True)


def _drjit() -> Function:
    import drjit

    return lambda x, y: thirty(x, y, drjit.sin, drjit.exp, drjit.sqrt, drjit.tanh)


BUILDERS = {
    "tracejit": _tracejit,
    "numba": _numba,
    "jax": _jax,
    "torch": _torch,
    "pytensor": _pytensor,
    "drjit": _drjit,
}


def measure_first_call(name: str, threads: int) -> float:
    """In the fresh process: seconds from declaration to result, which is checked."""
    peer = PEERS[name]
    peer.prepare(threads)
    x, y = np.linspace(0.1, 1.0, COUNT), np.linspace(1.0, 2.0, COUNT)
    inputs = [peer.adopt(x), peer.adopt(y)]
    start = time.perf_counter()
    result = peer.wait(BUILDERS[name]()(*inputs))
    elapsed = time.perf_counter() - start
    np.testing.assert_allclose(peer.fetch(result), thirty_numpy(x, y), rtol=1e-9)
    return elapsed


@special("first_call", "first call of 30 elementwise operations in a fresh process")
def first_call(session: Session) -> list[dict[str, Any]]:
    """Cold and warm, the peers taking turns."""
    peers = [name for name in COMPILERS if name in session.peers]
    rounds = 1 if session.quick else min(session.rounds, 3)
    rows: dict[str, dict[str, Any]] = {name: {"peer": name, "cold": [], "warm": []} for name in peers}
    for turn in range(rounds):
        for name in peers:
            _one_turn(session, rows[name], session.caches(f"first-{name}-{turn}"))
    for row in rows.values():
        for column in ("cold", "warm"):
            row[column] = statistics.median(row[column]) if row[column] else None
    return [_with_ratios(row, rows) for row in rows.values()]


def _one_turn(session: Session, row: dict[str, Any], caches: str) -> None:
    extra = {
        "JAX_COMPILATION_CACHE_DIR": f"{caches}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for column in ("cold", "warm"):
        answer = session.fresh(measure_first_call, row["peer"], caches, row["peer"], session.threads, **extra)
        if isinstance(answer, dict):
            row["failed"] = answer["failed"]
            return
        row[column].append(answer)


def _with_ratios(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    cold, warm = row["cold"], row["warm"]
    reference = rows.get("jax", {}).get("cold")
    row["x jax cold"] = cold / reference if cold and reference else None
    row["x own cold"] = warm / cold if cold and warm else None
    row["failed"] = row.pop("failed", None)
    return row
