"""What compiled functions do besides computing: printing, logging, clocks, and changes of objects from outside."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same

X = np.array([0.1, 0.7, 0.9, 0.2, 0.6, 0.8])


def said(function: Callable[..., Any], *args: Any) -> tuple[str, Any]:
    """What a call prints and returns."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        result = function(*args)
    return output.getvalue(), result


def talk(x: Any, n: int) -> Any:
    print("start", n, x.shape)
    for i in range(n):
        if x[i] > 0.5:
            print(f"i={i} x={x[i]:.3f}", x[i] * 2, sep="|")
        else:
            print("small", {"value": x[i]}, [i])
    print("sum %.2f and %s" % (x.sum(), x), x.max() > 1)  # noqa: UP031
    print("{:>8.3f}".format(x.max()), str(x[0]) + "!", repr(x), end="\n\n")  # noqa: UP032
    print(f"{x.max()!r:>30} {x.mean():{9}.2e} {len(x)}")
    print()
    turns = 0
    while x[turns] < 0.85:
        print("turn", turns)
        turns += 1
    return x.sum(), turns


def test_print_in_order_at_each_call() -> None:
    jitted = tj.jit(talk, exact=True)
    for x in (X, X[::-1].copy(), X[:4].copy(), X):
        x[2] = 0.9
        for _ in range(2):
            text, result = said(jitted, x, len(x))
            expected, wanted = said(talk, x, len(x))
            assert text == expected
            assert_same(result, wanted, ulps=1)
    assert jitted.cache_info().traces == 1


def test_tracing_prints_nothing() -> None:
    assert said(lambda: tj.jit(talk).ir(X, 6))[0] == ""


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
def test_an_error_comes_after_what_was_printed() -> None:
    def function(x: Any, n: int) -> Any:
        for i in range(n):
            print(i)
            x = np.linalg.inv(x - i)
        return x

    jitted = tj.jit(function)
    for matrix in (np.diag([2.0, 3.0]), np.diag([0.5, 3.0])):
        outcomes = []
        for run in (function, jitted):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                try:
                    run(matrix, 4)
                except np.linalg.LinAlgError as error:
                    print(error)
            outcomes.append(output.getvalue())
        assert outcomes[0] == outcomes[1]


def test_logs_and_files(caplog: pytest.LogCaptureFixture) -> None:
    file = io.StringIO()
    logger = logging.getLogger("tests.effects")

    def function(x: Any) -> Any:
        logger.warning("x is %s, %d", x[0], 3)
        file.write(f"{x[1]}\n")
        print(x[2], file=file)
        return x + 1

    jitted = tj.jit(function)
    for k in range(3):
        jitted(X + k)
    assert [record.getMessage() for record in caplog.records] == [f"x is {X[0] + k}, 3" for k in range(3)]
    assert file.getvalue() == "".join(f"{X[1] + k}\n{X[2] + k}\n" for k in range(3))


def test_clocks_are_read_at_each_call() -> None:
    def function(x: Any) -> Any:
        start = time.perf_counter()
        time.sleep(0.002)
        return time.perf_counter() - start, x.sum(), time.time_ns()

    jitted = tj.jit(function)
    spans = [jitted(X) for _ in range(3)]
    assert all(type(span) is float and span >= 0.002 for span, _, _ in spans)
    assert len({moment for _, _, moment in spans}) == 3


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (open("nowhere"), x),
        lambda x: (input(), x),
        lambda x: (io.StringIO("line").readline(), x),
    ],
)
def test_what_would_run_once_is_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(tj.UnsupportedError, match="would run once, while the function is traced"):
        tj.jit(function)(X)


def test_interrupts_reach_the_caller() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    file: io.StringIO = Broken()

    def function(x: Any) -> Any:
        for i in range(5):
            print(x[i], file=file)
        x += 1
        return x

    jitted = tj.jit(function)
    x = X.copy()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            jitted(x)
    assert_same(x, X)


def test_threads_print_their_own_lines() -> None:
    files = [io.StringIO() for _ in range(2)]

    def function(x: Any, n: int) -> Any:
        for i in range(n):
            print(x[i % 6])
        return x.sum()

    jitted = tj.jit(function)
    said(jitted, X, 10)

    class Router:
        def write(self, text: str) -> int:
            return files[int(threading.current_thread().name)].write(text)

        def flush(self) -> None: ...

    with contextlib.redirect_stdout(Router()):  # type: ignore[type-var]
        threads = [threading.Thread(target=jitted, args=(X + k, 30), name=str(k)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for k, file in enumerate(files):
        assert file.getvalue() == "".join(f"{X[i % 6] + k}\n" for i in range(30))
