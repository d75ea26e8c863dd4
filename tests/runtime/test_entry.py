"""The call path: machine-code entry and its Python counterpart, with kernels written by hand."""

import ctypes
import functools
import gc
import inspect
import sys
import threading
import types
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracejit.codegen_llvm import engine
from tracejit.ir import dims
from tracejit.ir.dims import evaluate, symbol
from tracejit.runtime import cache, entry, layout, wrapper
from tracejit.runtime.dim_text import DimWriter, declarations
from tracejit.runtime.entry_text import entry_text
from tracejit.runtime.program import ArgumentSpec, Message, Program, ResultSpec, from_json, to_json

F8, F4, I8, C16, B1 = (np.dtype(name) for name in ("f8", "f4", "i8", "c16", "?"))
n, m = symbol("n"), symbol("m")

fast_only = pytest.mark.skipif(layout.problem() is not None, reason=str(layout.problem()))


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    monkeypatch.setattr(cache, "default_cache", lambda: cache.DiskCache(None))


# ------------------------------------------------------------------------------------------------ kernels

# data: x, out; sizes: the number of elements
DOUBLE = """
  %n = load i64, ptr %sizes
  %x = load ptr, ptr %data
  %out.at = getelementptr ptr, ptr %data, i64 1
  %out = load ptr, ptr %out.at
  br label %head
head:
  %i = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %p = getelementptr double, ptr %x, i64 %i
  %q = getelementptr double, ptr %out, i64 %i
  %v = load double, ptr %p
  %w = fmul double %v, 2.0
  %z = fadd double %w, 1.0
  store double %z, ptr %q
  %next = add i64 %i, 1
  br label %head
done:
  ret i32 0
"""

# Writes 2 x + 1 where x is.
IN_PLACE = DOUBLE.replace("ptr %data, i64 1", "ptr %data, i64 0")

# Fails with code 1, reporting 7 and -9, where x[0] < 0.
FAILING = """
  %x = load ptr, ptr %data
  %v = load double, ptr %x
  %bad = fcmp olt double %v, 0.0
  br i1 %bad, label %fail, label %good
fail:
  %a = getelementptr i64, ptr %context, i64 5
  store i64 7, ptr %a
  %b = getelementptr i64, ptr %context, i64 6
  store i64 -9, ptr %b
  ret i32 1
good:
  ret i32 0
"""

# Waits, for some seconds at most, until x[0] is not 0: another thread has to get the GIL meanwhile.
WAITING = """
  %x = load ptr, ptr %data
  br label %head
head:
  %i = phi i64 [0, %0], [%next, %body]
  %v = load atomic i64, ptr %x seq_cst, align 8
  %set = icmp ne i64 %v, 0
  br i1 %set, label %good, label %body
body:
  %next = add i64 %i, 1
  %late = icmp sgt i64 %i, 8000000000
  br i1 %late, label %fail, label %head
good:
  ret i32 0
fail:
  ret i32 1
"""

NOTHING = "  ret i32 0"


def copy_bytes(sizes: list[int]) -> str:
    """A kernel with as many results as arguments, each result a copy of the argument's few bytes."""
    lines = []
    for k, size in enumerate(sizes):
        lines.append(f"  %a{k} = getelementptr ptr, ptr %data, i64 {k}\n  %from{k} = load ptr, ptr %a{k}")
        lines.append(f"  %b{k} = getelementptr ptr, ptr %data, i64 {k + len(sizes)}\n  %to{k} = load ptr, ptr %b{k}")
        lines.append(
            f"  %v{k} = load i{8 * size}, ptr %from{k}, align 1\n  store i{8 * size} %v{k}, ptr %to{k}, align 1"
        )
    return "\n".join([*lines, "  ret i32 0"])


@functools.cache
def kernel(body: str) -> engine.LoadedCode:
    text = f"define i32 @kernel(ptr %data, ptr %sizes, ptr %context) {{\n{body}\n}}"
    return engine.load_object(engine.compile_object(text, level=engine.LEVEL_QUICK))


def program(body: str, arguments, argument_dims, symbols, results, **rest) -> Program:
    code = kernel(body)
    return Program(
        "f",
        tuple(arguments),
        tuple(argument_dims),
        tuple(symbols),
        tuple(results),
        address=code.address,
        keepalive=code,
        **rest,
    )


