"""What tracejit cannot do yet, or does in another way than by machine code: one line for each such program.

``FAILS`` has the reason, as short as possible. A program that is repaired makes its test fail until its line goes.
``STATES`` has the programs that run, but not natively: "callback" (some of it through NumPy at run time) or "unrolled".
"""

from __future__ import annotations

FAILS: dict[str, str] = {}

STATES: dict[str, str] = {}
