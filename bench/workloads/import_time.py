"""How long an import takes in a fresh process, beside what it cannot do without.

tracejit imports NumPy and llvmlite when it first needs them, so the import alone does not tell what a user waits for: a
second row has a first call too, with its code on disk.
"""

from __future__ import annotations

import statistics
from typing import Any

from bench.peers import environment
from bench.registry import special
from bench.session import Session

PROGRAM = """
import sys, time
start = time.perf_counter()
exec(sys.argv[1])
print(time.perf_counter() - start)
"""

STATEMENTS = {
    "numpy": "import numpy",
    "numpy + llvmlite": "import numpy, llvmlite.binding",
    "tracejit": "import tracejit",
    "tracejit, first call": "import tracejit, numpy; tracejit.jit(lambda x: x + 1)(numpy.ones(3))",
    "numba": "import numba",
    "jax": "import jax",
    "torch": "import torch",
    "pytensor": "import pytensor",
    "numexpr": "import numexpr",
    "drjit": "import drjit",
}


@special("import_time", "import in a fresh process")
def import_time(session: Session) -> list[dict[str, Any]]:
    """All in turn, so that a slow minute of the machine hits every one."""
    names = [name for name in STATEMENTS if name.split(", ")[0] in session.peers or name == "numpy + llvmlite"]
    rounds = 3 if session.quick else max(session.rounds, 7)
    variables = environment("numpy", session.threads, session.caches("import"))
    taken: dict[str, list[float]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for turn in range(rounds + 1):
        for name in (name for name in names if name not in failed):
            answer = session.python(["-c", PROGRAM, STATEMENTS[name]], variables)
            if isinstance(answer, dict):
                failed[name] = answer["failed"]
            elif turn > 0:  # the first turn reads the files from disk, and fills caches
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
