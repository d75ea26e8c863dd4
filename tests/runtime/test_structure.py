"""Calls with containers and keywords, and what is found outside of the call: by machine code and in Python."""

import gc
import sys
import threading
import types
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.runtime.kernels import (
    B1,
    C16,
    DOUBLE,
    F8,
    I8,
    NOTHING,
    ROWS,
    WAITING,
    Fast,
    array,
    copy_bytes,
    doubling,
    fast_only,
    is_slow,
    m,
    n,
    program,
)
from tracejit.ir.dims import symbol
from tracejit.runtime import layout
from tracejit.runtime.entry import suspended
from tracejit.runtime.program import ArgumentSpec, ResultSpec, comparison_of
from tracejit.runtime.structure import LEAF, CallShape, Lookup, Node


class Pair(NamedTuple):
    a: Any
    b: Any


class OtherPair(NamedTuple):
    a: Any
    b: Any


class Settings(dict):
    pass


def fresh_text(text):
    """An equal string that is another object."""
    return "".join(list(text))


def picking(shape, count, **rest):
    """A program of arrays of any size that returns them all."""
    sizes = [(f"n{k}", ("dim", k, 0)) for k in range(count)]
    dims = [(symbol(f"n{k}"),) for k in range(count)]
    results = [ResultSpec("argument", index=k) for k in range(count)]
    return program(NOTHING, [array()] * count, dims, sizes, results, result_tree="tuple", shape=shape, **rest)


