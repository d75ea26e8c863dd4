"""Calls by machine code and by its counterpart in Python: what they accept, refuse and return."""

import gc
import threading
import types
import weakref

import numpy as np
import pytest

from tests.runtime.kernels import (
    B1,
    C16,
    DOUBLE,
    F4,
    F8,
    I8,
    NOTHING,
    ROWS,
    SLOW,
    WAITING,
    Fast,
    array,
    copy_bytes,
    doubling,
    doubling_in_place,
    failing,
    fast_only,
    is_slow,
    m,
    misaligned,
    n,
    program,
    two_arrays,
    two_read,
)
from tracejit.ir import dims
from tracejit.ir.dims import symbol
from tracejit.runtime import entry, layout, wrapper
from tracejit.runtime.program import ArgumentSpec, ResultSpec
from tracejit.runtime.structure import LEAF, Lookup


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
    value = dtype.type(1)
    other = np.float32 if dtype != F4 else np.float64
    for spec, x, strange in [
        (array(0, dtype), np.array(value), value),
        (ArgumentSpec("scalar", dtype), value, np.array(value)),
    ]:
        f = make(program(copy_bytes([dtype.itemsize]), [spec], [()], [], [ResultSpec("array", dtype)]))
        result = f(x)
        assert type(result) is np.ndarray and result.shape == () and result.dtype is dtype and result == value
        assert f._hits == 1
        for bad in (strange, other(1), np.array(other(1)), np.ones(1, dtype), "x"):
            assert is_slow(f(bad))


@pytest.mark.parametrize("tree", ["tuple", "list", dict.fromkeys])
def test_containers(make, tree):
    results = [ResultSpec("argument", index=0), ResultSpec("array", F8, (n,)), ResultSpec("argument", index=0)]
    build = (lambda *leaves: {"leaves": list(leaves)}) if callable(tree) else tree
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
    with pytest.raises(ValueError, match=r"too big|too large|dimension"):
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
        "f(x.reshape(2, 2))",
        "f(x[0])",
        "f(list(x))",
        "f(None)",
        "f(x.view(Sub))",
        "f(np.ma.array(x))",
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


@pytest.mark.parametrize(
    "layout_of",
    [
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.outer(x, [1, 2])[:, 0],
        lambda x: misaligned(x),
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
)
def test_arrays_of_any_layout_are_read(make, layout_of):
    f = make(two_read())
    x = layout_of(np.arange(5.0))
    for a, b in [(x, x), (x, np.arange(5.0)), (np.arange(5.0), x)]:
        result = f(a, b)
        np.testing.assert_array_equal(result, a * 2 + 1)
    assert f._hits == 3


@fast_only
def test_strided_arrays_are_not_written_through_copies():
    f, x = Fast(), np.zeros(6)
    f._install([two_arrays()])
    assert is_slow(f(x[::2], np.ones(2))) and is_slow(f(np.ones(2), x[::2])) and not x.any()


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
    three = program(NOTHING, [array()], [(3,)], [], [ResultSpec("argument", index=0)])
    matrix = program(NOTHING, [array(2)], [(n, m)], [ROWS, ("m", ("dim", 0, 1))], [ResultSpec("argument", index=0)])
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
    results = [ResultSpec("argument", index=k) for k in (1, 2, 3)]
    f = make(
        program(
            NOTHING,
            [array()] * 4,
            [(n,)] + [(k,) for k in (2, 3, 4)],
            [ROWS],
            results,
            result_tree="tuple",
            lookups=(Lookup("global", "scale"), Lookup("cell"), Lookup("object")),
            outside=((0, LEAF), (1, LEAF), (2, LEAF)),
            roots={0: names, 1: cell, 2: own},
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
    f = Fast()
    f._install(
        [
            program(
                WAITING,
                [array(1, I8)],
                [(1,)],
                [],
                [ResultSpec("argument", index=0)],
                release_gil="always",
                lookups=(Lookup("global", "flag"),),
                outside=((0, LEAF),),
                roots={0: names},
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
