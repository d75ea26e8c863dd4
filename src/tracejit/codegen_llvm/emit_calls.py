"""Calls out of the kernel: products of matrices, sorts, loops of NumPy, Python functions, generators of random bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.codegen_llvm import blas
from tracejit.codegen_llvm.draws import FILLING, symbol_of
from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, handles
from tracejit.codegen_llvm.emit_memory import element_type
from tracejit.codegen_llvm.library_loops import INVALID, data_symbol, function_symbol, has_data
from tracejit.codegen_llvm.registers import register
from tracejit.codegen_llvm.sorts import Sort
from tracejit.codegen_llvm.writer import Message
from tracejit.errors import UnsupportedError
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import product
from tracejit.ir.ops.library import LOOPS
from tracejit.ir.types import dtype_number

__all__ = ["call_library", "call_python", "gemm", "random_bits", "random_line", "random_number", "sort_line"]

_CALL_PYTHON = 72  # the offset of that field of Context
_RAISED = -1


@handles("gemm")
def gemm(body: Body, eqn: Eqn) -> None:
    """``c (+)= a @ b`` on row-major memory, by BLAS."""
    if body.loop is not None:
        raise NotVectorisable
    a, a_offset, lda, b, b_offset, ldb, c, c_offset, ldc, m, n, k = [body.scalar(operand) for operand in eqn.operands]
    form = register(eqn.operands[0].type.dtype)
    if form.name not in ("f64", "f32"):
        raise UnsupportedError(f"products of matrices of {form.name} are not compiled")
    symbol = f"@tj.gemm.{form.name}"
    if symbol not in body.module.helpers:
        body.module.helpers[symbol] = blas.gemm_text(form.name)
        body.module.symbols.add(f"tj_gemm_{form.name}")
    pointers = [
        body.uniform(f"getelementptr {element_type(form)}, ptr {pointer}, i64 {offset}", pointer, offset)
        for pointer, offset in ((a, a_offset), (b, b_offset), (c, c_offset))
    ]
    flags = [f"i1 {str(eqn.attrs[name]).lower()}" for name in ("transpose_a", "transpose_b")]
    real = form.type
    before = form.number(1.0 if eqn.attrs["accumulate"] else 0.0)
    arguments = [
        *flags, f"i64 {m}", f"i64 {n}", f"i64 {k}", f"{real} {form.number(1.0)}", f"ptr {pointers[0]}", f"i64 {lda}",
        f"ptr {pointers[1]}", f"i64 {ldb}", f"{real} {before}", f"ptr {pointers[2]}", f"i64 {ldc}",
    ]  # fmt: skip
    body.out.append(f"call void {symbol}({', '.join(arguments)})")


@handles("sort_line")
@handles("argsort_line")
def sort_line(body: Body, eqn: Eqn) -> None:
    """Sort one line in memory, or its places, by NumPy's function."""
    if body.loop is not None:
        raise NotVectorisable
    *buffers, count = eqn.operands
    sort = Sort(eqn.op.name.removesuffix("_line"), eqn.attrs["kind"], buffers[0].type.dtype)
    body.module.helpers.setdefault("@" + sort.symbol, sort.declaration)
    body.module.symbols.add(sort.symbol)
    pointers = []
    for buffer, offset in zip(buffers[::2], buffers[1::2], strict=True):
        of, pointer, place = element_type(register(buffer.type.dtype)), body.scalar(buffer), body.scalar(offset)
        pointers.append(body.uniform(f"getelementptr {of}, ptr {pointer}, i64 {place}", pointer, place))
    arguments = [*(f"ptr {pointer}" for pointer in pointers), f"i64 {body.scalar(count)}", "ptr null"]
    code = body.op(f"call i32 @{sort.symbol}({', '.join(arguments)})")
    if sort.allocates:
        body.module.messages.append(Message("MemoryError", "no memory to sort in", eqn.loc))
        body.fail_if(body.op(f"icmp ne i32 {code}, 0"), len(body.module.messages), list)


