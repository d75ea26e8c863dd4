"""NumPy's namespace, compiled: the array API standard (2024.12) and NumPy's other functions, eagerly and while tracing.

Called with arrays, a function runs as machine code that is compiled once for all sizes; inside a traced function it is
what the NumPy function of that name is there. Arrays are ``numpy.ndarray``, dtypes and constants are NumPy's own. Where
NumPy deviates from the array API standard in a signature or a kind of result, this namespace has the standard's
(``standard.py``), and takes NumPy's keywords, too.

Wrappers are made when a name is first used: importing costs next to nothing.

Example:
    >>> import numpy as np
    >>> import tracejit.numpy as tnp
    >>> tnp.sum(tnp.exp(np.zeros((2, 3))), axis=0)
    array([2., 2., 2.])
    >>> tnp.linalg.matrix_transpose(np.eye(2)).shape
    (2, 2)
"""

from importlib import import_module
from typing import Any

import numpy as np

from tracejit.numpy import standard
from tracejit.numpy.names import public_name

__all__ = ["__array_api_version__"]

__array_api_version__ = "2024.12"

_SUBMODULES = {"linalg", "fft"}


def __array_namespace_info__() -> Any:
    """What the array API standard's inspection functions say of this namespace: NumPy's answers."""
    return np.__array_namespace_info__()


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        found: Any = import_module(f"tracejit.numpy.{name}")
    else:
        found = public_name(np, name, "tracejit.numpy", standard)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*np.__all__, *__all__, "__array_namespace_info__"})
