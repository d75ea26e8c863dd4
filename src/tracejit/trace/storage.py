"""Memory while tracing: a cell with the current value of an array, and views that read and write parts of it.

A write makes a new value of the whole cell; every view computes its part anew from the cell when it is read next. So
in-place programs become pure ones, with NumPy's sharing of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tracejit.errors import RefusedWriteError, UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.axis_order import NOTHING, Order, Paces, by_rows, paces_of
from tracejit.trace.context import Trace, current_trace, require_owner
from tracejit.trace.dtypes import INT64
from tracejit.trace.location import describe, user_location
from tracejit.trace.scattering import gather_from, scatter_into
from tracejit.trace.values import Dims, broadcast_to, dim_value, emit, reshape, transpose

__all__ = [
    "BroadcastView",
    "DiagonalView",
    "IndexView",
    "PartView",
    "ReshapeView",
    "SliceView",
    "Storage",
    "TransposeView",
    "View",
    "compose",
    "lose_twins",
    "make_twins",
    "read_through",
    "written_twins",
]

Strides = tuple[int, ...]  # in elements, for the sizes of the traced call


class Storage:
    """The memory of one array: its current value, and where it came from.

    origin: position of the argument or capture whose memory this is, or None for memory made by the traced function.
    strides: those of an argument or capture. order: of the axes in memory. still: axes without a stride.
    """

    __slots__ = (
        "ambiguous",
        "borrowed",
        "layout_used",
        "order",
        "origin",
        "owners",
        "still",
        "strides",
        "trace",
        "twins",
        "value",
        "version",
        "writeable",
        "written",
    )

    def __init__(
        self,
        value: Operand,
        trace: Trace,
        *,
        origin: Any = None,
        writeable: bool = True,
        strides: Strides | None = None,
        order: Order = (),
        still: tuple[int, ...] = (),
    ) -> None:
        self.value = value
        self.trace = trace
        self.origin = origin
        self.writeable = writeable
        self.strides = strides
        self.order = order
        self.still = still
        self.version = 0
        self.written = False
        self.layout_used = NOTHING
        self.ambiguous: Callable[[], str] | None = None  # why it must not be written: nobody knows whose memory it is
        self.owners: dict[Storage, Any] = {}  # arguments of which it may be the memory, and traced bools that tell
        self.twins: list[Twin] = []
        self.borrowed = False  # in a loop: the value, in this turn, of memory that the caller knows

    @property
    def paces(self) -> Paces:
        """The paces of the axes in memory."""
        return paces_of(self.order, len(self.value.type.dims), self.still)

    def hint_strides(self) -> Strides:
        """The strides in the traced call."""
        if self.strides is not None:
            return self.strides
        hint = self.trace.sizes.hint
        return contiguous_strides([hint(d) for d in self.value.type.dims], self.order)

    def read(self) -> Operand:
        """The value of the whole memory, in the current trace."""
        if self.twins:
            self.check_twins()
        return current_trace().value_of(self)

    def check_twins(self) -> None:
        """Refuse to read what may have been changed under another name."""
        for twin in self.twins:
            if twin.has_changed():
                raise UnsupportedError(
                    f"an array is read that may have been written under another name: whether two names are the same "
                    f"memory depends on a branch or loop ({twin.where}). Copy the array there (y = x.copy())"
                )

    def write(self, views: Sequence[View], part: Operand) -> None:
        """Replace the part that a chain of views shows."""
        trace = require_owner(self.trace)
        if self.ambiguous is not None and (reason := self.ambiguous()):
            raise RefusedWriteError(reason)
        values = [trace.value_of(self)]
        for view in views[:-1]:
            values.append(view.read(values[-1]))
        rest = list(views)
        while rest:
            view = rest.pop()
            if isinstance(view, IndexView) and rest and isinstance(within := rest[-1], SliceView):
                values.pop()  # what is written goes from its place in the slice to that in the whole
                rest.pop()
                part = scatter_into("scatter", values.pop(), within, part, view.axes, view.lifted())
            else:
                part = view.write(values.pop(), part)
        trace.set_value(self, part)


class Twin(NamedTuple):
    """Another memory that may be this one, as a branch or loop decides, which therefore holds a copy of it.

    trace: where both are known; seen: what the other held when both were the same (None: what it holds at the beginning
    of the trace), or LOST where it was written.
    """

    trace: Trace
    storage: Storage
    seen: Any
    where: str

    def has_changed(self) -> bool:
        """Whether the other was written since, as the current trace sees it."""
        trace = current_trace()
        while trace is not self.trace:
            if self.storage in trace.written:
                return True
            if trace.parent is None:
                return False
            trace = trace.parent
        if self.seen is LOST:
            return True
        if self.storage.trace is trace:
            return self.storage.value is not self.seen
        if self.seen is None:
            return self.storage in trace.written
        return trace.memory.get(self.storage, self.seen) is not self.seen


LOST: Any = object()


def make_twins(made: Storage, source: Storage, *, entering: bool = False) -> None:
    """Note that a memory of the current trace holds a copy of one around it, but may be the same in NumPy.

    entering: at the beginning of a turn of a loop.
    """
    trace, where = made.trace, describe(user_location())
    seen = None if entering else trace.value_of(source)
    made.twins.append(Twin(trace, source, seen, where))
    source.twins.append(Twin(trace, made, made.value, where))
    trace.twins.append((made, source, made.value))


def written_twins(region: Trace) -> Iterator[Storage]:
    """Memory around a region of which the region has written a copy."""
    return (source for made, source, seen in region.twins if made.value is not seen)


def lose_twins(region: Trace, outer: Trace) -> None:
    """After a region: what it should have written must not be read."""
    for source in written_twins(region):
        if source.trace is not region:
            source.twins.append(Twin(outer, source, LOST, describe(user_location())))


class View:
    """One step from an array to a part or another arrangement of it; ``dims`` are those of the result."""

    __slots__ = ("dims",)
    dims: Dims
    writeable = True
    replayable = True  # can be repeated by NumPy on the real array

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        raise NotImplementedError

    def write(self, x: Operand, part: Operand) -> Operand:
        """The value ``x`` with the part seen through the view replaced."""
        raise NotImplementedError

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view; None when unknown."""
        return None

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        raise NotImplementedError

    def replay(self) -> tuple[Any, ...]:
        """A description from which the run time repeats the view: a name, then dims and ints."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and self.replay() == other.replay()

    def __hash__(self) -> int:
        return hash(self.replay())


class SliceView(View):
    """Elements ``start + i * step`` of each axis; axes in ``dropped`` have one element and are left out."""

    __slots__ = ("dropped", "sizes", "source", "starts", "steps")

    def __init__(self, source: Dims, starts: Dims, sizes: Dims, steps: Dims, dropped: tuple[int, ...] = ()) -> None:
        self.source = source
        self.starts = starts
        self.sizes = sizes
        self.steps = steps
        self.dropped = dropped
        self.dims = tuple(size for axis, size in enumerate(sizes) if axis not in dropped)

    @property
    def whole(self) -> bool:
        """Whether every element is shown at its own place."""
        return (
            self.sizes == self.source
            and not self.dropped
            and all(start == 0 for start in self.starts)
            and all(step == 1 for step in self.steps)
        )

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        part = emit("slice", x, starts=self.starts, sizes=self.sizes, steps=self.steps)
        return reshape(part, self.dims) if self.dropped else part

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        part = reshape(part, self.sizes)
        if self.sizes == self.source and all(step == 1 for step in self.steps):
            return part
        return emit("update_slice", x, part, starts=self.starts, steps=self.steps)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        hint = current_trace().sizes.hint
        every = [stride * hint(step) for stride, step in zip(strides, self.steps, strict=True)]
        return tuple(stride for axis, stride in enumerate(every) if axis not in self.dropped)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        return tuple(pace for axis, pace in enumerate(paces) if axis not in self.dropped)

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "slice", self.starts, self.sizes, self.steps, self.dropped


class ReshapeView(View):
    """The same elements in row-major order under other dims."""

    __slots__ = ("result_strides", "source")

    def __init__(self, source: Dims, dims: Dims, strides: Strides | None = None) -> None:
        self.source = source
        self.dims = dims
        self.result_strides = strides

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return reshape(x, self.dims)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        return reshape(part, self.source)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        return self.result_strides

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        if by_rows(paces):
            return paces_of((), len(self.dims))
        if [d for d in self.source if d != 1] == [d for d in self.dims if d != 1]:
            rest = iter([pace for pace, d in zip(paces, self.source, strict=True) if d != 1])
            return tuple(0 if d == 1 else next(rest) for d in self.dims)
        return tuple(map(abs, self.result_strides or paces_of((), len(self.dims))))

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "reshape", self.dims


class TransposeView(View):
    """Axis k of the result is axis ``perm[k]``."""

    __slots__ = ("perm",)

    def __init__(self, source: Dims, perm: tuple[int, ...]) -> None:
        self.perm = perm
        self.dims = tuple(source[axis] for axis in perm)

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return transpose(x, self.perm)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        inverse = tuple(sorted(range(len(self.perm)), key=self.perm.__getitem__))
        return transpose(part, inverse)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        return tuple(strides[axis] for axis in self.perm)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        return tuple(paces[axis] for axis in self.perm)

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "transpose", self.perm


class PartView(View):
    """The real or the imaginary part of complex numbers."""

    __slots__ = ("part",)

    def __init__(self, source: Dims, part: str) -> None:
        self.part = part
        self.dims = source

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return emit(self.part, x)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        if self.part == "real":
            return emit("complex", part, emit("imag", x))
        return emit("complex", emit("real", x), part)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        return tuple(2 * stride for stride in strides)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        return paces

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return (self.part,)


class BroadcastView(View):
    """Axes of size 1 repeated and axes put in front; read-only, as in NumPy."""

    __slots__ = ("source",)
    writeable = False

    def __init__(self, source: Dims, dims: Dims) -> None:
        self.source = source
        self.dims = dims

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return broadcast_to(x, self.dims)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        offset = len(self.dims) - len(self.source)
        own = [0 if a != b else s for a, b, s in zip(self.source, self.dims[offset:], strides, strict=True)]
        return (0,) * offset + tuple(own)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        offset = len(self.dims) - len(self.source)
        own = [0 if a != b else pace for a, b, pace in zip(self.source, self.dims[offset:], paces, strict=True)]
        return (0,) * offset + tuple(own)

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "broadcast", self.dims


class DiagonalView(View):
    """The diagonal of two axes, as a last axis; read-only, as in NumPy."""

    __slots__ = ("axes", "offset")
    writeable = False

    def __init__(self, source: Dims, offset: int, axes: tuple[int, int], size: DimLike) -> None:
        self.offset = offset
        self.axes = axes
        self.dims = (*(d for axis, d in enumerate(source) if axis not in axes), size)

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        rank = len(x.type.dims)
        rest = tuple(axis for axis in range(rank) if axis not in self.axes)
        step = emit("iota", dtype=INT64, dims=(self.dims[-1],), axis=0)
        indices = [
            emit("add", step, dim_value(start)) if start else step
            for start in (max(-self.offset, 0), max(self.offset, 0))
        ]
        part = emit("gather", x, *indices, axes=self.axes)
        return transpose(part, (*range(1, len(rest) + 1), 0))

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        rest = [stride for axis, stride in enumerate(strides) if axis not in self.axes]
        return (*rest, sum(strides[axis] for axis in self.axes))

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        rest = [pace for axis, pace in enumerate(paces) if axis not in self.axes]
        return (*rest, max(paces[axis] for axis in self.axes))

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "diagonal", self.offset, self.axes


class IndexView(View):
    """One index known only at run time into each of some axes, which disappear."""

    __slots__ = ("axes", "indices", "source", "trace")
    replayable = False

    def __init__(self, source: Dims, axes: tuple[int, ...], indices: tuple[Operand, ...], trace: Trace) -> None:
        self.source = source
        self.axes = axes
        self.indices = indices  # scalars, already wrapped into range
        self.trace = trace
        self.dims = tuple(d for axis, d in enumerate(source) if axis not in axes)

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "index", self.axes, self.indices

    def lifted(self) -> list[Operand]:
        """The indices in the current trace."""
        trace = current_trace()
        return [trace.lift(index, self.trace) for index in self.indices]

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return emit("gather", x, *self.lifted(), axes=self.axes)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        return emit("scatter", x, part, *self.lifted(), axes=self.axes)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        return tuple(stride for axis, stride in enumerate(strides) if axis not in self.axes)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        return tuple(pace for axis, pace in enumerate(paces) if axis not in self.axes)


def read_through(value: Operand, views: Sequence[View]) -> Operand:
    """What a chain of views shows of memory with this value."""
    rest = list(reversed(views))
    while rest:
        view = rest.pop()
        if isinstance(view, SliceView) and rest and isinstance(within := rest[-1], IndexView):
            rest.pop()
            value = gather_from(value, view, within.axes, within.lifted())
        else:
            value = view.read(value)
    return value


def compose(views: tuple[View, ...], view: View) -> tuple[View, ...]:
    """A chain of views with one more step, in which slices of slices and the like are one step."""
    last = views[-1] if views else None
    if isinstance(view, SliceView):
        if view.whole:
            return views
        if isinstance(last, SliceView):
            return (*views[:-1], _slice_of_slice(last, view))
    elif isinstance(view, TransposeView):
        if view.perm == tuple(range(len(view.perm))):
            return views
        if isinstance(last, TransposeView):
            perm = tuple(last.perm[axis] for axis in view.perm)
            source = tuple(last.dims[last.perm.index(axis)] for axis in range(len(perm)))
            return compose(views[:-1], TransposeView(source, perm))
    elif isinstance(view, ReshapeView):
        if view.dims == view.source:
            return views
        if isinstance(last, ReshapeView):
            return compose(views[:-1], ReshapeView(last.source, view.dims, view.result_strides))
    return (*views, view)


def _slice_of_slice(outer: SliceView, inner: SliceView) -> SliceView:
    starts, sizes, steps = list(outer.starts), list(outer.sizes), list(outer.steps)
    dropped = list(outer.dropped)
    kept = [axis for axis in range(len(starts)) if axis not in outer.dropped]
    for position, axis in enumerate(kept):
        starts[axis] = starts[axis] + steps[axis] * inner.starts[position]
        steps[axis] = steps[axis] * inner.steps[position]
        sizes[axis] = inner.sizes[position]
        if position in inner.dropped:
            dropped.append(axis)
    return SliceView(outer.source, tuple(starts), tuple(sizes), tuple(steps), tuple(sorted(dropped)))


def _difference(a: Any, b: Any) -> int:
    return int(a) - int(b)


def reshape_strides(
    shape: Sequence[DimLike],
    strides: Strides,
    new_shape: Sequence[DimLike],
    hint: Callable[[DimLike], int] = int,  # type: ignore[assignment]
    difference: Callable[[DimLike, DimLike], int] = _difference,
) -> Strides | None:
    """The strides of a reshape without copying, or None when NumPy has to copy.

    hint: the value of a dim in the traced call. difference: tells which of two dims is larger, by its sign.

    Example:
        >>> reshape_strides((4, 6), (6, 1), (2, 2, 6))
        (12, 6, 1)
        >>> reshape_strides((4, 6), (1, 4), (24,)) is None
        True
    """
    if 0 in map(hint, shape):
        return contiguous_strides(list(map(hint, new_shape)))
    old = [(size, stride) for size, stride in zip(shape, strides, strict=True) if hint(size) != 1]
    result = [0] * len(new_shape)
    position = 0
    axis = 0
    while axis < len(new_shape):
        if hint(new_shape[axis]) == 1:
            axis += 1
            continue
        have, stride = old[position]
        position += 1
        want, group = new_shape[axis], [axis]
        while (sign := difference(have, want)) != 0:
            if sign < 0:
                size, following = old[position]
                if stride != hint(size) * following:
                    return None
                have, stride = have * size, following
                position += 1
            else:
                axis += 1
                group.append(axis)
                want = want * new_shape[axis]
        for member in reversed(group):
            result[member] = stride
            stride *= hint(new_shape[member])
        axis += 1
    return tuple(result)


def contiguous_strides(shape: Sequence[int], order: Order = ()) -> Strides:
    """Strides in elements of an array without gaps; row-major ones where no order is given."""
    strides = [1] * len(shape)
    stride = 1
    for axis in reversed(order or range(len(shape))):
        strides[axis] = stride
        stride *= shape[axis]
    return tuple(strides)
