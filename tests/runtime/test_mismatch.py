"""What ``TRACEJIT_LOG=guards`` says where a call needs another version: what the last one needs, and the line."""

import logging
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj

factor = 2.0


def total(x, y=None, n=3):
    if n > 2:
        return x.sum() * factor
    return x[:2] if y is None else x + y


def written(x, y):
    x[0] = y[0]
    return y.sum()


def ordered(x):
    return x + 1


def scaled(x, n):
    return x * n


def names(x, what):
    return x + len(what)


ONES = np.ones(4)
LINE = total.__code__.co_firstlineno + 1
CASES = {
    "a dtype": (total, (ONES,), (ONES.astype("f4"),), "x to be an array of float64 of rank 1, not an array of float32"),
    "a rank": (total, (ONES,), (np.ones((2, 2)),), "not an array of float64 of rank 2"),
    "a kind": (scaled, (ONES, 3), (ONES, 3.0), "n to be a Python int, not a Python float"),
    "a size": (total, (ONES, None, 3), (ONES, None, 2), f"n-3 >= 0 ({Path(__file__)}:{LINE})"),
    "a shape": (total, (ONES, ONES, 1), (ONES, np.ones(1), 1), "shape (x0)"),
    "a string": (names, (ONES, "abc"), (ONES, "abcd"), "another what than str 'abcd'"),
    "one array": (written, (ONES, ONES), (ONES, np.ones(4)), "x and y to be one array"),
    "a structure": (total, (ONES, None, 3), (ONES, ONES, 3), "needs arguments of another structure"),
    "an order": (ordered, (np.ones((3, 4)),), (np.ones((3, 4), order="F"),), "x to lie in memory as it did then"),
}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "version" in record.getMessage()]


@pytest.mark.parametrize("name", CASES)
def test_why_there_is_another_version(name, caplog):
    program, first, second, reason = CASES[name]
    compiled = tj.jit(program)
    with caplog.at_level(logging.INFO, "tracejit.guards"):
        compiled(*first)
        assert not said(caplog)
        for _ in range(2):
            compiled(*second)
    (message,) = said(caplog)
    assert f"{program.__name__}: version 2" in message
    assert f"needs {reason}" in message or reason in message


def test_a_global_that_changed(caplog, monkeypatch):
    compiled = tj.jit(total)
    compiled(ONES)
    monkeypatch.setitem(total.__globals__, "factor", 3.0)
    with caplog.at_level(logging.INFO, "tracejit.guards"):
        assert compiled(ONES) == 12.0
    (message,) = said(caplog)
    assert "needs another" in message
    assert "factor" in message
