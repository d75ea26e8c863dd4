"""Programs as data, and sizes in machine code."""

import ctypes
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.kernels import (
    C16,
    F4,
    NOTHING,
    array,
    m,
    n,
    program,
)
from tracejit.codegen_llvm import engine
from tracejit.ir import dims
from tracejit.ir.dims import evaluate, symbol
from tracejit.runtime.dim_text import DimWriter, declarations
from tracejit.runtime.program import ArgumentSpec, Message, Program, ResultSpec, message_of
from tracejit.runtime.program_text import from_json, to_json
from tracejit.runtime.structure import LEAF, CallShape, Lookup, Node


def test_programs_survive_as_text():
    p = program(
        NOTHING,
        [array(2, F4, written=True), ArgumentSpec("int", passed=False), ArgumentSpec("static"), array()],
        [(n, dims.floordiv(n, 2)), (), (), (3,)],
        [("n", ("dim", 0, 0)), ("k", ("int", 1))],
        [ResultSpec("array", C16, (n * symbol("k") - 1, dims.maximum(n, 2))), ResultSpec("argument", index=0)],
        guards=((n * n - 4, ">= 0"),),
        result_tree=lambda *leaves: leaves,
        messages=(Message(np.linalg.LinAlgError, "Singular matrix"), Message(ZeroDivisionError, "{0}", "a.py:1")),
        release_gil="always",
        may_raise=True,
        shape=CallShape((Node("dict", ("a",), (LEAF,)), Node("none")), (("k", Node("list", (), (LEAF,))), ("s", LEAF))),
        lookups=(Lookup("cell"), Lookup("attribute", "w", 0)),
        outside=((1, LEAF),),
        objects={2: "x"},
        roots={0: types.CellType()},
    )
    text = to_json(p)
    q = from_json(text, address=1, keepalive=2, objects={2: "y"}, result_tree=tuple)
    assert to_json(q) == text
    same = ("name", "arguments", "argument_dims", "symbols", "results", "guards", "messages", "release_gil")
    same += ("may_raise", "shape", "lookups", "outside", "in_call")
    assert all(getattr(p, name) == getattr(q, name) for name in same)
    assert (q.address, q.keepalive, q.objects, q.result_tree) == (1, 2, {2: "y"}, tuple)
    with pytest.raises(ValueError, match="build its result"):
        from_json(text)
    for bad in ("", "[]", "{}", text.replace('"format":3', '"format":0'), text.replace("LinAlgError", "SystemExit")):
        with pytest.raises(ValueError):
            from_json(bad, result_tree=tuple)


def test_messages_survive_as_strings():
    message = Message(IndexError, "index {0}", "a.py:1")
    assert message_of(message.as_data()) == message
    for bad in (["IndexError", "text"], ["IndexError", "text", 1], ["KeyboardInterrupt", "text", ""], "abc", None):
        with pytest.raises(ValueError):
            message_of(bad)
    with pytest.raises(ValueError, match="may raise"):
        Message(type("Own", (Exception,), {}), "text").as_data()


def test_programs_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="do not fit the ranks"):
        Program("f", (array(2),), ((n,),), (), ())
    with pytest.raises(ValueError, match="need a result_tree"):
        Program("f", (), (), (), ())
    with pytest.raises(ValueError, match="not an int"):
        Program("f", (array(1),), ((n,),), (("n", ("int", 0)),), (ResultSpec("argument", index=0),))
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
    [
        *(7, n, n + m, n * m - 3 * n + 2, n * n * m, dims.maximum(n, m - 2), dims.minimum(n, 4)),
        *(dims.floordiv(n - 7, 3), dims.modulo(n - 7, 3), dims.floordiv(n, m), dims.modulo(-n, m)),
    ],
    ids=str,
)
def test_ordinary_sizes_are_not_refused(dim):
    run = compiled(dim)
    for a in range(9):
        for b in range(1, 5):
            assert run(a, b) == evaluate(dim, {"n": a, "m": b})
    if dim is n:
        assert run(2**63 - 1, 0) == 2**63 - 1
