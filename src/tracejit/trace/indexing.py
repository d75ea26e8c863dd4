"""NumPy's index expressions: what ``x[...]`` reads and ``x[...] = v`` writes.

Basic indices (ints, slices, ellipsis, newaxis) are views; integer arrays gather and scatter. NumPy's rules decide where
the axes of index arrays go, and its errors are raised.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import DimLike, maximum
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.axis_order import Order
from tracejit.trace.base import Tracer
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64
from tracejit.trace.inputs import (
    as_array,
    contains_tracer,
    describe_input,
    materialize,
    operand_of,
    raise_as_numpy,
    stored_operand,
)
from tracejit.trace.location import describe, user_location
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import gathered_order
from tracejit.trace.scalar import SymbolicBool, SymbolicInt, TracedNumber, as_dim
from tracejit.trace.selecting import places, selected, write_selected
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.storage import IndexView, ReshapeView, SliceView
from tracejit.trace.values import (
    Dims,
    broadcast_dims,
    broadcast_to,
    cast,
    check_equal,
    constant,
    dim_value,
    emit,
    fits,
    late_dim,
    literal,
    match,
    reshape,
    resolve_dims,
    select,
    transpose,
)

__all__ = ["assign", "augment_masked", "get_item", "is_mask_key", "set_item"]


_INVALID_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays "
    "are valid indices"
)


@dataclass
class Plan:
    """An index expression taken apart: a slice for each axis, then integer arrays into some of them."""

    starts: list[DimLike] = field(default_factory=list)
    sizes: list[DimLike] = field(default_factory=list)
    steps: list[DimLike] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)  # axes with an int index
    arrays: list[tuple[int, Operand]] = field(default_factory=list)  # axis, integer array
    # What the result's axes are before arrays move theirs: an axis of x, "new", "array" or "int".
    layout: list[tuple[str, int]] = field(default_factory=list)

    def axis(self, start: DimLike, size: DimLike, step: DimLike = 1) -> int:
        """Add the slice of the next axis; gives its number."""
        self.starts.append(start)
        self.sizes.append(size)
        self.steps.append(step)
        return len(self.starts) - 1


def _as_tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _is_mask(item: Any) -> bool:
    if isinstance(item, NumpyValue):
        return bool(item.dtype == BOOL)
    if isinstance(item, np.ndarray):
        return bool(item.dtype == BOOL)
    return isinstance(item, (bool, np.bool_, SymbolicBool)) or (isinstance(item, TracedNumber) and item.kind == BOOL)


def _clean(item: Any) -> Any:
    """An entry of an index as a slice, None, Ellipsis, int, SymbolicInt, mask, traced scalar or array."""
    if item is None or item is Ellipsis or type(item) in (int, SymbolicInt, slice):
        return item
    if isinstance(item, (bool, np.bool_, SymbolicBool)):
        return np.asarray(bool(item))
    if isinstance(item, np.ndarray) and item.dtype == BOOL:
        return item
    if isinstance(item, (list, tuple, np.ndarray)):
        listed = not isinstance(item, np.ndarray)
        return as_array(item) if contains_tracer(item) else _clean_array(np.asarray(item), listed)
    if isinstance(item, Tracer):
        return item
    if hasattr(item, "__index__"):
        return int(item.__index__())
    return item


def _clean_array(array: np.ndarray[Any, Any], listed: bool) -> Any:
    if array.dtype == BOOL:
        return array
    if listed and array.size == 0:
        array = array.astype(np.int64)  # an empty list indexes nothing
    if listed and array.dtype.kind not in "iu":
        raise IndexError(_INVALID_INDEX)
    return new_array(constant(array)) if listed else as_array(array)


def _expand(x: TracedArray, key: Any) -> list[Any]:
    """The entries of an index, with the ellipsis replaced by full slices, one entry (or more for masks) an axis."""
    items: list[Any] = []
    for raw in _as_tuple(key):
        item = _clean(raw)
        if isinstance(item, np.ndarray):  # a mask known while tracing
            if item.ndim == 0:
                raise UnsupportedError("indexing with a plain bool is not compiled; use if, or an index of ints")
            _check_mask(x, items, item.shape)
            items.extend(new_array(constant(part)) for part in item.nonzero())
        elif _is_mask(item):
            if not isinstance(item, TracedArray) or not item.dims:
                raise _scalar_mask()
            _check_mask(x, items, item.dims)
            items.extend(map(new_array, places(item.operand())))
        else:
            items.append(item)
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    ellipses = sum(1 for item in items if item is Ellipsis)
    rank = len(x.dims)
    if used > rank or ellipses > 1:
        raise_as_numpy(operator.getitem, x, _plain_key(key))
    missing = [slice(None)] * (rank - used)
    if not ellipses:
        return items + missing
    position = next(k for k, item in enumerate(items) if item is Ellipsis)
    return items[:position] + missing + items[position + 1 :]


def _check_mask(x: TracedArray, items: list[Any], shape: Dims) -> None:
    """A mask has the size of the axes that it stands for."""
    first = sum(1 for item in items if item is not None and item is not Ellipsis)
    if any(item is Ellipsis for item in items):
        raise UnsupportedError("a boolean mask after an ellipsis is not compiled; write the slices out")
    for axis, size in enumerate(shape, first):
        if axis < len(x.dims):
            _require_mask_size(x.dims[axis], size, axis)


def _scalar_mask() -> UnsupportedError:
    return UnsupportedError(
        f"a single traced bool as an index is not compiled ({describe(user_location())}); use np.where"
    )


def _require_mask_size(own: DimLike, other: DimLike, axis: int) -> None:
    sizes = current_trace().sizes
    if sizes.is_late(sizes.resolve(own) - sizes.resolve(other)):
        text = (
            f"boolean index did not match indexed array along axis {axis}; size of axis is {{0}} but size of "
            "corresponding boolean axis is {1}"
        )
        check_equal(own, other, "IndexError", text)
    elif not sizes.require_equal(own, other):
        raise IndexError(
            f"boolean index did not match indexed array along axis {axis}; size of axis is {sizes.hint(own)} "
            f"but size of corresponding boolean axis is {sizes.hint(other)}"
        )


def _plain_key(key: Any) -> tuple[Any, ...]:
    """An index for asking NumPy for its error."""
    return tuple(
        slice(None) if isinstance(item, slice) else 0 if isinstance(item, Tracer) and not item.dims else item
        for item in _as_tuple(key)
    )


def _plan(x: TracedArray, key: Any) -> Plan:
    plan = Plan()
    dims = resolve_dims(x.dims)
    for item in _expand(x, key):
        if item is None:
            plan.layout.append(("new", 0))
            continue
        size = dims[len(plan.starts)]
        if type(item) is slice:
            axis = plan.axis(*_slice_range(item, size))
            plan.layout.append(("axis", axis))
        elif (
            type(item) in (int, SymbolicInt)
            and (place := _known_index(as_dim(item), size, len(plan.starts))) is not None
        ):
            axis = plan.axis(place, 1)
            plan.dropped.append(axis)
            plan.layout.append(("int", axis))
        else:
            axis = plan.axis(0, size)
            plan.arrays.append((axis, _index_operand(x, key, item, size, axis)))
            plan.layout.append(("array", axis))
    return plan


def _index_operand(x: TracedArray, key: Any, item: Any, size: DimLike, axis: int) -> Operand:
    if not isinstance(item, (Tracer, int)):
        raise_as_numpy(operator.getitem, x, key)
    operand = dim_value(item) if isinstance(item, int) else item.operand()
    if operand.type.dtype.kind not in "iu":
        if operand.type.dtype == BOOL:
            raise _scalar_mask()
        arrays = "arrays used as indices must be of integer (or boolean) type"
        raise IndexError(arrays if operand.type.dims else _INVALID_INDEX)
    return emit("wrap_index", cast(operand, INT64), dim_value(size), axis=axis)


def _known_index(index: DimLike, size: DimLike, axis: int) -> DimLike | None:
    """Like :func:`_checked_index`; None where only the running program can check the index."""
    try:
        with current_trace().sizes.answering(usually=False):
            return _checked_index(index, size, axis)
    except UndecidedError:
        return None


def _checked_index(index: DimLike, size: DimLike, axis: int) -> DimLike:
    """A constant or symbolic index, non-negative; IndexError when it is out of range in this call."""
    sizes = current_trace().sizes
    wrapped = index if sizes.decide(index, ">= 0") else index + size
    if not sizes.decide(wrapped, ">= 0") or not sizes.decide(size - wrapped - 1, ">= 0"):
        raise IndexError(f"index {sizes.hint(index)} is out of bounds for axis {axis} with size {sizes.hint(size)}")
    return wrapped


def _slice_range(item: slice, size: DimLike) -> tuple[DimLike, DimLike, DimLike]:
    """Start, count and step of a slice of an axis, clamped as Python clamps."""
    if item.start is None and item.stop is None and item.step is None:
        return 0, size, 1
    sizes = current_trace().sizes
    step = 1 if item.step is None else _slice_bound(item.step)
    if sizes.decide(step, "== 0"):
        raise ValueError("slice step cannot be zero")
    forward = sizes.decide(step, ">= 0")
    low: DimLike = 0 if forward else -1
    high = size if forward else size - 1
    start = (low if forward else high) if item.start is None else _clamp(_slice_bound(item.start), size, low, high)
    stop = (high if forward else low) if item.stop is None else _clamp(_slice_bound(item.stop), size, low, high)
    distance = stop - start if forward else start - stop
    try:
        with sizes.answering(usually=False):
            filled = sizes.decide(distance, ">= 0")
        if not filled:
            return 0, 0, step
    except UndecidedError:
        distance = maximum(distance, 0)
    stride = step if forward else -step
    count = distance if stride == 1 else (distance + stride - 1) // stride
    return start, sizes.resolve(count), step


def _slice_bound(value: Any) -> DimLike:
    if isinstance(value, Tracer) and not isinstance(value, SymbolicInt):
        kind = value.kind
        if isinstance(value, (TracedNumber, TracedScalar)) and (kind is int or getattr(kind, "kind", "-") in "iu"):
            return as_dim(value)
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    if not hasattr(value, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return as_dim(value)


def _clamp(bound: DimLike, size: DimLike, low: DimLike, high: DimLike) -> DimLike:
    try:
        with current_trace().sizes.answering(usually=False):
            return _clamped(bound, size, low, high)
    except UndecidedError:
        place = dim_value(bound)
        zero, last = literal(0, INT64), dim_value(high)
        place = select(emit("lt", place, zero), emit("add", place, dim_value(size)), place)
        place = emit("minimum", emit("maximum", place, dim_value(low)), last)
        return late_dim(place, low, high)


def _clamped(bound: DimLike, size: DimLike, low: DimLike, high: DimLike) -> DimLike:
    sizes = current_trace().sizes
    if not sizes.decide(bound, ">= 0"):
        bound = bound + size
        return bound if sizes.decide(bound - low, ">= 0") else low
    return bound if sizes.decide(high - bound, ">= 0") else high


# ------------------------------------------------------------------------------------------------------------- reading


def basic_view(x: TracedArray, plan: Plan, *, drop: bool = True) -> TracedArray:
    """The view of the basic part of an index; arrays' axes are left whole."""
    dropped = tuple(plan.dropped) if drop else ()
    return x.view(SliceView(x.dims, tuple(plan.starts), tuple(plan.sizes), tuple(plan.steps), dropped))


