"""``python -m tests.programs``: the table of the corpus. state, compilations, first calls, speed.

Each program has a process of its own and an empty cache of machine code, so that its first call compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from tests.programs.catalogue import load

Row = dict[str, Any]

COLUMNS = ("program", "state", "traces", "first s", "/ Numba's", "NumPy ms", "/ NumPy", "/ Numba")


def _arguments() -> argparse.Namespace:
    programs = load()
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("programs", nargs="*", help="programs or domains (default: all)")
    parser.add_argument("--no-numba", action="store_true", help="leave Numba out, which takes most of the time")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one program (default: %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="also write all rows")
    options = parser.parse_args()
    known = {*programs, *(program.domain for program in programs.values())}
    if unknown := [name for name in options.programs if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}")
    options.chosen = [
        name
        for name, program in programs.items()
        if not options.programs or name in options.programs or program.domain in options.programs
    ]
    return options


def _row(name: str, options: argparse.Namespace) -> Row:
    command = [sys.executable, "-m", "tests.programs.measure", name, *(["--no-numba"] if options.no_numba else [])]
    with tempfile.TemporaryDirectory(prefix="tracejit-programs-") as folder:
        try:
            done = subprocess.run(
                command,
                env=os.environ | {"TRACEJIT_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                timeout=options.timeout,
            )
        except subprocess.TimeoutExpired:
            return {"program": name, "state": "fails", "fails": f"no answer within {options.timeout:.0f} s"}
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"program": name, "state": "fails", "fails": reason}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def _ratio(row: Row, ours: str, theirs: str) -> float | None:
    return row[ours] / row[theirs] if row.get(ours) and row.get(theirs) else None


def _cells(row: Row) -> list[str]:
    numbers = [
        row.get("first"),
        _ratio(row, "first", "numba_first"),
        row["numpy"] * 1e3 if "numpy" in row else None,
        _ratio(row, "tracejit", "numpy"),
        _ratio(row, "tracejit", "numba"),
    ]
    return [
        row["program"],
        row["state"],
        str(row.get("traces", "")),
        *("" if number is None else f"{number:.3f}" for number in numbers),
    ]


def _print(cells: list[str], tail: str = "") -> None:
    left = f"{cells[0]:28}{cells[1]:10}"
    print(left + "".join(f"{cell:>11}" for cell in cells[2:]) + ("  " + tail if tail else ""), flush=True)


def _summary(rows: list[Row]) -> None:
    states = [row["state"] for row in rows]
    print(", ".join(f"{states.count(state)} {state}" for state in ("native", "callback", "unrolled", "fails")))
    for title, ours, theirs, chosen in (
        ("first call / Numba's", "first", "numba_first", rows),
        ("time / NumPy's", "tracejit", "numpy", rows),
        ("time / Numba's", "tracejit", "numba", rows),
        ("time / Numba's, element by element", "tracejit", "numba", [row for row in rows if row.get("loops")]),
    ):
        ratios = [ratio for row in chosen if (ratio := _ratio(row, ours, theirs)) is not None]
        if ratios:
            middle, above = statistics.median(ratios), sum(ratio > 1 for ratio in ratios)
            print(f"{title}: median {middle:.3f}, worst {max(ratios):.2f}; {above} of {len(ratios)} > 1")
    if first := [row["first"] for row in rows if "first" in row]:
        print(f"first call: mean {statistics.mean(first):.3f} s, worst {max(first):.3f} s")


def main() -> None:
    """Measure and print, each row as it is ready."""
    options = _arguments()
    _print(list(COLUMNS))
    rows = []
    for name in options.chosen:
        rows.append(_row(name, options))
        _print(_cells(rows[-1]), rows[-1].get("fails", "")[:100])
    _summary(rows)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
