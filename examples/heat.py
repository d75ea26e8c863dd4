"""A plate cools: the heat equation by array slicing, and its gradient with respect to the initial temperature.

    python examples/heat.py [--quick] [--output heat.png]

`tj.grad` of the temperature that a sensor shows at the end says how much each point of the initial plate counts.
With the gradient of the misfit to a measured final plate, gradient descent finds the initial plate again. The same
gradient in plain NumPy, with the adjoint equations written by hand, is timed beside it.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from side_by_side import readable, side_by_side

import tracejit as tj

STEPS = 30
RATIO = 0.24  # diffusivity × time step / spacing²; the scheme is stable up to 0.25
INK, ACCENT = "#22313f", "#d1495b"

# ------------------------------------------------------------------------------------------ the equation


def cool(plate):
    """The plate after STEPS explicit steps; its border keeps its temperature."""
    for _ in range(STEPS):
        new = plate.copy()
        new[1:-1, 1:-1] += RATIO * (
            plate[:-2, 1:-1] + plate[2:, 1:-1] + plate[1:-1, :-2] + plate[1:-1, 2:] - 4.0 * plate[1:-1, 1:-1]
        )
        plate = new
    return plate


simulate = tj.jit(cool)


@tj.jit
def sensitivity(plate, sensor):
    """Derivative of the final temperature at the sensor (a weight per point) with respect to the initial plate."""
    return tj.grad(lambda plate: np.sum(sensor * cool(plate)))(plate)


@tj.jit
def misfit_and_slope(plate, measured):
    """Half the squared distance to the measured final plate, and its gradient."""

    def misfit(plate):
        difference = cool(plate) - measured
        return 0.5 * np.sum(difference * difference)

    return tj.value_and_grad(misfit)(plate)


# ------------------------------------------------------------- the same by hand, for comparison


def adjoint_by_hand(slope: np.ndarray) -> np.ndarray:
    """The transposed steps, last first."""
    for _ in range(STEPS):
        inner = RATIO * slope[1:-1, 1:-1]
        slope = slope.copy()
        slope[1:-1, 1:-1] -= 4.0 * inner
        slope[:-2, 1:-1] += inner
        slope[2:, 1:-1] += inner
        slope[1:-1, :-2] += inner
        slope[1:-1, 2:] += inner
    return slope


def misfit_and_slope_by_hand(plate: np.ndarray, measured: np.ndarray) -> tuple[float, np.ndarray]:
    """`misfit_and_slope` without a compiler."""
    difference = cool(plate) - measured
    return 0.5 * np.sum(difference * difference), adjoint_by_hand(difference)


# ---------------------------------------------------------------------------------------------- the plate


def hot_plate(size: int) -> np.ndarray:
    """A cold plate with a hot ring, a hot bar and a warm disc."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    plate = np.zeros((size, size))
    radius = np.hypot(x - 0.36, y - 0.4)
    plate[(radius > 0.14) & (radius < 0.22)] = 100.0
    plate[(np.abs(x - 0.76) < 0.05) & (np.abs(y - 0.45) < 0.28)] = 80.0
    plate[np.hypot(x - 0.38, y - 0.8) < 0.09] = 60.0
    return plate


def sensor_at(size: int) -> np.ndarray:
    """One point, between the ring and the bar."""
    sensor = np.zeros((size, size))
    sensor[int(0.42 * size), int(0.62 * size)] = 1.0
    return sensor


def recover(measured: np.ndarray, iterations: int, bar: Any) -> tuple[np.ndarray, list[float]]:
    """The initial plate whose final state is the measured one, by Nesterov's descent; the misfits on the way."""
    plate, previous = measured.copy(), measured.copy()
    misfits = []
    for iteration in range(iterations):
        ahead = plate + iteration / (iteration + 3) * (plate - previous)
        misfit, slope = misfit_and_slope(ahead, measured)
        previous, plate = plate, ahead.copy()
        plate[1:-1, 1:-1] -= slope[1:-1, 1:-1]  # the border is known: it has not changed
        misfits.append(float(misfit))
        bar(misfits[-1])
    return plate, misfits


# -------------------------------------------------------------------------------------------- picture