def array(rank=1, dtype=F8, **rest) -> ArgumentSpec:
    return ArgumentSpec("array", dtype, rank, **rest)


ROWS = ("n", ("dim", 0, 0))


def doubling(**rest) -> Program:
    return program(DOUBLE, [array()], [(n,)], [ROWS], [ResultSpec("array", F8, (n,))], **rest)


def doubling_in_place(**rest) -> Program:
    results = [ResultSpec("argument", argument=0)]
    return program(IN_PLACE, [array(written=True)], [(n,)], [ROWS], results, **rest)


SLOW = "slow"


class SlowMixin:
    def _call_slow(self, *args, **kwargs):
        return (SLOW, args, kwargs)


class Portable(SlowMixin, entry.PortableCallable):
    pass


if layout.problem() is None:

    class Fast(SlowMixin, entry.FastCallable):
        pass

    KINDS = [Fast, Portable]
else:
    KINDS = [Portable]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def make(request):
    def build(*programs):
        instance = request.param()
        instance._install(programs)
        return instance

    return build


def is_slow(result) -> bool:
    return type(result) is tuple and len(result) == 3 and result[0] is SLOW


# ------------------------------------------------------------------------------------------------ results


@pytest.mark.parametrize("size", [0, 1, 4, 1000, 100_000, 300_000])
def test_array_result(make, size):
    f, x = make(doubling()), np.arange(float(size))
    result = f(x)
    assert type(result) is np.ndarray and result.dtype is F8 and result.flags.owndata
    np.testing.assert_array_equal(result, x * 2 + 1)
    assert f._hits == 1
    result.resize(3, refcheck=False)  # the pool's memory is NumPy's to change
    assert result.shape == (3,)


def test_every_scalar_kind(make):
    kinds = ("int", "float", "bool", "complex")
    dtypes = (I8, F8, B1, C16)
    f = make(
        program(
            copy_bytes([8, 8, 1, 16]),
            [ArgumentSpec(kind) for kind in kinds],
            [()] * 4,
            [],
            [ResultSpec("scalar", dtype) for dtype in dtypes],
            result_tree="tuple",
        )
    )
    for call in [
        (5, 2.5, True, 1 - 2j),
        (-(2**63), -0.0, False, complex(np.nan, np.inf)),
        (2**63 - 1, 1e300, True, 0j),
    ]:
        result = f(*call)
        assert type(result) is tuple
        assert [type(leaf) for leaf in result] == [np.int64, np.float64, np.bool_, np.complex128]
        assert repr(tuple(leaf.item() for leaf in result)) == repr(call)
    for bad in [(2**63, 2.5, True, 0j), (5, 2, True, 0j), (5, 2.5, 1, 0j), (True, 2.5, True, 0j), (5, 2.5, True, 0.0)]:
        assert is_slow(f(*bad))


@fast_only
def test_scalar_subclasses_are_left_to_the_slow_path():
    f = Fast()
    f._install([program(copy_bytes([8]), [ArgumentSpec("float")], [()], [], [ResultSpec("scalar", F8)])])

    class Real(float):
        pass

    assert is_slow(f(Real(1.0))) and is_slow(f(np.float64(1.0))) and f(1.0) == 1.0


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c16", "c8", "i1", "u2", "i4", "u8", "?"])
def test_rank_0_arguments(make, dtype):
    dtype = np.dtype(dtype)
    f = make(program(copy_bytes([dtype.itemsize]), [array(0, dtype)], [()], [], [ResultSpec("array", dtype)]))
    value = dtype.type(1)
    for x in (value, np.array(value)):
        result = f(x)
        assert type(result) is np.ndarray and result.shape == () and result.dtype is dtype and result == value
    assert f._hits == 2
    other = np.float32 if dtype != F4 else np.float64
    assert is_slow(f(other(1))) and is_slow(f(np.array(other(1)))) and is_slow(f(np.ones(1, dtype))) and is_slow(f("x"))


