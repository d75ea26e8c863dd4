"""What a vector loop knows of its memory: streams of elements, and how its last, partial iteration reaches them.

The last iteration runs the same instructions on small copies: what it reads is copied to the stack before, what it
writes copied back after. Lanes behind the end either hold anything (their results are never stored) or, where an index
could come from data, repeat the last element, so that they can do no harm.
"""

from __future__ import annotations

from typing import Any

from tracejit.codegen_llvm.emit_body import Body, Memory, Shared
from tracejit.codegen_llvm.emit_memory import MOST_STRIDE, Place, element_type, store_contiguous
from tracejit.codegen_llvm.registers import Register
from tracejit.codegen_llvm.writer import Chunk
from tracejit.ir.core import Function, Value, walk
from tracejit.ir.dims import product

__all__ = ["VectorLoop"]


def _ordered_memory(shared: Shared, region: Function) -> set[Memory]:
    """Buffers that are stored to and reached by more than one index: their accesses must keep the program's order."""
    stored: set[Memory] = set()
    indices: dict[Memory, set[tuple[Any, ...]]] = {}
    for eqn in walk(region):
        name = eqn.op.name
        if name == "view":
            shared.memories[eqn.results[0]] = shared.memory(eqn.operands[0])  # type: ignore[arg-type]
        elif name in ("load", "store"):
            position = 0 if name == "load" else 1
            memory = shared.memory(eqn.operands[position])  # type: ignore[arg-type]
            indices.setdefault(memory, set()).add(eqn.operands[position + 1 :])
            if name == "store":
                stored.add(memory)
    return {memory for memory in stored if len(indices[memory]) > 1}


def _is_repeatable(shared: Shared, region: Function, has_tail: bool) -> bool:
    """Whether doing an iteration twice is the same as doing it once: nothing that is written is read."""
    if not has_tail:
        return False
    loaded: set[Memory] = set()
    stored: set[Memory] = set()
    for eqn in walk(region):
        name = eqn.op.name
        if name == "alloc":
            return False
        if name == "load":
            loaded.add(shared.memory(eqn.operands[0]))  # type: ignore[arg-type]
        elif name == "store":
            stored.add(shared.memory(eqn.operands[1]))  # type: ignore[arg-type]
    return loaded.isdisjoint(stored)


class _Stream:
    """The elements of one access: its pointer in the loop, and what the last iteration copies."""

    __slots__ = ("buffer", "place", "pointer", "reads", "register", "slot", "writes")

    def __init__(self, k: Register, buffer: Value, place: Place, pointer: str, slot: str) -> None:
        self.register = k
        self.buffer = buffer
        self.place = place
        self.pointer = pointer
        self.slot = slot
        self.reads = False
        self.writes = False


