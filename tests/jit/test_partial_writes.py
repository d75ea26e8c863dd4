"""Writes at computed indices into parts of arrays: NumPy's result, and no copy of more than is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj


def set_to(array: Any, key: Any, value: Any) -> None:
    array[key] = value


WRITES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "[i, 0, :]": lambda a, i, idx, row: set_to(a, (i, 0, slice(None)), row),
    "[:, i, 1]": lambda a, i, idx, row: set_to(a, (slice(None), i, 1), row[:4]),
    "[i, 1:3]": lambda a, i, idx, row: set_to(a, (i, slice(1, 3)), row),
    "[i, 1:3, 2]": lambda a, i, idx, row: set_to(a, (i, slice(1, 3), 2), row[1:3]),
    "[i, 0, 1:4]": lambda a, i, idx, row: set_to(a, (i, 0, slice(1, 4)), row[2:5]),
    "[i, ::-2]": lambda a, i, idx, row: set_to(a, (i, slice(None, None, -2)), row + i),
    "[i, -1, ::2]": lambda a, i, idx, row: set_to(a, (i, -1, slice(None, None, 2)), row[:3]),
    "[1:3, i]": lambda a, i, idx, row: set_to(a, (slice(1, 3), i), row),
    "[1:3, i, ::3]": lambda a, i, idx, row: set_to(a, (slice(1, 3), i, slice(None, None, 3)), row[:2]),
    "[1:2, i, 2:5]": lambda a, i, idx, row: set_to(a, (slice(1, 2), i, slice(2, 5)), 7.5),
    "[idx, 1]": lambda a, i, idx, row: set_to(a, (idx, 1), row),
    "[1:3, idx]": lambda a, i, idx, row: set_to(a, (slice(1, 3), idx), row + i),
    "[idx, :, 2:4]": lambda a, i, idx, row: set_to(a, (idx, slice(None), slice(2, 4)), row[:2]),
    "[idx, 1:3, idx]": lambda a, i, idx, row: set_to(a, (idx, slice(1, 3), idx), row[:2]),
    "[i, None, 1:3]": lambda a, i, idx, row: set_to(a, (i, None, slice(1, 3)), row),
    "part[i]": lambda a, i, idx, row: set_to(a[:, 1:4], i, row),
    "part[i, 1]": lambda a, i, idx, row: set_to(a[:, 1:4, ::2], (i, 1), row[:3]),
    "row[i]": lambda a, i, idx, row: set_to(a[2], i, row),
    "row[i, 1:3]": lambda a, i, idx, row: set_to(a[2], (i, slice(1, 3)), row[:2]),
}


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.complex64])
@pytest.mark.parametrize("name", WRITES)
def test_only_what_is_written(name: str, dtype: Any) -> None:
    write = WRITES[name]

    def program(a: Any, idx: Any, row: Any) -> None:
        for k in range(len(idx)):
            write(a, idx[k], idx, row)
            row += 1

    a = np.arange(120).reshape(4, 5, 6).astype(dtype)
    idx, row = np.array([1, 3, 2, 2, -1]), np.arange(6).astype(dtype)
    jitted = tj.jit(program)
    expected, actual = a.copy(), a.copy()
    program(expected, idx, row.copy())
    jitted(actual, idx, row.copy())
    np.testing.assert_array_equal(actual, expected, strict=True)
    body = str(jitted.ir(a, idx, row)).split("fori_loop")[1]
    assert "update_slice" not in "".join(line for line in body.splitlines() if "a0" in line)


@pytest.mark.parametrize("name", ["[i]", "[i, 1:3]", "[i, 1:3, 2]", "[idx, 1]"])
def test_augmented(name: str) -> None:
    key: Any = {
        "[i]": lambda i, idx: i,
        "[i, 1:3]": lambda i, idx: (i, slice(1, 3)),
        "[i, 1:3, 2]": lambda i, idx: (i, slice(1, 3), 2),
        "[idx, 1]": lambda i, idx: (idx, 1),
    }[name]

    def program(a: Any, idx: Any) -> None:
        for k in range(len(idx)):
            a[key(idx[k], idx)] += 2.5 * k

    a, idx = np.arange(120.0).reshape(4, 5, 6), np.array([1, 3, 2, 2, -1])
    expected, actual = a.copy(), a.copy()
    program(expected, idx)
    jitted = tj.jit(program)
    jitted(actual, idx)
    np.testing.assert_array_equal(actual, expected)
    assert str(jitted.ir(a, idx)).count("= scatter") == 1


def test_out_of_range_leaves_everything() -> None:
    @tj.jit
    def program(a: Any, i: Any) -> None:
        a[i, 1:3] = 5.0

    a = np.zeros((4, 5))
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            program(a, np.array(wrong)[()])
    assert not a.any()