def show_plate(figure: Any, axes: Any, values: np.ndarray, title: str, colours: str = "inferno", **limits: Any) -> None:
    """One plate with its scale."""
    image = axes.imshow(values, cmap=colours, interpolation="nearest", **limits)
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, pad=0.02, shrink=0.86).outline.set_visible(False)


def draw(path: str, plates: dict[str, np.ndarray], sensor: np.ndarray, misfits: list[float]) -> None:
    """Initial, final, sensitivity; recovered plate, its error, the misfit."""
    plt.switch_backend("agg")  # a file is wanted, whatever screen there is
    plt.rcParams.update({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "font.size": 11})
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    initial, final, counts, recovered = (plates[name] for name in ("initial", "final", "sensitivity", "recovered"))
    row, column = np.argwhere(sensor)[0]
    show_plate(figure, grid[0, 0], initial, "initial temperature", vmin=0, vmax=100)
    show_plate(figure, grid[0, 1], final, f"after {STEPS} steps (what is measured)", vmin=0, vmax=100)
    for axes in grid[0, :2]:
        axes.plot(column, row, marker="+", color="white", markersize=11, markeredgewidth=1.8)
    show_plate(figure, grid[0, 2], counts, "gradient of the sensor's reading", "cividis")
    grid[0, 2].contour(initial, levels=[30.0], colors="white", linewidths=0.8, alpha=0.7)
    grid[0, 2].set_xlim(column - STEPS, column + STEPS)  # farther away nothing can count
    grid[0, 2].set_ylim(row + STEPS, row - STEPS)
    show_plate(figure, grid[1, 0], recovered, "recovered from the measurement", vmin=0, vmax=100)
    worst = float(np.max(np.abs(recovered - initial)))
    show_plate(figure, grid[1, 1], recovered - initial, "recovered − initial", "RdBu_r", vmin=-worst, vmax=worst)
    axes = grid[1, 2]
    axes.plot(np.arange(1, len(misfits) + 1), misfits, color=ACCENT, linewidth=2)
    axes.set_yscale("log")
    axes.set_xscale("log")
    axes.set_xlabel("iteration")
    axes.set_title("misfit", loc="left", fontweight="bold", fontsize=11.5)
    axes.grid(color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


# ----------------------------------------------------------------------------------------------- main


def main() -> None:
    """Simulate, differentiate, recover, time, draw."""
    parser = argparse.ArgumentParser(description="The heat equation and its gradient.")
    parser.add_argument("--output", default="heat.png", help="the picture (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a small plate and few iterations, for a test")
    arguments = parser.parse_args()
    console = Console()
    size, iterations = (40, 20) if arguments.quick else (112, 400)
    initial, sensor = hot_plate(size), sensor_at(size)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[misfit]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("recovering the initial plate", total=iterations, misfit="")
        final = simulate(initial)
        counts = sensitivity(initial, sensor)
        recovered, misfits = recover(
            final, iterations, lambda misfit: progress.update(task, advance=1, misfit=f"misfit {misfit:.2e}")
        )
    slope = misfit_and_slope(initial, 0.9 * final)[1]
    slope_by_hand = misfit_and_slope_by_hand(initial, 0.9 * final)[1]
    ours, theirs, ratio = side_by_side(
        lambda: misfit_and_slope(recovered, final),
        lambda: misfit_and_slope_by_hand(recovered, final),
        repeat=3,
        rounds=3 if arguments.quick else 15,
    )
    console.print(f"plate                 {size} x {size}, {STEPS} steps")
    console.print(f"against plain NumPy   {np.max(np.abs(final - cool(initial))):.1e} degrees")
    console.print(f"gradient by hand      {np.max(np.abs(slope - slope_by_hand)):.1e} apart")
    console.print(f"sensor                {np.sum(sensor * final):.4f}, by its gradient {np.sum(counts * initial):.4f}")
    console.print(f"misfit                {misfits[0]:.3e} at first, {misfits[-1]:.3e} at last")
    console.print(f"compilations          {misfit_and_slope.cache_info().compiles}")
    console.print(
        f"time with gradient    {readable(ours)}, plain NumPy by hand {readable(theirs)}: {ratio:.2f} of NumPy's time"
    )
    plates = {"initial": initial, "final": final, "sensitivity": counts, "recovered": recovered}
    draw(arguments.output, plates, sensor, misfits)
    console.print(f"picture: {arguments.output}")


if __name__ == "__main__":
    main()
