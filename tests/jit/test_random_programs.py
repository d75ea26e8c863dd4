"""Random small programs over the whole set of operations: compiled, they do what NumPy does."""

from __future__ import annotations

import numpy as np
from hypothesis import given, note, settings
from hypothesis import strategies as st

import tracejit as tj
from tests.util.compare import assert_same_outcome, outcome_of
from tests.util.programs import arguments, programs

# Sums in another order and vector functions differ by a few roundings, which differences and products enlarge.
TOLERANCE = 1e-9


@settings(max_examples=120)
@given(programs(), st.booleans())
def test_programs(program, exact):
    note(program.text)
    jitted = tj.jit(program.function, exact=exact)
    for seed, rows, columns in [(0, 5, 4), (1, 5, 4), (2, 6, 3), (3, 2, 2)]:
        args = arguments(seed, rows, columns)
        expected = outcome_of(program.function, args, {})
        assert_same_outcome(outcome_of(jitted, args, {}), expected, tolerance=TOLERANCE, text=False)


@settings(max_examples=25)
@given(programs(), st.integers(0, 2))
def test_programs_on_arguments_that_share_memory(program, case):
    note(program.text)
    jitted = tj.jit(program.function)
    a, b, v, s = arguments(4)
    base = np.arange(60.0).reshape(10, 6) / 10 - 3
    args = [(a, a, v, s), (base[:5, :4], base[2:7, 1:5], base[3:8, 0], s), (a.T[:4].T, b, a[:, 1], s)][case]
    for _ in range(2):
        expected = outcome_of(program.function, args, {})
        assert_same_outcome(outcome_of(jitted, args, {}), expected, tolerance=TOLERANCE, text=False)
    args = arguments(5)
    assert_same_outcome(
        outcome_of(jitted, args, {}), outcome_of(program.function, args, {}), tolerance=TOLERANCE, text=False
    )


@settings(max_examples=15)
@given(programs(most=40))
def test_long_programs_on_large_arrays(program):
    """Several vectors' worth of elements, several blocks of rows."""
    note(program.text)
    args = arguments(7, 61, 300)
    expected = outcome_of(program.function, args, {})
    assert_same_outcome(outcome_of(tj.jit(program.function), args, {}), expected, tolerance=1e-7, text=False)


@settings(max_examples=25)
@given(programs(), st.sampled_from(["T", "reversed", "strided", "swapped"]))
def test_programs_on_other_layouts(program, layout):
    note(program.text)
    a, b, v, s = arguments(8)
    change = {
        "T": lambda x: np.asfortranarray(x),
        "reversed": lambda x: x[::-1].copy()[::-1],
        "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
        "swapped": lambda x: x.astype(">f8"),
    }[layout]
    args = (change(a), b, change(v), s)
    expected = outcome_of(program.function, args, {})
    actual = outcome_of(tj.jit(program.function), args, {})
    if layout == "swapped":  # which results keep foreign byte order is NumPy's own business
        for x, y in zip(actual.result, expected.result, strict=True):
            np.testing.assert_allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE)
        return
    assert_same_outcome(actual, expected, tolerance=TOLERANCE, text=False)