@handles("call_library")
def call_library(body: Body, eqn: Eqn) -> None:
    """Call a loop of NumPy's on memory."""
    if body.loop is not None:
        raise NotVectorisable
    loop = LOOPS[eqn.attrs["loop"]]
    cores = (*loop.inputs, *loop.outputs[loop.overwrites :])
    buffers = eqn.operands[: 2 * len(cores) : 2]
    pointers = []
    for buffer, offset in zip(buffers, eqn.operands[1 : 2 * len(cores) : 2], strict=True):
        of, pointer, place = element_type(register(buffer.type.dtype)), body.scalar(buffer), body.scalar(offset)
        pointers.append(body.uniform(f"getelementptr {of}, ptr {pointer}, i64 {place}", pointer, place))
    numbers = list(map(body.scalar, eqn.operands[2 * len(cores) :]))
    count = 1 + len(loop.names)
    owners = [*range(len(cores)), *[position for position, names in enumerate(cores) for _ in names]]
    steps = []
    for owner, step in zip(owners, numbers[count:], strict=True):
        size = buffers[owner].type.dtype.itemsize
        steps.append(body.uniform(f"mul i64 {step}, {size}", step))
    arguments = [_array_of(body, "ptr", pointers), _array_of(body, "i64", numbers[:count])]
    arguments.append(_array_of(body, "i64", steps))
    function, data = _loop_pointers(body, eqn, buffers[0].type.dtype)
    if loop.reports:
        for flags, result in (("clear", "i32"), ("test", "i32")):
            body.module.external(f"tj_{flags}_flags", f"declare {result} @tj_{flags}_flags(i32)")
        body.op(f"call i32 @tj_clear_flags(i32 {INVALID})")
    body.out.append(f"call void {function}(ptr {', ptr '.join(arguments)}, ptr {data})")
    failed = "false"
    if loop.reports:
        failed = body.op(f"icmp ne i32 {body.op(f'call i32 @tj_test_flags(i32 {INVALID})')}, 0")
    body.scalars[eqn.results[0]] = failed


def _loop_pointers(body: Body, eqn: Eqn, dtype: np.dtype[Any]) -> tuple[str, str]:
    """The function to call and its last argument; where there are variants, those of the one that is wanted."""
    names = LOOPS[eqn.attrs["loop"]].functions
    found = []
    for name in names:
        data = _address(body, data_symbol(name, dtype)) if has_data(name, dtype) else "null"
        found.append((_address(body, function_symbol(name, dtype)), data))
    if len(found) == 1:
        return found[0]
    first = body.op(f"icmp eq i64 {body.dim(eqn.attrs['variant'])}, 0")
    function, data = [body.op(f"select i1 {first}, ptr {a}, ptr {b}") for a, b in zip(*found, strict=True)]
    return function, data


def _address(body: Body, symbol: str) -> str:
    """The address of an external symbol, which may be anywhere: kept in a word of the module."""
    place = f"@at.{symbol}"
    text = f"@{symbol} = external global i8\n{place} = internal constant ptr @{symbol}\n"
    body.module.helpers.setdefault(place, text)
    body.module.symbols.add(symbol)
    return body.op(f"load ptr, ptr {place}, align 8")


@handles("call_python")
def call_python(body: Body, eqn: Eqn) -> None:
    """Call the Python function of this number in the program's list, through the context."""
    if body.loop is not None:
        raise NotVectorisable
    results = eqn.attrs["results"]
    shapes = [str(len(eqn.operands) - results), str(results)]
    for buffer in eqn.operands:
        shapes += [str(dtype_number(buffer.dtype)), str(buffer.rank), *map(body.dim, buffer.dims)]
    pointers = _array_of(body, "ptr", [body.scalar(buffer) for buffer in eqn.operands])
    numbers = _array_of(body, "i64", shapes)
    place = body.op(f"getelementptr i8, ptr {body.context()}, i64 {_CALL_PYTHON}")
    function = body.op(f"load ptr, ptr {place}, align 8")
    number = body.module.python_number(eqn.attrs["function"])
    arguments = f"ptr {body.context()}, i64 {number}, ptr {pointers}, ptr {numbers}"
    code = body.op(f"call i32 {function}({arguments})")
    body.fail_if(body.op(f"icmp ne i32 {code}, 0"), _RAISED, list)


