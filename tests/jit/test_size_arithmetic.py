"""Sizes that are computed from others: many spellings of one size, ranges of sizes, distances to roll by."""

from __future__ import annotations

import numpy as np

from tests.util.compare import check, versions_of


def test_halves_of_halves_are_known_to_be_equal() -> None:
    """The sizes of a transform by halves have many spellings, of which no one can be solved for another."""

    def halves(x):
        n = x.shape[0]
        if n <= 4:
            return x * 2
        even, odd, ramp = halves(x[::2]), halves(x[1::2]), np.arange(n)
        return np.concatenate([even + ramp[: n // 2] * odd, even + ramp[n // 2 :] * odd])

    jitted = check(halves, np.arange(8.0))
    check(halves, np.arange(32.0), jitted=jitted)
    check(halves, np.arange(64.0), jitted=jitted)


def test_rolls_by_computed_sizes() -> None:
    def rolled(x, k):
        chosen = x[x > 0]
        return np.roll(chosen, k), np.roll(chosen, -1), np.roll(chosen, 7), np.fft.ifftshift(np.arange(-k / 2, k / 2))

    jitted = check(rolled, np.arange(-3, 9.0), 2)
    check(rolled, np.arange(-1, 3.0), 5, jitted=jitted)


def test_ranges_of_sizes_are_arrays() -> None:
    def arrays(n, m):
        return (
            np.meshgrid(range(n), range(1, m, 2)),
            np.sum(range(n)),
            np.arange(n, -1, -1.0),
            np.asarray(range(m), float),
        )

    jitted = check(arrays, 3, 4)
    check(arrays, 6, 9, jitted=jitted)
    assert versions_of(jitted) == 1