def _with_new_axes(view: TracedArray, plan: Plan) -> TracedArray:
    if all(kind != "new" for kind, _ in plan.layout):
        return view
    rest = iter(zip(view.dims, view.hint_strides() or (0,) * len(view.dims), strict=True))
    dims: list[DimLike] = []
    strides: list[int] = []
    for kind, _ in plan.layout:
        if kind == "int":
            continue
        size, stride = (1, 0) if kind == "new" else next(rest)
        dims.append(size)
        strides.append(stride)
    return view.view(ReshapeView(view.dims, tuple(dims), tuple(strides)))


@implements(operator.getitem)
def get_item(x: Any, key: Any) -> Any:
    """``x[key]``."""
    if isinstance(x, TracedScalar):
        if key == () or key is Ellipsis:
            return x if key == () else new_array(x.operand())
        if not all(item is None or item is Ellipsis for item in _as_tuple(key)):
            raise IndexError("invalid index to scalar variable.")
        x = new_array(x.operand())
    if isinstance(key, (str, list)) and _is_field(key):
        raise IndexError(_INVALID_INDEX)
    if (masked := _take_mask(x, key)) is not None:
        view, item = masked
        mask = _mask_operand(view, item)
        return new_array(selected(reshape(view.operand(), resolve_dims(view.dims)), mask))
    plan = _plan(x, key)
    if not plan.arrays:
        view = _with_new_axes(basic_view(x, plan), plan)
        if view.dims or Ellipsis in [item for item in _as_tuple(key) if item is Ellipsis]:
            return view
        return TracedScalar(_folded(view.operand()))
    scalars = all(not index.type.dims for _, index in plan.arrays)
    if scalars and all(_is_scalar_index(item) for item in _as_tuple(key)):
        return _scalar_index(x, plan)
    value, order = _gather(x, plan)
    return wrap(value, order)


