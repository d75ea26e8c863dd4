"""The functions of this namespace that run as NumPy's own, each with the reason.

Inside a traced function they are what the NumPy function of that name is there. A function leaves this table when the
compiler gets an implementation of it: a test compares the two.
"""

from __future__ import annotations

__all__ = ["REASONS", "THROUGH_NUMPY"]

REASONS: dict[str, str] = {
    "the size of the result depends on the values": """
        unique_all unique_counts unique_inverse setxor1d mask_indices
        """,
    "NumPy sorts with vector instructions; a sort of our own would have nothing to add": """
        partition argpartition sort_complex
        nanmedian nanpercentile nanquantile
        """,
    "counts into bins of several axes": "histogram2d histogramdd",
    "the dtype of the result depends on the values": "poly roots",
    "small arrays, handled by Python code of NumPy's": "polydiv polymul kaiser geomspace asarray_chkfinite row_stack",
}

THROUGH_NUMPY: frozenset[str] = frozenset(name for names in REASONS.values() for name in names.split())
