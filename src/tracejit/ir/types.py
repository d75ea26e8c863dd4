"""Types of values: arrays of the pure level and buffers of the loop level. Dtypes are NumPy's."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np

from tracejit.ir.dims import DimLike, product

__all__ = ["ArrayType", "BufferType", "Type", "dtype_name", "dtype_named", "dtype_number", "dtype_numbered", "scalar"]

_NAMES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint64": "u64",
    "uint32": "u32",
    "uint16": "u16",
    "uint8": "u8",
    "bool": "bool",
    "complex128": "c128",
    "complex64": "c64",
}
_DTYPES = {short: np.dtype(name) for name, short in _NAMES.items() if name != "bfloat16"}


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """The short name used in the text form: ``f64``, ``i32``, ``bool``, ``c128``."""
    try:
        return _NAMES[dtype.name]
    except KeyError:
        raise TypeError(f"arrays of dtype {dtype} are not supported: numbers and bools only") from None


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of a short name.

    Example:
        >>> dtype_named("f32")
        dtype('float32')
    """
    if name == "bf16":
        import ml_dtypes  # noqa: PLC0415  (registers bfloat16; only programs that use it pay for the import)

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return _DTYPES[name]


def dtype_number(dtype: np.dtype[Any]) -> int:
    """A number for a dtype, which :func:`dtype_numbered` turns back; compiled code names dtypes by it."""
    return _NUMBERED.index(dtype_name(dtype))


def dtype_numbered(number: int) -> np.dtype[Any]:
    """The dtype of a number.

    Example:
        >>> dtype_numbered(dtype_number(np.dtype("i4")))
        dtype('int32')
    """
    return dtype_named(_NUMBERED[number])


_NUMBERED = tuple(_NAMES.values())


class ArrayType:
    """A dtype and dims: ``f64[n, 3]``; ``f64[]`` is a scalar."""

    __slots__ = ("_hash", "dims", "dtype")
    dtype: np.dtype[Any]
    dims: tuple[DimLike, ...]

    def __init__(self, dtype: np.dtype[Any], dims: tuple[DimLike, ...] = ()) -> None:
        self.dtype = dtype
        self.dims = dims
        self._hash = hash((dtype, dims))

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.dims)

    @property
    def size(self) -> DimLike:
        """The number of elements."""
        return product(self.dims)

    def with_dims(self, dims: tuple[DimLike, ...]) -> ArrayType:
        """The same dtype with other dims."""
        return type(self)(self.dtype, dims)

    def with_dtype(self, dtype: np.dtype[Any]) -> ArrayType:
        """The same dims with another dtype."""
        return type(self)(dtype, self.dims)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, ArrayType)
            and type(self) is type(other)
            and self.dtype == other.dtype
            and self.dims == other.dims
        )

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{dtype_name(self.dtype)}[{', '.join(map(str, self.dims))}]"

    __repr__ = __str__


class BufferType(ArrayType):
    """Memory of the loop level: C-contiguous elements of one dtype, ``buf f64[n, 3]``."""

    __slots__ = ()

    def __str__(self) -> str:
        return "buf " + super().__str__()

    __repr__ = __str__


Type: TypeAlias = ArrayType


@cache
def scalar(name: str) -> ArrayType:
    """The rank-0 type of a short dtype name, made once."""
    return ArrayType(dtype_named(name))