@pytest.mark.parametrize("tree", ["tuple", "list", dict.fromkeys])
def test_containers(make, tree):
    results = [ResultSpec("argument", argument=0), ResultSpec("array", F8, (n,)), ResultSpec("argument", argument=0)]
    build = (lambda leaves: {"leaves": leaves}) if callable(tree) else tree
    f, x = make(program(DOUBLE, [array()], [(n,)], [ROWS], results, result_tree=build)), np.arange(3.0)
    result = f(x)
    leaves = result["leaves"] if callable(tree) else result
    assert type(leaves) is (tuple if tree == "tuple" else list)
    assert leaves[0] is x and leaves[2] is x
    np.testing.assert_array_equal(leaves[1], x * 2 + 1)


def test_no_results_at_all(make):
    assert make(program(NOTHING, [array()], [(n,)], [ROWS], [], result_tree="tuple"))(np.ones(2)) == ()


def test_the_builder_of_a_result_may_raise(make):
    def refuse(leaves):
        raise KeyError("no")

    f = make(doubling(result_tree=refuse))
    with pytest.raises(KeyError, match="no"):
        f(np.ones(3))


def test_impossible_results_raise_as_numpy_does(make):
    negative = make(program(NOTHING, [array()], [(n,)], [ROWS], [ResultSpec("array", F8, (n - 5,))]))
    with pytest.raises(ValueError, match="negative dimensions"):
        negative(np.ones(2))
    assert negative(np.ones(7)).shape == (2,)
    results = [ResultSpec("array", F8, (n,)), ResultSpec("array", F8, (n, 2**46))]
    large = make(program(NOTHING, [array()], [(n,)], [ROWS], results, result_tree="tuple"))
    with pytest.raises(MemoryError):
        large(np.ones(2))
    with pytest.raises(ValueError, match="too big|too large|dimension"):
        large(np.ones(2**16))


# ------------------------------------------------------------------------------------------------ what is refused


@fast_only
@pytest.mark.parametrize(
    "call",
    [
        "f()",
        "f(x, x)",
        "f(x=x)",
        "f(x, y=1)",
        "f(*[x] * 1000)",
        "f(x.astype('f4'))",
        "f(x.astype('>f8'))",
        "f(x[::2])",
        "f(x[::-1])",
        "f(x.reshape(2, 2))",
        "f(x[0])",
        "f(list(x))",
        "f(None)",
        "f(x.view(Sub))",
        "f(np.ma.array(x))",
        "f(np.frombuffer(bytes(33), 'u1')[1:].view('f8'))",
        "f(x.astype([('a', 'f8')]))",
    ],
)
def test_calls_for_the_slow_path(call):
    class Sub(np.ndarray):
        pass

    f = Fast()
    f._install([doubling()])
    x = np.arange(4.0)
    recorded = eval(
        call.replace("f(", "record(", 1), {"record": lambda *a, **k: (SLOW, a, k), "x": x, "np": np, "Sub": Sub}
    )
    result = eval(call, {"f": f, "x": x, "np": np, "Sub": Sub})
    assert is_slow(result) and repr(result) == repr(recorded)
    assert f._hits == 0


def test_calls_without_versions(make):
    f = make()
    assert f(1, b=2) == ("slow", (1,), {"b": 2})
    f._install([doubling()])
    assert f(np.ones(1)) == 3.0
    f._install([])
    assert is_slow(f(np.ones(1)))


@fast_only
def test_errors_of_the_slow_path_and_its_absence():
    class Broken(entry.FastCallable):
        def _call_slow(self, *args):
            raise ZeroDivisionError(str(args))

    with pytest.raises(ZeroDivisionError, match="1, 2"):
        Broken()(1, 2)
    with pytest.raises(NotImplementedError):
        entry.FastCallable()(1)
    with pytest.raises(NotImplementedError):
        entry.PortableCallable()(1)


def test_sizes_that_must_agree(make):
    # x[n, m], y[m, 3], z[n + m]
    spec = [array(2), array(2), array(1)]
    symbols = [ROWS, ("m", ("dim", 0, 1))]
    f = make(program(NOTHING, spec, [(n, m), (m, 3), (n + m,)], symbols, [ResultSpec("array", F8, (n * m,))]))
    assert f(np.ones((2, 4)), np.ones((4, 3)), np.ones(6)).shape == (8,)
    for shapes in [((2, 4), (5, 3), 6), ((2, 4), (4, 2), 6), ((2, 4), (4, 3), 7)]:
        assert is_slow(f(*map(np.ones, shapes)))


