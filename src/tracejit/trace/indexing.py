"""NumPy's index expressions: what ``x[...]`` reads and ``x[...] = v`` writes.

Basic indices (ints, slices, ellipsis, newaxis) are views; integer arrays gather and scatter. NumPy's rules decide where
the axes of index arrays go, and its errors are raised.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.axis_order import Order
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL
from tracejit.trace.index_plan import (
    INVALID_INDEX,
    Plan,
    as_tuple,
    common_dims,
    plan_of,
    require_mask_size,
    shape_text,
)
from tracejit.trace.inputs import (
    as_array,
    describe_input,
    materialize,
    operand_of,
    raise_as_numpy,
    stored_operand,
)
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import gathered_order
from tracejit.trace.scalar import SymbolicInt
from tracejit.trace.scattering import scatter_into
from tracejit.trace.selecting import selected, write_selected
from tracejit.trace.storage import IndexView, ReshapeView, SliceView
from tracejit.trace.values import (
    Dims,
    broadcast_to,
    dim_value,
    emit,
    fits,
    match,
    reshape,
    resolve_dims,
    select,
    transpose,
)

__all__ = ["assign", "augment_masked", "get_item", "is_mask_key", "set_item"]


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
        if not all(item is None or item is Ellipsis for item in as_tuple(key)):
            raise IndexError("invalid index to scalar variable.")
        x = new_array(x.operand())
    if isinstance(key, (str, list)) and _is_field(key):
        raise IndexError(INVALID_INDEX)
    if (masked := _take_mask(x, key)) is not None:
        view, item = masked
        mask = _mask_operand(view, item)
        return new_array(selected(reshape(view.operand(), resolve_dims(view.dims)), mask))
    plan = plan_of(x, key)
    if not plan.arrays:
        view = _with_new_axes(basic_view(x, plan), plan)
        if view.dims or Ellipsis in [item for item in as_tuple(key) if item is Ellipsis]:
            return view
        return TracedScalar(_folded(view.operand()))
    scalars = all(not index.type.dims for _, index in plan.arrays)
    if scalars and all(_is_scalar_index(item) for item in as_tuple(key)):
        return _scalar_index(x, plan)
    value, order = _gather(x, plan)
    return wrap(value, order)


def _take_mask(x: TracedArray, key: Any) -> tuple[TracedArray, TracedArray] | None:
    """``view, mask`` with ``x[key] == view[mask]`` where a traced mask is the only array in an index."""
    items = list(as_tuple(key))
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
    dims = common_dims([from_axis[axis].type.dims for axis in axes])
    return axes, [broadcast_to(from_axis[axis], dims) for axis in axes], dims


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
    plan = plan_of(x, key)
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
    if scalars and isinstance(value, TracedArray) and get_item(x, key).shares_place(value):
        return  # x[i] += row has written it already
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
        source, target = shape_text(operand.type.dims), shape_text(dims)
        raise ValueError(f"could not broadcast input array from shape ({source}) into shape ({target})")
    return broadcast_to(reshape(operand, own) if len(own) != operand.rank else operand, resolve_dims(dims))


def _scatter(x: TracedArray, plan: Plan, value: Any, op: str) -> None:
    """Write the elements at index arrays and in slices, and nothing else."""
    part = basic_view(x, plan, drop=False)
    axes, indices, dims = _broadcast_indices(plan)
    gathered = dims + tuple(d for axis, d in enumerate(part.dims) if axis not in axes)
    perm, shape = _placement(plan, gathered, len(dims))
    stored = _converted_like_shape(x, value, shape)
    moved = tuple(gathered[axis] for axis in perm)
    inverse = tuple(sorted(range(len(perm)), key=perm.__getitem__))
    stored = transpose(reshape(stored, moved), inverse)
    last = part.views[-1] if part.views else None
    if isinstance(last, SliceView):
        whole = TracedArray(part.storage, part.views[:-1], part.dtype)
        whole.write(scatter_into(op, whole.operand(), last, stored, axes, indices))
    else:
        part.write(emit(op, part.operand(), stored, *indices, axes=tuple(axes)))


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
    plan = plan_of(x, key)
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
        require_mask_size(own, other, axis)
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
