"""Arrays whose size depends on data: masks, nonzero, unique, computed slices, and what is done with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of

RNG = np.random.default_rng(7)
DENSITIES = {"none": -1.0, "few": 0.2, "half": 0.5, "all": 2.0}


def vector(n: int, density: str = "half") -> np.ndarray:
    """Numbers of which about so many are positive."""
    x = RNG.random(n) - 1.0 + DENSITIES[density]
    return np.where(x == 0, -1.0, x)


def in_one_version(function: Callable[..., Any], *calls: tuple[Any, ...], versions: int = 1, **options: Any) -> Any:
    """What NumPy does for each of these arguments, from one compiled version."""
    jitted = tj.jit(function, exact=True)
    for args in calls:
        check(function, *args, jitted=jitted, **options)
    assert versions_of(jitted) <= versions
    return jitted


VECTORS = [(vector(n, density),) for n in (9, 40) for density in DENSITIES]
MATRICES = [(RNG.normal(size=(n, 3)),) for n in (5, 8)] + [(np.ones((4, 3)),), (-np.ones((4, 3)),)]

# ------------------------------------------------------------------------------------------------- what is selected

SELECTED: dict[str, Callable[..., Any]] = {
    "mask": lambda x: x[x > 0],
    "mask twice": lambda x: x[x > 0][x[x > 0] < 0.3],
    "negated": lambda x: x[~(x > 0)],
    "nonzero": lambda x: np.nonzero(x > 0),
    "nonzero of numbers": lambda x: (np.where(x > 0, x, 0)).nonzero()[0],
    "flatnonzero": lambda x: np.flatnonzero(x > 0),
    "where": lambda x: np.where(x > 0.1),
    "argwhere": lambda x: np.argwhere(x > 0),
    "extract": lambda x: np.extract(x > 0, x),
    "compress": lambda x: np.compress(x > 0, x),
    "method compress": lambda x: x.compress(x > 0),
    "gathered by places": lambda x: x[np.flatnonzero(x > 0)],
    "tuple of places": lambda x: x[np.nonzero(x > 0)],
    "integers": lambda x: np.arange(len(x))[x > 0],
    "float32": lambda x: x.astype(np.float32)[x > 0],
    "bools": lambda x: (x > 0.2)[x > 0],
    "complex": lambda x: (x + 1j)[x > 0],
    "arithmetic": lambda x: x[x > 0] * 2 + 1,
    "of two": lambda x: x[x > 0] + (x * x)[x > 0],
    "new axis": lambda x: x[x > 0, None],
    "lengths": lambda x: (len(x[x > 0]), x[x > 0].size, x[x > 0].shape, np.count_nonzero(x > 0)),
    "cumsum": lambda x: np.cumsum((x * 8)[x > 0]),
    "concatenate": lambda x: np.concatenate([x[x > 0], x, x[x < 0]]),
    "stack": lambda x: np.stack([x[x > 0], 2 * x[x > 0]]),
    "pairs": lambda x: x[x > 0][:, None] - x[x > 0][None, :],
    "reshape": lambda x: x[x > 0].reshape(-1),
    "reshape to a column": lambda x: x[x > 0].reshape(-1, 1),
    "ravel": lambda x: x[x > 0].ravel(),
    "reversed": lambda x: x[x > 0][::-1],
    "zeros of a length": lambda x: np.zeros(len(x[x > 0])),
    "zeros like": lambda x: np.ones_like(x[x > 0]),
    "arange of a length": lambda x: np.arange(len(x[x > 0])),
    "first ones": lambda x: x[x > 0][:2],
    "all but the first": lambda x: x[x > 0][1:],
    "differences": lambda x: x[x > 0][1:] - x[x > 0][:-1],
    "diff": lambda x: np.diff(x[x > 0]),
    "where of selected": lambda x: np.where(x[x > 0] > 0.3, 1.0, x[x > 0]),
    "clip": lambda x: np.clip(x[x > 0], 0.1, 0.3),
    "outer": lambda x: np.outer(x[x > 0], x),
    "repeat": lambda x: np.repeat(x[x > 0], 2),
    "tile": lambda x: np.tile(x[x > 0], 2),
    "row by matrix": lambda x: x[x > 0] @ np.ones((len(x[x > 0]), 2)),
    "written": lambda x: _written(x[x > 0]),
}


def _written(y: np.ndarray) -> np.ndarray:
    y[:] = y * 2
    y += 1
    return y


@pytest.mark.parametrize("name", SELECTED)
def test_selected_elements(name: str) -> None:
    tolerance = 1e-12 if name == "row by matrix" else 0
    in_one_version(SELECTED[name], *VECTORS, tolerance=tolerance)


OF_MATRICES: dict[str, Callable[..., Any]] = {
    "rows": lambda a: a[a[:, 0] > 0],
    "elements": lambda a: a[a > 0],
    "columns": lambda a: a[:, a[0] > 0],
    "column of rows": lambda a: a[a[:, 0] > 0, 1],
    "slice of rows": lambda a: a[a[:, 0] > 0, 1:],
    "new axis behind": lambda a: a[a[:, 0] > 0, None],
    "new axis before": lambda a: a[None, a[:, 0] > 0],
    "in a row": lambda a: a[1, a[1] > 0],
    "last row": lambda a: a[-1, a[-1] > 0],
    "beside an array": lambda a: a[:, [0, 2]][a[:, 0] > 0],
    "ellipsis": lambda a: a[a[:, 0] > 0, ...],
    "negative step": lambda a: a[a[:, 0] > 0, ::-1],
    "nonzero": lambda a: np.nonzero(a > 0),
    "argwhere": lambda a: np.argwhere(a > 0),
    "places then column": lambda a: a[np.flatnonzero(a[:, 0] > 0)][:, 1],
    "compress rows": lambda a: np.compress(a[:, 1] > 0, a, axis=0),
    "compress columns": lambda a: np.compress(a[1] > 0, a, axis=1),
    "transposed": lambda a: a[a[:, 0] > 0].T,
    "product": lambda a: a[a[:, 0] > 0].T @ a[a[:, 0] > 0],
    "row sums": lambda a: (a * 8 // 1)[a[:, 0] > 0].sum(axis=1),
    "concatenated": lambda a: np.concatenate([a[a[:, 0] > 0], a]),
    "vstack": lambda a: np.vstack([a[a[:, 0] > 0], a[a[:, 0] <= 0]]),
    "centred": lambda a: a[a[:, 0] > 0] - a.max(axis=0),
    "flattened": lambda a: a[a[:, 0] > 0].ravel(),
    "reshaped": lambda a: a[a[:, 0] > 0].reshape(-1),
}


@pytest.mark.parametrize("name", OF_MATRICES)
def test_selected_from_matrices(name: str) -> None:
    in_one_version(OF_MATRICES[name], *MATRICES, tolerance=1e-12 if name == "product" else 0)


# -------------------------------------------------------------------------------------------------------- assigning


def _assign(statement: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"np": np}
    exec(f"def function(a):\n    m = a[:, 0] > 0\n    {statement}\n    return a", space)
    return space["function"]


ASSIGNED = [
    "a[m] = 7.0",
    "a[m] = a[m] * 2",
    "a[m] = a[~m].sum()",
    "a[m] = np.sqrt(a[m] ** 2)",
    "a[m] += 1",
    "a[m] += a[m]",
    "a[m] -= a[m].max(axis=1, keepdims=True)",
    "a[m, 1] = 5",
    "a[m, 1] = a[m, 0]",
    "a[m, 1] += a[m, 0]",
    "a[m, 1:] = 3",
    "a[m, 1:] *= 2",
    "a[m, 1:] = a[m, :2]",
    "a[0, a[0] > 0] = 9",
    "a[:, a[0] > 0] = 9",
    "a[:, a[0] > 0] += 1",
    "a[a > 0.3] = 0.3",
    "a[a > 0.3] = -a[a > 0.3]",
    "a[m] = np.arange(3)",
    "a[m, 2] = np.cumsum(a[m, 2])",
    "a[np.flatnonzero(m)] = 0",
    "a[np.flatnonzero(m), 1] += 1",
    "a[:, 1][m] = 4",
    "np.place(a, a > 0, [1.0, 2.0])",
    "np.putmask(a, a > 0, -a)",
    "a[m][:] = 1",
]


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize("statement", ASSIGNED)
def test_assignment_through_masks(statement: str) -> None:
    in_one_version(_assign(statement), *MATRICES)


def test_one_value_for_each_selected_element() -> None:
    def elements(a):
        a[a > 0] = np.arange(np.count_nonzero(a > 0))
        return a

    def rows(a):
        m = a[:, 0] > 0
        a[m] = np.arange(3 * np.count_nonzero(m)).reshape(-1, 3)
        return a

    in_one_version(elements, *MATRICES)
    in_one_version(rows, *MATRICES)


def test_values_that_are_too_few_or_too_many_are_refused() -> None:
    def function(x, v):
        x[x > 0] = v
        return x

    x = np.array([1.0, -1, 2, 3, -2, 4, -3, 5, -4])
    count = np.count_nonzero(x > 0)
    calls = [(x, np.arange(float(n))) for n in (count, count + 1, max(count - 1, 2))]
    in_one_version(function, *calls)


def test_sizes_that_differ_are_refused() -> None:
    in_one_version(lambda x: x[x > 0] + x[x <= 0], (np.array([1.0, -1, 2, -2]),), (np.array([1.0, 2, 3, -1, -2]),))


def test_a_mask_of_the_wrong_size_is_refused() -> None:
    check(lambda x: x[(x > 0)[:-1]], np.arange(5.0))
    check(lambda a: a[a[0] > 0], np.ones((4, 3)))
    check(lambda a: a[a[:2] > 0], np.ones((4, 3)))
    in_one_version(lambda x: x[x > 0][x > 0], (np.ones(3),), (np.array([1.0, -1.0, 2.0]),))


# --------------------------------------------------------------------------------------------------------- reducing

REDUCED: dict[str, Callable[..., Any]] = {
    "sum": lambda x: x[x > 0].sum(),
    "sum of squares": lambda x: (x[x > 0] ** 2).sum(),
    "sum of a product": lambda x: (x[x > 0] * (x + 1)[x > 0]).sum(),
    "mean": lambda x: x[x > 0].mean(),
    "mean of where": lambda x: np.where(x[x > 0] > 0.2, 1.0, x[x > 0]).mean(),
    "var": lambda x: x[x > 0].var(),
    "std": lambda x: np.std(x[x > 0]),
    "prod": lambda x: x[x > 0].prod(),
    "max": lambda x: x[x > 0].max(),
    "min": lambda x: np.min(x[x > 0]),
    "ptp": lambda x: np.ptp(x[x > 0]),
    "argmax": lambda x: x[x > 0].argmax(),
    "argmin": lambda x: np.argmin(x[x > 0]),
    "max with initial": lambda x: x[x > 0].max(initial=0.25),
    "any": lambda x: (x[x > 0] > 0.3).any(),
    "all": lambda x: (x[x > 0] > 0.3).all(),
    "count": lambda x: np.count_nonzero(x[x > 0] > 0.3),
    "integers": lambda x: (np.arange(len(x)) * 3)[x > 0].sum(),
    "length": lambda x: len(x[x > 0]) * 2.5,
    "add.reduce": lambda x: np.add.reduce(x[x > 0]),
    "maximum.reduce": lambda x: np.maximum.reduce(x[x > 0]),
    "bitwise": lambda x: np.bitwise_or.reduce(np.arange(len(x))[x > 0]),
    "dot": lambda x: x[x > 0] @ x[x > 0],
    "with the elements": lambda x: (x[x > 0], x[x > 0].sum(), x[x > 0].max(initial=0)),
    "centred": lambda x: np.abs(x[x > 0] - x[x > 0].mean()).sum(),
    "logarithms": lambda x: np.log(x[x > 0]).sum(),
    "gathered": lambda x: x[np.flatnonzero(x > 0)].sum(),
    "average": lambda x: np.average(x[x > 0]),
    "nansum": lambda x: np.nansum(x[x > 0]),
    "norm": lambda x: np.linalg.norm(x[x > 0]),
}


@pytest.mark.parametrize("name", REDUCED)
def test_reductions_of_selected_elements(name: str) -> None:
    in_one_version(REDUCED[name], *VECTORS, tolerance=1e-12)


REDUCED_ROWS: dict[str, Callable[..., Any]] = {
    "all": lambda a: a[a[:, 0] > 0].sum(),
    "columns": lambda a: a[a[:, 0] > 0].sum(axis=0),
    "means": lambda a: a[a[:, 0] > 0].mean(axis=0),
    "elements": lambda a: a[a > 0].sum(),
    "largest": lambda a: a[a > -9].max(),
    "one column": lambda a: a[a[:, 0] > 0, 1].sum(),
    "scaled": lambda a: (a[a[:, 0] > 0] * np.array([1.0, 2.0, 3.0])).sum(axis=0),
    "norms": lambda a: np.sqrt((a[a[:, 0] > 0] ** 2).sum(axis=1)).sum(),
    "centred": lambda a: (a[a[:, 0] > 0] - a[a[:, 0] > 0].mean(axis=0)).sum(axis=0),
    "part of rows": lambda a: a[a[:, 0] > 0][:, 1:].sum(axis=0),
    "keepdims": lambda a: a[a[:, 0] > 0].sum(axis=0, keepdims=True),
    "weights": lambda a: (a[a[:, 0] > 0, 0, None] * a[a[:, 0] > 0]).sum(axis=0),
}


@pytest.mark.parametrize("name", REDUCED_ROWS)
def test_reductions_of_selected_rows(name: str) -> None:
    in_one_version(REDUCED_ROWS[name], *MATRICES, tolerance=1e-12)


def test_sums_and_assignments_select_nothing() -> None:
    def function(x):
        total = x[x > 0].sum() + (x[x > 0] * 2).max(initial=0)
        x[x > 0.5] = np.sqrt(x[x > 0.5])
        return total

    x = vector(30)
    text = str(tj.jit(function).ir(x, stage="loops"))
    assert not re.search(r"alloc \{dims=\(<k", text)
    selected = str(tj.jit(lambda x: np.cumsum(x[x > 0])).ir(x, stage="loops"))
    assert re.search(r"alloc \{dims=\(<k", selected)
    in_one_version(function, (x,), tolerance=1e-12)


# -------------------------------------------------------------------------------------------------- derivatives, vmap

DIFFERENTIABLE: dict[str, Callable[..., Any]] = {
    "sum of squares": lambda x: (x[x > 0] ** 2).sum(),
    "mean": lambda x: (x[x > 0] ** 3).mean(),
    "largest": lambda x: (x[x > 0]).max(),
    "selected": lambda x: (np.cumsum(x[x > 0]) ** 2).sum(),
    "gathered": lambda x: (x[np.flatnonzero(x > 0)] ** 2).sum(),
    "written back": lambda x: (_squared_where_positive(x) * np.arange(len(x))).sum(),
    "pairs": lambda x: ((x[x > 0][:, None] - x[x > 0][None, :]) ** 2).sum(),
    "neighbours": lambda x: (x[x > 0][1:] * x[x > 0][:-1]).sum(),
}


def _squared_where_positive(x: np.ndarray) -> np.ndarray:
    y = np.sin(x)
    y[x > 0] = np.cumsum(x[x > 0]) ** 2
    return y


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name: str) -> None:
    function, x, step = DIFFERENTIABLE[name], vector(8), 1e-6
    expected = [(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(len(x))]
    for gradient in (tj.grad(function), tj.jit(tj.grad(function))):
        np.testing.assert_allclose(gradient(x), expected, rtol=1e-6, atol=1e-8)


def test_vmap_is_refused() -> None:
    with pytest.raises(tj.UnsupportedError, match="another size"):
        tj.jit(tj.vmap(lambda x: x[x > 0].sum()))(np.ones((3, 4)))


# ------------------------------------------------------------------------------------------- sorting, sets, counting

LISTS = [(RNG.integers(0, 6, n),) for n in (10, 7, 25, 1)]
# Where zeros of both signs go is not said: without negative ones.
REPEATED = [(np.round(RNG.normal(size=n)) + 0.0,) for n in (10, 7, 25)]
REPEATED += [(np.array([np.nan, 1, np.nan, 0]),), (np.zeros(0),), (np.array([1.0, 0, 0]),)]

SORTED: dict[str, Callable[..., Any]] = {
    "sort": lambda x: np.sort(x),
    "sort backwards": lambda x: np.sort(x)[::-1],
    "argsort": lambda x: np.argsort(x, kind="stable"),
    "sort of int8": lambda x: np.sort(np.nan_to_num(x).astype(np.int8)),
    "sort of float32": lambda x: np.sort(x.astype(np.float32)),
    "sort of float16": lambda x: np.sort(x.astype(np.float16)),
    "sort of bools": lambda x: np.sort(x > 0),
    "columns": lambda x: np.sort(np.stack([x, 1 - x, x * 2]), axis=0),
    "rows": lambda x: np.argsort(np.stack([x, -x]), axis=1, kind="stable"),
    "flattened": lambda x: np.sort(np.stack([x, 1 - x]), axis=None),
    "in place": lambda x: _sorted_copy(x),
    "selected": lambda x: np.sort(x[x > 0]),
    "unique": lambda x: np.unique(x),
    "unique with counts": lambda x: np.unique(x, return_counts=True),
    "unique with all": lambda x: np.unique(x, return_index=True, return_inverse=True, return_counts=True),
    "unique of a matrix": lambda x: np.unique(np.stack([x, x]), return_inverse=True),
    "unique NaN": lambda x: np.unique(x, equal_nan=False),
    "unique length": lambda x: len(np.unique(x)),
    "unique of selected": lambda x: np.unique(x[x > 0]),
    "union1d": lambda x: np.union1d(x, x + 1),
    "intersect1d": lambda x: np.intersect1d(x, x + 1),
    "setdiff1d": lambda x: np.setdiff1d(x, x[: len(x) // 2]),
    "isin": lambda x: np.isin(x, x[: len(x) // 2]),
}


def _sorted_copy(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y.sort()
    return y


@pytest.mark.parametrize("name", SORTED)
def test_sorting_and_sets(name: str) -> None:
    in_one_version(SORTED[name], *REPEATED)


COUNTED: dict[str, Callable[..., Any]] = {
    "bincount": lambda x: np.bincount(x),
    "minlength": lambda x: np.bincount(x, minlength=4),
    "weights": lambda x: np.bincount(x, weights=x * 0.5),
    "bincount of selected": lambda x: np.bincount(x[x > 2]),
    "bincount of negative": lambda x: np.bincount(x - 3),
    "argmax of bincount": lambda x: np.bincount(x).argmax(),
    "repeat": lambda x: np.repeat(x, x),
    "repeat negative": lambda x: np.repeat(x, x - 3),
    "repeat rows": lambda x: np.repeat(np.stack([x, x + 1], axis=1), x % 3, axis=0),
    "delete": lambda x: np.delete(x, np.argmax(x)),
    "delete outside": lambda x: np.delete(x, x[0]),
    "delete a mask": lambda x: np.delete(x, x > 2),
    "delete several": lambda x: np.delete(x, np.flatnonzero(x > 2)),
    "trim_zeros": lambda x: np.trim_zeros(x),
    "trim_zeros in front": lambda x: np.trim_zeros(x, "f"),
    "trim_zeros of zeros": lambda x: np.trim_zeros(x * 0),
    "median": lambda x: np.median(x * 0.5),
    "median of ints": lambda x: np.median(x),
    "medians": lambda x: np.median(np.stack([x, x + 1, x * 2]), axis=0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counting_and_places(name: str) -> None:
    # A count for each of one element is a count for all elements, hence a version of its own.
    in_one_version(COUNTED[name], *LISTS, versions=2 if "repeat" in name else 1)


# ------------------------------------------------------------------------------------------------------ computed bounds

BOUNDED: dict[str, Callable[..., Any]] = {
    "first k": lambda x: x[: (x > 0).sum()],
    "last k": lambda x: x[-(x > 0).sum() :],
    "from k": lambda x: x[np.argmax(x) :],
    "window": lambda x: x[np.argmax(x) - 1 : np.argmax(x) + 2],
    "stepped": lambda x: x[: (x > 0).sum() : 2],
    "backwards": lambda x: x[np.argmax(x) :: -1],
    "too far": lambda x: x[: (x > 0).sum() + 1000],
    "sum": lambda x: x[: (x > 0).sum()].sum(),
    "zeros": lambda x: np.zeros((x > 0).sum()),
    "zeros of a pair": lambda x: np.zeros(((x > 0).sum(), 2)),
    "arange": lambda x: np.arange((x > 0).sum()),
    "arange from to": lambda x: np.arange((x > 0).sum(), len(x)),
    "arange of steps": lambda x: np.arange(0, (x > 0).sum(), 2),
    "full": lambda x: np.full((x > 0).sum(), 2.5),
    "negative": lambda x: np.zeros((x > 0).sum() - 100),
    "linspace": lambda x: np.linspace(0, 1, (x > 0).sum() + 2),
    "both parts": lambda x: np.concatenate([x[: (x > 0).sum()], x[(x > 0).sum() :]]),
    "int": lambda x: x[: int((x > 0).sum())],
    "assigned": lambda x: _first_set(x, (x > 0).sum()),
    "eye": lambda x: np.eye(int((x > 0).sum())),
    "identity of a view": lambda x: x.reshape(-1, 1)[: (x > 0).sum()].ravel(),
}


def _first_set(x: np.ndarray, k: Any) -> np.ndarray:
    x[:k] = 5
    x[k:] += 1
    return x


@pytest.mark.parametrize("name", BOUNDED)
def test_computed_bounds(name: str) -> None:
    in_one_version(BOUNDED[name], *VECTORS, tolerance=1e-12 if name in ("sum", "linspace") else 0)


# --------------------------------------------------------------------------------------------------------- control flow


def if_any(x):
    y = x[x > 0]
    if len(y):
        return y.sum()
    return np.float64(-1)


def early_return(x):
    y = x[x > 0]
    if y.size == 0:
        return np.float64(0)
    return y.max()


def three_cases(x):
    y = x[x > 0]
    if len(y) > 3:
        return y.mean()
    elif len(y) == 0:
        return np.float64(0)
    else:
        return y[0]


def by_index(x):
    y = x[x > 0]
    total = np.float64(0)
    for i in range(len(y)):
        total += y[i] * i
    return total


def by_item(x):
    total = np.float64(0)
    for value in x[x > 0]:
        total += value * value
    return total


def over_places(x):
    total = np.int64(0)
    for i in np.flatnonzero(x > 0):
        total += i
    return total


def over_pairs(x):
    a = np.abs(x)[:, None] - np.abs(x)[None, :]
    total = np.float64(0)
    for i, j in zip(*np.nonzero(a > 0.5), strict=True):
        total += a[i, j] * i
    return total


def enumerated(x):
    total = np.float64(0)
    for i, value in enumerate(x[x > 0]):
        total += value * i
    return total


def until_none_is_left(x):
    turns = 0
    while len(x[x > 0.1]) > 0:
        x = np.where(x > 0.1, x * 0.5, x)
        turns += 1
    return turns


def means_of_bins(x):
    out = np.zeros(6)
    for k in range(6):
        y = x[x > k * 0.2]
        if len(y) > 0:
            out[k] = y.mean()
    return out


def filled_in_a_loop(x):
    y = np.zeros(len(x[x > 0]))
    for i in range(len(y)):
        y[i] = i * i
    return y


def changed_where_there_are_any(x):
    y = x[x > 0]
    if y.size:
        y -= y.min()
    return y


def first_and_last(x):
    y = x[x > 0]
    return y[0], y[-1]


def window_in_a_loop(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        near = x[max(i - 1, 0) : i + 2]
        out[i] = near[near > 0].sum()
    return out


FLOW = [if_any, early_return, three_cases, by_index, by_item, over_places, over_pairs, enumerated, until_none_is_left]
FLOW += [means_of_bins, filled_in_a_loop, changed_where_there_are_any, first_and_last, window_in_a_loop]


@pytest.mark.parametrize("function", FLOW)
def test_control_flow(function: Callable[..., Any]) -> None:
    in_one_version(function, *VECTORS, tolerance=1e-12)