X = [np.full(k + 1, float(k)) for k in range(5)]
SEQUENCE = (LEAF, LEAF)
STRUCTURES = {
    "list": (Node("list", (), SEQUENCE), [X[0], X[1]], [(X[0], X[1]), [X[0]], X[:3], X[0], None, Pair(*X[:2]), "ab"]),
    "tuple": (Node("tuple", (), SEQUENCE), (X[0], X[1]), [[X[0], X[1]], (X[0],), tuple(X[:3]), Pair(*X[:2])]),
    "named": (Node("named", (), SEQUENCE), Pair(*X[:2]), [OtherPair(*X[:2]), (X[0], X[1]), tuple.__new__(Pair, X[:1])]),
    "dict": (
        Node("dict", ("a", "b"), SEQUENCE),
        {"a": X[0], "b": X[1]},
        [{"b": X[1], "a": X[0]}, {"a": X[0]}, {"a": X[0], "b": X[1], "c": 0}, {"a": X[0], "c": X[1]}, X[:2],
         {1: X[0], "b": X[1]}, types.MappingProxyType({"a": X[0], "b": X[1]}), Settings({"a": X[0], "b": X[1]})],
    ),
    "deep": (
        Node("dict", ("p", "q"), (Node("list", (), (LEAF, Node("none"))), Node("tuple", (), (Node("tuple"), LEAF)))),
        {"p": [X[0], None], "q": ((), X[1])},
        [{"p": [X[0], last], "q": (first, X[1])} for last, first in [(0, ()), (None, []), (None, (1,))]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_containers_are_taken_apart(make, name):
    node, good, bad = STRUCTURES[name]
    f = make(picking(CallShape((node,)), 2, types=(Pair,) if name == "named" else ()))
    found = f(good)
    assert found[0] is X[0] and found[1] is X[1] and f._hits == 1
    for value in bad:
        assert is_slow(f(value))
    assert is_slow(f(good, 1)) and is_slow(f()) and is_slow(f(p=good)) and f._hits == 1


def test_keys_are_compared_by_value(make):
    node = Node("dict", ("first", "second"), SEQUENCE)
    f = make(picking(CallShape((node,)), 2))
    assert f({fresh_text("first"): X[0], fresh_text("second"): X[1]})[1] is X[1]
    assert is_slow(f({fresh_text("first"): X[0], fresh_text("sekond"): X[1]}))

    class Text(str):
        pass

    if layout.problem() is None and isinstance(f, Fast):
        assert is_slow(f({Text("first"): X[0], "second": X[1]}))


def test_keywords(make):
    f = make(picking(CallShape((LEAF,), (("k", LEAF), ("rest", Node("list", (), SEQUENCE)))), 4))
    for found in (f(X[0], k=X[1], rest=[X[2], X[3]]), f(X[0], **{"k": X[1], fresh_text("rest"): [X[2], X[3]]})):
        assert all(a is b for a, b in zip(found, X, strict=False))
    assert f._hits == 2
    assert is_slow(f(X[0], rest=[X[2], X[3]], k=X[1]))
    assert is_slow(f(X[0], X[1], rest=[X[2], X[3]])) and is_slow(f(X[0], k=X[1])) and is_slow(f(X[0]))
    assert is_slow(f(X[0], k=X[1], res=[X[2], X[3]])) and is_slow(f(X[0], k=X[1], rest=[X[2], X[3]], z=1))


@fast_only
def test_items_of_containers_stay_alive_while_the_kernel_runs():
    f = Fast()
    node = Node("list", (), (Node("dict", ("flag",), (LEAF,)),))
    spec = [array(1, I8)]
    results = [ResultSpec("argument", index=0)]
    f._install([program(WAITING, spec, [(1,)], [], results, release_gil="always", shape=CallShape((node,)))])
    values = [{"flag": np.zeros(1, np.int64)}]
    flag = weakref.ref(values[0]["flag"])

    def replace():
        while not f._word(layout.INSTANCE_RUNNING).value:
            pass
        values[0] = None
        gc.collect()
        flag()[0] = 1

    thread = threading.Thread(target=replace)
    thread.start()
    result = f(values)
    thread.join()
    assert result is flag() and result[0] == 1
    del result
    assert flag() is None


# ------------------------------------------------------------------------------------------------ static objects


def fixed(*values, **rest):
    """A program without results that wants these objects as its arguments."""
    spec = [ArgumentSpec("static", compared=comparison_of(value)) for value in values]
    objects = dict(enumerate(values))
    return program(NOTHING, spec, [()] * len(spec), [], [], result_tree="tuple", objects=objects, **rest)


def test_static_values_are_compared_as_they_can_be(make):
    function = len
    values = ("text", 1000, 2.5, True, None, function, float("nan"), -0.0, -(2**63))
    again = (
        fresh_text("text"),
        int("1000"),
        float("2.5"),
        True,
        None,
        function,
        float("-nan"),
        float("-0.0"),
        -(2**63),
    )
    f = make(fixed(*values))
    assert f(*values) == ()
    assert not is_slow(f(*again[:6], values[6], *again[7:]))
    others = ("Text", 1001, 2.75, 1, 0, abs, 0.0, 0.0, 2**63)
    for k, other in enumerate(others):
        assert is_slow(f(*values[:k], other, *values[k + 1 :])), k
    assert is_slow(f("text", True, *values[2:])) and is_slow(f("text", 1000.0, *values[2:]))
    assert is_slow(f("text", 2**64 + 1000, *values[2:])) and is_slow(f("text", np.int64(1000), *values[2:]))


def test_the_same_object_twice(make):
    spec = [array(), ArgumentSpec("same", same_as=0)]
    f = make(program(DOUBLE, spec, [(n,), ()], [ROWS], [ResultSpec("array", F8, (n,))]))
    assert f(X[1], X[1]).tolist() == [3, 3] and is_slow(f(X[1], X[1].copy()))


# ------------------------------------------------------------------------------------------------ outside


class Layer:
    slope = 2.5

    def __init__(self, w):
        self.w = w


def outside(lookups, roots, *, spec=None, tree=LEAF, **rest):
    """A program that doubles an array found by the last lookup, or wants a static object there."""
    last = ((len(lookups) - 1, tree),)
    if spec is None:
        spec, dims, body = [array()], [(n,)], DOUBLE
        results, symbols = [ResultSpec("array", F8, (n,)), ResultSpec("argument", index=0)], [ROWS]
    else:
        dims, body, results, symbols = [()] * len(spec), NOTHING, [], []
    return program(
        body,
        spec,
        dims,
        symbols,
        results,
        result_tree="tuple",
        lookups=tuple(lookups),
        outside=last,
        roots=roots,
        **rest,
    )


def test_attributes_and_items(make):
    holder = types.SimpleNamespace(layers=[Layer(X[0]), {"inner": (1, Layer(X[2]))}])
    lookups = [
        Lookup("object"), Lookup("attribute", "layers", 0), Lookup("list", -1, 1), Lookup("dict", "inner", 2),
        Lookup("tuple", 1, 3), Lookup("attribute", "w", 4),
    ]  # fmt: skip
    f = make(outside(lookups, {0: holder}))
    found = f()
    assert found[1] is X[2] and found[0].tolist() == [5, 5, 5]
    holder.layers[1]["inner"] = (1, Layer(X[3]))
    assert f()[1] is X[3]
    holder.layers.append({"inner": (1, Layer(X[1]), 3)})
    assert f()[1] is X[1]
    for value in ((1,), [1, Layer(X[1])], (1, Layer(None)), (1, 5), None):
        holder.layers[-1]["inner"] = value
        assert is_slow(f())
    del holder.layers[-1]["inner"]
    assert is_slow(f())
    holder.layers = []
    assert is_slow(f())
    del holder.layers
    assert is_slow(f()) and sys.exc_info() == (None, None, None)


def test_containers_outside(make):
    settings = {"kind": "exact", "sizes": [3, (4.5, None)], "table": X[2]}
    names = {"SETTINGS": settings}
    tree = Node("dict", ("kind", "sizes", "table"), (LEAF, Node("list", (), (LEAF, Node("tuple", (), SEQUENCE))), LEAF))
    objects = dict(enumerate(("exact", 3, 4.5, None)))
    spec = [ArgumentSpec("static", compared=comparison_of(value)) for value in objects.values()]
    spec.append(array(passed=False))
    f = make(outside([Lookup("global", "SETTINGS")], {0: names}, spec=spec, tree=tree, objects=objects))
    assert f() == ()
    names["SETTINGS"] = {"kind": fresh_text("exact"), "sizes": [3, (4.5, None)], "table": X[3][::2]}
    assert f() == ()
    for key, value in [
        ("kind", "fast"),
        ("sizes", [3, (4.5, 0)]),
        ("sizes", (3, (4.5, None))),
        ("table", X[2].astype("f4")),
    ]:
        names["SETTINGS"] = settings | {key: value}
        assert is_slow(f())
    names["SETTINGS"] = settings | {"more": 1}
    assert is_slow(f())


def test_attributes_may_be_properties_by_now(make):
    """Types may change: then machine code runs Python, which may do anything."""

    class Model:
        def __init__(self):
            self.w = X[2]

    model = Model()
    names = {"scale": np.ones(2)}
    lookups = [Lookup("global", "scale"), Lookup("object"), Lookup("attribute", "w", 1)]
    p = program(
        NOTHING, [array(), array()], [(m,), (n,)], [("m", ("dim", 0, 0)), ("n", ("dim", 1, 0))],
        [ResultSpec("argument", index=0), ResultSpec("argument", index=1)], result_tree="tuple",
        lookups=tuple(lookups), outside=((0, LEAF), (2, LEAF)), roots={0: names, 1: model},
    )  # fmt: skip
    f = make(p)
    assert f()[1] is X[2]

    def upset(self):
        names["scale"] = None
        f._install([])
        gc.collect()
        return X[3]

    Model.w = property(upset)
    found = f()
    assert found[0].tolist() == [1, 1] and found[1] is X[3]
    assert is_slow(f())
    names["scale"] = np.ones(2)

    def fail(self):
        raise ArithmeticError

    Model.w = property(fail)
    f._install([p])
    if layout.problem() is None and isinstance(f, Fast):
        assert is_slow(f())


@fast_only
@pytest.mark.parametrize("case", ["fits", "misses", "unset", "nested", "wrong nested", "keywords", "python", "static"])
def test_no_reference_is_lost_or_kept(case):
    holder = types.SimpleNamespace(layer=Layer(np.ones(3)))
    lookups = [Lookup("object"), Lookup("attribute", "layer", 0), Lookup("attribute", "w", 1)]
    attribute = outside(lookups, {0: holder})
    shape = CallShape((Node("dict", ("a", "b"), (Node("list", (), SEQUENCE), LEAF)),))
    constant = object()
    numbers = program(
        copy_bytes([8, 8, 16, 1]), [ArgumentSpec(k) for k in ("int", "float", "complex", "bool")], [()] * 4, [],
        [*(ResultSpec("python", d) for d in (I8, F8, C16, B1)), ResultSpec("constant"), ResultSpec("size", dims=(7,))],
        result_tree="tuple", constants={4: constant},
    )  # fmt: skip
    f, x = Fast(), np.ones(4)
    args: tuple = ()
    kwargs: dict = {}
    text = fresh_text("some text")
    if case in ("nested", "wrong nested"):
        f._install([picking(shape, 3)])
        args = ({"a": [x, X[1]], "b": X[2] if case == "nested" else None},)
    elif case == "keywords":
        f._install([picking(CallShape((), (("k", LEAF),)), 1)])
        kwargs = {"k": x}
    elif case == "python":
        f._install([numbers])
        args = (2**62, 2.5, 1 + 2j, True)
    elif case == "static":
        f._install([fixed("some text", 10**6, 2.5)])
        args = (text, 10**6, 2.5)
    else:
        f._install([attribute])
    if case == "misses":
        holder.layer.w = holder.layer.w.astype("f4")
    if case == "unset":
        del holder.layer.w
    watched = [x, X[1], X[2], holder, holder.layer, vars(holder.layer).get("w"), constant, text, Layer, args, kwargs, f]
    for _ in range(10):
        f(*args, **kwargs)
    gc.collect()
    before, blocks = [sys.getrefcount(item) for item in watched], sys.getallocatedblocks()
    for _ in range(20_000):
        f(*args, **kwargs)
    gc.collect()
    assert [sys.getrefcount(item) for item in watched] == before
    assert sys.getallocatedblocks() - blocks < 100
    assert bool(f._hits) == (case not in ("misses", "unset", "wrong nested"))


# ------------------------------------------------------------------------------------------------ results and layouts


def test_python_numbers_sizes_and_constants(make):
    kinds = ("int", "float", "complex", "bool")
    f = make(
        program(
            copy_bytes([8, 8, 16, 1]), [*(ArgumentSpec(k) for k in kinds), ArgumentSpec("int", passed=False)], [()] * 5,
            [("n", ("int", 4))],
            [*(ResultSpec("python", dtype) for dtype in (I8, F8, C16, B1)), ResultSpec("size", dims=(n * n - 1,)),
             ResultSpec("constant")],
            result_tree=lambda *leaves: list(leaves), constants={5: X},
        )
    )  # fmt: skip
    for values in [(5, 2.5, 1 - 2j, True), (-(2**63), -0.0, complex(0.0, -0.0), False)]:
        found = f(*values, 3)
        assert repr(tuple(found[:4])) == repr(values)
        assert [type(leaf) for leaf in found] == [int, float, complex, bool, int, list]
        assert found[4] == 8 and found[5] is X


def test_wanted_layouts(make):
    results = [ResultSpec("array", F8, (n,))]
    x = np.arange(6.0)
    contiguous = make(program(DOUBLE, [array(layout="contiguous")], [(n,)], [ROWS], results))
    assert contiguous(x[:3]).tolist() == [1, 3, 5] and is_slow(contiguous(x[::2]))
    strided = make(program(DOUBLE, [array(layout="strided")], [(n,)], [ROWS], results))
    assert strided(x[::2]).tolist() == [1, 5, 9] and is_slow(strided(x))


def test_bools_are_sizes_too(make):
    k = symbol("k")
    spec = [ArgumentSpec("bool", passed=False)]
    f = make(
        program(
            NOTHING, spec, [()], [("k", ("int", 0))], [ResultSpec("array", F8, (k + 1,))], guards=((k - 1, "== 0"),)
        )
    )
    assert f(True).shape == (2,) and is_slow(f(False)) and is_slow(f(1))


def test_calls_are_suspended(make):
    f = make(doubling())
    x = np.ones(2)
    with suspended():
        assert is_slow(f(x))
        with suspended():
            assert is_slow(f(x))
        assert is_slow(f(x))
    assert not is_slow(f(x))
