"""What is refused says what, where, and what to do instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit
from tracejit.errors import ConcretizationError, UnsupportedError
from tracejit.trace.tracer import trace

X = np.arange(5.0)


def test_branch_on_an_array_of_many_elements() -> None:
    with pytest.raises(ValueError, match="The truth value of an array with more than one element is ambiguous"):
        Jit(lambda x: x if x > 3 else -x)(X)


def different(x: Any) -> Any:
    if x.sum() > 0:
        y = x
    else:
        y = x > 0
    return y


def test_branches_that_differ() -> None:
    line = different.__code__.co_firstlineno + 1
    with pytest.raises(UnsupportedError) as caught:
        Jit(different)(X)
    assert str(caught.value) == (
        "the variable 'y' is an array f64[x0] after one side of a branch and an array bool[x0] after the other, and "
        f"the condition is known only when the compiled function runs ({__file__}:{line}). Give it the same shape and "
        "dtype on both sides"
    )
    assert caught.value.__notes__ == [f"while tracing 'different' at {__file__}:{line}"]


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (lambda x: np.shares_memory(x, x), UnsupportedError, "np.shares_memory is not compiled by tracejit"),
        (lambda x: np.array2string(x), UnsupportedError, "np.array2string gives a str, which compiled code cannot"),
        (lambda x: x.T.ctypes, UnsupportedError, "ndarray.ctypes is not compiled"),
        (lambda x: x[x[0] > 0], UnsupportedError, "use np.where"),
        (lambda x: x.view(np.recarray), UnsupportedError, "ndarray.view as recarray is not compiled"),
        (lambda x: {int(x[0]): 1}, ConcretizationError, "a key of a dict or an element of a set"),
        (lambda x: x.no_such_thing, AttributeError, "'numpy.ndarray' object has no attribute 'no_such_thing'"),
        (lambda x: np.arange(0, x[0] * 1j), ConcretizationError, "Use start"),
        (lambda x: x.astype(str), TypeError, "works on arrays of numbers and bools"),
    ],
)
def test_refusals(function: Any, error: Any, text: str) -> None:
    before = X.copy()
    with pytest.raises(error, match=text):
        Jit(function)(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    "argument",
    [np.array(["a"]), np.array([object()]), np.array(["2020"], dtype="datetime64[D]"), np.ones(2, np.longdouble)],
    ids=lambda a: str(a.dtype),
)
def test_arrays_of_no_numbers(argument: Any) -> None:
    with pytest.raises(TypeError, match=r"argument 'values' has dtype .*; tracejit works on"):
        Jit(lambda values: values)(argument)


def test_subclasses_are_refused() -> None:
    with pytest.raises(TypeError, match=r"numpy\.ma\.MaskedArray .*such arrays are not compiled.*x\.filled"):
        Jit(lambda x: x)(np.ma.array([1.0]))
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([1.0])
    with pytest.raises(TypeError, match=r"numpy\.matrix .*such arrays are not compiled.*np\.asarray"):
        Jit(lambda x: x)(matrix)


def test_missing_arguments_raise_as_in_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        Jit(lambda x, y: x)(X)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Jit(lambda x: x)(X, z=1)


def test_tracers_do_not_become_numpy_arrays_silently() -> None:
    namespace: dict[str, Any] = {"np": np}
    exec("def hidden(x):\n    z = np.zeros(3)\n    z[0] = x[0]\n    return z", namespace)  # no source: not rewritten
    with pytest.raises(ValueError, match="setting an array element") as caught:
        Jit(namespace["hidden"])(X)
    assert isinstance(caught.value.__cause__, ConcretizationError)
    assert "the source of 'hidden' is not available" in caught.value.__notes__[1]
    with pytest.raises(ConcretizationError, match="turning it into a NumPy array"):
        Jit(lambda x: np.polynomial.Polynomial(x))(X)


def test_operations_know_their_line() -> None:
    def program(x: Any) -> Any:
        y = np.sin(x)
        z = [
            y
            + 1
        ]  # fmt: skip
        return z[0]

    first = program.__code__.co_firstlineno
    eqns = trace(program, (X,)).function.eqns
    assert [eqn.loc for eqn in eqns] == [(__file__, first + 1), (__file__, first + 3)]


def test_interrupted_traces_leave_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        Jit(lambda x: x / (1 // 0))(X)
    assert Jit(lambda x: x + 1)(X)[0] == 1
