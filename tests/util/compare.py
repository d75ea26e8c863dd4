"""Calls a function on NumPy and compiled, on equal copies of its arguments, and compares all that a caller can see."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

import tracejit as tj
from tracejit.trace.pytree import flatten

__all__ = [
    "Outcome",
    "assert_close",
    "assert_same",
    "assert_same_outcome",
    "check",
    "clone",
    "outcome_of",
    "ulps_between",
    "versions_of",
]


# ------------------------------------------------------------------------------------------------ copies of arguments


def clone(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """A copy of a tree of arguments that keeps strides, alignment, flags, and which arrays share memory."""
    memo = {} if memo is None else memo
    if isinstance(value, np.ndarray):
        if id(value) not in memo:
            memo[id(value)] = (value, _clone_array(value, memo))
        return memo[id(value)][1]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(clone(item, memo) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(clone(item, memo) for item in value)
    if isinstance(value, dict):
        return {key: clone(item, memo) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: clone(getattr(value, f.name), memo) for f in dataclasses.fields(value)}
        )
    return value


def _clone_array(array: np.ndarray[Any, Any], memo: dict[int, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.hasobject:
        return array.copy()
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if ("bytes", id(root)) not in memo:
        low, high = np.lib.array_utils.byte_bounds(root)
        memory = np.empty(high - low + 64, np.uint8)
        shift = (low - memory.ctypes.data) % 64  # the same alignment
        memory = memory[shift : shift + high - low]
        whole = _at(root, memory, low)
        whole[...] = root
        memo["bytes", id(root)] = (root, memory, low)
    _, memory, low = memo["bytes", id(root)]
    copy = _at(array, memory, low)
    copy.flags.writeable = array.flags.writeable
    return copy


def _at(array: np.ndarray[Any, Any], memory: np.ndarray[Any, Any], low: int) -> np.ndarray[Any, Any]:
    offset = array.ctypes.data - low if array.size else 0
    return np.ndarray(array.shape, array.dtype, memory, offset, array.strides)


# ---------------------------------------------------------------------------------------------------- comparisons


def _ordered(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats as integers in the same order, neighbours one apart, both zeros at 0."""
    bits = x.view(f"i{x.itemsize}").astype(object)
    return np.where(bits < 0, -(2 ** (8 * x.itemsize - 1)) - bits, bits)


def ulps_between(actual: Any, expected: Any) -> float:
    """The largest distance in units in the last place; infinite where one is NaN and the other is not."""
    actual, expected = np.atleast_1d(actual), np.atleast_1d(expected)
    if actual.dtype.kind == "c":
        return max(ulps_between(actual.real, expected.real), ulps_between(actual.imag, expected.imag))
    if not actual.size:
        return 0
    nan = np.isnan(actual)
    if (nan != np.isnan(expected)).any():
        return float("inf")
    differ = (actual != expected) & ~nan
    if not differ.any():
        return 0
    return float(np.abs(_ordered(actual[differ]) - _ordered(expected[differ])).max())


def assert_same(actual: Any, expected: Any, ulps: float = 0, tolerance: float = 0, where: str = "result") -> None:
    """Same structure, types, dtypes, shapes and values: bit for bit, NaNs being equal, or within ``ulps``.

    tolerance: absolute and relative, for programs whose sums NumPy takes in another order.
    """
    own, own_tree = flatten(actual)
    other, other_tree = flatten(expected)
    assert own_tree == other_tree, f"{where}: {own_tree} instead of {other_tree}"
    for k, (x, y) in enumerate(zip(own, other, strict=True)):
        name = f"{where}, leaf {k}" if len(own) > 1 else where
        assert type(x) is type(y), f"{name}: {type(x)} {x!r} instead of {type(y)} {y!r}"
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype, f"{name}: {x.dtype} instead of {y.dtype}"
            assert x.shape == y.shape, f"{name}: {x.shape} instead of {y.shape}"
            assert_close(x, y, ulps, tolerance, name)
        else:
            assert x == y or (x != x and y != y), f"{name}: {x!r} instead of {y!r}"