@pytest.mark.parametrize(
    ("guard", "good"),
    [
        ((n - 3, "== 0"), {3}),
        ((n - 3, "!= 0"), set(range(8)) - {3}),
        ((n - 3, ">= 0"), {3, 4, 5, 6, 7}),
        ((dims.modulo(n, 3), "== 0"), {0, 3, 6}),
        ((dims.floordiv(7, n) - 3, "== 0"), {2}),
        ((0, "!= 0"), set()),
    ],
)
def test_guards(make, guard, good):
    f = make(program(DOUBLE, [array()], [(n,)], [ROWS], [ResultSpec("array", F8, (n,))], guards=(guard,)))
    assert {k for k in range(8) if not is_slow(f(np.ones(k)))} == good


def test_ints_as_sizes(make):
    spec, symbols = [ArgumentSpec("int", passed=False)], [("k", ("int", 0))]
    k = symbol("k")
    f = make(program(NOTHING, spec, [()], symbols, [ResultSpec("array", F8, (k, 2))], guards=((k * k - 1, ">= 0"),)))
    assert f(3).shape == (3, 2)
    assert is_slow(f(0)) and is_slow(f(2**70)) and is_slow(f(3.0)) and is_slow(f(True))
    with pytest.raises((ValueError, MemoryError)):
        f(2**31)


@fast_only
def test_sizes_beyond_64_bits_are_left_to_the_slow_path():
    k = symbol("k")
    f = Fast()
    f._install(
        [
            program(
                NOTHING,
                [ArgumentSpec("int", passed=False)],
                [()],
                [("k", ("int", 0))],
                [ResultSpec("array", F8, ())],
                guards=((k * k, ">= 0"),),
            )
        ]
    )
    assert not is_slow(f(2**31)) and is_slow(f(2**32)) and is_slow(f(-(2**63)))


def test_versions_are_asked_in_order(make):
    any_size = doubling()
    three = program(NOTHING, [array()], [(3,)], [], [ResultSpec("argument", argument=0)])
    matrix = program(NOTHING, [array(2)], [(n, m)], [ROWS, ("m", ("dim", 0, 1))], [ResultSpec("argument", argument=0)])
    x3, x4, x22 = np.ones(3), np.ones(4), np.ones((2, 2))
    f = make(three, any_size, matrix)
    assert f(x3) is x3 and f(x4) is not x4 and f(x22) is x22 and is_slow(f(np.ones((1, 1, 1))))
    f._install([any_size, three])
    assert f(x3) is not x3 and is_slow(f(x22))


def test_static_arguments(make):
    spec = [array(), ArgumentSpec("static"), ArgumentSpec("static")]
    f = make(
        program(DOUBLE, spec, [(n,), (), ()], [ROWS], [ResultSpec("array", F8, (n,))], objects={1: None, 2: "full"})
    )
    x = np.ones(2)
    assert not is_slow(f(x, None, "full"))
    assert is_slow(f(x, 0, "full")) and is_slow(f(x, None, "same"))


# ------------------------------------------------------------------------------------------------ captured arrays


def test_captured_arrays_are_read_at_each_call(make):
    names = {"scale": np.arange(2.0)}
    cell = types.CellType(np.arange(3.0))
    own = np.arange(4.0)
    spec = [array(source="global"), array(source="cell"), array(source="object"), array()]
    results = [ResultSpec("argument", argument=k) for k in range(3)]
    f = make(
        program(
            NOTHING,
            spec,
            [(k,) for k in (2, 3, 4)] + [(n,)],
            [("n", ("dim", 3, 0))],
            results,
            result_tree="tuple",
            objects={0: (names, "scale"), 1: cell, 2: own},
        )
    )
    x = np.ones(1)
    assert all(a is b for a, b in zip(f(x), (names["scale"], cell.cell_contents, own), strict=True))
    names["scale"], cell.cell_contents = np.zeros(2), np.zeros(3)
    assert all(a is b for a, b in zip(f(x), (names["scale"], cell.cell_contents, own), strict=True))
    names["scale"] = np.zeros(5)
    assert is_slow(f(x))
    del names["scale"]
    assert is_slow(f(x))
    names["scale"] = np.zeros(2)
    assert not is_slow(f(x))
    del cell.cell_contents
    assert is_slow(f(x))


