"""Any program means the same before and after lowering."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lowering.programs import arguments, programs
from tracejit.ir.core import Function
from tracejit.ir.interpreter import interpret
from tracejit.ir.verifier import verify
from tracejit.lowering import lower

sizes = st.integers(1, 6)
EXAMPLES = int(os.environ.get("TRACEJIT_TEST_EXAMPLES", "200"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), sizes, sizes, st.integers(0, 99))
def test_lowering_keeps_the_meaning(function: Function, rows: int, columns: int, seed: int) -> None:
    given_arrays = arguments(seed, rows, columns)
    expected = interpret(function, *[np.array(a) for a in given_arrays])
    for hints in ({}, {"n": rows, "m": columns}):
        loops = lower(function, hints)
        verify(loops)
        arrays = [np.array(a) for a in given_arrays]
        fresh = iter(interpret(loops, *arrays))
        for position, wanted in enumerate(expected):
            got = arrays[function.aliases[position]] if position in function.aliases else next(fresh)
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=f"{function}\n{loops}")
