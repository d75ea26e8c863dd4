"""Compile ordinary NumPy code: ``@tj.jit`` records it, simplifies it, and runs it as machine code."""

from tracejit.api import jit, make_ir
from tracejit.batching import vmap
from tracejit.config import config, options
from tracejit.differentiation import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    stop_gradient,
    value_and_grad,
    vjp,
)
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
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "make_ir",
    "options",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
