"""Loads, stores and allocation: where an element is, and how all lanes of a vector loop reach theirs.

An access of a vector loop is one of: the same element for every lane (a scalar load); a *stream*, whose elements are a
constant stride apart and whose start does not change in the loop (its last, partial iteration runs on a copy, see
``emit_streams``); a *direct* access, the same without the copy; elements a run-time stride apart; or a gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tracejit.codegen_llvm.alias_scopes import access_metadata
from tracejit.codegen_llvm.emit_body import INDEX, Body, NotVectorisable, handles
from tracejit.codegen_llvm.registers import Register, named_register, register, wide
from tracejit.codegen_llvm.scalar_float import half_bits, half_from_bits
from tracejit.codegen_llvm.writer import Message
from tracejit.ir.core import Eqn, Operand, Value
from tracejit.ir.dims import DimLike, product

__all__ = ["Place", "locate"]

STACK_BYTES = 4096
"""Constant sizes up to this live on the stack."""
MOST_STRIDE = 16
"""Streams with larger steps between elements are not copied for the partial iteration."""


# --------------------------------------------------------------------------------- memory and registers


def element_type(k: Register) -> str:
    """The LLVM type of one element in memory, to step over elements."""
    return f"[2 x {k.memory}]" if k.group == "c" else k.memory


def from_memory(body: Body, k: Register, x: str) -> str:
    """Bring what was loaded into the form of registers."""
    if k.group == "b":
        return body.op(f"icmp ne {k.memory_type} {x}, {'0' if k.lanes == 1 else 'zeroinitializer'}")
    return half_from_bits(body, k, x) if k.group == "h" else x


def to_memory(body: Body, k: Register, x: str) -> str:
    """Bring a register into the form of memory."""
    if k.group == "b":
        return body.op(f"zext {k.mask} {x} to {k.memory_type}")
    return half_bits(body, k, x) if k.group == "h" else x


def _alignment(k: Register) -> int:
    return k.part.size if k.part is not None else k.size


def _tags(body: Body, buffer: Value, *, store: bool = False) -> str:
    return access_metadata(body.shared.memory(buffer).number, writes=store)


def load_scalar(body: Body, k: Register, pointer: str, tags: str) -> Any:
    """One element."""
    k = k.with_lanes(1)
    if k.group == "c":
        second = body.op(f"getelementptr {k.memory}, ptr {pointer}, i64 1")
        return tuple(body.op(f"load {k.memory}, ptr {p}, align {_alignment(k)}{tags}") for p in (pointer, second))
    return from_memory(body, k, body.op(f"load {k.memory}, ptr {pointer}, align {k.size}{tags}"))


def store_scalar(body: Body, k: Register, pointer: str, value: Any, tags: str) -> None:
    """One element."""
    k = k.with_lanes(1)
    if k.group == "c":
        second = body.op(f"getelementptr {k.memory}, ptr {pointer}, i64 1")
        for p, part in ((pointer, value[0]), (second, value[1])):
            body.out.append(f"store {k.memory} {part}, ptr {p}, align {_alignment(k)}{tags}")
        return
    body.out.append(f"store {k.memory} {to_memory(body, k, value)}, ptr {pointer}, align {k.size}{tags}")


def _lanes_mask(order: Sequence[int]) -> str:
    return f"<{len(order)} x i32> <{', '.join([f'i32 {lane}' for lane in order])}>"


def load_contiguous(body: Body, k: Register, pointer: str, tags: str) -> Any:
    """Consecutive elements."""
    if k.lanes == 1:
        return load_scalar(body, k, pointer, tags)
    if k.group != "c":
        return from_memory(body, k, body.op(f"load {k.memory_type}, ptr {pointer}, align {k.size}{tags}"))
    pairs = wide(2 * k.lanes, k.memory)
    both = body.op(f"load {pairs}, ptr {pointer}, align {_alignment(k)}{tags}")
    return tuple(
        body.op(f"shufflevector {pairs} {both}, {pairs} poison, {_lanes_mask(range(first, 2 * k.lanes, 2))}")
        for first in (0, 1)
    )


def store_contiguous(body: Body, k: Register, pointer: str, value: Any, tags: str) -> None:
    """Consecutive elements."""
    if k.lanes == 1:
        store_scalar(body, k, pointer, value, tags)
    elif k.group != "c":
        body.out.append(f"store {k.memory_type} {to_memory(body, k, value)}, ptr {pointer}, align {k.size}{tags}")
    else:
        order = [lane + part * k.lanes for lane in range(k.lanes) for part in (0, 1)]
        both = body.op(f"shufflevector {k.type} {value[0]}, {k.type} {value[1]}, {_lanes_mask(order)}")
        body.out.append(f"store {wide(2 * k.lanes, k.memory)} {both}, ptr {pointer}, align {_alignment(k)}{tags}")


def _load_lanes(body: Body, k: Register, pointers: Sequence[str], tags: str) -> Any:
    """One element for each lane from a pointer of its own."""
    if k.group == "c":
        parts: list[str] = ["poison", "poison"]
        for lane, pointer in enumerate(pointers):
            for side, text in enumerate(load_scalar(body, k, pointer, tags)):
                parts[side] = body.op(f"insertelement {k.type} {parts[side]}, {k.element} {text}, i64 {lane}")
        return tuple(parts)
    built = "poison"
    for lane, pointer in enumerate(pointers):
        text = body.op(f"load {k.memory}, ptr {pointer}, align {k.size}{tags}")
        built = body.op(f"insertelement {k.memory_type} {built}, {k.memory} {text}, i64 {lane}")
    return from_memory(body, k, built)


def _store_lanes(body: Body, k: Register, pointers: Sequence[str], value: Any, tags: str) -> None:
    """One element of each lane to a pointer of its own; the last lane first.

    Lanes behind the end may hold anything and point to where the last one that counts does, which overwrites them.
    """
    backwards = [*enumerate(pointers)][::-1]
    if k.group == "c":
        for lane, pointer in backwards:
            store_scalar(body, k, pointer, tuple(body.lane(k, part, lane) for part in value), tags)
        return
    whole = to_memory(body, k, value)
    for lane, pointer in backwards:
        text = body.op(f"extractelement {k.memory_type} {whole}, i64 {lane}")
        body.out.append(f"store {k.memory} {text}, ptr {pointer}, align {k.size}{tags}")


# --------------------------------------------------------------------------------------------- places


class Place(NamedTuple):
    """Where the elements of an access are, counted from a uniform pointer.

    stride:  elements between lanes: 0 for one element, else an int or the text of an i64.
    numbers: the register of element numbers, where lanes go their own ways ("" otherwise).
    """

    pointer: str
    stride: int | str
    numbers: str


def _strides(dims: Sequence[DimLike]) -> list[DimLike]:
    return [product(tuple(dims[axis + 1 :])) for axis in range(len(dims))]


def _step(body: Body, pointer: str, k: Register, index: str, stride: DimLike) -> str:
    """A uniform pointer moved by ``index * stride`` elements."""
    offset = body.index_op("mul", index, body.dim(stride))
    if offset == "0":
        return pointer
    return body.uniform(f"getelementptr {element_type(k)}, ptr {pointer}, i64 {offset}", pointer, offset)


def locate(body: Body, buffer: Value, index: Sequence[Operand]) -> Place:
    """Find the elements of a load or store."""
    k = register(buffer.type.dtype)
    pointer: str = body.scalars[buffer]
    strides = [1] if len(index) == 1 else _strides(buffer.type.dims)
    if body.loop is None:
        for operand, stride in zip(index, strides, strict=True):
            pointer = _step(body, pointer, k, body.scalar(operand), stride)
        return Place(pointer, 0, "")
    return _locate_lanes(body, k, pointer, index, strides, body.shared.memory(buffer).lanes)


def _locate_lanes(
    body: Body, k: Register, pointer: str, index: Sequence[Operand], strides: Sequence[DimLike], copies: int
) -> Place:
    """As ``locate`` in a vector loop. ``copies``: elements of memory that belongs to each lane lie side by side."""
    loop = body.loop
    assert loop is not None
    uniform: list[tuple[str, DimLike]] = []
    stride: DimLike = 1 if copies > 1 else 0
    varying = ""
    for operand, step in zip(index, strides, strict=True):
        step = step * copies
        linear = body.linears.get(operand) if type(operand) is Value else None
        if linear is not None and copies == 1:
            stride = stride + linear.stride * step
            uniform += [(linear.base, step), (str(linear.offset), step)]
        elif body.is_varying(operand):
            varying = _plus_scaled(body, varying, body.vector(operand), step)
        else:
            uniform.append((body.scalar(operand), step))
    # What does not change in the loop comes first, to be computed once; constants last, where they cost nothing.
    uniform.sort(key=lambda part: (part[0] in loop.inner, part[0][:1] != "%"))
    for text, step in uniform:
        if text:
            pointer = _step(body, pointer, k, text, step)
    if not varying:
        return Place(pointer, stride if isinstance(stride, int) else body.dim(stride), "")
    if stride != 0:
        own = lanes_constant(body.lanes) if copies > 1 else body.lane_index()
        varying = _plus_scaled(body, varying, own, stride)
    return Place(pointer, 0, varying)


def lanes_constant(lanes: int) -> str:
    """The register 0, 1, 2, ..."""
    return f"<{', '.join([f'i64 {lane}' for lane in range(lanes)])}>" if lanes > 1 else "0"


def _plus_scaled(body: Body, total: str, vector: str, step: DimLike) -> str:
    k = named_register("i64", body.lanes)
    if step != 1:
        factor = k.number(step) if isinstance(step, int) else body.splat_uniform(k, body.dim(step))
        vector = body.op(f"mul {k.type} {vector}, {factor}")
    return body.op(f"add {k.type} {total}, {vector}") if total else vector


def _gather_pointers(body: Body, k: Register, place: Place) -> str:
    numbers = f"{INDEX.with_lanes(body.lanes).type} {place.numbers}"
    return body.op(f"getelementptr {element_type(k)}, ptr {place.pointer}, {numbers}")


def _indexed(body: Body, place: Place) -> Place:
    """The same place with an element number for each lane."""
    if place.numbers:
        return place
    k = named_register("i64", body.lanes)
    factor = k.number(place.stride) if isinstance(place.stride, int) else body.splat_uniform(k, place.stride)
    index = body.lane_index()
    return Place(place.pointer, 0, index if place.stride == 1 else body.op(f"mul {k.type} {index}, {factor}"))


def _lane_pointers(body: Body, k: Register, place: Place) -> list[str]:
    """A pointer for each lane, a run-time stride apart; lanes behind the end repeat the last element."""
    loop = body.loop
    assert loop is not None
    stride = str(place.stride)
    start = body.index_op("mul", loop.index, stride)
    first = body.op(f"getelementptr {element_type(k)}, ptr {place.pointer}, i64 {start}")
    offsets = loop.lane_offsets(body, stride)
    return [body.op(f"getelementptr {element_type(k)}, ptr {first}, i64 {offset}") for offset in offsets]


# ------------------------------------------------------------------------------------------ load, store


@handles("load")
def load(body: Body, eqn: Eqn) -> None:
    """Read one element, or one for each lane."""
    buffer, *index = eqn.operands
    assert isinstance(buffer, Value)
    result = eqn.results[0]
    tags = _tags(body, buffer)
    place = locate(body, buffer, index)
    loop = body.loop
    if loop is None or (place.stride == 0 and not place.numbers):
        text = load_scalar(body, register(buffer.type.dtype), place.pointer, tags)
        body.scalars[result] = text
        if loop is not None:
            loop.changes(text)
        return
    k = register(buffer.type.dtype, body.lanes)
    body.vectors[result] = _load_vector(body, k, buffer, place, tags)


def _load_vector(body: Body, k: Register, buffer: Value, place: Place, tags: str) -> Any:
    loop = body.loop
    assert loop is not None
    if body.shared.memory(buffer).lanes > 1 and not place.numbers:
        return load_contiguous(body, k, place.pointer, tags)
    if body.mask is not None:
        return _load_masked(body, k, place, body.mask, tags)
    if place.numbers:
        return _gather(body, k, place, f"<{body.lanes} x i1> splat (i1 true)", tags)
    if loop.is_stream(buffer, place):
        assert isinstance(place.stride, int)
        pointer = loop.stream(body, k, buffer, place, reads=True)
        if place.stride == 1:
            return load_contiguous(body, k, pointer, tags)
        if place.stride == -1:
            lowest = body.op(f"getelementptr {element_type(k)}, ptr {pointer}, i64 {1 - body.lanes}")
            return _reversed(body, k, load_contiguous(body, k, lowest, tags))
        return _load_lanes(body, k, _constant_steps(body, k, pointer, place.stride), tags)
    if place.stride == 1:
        return load_contiguous(body, k, loop.guarded_pointer(body, k, buffer, place), tags)
    return _load_lanes(body, k, _lane_pointers(body, k, place), tags)


def _reversed(body: Body, k: Register, x: Any) -> Any:
    """The lanes in the opposite order."""
    if isinstance(x, tuple):
        return tuple(_reversed(body, k, part) for part in x)
    kind = k.part.type if k.part is not None else k.type
    return body.op(f"shufflevector {kind} {x}, {kind} poison, {_lanes_mask(range(k.lanes - 1, -1, -1))}")


def _constant_steps(body: Body, k: Register, pointer: str, stride: int) -> list[str]:
    pointers = [pointer]
    for lane in range(1, body.lanes):
        pointers.append(body.op(f"getelementptr {element_type(k)}, ptr {pointer}, i64 {lane * stride}"))
    return pointers


def _gather(body: Body, k: Register, place: Place, mask: str, tags: str) -> Any:
    """Elements anywhere; lanes without the mask give zeros and touch no memory."""
    pointers = _gather_pointers(body, k, place)
    if k.group != "c":
        return from_memory(body, k, _gather_call(body, k, pointers, mask, tags))
    second = body.op(f"getelementptr {k.memory}, {wide(k.lanes, 'ptr')} {pointers}, i64 1")
    return tuple(_gather_call(body, k, p, mask, tags) for p in (pointers, second))


def _gather_call(body: Body, k: Register, pointers: str, mask: str, tags: str) -> str:
    t, lanes = k.memory_type, k.lanes
    align = _alignment(k)
    letter = {"double": "f64", "float": "f32", "half": "f16"}.get(k.memory, k.memory)
    name = f"@llvm.masked.gather.v{lanes}{letter}.v{lanes}p0"
    body.module.declarations.add(f"declare {t} {name}(<{lanes} x ptr>, i32 immarg, <{lanes} x i1>, {t})")
    return body.op(f"call {t} {name}(<{lanes} x ptr> {pointers}, i32 {align}, {mask}, {t} zeroinitializer){tags}")


def _load_masked(body: Body, k: Register, place: Place, mask: str, tags: str) -> Any:
    """What active lanes read; the others must not touch memory."""
    return _gather(body, k, _indexed(body, place), f"{k.mask} {mask}", tags)


@handles("store")
def store(body: Body, eqn: Eqn) -> None:
    """Write one element, or one for each lane."""
    value, buffer, *index = eqn.operands
    assert isinstance(buffer, Value)
    tags = _tags(body, buffer, store=True)
    place = locate(body, buffer, index)
    loop = body.loop
    if loop is None:
        store_scalar(body, register(buffer.type.dtype), place.pointer, body.scalar(value), tags)
        return
    if body.mask is not None or (place.stride == 0 and not place.numbers):
        raise NotVectorisable
    k = register(buffer.type.dtype, body.lanes)
    _store_vector(body, k, buffer, place, body.vector(value), tags)


def _store_vector(body: Body, k: Register, buffer: Value, place: Place, text: Any, tags: str) -> None:
    loop = body.loop
    assert loop is not None
    if body.shared.memory(buffer).lanes > 1 and not place.numbers:
        store_contiguous(body, k, place.pointer, text, tags)
    elif place.numbers:
        _scatter(body, k, place, text, tags)
    elif loop.is_stream(buffer, place):
        assert isinstance(place.stride, int)
        pointer = loop.stream(body, k, buffer, place, writes=True)
        if place.stride == 1:
            store_contiguous(body, k, pointer, text, tags)
        elif place.stride == -1:
            lowest = body.op(f"getelementptr {element_type(k)}, ptr {pointer}, i64 {1 - body.lanes}")
            store_contiguous(body, k, lowest, _reversed(body, k, text), tags)
        else:
            _store_lanes(body, k, _constant_steps(body, k, pointer, place.stride), text, tags)
    elif place.stride == 1:
        loop.guarded_store(body, k, place, text, tags)
    else:
        _store_lanes(body, k, _lane_pointers(body, k, place), text, tags)


def _scatter(body: Body, k: Register, place: Place, text: Any, tags: str) -> None:
    """Elements anywhere."""
    i = named_register("i64", body.lanes)
    pointers = []
    for lane in range(body.lanes):
        index = body.lane(i, place.numbers, lane)
        pointers.append(body.op(f"getelementptr {element_type(k)}, ptr {place.pointer}, i64 {index}"))
    _store_lanes(body, k, pointers, text, tags)


@handles("view")
def view(body: Body, eqn: Eqn) -> None:
    """The same memory with other dims."""
    (buffer,) = eqn.operands
    assert isinstance(buffer, Value)
    body.scalars[eqn.results[0]] = body.scalars[buffer]
    body.shared.memories[eqn.results[0]] = body.shared.memory(buffer)


# ----------------------------------------------------------------------------------------- allocation


@handles("alloc")
def alloc(body: Body, eqn: Eqn) -> None:
    """Memory for the rest of the region: on the stack where it is small, else from the pool."""
    dims = eqn.attrs["dims"]
    buffer = eqn.results[0]
    k = register(buffer.type.dtype)
    memory = body.shared.memory(buffer)
    memory.lanes = body.lanes if body.loop is not None else 1
    count = product(tuple(dims)) * memory.lanes
    if isinstance(count, int) and count * k.size <= STACK_BYTES:
        body.scalars[buffer] = body.slot(max(count * k.size, 1))
        return
    if body.loop is not None and isinstance(count, int):
        raise NotVectorisable  # a copy for each lane would be large
    size = body.index_op("mul", body.dim(count), str(k.size))
    pointer = _from_pool(body, size)
    body.scalars[buffer] = pointer
    body.live.append((pointer, size))
    if body.loop is not None:
        body.loop.inner.add(pointer)


def _from_pool(body: Body, size: str) -> str:
    place = body.op(f"getelementptr i8, ptr {body.context()}, i64 8")
    function = body.op(f"load ptr, ptr {place}, align 8")
    return body.op(f"call noalias ptr {function}(i64 {size})")


@handles("claim")
def claim(body: Body, eqn: Eqn) -> None:
    """Memory that the caller takes over, whether the kernel ends well or not; the record says where it is."""
    if body.loop is not None:
        raise NotVectorisable
    (record,) = eqn.operands
    buffer = eqn.results[0]
    item = str(register(buffer.type.dtype).size)
    dims = [body.dim(dim) for dim in eqn.attrs["dims"]]
    _refuse_overflow(body, eqn, [item, *dims])
    size = body.index_op("mul", body.dim(product(tuple(eqn.attrs["dims"]))), item)
    pointer = _from_pool(body, body.index_op("add", size, item))
    for position, word in enumerate((f"ptr {pointer}", f"i64 {size}", *(f"i64 {dim}" for dim in dims))):
        place = body.op(f"getelementptr i64, ptr {body.scalar(record)}, i64 {position}")
        body.out.append(f"store {word}, ptr {place}, align 8")
    body.module.messages.append(Message("MemoryError", "Unable to allocate {0} bytes for a result", eqn.loc))
    body.fail_if(body.op(f"icmp eq ptr {pointer}, null"), len(body.module.messages), lambda: [size])
    body.scalars[buffer] = pointer


def _refuse_overflow(body: Body, eqn: Eqn, factors: Sequence[str]) -> None:
    """NumPy's error for a size in bytes beyond 63 bits; axes of no elements do not make it smaller."""
    for name in ("i64 @llvm.smax.i64(i64, i64)", "{i64, i1} @llvm.smul.with.overflow.i64(i64, i64)"):
        body.module.declarations.add(f"declare {name}")
    text = "array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum possible size."
    body.module.messages.append(Message("ValueError", text, eqn.loc))
    code = len(body.module.messages)
    total, *others = factors
    for factor in others:
        least = body.op(f"call i64 @llvm.smax.i64(i64 {factor}, i64 1)")
        both = body.op(f"call {{i64, i1}} @llvm.smul.with.overflow.i64(i64 {total}, i64 {least})")
        total = body.op(f"extractvalue {{i64, i1}} {both}, 0")
        body.fail_if(body.op(f"extractvalue {{i64, i1}} {both}, 1"), code, list)
