"""What loops and branches carry: the variables of the user's function, leaf by leaf, as operands of a region.

A *kind* says how a leaf is seen by the program: an array, a NumPy scalar or a Python number. Kinds of two ways to one
place are joined as Python and NumPy would promote them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any, TypeAlias

import numpy as np

from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar, new_array
from tracejit.trace.axis_order import Order
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import PYTHON_DTYPES, result_type
from tracejit.trace.inputs import as_array, describe_input, materialize
from tracejit.trace.scalar import PythonNumber, TracedNumber
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.storage import Storage
from tracejit.trace.values import cast, emit, full, literal, resolve_dims

__all__ = [
    "UNDEFINED",
    "Kind",
    "Undefined",
    "blank",
    "cells_of",
    "enter",
    "get",
    "join",
    "kind_of",
    "operand_as",
    "put",
    "same_dims",
]


class Undefined:
    """A variable without a value."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Any = Undefined()


def cells_of(functions: Iterable[FunctionType]) -> dict[str, CellType]:
    """The shared variables of nested functions, by name."""
    cells: dict[str, CellType] = {}
    for function in functions:
        cells.update(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return cells


def get(cell: CellType) -> Any:
    """The value of a variable, or UNDEFINED."""
    try:
        return cell.cell_contents
    except ValueError:
        return UNDEFINED


def put(cell: CellType, value: Any) -> None:
    """Set a variable, or unset it."""
    if value is not UNDEFINED:
        cell.cell_contents = value
    elif get(cell) is not UNDEFINED:
        del cell.cell_contents


NumberClass: TypeAlias = type


@dataclass(frozen=True)
class Kind:
    """How a leaf is seen: form "array", "scalar" (of NumPy) or "python"; its type; the class of a Python number.

    order: of an array's axes in memory.
    varying: for an array whose size is not the same on all ways, the number of the size of each axis among those that
    are carried beside it (None: the size of the type, which elsewhere is the room that there is).
    """

    form: str
    type: ArrayType
    number: NumberClass | None = None
    order: Order = ()
    varying: tuple[int | None, ...] = ()

    def __str__(self) -> str:
        if self.number is not None:
            return f"a Python {self.number.__name__}"
        return f"a NumPy scalar {self.type.dtype}" if self.form == "scalar" else f"an array {self.type}"


def kind_of(leaf: Any) -> Kind | None:
    """The kind of a leaf; None for what the program does not compute (functions, strings, None, ...)."""
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
        leaf = as_array(leaf)
    if isinstance(leaf, TracedArray):
        return Kind("array", ArrayType(leaf.dtype, resolve_dims(leaf.dims)), order=leaf.order())
    if isinstance(leaf, TracedScalar):
        return Kind("scalar", ArrayType(leaf.dtype))
    if isinstance(leaf, np.generic):
        return Kind("scalar", ArrayType(leaf.dtype)) if leaf.dtype.kind in "biufc" else None
    kind = leaf.python_type if isinstance(leaf, PythonNumber) else type(leaf)
    if kind not in PYTHON_DTYPES:
        return None
    return Kind("python", ArrayType(PYTHON_DTYPES[kind]), kind)


def operand_as(leaf: Any, kind: Kind, into: Operand | None = None) -> Operand:
    """A leaf as an operand of the current trace, in the dtype of a kind; ``into``: memory for one of varying size."""
    if leaf is UNDEFINED:
        return blank(kind)
    if isinstance(leaf, np.ndarray):
        leaf = as_array(leaf)
    if isinstance(leaf, TracedArray):
        operand = cast(leaf.operand(), kind.type.dtype)
        if not kind.varying or resolve_dims(operand.type.dims) == kind.type.dims:
            return operand
        rank = kind.type.rank
        return emit("update_slice", into or blank(kind), operand, starts=(0,) * rank, steps=(1,) * rank)
    return materialize(describe_input(leaf)[1], kind.type.dtype)


def enter(operand: Operand, kind: Kind, trace: Trace | None = None, sizes: Sequence[DimLike] = ()) -> Any:
    """What the user's code sees of an operand of the current trace; ``sizes``: those that vary."""
    if kind.varying:
        rank = kind.type.rank
        dims = tuple(d if n is None else sizes[n] for d, n in zip(kind.type.dims, kind.varying, strict=True))
        operand = emit("slice", operand, starts=(0,) * rank, sizes=dims, steps=(1,) * rank)
    if kind.form == "array":
        return new_array(operand, trace, kind.order)
    if kind.form == "scalar":
        return TracedScalar(operand)
    assert kind.number is not None
    if isinstance(operand, Literal):
        return kind.number(operand.value)
    return TracedNumber(operand, kind.number)


def join(a: Kind, b: Kind) -> Kind | None:
    """The kind that holds values of both; None where there is none."""
    if a == b:
        return a
    if "array" in (a.form, b.form):
        return _join_arrays(a, b)
    if a.number is not None and b.number is not None:
        kind = max((a.number, b.number), key=_ORDER.index)
        return Kind("python", ArrayType(PYTHON_DTYPES[kind]), kind)
    parts = [k.type.dtype if k.number in (None, bool) else k.number for k in (a, b)]  # bools are not weak
    return Kind("scalar", ArrayType(result_type(*parts)))


_ORDER = (bool, int, float, complex)


def _join_arrays(a: Kind, b: Kind) -> Kind | None:
    if a.form != b.form or a.type.dtype != b.type.dtype or not same_dims(a, b):
        return None
    return Kind("array", a.type.with_dims(resolve_dims(a.type.dims)), order=a.order if a.order == b.order else ())


def same_dims(a: Kind, b: Kind) -> bool:
    """Whether two kinds have the same sizes, as far as that is known while tracing."""
    if a.type.rank != b.type.rank:
        return False
    sizes = current_trace().sizes
    try:
        with sizes.answering(usually=False):
            return all(map(sizes.require_equal, a.type.dims, b.type.dims))
    except UndecidedError:
        return False


def blank(kind: Kind) -> Operand:
    """Any value of a kind, where nothing reads it."""
    if kind.type.dims:
        return emit("empty", dtype=kind.type.dtype, dims=kind.type.dims)
    return literal(0, kind.type.dtype)


def zeros(kind: Kind) -> Operand:
    """Zeros of a kind."""
    return full(literal(0, kind.type.dtype), kind.type.dims)


def is_outside(leaf: Any, trace: Trace | None) -> bool:
    """Whether a leaf shows, or may show, memory that the caller knows."""
    if not isinstance(leaf, TracedArray) or leaf.storage.trace is trace:
        return False
    return leaf.storage.origin is not None or leaf.storage.borrowed or leaf.storage.ambiguous is not None


def ambiguous(value: Any, reason: Callable[[], str]) -> Any:
    """An array that must not be written, since nobody knows whose memory it is; asked at a write, "" allows it."""
    storage: Storage = value.storage
    storage.ambiguous = reason
    return value


def holds_tracers_of(value: Any, trace: Trace) -> bool:
    """Whether a leaf belongs to a trace."""
    if isinstance(value, TracedArray):
        return value.storage.trace is trace
    return isinstance(value, Tracer) and getattr(value, "owner", None) is trace
