"""Rows shorter than a vector have loops of their own: right for every length, whichever length was compiled first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.util.compare import check, versions_of

Array = np.ndarray[Any, Any]


def shifted(x: Array, b: Array, i: Array) -> Array:
    return np.sqrt(x + b)


def assigned(x: Array, b: Array, i: Array) -> Array:
    x[1:] = x[:-1] * b
    return x


def overlapping(x: Array, b: Array, i: Array) -> Array:
    x[:, 1:] += x[:, :-1]
    return x


def transposed(x: Array, b: Array, i: Array) -> Array:
    return x.T * 2.0 + x.T[::-1]


def scattered(x: Array, b: Array, i: Array) -> Array:
    np.add.at(x, i, x[i] * b)
    return x


def placed(x: Array, b: Array, i: Array) -> Array:
    x[i] = b
    return x


def joined(x: Array, b: Array, i: Array) -> Array:
    return np.concatenate((x, x + b), axis=1)


def planes(x: Array, b: Array, i: Array) -> Array:
    return x[:, None, :] - x[None, :, :] * b


def columns(x: Array, b: Array, i: Array) -> Array:
    return np.maximum(x, b).max(axis=0)


PROGRAMS = (shifted, assigned, overlapping, transposed, scattered, placed, joined, planes, columns)


@pytest.mark.parametrize("first", [3, 50])
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_length_of_rows(program: Any, first: int) -> None:
    random = np.random.default_rng(1)
    jitted = None
    for width in (first, 1, 2, 7, 31, 32, 33, 70):
        x = random.standard_normal((9, width)) ** 2
        jitted = check(program, x, random.random(width), random.integers(0, 9, 20), jitted=jitted)
    assert versions_of(jitted) == 1
