"""NumPy's namespaces under jit: every entry of ``namespace_table.py``, interpreted and as machine code."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.jit.namespace_table import NAMES, THEMES, entries, samples
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


@pytest.mark.parametrize("dtype", list("ldF"))
@pytest.mark.parametrize("theme", THEMES)
def test_compiled(theme: str, dtype: str) -> None:
    """What NumPy accepts, compiled many at a time."""
    accepted = []
    for entry in entries(theme):
        function = function_of(entry, NAMES)
        result, error = outcome(function, samples(dtype), {})
        if error is None and result is not None:
            accepted.append((entry, function))
    for start in range(0, len(accepted), _AT_ONCE):
        _check_compiled(accepted[start : start + _AT_ONCE], dtype)


_AT_ONCE = 16


def _check_compiled(accepted: list[tuple[str, Any]], dtype: str) -> None:
    def program(*args: Any) -> list[Any]:
        return [function(*args) for _, function in accepted]

    expected = [outcome(function, samples(dtype), {})[0] for _, function in accepted]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = tj.jit(program)(*samples(dtype))
    for (entry, _), actual, wanted in zip(accepted, found, expected, strict=True):
        same(actual, wanted, 1e-5 if dtype in "F" else 1e-12, entry)
