"""``finfo`` and ``iinfo`` as the array API standard has them: of arrays, too, and with Python numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FloatInformation", "finfo", "iinfo"]


class FloatInformation:
    """The limits of a dtype of floats: the standard's attributes are Python numbers, the others NumPy's."""

    def __init__(self, information: np.finfo[Any]) -> None:
        self._information = information
        self.bits = int(information.bits)
        self.dtype = information.dtype
        self.eps, self.max, self.min = float(information.eps), float(information.max), float(information.min)
        self.smallest_normal = float(information.smallest_normal)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._information, name)

    def __repr__(self) -> str:
        return repr(self._information)


def finfo(type: Any, /) -> FloatInformation:
    """The limits of a dtype of floats or complex numbers, or of an array's.

    Example:
        >>> import numpy as np
        >>> finfo(np.float32).bits, finfo(np.zeros(3)).eps
        (32, 2.220446049250313e-16)
    """
    return FloatInformation(np.finfo(_dtype_of(type)))


def iinfo(type: Any, /) -> np.iinfo[Any]:
    """The limits of a dtype of integers, or of an array's.

    Example:
        >>> import numpy as np
        >>> iinfo(np.zeros(3, np.int8)).max
        127
    """
    return np.iinfo(_dtype_of(type))


def _dtype_of(described: Any) -> Any:
    """The dtype of an array; anything else describes a dtype, as classes do, whose ``dtype`` is a property."""
    return np.dtype(described) if isinstance(described, (type, str)) else getattr(described, "dtype", described)
