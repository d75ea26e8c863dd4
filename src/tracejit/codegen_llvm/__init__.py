"""Loop nests to machine code: LLVM text, elementary functions, object code, threads, memory, BLAS."""