class VectorLoop:
    """The vector loop that is being emitted. Names of it:

    pre      before everything: what does not change, computed on demand
    outer    entered for the whole registers, and again for the last, partial one (also once for each block of a sum)
    loop     the body
    """

    def __init__(
        self, body: Body, lanes: int, upper: str, main_end: str, has_tail: bool, region: Function, mirrors: bool
    ) -> None:
        self.lanes = lanes
        self.upper = upper
        self.main_end = main_end
        self.has_tail = has_tail
        self.mirrors = mirrors
        self.index = body.fresh()
        self.inner = {self.index}
        self.pre = Chunk(body.block)
        self.undo: list[tuple[dict[Any, Any], Any]] = []
        self.shared = body.shared
        self.ordered = _ordered_memory(body.shared, region)
        self.repeatable = _is_repeatable(body.shared, region, has_tail)
        self.streams: dict[tuple[Any, ...], _Stream] = {}
        self.offsets: dict[str, list[str]] = {}
        self.outer = Chunk(body.label())
        self.active = body.fresh()  # how many lanes count, an i64
        self.is_tail = body.fresh()
        self.depth = 0

    def changes(self, text: Any) -> None:
        """Note that a uniform value changes in the loop."""
        self.inner.add(text)
        if isinstance(text, tuple):
            self.inner.update(text)

    def remember(self, known: dict[Any, Any], key: Any, text: Any) -> None:
        """Keep the text of something that was computed before the loop until the loop is finished."""
        known[key] = text
        self.undo.append((known, key))

    def forget(self) -> None:
        """The loop is finished."""
        for known, key in self.undo:
            known.pop(key, None)

    # ------------------------------------------------------------------------------------- streams

    def is_stream(self, buffer: Value, place: Place) -> bool:
        """Whether an access is a stream."""
        stride = place.stride
        return (
            isinstance(stride, int)
            and -MOST_STRIDE <= stride <= MOST_STRIDE
            and place.pointer not in self.inner
            and self.shared.memory(buffer) not in self.ordered
        )

    def stream(
        self, body: Body, k: Register, buffer: Value, place: Place, *, reads: bool = False, writes: bool = False
    ) -> str:
        """The pointer to the first lane's element."""
        assert isinstance(place.stride, int)
        stride = place.stride
        found = self.streams.get((k.name, place.pointer, stride))
        if found is None:
            slot = body.slot(k.lanes * abs(stride) * k.size) if self.has_tail else ""
            found = _Stream(k, buffer, place, body.fresh() if self.has_tail else place.pointer, slot)
            self.streams[k.name, place.pointer, stride] = found
        # A store that is not reached by every iteration must write back what was there.
        found.reads = found.reads or reads or self.depth > 0
        found.writes = found.writes or writes
        scaled = body.index_op("mul", self.index, str(stride))
        text = f"getelementptr {element_type(k)}, ptr {found.pointer}, i64 {scaled}"
        return body.uniform(text, found.pointer, scaled)

    def copy_streams_in(self, body: Body, base: str, active: str) -> dict[str, str]:
        """Emit the copies before the last iteration; gives each stream's pointer for it, from which ``base`` counts."""
        pointers = {}
        mark = len(body.undo)
        for stream in self.streams.values():
            k, stride = stream.register, stream.place.stride
            assert isinstance(stride, int)
            self._slot_lives(body, stream, "start")
            start = body.index_op("mul", base, str(stride))
            source = body.op(f"getelementptr {element_type(k)}, ptr {stream.place.pointer}, i64 {start}")
            first = _first_element(body, k, stream.slot, stride)
            if stream.reads:
                if stride == 1 and not self.mirrors and not stream.writes:
                    body.module.helpers.setdefault("@tj.near", NEAR)
                    limit = self.limit(body, k, stream.buffer)
                    size = body.op(f"mul i64 {active}, {k.size}")
                    first = body.op(f"call ptr @tj.near(ptr {first}, ptr {source}, i64 {size}, ptr {limit})")
                else:
                    body.out.append(copy_in(body, k, first, source, active, stride, self.mirrors))
            back = body.index_op("sub", "0", start)
            pointers[stream.pointer] = body.op(f"getelementptr {element_type(k)}, ptr {first}, i64 {back}")
        body.forget(mark)
        return pointers

    def copy_streams_out(self, body: Body, base: str, active: str) -> None:
        """Emit the copies after the last iteration."""
        mark = len(body.undo)
        for stream in self.streams.values():
            if stream.writes:
                k, stride = stream.register, stream.place.stride
                assert isinstance(stride, int)
                start = body.index_op("mul", base, str(stride))
                target = body.op(f"getelementptr {element_type(k)}, ptr {stream.place.pointer}, i64 {start}")
                first = _first_element(body, k, stream.slot, stride)
                if stride == 1:
                    size = body.op(f"mul i64 {active}, {k.size}")
                    body.out.append(copy_line(target, first, size))
                else:
                    symbol = _copy_helper(body, k.size)
                    step = stride * k.size
                    body.out.append(
                        f"call void {symbol}(ptr {target}, ptr {first}, i64 {active}, i64 {active}, i64 {step})"
                    )
            self._slot_lives(body, stream, "end")
        body.forget(mark)

    @staticmethod
    def _slot_lives(body: Body, stream: _Stream, event: str) -> None:
        """Tell LLVM when a copy is needed, so that those of different loops share memory."""
        body.module.declarations.add(f"declare void @llvm.lifetime.{event}.p0(i64 immarg, ptr)")
        size = stream.register.lanes * abs(int(stream.place.stride)) * stream.register.size
        body.out.append(f"call void @llvm.lifetime.{event}.p0(i64 {size}, ptr {stream.slot})")

    def lane_offsets(self, body: Body, stride: str) -> list[str]:
        """For each lane how many elements it is behind the first; lanes that do not count are where the last one is."""
        found = self.offsets.get(stride)
        if found is None:
            if stride in self.inner:
                return self._offsets(body, stride)
            found = self.offsets[stride] = body.at(self.outer, lambda: self._offsets(body, stride))
        return found

    def _offsets(self, body: Body, stride: str) -> list[str]:
        offsets = ["0"]
        last = body.op(f"sub i64 {self.active}, 1") if self.has_tail else ""
        for lane in range(1, self.lanes):
            number = body.op(f"call i64 @llvm.smin.i64(i64 {lane}, i64 {last})") if last else str(lane)
            offsets.append(body.op(f"mul i64 {number}, {stride}"))
        return offsets

    # ------------------------------------------------------------------------------ direct accesses

    def guarded_pointer(self, body: Body, k: Register, buffer: Value, place: Place) -> str:
        """The pointer to consecutive elements, or to a copy of them where they reach over the end of the buffer."""
        pointer = body.op(f"getelementptr {element_type(k)}, ptr {place.pointer}, i64 {self.index}")
        if not self.has_tail:
            return pointer
        if self.mirrors:
            unsafe = self.is_tail
        else:
            unsafe = body.op(f"icmp ugt ptr {pointer}, {self.limit(body, k, buffer)}")
        slot = body.slot(k.lanes * k.size)
        before, copy, done = body.block, body.label(), body.label()
        body.unlikely(unsafe, copy, done)
        body.start(copy)
        body.out.append(copy_in(body, k, slot, pointer, self.active, 1, self.mirrors))
        body.jump(done)
        body.start(done)
        return body.op(f"phi ptr [{pointer}, %{before}], [{slot}, %{copy}]")

    def limit(self, body: Body, k: Register, buffer: Value) -> str:
        """The last place in a buffer from which a whole register can be read."""
        total = body.index_op("mul", body.dim(product(tuple(buffer.type.dims))), str(k.size))
        room = body.index_op("sub", total, str(k.lanes * k.size))
        pointer = body.scalars[buffer]
        return body.uniform(f"getelementptr i8, ptr {pointer}, i64 {room}", pointer, room)

    def guarded_store(self, body: Body, k: Register, place: Place, text: Any, tags: str) -> None:
        """Store consecutive elements; only those that count in the last iteration."""
        pointer = body.op(f"getelementptr {element_type(k)}, ptr {place.pointer}, i64 {self.index}")
        if not self.has_tail:
            store_contiguous(body, k, pointer, text, tags)
            return
        slot = body.slot(k.lanes * k.size)
        part, whole, done = body.label(), body.label(), body.label()
        body.unlikely(self.is_tail, part, whole)
        body.start(part)
        store_contiguous(body, k, slot, text, "")
        size = body.op(f"mul i64 {self.active}, {k.size}")
        body.out.append(copy_line(pointer, slot, size))
        body.jump(done)
        body.start(whole)
        store_contiguous(body, k, pointer, text, tags)
        body.jump(done)
        body.start(done)


