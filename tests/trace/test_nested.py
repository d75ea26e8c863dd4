"""Functions traced inside a trace: closed programs, values of the outer trace as params, writes given back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit, check
from tracejit.errors import TracejitError, UnsupportedError
from tracejit.ir.builder import free_values, inline
from tracejit.ir.types import ArrayType
from tracejit.trace.context import current_trace
from tracejit.trace.nested import call_traced, is_tracing

OUTSIDE = np.arange(3.0)


def inlined(fun: Any) -> Any:
    """Call through a nested program; outside a trace, plainly."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing():
            return fun(*args, **kwargs)
        nested = call_traced(fun, args, kwargs)
        assert not free_values(nested.function)
        assert [o.type.dtype for o in nested.operands] == [p.type.dtype for p in nested.function.params]
        return nested.rebuild(inline(current_trace().builder, nested.function, nested.operands))

    return call


def test_values_of_the_outer_trace_become_params() -> None:
    def program(x: Any, y: Any, k: int) -> Any:
        z = x * 2

        def loss(w: Any, s: float, n: int) -> Any:
            def deeper(q: Any) -> Any:
                return (q * z * OUTSIDE).sum() * s + n

            return inlined(deeper)(w) + np.mean(w[:n]), {"w": w + 1, "n": n, "none": None}

        return inlined(loss)(y, 2.5, k), y

    check(program, np.arange(3.0), np.ones(3), 2)


def test_sizes_learned_inside_hold_outside() -> None:
    def program(x: Any, y: Any) -> Any:
        return inlined(lambda a, b: a + b)(x, y), x * y

    jit = Jit(program)
    for n in (3, 5, 1):
        check(program, np.ones(n), np.arange(float(n)), jit=jit)
    assert len(jit.traces) == 1


def test_writes_into_arguments_are_given_back() -> None:
    def step(w: Any, x: Any) -> Any:
        w -= x
        return (w * w).sum()

    check(lambda w, x: (inlined(step)(w, x), w + 1), np.ones(3), np.arange(3.0))
    check(lambda w, x: (inlined(step)(w[1:], x[1:]), w + 1), np.ones(3), np.arange(3.0))


def test_kinds_of_results() -> None:
    check(lambda x, s: inlined(lambda a, b: (a, a.sum(), b * 2, 3.5, 2, "t", a.shape))(x, s), np.ones(3), 1.5)


def test_element_types_for_batches() -> None:
    def program(x: Any) -> Any:
        row = ArrayType(x.dtype, x.dims[1:])
        nested = call_traced(lambda r: r.sum(), (x,), types=[row])
        assert [str(p.type) for p in nested.function.params] == ["f64[x1]"]
        with pytest.raises(UnsupportedError, match="under vmap"):
            call_traced(lambda r: r.fill(0), (x,), types=[row])
        return x

    Jit(program)(np.ones((2, 3)))


def test_writing_into_closed_over_arrays_is_refused() -> None:
    def program(x: Any) -> Any:
        def loss(w: Any) -> Any:
            x[0] = 1
            return w.sum()

        return inlined(loss)(x * 2)

    with pytest.raises(TracejitError, match="pass the array as an argument"):
        Jit(program)(np.ones(3))


def test_values_of_a_finished_inner_trace_raise() -> None:
    def program(x: Any) -> Any:
        kept: list[Any] = []
        inlined(lambda w: kept.append(w * 2))(x)
        return kept[0] + 1

    with pytest.raises(TracejitError, match="used after the tracing has ended"):
        Jit(program)(np.ones(3))
