"""Python's loops and branches in compiled functions do what they do in Python."""

from __future__ import annotations

import numpy as np

import tracejit as tj
from tests.util.compare import check


def test_an_error_in_a_loop_leaves_what_the_turns_before_it_wrote():
    def f(x, y, i):
        for k in range(len(i)):
            x[i[k]] += y[k]

    x, y = np.ones(5), np.arange(10.0)
    jitted = tj.jit(f, exact=True)
    check(f, x, y, np.array([0, 4, 2, 1, 1]), jitted=jitted)
    check(f, x, y, np.array([1, 2, 99, 0, 3]), jitted=jitted, in_loop=True)
    check(f, x, y, np.array([-5, 2, 4, -1, -6]), jitted=jitted, in_loop=True)
