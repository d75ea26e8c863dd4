"""What the leaves of a call's arguments are, and how they enter a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.ir.core import Value
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar
from tracejit.trace.axis_order import NOTHING, ROWS, Layout
from tracejit.trace.captures import freeze, memory_of
from tracejit.trace.context import Trace
from tracejit.trace.dtypes import PYTHON_DTYPES, DType
from tracejit.trace.foreign import check_array, check_dtype_of, is_foreign, plain_array
from tracejit.trace.pytree import Tree, leaf_names
from tracejit.trace.scalar import SymbolicBool, SymbolicInt, TracedNumber
from tracejit.trace.storage import Storage

__all__ = ["Argument", "Static", "argument_names", "classify", "normalize_leaf"]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Static:
    """Marks an argument that the caller declared static: it is passed as it is and compared by value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass
class Argument:
    """One leaf of the arguments.

    kind: "array" (an ndarray), "scalar" (a NumPy scalar), "float" or "complex" (Python numbers, run-time values), "int"
        or "bool" (the size symbol ``size``), "static" (``freeze(leaf)`` must be ``key``).
    param: position in ``Function.params`` for arrays, scalars, floats and complex numbers; None for the others.
    written: the program writes into the array. layout, layout_used: how the array lies in memory, and how much of that
        the program depends on (see ``axis_order``). The param has the axes in the order of the layout.
    same_as: an earlier leaf that is the very same array, which matters because one of them is written.
    """

    name: str
    kind: str
    dtype: DType | None = None
    rank: int = 0
    param: int | None = None
    size: str | None = None
    key: Any = None
    written: bool = False
    layout: Layout = ROWS
    layout_used: int = NOTHING
    same_as: int | None = None
    value: Value | None = field(default=None, repr=False)
    storage: Storage | None = field(default=None, repr=False)


def normalize_leaf(leaf: Any) -> Any:
    """A leaf as the trace and the run time see it: objects that count as arrays become arrays, the rest stays."""
    return plain_array(leaf, "an argument") if is_foreign(leaf) else leaf


def classify(leaf: Any, what: str = "an argument") -> tuple[str, DType | None, int]:
    """The kind, dtype and rank of a leaf; TypeError for arrays whose type is not NumPy's own."""
    kind = type(leaf)
    if kind is np.ndarray or kind is np.memmap:
        return "array", leaf.dtype, leaf.ndim
    if kind is int:
        return ("int" if _INT64_MIN <= leaf <= _INT64_MAX else "static"), None, 0
    if kind in (bool, float, complex):
        return kind.__name__, PYTHON_DTYPES[kind], 0
    if isinstance(leaf, np.generic) and not isinstance(leaf, (np.str_, np.bytes_)):
        return "scalar", leaf.dtype, 0
    if isinstance(leaf, np.ndarray):
        check_array(leaf, what)
    return "static", None, 0


def argument_names(function: Any, tree: Tree) -> list[str]:
    """A name for each leaf of ``(args, kwargs)``."""
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__func__", None), "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code is not None else []
    if hasattr(function, "__func__"):
        names = names[1:]
    positional, keywords = tree.children
    result: list[str] = []
    for position, child in enumerate(positional.children):
        root = names[position] if position < len(names) else f"argument{position}"
        result.extend(leaf_names(child, root))
    for key, child in zip(keywords.data, keywords.children, strict=True):
        result.extend(leaf_names(child, key))
    return result


def symbol_name(name: str) -> str:
    """A leaf's name as the start of a size symbol."""
    cleaned = "".join(c if c.isalnum() or c == "_" else "_" for c in name).strip("_")
    return cleaned if cleaned[:1].isalpha() else f"s{cleaned}"


def enter(trace: Trace, leaves: Sequence[Any], names: Sequence[str], shared: bool) -> tuple[list[Any], list[Argument]]:
    """Make the tracer of each leaf; with ``shared``, one array passed twice is one memory."""
    tracers: list[Any] = []
    arguments: list[Argument] = []
    seen: dict[int, int] = {}
    for position, (leaf, name) in enumerate(zip(leaves, names, strict=True)):
        what = f"argument {name!r}"
        kind, dtype, rank = ("static", None, 0) if isinstance(leaf, Static) else classify(leaf, what)
        if dtype is not None:
            check_dtype_of(dtype, what)
        argument = Argument(name, kind, dtype, rank)
        arguments.append(argument)
        if kind == "array" and shared and id(leaf) in seen:
            argument.same_as = seen[id(leaf)]
            tracers.append(tracers[argument.same_as])
            continue
        seen[id(leaf)] = position
        tracers.append(_enter_leaf(trace, leaf, argument, position))
    return tracers, arguments


def _enter_leaf(trace: Trace, leaf: Any, argument: Argument, position: int) -> Any:
    kind = argument.kind
    if kind == "static":
        value = leaf.value if isinstance(leaf, Static) else leaf
        argument.key = freeze(value)
        trace.captures.know(value, argument, position, static=isinstance(leaf, Static))
        return value
    if kind in ("int", "bool"):
        dim = trace.sizes.fresh(symbol_name(argument.name), int(leaf), integer=True)
        argument.size = dim.as_symbol
        return SymbolicInt(dim, trace.sizes) if kind == "int" else SymbolicBool(dim, trace.sizes)
    assert argument.dtype is not None
    dtype = argument.dtype.newbyteorder("=")
    if kind != "array":
        argument.value = trace.builder.param(ArrayType(dtype))
        return TracedScalar(argument.value) if kind == "scalar" else TracedNumber(argument.value, type(leaf))
    stem = symbol_name(argument.name)
    dims = tuple(trace.sizes.fresh(f"{stem}{axis}", size) for axis, size in enumerate(leaf.shape))
    argument.storage = memory_of(trace, argument, leaf, dims)
    return TracedArray(argument.storage)
