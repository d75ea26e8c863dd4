"""The buffer pool: sizes, reuse, limits, NumPy's memory handler, result arrays, Context."""

import ctypes
import gc
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from tracejit.codegen_llvm import buffers, support, threads

KB, MB = 1 << 10, 1 << 20
allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(buffers.allocate_address())
release = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(buffers.release_address())
set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(buffers.set_handler_address())
get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(buffers.get_handler_address())


@pytest.fixture(autouse=True)
def empty_pool():
    limit = buffers.pool_statistics()["limit"]
    buffers.trim_pool()
    yield
    buffers.set_pool_limit(limit)
    buffers.trim_pool()


@pytest.fixture
def handled():
    """NumPy allocates from the pool during the test."""
    previous = set_handler(buffers.memory_handler())
    yield
    set_handler(previous)


def handler_name(array: np.ndarray) -> str | None:
    return np._core.multiarray.get_handler_name(array)


def new_result(dtype: object, *dims: int) -> np.ndarray:
    """Call the native function as a compiled entry would."""
    function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(
        buffers.new_result_address()
    )
    descr = np.dtype(dtype)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(descr))
    shape = (ctypes.c_ssize_t * max(1, len(dims)))(*dims)
    return function(descr, len(dims), shape, descr.itemsize * int(np.prod(dims, dtype=np.int64)))