def _take_mask(x: TracedArray, key: Any) -> tuple[TracedArray, TracedArray] | None:
    """``view, mask`` with ``x[key] == view[mask]`` where a traced mask is the only array in an index."""
    items = list(_as_tuple(key))
    found = [k for k, item in enumerate(items) if isinstance(item, TracedArray)]
    if len(found) != 1 or items[found[0]].dtype != BOOL or not items[found[0]].dims:
        return None
    mask: TracedArray = items[found[0]]
    others = [item for item in items if item is not mask and item is not None and item is not Ellipsis]
    if not all(type(item) in (int, SymbolicInt, slice) for item in others):
        return None
    if any(item is None or item is Ellipsis or type(item) is slice for item in items[: found[0]]):
        return None  # something remains before the axes of the mask
    if len(items) == 1:
        return x, mask
    whole = [slice(None)] * len(mask.dims)
    view = get_item(x, tuple([*items[: found[0]], *whole, *items[found[0] + 1 :]]))
    return view, mask


def _folded(element: Operand) -> Operand:
    """An element of an array of constants as a constant."""
    known = None if isinstance(element, Literal) else constant_value(element)
    return element if known is None else Literal(known[()], element.type)


def _is_field(key: Any) -> bool:
    return isinstance(key, str) or (bool(key) and all(isinstance(item, str) for item in key))


