"""One call of a program in Python and ctypes: any layout of the arguments, any interpreter.

This module owns what machine code does not do: copies for arguments that a kernel cannot read where they are, the
reasons why a program does not fit, and the exceptions of failed checks. It gives the results that an entry would give.
"""

from __future__ import annotations

import ctypes
import functools
from array import array as packed
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from tracejit.ir.dims import evaluate
from tracejit.runtime import callbacks, memory
from tracejit.runtime.program import INT64, ArgumentSpec, Program, ResultSpec, same_bits
from tracejit.runtime.structure import find, split_call, split_value
from tracejit.trace.getters import UNREACHABLE

__all__ = ["OverlapError", "call", "matches", "mismatch", "raise_failure", "unflatten", "values_of"]

_KINDS: dict[type, str] = {
    np.ndarray: "array", np.memmap: "array", bool: "bool", int: "int", float: "float", complex: "complex"
}  # fmt: skip
_HOLDS = {"== 0": lambda v: v == 0, "!= 0": lambda v: v != 0, ">= 0": lambda v: v >= 0}
_OVERLAP_WORK = 10_000  # candidates that NumPy's exact overlap test may try; it is exponential at worst

_kernel = functools.lru_cache(1024)(ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3))


class OverlapError(Exception):
    """A written argument shares memory with another argument (``arguments``: their numbers) or with itself."""

    def __init__(self, *arguments: int) -> None:
        super().__init__(f"arguments {arguments} overlap")
        self.arguments = arguments


def values_of(program: Program, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any] | None:
    """The values of a program's arguments, from a call and from outside; ``None`` where the structure is another."""
    own = split_call(program.call_shape, program.types, args, kwargs)
    if own is None or not program.outside:
        return own
    try:
        found = find(program.lookups, program.roots, [*args, *kwargs.values()])
    except UNREACHABLE:
        return None
    types = list(program.types[sum(node.kind == "named" for t in program.call_shape.trees() for node in t.walk()) :])
    for number, tree in program.outside:
        leaves = split_value(tree, types, found[number])
        if leaves is None:
            return None
        del types[: sum(node.kind == "named" for node in tree.walk())]
        own += leaves
    return own


def matches(program: Program, values: Sequence[object]) -> bool:
    """Whether a program answers a call with these values of its arguments."""
    return mismatch(program, values) is None


def mismatch(program: Program, values: Sequence[object]) -> str | None:
    """Why a program does not answer a call with these values of its arguments, in words; ``None`` where it does."""
    if len(values) != len(program.arguments):
        return f"{len(values)} arguments where {len(program.arguments)} are expected"
    for k, (spec, value) in enumerate(zip(program.arguments, values, strict=True)):
        reason = _argument_mismatch(program, k, spec, value, values)
        if reason is not None:
            return f"argument {k} {reason}"
    for group in program.distinct:
        if len({id(values[k]) for k in group}) != len(group):
            return f"arguments {group} are not different objects"
    return _size_mismatch(program, values)


def _argument_mismatch(
    program: Program, k: int, spec: ArgumentSpec, value: Any, values: Sequence[object]
) -> str | None:
    if spec.kind == "static":
        return None if _same_static(value, program.objects[k]) else f"is {value!r}, not {program.objects[k]!r}"
    if spec.kind == "object":
        return None if type(value) is program.objects[k] else f"is a {type(value).__name__}, not {program.objects[k]!r}"
    if spec.kind == "same":
        return None if value is values[spec.same_as] else f"is not the object that argument {spec.same_as} is"
    kind = "scalar" if isinstance(value, np.generic) else _KINDS.get(type(value), type(value).__name__)
    if kind != spec.kind:
        return f"is of kind {kind}, not {spec.kind}"
    if kind == "int" and value not in INT64:
        return f"is {value}, beyond 64 bits"
    if kind not in ("array", "scalar"):
        return None
    if value.dtype.newbyteorder("=") != spec.dtype or value.ndim != spec.rank:
        return f"is {value.dtype} of rank {value.ndim}, not {spec.dtype} of rank {spec.rank}"
    if spec.written and not value.flags.writeable:
        return "is read-only"
    if not _IN_LAYOUT[spec.layout](value):
        return f"is not {_LAYOUTS.get(spec.layout, spec.layout)}"
    return None


