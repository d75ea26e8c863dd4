"""What a parallel loop costs: our pool against Numba's OpenMP layer and a Python thread pool.

    python bench/thread_pool.py [--rounds 5]

Each pool runs in a process of its own, in turns, first on the machine as it is, then with a competing busy process.
"empty" is a parallel loop of two pieces that do nothing; "triad" is y += 2 x over N float64 (memory-bound); "paused"
means 1 ms of sleep before each call, so that workers are asleep. Times in microseconds, median / 99th percentile, the
median of the rounds each. Numba is optional: without it its rows are missing.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import glob
import importlib.machinery
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.codegen_llvm import engine, threads

POOLS = ("serial", "ours", "numba openmp", "numba openmp bound", "executor")
TEXT = """
define void @nothing(ptr %closure, i64 %begin, i64 %end) { ret void }

define void @triad(ptr %closure, i64 %begin, i64 %end) {
entry:
  %x = load ptr, ptr %closure
  %y.at = getelementptr ptr, ptr %closure, i64 1
  %y = load ptr, ptr %y.at
  br label %loop
loop:
  %i = phi i64 [%begin, %entry], [%i.next, %loop]
  %x.i = getelementptr double, ptr %x, i64 %i
  %y.i = getelementptr double, ptr %y, i64 %i
  %a = load <8 x double>, ptr %x.i, align 8
  %b = load <8 x double>, ptr %y.i, align 8
  %c = fmul <8 x double> %a, splat (double 2.0)
  %d = fadd <8 x double> %b, %c
  store <8 x double> %d, ptr %y.i, align 8
  %i.next = add i64 %i, 8
  %more = icmp slt i64 %i.next, %end
  br i1 %more, label %loop, label %exit
exit:
  ret void
}

; Numba's pool calls its body as a generalised ufunc: %arguments[0] is the piece's {begin, end}, %data {body, closure}.
define void @piece(ptr %arguments, ptr %dimensions, ptr %steps, ptr %data) {
  %range = load ptr, ptr %arguments
  %begin = load i64, ptr %range
  %end.at = getelementptr i64, ptr %range, i64 1
  %end = load i64, ptr %end.at
  %body = load ptr, ptr %data
  %closure.at = getelementptr ptr, ptr %data, i64 1
  %closure = load ptr, ptr %closure.at
  call void %body(ptr %closure, i64 %begin, i64 %end)
  ret void
}
"""

Launch = Callable[[int, Any, int], None]  # body's address, closure, count


def our_launcher(address: int) -> Launch:
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    return lambda body, closure, count: function(body, closure, count, max(1, count // 8))


def numba_launcher(piece: int) -> Launch | None:
    """Numba's OpenMP pool, its extension module loaded alone."""
    spec = importlib.util.find_spec("numba")
    found = (
        glob.glob(os.path.join(next(iter(spec.submodule_search_locations or [])), "np", "ufunc", "omppool*"))
        if spec
        else []
    )
    if not found:
        return None
    loader = importlib.machinery.ExtensionFileLoader("omppool", found[0])
    pool = importlib.util.module_from_spec(importlib.util.spec_from_loader("omppool", loader))
    loader.exec_module(pool)
    ctypes.CFUNCTYPE(None, ctypes.c_int)(pool.launch_threads)(2)
    pointers, sizes = ctypes.c_void_p, ctypes.c_size_t
    function = ctypes.CFUNCTYPE(None, pointers, pointers, pointers, pointers, pointers, sizes, sizes, ctypes.c_int)(
        pool.parallel_for
    )
    cached: dict[int, tuple[Any, ...]] = {}

    def launch(body: int, closure: Any, count: int) -> None:
        if count not in cached:
            ranges = (ctypes.c_int64 * 4)(0, count // 2, count // 2, count)
            arguments = (ctypes.c_void_p * 1)(ctypes.addressof(ranges))
            data = (ctypes.c_void_p * 2)(body, ctypes.addressof(closure))
            cached[count] = (ranges, arguments, (sizes * 1)(2), (sizes * 1)(16), data)
        _, arguments, dimensions, steps, data = cached[count]
        function(piece, arguments, dimensions, steps, data, 0, 1, 2)

    return launch


def launcher(pool: str, piece: int) -> Launch | None:
    if pool.startswith("numba"):
        return numba_launcher(piece)
    if pool == "executor":
        return our_launcher(threads.executor_parallel_for_address())
    threads.set_thread_count(1 if pool == "serial" else 2)
    return our_launcher(threads.parallel_for_address())


def quantiles(call: Callable[[], None], repeats: int, pause: float) -> tuple[float, float]:
    """Median and 99th percentile of a call, in microseconds."""
    for _ in range(20):
        call()
    samples = []
    for _ in range(repeats):
        if pause:
            time.sleep(pause)
        start = time.perf_counter_ns()
        call()
        samples.append((time.perf_counter_ns() - start) / 1000)
    samples.sort()
    return statistics.median(samples), samples[int(len(samples) * 0.99)]


def measure(pool: str) -> dict[str, tuple[float, float]]:
    """All figures of one pool, in this process."""
    code = engine.load_object(engine.compile_object(TEXT), "nothing", "triad", "piece")
    launch = launcher(pool, code.addresses["piece"])
    if launch is None:
        return {}
    figures = {}
    for name, body, count, repeats in (
        ("empty", "nothing", 2, 2000),
        ("triad 64k", "triad", 1 << 16, 1000),
        ("triad 1M", "triad", 1 << 20, 200),
    ):
        x, y = np.ones(count), np.zeros(count)
        closure = (ctypes.c_void_p * 2)(x.ctypes.data, y.ctypes.data)
        for label, pause, share in ((name, 0.0, 1), (name + ", paused", 0.001, 4)):
            call = functools.partial(launch, code.addresses[body], closure, count)
            figures[label] = quantiles(call, repeats // share, pause)
    return figures


def run_rounds(rounds: int, title: str) -> None:
    results: dict[str, list[dict[str, tuple[float, float]]]] = {pool: [] for pool in POOLS}
    for _ in range(rounds):
        for pool in POOLS:
            environment = os.environ | ({"OMP_PROC_BIND": "true"} if pool.endswith("bound") else {})
            output = subprocess.run(
                [sys.executable, __file__, "--pool", pool], env=environment, capture_output=True, check=True
            )
            results[pool].append(json.loads(output.stdout))
    labels = list(results["ours"][0])
    print(f"\n{title}\n{'':20s}" + "".join(f"{label:>20s}" for label in labels))
    for pool, figures in results.items():
        if figures[0]:
            cells = [[statistics.median(round_[label][k] for round_ in figures) for k in (0, 1)] for label in labels]
            print(f"{pool:20s}" + "".join(f"{f'{median:.1f} / {p99:.1f}':>20s}" for median, p99 in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pool", choices=POOLS, help="measure one pool in this process and print JSON")
    options = parser.parse_args()
    if options.pool:
        print(json.dumps(measure(options.pool)))
        return
    run_rounds(options.rounds, "machine as it is (us, median / p99)")
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        run_rounds(options.rounds, "with one competing busy process (us, median / p99)")
    finally:
        busy.kill()
        busy.wait()


if __name__ == "__main__":
    main()
