"""One call of a program in Python and ctypes: any layout of the arguments, any interpreter.

This module owns what machine code does not do: copies for arguments that a kernel cannot read where they are, the
reasons why a program does not fit, and the exceptions of failed checks. It gives the results that an entry would give.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from types import CellType
from typing import Any, NoReturn

import numpy as np

from tracejit.ir.dims import evaluate
from tracejit.runtime import memory
from tracejit.runtime.program import ArgumentSpec, Program, ResultSpec

__all__ = ["OverlapError", "call", "matches", "mismatch", "raise_failure", "unflatten"]

_INT64 = range(-(2**63), 2**63)
_KINDS: tuple[tuple[type, str], ...] = ((bool, "bool"), (int, "int"), (float, "float"), (complex, "complex"))
_HOLDS = {"== 0": lambda v: v == 0, "!= 0": lambda v: v != 0, ">= 0": lambda v: v >= 0}
_OVERLAP_WORK = 10_000  # candidates that NumPy's exact overlap test may try; it is exponential at worst

Kernel = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class OverlapError(Exception):
    """A written argument shares memory with another argument (``arguments``: their numbers) or with itself."""

    def __init__(self, *arguments: int) -> None:
        super().__init__(f"arguments {arguments} overlap")
        self.arguments = arguments


class _Missing:
    """Stands for a captured name that has no value now."""


def matches(program: Program, leaves: Sequence[object]) -> bool:
    """Whether a program answers a call with these leaves (those of the call; captured ones are looked up)."""
    return mismatch(program, leaves) is None


def mismatch(program: Program, leaves: Sequence[object]) -> str | None:
    """Why a program does not answer a call with these leaves, in words; ``None`` where it does."""
    if len(leaves) != len(program.positional):
        return f"{len(leaves)} arguments where {len(program.positional)} are expected"
    originals = _complete(program, leaves)
    return _mismatch(program, originals, _normalised(program, originals))


def _mismatch(program: Program, originals: Sequence[object], values: Sequence[Any]) -> str | None:
    for k, (spec, value) in enumerate(zip(program.arguments, originals, strict=True)):
        reason = _argument_mismatch(program, k, spec, value, values[k])
        if reason is not None:
            return f"argument {k} {reason}"
    return _size_mismatch(program, values)


def _argument_mismatch(program: Program, k: int, spec: ArgumentSpec, value: object, array: Any) -> str | None:
    if spec.kind == "static":
        return None if _same_static(value, program.objects[k]) else f"is {value!r}, not {program.objects[k]!r}"
    kind = _kind(value)
    if kind != spec.kind:
        return f"is of kind {kind}, not {spec.kind}"
    if kind == "int" and value not in _INT64:
        return f"is {value}, beyond 64 bits"
    if kind != "array":
        return None
    if array.dtype.newbyteorder("=") != spec.dtype or array.ndim != spec.rank:
        return f"is {array.dtype} of rank {array.ndim}, not {spec.dtype} of rank {spec.rank}"
    if spec.written and not isinstance(value, np.ndarray):
        return f"is a {type(value).__name__}, which is not written in place"
    return None


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
    """Identity, or equality where it implies the same behaviour; an entry asks for identity only."""
    return value is expected or (
        type(value) is type(expected) and isinstance(value, str | bytes | int) and value == expected
    )


def _kind(value: object) -> str:
    """``array`` for everything that ``np.asarray`` makes one of; NumPy's scalars are arrays of rank 0."""
    if isinstance(value, np.generic):
        return "array"
    return next((kind for base, kind in _KINDS if isinstance(value, base)), "array")


def _complete(program: Program, leaves: Sequence[Any]) -> list[Any]:
    """The value of every argument."""
    rest = iter(leaves)
    return [
        next(rest) if spec.source == "call" else _captured(spec, program.objects[k])
        for k, spec in enumerate(program.arguments)
    ]


def _normalised(program: Program, originals: Sequence[Any]) -> list[Any]:
    """The same with arrays for array-likes and subclasses: these are asked once, for they may answer differently."""
    return [
        np.asarray(value) if spec.kind == "array" and type(value) is not np.ndarray else value
        for spec, value in zip(program.arguments, originals, strict=True)
    ]


