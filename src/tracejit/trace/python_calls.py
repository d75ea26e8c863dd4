"""Python functions as operations of the program: how arguments reach them, and how what they return comes back.

Arrays and run-time numbers among the arguments become operands; everything else is passed as it is. What the function
returns was found before (``Outcome``): the structure, and a dtype and dims for each leaf. Dims that are not known ahead
are sizes that the call itself binds: one callback runs the function, keeps what it gave and says how large it is; a
second one, for memory of that size, hands it over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Location, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.frames import SlotOf, current_frame
from tracejit.trace.generators import is_generator
from tracejit.trace.getters import is_of_call
from tracejit.trace.inputs import as_array, contains_tracer
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import LEAF, Tree, flatten, unflatten
from tracejit.trace.scalar import PythonNumber, number
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import late_dim, resolve_dims

__all__ = ["Announced", "Outcome", "Part", "PythonFunction", "call_python", "take_apart"]


@dataclass(frozen=True)
class Part:
    """One leaf of arguments or results.

    kind: "array" (of a result: with axes in the order ``value``), "scalar" (a NumPy scalar), "python" (a number of type
        ``value``), "static" (the object ``value``),
        "list" (of what the operands from this one on hold, as the ``ListShape`` says that is ``value``), or
        "object": among arguments, what the function ``value`` finds; among results, what is put into slot ``index``,
        for which ``value`` stands while tracing.
    index: which of the operands (or of the announced results) it is; -1 for static ones.
    """

    kind: str
    index: int = -1
    value: Any = None

    def plain(self, arrays: Sequence[np.ndarray[Any, Any]]) -> Any:
        """The Python object, from the arrays of all operands."""
        if self.kind == "static":
            return self.value
        if self.kind == "object":
            return self.value()
        if self.kind == "list":
            return self.value.build(*arrays[self.index : self.index + self.value.count])
        array = arrays[self.index]
        if self.kind == "array":
            return array
        return array[()] if self.kind == "scalar" else self.value(array.item())

    def traced(self, operands: Sequence[Operand]) -> Any:
        """The tracer, from all operands."""
        if self.kind == "static":
            return self.value
        if self.kind == "object":
            return current_trace().captures.made(self.value, SlotOf(self.index))
        operand = operands[self.index]
        if self.kind == "array":
            return new_array(operand, order=self.value or ())
        return TracedScalar(operand) if self.kind == "scalar" else number(operand, self.value)


@dataclass(frozen=True)
class Announced:
    """The dtype and the dims of one array that a function gives; a dim that is not known ahead is None."""

    dtype: DType
    dims: tuple[DimLike | None, ...]


@dataclass(frozen=True)
class Outcome:
    """What a function returns: the structure, its leaves, and the arrays that the leaves are made of."""

    tree: Tree
    parts: tuple[Part, ...]
    arrays: tuple[Announced, ...]

    @staticmethod
    def nothing() -> Outcome:
        """The outcome of a function that returns None."""
        return Outcome(flatten(None)[1], (), ())


_LEAVES = (np.ndarray, np.generic, float, int)


class PythonFunction:
    """What compiled code calls: puts arguments together from arrays, and takes apart what the function returns.

    mutated: the operands that the function writes to; their arrays are further results.
    borrows: the function keeps none of its arguments and writes to none of them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        arguments: tuple[Tree, tuple[Part, ...]],
        outcome: Outcome,
        *,
        mutated: Sequence[int] = (),
        borrows: bool = False,
    ) -> None:
        self.function = function
        self.__qualname__ = name
        self.location: Location | None = user_location()
        self.arguments = arguments
        self.outcome = outcome
        self.mutated = tuple(mutated)
        self.borrows = borrows
        self.single = outcome.tree is LEAF and outcome.parts[0].kind == "array"
        self.needs_call = getattr(function, "needs_call", False) or any(
            part.kind == "object" and (part.value is None or is_of_call(part.value))
            for part in (*arguments[1], *outcome.parts)
        )
        self.gives_positions = not mutated and all(array.dtype.kind in "biu" for array in outcome.arrays)
        self.gives_positions &= all(part.kind != "object" for part in outcome.parts)
        self.positional = all(child is LEAF for child in arguments[0].children[0].children) and not (
            arguments[0].children[1].children
        )

    def __repr__(self) -> str:
        return f"{self.__qualname__} ({describe(self.location)})"

    def __call__(self, *arrays: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """The arrays of what the function returns, and then those of the operands that it changed."""
        tree, parts = self.arguments
        values = [part.plain(arrays) for part in parts]
        args, kwargs = (values, {}) if self.positional else unflatten(tree, values)
        try:
            output = self.function(*args, **kwargs)
        except Exception as error:
            error.add_note(f"in {describe(self.location)}")
            raise
        if self.single and isinstance(output, np.ndarray):
            results: tuple[np.ndarray[Any, Any], ...] = (output,)
        else:
            leaves, tree = ([output], LEAF) if isinstance(output, _LEAVES) else flatten(output)
            if tree != self.outcome.tree:
                raise UnsupportedError(f"{self!r} gave {tree} where it gave {self.outcome.tree} for sample arrays")
            results = tuple(self._taken(leaves))
        self._check(results)
        return (*results, *(arrays[k] for k in self.mutated)) if self.mutated else results

    def _taken(self, leaves: Sequence[Any]) -> Iterator[np.ndarray[Any, Any]]:
        for leaf, part in zip(leaves, self.outcome.parts, strict=True):
            if part.kind == "object":
                current_frame().slots[part.index] = leaf
            else:
                yield np.asarray(leaf)

    def _check(self, results: Sequence[np.ndarray[Any, Any]]) -> None:
        for result, announced in zip(results, self.outcome.arrays, strict=True):
            if result.dtype != announced.dtype or result.ndim != len(announced.dims):
                raise UnsupportedError(
                    f"{self!r} gave {result.dtype} of rank {result.ndim} where it gave {announced.dtype} of rank "
                    f"{len(announced.dims)} for sample arrays. What depends on values in this way cannot be compiled: "
                    "call it before or after the compiled function, or on an array of the wider dtype"
                )


# --------------------------------------------------------------------------------------------- results of unknown size


_tickets = itertools.count()


class _Start:
    """Calls a function, keeps its results, and says how large they are."""

    def __init__(self, function: PythonFunction, announced: Sequence[Announced]) -> None:
        self.function = function
        self.__qualname__ = function.__qualname__
        self.announced = announced
        self.borrows = function.borrows
        self.needs_call = function.needs_call
        self.gives_positions = function.gives_positions

    def __repr__(self) -> str:
        return repr(self.function)

    def __call__(self, *arrays: np.ndarray[Any, Any]) -> list[np.int64]:
        results = self.function(*arrays)
        sizes = []
        for result, announced in zip(results, self.announced, strict=True):
            sizes += [np.int64(s) for s, dim in zip(result.shape, announced.dims, strict=True) if dim is None]
        ticket = next(_tickets)
        current_frame().kept[ticket] = results
        return [np.int64(ticket), *sizes]


class _HandOver:
    """Gives the results of a ticket."""

    borrows = True
    needs_call = False

    def __init__(self, function: PythonFunction) -> None:
        self.function = function
        self.__qualname__ = f"{function.__qualname__}.results"

    def __repr__(self) -> str:
        return repr(self.function)

    def __call__(self, ticket: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        results: tuple[Any, ...] = current_frame().kept.pop(int(ticket))
        return results


# ------------------------------------------------------------------------------------------------------------ emitting


def take_apart(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Tree, list[Any]]:
    """The structure of arguments and its leaves; containers without anything traced are single leaves."""
    leaves: list[Any] = []
    positional = tuple(_take(value, leaves) for value in args)
    keywords = tuple(_take(value, leaves) for value in kwargs.values())
    children = (Tree("tuple", None, positional), Tree("dict", tuple(kwargs), keywords))
    return Tree("tuple", None, children), leaves


def _take(value: Any, leaves: list[Any]) -> Tree:
    if isinstance(value, (list, tuple, dict)) and _holds_values(value):
        own, tree = flatten(value)
        leaves.extend(own)
        return tree
    leaves.append(value)
    return LEAF


def _holds_values(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_values, value))
    if isinstance(value, dict):
        return any(map(_holds_values, value.values()))
    return isinstance(value, (Tracer, np.ndarray)) or is_generator(value)


def _argument(leaf: Any, operands: list[Operand]) -> Part:
    if isinstance(leaf, np.ndarray) and type(leaf) is np.ndarray and leaf.dtype.kind in "biufc":
        leaf = as_array(leaf)
    if is_generator(leaf) or current_trace().captures.is_known(leaf):
        return Part("object", value=current_trace().captures.finder(leaf))
    if not isinstance(leaf, Tracer):
        if contains_tracer(leaf):
            raise UnsupportedError(f"{leaf!r} with traced values in it cannot be passed to a function of NumPy")
        return Part("static", value=leaf)
    if isinstance(leaf, TracedList):
        shape, parts = leaf.described()
        operands += [part.operand() for part in parts]
        return Part("list", len(operands) - len(parts), shape)
    operands.append(leaf.operand())
    kind = "array" if isinstance(leaf, TracedArray) else "scalar" if isinstance(leaf, TracedScalar) else "python"
    return Part(kind, len(operands) - 1, leaf.python_type if isinstance(leaf, PythonNumber) else None)


def call_python(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    outcome: Outcome,
    *,
    name: str,
    effects: bool,
    mutated: Sequence[TracedArray] = (),
    borrows: bool = False,
) -> Any:
    """Call a Python function when the program runs; gives tracers of what it will return.

    effects: it does something besides computing its results. mutated: the arrays among the arguments that it writes to.
    borrows: it keeps none of its arguments, so that it can be given the program's own memory.
    """
    tree, leaves = take_apart(args, kwargs)
    operands: list[Operand] = []
    parts = tuple(_argument(leaf, operands) for leaf in leaves)
    written = [parts[k].index for target in mutated for k, leaf in enumerate(leaves) if leaf is target]
    announced = [*outcome.arrays, *(Announced(array.dtype, resolve_dims(array.dims)) for array in mutated)]
    borrows = borrows and not written
    target = PythonFunction(function, name, (tree, parts), outcome, mutated=written, borrows=borrows)
    values = _emit(target, operands, announced, "callback" if effects else "pure_callback")
    for array, value in zip(mutated, values[len(outcome.arrays) :], strict=True):
        array.write(value)
    return unflatten(outcome.tree, [part.traced(values) for part in outcome.parts])


def _emit(
    function: PythonFunction, operands: Sequence[Operand], announced: Sequence[Announced], primitive: str
) -> Sequence[Operand]:
    def emit(target: Any, given: Sequence[Operand], types: Sequence[ArrayType]) -> Sequence[Operand]:
        attrs = {"function": target, "types": tuple(types)}
        return current_trace().builder.emit(PRIMITIVES[primitive], tuple(given), attrs, (), function.location)

    unknown = sum(dim is None for array in announced for dim in array.dims)
    if not unknown:
        return emit(function, operands, [ArrayType(array.dtype, array.dims) for array in announced])  # type: ignore[arg-type]
    counts = emit(_Start(function, announced), operands, [ArrayType(INT64)] * (1 + unknown))
    sizes = iter(counts[1:])
    types = []
    for array in announced:
        dims = tuple(late_dim(next(sizes), 0) if dim is None else dim for dim in array.dims)
        types.append(ArrayType(array.dtype, dims))
    return emit(_HandOver(function), counts[:1], types)
