"""Traced arrays and traced NumPy scalars: the attributes and methods of ``numpy.ndarray``.

An array is a view chain on a storage; a NumPy scalar is a value. The work is done by the functions in the registry.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.axis_order import EVERYTHING, ORDER, Order, Paces, sorted_order
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.location import describe, user_location
from tracejit.trace.registry import call
from tracejit.trace.scalar import python_size, to_number
from tracejit.trace.storage import (
    PartView,
    ReshapeView,
    SliceView,
    Storage,
    TransposeView,
    View,
    compose,
    contiguous_strides,
    read_through,
    reshape_strides,
)
from tracejit.trace.values import Dims, reshape, resolve_dims, size_of

__all__ = ["TracedArray", "TracedScalar", "new_array", "wrap"]


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(function, self, *args, **kwargs)

    return method


def _compress(self: Any, condition: Any, *args: Any, **kwargs: Any) -> Any:
    return call(np.compress, condition, self, *args, **kwargs)


def _attribute(function: Any) -> property:
    return property(lambda self: call(function, self))


def _in_place(function: Any) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        call(np.ufunc, function, (self, other), out=(self,))
        return self

    return method


class NumpyValue(Tracer):
    """What arrays and NumPy scalars have in common."""

    __slots__ = ()
    dtype: DType

    @property
    def kind(self) -> DType:
        return self.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple([d if type(d) is int else python_size(d) for d in resolve_dims(self.dims)])

    @property
    def ndim(self) -> int:
        return len(self.dims)

    @property
    def size(self) -> Any:
        return python_size(size_of(self.dims))

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        return self.size * self.dtype.itemsize

    @property
    def flat(self) -> Any:
        return Flat(self)

    imag: property
    T = _attribute(np.transpose)
    strides = _attribute("strides")
    device = property(lambda self: "cpu")
    flags = _attribute("flags")

    @property
    def mT(self) -> Any:
        """``ndarray.mT``."""
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return call(np.matrix_transpose, self)

    all, any = _method(np.all), _method(np.any)
    argmax, argmin = _method(np.argmax), _method(np.argmin)
    clip, cumprod, cumsum = _method(np.clip), _method(np.cumprod), _method(np.cumsum)
    diagonal, dot, trace = _method(np.diagonal), _method(np.dot), _method(np.trace)
    max, min, mean, prod = _method(np.max), _method(np.min), _method(np.mean), _method(np.prod)
    std, sum, var = _method(np.std), _method(np.sum), _method(np.var)
    choose, compress, put = _method(np.choose), _compress, _method(np.put)
    ravel, repeat, round = _method(np.ravel), _method(np.repeat), _method(np.round)
    squeeze, swapaxes, take = _method(np.squeeze), _method(np.swapaxes), _method(np.take)
    astype, copy, flatten, item = _method("astype"), _method("copy"), _method("flatten"), _method("item")
    tolist = _method("tolist")
    nonzero, argsort, searchsorted = _method(np.nonzero), _method(np.argsort), _method(np.searchsorted)
    __getitem__ = _method(operator.getitem)

    def conj(self, *out: Any) -> Any:
        """``ndarray.conj``: real arrays are themselves, where ``np.conjugate`` makes bools integers."""
        return self if not out and self.dtype.kind != "c" else call(np.conjugate, self, *out)

    conjugate = conj
    __copy__ = _method("copy")

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """``ndarray.to_device``: there is one device."""
        if stream is not None:
            raise ValueError("The stream argument in to_device() is not supported")
        if device != "cpu":
            raise ValueError(f"Unsupported device: {device}. Only 'cpu' is accepted.")
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return call("copy", self)

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        """``ndarray.reshape``."""
        target = shape[0] if len(shape) == 1 else shape
        return call(np.reshape, self, target, order=order, copy=copy)

    def transpose(self, *axes: Any) -> Any:
        """``ndarray.transpose``."""
        return call(np.transpose, self, axes[0] if len(axes) == 1 else (axes or None))

    def __len__(self) -> int:
        if not self.dims:
            raise TypeError("len() of unsized object")
        return current_trace().sizes.concrete(self.dims[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.dims:
            raise TypeError("iteration over a 0-d array")
        return iter([self[k] for k in range(len(self))])

    def __contains__(self, value: Any) -> bool:
        return bool(call(np.any, self == value))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
        method = getattr(np.ndarray, name)
        if callable(method):
            return partial(call, method, self)
        raise UnsupportedError(
            f"ndarray.{name} is not compiled by tracejit ({describe(user_location())}); "
            "use it before or after the traced function"
        )


class Flat:
    """``ndarray.flat``: the elements in row-major order, readable and assignable."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    def __getitem__(self, key: Any) -> Any:
        return call("flatten", self.array)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        flat = call("flatten", self.array)
        flat[key] = value
        self.array.write(reshape(flat.operand(), self.array.dims))

    def __len__(self) -> int:
        return int(self.array.size)

    def __iter__(self) -> Iterator[Any]:
        return iter(call("flatten", self.array))


