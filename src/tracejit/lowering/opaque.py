"""Operations that are lowered by themselves: updates in place, matrix products, scans, concatenation, regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Eqn, Literal, Operand, Value, walk
from tracejit.ir.dims import DimLike
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_add, index_mul
from tracejit.ir.primitive import Index
from tracejit.ir.types import scalar
from tracejit.lowering.analysis import identity_tags, reads_of
from tracejit.lowering.library import emit_library_loop
from tracejit.lowering.loops import allocate, for_loop, size_operand, store
from tracejit.lowering.masks import emit_compress, emit_spread
from tracejit.lowering.matrix import emit_dot
from tracejit.lowering.nests import map_loops, ordered_loops
from tracejit.lowering.reader import Reader
from tracejit.lowering.regions import REGIONS
from tracejit.lowering.search import emit_search
from tracejit.lowering.sorting import emit_sort

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["emit_opaque"]


def emit_opaque(lowering: Lowering, eqn: Eqn) -> None:
    """Emit one operation that shares no nest."""
    rule = _RULES.get(eqn.op.name)
    if rule is None:
        raise UnsupportedError(f"{eqn.op.name} has no loop form")
    rule(lowering, eqn)


def _update_slice(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.writable_copy(eqn)
    value = eqn.operands[1]
    starts, steps = eqn.attrs["starts"], eqn.attrs["steps"]

    def position(index: Index) -> Index:
        return tuple(
            index_add(index_mul(i, size_operand(step)), size_operand(start))
            for i, start, step in zip(index, starts, steps, strict=True)
        )

    reader = lowering.reader

    def emit() -> None:
        def body(index: Index) -> None:
            store(reader.read(value, index), buffer, position(index))

        if all(dim == 1 for dim in value.dims):
            body((Literal(0, scalar("i64")),) * value.rank)
        else:
            map_loops(value.dims, body, flat=False, cost=1, reader=reader)

    if all(dim == 1 for dim in value.dims):
        with reader:
            emit()  # one element, read before it is stored
    elif _reads_elsewhere(buffer, emit):
        assert isinstance(value, Value)
        _materialise(lowering, value)
        emit()
    lowering.place(eqn.results[0], buffer)


def _reads_elsewhere(buffer: Value, emit: Callable[[], None]) -> bool:
    """Emit a nest that stores into a buffer; if it reads other elements of it, drop the nest and say so."""
    parent = current_builder()
    trial = Builder(parent, loc=parent.loc)
    with trial:
        emit()
        attempt = trial.finish([])
    stored: list[Index] = []
    loaded: list[Index] = []
    for eqn in walk(attempt):
        if eqn.op.name == "store" and eqn.operands[1] is buffer:
            stored.append(eqn.operands[2:])
        elif eqn.op.name == "load" and eqn.operands[0] is buffer:
            loaded.append(eqn.operands[1:])
        elif eqn.op.name == "view" and eqn.operands[0] is buffer:
            return True
    if any(not (at == index or _apart(at, index)) for at in loaded for index in stored):
        return True
    parent.eqns.extend(attempt.eqns)
    return False


def _apart(a: Index, b: Index) -> bool:
    """Whether two indices are known to be of different elements."""
    return any(
        isinstance(i, Literal) and isinstance(j, Literal) and i.value != j.value for i, j in zip(a, b, strict=True)
    )


def _scatter(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.writable_copy(eqn)
    x, value, *indices = eqn.operands
    axes = eqn.attrs["axes"]
    rank = indices[0].rank if indices else 0
    reader = lowering.reader
    adds = eqn.op.name == "scatter_add"
    _settle_operands(lowering, (value, *indices), buffer)

    def element(index: Index) -> None:
        where = iter(reader.read(i, index[:rank]) for i in indices)
        rest = iter(index[rank:])
        place = tuple(next(where) if axis in axes else next(rest) for axis in range(x.rank))
        found = reader.read(value, index)
        if adds:
            found = PRIMITIVES["add"](Reader.load(buffer, place), found)
        store(found, buffer, place)

    shared = rank - 1 if rank and len(indices) and _differ_along_last(lowering, indices) else rank
    ordered_loops(reader, value.dims, element, shared=shared)
    lowering.place(eqn.results[0], buffer)


def _differ_along_last(lowering: Lowering, indices: list[Operand]) -> bool:
    """Whether all places along the last axis of the indices differ, as one index counts along it."""

    def counts(value: Operand) -> bool:
        eqn = lowering.program.definition.get(value) if isinstance(value, Value) else None
        if eqn is None:
            return False
        if eqn.op.name == "iota":
            return bool(eqn.attrs["axis"] == value.rank - 1)
        others = [operand for operand in eqn.operands if operand.type.rank]
        scaled = eqn.op.name == "mul" and any(isinstance(o, Literal) and o.value != 0 for o in eqn.operands)
        return (scaled or eqn.op.name == "add") and len(others) == 1 and counts(others[0])

    return any(map(counts, indices))


def _spread(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.writable_copy(eqn)
    _settle_operands(lowering, eqn.operands[1:], buffer)
    emit_spread(lowering, eqn, buffer)


def _settle_operands(lowering: Lowering, operands: tuple[Operand, ...], buffer: Value) -> None:
    """Materialise what would read the buffer that is about to change."""
    reader = lowering.reader
    for operand in operands:
        if not isinstance(operand, Value) or operand.rank == 0:
            continue
        sources = reads_of(lowering.program, [(operand, identity_tags(operand.dims))], operand.dims).sources
        if any(reader.storage.get(source) is buffer for source in sources):
            _materialise(lowering, operand)


def _materialise(lowering: Lowering, operand: Value) -> None:
    """Compute an inlined operand into memory of its own, from where it is read from now on."""
    scratch = allocate(operand.dtype, operand.dims)
    lowering.copy(operand, scratch)
    lowering.program.roots.add(operand)
    lowering.reader.storage[operand] = scratch


def _concatenate(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.result_buffer(eqn.results[0])
    axis = eqn.attrs["axis"]
    offset: DimLike = 0
    for part in eqn.operands:
        if part.dims[axis] == 0:
            continue
        start = size_operand(offset)

        def body(index: Index, part: Operand = part, start: Operand = start) -> None:
            value = lowering.reader.read(part, index)
            store(value, buffer, (*index[:axis], index_add(index[axis], start), *index[axis + 1 :]))

        map_loops(part.dims, body, flat=False, cost=1, reader=lowering.reader)
        offset = offset + part.dims[axis]
    lowering.place(eqn.results[0], buffer)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


_SCANS: dict[str, tuple[str, Callable[[np.dtype[Any]], Any]]] = {
    "cumsum": ("add", lambda dtype: 0),
    "cumprod": ("mul", lambda dtype: 1),
    "cummax": ("maximum", _lowest),
    "cummin": ("minimum", _highest),
}


def _scan(lowering: Lowering, eqn: Eqn) -> None:
    """Cumulative operations: serial along the axis, lines beside each other in parallel."""
    buffer = lowering.result_buffer(eqn.results[0])
    (x,), axis = eqn.operands, eqn.attrs["axis"]
    combine, neutral = _SCANS[eqn.op.name]
    identity = Literal(neutral(x.dtype), x.type.with_dims(()))
    reader = lowering.reader
    others = [a for a in range(x.rank) if a != axis]

    def line(outer: Index) -> None:
        def step(i: Value, carries: list[Operand]) -> list[Operand]:
            with reader:
                index = (*outer[:axis], i, *outer[axis:])
                total = PRIMITIVES[combine](carries[0], reader.read(x, index))
                store(total, buffer, index)
            return [total]

        for_loop(x.dims[axis], step, [identity])

    if others:
        map_loops(tuple(x.dims[a] for a in others), line, flat=False, cost=x.dims[axis], reader=reader)
    else:
        line(())
    lowering.place(eqn.results[0], buffer)


def _empty(lowering: Lowering, eqn: Eqn) -> None:
    lowering.place(eqn.results[0], lowering.result_buffer(eqn.results[0]))


def _bind_size(lowering: Lowering, eqn: Eqn) -> None:
    size = lowering.reader.read(eqn.operands[0], ())
    current_builder().emit(eqn.op, (size,), eqn.attrs, (), eqn.loc)


def _constant(lowering: Lowering, eqn: Eqn) -> None:
    result = eqn.results[0]
    buffer = lowering.result_buffer(result)
    array = np.frombuffer(eqn.attrs["data"], eqn.attrs["dtype"]).reshape(eqn.attrs["dims"])
    element = result.type.with_dims(())
    for index in np.ndindex(array.shape):
        store(Literal(array[index], element), buffer, [Literal(i, scalar("i64")) for i in index])
    lowering.place(result, buffer)


def _dot(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.result_buffer(eqn.results[0])
    emit_dot(lowering.reader, eqn, buffer)
    lowering.place(eqn.results[0], buffer)


def _callback(lowering: Lowering, eqn: Eqn) -> None:
    """The operands and results of a Python function are memory, scalars too."""
    buffers = []
    for operand in eqn.operands:
        if operand.rank:
            assert isinstance(operand, Value)
            buffers.append(lowering.reader.storage[operand])
        else:
            buffers.append(allocate(operand.type.dtype, ()))
            store(lowering.reader.read(operand, ()), buffers[-1], ())
    outputs = [lowering.result_buffer(result) for result in eqn.results]
    attrs = {"function": eqn.attrs["function"], "results": len(outputs)}
    current_builder().emit(PRIMITIVES["call_python"], (*buffers, *outputs), attrs, (), eqn.loc)
    for result, buffer in zip(eqn.results, outputs, strict=True):
        if result.rank:
            lowering.place(result, buffer)
        else:
            lowering.reader.know(result, (), Reader.load(buffer, ()))


def _random_number(lowering: Lowering, eqn: Eqn) -> None:
    operands = tuple(lowering.reader.read(operand, ()) for operand in eqn.operands)
    (drawn,) = current_builder().emit(eqn.op, operands, eqn.attrs, (), eqn.loc)
    lowering.reader.know(eqn.results[0], (), drawn)


def _random_array(lowering: Lowering, eqn: Eqn) -> None:
    buffer = lowering.result_buffer(eqn.results[0])
    numbers = tuple(lowering.reader.read(operand, ()) for operand in eqn.operands)
    attrs = {"function": eqn.attrs["function"]}
    current_builder().emit(PRIMITIVES["random_line"], (buffer, *numbers), attrs, (), eqn.loc)
    lowering.place(eqn.results[0], buffer)


def _check(lowering: Lowering, eqn: Eqn) -> None:
    operands = tuple(lowering.reader.read(operand, ()) for operand in eqn.operands)
    current_builder().emit(eqn.op, operands, eqn.attrs, (), eqn.loc)


_RULES: dict[str, Callable[[Any, Eqn], None]] = {
    "update_slice": _update_slice,
    "scatter": _scatter,
    "scatter_add": _scatter,
    "concatenate": _concatenate,
    **dict.fromkeys(_SCANS, _scan),
    "compress": emit_compress,
    "spread": _spread,
    "search": emit_search,
    "sort": emit_sort,
    "argsort": emit_sort,
    "empty": _empty,
    "bind_size": _bind_size,
    "constant": _constant,
    "check": _check,
    "dot": _dot,
    "callback": _callback,
    "pure_callback": _callback,
    "random_bits": _random_number,
    "random_number": _random_number,
    "random_array": _random_array,
    "library_loop": emit_library_loop,
    **REGIONS,
}
