"""NumPy's namespaces under jit: every entry of ``namespace_table.py``, interpreted and as machine code."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tracejit as tj
from tests.jit.namespace_table import NAMES, REFUSED, THEMES, entries, samples, split
from tests.trace.harness import check, function_of, outcome, same


@pytest.mark.parametrize("dtype", list("?bBlefFd"))
@pytest.mark.parametrize("theme", THEMES)
def test_interpreted(theme: str, dtype: str) -> None:
    """Values, dtypes, shapes, kinds of result, changed arguments and exceptions are NumPy's."""
    wrong = []
    for entry in entries(theme):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(function_of(entry, NAMES), *samples(dtype))
        except Exception as error:
            wrong.append(f"{entry}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore")  # of NumPy, about the values
@pytest.mark.parametrize("dtype", list("ldF"))
@pytest.mark.parametrize("theme", THEMES)
def test_compiled(theme: str, dtype: str) -> None:
    """What NumPy accepts gives the same as machine code."""
    wrong = []
    for entry in entries(theme):
        function = function_of(entry, NAMES)
        expected, error = outcome(function, samples(dtype), {})
        if error is not None:
            continue
        try:
            with np.errstate(all="ignore"):
                same(tj.jit(function)(*samples(dtype)), expected, 1e-5 if dtype == "F" else 1e-12)
        except Exception as problem:
            wrong.append(f"{entry}: {type(problem).__name__}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", list("ldF"))
def test_refused_is_never_wrong(dtype: str) -> None:
    """Where an entry is not compiled there is an exception, never another result than NumPy's."""
    for entry in split(REFUSED):
        function = function_of(entry, NAMES)
        expected, error = outcome(function, samples(dtype), {})
        found, problem = outcome(tj.jit(function), samples(dtype), {})
        assert problem is not None or error is None, entry
        if problem is None:
            same(found, expected, 1e-5 if dtype == "F" else 1e-12, entry)
