"""``for`` loops, parallel ones first: their bodies become functions of a range, called by the context's threads.

What the body needs from around it travels in a closure on the caller's stack. Work that is too small, and loops inside
of other parallel ones, stay with the caller.
"""

from __future__ import annotations

from typing import Any

from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, handles
from tracejit.codegen_llvm.emit_loops import emit_here, in_lanes, serial
from tracejit.codegen_llvm.registers import register
from tracejit.codegen_llvm.target_cpu import CHUNK_NANOSECONDS, PARALLEL_NANOSECONDS, choose_lanes, weigh
from tracejit.codegen_llvm.writer import flatten
from tracejit.ir.core import Eqn, Value
from tracejit.ir.dims import DimLike
from tracejit.ir.types import BufferType

__all__ = ["emit_for"]


class _Outlined(Body):
    """The body of a parallel loop. Values from outside are captured when they are first used."""

    def __init__(self, parent: Body) -> None:
        super().__init__(parent.shared, parent.has_fma)
        self.parent = parent
        self.captured: list[tuple[str, str]] = []  # (type, text in the parent), 8 bytes each

    def _capture(self, of: str, text: str) -> str:
        if text[0] not in "%@":
            return text
        place, name = self.fresh(), self.fresh()
        self.entry.lines.append(f"{place} = getelementptr i64, ptr %closure, i64 {len(self.captured)}")
        self.entry.lines.append(f"{name} = load {of}, ptr {place}, align 8")
        self.captured.append((of, text))
        return name

    def outside(self, value: Value) -> Any:
        text = self.parent.scalars[value]
        of = "ptr" if isinstance(value.type, BufferType) else register(value.type.dtype).type
        return tuple(self._capture(of, part) for part in text) if isinstance(text, tuple) else self._capture(of, text)

    def outside_dim(self, dim: DimLike) -> str:
        return self._capture("i64", self.parent.dim(dim))

    def make_context(self) -> str:
        return self._capture("ptr", self.parent.context())

    def leave(self) -> list[str]:
        return ["ret void"]


@handles("for")
def emit_for(body: Body, eqn: Eqn) -> None:
    """A loop of any kind."""
    if any(map(body.is_varying, eqn.operands[:2])):
        raise NotVectorisable
    parallel = eqn.attrs["kind"] in ("parallel", "parallel_vector") and body.loop is None
    if not (parallel and _spread(body, eqn)):
        emit_here(body, eqn)


def _spread(body: Body, eqn: Eqn) -> bool:
    """Emit a loop whose iterations may run on other threads; False if that would not pay, or if one runs around it."""
    lower, upper = (body.scalar(o) for o in eqn.operands[:2])
    cost: DimLike = eqn.attrs["cost"]
    weight = weigh(eqn.regions[0])
    lanes = choose_lanes(weight, body.shared.target.vector_bits, None, eqn.attrs["kind"])
    nanoseconds = weight.nanoseconds(lanes)
    count = body.index_op("sub", upper, lower)
    if isinstance(body, _Outlined) or _is_small(count, cost, nanoseconds):
        return False
    child = _Outlined(body)
    if lower == "0":
        begin, end = "%begin", "%end"
    else:
        own = child._capture("i64", lower)
        begin, end = child.op(f"add i64 {own}, %begin"), child.op(f"add i64 {own}, %end")
    if eqn.attrs["kind"] == "parallel" or not in_lanes(child, eqn, begin, end):
        serial(child, eqn, begin, end)
    child.out.append("ret void")
    symbol = _function(body, child)
    step = lanes if eqn.attrs["kind"] == "parallel_vector" else 1
    _call(body, child, symbol, count, cost, nanoseconds, step)
    return True


def _function(body: Body, child: _Outlined) -> str:
    """The symbol of the loop body as a function: unrolled programs have equal loops over other buffers many times."""
    lines = [*flatten(child.entry.lines), *flatten(child.body.lines), *flatten(child.cold)]
    head = "(ptr %closure, i64 %begin, i64 %end) nounwind {\nentry:\n"
    text = body.shared.scopes.settle(head + "\n".join(lines) + "\n}")
    symbol = body.shared.bodies.get(text)
    if symbol is None:
        symbol = body.shared.bodies[text] = f"@tj.body{len(body.shared.bodies) + 1}"
        body.module.functions.append(f"define internal void {symbol}{text}")
    return symbol


def _is_small(count: str, cost: DimLike, nanoseconds: float) -> bool:
    return count[0] != "%" and isinstance(cost, int) and int(count) * cost * nanoseconds < PARALLEL_NANOSECONDS


def _call(body: Body, child: _Outlined, symbol: str, count: str, cost: DimLike, nanoseconds: float, step: int) -> None:
    """Run the body: here and now when the work is small, else by the pool."""
    closure = body.slot(max(8 * len(child.captured), 8), 8)
    for position, (of, text) in enumerate(child.captured):
        place = body.op(f"getelementptr i64, ptr {closure}, i64 {position}")
        body.out.append(f"store {of} {text}, ptr {place}, align 8")
    if count[0] == "%":
        count = body.op(f"call i64 @llvm.smax.i64(i64 {count}, i64 0)")
    grain = _grain(body, cost, nanoseconds, step)
    work = body.index_op("mul", count, body.dim(cost))
    context = body.context()
    place = body.op(f"getelementptr i8, ptr {context}, i64 24")
    threads = body.op(f"load i64, ptr {place}, align 8")
    reasons = [
        body.op(f"icmp sle i64 {threads}, 1"),
        body.op(f"icmp slt i64 {work}, {int(PARALLEL_NANOSECONDS / nanoseconds)}"),
        body.op(f"icmp sle i64 {count}, {grain}"),
    ]
    alone = body.op(f"or i1 {body.op(f'or i1 {reasons[0]}, {reasons[1]}')}, {reasons[2]}")
    here, spread, done = body.label(), body.label(), body.label()
    body.branch(alone, here, spread)
    body.start(here)
    body.out.append(f"call void {symbol}(ptr {closure}, i64 0, i64 {count})")
    body.jump(done)
    body.start(spread)
    function = body.op(f"load ptr, ptr {context}, align 8")
    body.out.append(f"call void {function}(ptr {symbol}, ptr {closure}, i64 {count}, i64 {grain})")
    body.jump(done)
    body.start(done)
    if child.can_fail:
        body.leave_if_failed()


def _grain(body: Body, cost: DimLike, nanoseconds: float, step: int) -> str:
    """How many iterations a chunk has at least: a multiple of the lanes."""
    elements = max(int(CHUNK_NANOSECONDS / nanoseconds), 1)
    if isinstance(cost, int):
        iterations = max(elements // max(cost, 1), 1)
        return str(-(-iterations // step) * step)
    positive = body.op(f"call i64 @llvm.smax.i64(i64 {body.dim(cost)}, i64 1)")
    iterations_text = body.op(f"udiv i64 {elements}, {positive}")
    if step == 1:
        return body.op(f"call i64 @llvm.smax.i64(i64 {iterations_text}, i64 1)")
    return body.op(f"and i64 {body.op(f'add i64 {iterations_text}, {step}')}, {-step}")
