"""Where the state of generators lies that have no C interface: NumPy's `RandomState` and Python's `Random`.

Both are read by address. Their layout is compared with what they say of themselves before it is relied on.
"""

from __future__ import annotations

import ctypes
import functools
import random
from typing import Any

import numpy as np

__all__ = ["knows_python", "knows_state", "of_python", "of_state"]

# Behind the head of a RandomState, in words: methods, the bit generator, bitgen_t (5), aug_bitgen_t (3).
_OWNED, _BITS, _LEGACY = 1, 2, 7
_HEAD = object.__basicsize__


def of_state(state: Any) -> int:
    """The address of ``aug_bitgen_t`` in a RandomState; 0 where it is not where we expect it."""
    return id(state) + _HEAD + 8 * _LEGACY if knows_state() and _is_usual(state) else 0


def _is_usual(state: Any) -> bool:
    words = (ctypes.c_void_p * (_LEGACY + 1)).from_address(id(state) + _HEAD)
    return words[_OWNED] == id(state._bit_generator) and words[_LEGACY] == id(state) + _HEAD + 8 * _BITS


@functools.cache
def knows_state() -> bool:
    """Whether a RandomState keeps its second normal number where we expect it."""
    if np.random.RandomState.__basicsize__ < _HEAD + 8 * (_LEGACY + 3):
        return False
    sample = np.random.RandomState(1)
    if not _is_usual(sample):
        return False
    place = id(sample) + _HEAD + 8 * _LEGACY
    flag, kept = ctypes.c_int.from_address(place + 8), ctypes.c_double.from_address(place + 16)
    found = [(flag.value, kept.value) == (0, 0.0)]
    sample.standard_normal()
    state: Any = sample.get_state(legacy=False)
    found.append((flag.value, kept.value) == (1, state["gauss"]))
    return all(found)


def of_python(generator: random.Random) -> int:
    """The address of the state of Python's generator."""
    return id(generator) + _HEAD


@functools.cache
def knows_python() -> bool:
    """Whether a Random keeps its words where we expect them."""
    sample = random.Random(1)
    if random._inst.__class__ is not random.Random or random.Random.__basicsize__ < _HEAD + 4 * 625:
        return False
    sample.random()
    words = (ctypes.c_uint32 * 625).from_address(of_python(sample))
    expected = sample.getstate()[1]
    return bool(words[0] == expected[-1] and tuple(words[1:]) == expected[:-1])
