"""Array-level programs to loop nests: what is materialised, which nests are fused, where results live."""

from tracejit.lowering.lower import lower

__all__ = ["lower"]