@fast_only
def test_captured_arrays_stay_alive_while_the_kernel_runs():
    names = {"flag": np.zeros(1, np.int64)}
    spec = [array(1, I8, source="global")]
    f = Fast()
    f._install(
        [
            program(
                WAITING,
                spec,
                [(1,)],
                [],
                [ResultSpec("argument", argument=0)],
                release_gil="always",
                objects={0: (names, "flag")},
            )
        ]
    )
    flag = weakref.ref(names["flag"])

    def rebind():
        while not f._word(layout.INSTANCE_RUNNING).value:
            pass
        names["flag"] = None
        gc.collect()
        flag()[0] = 1

    thread = threading.Thread(target=rebind)
    thread.start()
    result = f()
    thread.join()
    assert result is flag() and result[0] == 1
    del result
    assert flag() is None


# ------------------------------------------------------------------------------------------------ written arguments


def test_written_in_place(make):
    f, x = make(doubling_in_place()), np.arange(4.0)
    assert f(x) is x
    np.testing.assert_array_equal(x, [1, 3, 5, 7])


def two_arrays(**rest) -> Program:
    symbols = [ROWS, ("m", ("dim", 1, 0))]
    return program(
        IN_PLACE, [array(written=True), array(**rest)], [(n,), (m,)], symbols, [ResultSpec("argument", argument=0)]
    )


def test_overlap_is_left_to_the_slow_path(make):
    base = np.zeros(20)
    for rest in ({}, {"written": True}):
        f = make(two_arrays(**rest))
        for a, b in [((0, 5), (0, 5)), ((0, 5), (4, 9)), ((4, 9), (0, 5)), ((2, 4), (0, 9)), ((0, 9), (2, 4))]:
            assert is_slow(f(base[slice(*a)], base[slice(*b)]))
        assert not base.any()
        assert not is_slow(f(base[:5], base[5:])) and not is_slow(f(base[5:], base[:5]))
        base[:] = 0


@fast_only
def test_read_only_arrays_are_not_written():
    f, x = Fast(), np.zeros(4)
    f._install([doubling_in_place()])
    x.flags.writeable = False
    assert is_slow(f(x)) and is_slow(f(np.broadcast_to(np.zeros(1), (1,)))) and not x.any()
    with pytest.raises(ValueError, match="assignment destination is read-only"):
        wrapper.call(doubling_in_place(), [x])


# ------------------------------------------------------------------------------------------------ failures


def failing(**rest) -> Program:
    message = Message(IndexError, "index {0} is out of bounds for axis 0 with size {1}", "model.py:12, in step")
    results = [ResultSpec("array", F8, (n,)), ResultSpec("scalar", F8), ResultSpec("argument", argument=0)]
    return program(FAILING, [array()], [(n,)], [ROWS], results, result_tree="tuple", messages=(message,), **rest)


@pytest.mark.parametrize("release", ["large", "always"])
def test_failed_checks_raise(make, release):
    f = make(failing(release_gil=release))
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size -9") as caught:
        f(-np.ones(3))
    assert str(caught.value) == "index 7 is out of bounds for axis 0 with size -9"
    assert caught.value.__notes__ == ["in model.py:12, in step"]
    assert len(f(np.ones(3))) == 3


def test_unknown_codes_are_reported(make):
    f = make(program("  ret i32 5", [], [], [], [], result_tree="tuple"))
    with pytest.raises(SystemError, match="unknown code 5"):
        f()


# ------------------------------------------------------------------------------------------------ references


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
        [array(), array(source="global")],
        [(n,), (m,)],
        [ROWS, ("m", ("dim", 1, 0))],
        [ResultSpec("argument", argument=1)],
        objects={1: (names, "w")},
    )
    programs = {
        "in place": doubling_in_place(),
        "fails": failing(),
        "negative": negative,
        "unflatten": doubling(result_tree=lambda leaves: {"a": leaves[0]}),
        "captured": captured,
    }
    f = Fast()
    f._install([programs.get(case, doubling())])
    if case == "fails":
        x[0] = -1
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
    waiting = program(WAITING, [array(1, I8)], [(1,)], [], [ResultSpec("argument", argument=0)], release_gil="always")
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
    spec, results = [array(1, I8)], [ResultSpec("argument", argument=0)]
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