def _has_rows(array: np.ndarray[Any, Any]) -> bool:
    strides = [abs(stride) for stride in array.strides]
    return array.flags.c_contiguous or all(a >= b > 0 for a, b in pairwise(strides))


_IN_LAYOUT: dict[str, Callable[[Any], bool]] = {
    "any": lambda array: True,
    "contiguous": lambda array: array.flags.c_contiguous,
    "strided": lambda array: not array.flags.c_contiguous,
    "rows": _has_rows,
    "columns": lambda array: array.flags.fnc,
}
_LAYOUTS = {"rows": "in row-major order", "columns": "contiguous in column-major order"}


def _size_mismatch(program: Program, values: Sequence[Any]) -> str | None:
    sizes = _sizes(program, values)
    try:
        for k, axis, dim in program.requirements:
            size, wanted = values[k].shape[axis], evaluate(dim, sizes)
            if size != wanted:
                meaning = "" if isinstance(dim, int) else f"{dim} = "
                return f"axis {axis} of argument {k} has size {size}, not {meaning}{wanted}"
        for dim, relation in program.guards:
            if not _HOLDS[relation](evaluate(dim, sizes)):
                return f"{dim} {relation} does not hold for {sizes}"
    except ZeroDivisionError:
        return f"a size is divided by zero for {sizes}"
    return None


def _same_static(value: object, expected: object) -> bool:
    """Identity, or equality where an entry asks for that."""
    if value is expected or type(value) is not type(expected):
        return value is expected
    if isinstance(value, float) and isinstance(expected, float):
        return same_bits(value, expected)
    return type(value) in (str, int) and value == expected


def _sizes(program: Program, values: Sequence[Any]) -> dict[str, int]:
    return {
        name: values[source[1]].shape[source[2]] if source[0] == "dim" else int(values[source[1]])
        for name, source in program.symbols
    }


# ------------------------------------------------------------------------------------------------ the call


def call(program: Program, values: Sequence[Any]) -> list[object]:
    """Run a program that matches the values of its arguments, and return the leaves of its result.

    Raises what NumPy would raise, or :class:`OverlapError` (before anything is written) where the program may not run
    on these arguments. Argument arrays that are not contiguous, aligned and in native byte order are copied; written
    ones are copied back.
    """
    _check_written(program, values)
    sizes = _sizes(program, values)
    arrays = [
        _readable(value, spec) if spec.passed else None for value, spec in zip(values, program.arguments, strict=True)
    ]
    fresh = [_new_result(result, sizes) for result in program.results]
    try:
        data = [*(arrays[k] for k in program.data), *fresh]
        _run(program, [array for array in data if array is not None], list(sizes.values()))
        for k, (result, made) in enumerate(zip(program.results, fresh, strict=True)):
            if result.kind == "claimed" and made is not None and result.dtype is not None:
                fresh[k] = memory.take_over(made, result.dtype)
    except BaseException:
        for result, made in zip(program.results, fresh, strict=True):
            if result.kind == "claimed" and made is not None:
                memory.forget(made)
        raise
    for value, array, spec in zip(values, arrays, program.arguments, strict=True):
        if spec.written and array is not None and not _is_in_place(value, array):
            _in_order(value, spec)[...] = array
    return [
        _leaf(result, array, values, sizes) if result.kind != "constant" else program.constants[k]
        for k, (result, array) in enumerate(zip(program.results, fresh, strict=True))
    ]


