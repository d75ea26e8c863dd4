"""How one process times a callable, and how rounds of several processes become figures."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

__all__ = ["in_turn", "ratio", "sample"]

CLOCK_FLOOR = 50e-6  # calls shorter than this are timed in batches, so that the clock is not part of the result


def _timed(call: Callable[[], Any], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        result = call()
    elapsed = time.perf_counter() - start
    del result
    return elapsed / repeat


def sample(call: Callable[[], Any], budget: float, least: int = 3) -> list[float]:
    """Seconds per call, measured again and again for `budget` seconds and at least `least` times."""
    gc.collect()
    gc.disable()
    try:
        repeat = max(1, int(CLOCK_FLOOR / max(_timed(call, 1), 1e-8)))
        samples = []
        end = time.perf_counter() + budget
        while len(samples) < least or time.perf_counter() < end:
            samples.append(_timed(call, repeat))
        return samples
    finally:
        gc.enable()


def in_turn(calls: dict[str, Callable[[], Any]], rounds: int, budget: float) -> dict[str, list[list[float]]]:
    """Samples of several callables of one process, taking turns: name -> one list per round."""
    taken: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(sample(call, budget))
    return taken


def ratio(rounds: list[list[float]], base: list[list[float]]) -> float | None:
    """Median over the rounds of the ratio of the two medians within the round."""
    pairs = [
        statistics.median(ours) / statistics.median(theirs)
        for ours, theirs in zip(rounds, base, strict=False)
        if ours and theirs
    ]
    return statistics.median(pairs) if pairs else None
