"""All primitives. Importing this package declares every operation; each is declared in one place of one module."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from tracejit.ir.primitive import PRIMITIVES, Primitive

for _module in ("elementwise", "compare", "integer", "floating", "shape", "index", "reduce", "linalg", "control", "loops"):
    if importlib.util.find_spec(f"{__name__}.{_module}"):
        importlib.import_module(f"{__name__}.{_module}")