def unflatten(program: Program, leaves: list[object]) -> object:
    """The object that a call returns, from the leaves of its result."""
    tree = program.result_tree
    if tree is None:
        return leaves[0]
    return tree(*leaves) if callable(tree) else tuple(leaves) if tree == "tuple" else leaves


def _leaf(
    result: ResultSpec, array: np.ndarray[Any, Any] | None, values: Sequence[object], sizes: Mapping[str, int]
) -> object:
    if array is None:
        return values[result.index] if result.kind == "argument" else evaluate(result.dims[0], sizes)
    return array if result.kind in ("array", "claimed") else array[()] if result.kind == "scalar" else array.item()


def _check_written(program: Program, values: Sequence[Any]) -> None:
    arrays = [(k, value) for k, value in enumerate(values) if program.arguments[k].is_memory]
    for k, array in arrays:
        if not program.arguments[k].written:
            continue
        if not array.flags.writeable:
            raise ValueError("assignment destination is read-only")
        if _overlaps_itself(array):
            raise OverlapError(k)
        for j, other in arrays:
            if j != k and _shares(array, other):
                raise OverlapError(k, j)


def _shares(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    try:
        return np.shares_memory(a, b, max_work=_OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _overlaps_itself(array: np.ndarray[Any, Any]) -> bool:
    """Whether elements share memory, as in a broadcast view or a sliding window."""
    reach = array.itemsize
    for stride, size in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if size > 1 and stride < reach:
            return array.size > 0
        reach += stride * (size - 1)
    return False


def _in_order(value: Any, spec: ArgumentSpec) -> np.ndarray[Any, Any]:
    """The value as an array that has its axes in the order in which the kernel sees them."""
    array = np.asarray(value)
    return array.transpose(spec.order) if spec.order else array


def _is_in_place(value: np.ndarray[Any, Any], array: np.ndarray[Any, Any]) -> bool:
    """Whether the array that the kernel gets is, or shows all of, the value."""
    return array is value or array.base is value or (array.base is not None and array.base is value.base)


def _readable(value: Any, spec: ArgumentSpec) -> np.ndarray[Any, Any]:
    """The value as an array that a kernel can read in place: itself or its transpose if that is one, else a copy."""
    array = _in_order(value, spec)
    good = array.dtype == spec.dtype and array.flags.c_contiguous and array.flags.aligned
    if good:
        return array
    copy = np.empty(array.shape, spec.dtype)  # ascontiguousarray would make rank 0 into rank 1
    copy[...] = array
    return copy


def _new_result(result: ResultSpec, sizes: dict[str, int]) -> np.ndarray[Any, Any] | None:
    if not result.is_computed:
        return None
    if result.kind == "claimed":
        return memory.new_record(len(result.dims))
    assert result.dtype is not None
    return memory.new_array(tuple(evaluate(dim, sizes) for dim in result.dims), result.dtype)


def _run(program: Program, arrays: Iterable[np.ndarray[Any, Any]], sizes: Sequence[int]) -> None:
    data = packed("Q", map(memory.address_of, arrays))
    symbols = packed("q", sizes)
    address, context = memory.new_context()
    if program.server is not None:
        context.call_python, context.server = callbacks.ADDRESS, id(program.server)
    code = _kernel(program.address)(data.buffer_info()[0], symbols.buffer_info()[0], address)
    if code:
        raise_failure(program, code, *context.error_values)


def raise_failure(program: Program, code: int, *values: int) -> NoReturn:
    """Raise the exception of a kernel's failed check (NumPy's text, the user's line as a note), or of a callback."""
    if code == callbacks.RAISED:
        callbacks.reraise()
    if not 0 < code <= len(program.messages):
        raise SystemError(f"the kernel of {program.name} failed with the unknown code {code}")
    message = program.messages[code - 1]
    error = message.exception(message.text.format(*values))
    if message.location:
        error.add_note(f"in {message.location}")
    raise error
