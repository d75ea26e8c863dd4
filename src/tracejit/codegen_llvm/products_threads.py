"""Threads for products of matrices, as LLVM text: large ones are cut into bands that the pool's threads multiply.

Owns the decision whether a product is cut and how, and that the library's own threads stay out meanwhile. It must not
know BLAS's calling convention (`products.py`) nor where anything is (`blas.py`).

Why not the library's threads: OpenBLAS's wait for one another by spinning, for many milliseconds where a CPU is busy
with something else, our own workers included; products then take ten times as long. The pool does not wait for a
thread that got no CPU (`threads_posix.py`).

OpenBLAS has one number of threads for the process. It is 1 while any product runs, and what it was before when the
last one ends; whoever starts first lowers it, whoever ends last puts it back. Products of other libraries at the same
moment may so run on fewer threads, or ours on more, which changes their speed alone.

Bands are whole multiples of 48 rows: whole tiles of OpenBLAS's kernels for AVX2, where it was tried that every element
then has the bits of one thread, whatever the bands. Bands of columns change the bits of float32 with the number of
threads, so products of few rows are not cut.
"""

from __future__ import annotations

__all__ = ["threads_text"]

LEAST = 8192.0
"""Products of fewer multiplications never use the library's threads, so nothing need be done about those."""
MATRIX = {"f64": 1.0e6, "f32": 2.0e6}
"""From so many multiplications on a product of matrices is cut: 30 us of work, as for loops."""
VECTOR = {"f64": 5.0e5, "f32": 1.0e6}
"""The same for products with a vector: bound by memory; a second thread gained nothing in trials below this."""

_SHARED = """
; the template of Context (for parallel_for and the number of threads), and the library's functions that get and set its
; number of threads: null where it has none; filled in before the first call
@tj_blas_threads = global [3 x ptr] zeroinitializer, align 8
@tj.blas.users = internal global i64 0, align 8
@tj.blas.lowered = internal global i64 0, align 8          ; the number to put back, 0 for none

define internal void @tj.blas.enter(ptr %get) {
entry:
  atomicrmw add ptr @tj.blas.users, i64 1 seq_cst
  %count = call i32 %get()
  %several = icmp sgt i32 %count, 1
  br i1 %several, label %lower, label %exit
lower:
  %wide = zext i32 %count to i64
  store atomic i64 %wide, ptr @tj.blas.lowered seq_cst, align 8
  %set.at = getelementptr ptr, ptr @tj_blas_threads, i64 2
  %set = load ptr, ptr %set.at
  call void %set(i32 1)
  br label %exit
exit:
  ret void
}

define internal void @tj.blas.leave() {
entry:
  %before = atomicrmw sub ptr @tj.blas.users, i64 1 seq_cst
  %last = icmp eq i64 %before, 1
  br i1 %last, label %restore, label %exit
restore:
  %lowered = atomicrmw xchg ptr @tj.blas.lowered, i64 0 seq_cst
  %any = icmp ne i64 %lowered, 0
  br i1 %any, label %set, label %exit
set:
  %set.at = getelementptr ptr, ptr @tj_blas_threads, i64 2
  %function = load ptr, ptr %set.at
  %count = trunc i64 %lowered to i32
  call void %function(i32 %count)
  br label %exit
exit:
  ret void
}

; How many rows a band has at least: a third of a thread's share, in whole tiles.
define internal i64 @tj.blas.grain(i64 %count, i64 %threads) {
  %units = mul i64 %threads, 144
  %round = add i64 %units, -1
  %sum = add i64 %count, %round
  %share = sdiv i64 %sum, %units
  %grain = mul i64 %share, 48
  ret i64 %grain
}
"""

