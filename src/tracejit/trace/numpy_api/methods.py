"""Methods of ndarray that are no functions of NumPy: astype, copy, flatten, fill, item, tolist."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.array import TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.constants import constant_value
from tracejit.trace.creation import as_dtype
from tracejit.trace.inputs import as_array, operand_of, raise_as_numpy
from tracejit.trace.location import describe, user_location
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import has_order, is_by_columns, kept_order
from tracejit.trace.scalar import python_size, to_number
from tracejit.trace.storage import contiguous_strides
from tracejit.trace.strided_views import strides_in_bytes
from tracejit.trace.values import cast, resolve_dims

__all__: list[str] = []


@implements("astype", np.astype)
def astype(
    x: Any,
    dtype: Any,
    order: str = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
    *,
    device: Any = None,
) -> Any:
    """``ndarray.astype``."""
    target = as_dtype(dtype)
    if not np.can_cast(x.dtype, target, casting):  # type: ignore[arg-type]
        raise_as_numpy(lambda value: value.astype(target, casting=casting), x)
    if isinstance(x, TracedScalar):
        return TracedScalar(cast(x.operand(), target))
    if not copy and target == x.dtype and has_order(x, order):
        return x
    return new_array(cast(x.operand(), target), order=kept_order(x, order))


@implements("copy")
def copy(x: Any, order: str = "C") -> Any:
    """``ndarray.copy``."""
    if isinstance(x, TracedScalar):
        return TracedScalar(x.operand())
    return new_array(x.operand(), order=kept_order(x, order))


@implements("flatten")
def flatten(x: Any, order: str = "C") -> TracedArray:
    """``ndarray.flatten``: always a copy."""
    return new_array(call(np.ravel, x, order).operand())


@implements("fill")
def fill(x: TracedArray, value: Any) -> None:
    """``ndarray.fill``."""
    if not x.writeable:
        raise ValueError("assignment destination is read-only")
    call("assign", x, value)


@implements("item")
def item(x: Any, *args: Any) -> Any:
    """``ndarray.item``: a traced Python number."""
    if args:
        x = (
            x[args[0] if isinstance(args[0], tuple) else args]
            if len(args) > 1 or as_array(x).ndim <= 1
            else (call(np.ravel, x)[args[0]])
        )
    elif x.dims:
        if not all(d == 1 for d in x.shape):
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        x = wrap(call(np.reshape, x, ()).operand())
    kind = {"b": bool, "i": int, "u": int, "f": float, "c": complex}[x.dtype.kind]
    return to_number(wrap(operand_of(x)), kind)


class Flags:
    """``ndarray.flags``: layout and writeability as in the traced call."""

    def __init__(self, array: TracedArray) -> None:
        strides = array.memory_strides() or contiguous_strides(array.hint_shape())
        size = array.dtype.itemsize
        like = np.lib.stride_tricks.as_strided(
            np.empty(1, array.dtype), array.hint_shape(), tuple(size * stride for stride in strides)
        )
        self._flags = like.flags
        self.writeable = array.writeable
        self._array = array

    @property
    def owndata(self) -> bool:
        """Whether the memory is the array's own."""
        if not self._array.views and self._array.storage.origin is not None:
            raise UnsupportedError(
                "flags.owndata of an argument or an array from outside is known only at each call "
                f"({describe(user_location())})"
            )
        return not self._array.views

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flags, name)

    def __getitem__(self, name: str) -> Any:
        names = {"C": "c_contiguous", "F": "f_contiguous", "W": "writeable", "O": "owndata"}
        return getattr(self, names.get(name, name.lower()))


@implements("flags")
def flags(x: Any) -> Flags:
    """``ndarray.flags``."""
    return Flags(as_array(x))


@implements("strides")
def strides(x: Any) -> tuple[Any, ...]:
    """``ndarray.strides``."""
    return tuple(map(python_size, strides_in_bytes(x))) if isinstance(x, TracedArray) else ()


@implements(np.isfortran)
def isfortran(a: Any) -> bool:
    """``np.isfortran``."""
    return is_by_columns(as_array(a))


@implements("tolist")
def tolist(x: Any) -> Any:
    """``ndarray.tolist``: of constants and few elements a list of Python, else one of the program."""
    known = constant_value(x.operand())
    if known is not None:
        return known.tolist()
    dims = resolve_dims(x.dims)
    sizes = [dim for dim in dims if isinstance(dim, int)]
    if len(sizes) == len(dims) and math.prod(sizes) <= _MOST_IN_A_LIST:
        return [tolist(x[k]) for k in range(sizes[0])] if sizes else item(x)
    return call("list of numbers", x)


_MOST_IN_A_LIST = 64
