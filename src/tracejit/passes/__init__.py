"""Array-level rewriting: canonical form and numerical stability, as tables of named rules."""

from tracejit.passes.pipeline import optimise

__all__ = ["optimise"]