def _is_scalar_index(item: Any) -> bool:
    return not isinstance(item, TracedArray)


def _scalar_index(x: TracedArray, plan: Plan) -> Any:
    """Traced integers as indices: a view, like ints; an element where no axis is left."""
    view = basic_view(x, plan)
    axes = [axis for axis in range(len(plan.starts)) if axis not in plan.dropped]
    indexed = tuple(axes.index(axis) for axis, _ in plan.arrays)
    view = view.view(IndexView(view.dims, indexed, tuple(index for _, index in plan.arrays), current_trace()))
    rest = Plan(layout=[(kind, axis) for kind, axis in plan.layout if kind in ("axis", "new")])
    view = _with_new_axes(view, rest)
    return view if view.dims else TracedScalar(view.operand())


def _broadcast_indices(plan: Plan) -> tuple[list[int], list[Operand], Dims]:
    """The axes and index arrays of an advanced index, broadcast; int indices beside arrays count as arrays."""
    from_axis = dict(plan.arrays)
    for axis in plan.dropped:
        from_axis[axis] = dim_value(0)  # the slice has one element there
    axes = sorted(from_axis)
    dims = broadcast_dims([from_axis[axis].type.dims for axis in axes])
    if dims is None:
        shapes = " ".join(f"({_shape(from_axis[axis].type.dims)})" for axis in axes)
        raise IndexError(f"shape mismatch: indexing arrays could not be broadcast together with shapes {shapes} ")
    return axes, [broadcast_to(from_axis[axis], dims) for axis in axes], dims


def _shape(dims: Dims) -> str:
    """A shape of the traced call as NumPy's messages show it, without parentheses."""
    hint = current_trace().sizes.hint
    return ",".join(str(hint(d)) for d in dims) + ("," if len(dims) == 1 else "")