# ------------------------------------------------------------------------------------------- copies


def copy_line(to: str, source: str, size: str) -> str:
    """A line that copies bytes."""
    return f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)"


def _first_element(body: Body, k: Register, slot: str, stride: int) -> str:
    """Where the first lane's element is in a copy; with a negative stride, behind the others."""
    if stride > 0:
        return slot
    return body.op(f"getelementptr {element_type(k)}, ptr {slot}, i64 {(k.lanes - 1) * -stride}")


def copy_in(body: Body, k: Register, slot: str, source: str, active: str, stride: int, mirrors: bool) -> str:
    """A line that copies the elements that count to ``slot``; the lanes behind repeat the last one if they must."""
    if stride == 1 and not mirrors:
        size = body.op(f"mul i64 {active}, {k.size}")
        return copy_line(slot, source, size)
    symbol = _copy_helper(body, k.size)
    step = stride * k.size
    return f"call void {symbol}(ptr {slot}, ptr {source}, i64 {active}, i64 {k.lanes}, i64 {step})"


def _copy_helper(body: Body, size: int) -> str:
    """A function that copies elements a stride apart; those behind ``active`` repeat the last."""
    symbol = f"@tj.copy.{size}"
    body.module.helpers.setdefault(
        symbol,
        f"""define internal void {symbol}(ptr %to, ptr %from, i64 %active, i64 %lanes, i64 %step) noinline nounwind {{
entry:
%last = sub i64 %active, 1
br label %next
next:
%lane = phi i64 [0, %entry], [%following, %next]
%source = call i64 @llvm.smin.i64(i64 %lane, i64 %last)
%read = mul i64 %source, %step
%write = mul i64 %lane, %step
%a = getelementptr i8, ptr %from, i64 %read
%b = getelementptr i8, ptr %to, i64 %write
%x = load i{size * 8}, ptr %a, align 1
store i{size * 8} %x, ptr %b, align 1
%following = add i64 %lane, 1
%more = icmp slt i64 %following, %lanes
br i1 %more, label %next, label %done
done:
ret void
}}""",
    )
    return symbol


NEAR = """define internal ptr @tj.near(ptr %slot, ptr %from, i64 %bytes, ptr %limit) noinline nounwind {
%inside = icmp ule ptr %from, %limit
br i1 %inside, label %direct, label %copy
direct:
ret ptr %from
copy:
call void @llvm.memcpy.p0.p0.i64(ptr %slot, ptr %from, i64 %bytes, i1 false)
ret ptr %slot
}"""
"""Elements to read a whole register from: where they are, if that stays inside the buffer, else a copy."""
