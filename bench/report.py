"""Results as rich tables, as a picture and as JSON."""

from __future__ import annotations

import json
import math
import os
import pathlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.peers import PEERS
from bench.registry import SPECIALS, WORKLOADS

__all__ = ["machine", "plot", "show", "write_json", "write_markdown"]

Row = dict[str, Any]
COLOURS = {
    "tracejit": "#d1495b",
    "numpy": "#222222",
    "numba": "#00798c",
    "jax": "#8d6cab",
    "torch": "#edae49",
    "pytensor": "#6a994e",
    "numexpr": "#8c8c8c",
    "drjit": "#9c6644",
    "copy": "#bbbbbb",
    "copy_numba": "#bbbbbb",
}


def machine() -> dict[str, Any]:
    """What the figures belong to: processor, Python, versions of the peers."""
    import tracejit

    versions = {"tracejit": tracejit.__version__}  # which need not be installed
    for name in sorted({*(peer.module for peer in PEERS.values()), "scipy", "llvmlite"} - {"tracejit"}):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {"processor": _processor(), "cpus": os.cpu_count(), "python": platform.python_version(), **versions}


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def seconds(value: float | None) -> str:
    """A time with a unit that suits it: `5.51 ms`."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def _cells(row: Row) -> list[str]:
    bandwidth = row.get("bandwidth")
    return [
        row["peer"],
        seconds(row.get("first")),
        seconds(row.get("min")),
        seconds(row.get("median")),
        _factor(row.get("x_numpy")),
        _factor(row.get("x_best")),
        row["failed"] if "failed" in row else f"{row['error']:.0e}",
        f"{bandwidth / 1e9:.1f}" if bandwidth else "",
    ]


def show(console: Console, name: str, rows: list[Row], threads: int, size: str) -> None:
    """Print the table of one workload."""
    table = Table(title=_heading(name, threads, size), title_justify="left", box=box.SIMPLE_HEAD)
    columns, bodies = _table(name, rows)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    failed = {row["peer"] for row in rows if row.get("failed")}
    for cells in bodies:
        style = "bold" if cells[0] == "tracejit" else "red" if cells[0] in failed else ""
        table.add_row(*cells, style=style)
    console.print(table)


def write_markdown(path: str, results: dict[int, dict[str, list[Row]]], size: str, command: str) -> None:
    """All tables as a document, with the command and the machine they came from."""
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    lines = [f"`{command}`", "", facts, ""]
    for threads, workloads in results.items():
        for name, rows in workloads.items():
            columns, bodies = _table(name, rows)
            lines += [f"### {_heading(name, threads, size)}", "", _line(columns)]
            lines.append(_line(["---", *("---:" for _ in columns[1:])]))
            lines += [
                _line([f"**{cell}**" if cells[0] == "tracejit" and cell else cell for cell in cells])
                for cells in bodies
            ]
            lines.append("")
    pathlib.Path(path).write_text("\n".join(lines))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(name: str, threads: int, size: str) -> str:
    title = (WORKLOADS.get(name) or SPECIALS[name]).title
    return f"{name}: {title}  ({threads} thread{'s' * (threads > 1)}, {size})"


def _table(name: str, rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Column headings and the cells of every row; columns that stay empty are left out."""
    if name in SPECIALS:
        columns = list(rows[0]) if rows else ["peer"]
        bodies = [[_special_cell(column, row.get(column)) for column in columns] for row in rows]
    else:
        columns = ["peer", "first call", "min", "median", "x numpy", "x best peer", "error", "GB/s"]
        bodies = [_cells(row) for row in sorted(rows, key=lambda row: row.get("median", math.inf))]
    used = [index for index in range(len(columns)) if index == 0 or any(cells[index] for cells in bodies)]
    return [columns[index] for index in used], [[cells[index] for index in used] for cells in bodies]


def _special_cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return _factor(value) if column.startswith("x ") else seconds(value)
    return str(value)


def write_json(path: str, results: dict[int, dict[str, list[Row]]], options: dict[str, Any]) -> None:
    """Everything measured, with the machine it was measured on."""
    payload = {"machine": machine(), "options": options, "threads": results}
    pathlib.Path(path).write_text(json.dumps(payload, indent=1) + "\n")


def plot(path: str, results: dict[str, list[Row]], threads: int) -> None:
    """A dot plot: one line per workload, one dot per peer, time relative to NumPy."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [name for name in results if name in WORKLOADS and any(row.get("x_numpy") for row in results[name])]
    if not names:
        return
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.5 * len(names)), layout="constrained")
    seen = set()
    for level, name in enumerate(reversed(names)):
        rows = [row for row in results[name] if row.get("x_numpy") and not row["peer"].startswith("copy")]
        values = [row["x_numpy"] for row in rows]
        axes.plot([min(values), max(values)], [level, level], color="#dddddd", linewidth=2, zorder=1)
        for row in rows:
            peer = row["peer"]
            ours = peer == "tracejit"
            axes.scatter(
                row["x_numpy"],
                level,
                s=110 if ours else 55,
                marker="D" if ours else "o",
                color=COLOURS[peer],
                edgecolor="white",
                linewidth=0.8,
                zorder=4 if ours else 3,
                label=None if peer in seen else peer,
            )
            seen.add(peer)
    axes.axvline(1, color="#222222", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("time per call relative to NumPy (left is faster)")
    axes.set_title(f"Steady state, {threads} thread{'s' * (threads > 1)}", loc="left", fontweight="bold")
    axes.grid(axis="x", color="#eeeeee", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = [peer for peer in COLOURS if peer in handles]
    axes.legend([handles[peer] for peer in order], order, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
