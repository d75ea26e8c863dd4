"""What a traced function returns, leaf by leaf, and how the caller's objects are made from computed values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import Dim, DimLike, evaluate
from tracejit.trace.arguments import Argument
from tracejit.trace.array import TracedArray, TracedScalar
from tracejit.trace.axis_order import Order, inverse
from tracejit.trace.captures import Capture
from tracejit.trace.context import Trace
from tracejit.trace.inputs import operand_of
from tracejit.trace.scalar import PythonNumber
from tracejit.trace.storage import Storage
from tracejit.trace.strided_views import strided_view
from tracejit.trace.text import is_pending
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import dim_value, transpose

__all__ = ["Result", "build_results", "describe_results", "replay"]

Step = tuple[Any, ...]


@dataclass(frozen=True)
class Result:
    """One leaf of what the function returns.

    kind: "array" (a new array, the function's result number ``index``), "scalar" (a NumPy scalar, ``index``), "python"
        (a Python number of type ``value``, ``index``), "argument" (leaf ``index`` of the arguments itself), "capture"
        (the array of capture ``index`` itself), "same" (the object of result leaf ``index``), "view" (of ``base``, made
        by ``steps``), "list" (of what result number ``index`` and those after it hold, as the :class:`ListShape` says
        that is ``value``), or "constant" (the object ``value``).
    base: kind and index of what a view shows: an argument, a capture, or another result leaf ("result").
    steps: views to repeat on the real array, see :func:`replay`.
    late: the sizes in ``steps`` that the program computes, with the numbers of the function's results that tell them.
    order: of the axes of a new array in memory: the function's result has them in this order (see ``axis_order``).
    owners: arguments and captures that are the leaf instead of the new array where a result of the program is true:
        kind and index of each, and the number of the result.
    """

    kind: str
    index: int = -1
    base: tuple[str, int] = ("", -1)
    steps: tuple[Step, ...] = ()
    value: Any = None
    late: Mapping[DimLike, int] = field(default_factory=dict)
    order: Order = ()
    owners: tuple[tuple[str, int, int], ...] = ()


class _Describer:
    """Goes through the leaves once arrays that own their memory are known."""

    def __init__(self, trace: Trace, arguments: Sequence[Argument], captures: Sequence[Capture]) -> None:
        self.trace = trace
        self.arguments = arguments
        self.captures = captures
        self.operands: list[Operand] = []
        self.owners: dict[Storage, int] = {}  # memory to the result leaf that shows all of it
        self.leaves: dict[int, int] = {}
        self.late: dict[DimLike, int] = {}  # computed sizes in the steps of views; results of their own at the end

    def add(self, operand: Operand) -> int:
        self.operands.append(operand)
        return len(self.operands) - 1

    def base_of(self, storage: Storage) -> tuple[str, int] | None:
        origin = storage.origin
        if isinstance(origin, Argument):
            return "argument", next(k for k, a in enumerate(self.arguments) if a is origin)
        if isinstance(origin, Capture):
            return "capture", next(k for k, c in enumerate(self.captures) if c is origin)
        owner = self.owners.get(storage)
        return None if owner is None else ("result", owner)

    def leaf(self, position: int, value: Any) -> Result:
        if isinstance(value, TracedArray):
            return self.array(position, value)
        if isinstance(value, TracedList):
            return self.list(value)
        if isinstance(value, TracedScalar):
            return Result("scalar", self.add(value.operand()))
        if isinstance(value, PythonNumber):
            return Result("python", self.add(value.operand()), value=value.python_type)
        if is_pending(value):
            raise UnsupportedError(
                "the function gives a text made of a value that is known only when the compiled function runs; return "
                "the value and make the text outside"
            )
        return Result("constant", value=value)

    def list(self, value: TracedList) -> Result:
        shape, parts = value.described()
        numbers = [self.add(part.operand()) for part in parts]
        return Result("list", numbers[0] if numbers else -1, value=shape)

    def array(self, position: int, value: TracedArray) -> Result:
        if id(value) in self.leaves:
            return Result("same", self.leaves[id(value)])
        self.leaves[id(value)] = position
        base = self.base_of(value.storage)
        if base is not None and base != ("result", position):
            if not value.views and base[0] != "result":
                return Result(base[0], base[1])
            if all(view.replayable for view in value.views):
                return self.view(base, tuple(view.replay() for view in value.views))
        order = value.order()
        operand = transpose(value.operand(), order) if order else value.operand()
        index = self.add(operand)
        flags = {} if value.views else value.storage.owners
        owners = []
        for storage, flag in flags.items():
            if flag is not False and (base := self.base_of(storage)) is not None:
                owners.append((*base, self.add(operand_of(flag))))
        return Result("array", index, order=order, owners=tuple(owners))

    def view(self, base: tuple[str, int], steps: tuple[Step, ...]) -> Result:
        self.note_sizes(steps)
        return Result("view", base=base, steps=steps, late=self.late)

    def note_sizes(self, value: Any) -> None:
        if isinstance(value, tuple):
            for item in value:
                self.note_sizes(item)
        elif isinstance(value, Dim):
            dim = self.trace.sizes.resolve(value)
            if self.trace.sizes.is_late(dim):
                self.late[dim] = -1

    def add_sizes(self) -> None:
        for dim in self.late:
            self.late[dim] = self.add(dim_value(dim))


def describe_results(
    trace: Trace, leaves: Sequence[Any], arguments: Sequence[Argument], captures: Sequence[Capture]
) -> tuple[list[Result], list[Operand]]:
    """The description of each leaf, and the operands that the program has to compute for them."""
    describer = _Describer(trace, arguments, captures)
    for position, leaf in enumerate(leaves):
        if isinstance(leaf, TracedArray) and not leaf.views and leaf.storage.origin is None:
            describer.owners.setdefault(leaf.storage, position)
    results = [describer.leaf(position, leaf) for position, leaf in enumerate(leaves)]
    describer.add_sizes()
    return results, describer.operands


def resolve_result(result: Result, resolve: Callable[[DimLike], DimLike]) -> Result:
    """The description with dims in canonical form."""
    if not result.steps:
        return result
    steps = tuple(_map_dims(step, resolve) for step in result.steps)
    return replace(result, steps=steps)


def _map_dims(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(_map_dims(item, function) for item in value)
    return value if isinstance(value, str) else function(value)


# -------------------------------------------------------------------------------------------------- making the objects


def replay(
    array: np.ndarray[Any, Any], steps: Sequence[Step], value_of: Callable[[DimLike], int]
) -> np.ndarray[Any, Any]:
    """Repeat views on a real array; dims in the steps get their values from ``value_of``.

    Steps: ``("slice", starts, sizes, steps, dropped)``, ``("reshape", dims)``, ``("transpose", perm)``, ``("real",)``,
    ``("imag",)``, ``("broadcast", dims)``, ``("diagonal", offset, axes)``, ``("view", dtype)``,
    ``("strided", starts, dims, factors, writeable)``.

    Example:
        >>> replay(np.arange(6), [("reshape", (2, 3)), ("slice", (1, 0), (1, 3), (1, 1), (0,))], int)
        array([3, 4, 5])
    """
    for step in steps:
        name, *arguments = _map_dims(step, value_of)
        array = _REPLAY[name](array, *arguments)
    return array


def _replay_slice(array: Any, starts: Any, sizes: Any, steps: Any, dropped: Any) -> Any:
    key: list[Any] = []
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        if axis in dropped:
            key.append(start)
        elif size == 0:
            key.append(slice(0, 0))
        else:
            stop = start + size * step
            key.append(slice(start, None if stop < 0 else stop, step))
    return array[(*key, Ellipsis)]


_REPLAY: dict[str, Callable[..., Any]] = {
    "slice": _replay_slice,
    "reshape": lambda array, dims: array.reshape(dims),
    "transpose": lambda array, perm: array.transpose(perm),
    "real": lambda array: array.real,
    "imag": lambda array: array.imag,
    "broadcast": lambda array, dims: np.broadcast_to(array, dims),
    "diagonal": lambda array, offset, axes: array.diagonal(offset, *axes),
    "view": lambda array, dtype: array.view(dtype),
    "strided": strided_view,
}


def build_results(
    results: Sequence[Result],
    values: Sequence[Any],
    arguments: Sequence[Any],
    captures: Sequence[Any],
    sizes: Mapping[str, int],
) -> list[Any]:
    """The leaves that the caller gets. values: fresh arrays, one for each of the function's results.

    arguments, captures: the caller's leaves and the captured objects, for results that are or show them.
    """
    built: list[Any] = [None] * len(results)
    for position, result in enumerate(results):
        if result.kind not in ("view", "same"):
            built[position] = _build(result, values, arguments, captures)
    sources = {"argument": arguments, "capture": captures, "result": built}
    for position, result in enumerate(results):
        if result.kind == "view":
            kind, index = result.base
            late = {dim: int(values[number]) for dim, number in result.late.items()}
            built[position] = replay(sources[kind][index], result.steps, partial(_size_of, sizes, late))
    for position, result in enumerate(results):
        if result.kind == "same":
            built[position] = built[result.index]
    return built


def _size_of(sizes: Mapping[str, int], late: Mapping[DimLike, int], dim: DimLike) -> int:
    """The value of a dim after a call: from its sizes, or one of those that it computed."""
    return late[dim] if dim in late else evaluate(dim, sizes)


def in_order(array: np.ndarray[Any, Any], order: Order) -> np.ndarray[Any, Any]:
    """The array whose axes have this order in memory, from one that has them so as its axes."""
    return array.transpose(inverse(order)) if order else array


def _build(result: Result, values: Sequence[Any], arguments: Sequence[Any], captures: Sequence[Any]) -> Any:
    kind = result.kind
    if kind == "array":
        for owner, index, flag in result.owners:
            if values[flag]:
                return (arguments if owner == "argument" else captures)[index]
        return in_order(values[result.index], result.order)
    if kind == "scalar":
        return values[result.index][()]
    if kind == "python":
        return result.value(values[result.index][()])
    if kind == "list":
        return result.value.build(*values[result.index : result.index + result.value.count])
    if kind == "argument":
        return arguments[result.index]
    return captures[result.index] if kind == "capture" else result.value
