"""Callables as objects: references, threads, methods, shared machine code."""

import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import types
import weakref

import numpy as np
import pytest

from tests.runtime.kernels import (
    DOUBLE,
    F8,
    I8,
    NOTHING,
    ROWS,
    WAITING,
    Fast,
    array,
    doubling,
    doubling_in_place,
    failing,
    fast_only,
    kernel,
    m,
    n,
    program,
)
from tracejit.codegen_llvm import engine
from tracejit.ir.dims import symbol
from tracejit.runtime import cache, entry, layout
from tracejit.runtime.entry_text import entry_text
from tracejit.runtime.program import Message, Program, ResultSpec
from tracejit.runtime.structure import LEAF, Lookup


def call_safely(f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except (IndexError, ValueError, MemoryError):
        pass


@fast_only
@pytest.mark.parametrize(
    "case", ["array", "pool", "in place", "fails", "negative", "refused", "keyword", "unflatten", "captured", "bound"]
)
def test_no_reference_is_lost_or_kept(case):
    x = np.ones(100_000 if case == "pool" else 5)
    names = {"w": np.ones(2)}
    negative = program(
        NOTHING,
        [array()],
        [(n,)],
        [ROWS],
        [ResultSpec("array", F8, (n,)), ResultSpec("array", F8, (n - 9,))],
        result_tree="list",
    )
    captured = program(
        NOTHING,
        [array(), array()],
        [(n,), (m,)],
        [ROWS, ("m", ("dim", 1, 0))],
        [ResultSpec("argument", index=1)],
        lookups=(Lookup("global", "w"),),
        outside=((0, LEAF),),
        roots={0: names},
    )
    programs = {
        "in place": doubling_in_place(),
        "fails": failing(),
        "negative": negative,
        "unflatten": doubling(result_tree=lambda leaf: {"a": leaf}),
        "captured": captured,
    }
    f = Fast()
    f._install([programs.get(case, doubling())])
    if case == "fails":
        x[0] = -1
    if case == "strided":
        x = x[::2]
    args = (x.astype("f4"),) if case == "refused" else (x,)
    kwargs = {"k": x} if case == "keyword" else {}
    calls = 1000 if case == "pool" else 20_000
    watched = [x, F8, f, names["w"], np.ndarray, entry._SLOW_NAME, *args]

    def run(count):
        target = f.__get__(x) if case == "bound" else f
        for _ in range(count):
            call_safely(target, *args[case == "bound" :], **kwargs)

    run(10)
    gc.collect()
    before, blocks = [sys.getrefcount(item) for item in watched], sys.getallocatedblocks()
    run(calls)
    gc.collect()
    assert [sys.getrefcount(item) for item in watched] == before
    assert sys.getallocatedblocks() - blocks < 100


@fast_only
def test_instances_and_versions_are_freed():
    f, keep = Fast(), type("Keep", (), {})()
    code = kernel(NOTHING)
    f._install([Program("f", (), (), (), (), result_tree="tuple", address=code.address, keepalive=keep)])
    alive, instance = weakref.ref(keep), weakref.ref(f)
    del keep
    assert f() == () and alive() is not None
    f._install([])
    assert alive() is None
    del f
    assert instance() is None


@fast_only
def test_replaced_versions_live_until_their_calls_return():
    flag = np.zeros(1, np.int64)
    waiting = program(WAITING, [array(1, I8)], [(1,)], [], [ResultSpec("argument", index=0)], release_gil="always")
    f = Fast()
    f._install([waiting])
    keep = weakref.ref(f._chain[0][1].table)

    def replace():
        while not f._word(layout.INSTANCE_RUNNING).value:
            pass
        f._install([])
        assert keep() is not None
        flag[0] = 1

    thread = threading.Thread(target=replace)
    thread.start()
    assert f(flag) is flag
    thread.join()
    del waiting
    f._install([])
    assert keep() is None


# ------------------------------------------------------------------------------------------------ threads


def test_many_threads_call_one_function(make):
    f = make(failing(), doubling())
    g = make(doubling())
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).random(20_000 if seed % 2 else 7)
        for k in range(300):
            x[0] = -1.0 if k % 3 == 0 else 1.0
            try:
                f(x)
                failed = False
            except IndexError:
                failed = True
            if failed != (x[0] < 0) or not np.array_equal(g(x), x * 2 + 1):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("elements", [1, 20_000])
