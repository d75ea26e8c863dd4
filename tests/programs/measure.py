"""Measures one program in a process of its own: how it ran, first calls, and times beside NumPy and Numba.

``python -m tests.programs.measure NAME`` prints a line of JSON; ``python -m tests.programs`` runs it for each program.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

import tracejit as tj
from tests.programs.catalogue import Arguments, Program, copied, load
from tests.programs.harness import Observer, quietly

__all__ = ["measure"]

LEAST_ROUNDS = 5
SECONDS = 1.5  # for the rounds of one program; a round is one call of each
SLOW = 0.2  # calls of NumPy that take longer than this are not repeated in each round


def _trivial(x: Any) -> Any:
    return x + 1.0


def _first_call(function: Callable[..., Any], program: Program, arguments: Arguments) -> dict[str, Any]:
    """Seconds of a first call at the usual size, or why there is none."""
    given = copied(arguments)
    start = time.perf_counter()
    try:
        quietly(function, given)
    except Exception as problem:  # any failure is a row of the table
        return {"fails": f"{type(problem).__name__}: {problem}".splitlines()[0]}
    return {"first": time.perf_counter() - start}


def _timed(function: Callable[..., Any], arguments: Arguments) -> float:
    given = copied(arguments)
    start = time.perf_counter()
    function(*given)
    return time.perf_counter() - start


def _compiled_by_numba(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The program under Numba, its helpers too, as their author would decorate them; None without Numba.

    They are those of a second copy of the module: NumPy and tracejit must not meet compiled helpers.
    """
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    numba.njit(_trivial)(np.ones(3))
    spec = importlib.util.find_spec(function.__module__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in list(vars(module).items()):
        if isinstance(value, FunctionType) and value.__globals__ is vars(module):
            setattr(module, name, numba.njit(value))
    compiled: Callable[..., Any] = getattr(module, function.__name__)
    return compiled


def _rounds(calls: dict[str, Callable[..., Any]], arguments: Arguments) -> dict[str, list[float]]:
    """Interleaved times; calls of NumPy are left out of most rounds where they would take all the time."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + SECONDS
    count = 0
    gc.collect()
    gc.disable()
    while count < LEAST_ROUNDS or time.perf_counter() < end:
        for name, call in calls.items():
            if not (name == "numpy" and taken[name] and taken[name][0] > SLOW and count % LEAST_ROUNDS):
                taken[name].append(_timed(call, arguments))
        count += 1
    gc.enable()
    return taken


def measure(program: Program, with_numba: bool) -> dict[str, Any]:
    """The row of a program: state, traces, first calls, medians."""
    dtype = program.dtypes[0]
    arguments = program.arguments(program.usual, dtype)
    tj.jit(_trivial)(np.ones(3))
    compiled = tj.jit(program.function)
    observer = Observer()
    row: dict[str, Any] = {"program": program.name, "domain": program.domain, "loops": program.loops}
    with observer.watching():
        ours = _first_call(compiled, program, arguments)
        for size in program.sizes if "first" in ours else ():
            ours |= {
                k: v for k, v in _first_call(compiled, program, program.arguments(size, dtype)).items() if k == "fails"
            }
    row |= ours | {"state": "fails" if "fails" in ours else observer.state, "traces": compiled.cache_info().traces}
    calls = {"numpy": program.function} | ({} if "fails" in ours else {"tracejit": compiled})
    numba = _compiled_by_numba(program.function) if with_numba else None
    if numba is not None:
        theirs = _first_call(numba, program, arguments)
        row |= {f"numba_{key}": value for key, value in theirs.items()}
        if "first" in theirs:
            calls["numba"] = numba
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = _rounds(calls, arguments)
    return row | {name: statistics.median(times) for name, times in taken.items()}


if __name__ == "__main__":
    print(json.dumps(measure(load()[sys.argv[1]], "--no-numba" not in sys.argv)))