@handles("random_bits")
def random_bits(body: Body, eqn: Eqn) -> None:
    """Call the C function of a bit generator on its state."""
    if body.loop is not None:
        raise NotVectorisable
    function, state = [body.op(f"inttoptr i64 {body.scalar(operand)} to ptr") for operand in eqn.operands]
    form = register(eqn.attrs["dtype"])
    body.scalars[eqn.results[0]] = body.op(f"call {form.type} {function}(ptr {state})")


def _parameters(body: Body, function: str, result: str, operands: Sequence[Operand]) -> tuple[str, str, list[str]]:
    """The symbol of a function that draws one number, the types that it takes, and what it is given."""
    state, *others = operands
    kinds = ["ptr", *(register(operand.type.dtype).type for operand in others)]
    values = [body.op(f"inttoptr i64 {body.scalar(state)} to ptr"), *map(body.scalar, others)]
    symbol = symbol_of(function)
    body.module.helpers.setdefault(f"@{symbol}", f"declare {result} @{symbol}({', '.join(kinds)}) nounwind\n")
    body.module.symbols.add(symbol)
    return symbol, ", ".join(kinds), [f"{kind} {value}" for kind, value in zip(kinds, values, strict=True)]


@handles("random_number")
def random_number(body: Body, eqn: Eqn) -> None:
    """Call a function that draws a number."""
    if body.loop is not None:
        raise NotVectorisable
    result = register(eqn.attrs["dtype"]).type
    symbol, _, given = _parameters(body, eqn.attrs["function"], result, eqn.operands)
    body.scalars[eqn.results[0]] = body.op(f"call {result} @{symbol}({', '.join(given)})")


@handles("random_line")
def random_line(body: Body, eqn: Eqn) -> None:
    """Fill memory with numbers."""
    if body.loop is not None:
        raise NotVectorisable
    buffer, *operands = eqn.operands
    function, result = eqn.attrs["function"], register(buffer.type.dtype).type
    count = body.dim(product(tuple(buffer.type.dims)))
    if function in FILLING:
        symbol = symbol_of(FILLING[function])
        body.module.helpers.setdefault(f"@{symbol}", f"declare void @{symbol}(ptr, i64, ptr) nounwind\n")
        body.module.symbols.add(symbol)
        state = body.op(f"inttoptr i64 {body.scalar(operands[0])} to ptr")
        body.out.append(f"call void @{symbol}(ptr {state}, i64 {count}, ptr {body.scalar(buffer)})")
        return
    symbol, kinds, given = _parameters(body, function, result, operands)
    helper = f"@tj.line.{function}"
    body.module.helpers.setdefault(helper, _line_text(helper, symbol, result, kinds.split(", ")))
    body.out.append(f"call void {helper}(ptr {body.scalar(buffer)}, i64 {count}, {', '.join(given)})")


def _line_text(helper: str, symbol: str, result: str, kinds: Sequence[str]) -> str:
    """A function that calls another one for each element."""
    parameters = ", ".join(f"{kind} %p{k}" for k, kind in enumerate(kinds))
    return f"""define internal void {helper}(ptr %to, i64 %count, {parameters}) noinline nounwind {{
entry:
%some = icmp sgt i64 %count, 0
br i1 %some, label %next, label %done
next:
%k = phi i64 [0, %entry], [%following, %next]
%number = call {result} @{symbol}({parameters})
%place = getelementptr {result}, ptr %to, i64 %k
store {result} %number, ptr %place
%following = add i64 %k, 1
%more = icmp slt i64 %following, %count
br i1 %more, label %next, label %done
done:
ret void
}}"""


def _array_of(body: Body, kind: str, values: list[str]) -> str:
    """Words on the stack that hold these values."""
    array = body.slot(8 * max(len(values), 1))
    for position, value in enumerate(values):
        place = body.op(f"getelementptr {kind}, ptr {array}, i64 {position}")
        body.out.append(f"store {kind} {value}, ptr {place}, align 8")
    return array
