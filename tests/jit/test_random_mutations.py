"""Random programs that write through views of views: compiled, they leave every array as NumPy leaves it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

import tracejit as tj
from tests.util.compare import assert_same_outcome, check, outcome_of
from tests.util.mutations import mutations, sample_arguments

TOLERANCE = 1e-9  # sums in another order

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")


def run(program, cases):
    """The calls one after the other, by one compiled function; what is not compiled is no matter here."""
    note(program.text)
    jitted = tj.jit(program.function)
    for args in cases:
        expected = outcome_of(program.function, args, {})
        actual = outcome_of(jitted, args, {})
        if isinstance(actual.error, tj.UnsupportedError | tj.ConcretizationError):
            return
        assert_same_outcome(actual, expected, tolerance=TOLERANCE, text=False)


@settings(max_examples=40)
@given(mutations())
def test_on_separate_arrays(program):
    run(program, [sample_arguments(), sample_arguments(1), sample_arguments(2)])


@settings(max_examples=20)
@given(mutations(), st.sampled_from(["twice", "transposed", "shifted", "flat", "reversed"]))
def test_on_arrays_that_share_memory(program, how):
    a, b, v, i = sample_arguments(3)
    base = np.arange(40.0) / 4
    given_arrays = {
        "twice": (a, a, v, i),
        "transposed": (a, a.T, v, i),
        "shifted": (base[:16].reshape(4, 4), base[3:19].reshape(4, 4), base[10:26], i),
        "flat": (a, b, a.ravel(), i),
        "reversed": (base[:16].reshape(4, 4), base[15::-1].reshape(4, 4), base[16::-1][:16], i),
    }[how]
    run(program, [given_arrays, given_arrays, sample_arguments(4)])


@settings(max_examples=8)
@given(mutations(most=25))
def test_long_programs(program):
    run(program, [sample_arguments(5), sample_arguments(6)])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_variable_of_a_loop_is_a_view_of_the_last_part_afterwards(count):
    def alone(a):
        row = a[:1]
        for row in a:
            row += 1.0
        row *= 2.0
        a[...] += 1.0
        return row

    def paired(a, b):
        x = y = a[:1]
        for x, y in zip(a, b, strict=True):
            x += y
        y[...] = x
        return y

    a, b = np.arange(12.0).reshape(3, 4)[:count], np.ones((3, 4))[:count]
    check(alone, a)
    check(paired, a, b)
