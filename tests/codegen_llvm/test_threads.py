"""Both thread pools: every index once, nested and concurrent loops, thread counts, fork, interpreter exit."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from tracejit.codegen_llvm import engine, support, threads

LOOPS = """
declare void @tj_parallel_for(ptr, ptr, i64, i64)

; data[i] += 1
define void @count(ptr %closure, i64 %begin, i64 %end) {
entry:
  %data = load ptr, ptr %closure
  br label %loop
loop:
  %i = phi i64 [%begin, %entry], [%i.next, %loop]
  %at = getelementptr i32, ptr %data, i64 %i
  %old = load i32, ptr %at
  %new = add i32 %old, 1
  store i32 %new, ptr %at
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %end
  br i1 %more, label %loop, label %exit
exit:
  ret void
}

; a parallel loop over the row's elements, for each row
define void @count_rows(ptr %closure, i64 %begin, i64 %end) {
entry:
  %row.closure = alloca ptr
  %data = load ptr, ptr %closure
  %width.at = getelementptr i64, ptr %closure, i64 1
  %width = load i64, ptr %width.at
  br label %loop
loop:
  %i = phi i64 [%begin, %entry], [%i.next, %loop]
  %offset = mul i64 %i, %width
  %row = getelementptr i32, ptr %data, i64 %offset
  store ptr %row, ptr %row.closure
  call void @tj_parallel_for(ptr @count, ptr %row.closure, i64 %width, i64 3)
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %end
  br i1 %more, label %loop, label %exit
exit:
  ret void
}
"""
_ParallelFor = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

if support.has_native_threads():
    POOLS = ["native", "executor"]
else:
    POOLS = ["executor"]


@pytest.fixture(params=POOLS)
def pool(request):
    """Each pool in turn, with three threads whatever the machine has."""
    before = threads.thread_count()
    threads.use_executor(request.param == "executor")
    threads.set_thread_count(3)
    yield _ParallelFor(threads.parallel_for_address())
    threads.set_thread_count(before)
    threads.use_executor(False)


@pytest.fixture
def loops(pool):
    return engine.load_object(engine.compile_object(LOOPS), "count", "count_rows")


def count_once(pool, loops, count: int, grain: int) -> None:
    data = np.zeros(count, np.int32)
    pool(loops.addresses["count"], (ctypes.c_void_p * 1)(data.ctypes.data), count, grain)
    assert (data == 1).all()


def count_nested(pool, loops, rows: int, columns: int) -> None:
    data = np.zeros((rows, columns), np.int32)
    pool(loops.addresses["count_rows"], (ctypes.c_int64 * 2)(data.ctypes.data, columns), rows, 1)
    assert (data == 1).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100, 1000, 65537])
@pytest.mark.parametrize("grain", [1, 2, 10, 999, 1 << 40, 0, -5])
def test_every_index_exactly_once(pool, loops, count: int, grain: int) -> None:
    for _ in range(5):
        count_once(pool, loops, count, grain)


def test_negative_count_does_nothing(pool) -> None:
    called = []
    body = _Body(lambda closure, begin, end: called.append((begin, end)))
    pool(ctypes.cast(body, ctypes.c_void_p), None, -3, 1)
    assert not called


@pytest.mark.parametrize(("count", "grain"), [(1000, 64), (1000, 1), (65, 64), (64, 64)])
def test_pieces_are_multiples_of_the_grain(pool, count: int, grain: int) -> None:
    pieces = []
    body = _Body(lambda closure, begin, end: pieces.append((begin, end)))
    pool(ctypes.cast(body, ctypes.c_void_p), None, count, grain)
    pieces.sort()
    assert [begin for begin, _ in pieces] == [0] + [end for _, end in pieces[:-1]]
    assert pieces[-1][1] == count
    assert all(begin % grain == 0 for begin, _ in pieces)


def test_several_threads_take_part(pool) -> None:
    """Each piece waits until another thread has come: it would wait for ever if only one worked."""
    seen: set[int] = set()
    both = threading.Barrier(2, timeout=20)

    def meet(closure: int, begin: int, end: int) -> None:
        seen.add(threading.get_ident())
        if begin == 0:
            both.wait()
        elif end == 2:
            both.wait()

    body = _Body(meet)
    pool(ctypes.cast(body, ctypes.c_void_p), None, 2, 1)
    assert len(seen) == 2


def test_nested_loops(pool, loops) -> None:
    for rows, columns in [(1, 10), (10, 100), (50, 1), (7, 1000)]:
        count_nested(pool, loops, rows, columns)


def test_concurrent_callers(pool, loops) -> None:
    failures = []

    def work(seed: int) -> None:
        try:
            for index in range(60):
                count_once(pool, loops, 1 + (seed * 7919 + index * 104729) % 30000, 1 + index * 37)
                count_nested(pool, loops, 1 + index % 9, 50)
        except AssertionError as error:
            failures.append(error)

    callers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not failures
    assert not any(caller.is_alive() for caller in callers)


@pytest.mark.parametrize("numbers", [(1, 4, 2), (8, 2, 1, 3)])
def test_thread_count_changes_between_loops(pool, loops, numbers) -> None:
    for number in numbers:
        threads.set_thread_count(number)
        assert threads.thread_count() == number
        for _ in range(50):
            count_once(pool, loops, 5000, 10)


def test_context_template_follows_the_thread_count(pool) -> None:
    threads.set_thread_count(5)
    assert support.word("tj_context", 3).value == 5
    assert support.word("tj_context", 0).value == threads.parallel_for_address()


def test_thread_count_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        threads.set_thread_count(0)


def test_default_thread_count(monkeypatch) -> None:
    monkeypatch.delenv("TRACEJIT_NUM_THREADS", raising=False)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
        monkeypatch.setattr(threads, "_quota", lambda: None)
        assert threads.default_thread_count() == 3
        monkeypatch.setattr(threads, "_quota", lambda: 2)
        assert threads.default_thread_count() == 2
    monkeypatch.setenv("TRACEJIT_NUM_THREADS", "7")
    assert threads.default_thread_count() == 7
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("TRACEJIT_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="TRACEJIT_NUM_THREADS"):
            threads.default_thread_count()


def run_script(body: str, **environment: str) -> str:
    """Run a script in a fresh process; the test fails if it crashes, hangs or says anything on stderr."""
    prelude = f"""
    import ctypes, os, sys, threading, time
    import numpy as np
    from tracejit.codegen_llvm import engine, support, threads
    threads.set_thread_count(3)
    code = engine.load_object(engine.compile_object({LOOPS!r}), "count", "count_rows")
    pool = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    def check(count=20000):
        data = np.zeros(count, np.int32)
        pool(threads.parallel_for_address())(code.address, (ctypes.c_void_p * 1)(data.ctypes.data), count, 10)
        assert (data == 1).all()
    """
    script = textwrap.dedent(prelude) + textwrap.dedent(body)
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@forks
@pytest.mark.parametrize("executor", [False, True])
def test_forked_child_has_a_working_pool(executor: bool) -> None:
    output = run_script(f"""
    threads.use_executor({executor})
    check()
    child = os.fork()
    if child == 0:
        for _ in range(100):
            check()
        os._exit(0)
    print(os.waitpid(child, 0)[1])
    check()
    """)
    assert output == "0\n"


@forks
def test_fork_while_other_threads_are_in_loops_and_compile() -> None:
    output = run_script("""
    stop = False
    def busy():
        while not stop:
            check()
    def compile_much():
        while not stop:
            engine.load_object(engine.compile_object("define i64 @kernel() { ret i64 1 }"))
    workers = [threading.Thread(target=target) for target in (busy, busy, compile_much)]
    for worker in workers:
        worker.start()
    statuses = []
    for _ in range(15):
        child = os.fork()
        if child == 0:
            for _ in range(10):
                check()
            engine.load_object(engine.compile_object("define i64 @kernel() { ret i64 1 }"))
            os._exit(0)
        statuses.append(os.waitpid(child, 0)[1])
    stop = True
    for worker in workers:
        worker.join()
    print(set(statuses))
    """)
    assert output == "{0}\n"


def test_exit_with_sleeping_workers() -> None:
    assert run_script("check(); time.sleep(0.01); print('done')") == "done\n"


def test_exit_right_after_a_loop() -> None:
    assert run_script("check(); print('done')") == "done\n"


def test_exit_while_daemon_threads_run_loops() -> None:
    run_script("""
    def busy():
        while True:
            check()
    for _ in range(2):
        threading.Thread(target=busy, daemon=True).start()
    time.sleep(0.05)
    """)


def test_environment_sets_the_number() -> None:
    output = run_script("threads._count = None; print(threads.thread_count())", TRACEJIT_NUM_THREADS="6")
    assert output == "6\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="counts threads in /proc")
def test_idle_workers_use_no_cpu() -> None:
    output = run_script("""
    for _ in range(20):
        check()
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    print(time.process_time() - before < 0.03, len(os.listdir("/proc/self/task")) >= 3)
    """)
    assert output == "True True\n"


@pytest.mark.skipif(not support.has_native_threads(), reason="about the native pool")
def test_workers_leave_signals_to_python() -> None:
    """A signal handled by a worker would interrupt no system call of the main thread."""
    output = run_script("""
    import signal
    check()
    arrived = []
    signal.signal(signal.SIGALRM, lambda *_: arrived.append(threading.current_thread() is threading.main_thread()))
    for _ in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        time.sleep(0.005)
    print(len(arrived) == 20 and all(arrived))
    """)
    assert output == "True\n"
