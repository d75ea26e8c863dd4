"""Calls of compiled functions: entries, buffers, and the cache on disk."""