def _captured(spec: ArgumentSpec, holder: Any) -> object:
    if spec.source == "object":
        return holder
    if spec.source == "global":
        names, name = holder
        return names.get(name, _Missing)
    cell: CellType = holder
    try:
        return cell.cell_contents
    except ValueError:
        return _Missing


def _sizes(program: Program, values: Sequence[Any]) -> dict[str, int]:
    return {
        name: values[source[1]].shape[source[2]] if source[0] == "dim" else int(values[source[1]])
        for name, source in program.symbols
    }


# ------------------------------------------------------------------------------------------------ the call


def call(program: Program, leaves: Sequence[object]) -> list[object]:
    """Run a program that matches the leaves, and return the leaves of its result.

    Raises what NumPy would raise, or :class:`OverlapError` (before anything is written) where the program may not run
    on these arguments. Argument arrays that are not contiguous, aligned and in native byte order are copied; written
    ones are copied back.
    """
    originals = _complete(program, leaves)
    values = _normalised(program, originals)
    if any(value is not leaf for value, leaf in zip_longest(values, leaves)):
        # Not what was asked about in `matches`: a captured array may have been replaced since.
        reason = _mismatch(program, originals, values)
        if reason is not None:
            raise RuntimeError(f"{program.name}: the arguments changed during the call: {reason}")
    _check_written(program, values)
    sizes = _sizes(program, values)
    arrays = [
        _readable(value, spec) if spec.passed else None for value, spec in zip(values, program.arguments, strict=True)
    ]
    fresh = [_new_result(result, sizes) for result in program.results]
    _run(program, [a for a in (*arrays, *fresh) if a is not None], list(sizes.values()))
    for value, array, spec in zip(values, arrays, program.arguments, strict=True):
        if spec.written and array is not value:
            value[...] = array
    return [_leaf(result, originals, array) for result, array in zip(program.results, fresh, strict=True)]


def unflatten(program: Program, leaves: list[object]) -> object:
    """The object that a call returns, from the leaves of its result."""
    tree = program.result_tree
    if tree is None:
        return leaves[0]
    return tree(leaves) if callable(tree) else tuple(leaves) if tree == "tuple" else leaves


def _leaf(result: ResultSpec, originals: Sequence[object], array: np.ndarray[Any, Any] | None) -> object:
    if array is None:
        return originals[result.argument]
    return array[()] if result.kind == "scalar" else array


def _check_written(program: Program, values: Sequence[Any]) -> None:
    arrays = [(k, value) for k, value in enumerate(values) if program.arguments[k].kind == "array"]
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


def _readable(value: Any, spec: ArgumentSpec) -> np.ndarray[Any, Any]:
    """The value as an array that a kernel can read in place, the array itself if it is one."""
    array = np.asarray(value)
    good = array.dtype == spec.dtype and array.flags.c_contiguous and array.flags.aligned
    if good:
        return array
    copy = np.empty(array.shape, spec.dtype)  # ascontiguousarray would make rank 0 into rank 1
    copy[...] = array
    return copy


def _new_result(result: ResultSpec, sizes: dict[str, int]) -> np.ndarray[Any, Any] | None:
    if result.kind == "argument":
        return None
    assert result.dtype is not None
    return memory.new_array(tuple(evaluate(dim, sizes) for dim in result.dims), result.dtype)


def _run(program: Program, arrays: Iterable[np.ndarray[Any, Any]], sizes: Sequence[int]) -> None:
    addresses = [array.ctypes.data for array in arrays]
    data = (ctypes.c_void_p * max(len(addresses), 1))(*addresses)
    symbols = (ctypes.c_int64 * max(len(sizes), 1))(*sizes)
    address, context = memory.new_context()
    code = Kernel(program.address)(ctypes.addressof(data), ctypes.addressof(symbols), address)
    if code:
        raise_failure(program, code, *context.error_values)


def raise_failure(program: Program, code: int, *values: int) -> NoReturn:
    """Raise the exception of a kernel's failed check: NumPy's text, the user's line as a note."""
    if not 0 < code <= len(program.messages):
        raise SystemError(f"the kernel of {program.name} failed with the unknown code {code}")
    message = program.messages[code - 1]
    error = message.exception(message.text.format(*values))
    if message.location:
        error.add_note(f"in {message.location}")
    raise error
