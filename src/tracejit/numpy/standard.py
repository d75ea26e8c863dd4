"""The functions that the array API standard has with another signature or result than NumPy.

What ``through_numpy.py`` names is not compiled here either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.numpy.eager import compiled
from tracejit.numpy.type_information import finfo, iinfo

__all__ = ["argsort", "broadcast_arrays", "clip", "expm1", "finfo", "iinfo", "meshgrid", "sort", "tanh"]


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


def _is_complex(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") == "c"


def _complex(real: Any, imag: Any, dtype: Any) -> Any:
    """Complex numbers of these parts, without arithmetic, which would make infinities into NaN."""
    return np.stack([real, imag], axis=-1).view(dtype)[..., 0][()]


@compiled
def expm1(x: Any, /, out: Any = None, **kwargs: Any) -> Any:
    """``exp(x) - 1``. For complex numbers with an infinite or undefined real part it is the standard's limit.

    Example:
        >>> import numpy as np
        >>> expm1(np.array([complex(-np.inf, np.inf)])).real
        array([-1.])
    """
    if not _is_complex(x) or out is not None or kwargs:
        return np.expm1(x, out=out, **kwargs)
    plain, real, imag = np.expm1(x), x.real, x.imag
    size = np.where(np.isneginf(real), 0, np.abs(real))  # of exp(x), where that is 0, infinite or NaN
    on_axis, beyond = np.equal(imag, 0), np.logical_not(np.isfinite(imag))
    unknown = np.where(np.isneginf(real), size, np.nan)  # the imaginary part of a number whose angle is not defined
    limit_real = np.where(np.logical_or(on_axis, beyond), size, size * np.cos(imag)) - 1
    limit_imag = np.where(on_axis, imag, np.where(beyond, unknown, size * np.sin(imag)))
    is_limit, is_zero = np.logical_not(np.isfinite(real)), np.logical_and(np.equal(real, 0), on_axis)
    found_real = np.where(is_limit, limit_real, np.where(is_zero, 0, plain.real))
    return _complex(found_real, np.where(is_limit, limit_imag, plain.imag), plain.dtype)


@compiled
def tanh(x: Any, /, out: Any = None, **kwargs: Any) -> Any:
    """The hyperbolic tangent. At infinity the imaginary part is a zero with the sign of that of ``x``.

    Example:
        >>> import numpy as np
        >>> tanh(np.array([complex(np.inf, 2)]))
        array([1.+0.j])
    """
    if not _is_complex(x) or out is not None or kwargs:
        return np.tanh(x, out=out, **kwargs)
    plain, imag = np.tanh(x), x.imag
    far = np.logical_and(np.isinf(x.real), np.isfinite(imag))
    return _complex(plain.real, np.where(far, np.copysign(0 * imag, imag), plain.imag), plain.dtype)
