"""Products of C-ordered matrices through Fortran's BLAS, as LLVM text.

Owns the mapping of a C-ordered product onto gemm or gemv, and the cases which those leave open: empty sizes, and
results whose old contents must not be read. It must not know where BLAS is (`blas.py`); the text is compiled into the
support objects (`support.py`), once for all programs.
"""

from __future__ import annotations

from tracejit.codegen_llvm.products_threads import threads_text

__all__ = ["REALS", "products_text"]

REALS = {"f64": "double", "f32": "float"}

_GEMM = """
; the Fortran routines gemm and gemv, filled in before the first call
@tj_blas_$name = global [2 x ptr] zeroinitializer, align 8
@tj.gemm.letters.$name = private unnamed_addr constant [2 x i8] c"NT"

; c[i * step] = scale * c[i * step], and 0 for scale 0 whatever c holds
define internal void @tj.gemm.scale.$name($real %scale, i64 %count, ptr %c, i64 %step) noinline {
entry:
  %clear = fcmp oeq $real %scale, 0.0
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %loop, label %exit
loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %offset = mul i64 %i, %step
  %at = getelementptr $real, ptr %c, i64 %offset
  %old = load $real, ptr %at
  %product = fmul $real %old, %scale
  %new = select i1 %clear, $real 0.0, $real %product
  store $real %new, ptr %at
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %loop, label %exit
exit:
  ret void
}

; y = alpha matrix x + beta y, where matrix or, if %transpose, its transpose is %rows by %columns, C-ordered in memory
define internal void @tj.gemv.$name(i1 %transpose, i64 %rows, i64 %columns, $real %alpha, ptr %a, i64 %lda,
                                    ptr %x, i64 %incx, $real %beta, ptr %y, i64 %incy) noinline {
entry:
  %sizes = alloca [5 x i64]
  %factors = alloca [2 x $real]
  %length = select i1 %transpose, i64 %columns, i64 %rows
  %clear = fcmp oeq $real %beta, 0.0
  br i1 %clear, label %zero, label %call
zero:                                                     ; some libraries multiply y by 0, which keeps NaN
  call void @tj.gemm.scale.$name($real %beta, i64 %length, ptr %y, i64 %incy)
  br label %call
call:
  %lda.used.is.less = icmp slt i64 %lda, %columns
  %lda.used = select i1 %lda.used.is.less, i64 %columns, i64 %lda
  %incx.used.is.less = icmp slt i64 %incx, 1
  %incx.used = select i1 %incx.used.is.less, i64 1, i64 %incx
  %incy.used.is.less = icmp slt i64 %incy, 1
  %incy.used = select i1 %incy.used.is.less, i64 1, i64 %incy
  %beta.at = getelementptr $real, ptr %factors, i64 1
  store $real %alpha, ptr %factors
  store $real %beta, ptr %beta.at
  %rows.at = getelementptr i64, ptr %sizes, i64 1
  %lda.at = getelementptr i64, ptr %sizes, i64 2
  %incx.at = getelementptr i64, ptr %sizes, i64 3
  %incy.at = getelementptr i64, ptr %sizes, i64 4
  store i64 %columns, ptr %sizes
  store i64 %rows, ptr %rows.at
  store i64 %lda.used, ptr %lda.at
  store i64 %incx.used, ptr %incx.at
  store i64 %incy.used, ptr %incy.at
  ; Fortran sees the transpose
  %letter.index = select i1 %transpose, i64 0, i64 1
  %letter = getelementptr i8, ptr @tj.gemm.letters.$name, i64 %letter.index
  %gemv.at = getelementptr ptr, ptr @tj_blas_$name, i64 1
  %gemv = load ptr, ptr %gemv.at
  call void %gemv(ptr %letter, ptr %sizes, ptr %rows.at, ptr %factors, ptr %a, ptr %lda.at, ptr %x, ptr %incx.at,
                            ptr %beta.at, ptr %y, ptr %incy.at)
  ret void
}

; c = alpha a b + beta c for C-ordered matrices: a is m by k, or k by m if %transpose_a; b is k by n, or n by k if
; %transpose_b. Sizes and leading dimensions below 2**31. With beta 0 whatever c holds is not read.
define internal void @tj.product.$name(i1 %transpose_a, i1 %transpose_b, i64 %m, i64 %n, i64 %k, $real %alpha,
                                       ptr %a, i64 %lda, ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc) {
entry:
  %sizes = alloca [6 x i64]
  %factors = alloca [2 x $real]
  %no.rows = icmp sle i64 %m, 0
  %no.columns = icmp sle i64 %n, 0
  %nothing = or i1 %no.rows, %no.columns
  br i1 %nothing, label %exit, label %inner
inner:
  %no.sum = icmp sle i64 %k, 0
  br i1 %no.sum, label %scale, label %column
scale:
  %row = phi i64 [0, %inner], [%row.next, %scale]
  %row.offset = mul i64 %row, %ldc
  %row.at = getelementptr $real, ptr %c, i64 %row.offset
  call void @tj.gemm.scale.$name($real %beta, i64 %n, ptr %row.at, i64 1)
  %row.next = add i64 %row, 1
  %more.rows = icmp slt i64 %row.next, %m
  br i1 %more.rows, label %scale, label %exit
column:
  %one.column = icmp eq i64 %n, 1
  br i1 %one.column, label %times.column, label %line
times.column:
  %a.rows = select i1 %transpose_a, i64 %k, i64 %m
  %a.columns = select i1 %transpose_a, i64 %m, i64 %k
  %b.step = select i1 %transpose_b, i64 1, i64 %ldb
  call void @tj.gemv.$name(i1 %transpose_a, i64 %a.rows, i64 %a.columns, $real %alpha, ptr %a, i64 %lda,
                            ptr %b, i64 %b.step, $real %beta, ptr %c, i64 %ldc)
  ret void
line:
  %one.row = icmp eq i64 %m, 1
  br i1 %one.row, label %row.times, label %matrices
row.times:
  %b.rows = select i1 %transpose_b, i64 %n, i64 %k
  %b.columns = select i1 %transpose_b, i64 %k, i64 %n
  %a.step = select i1 %transpose_a, i64 %lda, i64 1
  %b.other = xor i1 %transpose_b, true
  call void @tj.gemv.$name(i1 %b.other, i64 %b.rows, i64 %b.columns, $real %alpha, ptr %b, i64 %ldb,
                            ptr %a, i64 %a.step, $real %beta, ptr %c, i64 1)
  ret void
matrices:
  %a.width = select i1 %transpose_a, i64 %m, i64 %k
  %b.width = select i1 %transpose_b, i64 %k, i64 %n
  %lda.used.is.less = icmp slt i64 %lda, %a.width
  %lda.used = select i1 %lda.used.is.less, i64 %a.width, i64 %lda
  %ldb.used.is.less = icmp slt i64 %ldb, %b.width
  %ldb.used = select i1 %ldb.used.is.less, i64 %b.width, i64 %ldb
  %ldc.used.is.less = icmp slt i64 %ldc, %n
  %ldc.used = select i1 %ldc.used.is.less, i64 %n, i64 %ldc
  %beta.at = getelementptr $real, ptr %factors, i64 1
  store $real %alpha, ptr %factors
  store $real %beta, ptr %beta.at
  %m.at = getelementptr i64, ptr %sizes, i64 1
  %k.at = getelementptr i64, ptr %sizes, i64 2
  %lda.at = getelementptr i64, ptr %sizes, i64 3
  %ldb.at = getelementptr i64, ptr %sizes, i64 4
  %ldc.at = getelementptr i64, ptr %sizes, i64 5
  store i64 %n, ptr %sizes
  store i64 %m, ptr %m.at
  store i64 %k, ptr %k.at
  store i64 %lda.used, ptr %lda.at
  store i64 %ldb.used, ptr %ldb.at
  store i64 %ldc.used, ptr %ldc.at
  %letter.a.index = zext i1 %transpose_a to i64
  %letter.b.index = zext i1 %transpose_b to i64
  %letter.a = getelementptr i8, ptr @tj.gemm.letters.$name, i64 %letter.a.index
  %letter.b = getelementptr i8, ptr @tj.gemm.letters.$name, i64 %letter.b.index
  ; Fortran sees transposes of all three, so the operands change places
  %gemm = load ptr, ptr @tj_blas_$name
  call void %gemm(ptr %letter.b, ptr %letter.a, ptr %sizes, ptr %m.at, ptr %k.at, ptr %factors, ptr %b, ptr %ldb.at,
                            ptr %a, ptr %lda.at, ptr %beta.at, ptr %c, ptr %ldc.at)
  br label %exit
exit:
  ret void
}
"""


def products_text() -> str:
    """Return the definitions of ``@tj_gemm_f64`` and ``@tj_gemm_f32`` as LLVM text."""
    products = "".join(_GEMM.replace("$real", real).replace("$name", name) for name, real in REALS.items())
    return products + threads_text(REALS)