# ------------------------------------------------------------------------------------------------ the wrapper


def test_any_layout_is_copied_in_and_back():
    x = np.arange(12.0)
    layouts = [
        x,
        x[::2],
        x[::-1],
        x.astype(">f8"),
        np.frombuffer(bytearray(97), "u1")[1:].view("f8"),
        np.ma.array(x)[1:],
        x.reshape(3, 4).T[1],
    ]
    for values in layouts:
        expected = np.asarray(values) * 2 + 1
        assert wrapper.matches(doubling(), [values])
        (result,) = wrapper.call(doubling(), [values])
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == F8
        (same,) = wrapper.call(doubling_in_place(), [values])
        assert same is values
        np.testing.assert_array_equal(np.asarray(values), expected)


def test_array_likes_are_arrays():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3.0)

    for value in ([0.0, 1.0, 2.0], Like(), memoryview(np.arange(3.0))):
        assert wrapper.matches(doubling(), [value])
        np.testing.assert_array_equal(wrapper.call(doubling(), [value])[0], [1, 3, 5])
        assert "not written in place" in wrapper.mismatch(doubling_in_place(), [value])


def test_overlap_is_found_exactly():
    base = np.zeros(10)
    assert wrapper.call(two_arrays(), [base[::2], base[1::2]])[0].tolist() == [1] * 5
    assert base.tolist() == [1, 0] * 5
    for a, b in [(base, base), (base[::2], base[4:5]), (base[2:], base[:3])]:
        with pytest.raises(wrapper.OverlapError) as caught:
            wrapper.call(two_arrays(), [a, b])
        assert caught.value.arguments == (0, 1)
    windows = np.lib.stride_tricks.as_strided(base, (8, 3), (8, 8))
    matrix = program(NOTHING, [array(2, written=True)], [(n, m)], [ROWS, ("m", ("dim", 0, 1))], [], result_tree="tuple")
    with pytest.raises(wrapper.OverlapError):
        wrapper.call(matrix, [windows])
    assert wrapper.call(matrix, [np.zeros((3, 4)).T]) == [] == wrapper.call(matrix, [np.zeros((1, 4))[:, ::-1]])


def test_reasons_are_given_in_words():
    p = program(DOUBLE, [array()], [(n,)], [ROWS], [ResultSpec("array", F8, (n,))], guards=((n - 3, "== 0"),))
    assert wrapper.mismatch(p, [np.ones(3)]) is None
    for leaves, text in [
        ([], "0 arguments where 1 are expected"),
        ([1.0], "argument 0 is of kind float, not array"),
        ([np.ones(3, "f4")], "argument 0 is float32 of rank 1, not float64 of rank 1"),
        ([np.ones(4)], "n-3 == 0 does not hold for {'n': 4}"),
    ]:
        assert wrapper.mismatch(p, leaves) == text
    three = program(NOTHING, [array()], [(3,)], [], [], result_tree="tuple")
    assert wrapper.mismatch(three, [np.ones(2)]) == "axis 0 of argument 0 has size 2, not 3"


# ------------------------------------------------------------------------------------------------ programs and dims


def test_programs_survive_as_text():
    p = program(
        NOTHING,
        [array(2, F4, written=True), ArgumentSpec("int", passed=False), ArgumentSpec("static"), array(source="cell")],
        [(n, dims.floordiv(n, 2)), (), (), (3,)],
        [("n", ("dim", 0, 0)), ("k", ("int", 1))],
        [ResultSpec("array", C16, (n * symbol("k") - 1, dims.maximum(n, 2))), ResultSpec("argument", argument=0)],
        guards=((n * n - 4, ">= 0"),),
        result_tree=lambda leaves: leaves,
        messages=(Message(np.linalg.LinAlgError, "Singular matrix"), Message(ZeroDivisionError, "{0}", "a.py:1")),
        release_gil="always",
        objects={2: "x", 3: types.CellType()},
    )
    text = to_json(p)
    q = from_json(text, address=1, keepalive=2, objects={2: "y"}, unflatten=tuple)
    assert to_json(q) == text
    same = ("name", "arguments", "argument_dims", "symbols", "results", "guards", "messages", "release_gil")
    assert all(getattr(p, name) == getattr(q, name) for name in same)
    assert (q.address, q.keepalive, q.objects, q.result_tree) == (1, 2, {2: "y"}, tuple)
    with pytest.raises(ValueError, match="build its result"):
        from_json(text)
    for bad in ("", "[]", "{}", text.replace('"format":1', '"format":0'), text.replace("LinAlgError", "SystemExit")):
        with pytest.raises(ValueError):  # noqa: PT011
            from_json(bad, unflatten=tuple)


