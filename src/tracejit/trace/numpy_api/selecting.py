"""Functions whose results have a size that depends on data: nonzero, compress, extract and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.trace.array import new_array
from tracejit.trace.inputs import as_array
from tracejit.trace.registry import call, implements
from tracejit.trace.selecting import places
from tracejit.trace.values import truth

__all__: list[str] = []


@implements(np.nonzero)
def nonzero(a: Any) -> tuple[Any, ...]:
    """``np.nonzero``."""
    array = as_array(a)
    if not array.dims:
        raise ValueError(
            "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead. If the context "
            "of this error is of the form `arr[nonzero(cond)]`, just use `arr[cond]`."
        )
    return tuple(map(new_array, places(truth(array.operand()))))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """``np.flatnonzero``."""
    return nonzero(call(np.ravel, as_array(a)))[0]


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    """``np.argwhere``."""
    return call(np.transpose, call(np.array, list(nonzero(call(np.atleast_1d, as_array(a))))))


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """``np.extract``."""
    return call(np.take, call(np.ravel, as_array(arr)), flatnonzero(condition))


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """``np.compress``."""
    chosen = as_array(condition)
    if chosen.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    array = as_array(a)
    if axis is None:
        array, axis = call(np.ravel, array), 0
    return call(np.take, array, flatnonzero(chosen), axis=axis, out=out)
