"""The cost of a call: `x * 2 + 1` on four numbers.

`dispatch` gives every peer its own process; `dispatch_in_process` sets tracejit beside one NumPy ufunc and a
Numba dispatcher in the same process, which is the comparison that the machine's moods disturb least.
"""

from __future__ import annotations

import functools
import statistics
from typing import Any

import numpy as np

from bench.peers import installed
from bench.registry import Function, special, workload
from bench.session import Session
from bench.timing import in_turn, ratio


@workload("dispatch", "x * 2 + 1 on 4 float64")
def dispatch(size: str) -> tuple[Any, ...]:
    """Four numbers at every size."""
    return (np.array([1.0, 2.0, 3.0, 4.0]),)


@dispatch.reference
def dispatch_numpy(x):
    return x * 2 + 1


@dispatch.peer("numba")
def dispatch_numba() -> Function:
    import numba

    @numba.njit
    def run(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = x[i] * 2 + 1
        return out

    return run


@dispatch.peer("jax")
def dispatch_jax() -> Function:
    import jax

    return jax.jit(dispatch_numpy)


@dispatch.peer("torch")
def dispatch_torch() -> Function:
    import torch

    return torch.compile(dispatch_numpy)


@dispatch.peer("pytensor")
def dispatch_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    x = pt.dvector("x")
    return pytensor.function([x], x * 2 + 1, trust_input=True)


@dispatch.peer("numexpr")
def dispatch_numexpr() -> Function:
    import numexpr

    return lambda x: numexpr.evaluate("x * 2 + 1", {"x": x})


@dispatch.peer("drjit")
def dispatch_drjit() -> Function:
    return dispatch_numpy


@special("dispatch_in_process", "x * 2 + 1 on 4 float64 beside np.sin(x) and a Numba dispatcher, one process")
def dispatch_in_process(session: Session) -> list[dict[str, Any]]:
    """All in one process, taking turns."""
    functions = [name for name in ("tracejit", "numba") if name in session.peers and installed(name)]
    rounds = session.fresh(
        measure_in_process, "numba", session.caches("dispatch"), functions, session.rounds, session.budget
    )
    if "failed" in rounds:
        return [{"peer": "tracejit", "failed": rounds["failed"]}]
    rows = []
    for name, samples in rounds.items():
        every = [value for turn in samples for value in turn]
        row = {"peer": name, "min": min(every), "median": statistics.median(every)}
        row["x np.sin"] = ratio(samples, rounds["np.sin"])
        row["x numba"] = ratio(samples, rounds["numba"]) if "numba" in rounds else None
        rows.append(row)
    return rows


def measure_in_process(functions: list[str], rounds: int, budget: float) -> dict[str, list[list[float]]]:
    """In the fresh process: samples per name and round."""
    x = dispatch.inputs("small")[0]
    calls = {"np.sin": functools.partial(np.sin, x), "numpy": functools.partial(dispatch_numpy, x)}
    for name in functions:
        calls[name] = functools.partial(dispatch.builders[name](), x)
    for call in calls.values():
        call()
    return in_turn(calls, rounds, budget)
