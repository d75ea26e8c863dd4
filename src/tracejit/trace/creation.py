"""Functions that make arrays from no array: their sizes may be symbolic, and what they make belongs to the trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, maximum
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array
from tracejit.trace.axis_order import Order, columns
from tracejit.trace.base import Tracer, refuse
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import FLOAT64, INT64, DType, check_dtype, kind_dtype, result_type
from tracejit.trace.foreign import is_foreign
from tracejit.trace.inputs import as_array, contains_tracer, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.registry import call, creates, implements
from tracejit.trace.result_order import has_order, kept_order, made_order
from tracejit.trace.scalar import PythonNumber, SymbolicInt, TracedNumber, as_dim, python_size
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.ufuncs import apply_ufunc
from tracejit.trace.values import (
    Dims,
    broadcast_to,
    cast,
    constant,
    dim_value,
    emit,
    expand,
    full,
    iota,
    late_dim,
    literal,
    reshape,
    resolve_dims,
)

__all__ = ["as_dtype", "diagonal_mask", "make_array", "shape_dims", "wrap_constant"]


def as_dtype(dtype: Any, default: DType = FLOAT64) -> DType:
    """The dtype that a ``dtype=`` argument means."""
    if dtype is None:
        return default
    result: DType = np.dtype(dtype).newbyteorder("=")
    check_dtype(result, "the array to be made")
    return result


def shape_dims(shape: Any) -> Dims:
    """The dims that a ``shape`` argument means: an int or a sequence of ints."""
    if isinstance(shape, TracedArray):
        shape = call("tolist", shape)
    if isinstance(shape, (list, tuple)):
        dims = tuple(as_dim(size, "a shape") for size in shape)
    elif isinstance(shape, (float, complex, str)) or shape is None:
        np.empty(shape)  # type: ignore[arg-type]  # raises what NumPy raises
        dims = ()
    elif isinstance(shape, np.ndarray):
        dims = tuple(int(size) for size in np.atleast_1d(shape))
    else:
        dims = (as_dim(shape, "a shape"),)
    sizes = current_trace().sizes
    for dim in dims:
        if sizes.is_late(sizes.resolve(dim)):
            _check_not_negative(sizes.resolve(dim))
        elif not sizes.decide(dim, ">= 0"):
            raise ValueError("negative dimensions are not allowed")
    return resolve_dims(dims)


def _check_not_negative(dim: DimLike) -> None:
    """Let the program raise NumPy's error where a computed size is negative."""
    trace = current_trace()
    if not (trace.sizes.proves(dim) or trace.is_checked((dim, ">= 0"))):
        holds = emit("ge", dim_value(dim), literal(0, INT64))
        trace.check(holds, (), "ValueError", "negative dimensions are not allowed")
        trace.checked.add((dim, ">= 0"))


def _filled(value: Any, dtype: DType, dims: Dims, order: Order) -> TracedArray:
    return new_array(full(materialize(value, dtype), dims), order=order)


def _check_like(like: Any) -> None:
    if like is not None and not isinstance(like, (Tracer, np.ndarray)):
        raise TypeError("The `like` argument must be an array-like that implements the `__array_function__` protocol.")


