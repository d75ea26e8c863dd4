"""A million options: prices and all five Greeks by automatic differentiation, against the closed forms.

    python examples/black_scholes.py [--quick] [--output black_scholes.png]

Only the price is written down. Delta, vega and theta come from one reverse sweep (`tj.grad`), gamma from a forward
sweep over it (`tj.jvp` of `tj.grad`), rho from a forward sweep in the one rate that all options share (`tj.jvp`).
`tj.vmap` of the gradient of a single option gives the same numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.special import erf
from side_by_side import readable, side_by_side

import tracejit as tj

RATE = 0.03
NAMES = ("price", "delta", "gamma", "vega", "theta", "rho")
INK = "#22313f"

# ------------------------------------------------------------------------------------- what is written


def normal_cdf(x):
    """Probability that a standard normal variable is below x."""
    return 0.5 + 0.5 * erf(x / np.sqrt(2.0))


def call_price(spot, strike, time, sigma, rate):
    """A European call by Black and Scholes."""
    root = sigma * np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma * sigma) * time) / root
    return spot * normal_cdf(d1) - strike * np.exp(-rate * time) * normal_cdf(d1 - root)


@tj.jit
def price_and_greeks(spot, strike, time, sigma, rate):
    """Price, delta, gamma, vega, theta, rho of every option."""

    def total(spot, time, sigma):
        return np.sum(call_price(spot, strike, time, sigma, rate))  # each option depends on its own inputs only

    def delta_of(spot):
        return tj.grad(total)(spot, time, sigma)

    delta, by_time, vega = tj.grad(total, argnums=(0, 1, 2))(spot, time, sigma)
    gamma = tj.jvp(delta_of, (spot,), (np.ones_like(spot),))[1]
    price, rho = tj.jvp(lambda rate: call_price(spot, strike, time, sigma, rate), (rate,), (1.0,))
    return price, delta, gamma, vega, -by_time, rho


one_by_one = tj.jit(tj.vmap(tj.grad(call_price, argnums=(0, 2, 3, 4)), in_axes=(0, 0, 0, 0, None)))

# ----------------------------------------------------------------------- what it is measured against


def closed_forms(spot, strike, time, sigma, rate):
    """The textbook formulas in plain NumPy."""
    root_time = np.sqrt(time)
    root = sigma * root_time
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma * sigma) * time) / root
    n1, n2 = normal_cdf(d1), normal_cdf(d1 - root)
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    discounted = strike * np.exp(-rate * time)
    return (
        spot * n1 - discounted * n2,
        n1,
        density / (spot * root),
        spot * density * root_time,
        -spot * density * sigma / (2.0 * root_time) - rate * discounted * n2,
        discounted * time * n2,
    )


def options(count: int) -> tuple[np.ndarray, ...]:
    """Spot, strike, time to expiry in years and volatility of `count` options."""
    generator = np.random.default_rng(0)
    ranges = ((50.0, 150.0), (50.0, 150.0), (0.05, 2.0), (0.1, 0.6))
    return tuple(generator.uniform(low, high, count) for low, high in ranges)


def deviations(ours: Any, theirs: Any) -> list[float]:
    """Largest difference of each quantity, relative to its largest value."""
    return [float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(ours, theirs, strict=True)]


# -------------------------------------------------------------------------------------------- picture


def draw(path: str, evaluate: Callable[..., Any]) -> None:
    """The six quantities over spot and time to expiry, for a strike of 100."""
    spot, time = np.meshgrid(np.linspace(60.0, 140.0, 321), np.linspace(0.04, 1.5, 241))
    everything = evaluate(spot, np.full_like(spot, 100.0), time, np.full_like(spot, 0.25), RATE)
    plt.switch_backend("agg")  # a file is wanted, whatever screen there is
    plt.rcParams.update({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "font.size": 11})
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.6), layout="constrained", sharex=True, sharey=True)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    for axes, name, values in zip(grid.flat, NAMES, everything, strict=True):
        mesh = axes.pcolormesh(spot, time, values, cmap="viridis", shading="gouraud", rasterized=True)
        levels = [level for level in MaxNLocator(7).tick_values(values.min(), values.max()) if level != 0]
        lines = axes.contour(spot, time, values, levels=levels, colors="white", linewidths=0.8, linestyles="solid")
        for label in axes.clabel(lines, fontsize=8.5, fmt="%g"):
            label.set_path_effects([withStroke(linewidth=1.6, foreground=INK)])
        axes.axvline(100.0, color="white", linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_title(name, loc="left", fontweight="bold")
        figure.colorbar(mesh, ax=axes, pad=0.02).outline.set_visible(False)
    for axes in grid[1]:
        axes.set_xlabel("spot price")
    for axes in grid[:, 0]:
        axes.set_ylabel("years to expiry")
    figure.suptitle(
        "A call with strike 100, volatility 25 %, rate 3 %: the price and its derivatives",
        x=0.01,
        ha="left",
        fontweight="bold",
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


# ----------------------------------------------------------------------------------------------- main


def report(console: Console, errors: list[float], by_vmap: list[float]) -> None:
    """The table of deviations."""
    table = Table(box=None, pad_edge=False)
    for heading in ("quantity", "against the closed form", "vmap of one option"):
        table.add_column(heading, justify="left" if heading == "quantity" else "right")
    shown = dict(zip(("delta", "theta", "vega", "rho"), by_vmap, strict=True))
    for name, error in zip(NAMES, errors, strict=True):
        table.add_row(name, f"{error:.1e}", f"{shown[name]:.1e}" if name in shown else "")
    console.print(table)


def main() -> None:
    """Compute, compare, time, draw."""
    parser = argparse.ArgumentParser(description="Price a million options and differentiate the prices.")
    parser.add_argument("--output", default="black_scholes.png", help="the picture (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="ten thousand options, for a test")
    arguments = parser.parse_args()
    console = Console()
    count = 10_000 if arguments.quick else 1_000_000
    inputs = (*options(count), RATE)
    few = tuple(array[: count // 100] for array in inputs[:4])
    with Progress(TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("price and Greeks", total=5)

        def advance(next_one: str) -> None:
            progress.update(task, advance=1, description=next_one)

        ours = price_and_greeks(*inputs)
        advance("closed forms")
        theirs = closed_forms(*inputs)
        advance("one option at a time")
        delta, by_time, vega, rho = one_by_one(*few, RATE)
        advance("timing")
        seconds = side_by_side(
            lambda: price_and_greeks(*inputs),
            lambda: closed_forms(*inputs),
            repeat=1,
            rounds=3 if arguments.quick else 9,
        )
        advance("picture")
        draw(arguments.output, price_and_greeks)
        advance("done")
    exact = closed_forms(*few, RATE)
    by_vmap = deviations((delta, -by_time, vega, rho), (exact[1], exact[4], exact[3], exact[5]))
    report(console, deviations(ours, theirs), by_vmap)
    console.print(f"options        {count}")
    console.print(f"compilations   {price_and_greeks.cache_info().compiles}")
    console.print(
        f"time           {readable(seconds[0])}, closed forms in plain NumPy {readable(seconds[1])}: "
        f"{seconds[2]:.2f} of NumPy's time"
    )
    console.print(f"picture: {arguments.output}")


if __name__ == "__main__":
    main()