SIZES = [0, 1, 63, 64, 65, 64 * KB - 1, 64 * KB, 64 * KB + 1, 80 * KB, 80 * KB + 1, 3 * MB, 4 * MB, 40_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_blocks_are_aligned_and_writable(size: int) -> None:
    pointers = [allocate(size) for _ in range(3)]
    for value, pointer in enumerate(pointers):
        assert pointer % 64 == 0
        ctypes.memset(pointer, value, size)
    for value, pointer in enumerate(pointers):
        content = (ctypes.c_uint8 * size).from_address(pointer)
        assert set(content[:100]) | set(content[-100:]) <= {value}
        release(pointer, size)


def test_large_blocks_are_reused_last_first() -> None:
    first, second = allocate(1_000_000), allocate(1_000_000)
    release(first, 1_000_000)
    release(second, 1_000_000)
    assert allocate(1_000_000) == second
    assert allocate(990_000) == first  # the same size class
    assert buffers.pool_statistics()["retained"] == 0
    release(first, 0)
    release(second, 0)


def test_small_blocks_are_not_retained() -> None:
    release(allocate(64 * KB - 1), 64 * KB - 1)
    assert buffers.pool_statistics()["retained"] == 0


def test_size_classes_waste_at_most_a_quarter() -> None:
    for size in [64 * KB, 64 * KB + 1, 100_000, 2**20 - 1, 2**20, 2**20 + 1, 1_300_000, 9_999_999, 2**24 + 5]:
        release(allocate(size), size)
        retained = buffers.pool_statistics()["retained"]
        assert size <= retained < size * 1.25 + 1
        buffers.trim_pool()


def test_limit_is_kept_by_dropping_other_classes_in_turn() -> None:
    buffers.set_pool_limit(10 * MB)
    old = [allocate(MB) for _ in range(8)]
    for pointer in old:
        release(pointer, MB)
    assert buffers.pool_statistics()["retained"] == 8 * MB
    new = allocate(4 * MB)
    release(new, 4 * MB)
    assert buffers.pool_statistics()["retained"] <= 10 * MB
    assert allocate(4 * MB) == new
    release(new, 4 * MB)


def test_blocks_above_the_limit_go_back_at_once() -> None:
    buffers.set_pool_limit(MB)
    release(allocate(2 * MB), 2 * MB)
    assert buffers.pool_statistics()["retained"] == 0
    buffers.set_pool_limit(0)
    release(allocate(MB), MB)
    assert buffers.pool_statistics()["retained"] == 0


def test_lowering_the_limit_trims() -> None:
    release(allocate(8 * MB), 0)
    release(allocate(MB), 0)
    buffers.set_pool_limit(2 * MB)
    assert buffers.pool_statistics()["retained"] <= 2 * MB


def test_statistics_count() -> None:
    before = buffers.pool_statistics()
    release(allocate(MB), 0)
    release(allocate(MB), 0)
    after = buffers.pool_statistics()
    assert after["hits"] - before["hits"] == 1
    assert after["misses"] - before["misses"] == 1


def test_impossible_sizes_give_null() -> None:
    assert allocate(1 << 60) is None
    assert allocate((1 << 63) - 1) is None


def test_release_of_null_does_nothing() -> None:
    release(None, 100)


def test_default_limit(monkeypatch) -> None:
    monkeypatch.setenv("TRACEJIT_POOL_BYTES", "123456")
    assert buffers._default_limit() == 123456
    monkeypatch.setenv("TRACEJIT_POOL_BYTES", "1 GB")
    with pytest.raises(ValueError, match="TRACEJIT_POOL_BYTES"):
        buffers._default_limit()
    monkeypatch.delenv("TRACEJIT_POOL_BYTES")
    assert 0 < buffers._default_limit() <= 4 << 30


def test_threads_share_the_pool() -> None:
    failures = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        held: list[tuple[int, int]] = []
        for _ in range(1000):
            size = int(random.choice([100, 64 * KB, 100_000, 300_000]))
            pointer = allocate(size)
            ctypes.c_int64.from_address(pointer).value = pointer
            held.append((pointer, size))
            if len(held) > 5:
                old, old_size = held.pop(int(random.integers(5)))
                if ctypes.c_int64.from_address(old).value != old:
                    failures.append(old)
                release(old, old_size)
        for pointer, size in held:
            release(pointer, size)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


# NumPy ---------------------------------------------------------------------------------------------------


def test_handler_makes_ordinary_arrays(handled) -> None:
    array = np.arange(100_000.0)
    assert handler_name(array) == "tracejit"
    assert array.flags.owndata
    assert array.ctypes.data % 64 == 0
    np.testing.assert_array_equal(array[::-1].copy()[::-1], array)


def test_previous_handler_comes_back() -> None:
    before = get_handler()
    previous = set_handler(buffers.memory_handler())
    assert get_handler() is buffers.memory_handler()
    assert set_handler(previous) is buffers.memory_handler()
    assert get_handler() is before


def test_zeros_are_zero_from_warm_blocks(handled) -> None:
    for size in (3, 10_000, 200_000):
        dirty = np.full(size, 7.0)
        address = dirty.ctypes.data
        del dirty
        zeros = np.zeros(size)
        assert not zeros.any()
        if size * 8 >= 64 * KB:
            assert zeros.ctypes.data == address


def test_resize_moves_and_keeps_the_contents(handled) -> None:
    array = np.arange(10.0)
    for size in (5, 10_000, 10_001, 1_000_000, 1_200_000, 300_000, 20, 0, 7):
        kept = array[: min(len(array), size)].copy()
        array.resize(size, refcheck=False)
        np.testing.assert_array_equal(array[: len(kept)], kept)
        assert not array[len(kept) :].any()


def test_resize_within_a_class_stays(handled) -> None:
    array = np.ones(130_000)
    address = array.ctypes.data
    array.resize(125_000, refcheck=False)
    assert array.ctypes.data == address
    array.resize(131_000, refcheck=False)
    assert array.ctypes.data == address
    assert array[:125_000].all()
    assert not array[125_000:].any()


@pytest.mark.parametrize("dtype", [object, "U10", "i1"])
def test_other_dtypes_work_too(handled, dtype) -> None:
    array = np.array(["a", "bc"] if dtype == "U10" else [1, 2], dtype)
    assert handler_name(array) == "tracejit"
    assert (np.concatenate([array] * 40_000)[-2:] == array).all()


def test_out_of_memory_is_numpys_error(handled) -> None:
    with pytest.raises(MemoryError):
        np.empty(1 << 58, np.uint8)


def test_layout_of_arrays_is_as_assumed() -> None:
    assert buffers.results_are_native()


RESULTS = [("f8", ()), ("f8", (3,)), ("f4", (0, 5)), ("i2", (2, 3, 4)), ("f8", (400, 300)), ("c16", (70_000,))]


@pytest.mark.parametrize(("dtype", "dims"), RESULTS)
def test_new_results_are_like_numpys(dtype: str, dims: tuple[int, ...]) -> None:
    array, expected = new_result(dtype, *dims), np.empty(dims, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype, array.strides) == (expected.shape, expected.dtype, expected.strides)
    assert array.flags.num == expected.flags.num
    assert array.base is None
    assert handler_name(array) == ("tracejit" if expected.nbytes >= 64 * KB else "default_allocator")
    array[...] = 1
    assert array.all()
    array.resize((3,), refcheck=False)


def test_results_give_their_memory_back() -> None:
    array = new_result("f8", 100_000)
    address = array.ctypes.data
    del array
    assert new_result("f8", 100_000).ctypes.data == address


def test_result_references_are_balanced() -> None:
    descr, handler = np.dtype("f8"), buffers.memory_handler()
    gc.collect()  # arrays that earlier tests left in cycles refer to the dtype, too
    before = sys.getrefcount(descr), sys.getrefcount(handler)
    for _ in range(100):
        new_result("f8", 20_000)
        new_result("f8", 2)
    after = sys.getrefcount(descr), sys.getrefcount(handler)
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 50  # one lost reference a call makes 200


def take_over(block: int, dtype: object, *dims: int) -> np.ndarray:
    """Call the native function as a compiled entry would, after a kernel has claimed a block."""
    function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p)(
        buffers.take_over_address()
    )
    descr = np.dtype(dtype)
    record = (ctypes.c_int64 * (2 + len(dims)))(block, descr.itemsize * int(np.prod(dims)), *dims)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(descr))
    array = function(descr, len(dims), record)
    assert record[0] == 0
    return array


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dims", [(3,), (0, 5), (2, 3, 4), (400, 300)])
def test_claimed_memory_becomes_an_array(dims: tuple[int, ...], native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.arange(np.prod(dims), dtype="f8").reshape(dims)
    block = allocate(expected.nbytes + 8)
    ctypes.memmove(block, expected.ctypes.data, expected.nbytes)
    monkeypatch.setattr(buffers, "results_are_native", lambda: native)
    array = take_over(block, "f8", *dims)
    assert np.array_equal(array, expected)
    like = np.empty(dims)
    assert (array.shape, array.strides, array.flags.num) == (like.shape, like.strides, like.flags.num)
    owned = native and expected.nbytes >= 64 * KB
    assert handler_name(array) == ("tracejit" if owned else "default_allocator")
    assert (array.ctypes.data == block) == owned
    if expected.nbytes >= 64 * KB:  # given back at once, or with the array
        retained = buffers.pool_statistics()["retained"]
        del array
        assert (buffers.pool_statistics()["retained"] > retained) == owned
        assert allocate(expected.nbytes + 8) == block
        release(block, 0)
    monkeypatch.undo()
    buffers.take_over_address()


def test_failing_result_raises_numpys_error() -> None:
    with pytest.raises(MemoryError):
        new_result("f8", 1 << 50)


# Context ---------------------------------------------------------------------------------------------------


def test_context_has_the_documented_layout() -> None:
    offsets = {name: getattr(buffers.Context, name).offset for name, _ in buffers.Context._fields_}
    names = ("parallel_for", "allocate", "release", "thread_count", "error_code", "error_values")
    assert offsets == dict(zip((*names, "call_python"), (*range(0, 48, 8), 72), strict=True))
    assert buffers.CONTEXT_BYTES == 80


def test_contexts_are_independent_and_filled() -> None:
    (first_address, first), (_, second) = buffers.make_context(), buffers.make_context()
    assert first_address == ctypes.addressof(first)
    first.error_code = 5
    assert second.error_code == 0
    assert buffers.make_context()[1].error_code == 0
    assert first.parallel_for == threads.parallel_for_address()
    assert first.allocate == buffers.allocate_address()
    assert first.release == buffers.release_address()
    assert first.thread_count == threads.thread_count()


# Whole processes ---------------------------------------------------------------------------------------------------


def run_script(body: str) -> str:
    prelude = """
    import atexit, ctypes, os, sys, threading
    import numpy as np
    from tracejit.codegen_llvm import buffers, support
    switch = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(buffers.set_handler_address())
    """
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(prelude) + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_arrays_may_outlive_everything() -> None:
    run_script("""
    switch(buffers.memory_handler())
    class Holder:
        def __del__(self):
            del self.array
    holder = Holder()
    holder.array = np.ones(1_000_000)
    sys.modules["kept"] = holder
    builtins = __import__("builtins")
    builtins.kept = np.ones(100_000)
    cycle = [np.ones(500_000)]
    cycle.append(cycle)
    del buffers, support, switch
    for name in [name for name in sys.modules if name.startswith("tracejit")]:
        del sys.modules[name]
    """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_can_use_the_pool() -> None:
    output = run_script("""
    switch(buffers.memory_handler())
    stop = False
    def busy():
        switch(buffers.memory_handler())
        while not stop:
            np.ones(20_000)
    workers = [threading.Thread(target=busy) for _ in range(3)]
    for worker in workers:
        worker.start()
    statuses = set()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            for size in (10, 20_000, 30_000, 20_000):
                assert np.ones(size).all()
            os._exit(0)
        statuses.add(os.waitpid(child, 0)[1])
    stop = True
    for worker in workers:
        worker.join()
    print(statuses)
    """)
    assert output == "{0}\n"


def test_object_store_is_asked_and_told() -> None:
    output = run_script("""
    kept = {}
    support.set_object_store(kept.get, kept.__setitem__)
    support._load_part.cache_clear(); support.support_object.cache_clear()
    code = support.support_object("halves")
    text, = kept
    support.support_object.cache_clear()
    print(support.support_object("halves") is kept[text], code == kept[text], text == support.support_text("halves"))
    """)
    assert output == "True True True\n"


def test_parts_name_what_they_define() -> None:
    for part, symbols in support.PARTS.items():
        assert all(support.support_address(symbol) > 0 for symbol in symbols), part
