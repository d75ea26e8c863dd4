"""Compile ordinary NumPy code: ``@tj.jit`` records it, simplifies it, and runs it as machine code."""

from tracejit.api import jit, make_ir
from tracejit.config import config, options
from tracejit.errors import (
    ConcretizationError,
    NanError,
    PerformanceWarning,
    TracejitError,
    UnsupportedError,
    VerifyError,
)
from tracejit.version import __version__

__all__ = [
    "ConcretizationError",
    "NanError",
    "PerformanceWarning",
    "TracejitError",
    "UnsupportedError",
    "VerifyError",
    "__version__",
    "config",
    "jit",
    "make_ir",
    "options",
]