def assert_close(x: Any, y: Any, ulps: float, tolerance: float, name: str) -> None:
    if y.dtype.kind not in "fc":
        np.testing.assert_array_equal(x, y, err_msg=name)
        return
    if tolerance:
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=name)
        return
    distance = ulps_between(x, y)
    assert distance <= ulps, f"{name}: {distance} ulps apart:\n{x!r}\ninstead of\n{y!r}"
    if not ulps:
        for part in ("real", "imag") if y.dtype.kind == "c" else ("real",):
            a, b = getattr(x, part), getattr(y, part)
            zeros = np.isfinite(b)
            np.testing.assert_array_equal(np.signbit(a)[zeros], np.signbit(b)[zeros], err_msg=f"{name}: signs of zeros")


# ---------------------------------------------------------------------------------------------------------- calls


@dataclasses.dataclass
class Outcome:
    """What one call did: its result or its exception, and its arguments before and afterwards."""

    result: Any
    error: BaseException | None
    given: Any
    arguments: Any


def outcome_of(function: Any, args: Any, kwargs: Any) -> Outcome:
    """Call on a copy of the arguments."""
    given = (args, kwargs)
    args, kwargs = clone(given)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            result, error = function(*args, **kwargs), None
        except Exception as problem:
            result, error = None, problem
    return Outcome(result, error, given, (args, kwargs))


def _sharing(outcome: Outcome) -> list[tuple[int, int]]:
    """Which arrays share the memory of an argument.

    Two views of a local array share memory in NumPy even where that array itself is not returned; here they need not.
    """
    made = len(flatten(outcome.result)[0])
    leaves = flatten((outcome.result, outcome.arguments))[0]
    return [
        (j, k)
        for k, b in enumerate(leaves)
        for j, a in enumerate(leaves[:k])
        if k >= made and isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b)
    ]


def assert_same_outcome(
    actual: Outcome, expected: Outcome, ulps: float = 0, tolerance: float = 0, text: bool = True, in_loop: bool = False
) -> None:
    """``in_loop``: an error in a Python loop leaves what the turns before it wrote, as in NumPy."""
    if expected.error is not None:
        assert actual.error is not None, f"{expected.error!r} was not raised; result {actual.result!r}"
        assert isinstance(actual.error, type(expected.error)), f"{actual.error!r} instead of {expected.error!r}"
        if text:
            assert str(actual.error) == str(expected.error), f"{str(actual.error)!r} instead of {str(expected.error)!r}"
        # NumPy leaves what was written before the error; a compiled call that fails before a loop has changed nothing.
        left = expected.arguments if in_loop else actual.given
        assert_same(actual.arguments, left, where="argument of a failed call")
        return
    if actual.error is not None:
        raise actual.error
    assert_same(actual.result, expected.result, ulps, tolerance)
    assert_same(actual.arguments, expected.arguments, ulps, tolerance, "argument")
    assert _sharing(actual) == _sharing(expected), "memory is shared differently"


def check(
    function: Any,
    *args: Any,
    ulps: float = 0,
    tolerance: float = 0,
    jitted: Any = None,
    text: bool = True,
    calls: int = 2,
    in_loop: bool = False,
    **kwargs: Any,
) -> Any:
    """The compiled function must do what NumPy does; returns it for more calls.

    Called twice: the first call traces and compiles, the second goes through the compiled entry. The rewrites that are
    more accurate than NumPy are off unless a jitted function is given.
    """
    if jitted is None:
        jitted = tj.jit(function, exact=True)
    expected = outcome_of(function, args, kwargs)
    for _ in range(calls):
        assert_same_outcome(outcome_of(jitted, args, kwargs), expected, ulps, tolerance, text, in_loop)
    return jitted


def versions_of(jitted: Any) -> int:
    """How many versions have machine code: compiled, or read from disk where an earlier test compiled the same."""
    info = jitted.cache_info()
    return int(info.compiles + info.disk_hits)
