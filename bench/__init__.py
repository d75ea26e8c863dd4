"""Benchmarks against NumPy and other array compilers; `python -m bench` runs them.

Owns the workloads, the worker processes and the reports. Knows tracejit only through its public interface.
"""
