"""What a worker must know of each peer: how arrays get in, when results are there, how they get out.

Also the environment that gives every peer the same threads and its disk caches an empty folder of their own.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PEERS", "Peer", "environment", "installed"]


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Peer:
    """One library: `adopt` takes a NumPy array in, `wait` blocks until a result is there, `fetch` takes it out."""

    name: str
    module: str
    prepare: Callable[[int], None] = lambda threads: None
    adopt: Callable[[Any], Any] = _same
    wait: Callable[[Any], Any] = _same
    fetch: Callable[[Any], Any] = np.asarray

    @property
    def returns_when_done(self) -> bool:
        """Whether a call returns when its result is there."""
        return self.wait is _same


def _prepare_tracejit(threads: int) -> None:
    import tracejit

    tracejit.jit(_trivial)(np.ones(3))


def _prepare_numba(threads: int) -> None:
    import numba

    numba.njit(_trivial)(np.ones(3))


def _prepare_jax(threads: int) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.jit(_trivial)(np.ones(3)).block_until_ready()


def _adopt_jax(value: Any) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def _wait_jax(value: Any) -> Any:
    import jax

    return jax.block_until_ready(value)


def _prepare_torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.compile(_trivial)(torch.ones(3))


def _adopt_torch(value: Any) -> Any:
    import torch

    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def _fetch_torch(value: Any) -> Any:
    return value.detach().numpy()


def _prepare_pytensor(threads: int) -> None:
    import pytensor
    import pytensor.tensor as pt

    x = pt.vector("x")
    pytensor.function([x], _trivial(x))(np.ones(3))


def _prepare_numexpr(threads: int) -> None:
    import numexpr

    numexpr.set_num_threads(threads)
    numexpr.evaluate("x + 1", {"x": np.ones(3)})


def _prepare_drjit(threads: int) -> None:
    import drjit

    drjit.set_thread_count(threads)
    drjit.eval(_trivial(drjit.llvm.Float64(np.ones(3))))


def _adopt_drjit(value: Any) -> Any:
    from drjit import llvm

    if not isinstance(value, np.ndarray):
        return value
    native = (llvm.Float if value.dtype == np.float32 else llvm.Float64)(value)
    import drjit

    drjit.eval(native)
    return native


def _wait_drjit(value: Any) -> Any:
    import drjit

    drjit.eval(value)
    drjit.sync_thread()
    return value


def _trivial(x: Any) -> Any:
    return x + 1.0


PEERS = {
    peer.name: peer
    for peer in (
        Peer("numpy", "numpy"),
        Peer("tracejit", "tracejit", _prepare_tracejit),
        Peer("numba", "numba", _prepare_numba),
        Peer("jax", "jax", _prepare_jax, _adopt_jax, _wait_jax),
        Peer("torch", "torch", _prepare_torch, _adopt_torch, _same, _fetch_torch),
        Peer("pytensor", "pytensor", _prepare_pytensor),
        Peer("numexpr", "numexpr", _prepare_numexpr),
        Peer("drjit", "drjit", _prepare_drjit, _adopt_drjit, _wait_drjit),
        # The machine's own mark, for workloads that have one: copies between warm buffers.
        Peer("copy", "numpy"),
        Peer("copy_numba", "numba", _prepare_numba),
    )
}


def installed(name: str) -> bool:
    """Whether the peer can be imported, without importing it."""
    return importlib.util.find_spec(PEERS[name].module) is not None


def environment(name: str, threads: int, caches: str) -> dict[str, str]:
    """The environment of a worker: `threads` for every pool there is, disk caches below the folder `caches`."""
    variables = dict(os.environ)
    for pool in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMBA_NUM", "NUMEXPR_NUM", "NUMEXPR_MAX", "TRACEJIT_NUM"):
        variables[f"{pool}_THREADS"] = str(threads)
    if name in ("numba", "copy_numba", "torch") and threads > 1:
        # Unbound OpenMP threads that meet on one CPU wait for each other for milliseconds.
        variables["OMP_PROC_BIND"] = "true"
    variables["TRACEJIT_CACHE_DIR"] = os.path.join(caches, "tracejit")
    variables["NUMBA_CACHE_DIR"] = os.path.join(caches, "numba")
    variables["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(caches, "torch")
    variables["JAX_PLATFORMS"] = "cpu"
    variables["PYTENSOR_FLAGS"] = f"base_compiledir={os.path.join(caches, 'pytensor')}"
    if name == "drjit":
        variables["HOME"] = caches  # its cache is ~/.drjit
    return variables