class TracedArray(NumpyValue):
    """Stands for a ``numpy.ndarray``: a chain of views on a storage."""

    __slots__ = ("_cached", "_version", "dtype", "storage", "views", "writeable")

    def __init__(self, storage: Storage, views: tuple[View, ...] = (), dtype: DType | None = None) -> None:
        self.storage = storage
        self.views = views
        self.dtype = storage.value.type.dtype if dtype is None else dtype
        self.writeable = storage.writeable and all(view.writeable for view in views)
        self._version = -1
        self._cached: Operand | None = None

    @property
    def dims(self) -> Dims:
        """The sizes of all axes."""
        return self.views[-1].dims if self.views else self.storage.value.type.dims

    def operand(self) -> Operand:
        """The value in the current trace."""
        storage = self.storage
        if not self.views:
            return storage.read()
        trace = current_trace()
        if storage.twins:
            storage.check_twins()
        if trace is storage.trace and self._version == storage.version and self._cached is not None:
            return self._cached
        value = read_through(storage.read(), self.views)
        if trace is storage.trace:
            self._version, self._cached = storage.version, value
        return value

    def view(self, *args: Any, **kwargs: Any) -> TracedArray:
        """A new array that shares memory: one more step of our own, or ``ndarray.view``."""
        view = args[0] if args else None
        if not isinstance(view, View):
            return call("view", self, *args, **kwargs)  # type: ignore[no-any-return]
        dtype = np.empty(0, self.dtype).real.dtype if isinstance(view, PartView) else self.dtype
        return TracedArray(self.storage, compose(self.views, view), dtype)

    def write(self, part: Operand) -> None:
        """Replace all elements; the value has this array's dims and dtype."""
        if not self.views:
            part = reshape(part, self.dims)
        self.storage.write(self.views, part)

    def shares_place(self, other: Any) -> bool:
        """Whether another array shows the same elements of the same memory."""
        return isinstance(other, TracedArray) and other.storage is self.storage and other.views == self.views

    # ---------------------------------------------------------------------------------------------------------- layout

    def hint_shape(self) -> tuple[int, ...]:
        """The shape in the traced call."""
        hint = self.storage.trace.sizes.hint
        return tuple([hint(d) for d in self.dims])

    def hint_strides(self) -> tuple[int, ...] | None:
        """The strides in elements in the traced call, or None when unknown."""
        hint = self.storage.trace.sizes.hint
        shape = tuple(hint(d) for d in self.storage.value.type.dims)
        strides = self.storage.hint_strides()
        for view in self.views:
            following = view.strides(strides, shape)
            if following is None:
                return None
            shape, strides = tuple(hint(d) for d in view.dims), following
        return strides

    def memory_strides(self) -> tuple[int, ...] | None:
        """The strides in elements in the traced call, on which the program depends from now on."""
        self.storage.layout_used = EVERYTHING
        if not self._is_plain():
            # The stride of an axis with one element or none means nothing, and slices of all join their neighbours.
            sizes = self.storage.trace.sizes
            slices = [view for view in self.views if isinstance(view, SliceView)]
            cut = [a - b for view in slices for a, b in zip(view.source, view.sizes, strict=True)]
            for dim, relation in [*((d - 2, ">= 0") for d in self.dims), *((d, "== 0") for d in cut)]:
                if type(dim) is not int and not sizes.is_late(dim):
                    sizes.decide(dim, relation)
        return self.hint_strides()

    def _is_plain(self) -> bool:
        """Whether memory has the elements in row-major order without gaps, whatever the sizes."""
        storage = self.storage
        origin = storage.origin
        if storage.order or storage.still or not (origin is None or origin.layout.dense):
            return False
        return all(isinstance(view, ReshapeView) for view in self.views)

    def paces(self) -> Paces:
        """The pace of each axis in memory (see ``axis_order``), on which the program depends from now on."""
        storage = self.storage
        if storage.layout_used < ORDER:
            storage.layout_used = ORDER
        paces = storage.paces
        for view in self.views:
            paces = view.paces(paces)
        return paces

    def order(self) -> Order:
        """The order of the axes in memory."""
        return sorted_order(self.paces()) if len(self.dims) > 1 else ()

    def reshaped(self, dims: Dims) -> TracedArray:
        """A view under other dims where NumPy gives one, else a copy."""
        strides = self.memory_strides()
        if strides is None:
            result = None
        elif math.prod(self.hint_shape()) == math.prod(map(self.storage.trace.sizes.hint, dims)):
            result = reshape_strides(*self._sizes(dims, strides))
        else:  # the hints of computed sizes are guesses, which need not fit together
            target = [self.storage.trace.sizes.hint(d) for d in dims]
            result = contiguous_strides(target) if strides == contiguous_strides(self.hint_shape()) else None
        if result is None:
            return new_array(reshape(self.operand(), dims))
        return self.view(ReshapeView(self.dims, dims, result))

    def _sizes(self, dims: Dims, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """What ``reshape_strides`` needs; where memory has gaps, the program depends on which are equal."""
        sizes = self.storage.trace.sizes
        if self._is_plain() or len(self.dims) == 1:
            return self.hint_shape(), strides, tuple(map(sizes.hint, dims))
        return resolve_dims(self.dims), strides, resolve_dims(dims), sizes.hint, _difference

    # ------------------------------------------------------------------------------------------------------ attributes

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of all axes."""
        return NumpyValue.shape.__get__(self)  # type: ignore[no-any-return]

    @shape.setter
    def shape(self, value: Any) -> None:
        if self.storage.origin is not None and not self.views:
            raise UnsupportedError(
                "assigning to .shape of an argument is not compiled: the caller's array would change its shape. "
                "Use y = x.reshape(...)"
            )
        result = call(np.reshape, self, value)
        if result.storage is not self.storage:
            raise AttributeError(
                "Incompatible shape for in-place modification. Use `.reshape()` to make a copy with the desired shape."
            )
        self.views = result.views
        self._cached = None

    @property
    def real(self) -> Any:
        """The real part."""
        return self.view(PartView(self.dims, "real")) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        call(operator.setitem, self.real, Ellipsis, value)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        if self.dtype.kind == "c":
            return self.view(PartView(self.dims, "imag"))
        return call(np.zeros_like, self)

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("array does not have imaginary part to set")
        call(operator.setitem, self.imag, Ellipsis, value)

    @property
    def base(self) -> Any:
        """The array whose memory a view shows: None for an array that the function has made, else refused."""
        if self.views or self.storage.origin is not None:
            raise UnsupportedError(
                f"ndarray.base of a view, an argument or an array from outside is not compiled "
                f"({describe(user_location())}); keep the array that the view is of under a name of its own"
            )

    def setflags(self, write: bool | None = None, align: Any = None, uic: Any = None) -> None:
        """``ndarray.setflags``; only ``write`` has an effect."""
        if write is not None:
            self.writeable = bool(write)

    # ---------------------------------------------------------------------------------------------------------- writing

    __setitem__ = _method(operator.setitem)
    fill = _method("fill")

    __iadd__, __isub__, __imul__ = _in_place(np.add), _in_place(np.subtract), _in_place(np.multiply)
    __itruediv__, __ifloordiv__ = _in_place(np.divide), _in_place(np.floor_divide)
    __imod__, __imatmul__ = _in_place(np.remainder), _in_place(np.matmul)
    __iand__, __ior__, __ixor__ = _in_place(np.bitwise_and), _in_place(np.bitwise_or), _in_place(np.bitwise_xor)
    __ilshift__, __irshift__ = _in_place(np.left_shift), _in_place(np.right_shift)

    def __ipow__(self, other: Any) -> TracedArray:  # type: ignore[misc, override]  # no modulus in place
        return call("in-place power", self, other)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"traced array of shape {shape_text(self.dims)} and dtype {self.dtype}"


def _difference(a: DimLike, b: DimLike) -> int:
    """A number with the sign of a - b in the traced call, on which the program depends from now on."""
    sizes = current_trace().sizes
    found = sizes.hint(a) - sizes.hint(b)
    if not sizes.same(a, b) and not sizes.is_late(a - b):
        sizes.decide(*((a - b, "== 0") if not found else (a - b - 1 if found > 0 else b - a - 1, ">= 0")))
    return found


class TracedScalar(NumpyValue):
    """Stands for a NumPy scalar such as ``numpy.float64``: immutable, without dims."""

    __slots__ = ("_operand", "dim", "dtype", "owner")
    dims: Dims = ()

    def __init__(self, operand: Operand, dim: DimLike | None = None) -> None:
        self._operand = operand
        if dim is None and type(operand) is Literal and operand.type.dtype == INT64:
            dim = int(operand.value)
        self.dim = dim  # the size that this int64 is, as np.prod(x.shape)
        self.dtype = operand.type.dtype
        self.owner = current_trace()

    def operand(self) -> Operand:
        """The value in the current trace."""
        return current_trace().lift(self._operand, self.owner)

    @property
    def real(self) -> Any:
        """The real part."""
        return call(np.real, self)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return call(np.imag, self)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(f"'numpy.{self.dtype.name}' object does not support item assignment")

    def __index__(self) -> int:
        return super().__index__() if self.dim is None else current_trace().sizes.concrete(self.dim)

    def __int__(self) -> int:
        return super().__int__() if self.dim is None else current_trace().sizes.concrete(self.dim)

    view = _method("view")

    def is_integer(self) -> Any:
        """``float.is_integer`` of a NumPy float."""
        return to_number(call(np.equal, call(np.floor, self), self), bool)

    def __round__(self, digits: int | None = None) -> Any:
        return call(round, self, digits)

    def __repr__(self) -> str:
        return f"traced NumPy scalar of dtype {self.dtype}"


def shape_text(dims: Dims) -> str:
    """``(n=5, 3)``: a shape with the sizes of the traced call."""
    sizes = current_trace().sizes
    parts = [str(d) if type(d) is int else f"{d}={sizes.hint(d)}" for d in resolve_dims(dims)]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def new_array(value: Operand, trace: Trace | None = None, order: Order = ()) -> TracedArray:
    """An array in memory of its own with this value, its axes in this order in memory."""
    return TracedArray(Storage(value, trace or current_trace(), order=order))


def wrap(value: Operand, order: Order = ()) -> Any:
    """A result of a NumPy function: an array, or a NumPy scalar where it has no axes."""
    return TracedArray(Storage(value, current_trace(), order=order)) if value.type.dims else TracedScalar(value)


def transposed(x: TracedArray, perm: tuple[int, ...]) -> TracedArray:
    """A transposed view."""
    return x.view(TransposeView(x.dims, perm))