@creates(np.zeros)
def zeros(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> TracedArray:
    """``np.zeros``."""
    _check_like(like)
    dims = shape_dims(shape)
    return _filled(0, as_dtype(dtype), dims, made_order(order, len(dims)))


@creates(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> TracedArray:
    """``np.ones``."""
    _check_like(like)
    dims = shape_dims(shape)
    return _filled(1, as_dtype(dtype), dims, made_order(order, len(dims)))


@creates(np.empty, np.ndarray)
def empty(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> TracedArray:
    """``np.empty``."""
    _check_like(like)
    dims = shape_dims(shape)
    return new_array(emit("empty", dtype=as_dtype(dtype), dims=dims), order=made_order(order, len(dims)))


@creates(np.full)
def full_array(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> TracedArray:
    """``np.full``."""
    value = fill_value if isinstance(fill_value, _WEAK) else make_array(fill_value)
    dims = shape_dims(shape)
    return _full(value, as_dtype(dtype, kind_dtype(describe_input(value)[0])), dims, made_order(order, len(dims)))


_WEAK = (int, float, complex, PythonNumber)  # checked against the dtype of the array that they fill


def _full(value: Any, dtype: DType, dims: Dims, order: Order) -> TracedArray:
    result = new_array(emit("empty", dtype=dtype, dims=dims), order=order)
    call("assign", result, value)
    return result


def _like(array: Any, dtype: Any, shape: Any, order: str) -> tuple[DType, Dims, Order]:
    array = as_array(array)
    target = as_dtype(dtype, array.dtype)
    if shape is None:
        return target, resolve_dims(array.dims), kept_order(array, order)
    dims = shape_dims(shape)
    if len(dims) == array.ndim:
        return target, dims, kept_order(array, order)
    return target, dims, columns(len(dims)) if order in ("F", "f") else ()


@implements(np.zeros_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    """``np.zeros_like``."""
    return _filled(0, *_like(a, dtype, shape, order))


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    """``np.ones_like``."""
    return _filled(1, *_like(a, dtype, shape, order))


@implements(np.empty_like)
def empty_like(
    prototype: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    """``np.empty_like``."""
    loop, dims, places = _like(prototype, dtype, shape, order)
    return new_array(emit("empty", dtype=loop, dims=dims), order=places)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    """``np.full_like``."""
    value = fill_value if isinstance(fill_value, _WEAK) else make_array(fill_value)
    return _full(value, *_like(a, dtype, shape, order))


@creates(np.eye)
def eye(
    N: Any,
    M: Any = None,
    k: Any = 0,
    dtype: Any = float,
    order: str = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> TracedArray:
    """``np.eye``."""
    rows = (maximum(as_dim(N), 0),)  # negative sizes are 0 here
    dims = rows + (rows if M is None else (maximum(as_dim(M), 0),))
    return new_array(cast(diagonal_mask(dims, as_dim(k), "eq"), as_dtype(dtype)), order=made_order(order, 2))


_FARTHEST = 2**62


def diagonal_mask(dims: Dims, offset: DimLike, relation: str) -> Operand:
    """Where ``column <relation> row + offset`` holds."""
    row, column = iota(INT64, dims, 0), iota(INT64, dims, 1)
    if isinstance(offset, int):  # beyond every matrix it makes no difference how far
        offset = min(max(offset, -_FARTHEST), _FARTHEST)
    if offset != 0:
        row = emit("add", row, dim_value(offset))
    return emit(relation, column, row)


@creates(np.identity)
def identity(n: Any, dtype: Any = None, *, like: Any = None) -> TracedArray:
    """``np.identity``."""
    return eye(n, dtype=dtype)


@creates(np.tri)
def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, *, like: Any = None) -> TracedArray:
    """``np.tri``."""
    rows = (maximum(as_dim(N), 0),)  # negative sizes are 0 here
    dims = rows + (rows if M is None else (maximum(as_dim(M), 0),))
    return new_array(cast(diagonal_mask(dims, as_dim(k), "le"), as_dtype(dtype)))


# -------------------------------------------------------------------------------------------------------------- ranges


@creates(np.arange)
def arange(*args: Any, dtype: Any = None, device: Any = None, like: Any = None, **named: Any) -> TracedArray:
    """``np.arange``: of sizes with a size, of other numbers with a length that the program computes."""
    start, stop, step = _range_arguments(args, named)
    if len(args) > 3:
        dtype = args[3]
    values = (start, stop, step)
    if not contains_tracer(values):
        return _constant_range(values, dtype)
    if not all(map(_is_int, values)):
        if all(_is_int(value) or (type(value) is float and value.is_integer()) for value in values):
            whole = [int(value) if type(value) is float else value for value in values]
            return arange(*whole, dtype=FLOAT64 if dtype is None else dtype)
        return _computed_range(start, stop, step, dtype)
    first, last, stride = (as_dim(value) for value in values)
    sizes = current_trace().sizes
    if sizes.decide(stride, "== 0"):
        raise ZeroDivisionError("division by zero")
    forward = sizes.decide(stride, ">= 0")
    distance = last - first if forward else first - last
    width = stride if forward else -stride
    try:
        with sizes.answering(usually=False):
            count = (distance + width - 1) // width if sizes.decide(distance, ">= 0") else 0
    except UndecidedError:
        count = maximum((distance + width - 1) // width, 0)
    position = iota(INT64, (sizes.resolve(count),), 0)
    if stride != 1:
        position = emit("mul", position, dim_value(stride))
    if first != 0:
        position = emit("add", position, dim_value(first))
    return new_array(cast(position, as_dtype(dtype, INT64)))


def _computed_range(start: Any, stop: Any, step: Any, dtype: Any) -> TracedArray:
    given = [describe_input(value)[0] for value in (start, stop, step)]
    kinds = [kind_dtype(kind) for kind in given]
    if result_type(*kinds).kind not in "iuf":
        traced = next(value for value in (start, stop, step) if isinstance(value, Tracer))
        refuse("the length of np.arange", traced, "Use start + step * np.arange(count), or np.linspace.")
    target = as_dtype(dtype, result_type(*kinds))
    if not any(isinstance(kind, np.dtype) for kind in given):  # Python's division
        divides = emit("ne", cast(operand_of(step), FLOAT64), literal(0.0, FLOAT64))
        current_trace().check(divides, (), "ZeroDivisionError", "float division by zero")
    quotient = cast(operand_of((stop - start) / step), FLOAT64)
    count = _checked_length(emit("ceil", quotient))
    # NumPy computes two elements in the arithmetic of the bounds, and the others from their difference.
    first, second = (cast(operand_of(value), target) for value in (start, start + step))
    position = iota(INT64, (count,), 0)
    rest = emit("add", first, emit("mul", cast(position, target), emit("sub", second, first)))
    later = emit("select", emit("eq", position, literal(1, INT64)), second, rest)
    return new_array(emit("select", emit("eq", position, literal(0, INT64)), first, later))


def _checked_length(length: Operand) -> DimLike:
    trace = current_trace()
    trace.check(emit("eq", length, length), (), "ValueError", "arange: cannot compute length")
    representable = emit("lt", emit("abs", length), literal(2.0**63, FLOAT64))
    trace.check(representable, (), "ValueError", "Maximum allowed size exceeded")
    return late_dim(cast(emit("maximum", length, literal(0.0, FLOAT64)), INT64), 0)


def _is_int(value: Any) -> bool:
    """Whether a value is an int or becomes one when the program runs."""
    if isinstance(value, (TracedNumber, TracedScalar)):
        kind = value.kind
        return kind is int or getattr(kind, "kind", "") in ("i", "u")
    return isinstance(value, (int, np.integer, SymbolicInt))


def _range_arguments(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any, Any]:
    values = dict(zip(("start", "stop", "step"), args, strict=False)) | named
    start, stop, step = values.get("start"), values.get("stop"), values.get("step", 1)
    if stop is None and start is None:
        raise TypeError("arange() requires stop to be specified.")
    if stop is None:
        start, stop = 0, start
    return 0 if start is None else start, stop, 1 if step is None else step


def _constant_range(values: tuple[Any, Any, Any], dtype: Any) -> TracedArray:
    """A range whose bounds are known: small ones are stored, longer ones are computed as NumPy does."""
    start, stop, step = values
    if np.size(values) == 3 and step != 0 and abs((stop - start) / step) <= 64:
        return new_array(constant(np.arange(start, stop, step, dtype=dtype)))
    first = np.arange(start, start + 2 * step, step, dtype=dtype)[:2]
    count = len(np.arange(start, stop, step, dtype=dtype))
    kind = first.dtype
    if kind.kind not in "iuf":
        return new_array(constant(np.arange(start, stop, step, dtype=dtype)))
    result = iota(kind, (count,), 0)
    if (delta := first[1] - first[0]) != 1:
        result = emit("mul", result, literal(delta, kind))
    if first[0] != 0:
        result = emit("add", result, literal(first[0], kind))
    return new_array(result)


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """``np.linspace``, with bounds and count that may be traced."""
    count = as_dim(num, "the number of points")
    sizes = current_trace().sizes
    if not sizes.decide(count, ">= 0"):
        raise ValueError(f"Number of samples, {sizes.hint(count)}, must be non-negative.")
    loop = result_type(*(describe_input(value)[0] for value in (start, stop)))
    loop = loop if loop.kind in "fc" else FLOAT64
    first, last = (as_array(cast_to(value, loop)) for value in (start, stop))
    delta = apply_ufunc(np.subtract, (last, first))
    places = new_array(expand(cast(iota(INT64, (count,), 0), loop), range(1, delta.ndim + 1)))
    gaps = count - 1 if endpoint else count
    step: Any = float("nan")
    if sizes.decide(gaps - 1, ">= 0"):
        step = apply_ufunc(np.divide, (delta, python_size(gaps)))
        points = apply_ufunc(np.multiply, (places, step))
    else:
        points = apply_ufunc(np.multiply, (places, delta))
    points = apply_ufunc(np.add, (points, first))
    if endpoint and sizes.decide(count - 2, ">= 0"):
        points[-1] = last
    if axis != 0:
        points = call(np.moveaxis, points, 0, axis)
    final = as_dtype(dtype, loop)
    if final.kind in "iu":
        points = apply_ufunc(np.floor, (points,))
    points = cast_to(points, final)
    return (points, step) if retstep else points


def cast_to(value: Any, dtype: DType) -> TracedArray:
    """Any value as an array of a dtype."""
    return new_array(cast(operand_of(value), dtype))


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """``np.logspace``."""
    if contains_tracer(base) or not np.isscalar(base):
        return call("numpy source", np.logspace, start, stop, num, endpoint, base, dtype, axis)
    points = linspace(start, stop, num, endpoint, axis=axis)
    result = apply_ufunc(np.power, (base, points))
    return result if dtype is None else cast_to(result, as_dtype(dtype))


@creates(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """``np.meshgrid``."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    arrays = [call(np.ravel, make_array(x, copy=False)) for x in xi]
    rank = len(arrays)
    order = list(range(rank))
    if indexing == "xy" and rank > 1:
        order[:2] = [1, 0]
    dims: Dims = tuple(arrays[order[axis]].dims[0] for axis in range(rank))
    result = []
    for position, array in enumerate(arrays):
        own = tuple(dims[axis] if order[axis] == position else 1 for axis in range(rank))
        value = reshape(array.operand(), own)
        result.append(new_array(value if sparse else broadcast_to(value, dims)))
    return result if sparse and not copy else tuple(result)  # as NumPy


@creates(np.indices)
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """``np.indices``."""
    dims = shape_dims(dimensions if isinstance(dimensions, (list, tuple)) else tuple(dimensions))
    loop = as_dtype(dtype)
    if sparse:
        axes = range(len(dims))
        return tuple(
            new_array(iota(loop, tuple(d if axis == k else 1 for k, d in enumerate(dims)), axis)) for axis in axes
        )
    if not dims:
        return new_array(emit("empty", dtype=loop, dims=(0,)))
    parts = [reshape(iota(loop, dims, axis), (1, *dims)) for axis in range(len(dims))]
    return new_array(emit("concatenate", *parts, axis=0))


@creates(np.fromfunction)
def fromfunction(function: Any, shape: Any, *, dtype: Any = float, like: Any = None, **kwargs: Any) -> Any:
    """``np.fromfunction``."""
    return function(*indices(shape, dtype=dtype), **kwargs)


# -------------------------------------------------------------------------------------------------- arrays from values


@creates(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> TracedArray:
    """``np.ascontiguousarray``: as ``np.asarray``, with at least one axis."""
    return _with_axis(make_array(a, dtype, copy=False, order="C"))


@creates(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None, *, like: Any = None) -> TracedArray:
    """``np.asfortranarray``: as ``np.asarray``, with at least one axis."""
    return _with_axis(make_array(a, dtype, copy=False, order="F"))


def _with_axis(array: TracedArray) -> TracedArray:
    return array if array.dims else new_array(reshape(array.operand(), (1,)))


@creates(np.asarray, np.asanyarray)
def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, **_: Any) -> TracedArray:
    """``np.asarray``: the array itself where it can be."""
    if copy is False:
        _refuse_copy(a, dtype)
    return make_array(a, dtype, copy=bool(copy), order=order)


def _refuse_copy(value: Any, dtype: Any) -> None:
    """NumPy's error where an array cannot be had without a copy."""
    is_array = isinstance(value, (TracedArray, np.ndarray))
    if not is_array or as_dtype(dtype, as_array(value).dtype) != as_array(value).dtype:
        np.array([0], np.float32, copy=False)


@creates(np.array)
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    ndmax: int = 0,
    like: Any = None,
) -> TracedArray:
    """``np.array``: a new array from arrays, numbers and nested lists of them."""
    if copy is False:
        _refuse_copy(object, dtype)
    result = make_array(object, dtype, copy=bool(copy), order=order)
    if 0 < ndmax < result.ndim:
        raise ValueError("object too deep for desired array")
    if (missing := ndmin - result.ndim) > 0:
        result = call(np.expand_dims, result, tuple(range(missing)))
    return result


@creates(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> TracedArray:
    """``np.copy``."""
    return make_array(a, order=order)


def make_array(value: Any, dtype: Any = None, *, copy: bool = True, order: str | None = "K") -> TracedArray:
    """An array from an array, a number, or nested sequences of them."""
    value = _with_tracers(value)
    if isinstance(value, (NumpyValue, np.ndarray)):
        source = as_array(value)
        target = as_dtype(dtype, source.dtype)
        if not copy and target == source.dtype and isinstance(value, (TracedArray, np.ndarray)):
            if has_order(source, order):
                return source
        return new_array(cast(source.operand(), target), order=kept_order(source, order))
    if isinstance(value, Tracer):
        return new_array(cast(operand_of(value), as_dtype(dtype, kind_dtype(value.kind))))
    if not contains_tracer(value) and not _holds_arrays(value):
        plain = np.array(value, dtype=dtype)
        check_dtype(plain.dtype, "the array to be made")
        return wrap_constant(plain, columns(plain.ndim) if order == "F" else ())
    leaves: list[Any] = []
    dims = _nested_dims(value, leaves)
    kinds = [describe_input(leaf) for leaf in leaves]
    # Python numbers are not weak here: an array made of them has their own dtype.
    target = as_dtype(dtype, np.result_type(*[kind_dtype(kind) for kind, _ in kinds]) if kinds else FLOAT64)
    if not leaves:
        return new_array(emit("empty", dtype=target, dims=dims))
    result = _stacked([materialize(content, target) for _, content in kinds], dims)
    return new_array(result, order=columns(len(dims)) if order == "F" else ())


def _with_tracers(value: Any) -> Any:
    """The same with tracers for objects of other libraries that count as arrays, which may change from call to call."""
    if isinstance(value, (list, tuple)):
        return [_with_tracers(item) for item in value] if any(map(_holds_foreign, value)) else value
    found = current_trace().captures.foreign(value) if is_foreign(value) else None
    return value if found is None else found


def _holds_foreign(value: Any) -> bool:
    return any(map(_holds_foreign, value)) if isinstance(value, (list, tuple)) else is_foreign(value)


def _own_dtype(value: Any) -> DType:
    return kind_dtype(describe_input(value)[0])


def _holds_arrays(value: Any) -> bool:
    """Whether a list holds arrays, which may be outside arrays that change from call to call."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_arrays, value))
    return isinstance(value, np.ndarray)


def _nested_dims(value: Any, leaves: list[Any]) -> Dims:
    """The dims of a nested list, whose leaves (numbers and arrays) are appended in order."""
    if not isinstance(value, (list, tuple)):
        leaves.append(value)
        return as_array(value).dims if isinstance(value, (NumpyValue, np.ndarray)) else ()
    if not value:
        return (0,)
    inner = [_nested_dims(item, leaves) for item in value]
    sizes = current_trace().sizes
    for dims in inner[1:]:
        fits = len(dims) == len(inner[0]) and all(map(sizes.require_equal, dims, inner[0]))
        if not fits:
            raise_as_numpy(np.array, value)
    return (len(value), *inner[0])


def _stacked(parts: list[Operand], dims: Dims) -> Operand:
    """The parts one after the other, in row-major order."""
    if len(parts) == 1:
        return reshape(parts[0], dims)
    own = parts[0].type.dims
    rows = [reshape(part, (1, *own)) for part in parts]
    return reshape(emit("concatenate", *rows, axis=0), dims)


def wrap_constant(array: np.ndarray[Any, Any], order: Order = ()) -> TracedArray:
    """An array that exists only while tracing, as an array of the trace: small ones become part of the program."""
    check_dtype(array.dtype, "an array made while tracing")
    if array.size <= 65536:
        return new_array(constant(array), order=order)
    return new_array(current_trace().captures.array(array).operand(), order=order)


@creates(np.fromiter)
def fromiter(iter: Any, dtype: Any, count: int = -1, *, like: Any = None) -> TracedArray:
    """``np.fromiter``."""
    items = list(iter)
    return make_array(items if count < 0 else items[:count], dtype)


@creates(np.from_dlpack)
def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> TracedArray:
    """``np.from_dlpack``: a view of the array, or a copy."""
    array = make_array(x, copy=False)
    return make_array(array) if copy else array.view()


@creates(np.frombuffer)
def frombuffer(buffer: Any, dtype: Any = float, count: Any = -1, offset: int = 0, *, like: Any = None) -> Any:
    """``np.frombuffer`` of an array of the same dtype: a view of its elements."""
    if not isinstance(buffer, (Tracer, np.ndarray)) and not is_foreign(buffer):
        raise UnsupportedError("bytes are read by NumPy")  # they are no arrays: see ``call``
    array = make_array(buffer, copy=False)
    if np.dtype(dtype) != array.dtype or offset % array.itemsize or not array.flags.c_contiguous:
        raise UnsupportedError(
            f"np.frombuffer of an array of {array.dtype} as {np.dtype(dtype)} is not compiled; read the buffer before "
            "and pass the array in"
        )
    flat = call(np.ravel, array)
    start = offset // array.itemsize
    return flat[start:] if isinstance(count, int) and count < 0 else flat[start : start + count]


@creates(np.fromstring, np.fromfile, np.loadtxt, np.genfromtxt)
def from_outside(*args: Any, **kwargs: Any) -> Any:
    """Not compiled: what it reads would be frozen into the program."""
    raise UnsupportedError("reading data inside a traced function is not compiled; read it before and pass it in")
