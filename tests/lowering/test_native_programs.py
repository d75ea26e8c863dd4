"""Any program means the same as machine code."""

from __future__ import annotations

import ctypes
import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lowering.programs import arguments, programs
from tracejit.ir.core import Function
from tracejit.ir.dims import evaluate
from tracejit.ir.interpreter import interpret
from tracejit.passes import optimise
from tracejit.runtime import memory
from tracejit.runtime.compile import CompileOptions, compile_kernel

sizes = st.sampled_from([1, 2, 3, 7, 16, 33])
EXAMPLES = int(os.environ.get("TRACEJIT_TEST_EXAMPLES", "200")) // 4
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), sizes, sizes, st.integers(0, 99))
def test_machine_code_keeps_the_meaning(function: Function, rows: int, columns: int, seed: int) -> None:
    given_arrays = arguments(seed, rows, columns)
    expected = interpret(function, *[np.array(a) for a in given_arrays])
    kernel = compile_kernel(function, {"n": rows, "m": columns}, CompileOptions(exact=True))
    arrays = [np.array(a) for a in given_arrays]
    bound = {"n": rows, "m": columns}
    fresh = [
        np.full(tuple(evaluate(d, bound) for d in r.dims), np.nan).astype(r.dtype)
        for position, r in enumerate(function.results)
        if position not in function.aliases
    ]
    memories = [*arrays, *fresh]
    data = (ctypes.c_void_p * len(memories))(*[a.ctypes.data for a in memories])
    values = (ctypes.c_int64 * 2)(*[bound[name] for name in function.symbols()])
    address, context = memory.new_context()
    assert KERNEL(kernel.address)(ctypes.addressof(data), ctypes.addressof(values), address) == 0
    del context
    remaining = iter(fresh)
    for position, wanted in enumerate(expected):
        got = arrays[function.aliases[position]] if position in function.aliases else next(remaining)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=f"{optimise(function, exact=True)}")
