"""Kernels written by hand, programs around them, and the two classes that call programs."""

import functools

import numpy as np
import pytest

from tracejit.codegen_llvm import engine
from tracejit.ir.dims import symbol
from tracejit.runtime import entry, layout
from tracejit.runtime.program import ArgumentSpec, Message, Program, ResultSpec

F8, F4, I8, C16, B1 = (np.dtype(name) for name in ("f8", "f4", "i8", "c16", "?"))
n, m = symbol("n"), symbol("m")

fast_only = pytest.mark.skipif(layout.problem() is not None, reason=str(layout.problem()))

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
    results = [ResultSpec("argument", index=0)]
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
    Fast, KINDS = Portable, [Portable]  # tests of Fast alone are skipped


def is_slow(result) -> bool:
    return type(result) is tuple and len(result) == 3 and result[0] is SLOW


def misaligned(x):
    return np.frombuffer(bytearray(b"a" + x.tobytes()), "u1")[1:].view(x.dtype)


def two_read() -> Program:
    """Of x and y, x * 2 + 1; the kernel finds the result behind both."""
    body = DOUBLE.replace("ptr %data, i64 1", "ptr %data, i64 2")
    return program(body, [array(), array()], [(n,), (n,)], [ROWS], [ResultSpec("array", F8, (n,))])


def two_arrays(**rest) -> Program:
    symbols = [ROWS, ("m", ("dim", 1, 0))]
    return program(
        IN_PLACE, [array(written=True), array(**rest)], [(n,), (m,)], symbols, [ResultSpec("argument", index=0)]
    )


def failing(**rest) -> Program:
    message = Message(IndexError, "index {0} is out of bounds for axis 0 with size {1}", "model.py:12, in step")
    results = [ResultSpec("array", F8, (n,)), ResultSpec("scalar", F8), ResultSpec("argument", index=0)]
    return program(FAILING, [array()], [(n,)], [ROWS], results, result_tree="tuple", messages=(message,), **rest)
