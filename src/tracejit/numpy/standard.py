"""The functions that the array API standard has with another signature or result than NumPy.

What ``through_numpy.py`` names is not compiled here either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.eager import compiled
from tracejit.numpy.type_information import finfo, iinfo

__all__ = ["argsort", "broadcast_arrays", "clip", "finfo", "iinfo", "meshgrid", "sort"]


def sort(
    x: Any,
    /,
    axis: int | None = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool | None = True,
) -> Any:
    """A sorted copy of ``x`` along an axis; ``kind`` and ``order`` are NumPy's.

    Example:
        >>> import numpy as np
        >>> sort(np.array([3, 1, 2]), descending=True)
        array([3, 2, 1])
    """
    keywords = _sort_keywords(kind, order, stable)
    if axis is None:
        x, axis = np.ravel(x), 0
    return np.flip(np.sort(np.flip(x, axis), axis, **keywords), axis) if descending else np.sort(x, axis, **keywords)


def argsort(
    x: Any,
    /,
    axis: int | None = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool | None = True,
) -> Any:
    """The indices that sort ``x`` along an axis; equal elements keep their order unless ``stable`` is false.

    Example:
        >>> import numpy as np
        >>> argsort(np.array([2, 1, 2]), descending=True)
        array([0, 2, 1])
    """
    keywords = _sort_keywords(kind, order, stable)
    if axis is None:
        x, axis = np.ravel(x), 0
    if not descending:
        return np.argsort(x, axis, **keywords)
    last = np.shape(x)[axis] - 1
    return last - np.flip(np.argsort(np.flip(x, axis), axis, **keywords), axis)


def _sort_keywords(kind: str | None, order: Any, stable: bool | None) -> dict[str, Any]:
    return {"stable": stable, "order": order} if kind is None else {"kind": kind, "order": order}


@compiled
def clip(x: Any, /, min: Any = None, max: Any = None, out: Any = None, **kwargs: Any) -> Any:
    """The elements of ``x``, where they are outside ``[min, max]`` the nearer bound; None is no bound.

    The bounds may be given as NumPy's ``a_min`` and ``a_max``, too.

    Example:
        >>> import numpy as np
        >>> clip(np.arange(4), min=1, max=2)
        array([1, 1, 2, 2])
    """
    low, high = kwargs.pop("a_min", min), kwargs.pop("a_max", max)
    return np.clip(x, low, high, out=out, **kwargs)


@compiled
def meshgrid(*arrays: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """The coordinate arrays of a grid, as a list; ``copy`` and ``sparse`` are NumPy's.

    Example:
        >>> import numpy as np
        >>> [grid.shape for grid in meshgrid(np.arange(2), np.arange(3))]
        [(3, 2), (3, 2)]
    """
    return list(np.meshgrid(*arrays, copy=copy, sparse=sparse, indexing=indexing))  # type: ignore[call-overload]


@compiled
def broadcast_arrays(*arrays: Any) -> Any:
    """The arrays with their common shape, as a list.

    Example:
        >>> import numpy as np
        >>> [array.shape for array in broadcast_arrays(np.ones((2, 1)), np.ones(3))]
        [(2, 3), (2, 3)]
    """
    return list(np.broadcast_arrays(*arrays))
