"""All primitives. Importing this package declares every operation; each is declared in one place of one module."""

from __future__ import annotations

import numpy as np

from tracejit.ir.ops import (
    callbacks,
    check,
    compare,
    control,
    elementwise,
    floating,
    index,
    integer,
    library,
    library_tangents,
    linalg,
    loops,
    masks,
    random,
    reduce,
    search,
    shape,
    sorting,
)
from tracejit.ir.primitive import PRIMITIVES, Primitive

__all__ = [
    "PRIMITIVES",
    "UFUNCS",
    "callbacks",
    "check",
    "compare",
    "control",
    "elementwise",
    "floating",
    "index",
    "integer",
    "library",
    "library_tangents",
    "linalg",
    "loops",
    "masks",
    "random",
    "reduce",
    "search",
    "shape",
    "sorting",
]

UFUNCS: dict[np.ufunc, Primitive] = {declared.ufunc: declared for declared in PRIMITIVES.values() if declared.ufunc}
"""The primitive that a ufunc is, once operands have the dtype that NumPy's resolver gives them."""
UFUNCS[np.fabs] = PRIMITIVES["abs"]
