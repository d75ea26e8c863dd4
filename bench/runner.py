"""Runs workloads: sets every peer up, checks it, takes interleaved rounds, and makes the rows of the result."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from bench.registry import Special, Workload
from bench.session import Session
from bench.timing import ratio

__all__ = ["run_special", "run_workload"]

Row = dict[str, Any]
Progress = Callable[[str], None]


def run_workload(task: Workload, session: Session, progress: Progress) -> list[Row]:
    """One row per peer that has a builder: first call, steady state, error, ratios."""
    expected = str(session.scratch / f"{task.name}-{session.size}.npz")
    rows: dict[str, Row] = {}
    for peer in (name for name in session.peers if name in task.builders):
        progress(f"{task.name}: first call of {peer}")
        answer = session.worker(peer).ask(do="setup", workload=task.name, size=session.size, expected=expected)
        rows[peer] = {"peer": peer, **answer}
        if "failed" not in answer and answer["error"] > task.tolerance:
            rows[peer]["failed"] = f"wrong by {answer['error']:.1e}"
    taken: dict[str, list[list[float]]] = {peer: [] for peer, row in rows.items() if "failed" not in row}
    for turn in range(session.rounds):
        progress(f"{task.name}: round {turn + 1} of {session.rounds}")
        for peer in taken:
            answer = session.worker(peer).ask(do="round", budget=session.budget)
            taken[peer].append(answer.get("samples", []))
            if "failed" in answer:
                rows[peer]["failed"] = answer["failed"]
    for peer in rows:
        session.worker(peer).ask(do="drop")
    _summarise(rows, {peer: rounds for peer, rounds in taken.items() if "failed" not in rows[peer]})
    return list(rows.values())


def _summarise(rows: dict[str, Row], taken: dict[str, list[list[float]]]) -> None:
    best = best_peer(taken)
    for peer, rounds in taken.items():
        every = [value for samples in rounds for value in samples]
        row = rows[peer]
        row["min"], row["median"] = min(every), statistics.median(every)
        row["rounds"] = [statistics.median(samples) for samples in rounds]
        row["x_numpy"] = ratio(rounds, taken["numpy"]) if "numpy" in taken else None
        row["x_best"] = ratio(rounds, taken[best]) if best else None
        row["best_peer"] = best
        row["bandwidth"] = row["bytes"] / row["min"] if row.get("bytes") else None


def best_peer(taken: dict[str, list[list[float]]]) -> str | None:
    """The fastest of the others, NumPy among them: what tracejit is measured by."""
    medians = {
        peer: statistics.median([value for samples in rounds for value in samples])
        for peer, rounds in taken.items()
        if peer != "tracejit" and not peer.startswith("copy")
    }
    return min(medians, key=medians.__getitem__, default=None)


def run_special(task: Special, session: Session, progress: Progress) -> list[Row]:
    """The rows of a measurement with its own procedure."""
    progress(f"{task.name}")
    return task.measure(session)
