"""Calls out of the kernel: products of matrices."""

from __future__ import annotations

from tracejit.codegen_llvm import blas
from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, handles
from tracejit.codegen_llvm.emit_memory import element_type
from tracejit.codegen_llvm.registers import register
from tracejit.errors import UnsupportedError
from tracejit.ir.core import Eqn

__all__ = ["gemm"]


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
