"""The examples as a user runs them: in a process of their own, judged by what they print and draw."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
PNG = b"\x89PNG\r\n\x1a\n"


def run(name: str, folder: pathlib.Path, *options: str) -> str:
    """The output of an example, run in `folder` where it must leave its picture."""
    finished = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(EXAMPLES / f"{name}.py"), *options],
        cwd=folder,
        env=os.environ
        | {
            "COLUMNS": "200",
            "MPLCONFIGDIR": str(folder / "matplotlib"),
            "TRACEJIT_CACHE_DIR": str(folder / "cache"),  # empty, so that compilations are counted
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    picture = (folder / f"{name}.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 20_000
    return finished.stdout


def numbers(label: str, output: str) -> list[float]:
    """Every number on every line that begins with the label."""
    lines = re.findall(rf"^\s*{label}\b(.*)$", output, flags=re.MULTILINE)
    return [float(text) for line in lines for text in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", line)]


def test_digits_learns_and_compiles_each_step_once(tmp_path: pathlib.Path) -> None:
    output = run("digits", tmp_path, "--quick")
    linear, perceptron = numbers("test accuracy", output)
    assert linear >= 85.0
    assert perceptron >= 88.0
    assert numbers("compilations", output) == [1, 1]
    assert "the last of 30" in output


@pytest.mark.slow
def test_digits_reaches_95_percent(tmp_path: pathlib.Path) -> None:
    output = run("digits", tmp_path)
    linear, perceptron = numbers("test accuracy", output)
    assert linear >= 93.0
    assert perceptron >= 95.0
    assert numbers("compilations", output) == [1, 1]


def test_black_scholes_agrees_with_the_closed_forms(tmp_path: pathlib.Path) -> None:
    output = run("black_scholes", tmp_path, "--quick")
    for name in ("price", "delta", "gamma", "vega", "theta", "rho"):
        deviations = numbers(name, output)
        assert deviations, name
        assert max(deviations) < 1e-12, name
    assert numbers("compilations", output)[0] <= 2  # flat arrays, and the grid of the picture


def test_heat_gradient_agrees_with_the_adjoint_by_hand(tmp_path: pathlib.Path) -> None:
    output = run("heat", tmp_path, "--quick")
    assert numbers("against plain NumPy", output)[0] < 1e-10
    assert numbers("gradient by hand", output)[0] < 1e-10
    reading, by_gradient = numbers("sensor", output)
    assert reading == by_gradient
    first, last = numbers("misfit", output)
    assert last < 0.1 * first  # 20 steps; the full run makes 400 and ends at 4e-6 of it
    assert numbers("compilations", output) == [1]
