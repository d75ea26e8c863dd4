"""Rewritten syntax means what Python means; lines, closures, defaults and names stay."""

from __future__ import annotations

import traceback
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit, check
from tracejit.trace.calls import rewritten
from tracejit.trace.syntax import HOOK, rewritten_code

GLOBAL = 10


def closure(a: int) -> Any:
    b = a + 1

    def inner(x: int, *args: int, k: int = 3, **kw: int) -> Any:
        total = x + a + b + k + GLOBAL + sum(args) + sum(kw.values())
        squares = [i * i for i in range(total) if i % 2]
        table = {i: (i, b) for i in squares}
        text = f"{total!r:>5} {len(squares)}"
        total += 1
        squares[0] += 5
        (first, *rest), last = (squares[:3], squares[-1])
        try:
            table["missing"]
        except KeyError as error:
            text += str(error)
        finally:
            text += "!"
        while total > 3:
            total //= 2
            if total == 5:
                break
        else:
            text += "?"
        with_walrus = [y for v in range(3) if (y := v * 2)]
        nested = (lambda q, r=total: (q, r, [q for q in range(2)]))(1)
        assert total >= 0, "no"
        match total:
            case 0:
                kind = "zero"
            case int(n) if n > 1:
                kind = f"many {n}"
            case _:
                kind = "one"
        return total, squares, table, text, first, rest, last, with_walrus, nested, kind, a < b < 100, not a, a or b

    return inner


class Holder:
    __secret = 5

    def __init__(self) -> None:
        self.__value = 1
        self.items = [1, 2, 3]

    def method(self, x: int) -> Any:
        self.__value += x
        self.items[0] += 1
        self.items.append(self.__secret)
        del self.items[1]
        return self.__value, self.items, type(self).__name__

    @staticmethod
    def fixed(x: int) -> int:
        return x + 1


def generator(n: int) -> Any:
    for i in range(n):
        received = yield i * 2
        if received:
            yield received


def test_rewritten_functions_are_the_same_on_plain_values() -> None:
    for function, args in (
        (closure(1), (2, 3, 4)),
        (closure(0), (0,)),
        (Holder().method, (2,)),
        (lambda n: list(generator(n)), (3,)),
        (lambda *a: a, (1, 2)),
    ):
        expected_of = Holder().method if hasattr(function, "__self__") else function
        again = rewritten(Holder().method if hasattr(function, "__self__") else function)
        assert again(*args) == expected_of(*args)
    assert rewritten(closure(1))(1, k=2, z=5) == closure(1)(1, k=2, z=5)
    assert list(rewritten(generator)(3)) == [0, 2, 4]


def test_rewriting_is_remembered_by_code() -> None:
    first, second = closure(1), closure(2)
    assert rewritten_code(first) is rewritten_code(second)
    assert HOOK in (rewritten_code(first) or first.__code__).co_freevars
    assert rewritten(rewritten(first)).__code__ is rewritten(first).__code__


def test_lambdas_on_one_line_are_told_apart() -> None:
    functions = [lambda x: len([x]) + 1, lambda x: len([x]) * 5, lambda x, y=2: len([x]) - y]
    assert [rewritten(f)(0) for f in functions] == [2, 5, -1]
    assert all(rewritten_code(f) is not None for f in functions)


def test_no_source_runs_as_it_is() -> None:
    namespace: dict[str, Any] = {"np": np}
    exec("def hidden(x):\n    return np.sin(x) * 2 + x.sum()", namespace)
    assert rewritten_code(namespace["hidden"]) is None
    check(namespace["hidden"], np.arange(3.0))


def test_library_functions_are_not_rewritten() -> None:
    import textwrap

    assert rewritten(textwrap.dedent) is textwrap.dedent
    assert isinstance(rewritten(np.mean), type(np.mean)) and rewritten(np.mean) is np.mean


def test_tracebacks_show_the_users_lines() -> None:
    def failing(x: Any) -> Any:
        y = len(x)
        return x.reshape(
            y + 1,
        )

    with pytest.raises(ValueError, match="cannot reshape array of size 3") as caught:
        Jit(failing)(np.ones(3))
    lines = [entry.lineno for entry in traceback.extract_tb(caught.value.__traceback__) if entry.name == "failing"]
    assert lines == [failing.__code__.co_firstlineno + 2]


def test_functions_that_leave_the_trace_still_work() -> None:
    kept: list[FunctionType] = []

    def program(x: Any) -> Any:
        def plus(v: Any) -> Any:
            return np.zeros(3) + v + GLOBAL

        kept.append(plus)  # type: ignore[arg-type]
        return plus(x)

    Jit(program)(np.ones(3))
    assert type(kept[0](1.0)) is np.ndarray


def test_recursion_and_decorated_helpers() -> None:
    import functools

    def doubled(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return 2 * function(*args)

        return wrapper

    @doubled
    def helper(x: Any) -> Any:
        return np.ones(2) + x

    @functools.lru_cache
    def cached(n: int) -> int:
        return n * 2

    def power(x: Any, n: int) -> Any:
        return np.ones(2) if n == 0 else x * power(x, n - 1)

    check(lambda x: helper(x) + power(x, 3) + cached(2) + cached(x.shape[0]), np.arange(2.0))