_PRODUCT = """
; what a band needs to know: transpose_a, transpose_b; n, k, lda, ldb, ldc; a, b, c; alpha, beta
%tj.product.$name = type {i1, i1, i64, i64, i64, i64, i64, ptr, ptr, ptr, $real, $real}

define internal void @tj.band.$name(ptr %closure, i64 %begin, i64 %end) {
  %p = load %tj.product.$name, ptr %closure
  %transpose.a = extractvalue %tj.product.$name %p, 0
  %transpose.b = extractvalue %tj.product.$name %p, 1
  %n = extractvalue %tj.product.$name %p, 2
  %k = extractvalue %tj.product.$name %p, 3
  %lda = extractvalue %tj.product.$name %p, 4
  %ldb = extractvalue %tj.product.$name %p, 5
  %ldc = extractvalue %tj.product.$name %p, 6
  %a = extractvalue %tj.product.$name %p, 7
  %b = extractvalue %tj.product.$name %p, 8
  %c = extractvalue %tj.product.$name %p, 9
  %alpha = extractvalue %tj.product.$name %p, 10
  %beta = extractvalue %tj.product.$name %p, 11
  %rows = sub i64 %end, %begin
  %a.step = select i1 %transpose.a, i64 1, i64 %lda
  %a.offset = mul i64 %begin, %a.step
  %c.offset = mul i64 %begin, %ldc
  %a.band = getelementptr $real, ptr %a, i64 %a.offset
  %c.band = getelementptr $real, ptr %c, i64 %c.offset
  call void @tj.product.$name(i1 %transpose.a, i1 %transpose.b, i64 %rows, i64 %n, i64 %k, $real %alpha,
                              ptr %a.band, i64 %lda, ptr %b, i64 %ldb, $real %beta, ptr %c.band, i64 %ldc)
  ret void
}

; The same as @tj.product.$name, by several threads where that pays.
define void @tj_gemm_$name(i1 %transpose.a, i1 %transpose.b, i64 %m, i64 %n, i64 %k, $real %alpha, ptr %a, i64 %lda,
                           ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc) {
entry:
  %closure = alloca %tj.product.$name, align 8
  %m.real = sitofp i64 %m to double
  %n.real = sitofp i64 %n to double
  %k.real = sitofp i64 %k to double
  %area = fmul double %m.real, %n.real
  %work = fmul double %area, %k.real
  %get.at = getelementptr ptr, ptr @tj_blas_threads, i64 1
  %get = load ptr, ptr %get.at
  %unknown = icmp eq ptr %get, null
  %tiny = fcmp olt double %work, $least
  %as.it.is = or i1 %unknown, %tiny
  br i1 %as.it.is, label %plain, label %guarded
plain:
  call void @tj.product.$name(i1 %transpose.a, i1 %transpose.b, i64 %m, i64 %n, i64 %k, $real %alpha, ptr %a, i64 %lda,
                              ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc)
  ret void
guarded:
  call void @tj.blas.enter(ptr %get)
  %shorter = call i64 @llvm.smin.i64(i64 %m, i64 %n)
  %with.vector = icmp eq i64 %shorter, 1
  %enough = select i1 %with.vector, double $vector, double $matrix
  %large = fcmp oge double %work, %enough
  br i1 %large, label %cut, label %alone
alone:
  call void @tj.product.$name(i1 %transpose.a, i1 %transpose.b, i64 %m, i64 %n, i64 %k, $real %alpha, ptr %a, i64 %lda,
                              ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc)
  br label %exit
cut:
  %p.0 = insertvalue %tj.product.$name poison, i1 %transpose.a, 0
  %p.1 = insertvalue %tj.product.$name %p.0, i1 %transpose.b, 1
  %p.2 = insertvalue %tj.product.$name %p.1, i64 %n, 2
  %p.3 = insertvalue %tj.product.$name %p.2, i64 %k, 3
  %p.4 = insertvalue %tj.product.$name %p.3, i64 %lda, 4
  %p.5 = insertvalue %tj.product.$name %p.4, i64 %ldb, 5
  %p.6 = insertvalue %tj.product.$name %p.5, i64 %ldc, 6
  %p.7 = insertvalue %tj.product.$name %p.6, ptr %a, 7
  %p.8 = insertvalue %tj.product.$name %p.7, ptr %b, 8
  %p.9 = insertvalue %tj.product.$name %p.8, ptr %c, 9
  %p.10 = insertvalue %tj.product.$name %p.9, $real %alpha, 10
  %p.11 = insertvalue %tj.product.$name %p.10, $real %beta, 11
  store %tj.product.$name %p.11, ptr %closure
  %context = load ptr, ptr @tj_blas_threads
  %parallel.for = load ptr, ptr %context
  %threads.at = getelementptr i8, ptr %context, i64 24
  %threads = load i64, ptr %threads.at
  %grain = call i64 @tj.blas.grain(i64 %m, i64 %threads)
  call void %parallel.for(ptr @tj.band.$name, ptr %closure, i64 %m, i64 %grain)
  br label %exit
exit:
  call void @tj.blas.leave()
  ret void
}
"""


def threads_text(reals: dict[str, str]) -> str:
    """Return the definitions of ``@tj_gemm_f64`` and the like over ``@tj.product_f64``, and ``@tj_blas_threads``."""
    parts = [_SHARED]
    for name, real in reals.items():
        text = _PRODUCT.replace("$real", real).replace("$name", name).replace("$least", f"{LEAST:e}")
        parts.append(text.replace("$vector", f"{VECTOR[name]:e}").replace("$matrix", f"{MATRIX[name]:e}"))
    return "".join(parts)
