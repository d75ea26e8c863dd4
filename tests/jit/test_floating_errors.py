"""np.errstate and np.seterr: where they ask for more than warnings, NumPy runs the function; else it is compiled."""

from __future__ import annotations

import logging
import threading
import traceback
import warnings

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same

X, ZERO = np.array([1.0, 4.0, 9.0]), np.array([0.0, 1.0, 2.0])


@pytest.fixture(autouse=True)
def modes():
    """NumPy's own modes before and after each test."""
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield


def quotient(x, y):
    return x / y


CASES = {
    "divide": (lambda: X / ZERO, "divide by zero encountered in divide"),
    "log": (lambda: np.log(ZERO), "divide by zero encountered in log"),
    "invalid": (lambda: np.log(-X), "invalid value encountered in log"),
    "root": (lambda: np.sqrt(-X), "invalid value encountered in sqrt"),
    "over": (lambda: X * 1e308, "overflow encountered in multiply"),
    "under": (lambda: X * 1e-308 * 1e-10, "underflow encountered in multiply"),
    "integers": (lambda: np.arange(3) // np.arange(3), "divide by zero encountered in floor_divide"),
    "scalars": (lambda: X[0] / ZERO[0], "divide by zero encountered in scalar divide"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("compiled_before", [False, True])
def test_errors_that_are_asked_for_around_the_call(name, compiled_before):
    body, text = CASES[name]
    function = tj.jit(body)
    if compiled_before:
        with np.errstate(all="ignore"):
            function()
            function()
    for _ in range(2):
        with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=f"^{text}$"):
            function()
    with np.errstate(all="ignore"):
        assert_same(function(), body())


def test_the_traceback_has_the_users_line():
    function = tj.jit(quotient)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError) as caught:
        function(X, ZERO)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == "return x / y"


def test_seterr_holds_until_it_is_set_again():
    function = tj.jit(quotient)
    with np.errstate():
        np.seterr(all="raise")
        with pytest.raises(FloatingPointError):
            function(X, ZERO)
        np.seterr(all="ignore")
        assert np.isinf(function(X, ZERO)[0])
    assert function.cache_info().traces == 1


def test_only_the_categories_that_can_be_raised_matter_to_values():
    function = tj.jit(quotient)
    with np.errstate(over="raise"):  # this division overflows nowhere
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            assert np.isinf(function(X, ZERO)[0])
        assert [str(w.message) for w in found] == ["divide by zero encountered in divide"]  # NumPy runs it


def test_calls_and_logs():
    calls = []

    class Log:
        def write(self, text):
            calls.append(text.strip())

    function = tj.jit(quotient)
    with np.errstate(divide="call", call=lambda kind, flag: calls.append((kind, flag))):
        function(X, ZERO)
    with np.errstate(divide="log", call=Log()):
        function(X, ZERO)
    assert calls == [("divide by zero", 1), "Warning: divide by zero encountered in divide"]


def test_modes_belong_to_threads():
    function = tj.jit(quotient)
    function(X, X)
    found = []
    with np.errstate(all="raise"):
        thread = threading.Thread(target=lambda: found.append(function(X, ZERO)))
        thread.start()
        thread.join()
        with pytest.raises(FloatingPointError):
            function(X, ZERO)
    assert np.isinf(found[0][0])


def test_quiet_modes_are_compiled():
    @tj.jit
    def function(x, y):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = x / y
        return np.where(y == 0, 0.0, ratio)

    for mode in ("ignore", "warn", "ignore"):
        with np.errstate(all=mode):
            np.testing.assert_array_equal(function(X, ZERO), [0.0, 4.0, 4.5])
    info = function.cache_info()
    assert (info.traces, info.hits) == (1, 2)


def test_compiled_code_warns_of_nothing():
    function = tj.jit(quotient)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            function(X, ZERO)


@pytest.mark.parametrize("swallows", [False, True])
def test_errors_that_the_function_asks_for(swallows):
    def function(x, y):
        total = x.sum()
        try:
            with np.errstate(divide="raise"):
                return x / y
        except FloatingPointError:
            return x * 0 + total
        except Exception:
            if swallows:
                return None
            raise

    compiled = tj.jit(function)
    for args in [(X, ZERO), (X, X), (X, ZERO)]:
        assert_same(compiled(*args), function(*args))


def test_seterr_inside_the_function():
    def function(x):
        old = np.seterr(all="raise")
        try:
            return np.log(x)
        finally:
            np.seterr(**old)

    compiled = tj.jit(function)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="divide by zero encountered in log"):
            compiled(ZERO)
        assert_same(compiled(X), np.log(X))
    assert np.geterr()["divide"] == "warn"


def test_both_are_announced_once(caplog):
    @tj.jit
    def asks(x):
        with np.errstate(divide="raise"):
            return 1 / x

    function = tj.jit(quotient)
    with caplog.at_level(logging.INFO, logger="tracejit.guards"):
        for _ in range(2):
            asks(X)
            with np.errstate(divide="raise"):
                function(X, X)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert "asks: runs uncompiled" in texts[0] and "test_floating_errors.py" in texts[0]
    assert texts[1] == "quotient: runs uncompiled while np.errstate or np.seterr asks for floating-point errors"


def test_derivatives_have_no_errors_of_numpys():
    with np.errstate(all="raise"):
        assert np.isinf(tj.grad(lambda x: np.sqrt(x).sum())(ZERO)[0])
        assert np.isinf(tj.jit(tj.grad(lambda x: np.sqrt(x).sum()))(ZERO)[0])
        assert np.isneginf(tj.vmap(np.log)(ZERO)[0])


def test_functions_without_numpys_meaning_refuse_to_ask():
    def function(x):
        with np.errstate(divide="raise"):
            return (1 / x).sum()

    with pytest.raises(tj.UnsupportedError, match=r"np\.errstate"):
        tj.grad(function)(X)
