"""Times two functions in turns: a fair comparison on a machine whose speed changes from second to second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def side_by_side(
    first: Callable[[], object], second: Callable[[], object], repeat: int, rounds: int
) -> tuple[float, float, float]:
    """Median seconds per call of each, and the median over the rounds of first / second."""
    pairs = []
    for _ in range(rounds):
        pair = []
        for function in (first, second):
            start = time.perf_counter()
            for _ in range(repeat):
                function()
            pair.append((time.perf_counter() - start) / repeat)
        pairs.append(pair)
    ours, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(ours), statistics.median(theirs), ratio


def readable(seconds: float) -> str:
    """A time with a unit that suits it."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"
