"""What tracejit cannot do yet, or does in another way than by machine code: each such program and why.

A program that is repaired makes its test fail until its name goes from ``FAILS``; a name may have a dtype behind it
(``adam-float32``). ``STATES`` has the programs that run, but not natively: "callback" (some of it through NumPy at run
time) or "unrolled".
"""

from __future__ import annotations

__all__ = ["FAILS", "STATES", "TOO_LONG"]

TOO_LONG = "loops are unrolled, which takes too long to try"  # programs that are not even run

_NAMES = {
    "a loop is unrolled: one version for each size": """
        fft_radix2 stockham_radix2
    """,
    "one more version where x[:k] has fewer than k elements": """
        nearest_neighbours
    """,
    "arrays of two dtypes in one dict: unrolled": """
        rnn_loss-float32
    """,
    "a sum in another order": """
        integrate_ball gauss_newton
    """,
}

FAILS: dict[str, str] = {name: reason for reason, names in _NAMES.items() for name in names.split()}

STATES: dict[str, str] = {}