def test_programs_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="do not fit the ranks"):
        Program("f", (array(2),), ((n,),), (), ())
    with pytest.raises(ValueError, match="need a result_tree"):
        Program("f", (), (), (), ())
    with pytest.raises(ValueError, match="not an int"):
        Program("f", (array(1),), ((n,),), (("n", ("int", 0)),), (ResultSpec("argument", argument=0),))
    with pytest.raises(ValueError, match="native"):
        ArgumentSpec("array", np.dtype(">f8"), 1)


sizes = st.integers(-9, 9) | st.sampled_from([2**31, 2**62, -(2**63), 2**63 - 1])
dim_trees = st.recursive(
    st.sampled_from([n, m]) | st.integers(-5, 5) | st.just(2**40),
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "floordiv", "mod", "max", "min"]), inner, inner),
    max_leaves=6,
)


def build(tree):
    if not isinstance(tree, tuple):
        return tree
    kind, a, b = tree[0], build(tree[1]), build(tree[2])
    if kind in ("floordiv", "mod"):
        return dims.atom(kind, a, b)
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "max": lambda: dims.maximum(a, b),
        "min": lambda: dims.minimum(a, b),
    }[kind]()


def compiled(dim):
    """The dim as machine code: from n and m to its value, or to None where the code refuses."""
    lines: list[str] = []

    def emit(instruction):
        lines.append(f"  %r{len(lines)} = {instruction}")
        return f"%r{len(lines) - 1}"

    writer = DimWriter(emit, {"n": "%n", "m": "%m"})
    value, flag = writer.write(dim), "false"
    for condition in writer.bad:
        flag = emit(f"or i1 {flag}, {condition}")
    lines += [f"  store i64 {value}, ptr %out", f"  %flag = zext i1 {flag} to i8", "  ret i8 %flag"]
    body = "\n".join(lines)
    text = f"{declarations()}\ndefine i8 @f(i64 %n, i64 %m, ptr %out) {{\n{body}\n}}"
    code = engine.load_object(engine.compile_object(text, level=engine.LEVEL_QUICK), "f")
    kind = ctypes.CFUNCTYPE(ctypes.c_uint8, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64))
    out = ctypes.c_int64()

    def run(a, b):
        assert code
        return None if kind(code.address)(a, b, out) else out.value

    return run


@settings(max_examples=60, deadline=None)
@given(dim_trees, st.lists(st.tuples(sizes, sizes), min_size=1, max_size=30))
def test_machine_code_computes_dims_as_python_does(tree, cases):
    dim = build(tree)
    run = compiled(dim)
    for a, b in cases:
        found = run(a, b)
        try:
            assert found is None or found == evaluate(dim, {"n": a, "m": b})
        except ZeroDivisionError:
            pytest.fail(f"{dim} divides by zero at n={a}, m={b}, and the code gave {found}")


@pytest.mark.parametrize(
    "dim",
    [n, n + m, n * m - 3 * n + 2, n * n * m, dims.floordiv(n - 7, 3), dims.modulo(n - 7, 3), dims.maximum(n, m - 2)]
    + [dims.minimum(n, 4), dims.floordiv(n, m), dims.modulo(-n, m), 7],
    ids=str,
)
def test_ordinary_sizes_are_not_refused(dim):
    run = compiled(dim)
    for a in range(9):
        for b in range(1, 5):
            assert run(a, b) == evaluate(dim, {"n": a, "m": b})
    if dim is n:
        assert run(2**63 - 1, 0) == 2**63 - 1
