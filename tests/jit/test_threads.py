"""Compiled functions in many threads, in forked processes, and in long loops that must not leak."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import pytest

import tracejit as tj


def together(count, function):
    """Run ``function(k)`` in that many threads that start at once; raises what any of them raised."""
    barrier = threading.Barrier(count)

    def run(k):
        barrier.wait()
        return function(k)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_eight_threads_make_the_first_call_at_once():
    @tj.jit
    def function(x, a):
        return np.sin(x) * a + x.sum()

    def work(k):
        x = np.arange(100.0 + k)
        return [bool(np.allclose(function(x, float(k)), np.sin(x) * k + x.sum())) for _ in range(50)]

    assert all(map(all, together(8, work)))
    info = function.cache_info()
    assert info.compiles + info.disk_hits == info.traces == info.entries == 1
    # Hits are counted without a lock; what must not happen is that a call is answered twice or not at all.
    assert 0 < info.hits < 400


def test_eight_threads_use_different_versions_and_functions():
    inner = tj.jit(lambda x: x * 2)

    @tj.jit
    def function(x, y):
        return inner(x) + y

    def work(k):
        for repeat in range(20):
            x = np.ones((3, 4)[: 1 + k % 2], ["f4", "f8"][k // 4 % 2])
            y = [1, 2.5, np.ones(1), np.float32(3)][(k + repeat) % 4]
            np.testing.assert_array_equal(function(x, y), x * 2 + y)
        return True

    assert all(together(8, work))


def test_threads_write_their_own_arrays():
    @tj.jit
    def step(x, v):
        v -= 0.1 * x
        x += v
        return x.sum()

    def work(k):
        x, v = np.full(5000, float(k)), np.zeros(5000)
        for _ in range(100):
            step(x, v)
        return x[0]

    one = [work(k) for k in range(8)]
    assert together(8, work) == one


def test_large_calls_from_threads():
    """Kernels that use all threads themselves, called by several."""

    @tj.jit
    def function(x):
        return (np.exp(-x * x) + x).sum()

    x = np.random.default_rng(0).normal(size=600_000)
    expected = function(x)
    assert set(together(4, lambda k: max(function(x) for _ in range(5)))) == {expected}


def test_clearing_while_others_call():
    function = tj.jit(lambda x: x + 1)

    def work(k):
        for _ in range(30):
            if k == 0:
                function.cache_clear()
            np.testing.assert_array_equal(function(np.zeros(3)), np.ones(3))

    together(4, work)


def test_exceptions_stay_in_their_thread():
    @tj.jit
    def function(x, i):
        return x[i]

    def work(k):
        for _ in range(30):
            if k % 2:
                with pytest.raises(IndexError, match=f"index {k + 10} is out of bounds"):
                    function(np.ones(5), np.array([k + 10]))
            else:
                function(np.ones(5), np.array([k % 5]))

    together(6, work)


def run_program(text, **environment):
    """Run a program in a process of its own; its standard output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_forked_children():
    """Children that are forked before, after, and during use of the threads, from threads, too."""
    output = run_program(
        """
        import os, threading, numpy as np, tracejit as tj

        @tj.jit
        def function(x):
            return np.exp(x).sum() + (x * 2).max()

        @tj.jit
        def other(x):
            return x[::-1] * 3

        large = np.ones(1_000_000)
        expected = np.e * len(large) + 2

        def child():
            assert abs(function(large) - expected) < 1e-6 * expected
            assert other(large)[0] == 3  # compiled in the child
            threads = [threading.Thread(target=function, args=(large,)) for _ in range(2)]
            [t.start() for t in threads], [t.join() for t in threads]

        def fork():
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
                pid = os.fork()
            if pid == 0:
                try:
                    child()
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0

        fork()
        function(large)
        fork()
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                function(large)
        thread = threading.Thread(target=busy)
        thread.start()
        for _ in range(3):
            fork()
        stop.set()
        thread.join()
        print(function(large) == function(large))
        """
    )
    assert output == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_children_forked_while_other_threads_compile():
    """Locks that such threads hold are not left locked in the child."""
    output = run_program(
        """
        import os, threading, time, warnings, numpy as np, tracejit as tj
        warnings.simplefilter("ignore", DeprecationWarning)
        tj.config.disk_cache = False
        shared = tj.jit(lambda x: np.sin(x) * np.exp(x) + x)
        stop = threading.Event()

        def busy():
            while not stop.is_set():
                shared.cache_clear()
                shared(np.ones(5))

        threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
        [t.start() for t in threads]
        time.sleep(0.1)
        for k in range(4):
            pid = os.fork()
            if pid == 0:
                import faulthandler
                faulthandler.dump_traceback_later(20, exit=True)
                shared(np.ones((3, 3)))
                tj.jit(lambda x: x * k)(np.ones(3))
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            time.sleep(0.03)
        stop.set()
        [t.join() for t in threads]
        print("done")
        """
    )
    assert output == "done\n"


