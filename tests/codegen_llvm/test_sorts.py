"""NumPy's C sorts: found for its numbers, tried before they are used, called on lines in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, buffer, loop_function
from tracejit.codegen_llvm import sorts
from tracejit.codegen_llvm.sorts import Sort
from tracejit.ir.core import Literal
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import dtype_named, scalar

NAMES = ["f64", "f32", "f16", "c128", "c64", "bool", *(f"{sign}{bits}" for sign in "iu" for bits in (8, 16, 32, 64))]
N = symbol("n")


@pytest.mark.parametrize("kind", ["quicksort", "heapsort", "stable"])
@pytest.mark.parametrize("name", NAMES)
def test_numpy_has_all_of_them(name: str, kind: str) -> None:
    for operation in ("sort", "argsort"):
        assert sorts.is_available(operation, kind, dtype_named(name))
        assert sorts.resolve_symbol(Sort(operation, kind, dtype_named(name)).symbol)


@pytest.mark.parametrize("symbol", ["tj_sort_f64", "tj_sort_bogosort_f64", "tj_gemm_f64", "sort"])
def test_other_symbols(symbol: str) -> None:
    assert sorts.resolve_symbol(symbol) is None


def test_a_function_that_does_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = np.dtype("f8")
    for position, (operation, kind) in enumerate((o, k) for o in ("sort", "argsort") for k in sorts._KINDS):
        wrong = sorts._functions(np.dtype("f4"))[position]
        assert not sorts._is_numpys(Sort(operation, kind, dtype), wrong)
    monkeypatch.setattr(sorts, "_functions", lambda dtype: [0] * 6)
    assert sorts._address.__wrapped__(Sort("sort", "quicksort", dtype)) == 0
    monkeypatch.setattr(sorts, "_functions", lambda dtype: [])
    assert sorts._address.__wrapped__(Sort("sort", "quicksort", dtype)) == 0


@pytest.mark.parametrize("name", ["f64", "i32", "bool", "f16", "c64"])
@pytest.mark.parametrize("kind", ["quicksort", "stable"])
def test_lines_in_memory(name: str, kind: str) -> None:
    def emit(x: Any, values: Any, places: Any) -> None:
        at = Literal(3, scalar("i64"))
        count = P["sub"](P["dim"](dim=N), Literal(5, scalar("i64")))
        P["sort_line"](values, at, count, kind=kind)
        P["argsort_line"](x, at, places, Literal(0, scalar("i64")), count, kind=kind)

    kernel = Compiled(loop_function([buffer(name, N), buffer(name, N), buffer("i64", N)], emit))
    assert kernel.kernel.symbols == {f"tj_{operation}_{kind}_{name}" for operation in ("sort", "argsort")}
    x = (np.random.default_rng(0).integers(0, 9, 40)).astype(dtype_named(name))
    values, places = x.copy(), np.arange(40)
    assert kernel([x, values, places], [40]) == 0
    np.testing.assert_array_equal(values, np.concatenate([x[:3], np.sort(x[3:38], kind=kind), x[38:]]))  # type: ignore[call-overload]
    np.testing.assert_array_equal(places[:35], np.argsort(x[3:38], kind=kind))  # type: ignore[call-overload]
    np.testing.assert_array_equal(places[35:], np.arange(35, 40))
