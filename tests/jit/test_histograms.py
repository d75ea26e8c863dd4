"""``np.histogram`` and ``np.digitize`` by machine code: equal, given, empty and wrong intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.util.compare import check, versions_of

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal(1000)
SMALL = RANDOM.integers(0, 50, 333)


def counted(x: Any, bins: Any) -> Any:
    return np.histogram(x, bins)


@pytest.mark.parametrize(
    "x",
    [NORMAL, NORMAL[:77].astype(np.float32), SMALL, SMALL.astype(np.uint8), NORMAL.reshape(20, 50), np.ones(4),
     np.zeros(0), np.array([1.0, np.nan]), np.array([1.0, np.inf]), np.linspace(0, 1, 101)],
)  # fmt: skip
@pytest.mark.parametrize("bins", [10, 33, 1, 0, [-1.0, 0.0, 0.5, 2.0], [0.0, 0.0, 1.0, 1.0], [0, 10, 20], [1.0, 0.0]])
def test_histograms(x: Any, bins: Any) -> None:
    argument = np.array(bins) if isinstance(bins, list) else bins
    check(counted, x, argument, ulps=4, text=False)


def test_one_histogram_serves_all_sizes() -> None:
    jitted = check(counted, NORMAL, 10, ulps=4)
    check(counted, NORMAL[:77], 19, jitted=jitted, ulps=4)
    assert versions_of(jitted) == 1


@pytest.mark.parametrize("limits", [(-1, 1), (-0.5, 0.25), (2, 1), (0.0, np.inf), (1, 1)])
def test_histograms_of_a_range(limits: Any) -> None:
    def within(x: Any, low: Any, high: Any) -> Any:
        return np.histogram(x, bins=5, range=(low, high), density=True)

    check(within, NORMAL, *limits, tolerance=1e-13, text=False)


@pytest.mark.parametrize("weights", [NORMAL**2, np.arange(1000), NORMAL[:4]])
def test_histograms_of_weights(weights: Any) -> None:
    check(lambda x, w: np.histogram(x, 20, weights=w), NORMAL, weights, tolerance=1e-12)
    check(
        lambda x, w: np.histogram(x, np.linspace(-1, 1, 9), weights=w, density=True), NORMAL, weights, tolerance=1e-12
    )


def test_edges_of_histograms() -> None:
    check(lambda x: np.histogram_bin_edges(x, 7), NORMAL, ulps=4)
    check(lambda x: np.histogram_bin_edges(x, [1, 2, 4]), NORMAL)


@pytest.mark.parametrize(
    "edges", [[-1.0, 0.0, 1.0], [1.0, 0.0, -2.0], [0.0, 1.0, 0.0], [1.0], [0.5, 0.5, 0.5], [2.0, 1.0, 1.0, 0.0]]
)
def test_edges_that_only_the_program_knows(edges: Any) -> None:
    def places(x: Any, bins: Any) -> Any:
        return np.digitize(x, bins), np.digitize(x, bins, right=True), np.digitize(x[0], bins)

    check(places, np.round(NORMAL, 1), np.array(edges))
