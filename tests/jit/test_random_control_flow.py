"""Random programs with loops, branches and early ends: compiled, they give and leave what they do in Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, note, settings

import tracejit as tj
from tests.util.compare import assert_same_outcome, outcome_of
from tests.util.control_flow import flows

pytestmark = pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")


def arguments(n, s, k):
    random = np.random.default_rng(n)
    a, b = (random.integers(0, 7, n).astype(float) for _ in range(2))
    return a, b, s, k


@settings(max_examples=40)
@given(flows())
def test_on_several_sizes(program):
    note(program.text)
    jitted = tj.jit(program.function)
    for case in [(5, 2.0, 3), (8, 0.0, 1), (1, 3.0, 0)]:
        expected = outcome_of(program.function, arguments(*case), {})
        actual = outcome_of(jitted, arguments(*case), {})
        if isinstance(actual.error, tj.UnsupportedError | tj.ConcretizationError):
            return
        assert_same_outcome(actual, expected, text=False)