def test_process_pools():
    output = run_program(
        """
        import concurrent.futures, multiprocessing, numpy as np, tracejit as tj
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        @tj.jit
        def function(x):
            return (x * x).sum()

        def work(n):
            return float(function(np.ones(n)))

        if __name__ == "__main__":
            work(10), work(600_000)
            context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                print(list(pool.map(work, [3, 600_000, 4, 5])))
        """
    )
    assert output == "[3.0, 600000.0, 4.0, 5.0]\n"


# -------------------------------------------------------------------------------------------------------- leaks


@tj.jit
def mixed(x, y, n):
    x[0] = n
    return x, x[1:], x * y, (y + n).sum(), {"n": n, "list": [x @ y, None]}


@tj.jit
def flat(x, y):
    return x * y + 1


@tj.jit
def failing(x, i):
    return x[i]


def test_reference_counts_do_not_change():
    x, y, n = np.ones(10), np.arange(10.0), 10**6
    index = np.array([99])

    def calls():
        for _ in range(50):
            flat(x, y)
            mixed(x, y, n)
            flat(x[::2], y[::2])
            with pytest.raises(IndexError):
                failing(x, index)

    calls()
    gc.collect()
    counts = [sys.getrefcount(o) for o in (x, y, n, index)]
    calls()
    gc.collect()
    after = [sys.getrefcount(o) for o in (x, y, n, index)]
    assert after == counts
    shared = [np.dtype("f8"), None, flat, mixed]
    counts = [sys.getrefcount(o) for o in shared]
    calls()
    gc.collect()
    after = [sys.getrefcount(o) for o in shared]
    assert all(abs(a - b) < 20 for a, b in zip(after, counts, strict=True)), (counts, after)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_memory_does_not_grow():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    x, y = np.ones(50_000), np.arange(50_000.0)

    def calls(count):
        for _ in range(count):
            flat(x, y)
            mixed(x, y, 3)
            flat(x[::2], y[::2])

    calls(100)
    gc.collect()
    before = resident()
    calls(400)
    gc.collect()
    assert resident() - before < 20e6  # one result is 0.4 MB


def test_arguments_and_results_die():
    class Marked(np.ndarray):
        pass

    x = np.ones(5)
    reference = weakref.ref(x)
    result = flat(x, x)
    kept, *_ = mixed(x, np.ones(5), 1)
    assert kept is x
    del x, kept, _
    gc.collect()
    assert reference() is None
    reference = weakref.ref(result)
    del result
    assert reference() is None


def test_functions_die_with_their_code():
    big = np.ones(1000)

    def make():
        function = tj.jit(lambda x: x + big)
        function(np.ones(1000))
        return weakref.ref(function)

    references = [make() for _ in range(3)]
    gc.collect()
    assert all(reference() is None for reference in references)


def test_traced_values_are_let_go():
    """A trace keeps no arrays of the call that made it."""
    function = tj.jit(lambda x, y: x * 2 + y)
    x = np.ones(1000)
    reference = weakref.ref(x)
    function(x, 1.0)
    del x
    gc.collect()
    assert reference() is None
