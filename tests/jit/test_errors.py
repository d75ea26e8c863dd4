"""What goes wrong goes wrong as in NumPy, or with a message that names the place and the way out."""

from __future__ import annotations

import operator
import re

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same_outcome, check, outcome_of

X = np.arange(12.0).reshape(3, 4)
KEPT: list = []


def refused(kind, function, *args, **kwargs) -> str:
    """The text of a tracejit error, which names this file and a line of it."""
    with pytest.raises(kind) as caught:
        tj.jit(function)(*args, **kwargs)
    text = str(caught.value)
    assert re.search(r"test_errors\.py:\d+", text + " ".join(getattr(caught.value, "__notes__", []))), text
    return re.sub(r"/\S*test_errors\.py:\d+", "HERE", text)


# ---------------------------------------------------------------------------------------- errors that are NumPy's


def iadd_float(x):
    x += 1.5


def iadd_wide(x):
    x += np.ones((2, 4))


def assign_wide(x):
    x[0] = np.ones(3)


def unpack(x):
    a, b = x
    return a + b


NUMPYS = {
    "broadcast": (lambda x: x + np.ones(3), X),
    "broadcast of arguments": (lambda x, y: x * y, X, np.ones(5)),
    "matmul": (lambda x: x @ np.ones(3), X),
    "matmul of arguments": (lambda x, y: x @ y, X, X),
    "dot": (lambda x, y: np.dot(x, y), X, np.ones(3)),
    "reshape": (lambda x: x.reshape(5, -1), X),
    "reshape of another size": (lambda x: x.reshape(2, 3), X),
    "concatenate": (lambda x: np.concatenate([x, np.ones((2, 3))]), X),
    "stack": (lambda x: np.stack([x, x[0]]), X),
    "axis": (lambda x: x.sum(5), X),
    "axis of argmax": (lambda x: np.argmax(x, axis=-3), X),
    "transpose": (lambda x: x.transpose(0, 0), X),
    "squeeze": (lambda x: np.squeeze(x, 0), X),
    "broadcast_to": (lambda x: np.broadcast_to(x, (4, 3)), X),
    "split": (lambda x: np.split(x, 2), X),
    "too many indices": (lambda x: x[0, 0, 0], X),
    "float index": (lambda x: x[1.0], X),
    "string index": (lambda x: x["a"], X),
    "bitwise of floats": (lambda x: x & 1, X),
    "negative of bools": (lambda x: -x, X > 0),
    "difference of bools": (lambda x: x - x, X > 0),
    "shift by a float": (lambda x: x << 1.5, np.ones(2, int)),
    "in-place cast": (iadd_float, np.ones(3, int)),
    "in-place shape": (iadd_wide, np.ones(4)),
    "assigned shape": (assign_wide, X),
    "float of an array": (lambda x: float(x), X),
    "item of an array": (lambda x: x.item(), X),
    "length of a number": (lambda x: len(x), np.array(1.0)),
    "iterating a number": (lambda x: list(x), np.array(1.0)),
    "unpacking": (unpack, X),
    "no such attribute": (lambda x: x.nothing, X),
    "wrong out": (lambda x: np.add(x, 1, out=np.zeros(3)), X),
    "isnat": (lambda x: np.isnat(x), X),
    "power by a constant": (lambda x: x**-1, np.array([2, 3])),
    "power by an int argument": (lambda x, n: np.power(x, n), np.array([2, 3]), -2),
    "division of ints by zero": (lambda n: 1 // n, 0),
    "key": (lambda d: d["b"], {"a": X}),
    "none": (lambda x: x + 1, None),
    "a list plus one": (lambda x: x + 1, [1, 2]),
    "a set": (lambda x: np.add(x, 1), {1, 2}),
    "an object": (lambda x: np.add(x, 1), object),
    "raised by the function": (lambda x: (_ for _ in ()).throw(KeyError("a")), X),
}


@pytest.mark.parametrize("name", NUMPYS)
def test_errors_are_numpys(name):
    function, *args = NUMPYS[name]
    expected = outcome_of(function, args, {})
    assert expected.error is not None
    for _ in range(2):
        actual = outcome_of(tj.jit(function), args, {})
        assert_same_outcome(actual, expected)
        assert type(actual.error) is type(expected.error)


def test_errors_name_the_line_that_was_traced():
    with pytest.raises(ValueError, match="operands could not be broadcast together with shapes") as caught:
        tj.jit(NUMPYS["broadcast"][0])(X)
    assert any("test_errors.py" in note for note in caught.value.__notes__)


def test_errors_after_a_call_that_was_right():
    """The version that exists does not fit; the new trace raises what NumPy raises; the old one still works."""
    for function, good, bad in [
        (lambda x, y: x + y, (X, X), (X, np.ones(5))),
        (lambda x, y: x @ y, (X, X.T), (X, X)),
        (lambda x: x.reshape(2, -1), (np.ones(4),), (np.ones(5),)),
        (lambda x, y: np.concatenate([x, y], 1), (X, X), (X, np.ones((2, 4)))),
        (lambda x: x.sum(1), (X,), (np.ones(3),)),
        (lambda x, i: x[i], (X, 1), (X, 3)),
        (lambda x, i: x[i], (X, np.array([1])), (X, np.array([-4]))),
        (lambda x, i: x[i, 0], (X, np.array([1])), (X, np.array([3]))),
        (lambda x, y: x**y, (np.array([2, 3]), np.array([1, 2])), (np.array([2, 3]), np.array([1, -2]))),
    ]:
        jitted = tj.jit(function)
        for _ in range(2):
            check(function, *good, jitted=jitted, tolerance=1e-13)
            check(function, *bad, jitted=jitted)


def test_integers_to_negative_powers_that_are_known_at_run_time_only():
    function = lambda x, y: x**y  # noqa: E731
    for dtype in ("i1", "i4", "i8"):
        jitted = check(function, np.arange(50, dtype=dtype), np.arange(50, dtype=dtype) % 5)
        check(function, np.arange(50, dtype=dtype), np.arange(50, dtype=dtype) - 49, jitted=jitted)
        check(function, np.arange(50, dtype=dtype), np.dtype(dtype).type(-1))
    check(function, np.ones((0, 3), int), np.full(3, -1))

    def writes(x, y):
        x[0] = 7
        x **= y

    check(writes, np.arange(6), np.array([1, 2, 3, -1, 2, 3]))
    check(writes, np.arange(6), np.array([1, 2, 3, 0, 2, 3]))


# ----------------------------------------------------------------------------------------- errors that are our own


def test_dtypes_that_are_no_numbers():
    for array, name in [
        (np.array([1, None], object), "object"),
        (np.array(["a"]), "<U1"),
        (np.array([b"ab"]), "|S2"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64[D]"),
        (np.array([1], "m8[s]"), "timedelta64[s]"),
        (np.ones(2, np.longdouble), np.dtype(np.longdouble).name),
        (np.zeros(2, [("a", "f8")]), "[('a', '<f8')]"),
    ]:
        with pytest.raises(TypeError) as caught:
            tj.jit(lambda values: values + 1)(array)
        start = f"argument 'values' has dtype {name}; tracejit works on arrays of numbers and bools; "
        assert str(caught.value).startswith(start) and "x" in str(caught.value).removeprefix(start)


def test_lists_of_computed_length_are_no_longer_refused():
    for function in (lambda x: [k for k in range(int(x[0, 0]) + 2)], lambda x: list(x[x > 0])):
        check(function, X)


def test_functions_that_are_not_compiled():
    text = refused(tj.UnsupportedError, lambda x: np.shares_memory(x, x), X)
    assert text.startswith(
        "np.shares_memory is not compiled by tracejit (HERE). Call it before or after the traced function"
    )
    text = refused(tj.UnsupportedError, lambda x: x[x[0, 0] > 0], X)
    assert "a single traced bool as an index is not compiled (HERE)" in text


def keep(x):
    operator.methodcaller("append", x * 2)(KEPT)
    return x


def test_traced_values_do_not_leak():
    with pytest.raises(
        tj.UnsupportedError, match=r"keep .*test_errors.py:\d+.* changes what it reads from outside: KEPT"
    ):
        tj.jit(keep)(X)
    with pytest.raises(tj.TracejitError, match="after the tracing has ended"):
        KEPT[-1] + 1
    KEPT.clear()


def test_traced_values_in_a_cache_are_noticed():
    import functools

    @functools.cache
    def constant(n):
        return np.arange(n) * 2.0

    function = tj.jit(lambda x: x + constant(len(x)))
    for _ in range(2):
        np.testing.assert_array_equal(function(np.ones(3)), np.ones(3) + np.arange(3) * 2)
    np.testing.assert_array_equal(constant(3), np.arange(3) * 2.0)


def test_warnings_point_to_the_call():
    function = tj.jit(lambda x: np.linalg.eigvals(x @ x.T))
    with pytest.warns(tj.PerformanceWarning, match="is called through NumPy from compiled code") as caught:
        function(X)
    assert caught[0].filename == __file__
    function(X)  # and are given once


def test_settings_are_checked():
    with pytest.raises(TypeError, match="compiles functions, not int"):
        tj.jit(3)
    with pytest.raises(tj.UnsupportedError, match="shapes='static'"):
        tj.jit(lambda x: x, shapes="static")
    with pytest.raises(tj.UnsupportedError, match="device='gpu'"):
        tj.jit(lambda x: x, device="gpu")
    with pytest.raises(ValueError, match="stage 'x': choose trace, optimized, loops, llvm or asm"):
        tj.jit(lambda x: x + 1).ir(np.ones(2), stage="x")
    with pytest.raises(AttributeError, match="there is no setting 'fast'"):
        tj.config.fast = True


def test_a_function_that_failed_can_be_called_again():
    jitted = tj.jit(lambda x, y: x + y)
    for _ in range(2):
        with pytest.raises(ValueError, match="broadcast"):
            jitted(X, np.ones(3))
        np.testing.assert_array_equal(jitted(X, X), 2 * X)
    assert jitted.cache_info().entries == 1


def test_keyboard_interrupts_while_tracing_leave_nothing_behind():
    calls = []

    def function(x):
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt
        return x * 2

    jitted = tj.jit(lambda x: function(x))
    with pytest.raises(KeyboardInterrupt):
        jitted(X)
    assert tj.jit(lambda x: x + 1)(np.ones(2))[0] == 2
    np.testing.assert_array_equal(np.sin(X), np.sin(X))


def test_recursion_ends_as_in_python():
    def forever(x):
        return forever(x) + 1

    with pytest.raises(RecursionError):
        tj.jit(forever)(np.ones(2))
    assert tj.jit(lambda x: x + 1)(np.ones(2))[0] == 2


def test_index_errors_of_large_parallel_loops():
    x, index = np.ones(1000), np.arange(500_000) % 1000
    function = tj.jit(lambda x, i: x[i] * 2)
    assert function(x, index).sum() == 1e6
    index[400_000] = 1000
    with pytest.raises(IndexError, match="index 1000 is out of bounds for axis 0 with size 1000"):
        function(x, index)
    assert function(x, index[:400_000]).sum() == 8e5


def test_a_while_loop_that_cannot_be_captured_is_unsupported():
    def program(x):
        value = "one"
        while x[0, 1] > 0:
            value = value + " more"
            x[0, 1] -= 1.0
        return x, value

    text = refused(tj.UnsupportedError, program, X.copy())
    assert text.startswith(
        "the loop at HERE cannot be compiled as one, and how many turns it has is known only when the"
    )