def _gather(x: TracedArray, plan: Plan) -> tuple[Operand, Order]:
    """The elements at index arrays, and their order in memory: first the axes of the index, then the others'."""
    part = basic_view(x, plan, drop=False)
    axes, indices, dims = _broadcast_indices(plan)
    value = emit("gather", part.operand(), *indices, axes=tuple(axes))
    perm, shape = _placement(plan, value.type.dims, len(dims))
    order = gathered_order(part, axes, len(dims), perm) if len(shape) == len(perm) else ()
    return reshape(transpose(value, perm), shape), order


def _placement(plan: Plan, dims: Dims, rank: int) -> tuple[tuple[int, ...], Dims]:
    """Where NumPy puts the axes of index arrays: in their place if they are neighbours, else first. Also new axes."""
    kinds = [kind for kind, _ in plan.layout]
    advanced = [k for k, kind in enumerate(kinds) if kind in ("array", "int")]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    before = [k for k, kind in enumerate(kinds[: advanced[0]]) if kind in ("axis", "new")] if together else []
    after = [k for k, kind in enumerate(kinds) if kind in ("axis", "new") and k not in before]
    sources = iter(range(rank, len(dims)))
    order: list[int | None] = [next(sources) if kinds[k] == "axis" else None for k in before]
    order += list(range(rank))
    order += [next(sources) if kinds[k] == "axis" else None for k in after]
    perm = tuple(source for source in order if source is not None)
    shape = tuple(1 if source is None else dims[source] for source in order)
    return perm, shape


# ------------------------------------------------------------------------------------------------------------- writing


@implements(operator.setitem)
def set_item(x: TracedArray, key: Any, value: Any) -> None:
    """``x[key] = value``."""
    if not x.writeable:
        raise ValueError("assignment destination is read-only")
    if (masked := _take_mask(x, key)) is not None:
        _assign_masked(*masked, value)
        return
    plan = _plan(x, key)
    if not plan.arrays:
        view = _with_new_axes(basic_view(x, plan), plan)
        if not view.shares_place(value):
            assign(view, value)
        return
    scalars = all(not index.type.dims for _, index in plan.arrays)
    if scalars and len(plan.arrays) + len(plan.dropped) == len(x.dims):  # one element
        given = dict(plan.arrays)
        indices = [given[k] if k in given else dim_value(start) for k, start in enumerate(plan.starts)]
        x.write(emit("scatter", x.operand(), _converted(x, value, ()), *indices, axes=tuple(range(len(indices)))))
        return
    _scatter(x, plan, value, "scatter")


@implements("assign")
def assign(view: TracedArray, value: Any) -> None:
    """Replace all elements of a view by a value that broadcasts to it, converted as assignment converts."""
    view.write(_converted(view, value, view.dims))


def _converted(x: TracedArray, value: Any, dims: Dims, single: bool = True) -> Operand:
    """The value to store, in the dtype of x and with these dims; a ``single`` number must fit."""
    if not dims and isinstance(value, (list, tuple)):
        np.zeros(1, x.dtype)[0] = [1] * len(value)  # NumPy's error, if it is one in this version
    operand = stored_operand(value, x.dtype, single)
    own = operand.type.dims
    while len(own) > len(dims) and current_trace().sizes.decide(own[0] - 1, "== 0"):
        own = own[1:]
    if not fits(own, dims):
        if not dims:
            raise ValueError("setting an array element with a sequence.")
        source, target = _shape(operand.type.dims), _shape(dims)
        raise ValueError(f"could not broadcast input array from shape ({source}) into shape ({target})")
    return broadcast_to(reshape(operand, own) if len(own) != operand.rank else operand, resolve_dims(dims))


def _scatter(x: TracedArray, plan: Plan, value: Any, op: str) -> None:
    part = basic_view(x, plan, drop=False)
    axes, indices, dims = _broadcast_indices(plan)
    base = part.operand()
    gathered = dims + tuple(d for axis, d in enumerate(base.type.dims) if axis not in axes)
    perm, shape = _placement(plan, gathered, len(dims))
    stored = _converted_like_shape(x, value, shape)
    moved = tuple(gathered[axis] for axis in perm)
    inverse = tuple(sorted(range(len(perm)), key=perm.__getitem__))
    stored = transpose(reshape(stored, moved), inverse)
    part.write(emit(op, base, stored, *indices, axes=tuple(axes)))


