"""The program as data: types, sizes, values, operations, and what reads, writes, checks, rewrites and runs them."""
