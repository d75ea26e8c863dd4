"""How long an import takes in a fresh process, beside what it cannot do without."""

from __future__ import annotations

import statistics
from typing import Any

from bench.peers import environment
from bench.registry import special
from bench.session import Session

PROGRAM = """
import sys, time
start = time.perf_counter()
for name in sys.argv[1:]:
    __import__(name)
print(time.perf_counter() - start)
"""

IMPORTS = {
    "numpy": ("numpy",),
    "numpy + llvmlite": ("numpy", "llvmlite.binding"),
    "tracejit": ("tracejit",),
    "numba": ("numba",),
    "jax": ("jax",),
    "torch": ("torch",),
    "pytensor": ("pytensor",),
    "numexpr": ("numexpr",),
    "drjit": ("drjit",),
}


@special("import_time", "import in a fresh process")
def import_time(session: Session) -> list[dict[str, Any]]:
    """All in turn, so that a slow minute of the machine hits every one."""
    names = [name for name in IMPORTS if name in session.peers or name == "numpy + llvmlite"]
    rounds = 3 if session.quick else max(session.rounds, 7)
    variables = environment("numpy", session.threads, session.caches("import"))
    taken: dict[str, list[float]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for turn in range(rounds + 1):
        for name in (name for name in names if name not in failed):
            answer = session.python(["-c", PROGRAM, *IMPORTS[name]], variables)
            if isinstance(answer, dict):
                failed[name] = answer["failed"]
            elif turn > 0:  # the first turn reads the files from disk
                taken[name].append(answer)
    base = taken["numpy + llvmlite"]
    rows = []
    for name in names:
        times = taken[name]
        ratios = [value / under for value, under in zip(times, base, strict=False)]
        rows.append(
            {
                "peer": name,
                "min": min(times, default=None),
                "median": statistics.median(times) if times else None,
                "x numpy + llvmlite": statistics.median(ratios) if ratios else None,
                "failed": failed.get(name),
            }
        )
    return rows
