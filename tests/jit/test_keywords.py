"""Keywords of NumPy's functions under jit: compiled or through NumPy with a warning, but never another result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.jit.keyword_table import KEYWORDS, NAMES, REFUSED
from tests.jit.namespace_table import samples, split
from tests.trace.harness import function_of, outcome, same


def arguments(dtype: str) -> tuple[Any, ...]:
    """Those of the namespace's table, and a definite matrix."""
    return (*samples(dtype), (np.diag([5, 6, 7]) + np.ones((3, 3))).astype(dtype))


@pytest.mark.parametrize("dtype", list("ldF"))
@pytest.mark.parametrize("theme", KEYWORDS)
def test_keywords(theme: str, dtype: str) -> None:
    wrong = []
    for entry in split(KEYWORDS[theme]):
        function = function_of(entry, NAMES)
        expected, expected_error = outcome(function, arguments(dtype), {})
        found, error = outcome(tj.jit(function), arguments(dtype), {})
        tolerance = 1e-5 if dtype == "F" or "f4" in entry else 1e-11
        try:
            if expected_error is not None:
                assert isinstance(error, type(expected_error)), f"{error!r} instead of {expected_error!r}"
            elif error is not None:
                raise error
            else:
                same(found, expected, tolerance)
        except Exception as problem:
            wrong.append(f"{entry}: {type(problem).__name__}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", list("ldF"))
def test_refused_is_never_wrong(dtype: str) -> None:
    for entry in split(REFUSED):
        function = function_of(entry, NAMES)
        expected, expected_error = outcome(function, arguments(dtype), {})
        found, error = outcome(tj.jit(function), arguments(dtype), {})
        if error is None:
            assert expected_error is None, entry
            same(found, expected, 1e-5 if dtype == "F" else 1e-11, entry)
        else:
            assert isinstance(error, (tj.UnsupportedError, type(expected_error))), entry


@pytest.mark.parametrize(
    "entry",
    [
        'np.add(x, w, signature="dd->d")',
        "np.matmul(x, w.T, axes=[(0, 1), (0, 1), (0, 1)])",
        "np.vecdot(x, w, axes=[0, 0])",
        'np.pad(x, 2, "reflect", reflect_type="odd")',
    ],
)
def test_what_goes_through_numpy_warns(entry: str) -> None:
    function = function_of(entry, NAMES)
    with pytest.warns(tj.PerformanceWarning, match="through NumPy"):
        compiled = tj.jit(function)
        found = compiled(*arguments("d"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once for each place
        same(compiled(*arguments("d")), found)
    same(found, function(*arguments("d")), 1e-12)


@pytest.mark.parametrize("shapes", [((3,), (1,)), ((1,), (3,)), ((2, 1), (3,)), ((0, 1), (3,))])
def test_vecdot_does_not_repeat_a_vector_of_one(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        tj.jit(lambda x, y: np.vecdot(x, y))(x, y)


@pytest.mark.parametrize("offset", [2**63 - 1, -(2**62), 2**62, 3, -3])
def test_triangles_far_from_the_diagonal(offset: int) -> None:
    x = np.arange(12.0).reshape(3, 4)
    for function in (np.tril, np.triu):
        np.testing.assert_array_equal(tj.jit(lambda x, f=function: f(x, offset))(x), function(x, offset))