def _converted_like_shape(x: TracedArray, value: Any, shape: Dims) -> Operand:
    try:
        return _converted(x, value, shape, single=False)
    except ValueError as error:
        text = str(error)
        prefix = "could not broadcast input array from shape "
        if not text.startswith(prefix):
            raise
        source, target = text.removeprefix(prefix).split(" into shape ")
        raise ValueError(
            f"shape mismatch: value array of shape {source} could not be broadcast to indexing result of shape {target}"
        ) from None


@implements("add at")
def add_at(x: TracedArray, key: Any, value: Any) -> None:
    """``np.add.at(x, key, value)`` for values of x's dtype."""
    plan = _plan(x, key)
    if not plan.arrays:
        view = _with_new_axes(basic_view(x, plan), plan)
        call(np.ufunc, np.add, (view, value), out=(view,))
        return
    try:
        _scatter(x, plan, value, "scatter_add")
    except ValueError as error:
        if "could not be broadcast to indexing result" in str(error):
            raise ValueError("array is not broadcastable to correct shape") from None
        raise


def _assign_masked(x: TracedArray, item: TracedArray, value: Any) -> None:
    """``x[mask] = value``: the same everywhere, or one row for each element that is selected."""
    mask = _mask_operand(x, item)
    stored = materialize(describe_input(value)[1], x.dtype)
    rest = len(x.dims) - len(mask.type.dims)
    own = stored.type.dims
    while len(own) > rest and current_trace().sizes.same(own[0], 1):
        own = own[1:]
    if len(own) == rest + 1 and not current_trace().sizes.is_late(own[0]) and _is_one(own[0]):
        own = own[1:]
    stored = reshape(stored, own)
    if len(own) > rest + 1:
        raise_as_numpy(lambda a, m, v: a.__setitem__(m, v), x, item, value)
    dims = resolve_dims(x.dims)
    if len(own) <= rest:
        if not fits(own, dims):
            raise_as_numpy(lambda a, m, v: a.__setitem__(m, v), x, item, value)
        _write_where(x, mask, match(stored, dims))
        return
    tail = dims[len(dims) - rest :]
    if not fits(own[1:], tail):
        raise_as_numpy(lambda a, m, v: a.__setitem__(m, v), x, item, value)
    x.write(write_selected(x.operand(), mask, broadcast_to(stored, (own[0], *tail))))


def _mask_operand(x: TracedArray, item: Any) -> Operand:
    """A boolean mask over the first axes of x."""
    mask = as_array(item).operand()
    if len(mask.type.dims) > len(x.dims):
        raise_as_numpy(operator.getitem, x, item)
    for axis, (own, other) in enumerate(zip(x.dims, mask.type.dims, strict=False)):
        _require_mask_size(own, other, axis)
    return reshape(mask, resolve_dims(x.dims[: mask.rank]))  # sizes that the program has checked to be equal


def _write_where(x: TracedArray, mask: Operand, stored: Operand) -> None:
    dims = resolve_dims(x.dims)
    rest = len(dims) - len(mask.type.dims)
    wide = reshape(mask, (*mask.type.dims, *(1,) * rest)) if rest else mask
    x.write(select(match(wide, dims), stored, x.operand()))


def is_mask_key(x: Any, key: Any) -> bool:
    """Whether ``x[key]`` is a traced array indexed by one traced mask."""
    return isinstance(x, TracedArray) and isinstance(key, TracedArray) and key.dtype == BOOL


def augment_masked(x: TracedArray, mask: TracedArray, operation: Any, value: Any) -> None:
    """``x[mask] <operation>= value``: computed everywhere, kept where the mask holds."""
    if not x.writeable:
        raise ValueError("assignment destination is read-only")
    rest = len(x.dims) - mask.ndim
    if len(operand_of(value).type.dims) > max(rest, 0):
        set_item(x, mask, operation(get_item(x, mask), value))
        return
    where = _mask_operand(x, mask)
    _write_where(x, where, operation(new_array(x.operand()), value).operand())


def _is_one(dim: DimLike) -> bool:
    return current_trace().sizes.decide(dim - 1, "== 0")
