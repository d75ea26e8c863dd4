"""Compile ordinary NumPy code: ``@tj.jit`` records it, simplifies it, and runs it as machine code.

Names are loaded when they are first used: importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from tracejit import ir, testing
    from tracejit.batching import vmap
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

_DERIVATIVES = "grad hessian hvp jacfwd jacobian jacrev jvp linearize stop_gradient value_and_grad vjp"
_HOMES = {
    **dict.fromkeys(_DERIVATIVES.split(), "differentiation"),
    "vmap": "batching",
    "ir": "",
    "testing": "",
}

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
    "ir",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "make_ir",
    "options",
    "stop_gradient",
    "testing",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tracejit' has no attribute {name!r}")
    found = getattr(import_module(f"tracejit.{home}"), name) if home else import_module(f"tracejit.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
