"""Runs a Python function on stand-ins for its arguments and records what it does as a program.

Owns tracers, sizes and guards, storage and views, the NumPy functions as compositions of primitives, the rewriting of
syntax, pytrees. Knows nothing of passes, lowering or code generation.
"""