def test_long_kernels_run_without_the_gil(make, elements):
    release = "always" if elements == 1 else "large"
    spec, results = [array(1, I8)], [ResultSpec("argument", index=0)]
    message = Message(RuntimeError, "waited for too long")
    f = make(program(WAITING, spec, [(n,)], [ROWS], results, release_gil=release, messages=(message,)))
    flag = np.zeros(elements, np.int64)
    timer = threading.Timer(0.05, flag.__setitem__, (0, 1))
    timer.start()
    assert f(flag) is flag
    timer.join()


# ------------------------------------------------------------------------------------------------ Python's view


def test_it_is_an_object_like_a_function(make):
    def original(x):
        """Twice and one."""

    f = make(doubling())
    functools.update_wrapper(f, original)
    f.note = 1
    assert (f.__name__, f.__doc__, f.__wrapped__, f.note) == ("original", "Twice and one.", original, 1)
    assert callable(f) and str(inspect.signature(f)) == "(x)"
    assert weakref.ref(f)() is f
    np.testing.assert_array_equal(f.__call__(np.ones(1)), [3.0])
    assert [y[0] for y in map(f, [np.ones(1), np.zeros(1)])] == [3.0, 1.0]
    assert f(*[np.ones(1)], **{})[0] == 3.0


def test_it_copies_and_pickles_as_a_function_does(make, monkeypatch):
    f = make(doubling())
    assert copy.copy(f) is f and copy.deepcopy([f])[0] is f
    functools.update_wrapper(f, test_it_becomes_a_method)
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(f)
    monkeypatch.setitem(globals(), "test_it_becomes_a_method", f)
    monkeypatch.setitem(sys.modules, __name__, types.SimpleNamespace(**globals()))
    assert pickle.loads(pickle.dumps(f)) is f


@fast_only
def test_its_dict_may_be_emptied_and_cycles_are_collected():
    f = Fast()
    f._install([doubling()])
    f.__dict__.clear()
    assert f(np.ones(1))[0] == 3.0
    f.itself, alive = f, weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


def test_it_becomes_a_method(make):
    f = make(doubling())

    class Model(np.ndarray):
        step = f
        bare = staticmethod(f)

    class Plain:
        step = f

    plain = Plain()
    slow = plain.step(1, k=2)
    assert slow == ("slow", (plain, 1), {"k": 2})
    assert plain.step.__self__ is plain and plain.step.__func__ is f and Plain.step is f
    assert Model.bare(np.ones(1))[0] == 3.0
    plain.step = 5  # not a data descriptor
    assert plain.step == 5


@fast_only
def test_a_subclass_may_take_over():
    class Own(Fast):
        def __call__(self, x):
            return "own"

    class Deep(Fast):
        def __init__(self, name):
            self.name = name

    own, deep = Own(), Deep("a")
    own._install([doubling()])
    deep._install([doubling()])
    x = np.ones(2)
    assert own(x) == "own" and deep(x)[0] == 3.0 and deep.name == "a" and deep._hits == 1 and own._hits == 0
    deep._hits = 0
    assert deep._hits == 0


@fast_only
def test_equal_signatures_share_code():
    other = symbol("rows")
    renamed = program(DOUBLE, [array()], [(other,)], [("rows", ("dim", 0, 0))], [ResultSpec("array", F8, (other,))])
    assert entry_text(renamed) == entry_text(doubling())
    f, g = Fast(), Fast()
    f._install([doubling()])
    count = len(entry._codes)
    g._install([renamed])
    assert len(entry._codes) == count and g(np.ones(1))[0] == 3.0


@fast_only
def test_entries_come_from_the_disk(monkeypatch, tmp_path):
    disk = cache.DiskCache(tmp_path / "cache")
    monkeypatch.setattr(cache, "default_cache", lambda: disk)
    monkeypatch.setattr(entry, "_codes", {})
    f = Fast()
    f._install([doubling()])
    assert len(list(disk.directory.iterdir())) == 1
    monkeypatch.setattr(entry, "_codes", {})
    with monkeypatch.context() as patch:
        patch.setattr(engine, "compile_object", None)
        g = Fast()
        g._install([doubling()])
        assert g(np.ones(1))[0] == 3.0
    monkeypatch.setattr(entry, "_codes", {})
    (path,) = disk.directory.iterdir()
    disk.store(path.stem, {"object": b"not an object file"})
    h = Fast()
    h._install([doubling()])
    assert h(np.ones(1))[0] == 3.0


def test_free_threaded_interpreters_get_the_portable_class(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert "free-threaded" in layout.problem.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr(layout, "ARRAY_DATA", layout.ARRAY_DIMS)
    if layout.problem() is None:
        assert "ndarray" in layout.problem.__wrapped__()
