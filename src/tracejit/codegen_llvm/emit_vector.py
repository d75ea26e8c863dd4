"""The skeleton of a vector loop: whole registers of lanes, blocks of sums, the last iteration; one body for all.

::

    before ── any whole register? ──▶ outer ──▶ head (the body, again and again) ──▶ after
                                       ▲  ▲                                           │  │
    next block of a sum, if any ───────┘  │   more (add the block to the totals) ◀────┘  │
              rest: any lanes left? ──▶ tail (copies in)                last iteration: finish (copies out)
                     └──▶ again: the last whole register, part of which has been done already

An iteration may be done twice where nothing that is written is read: then only loops of fewer lanes copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.codegen_llvm.alias_scopes import IN_LANES
from tracejit.codegen_llvm.emit_body import Body
from tracejit.codegen_llvm.emit_reduce import Accumulator, ExtremeAccumulator
from tracejit.codegen_llvm.emit_streams import VectorLoop
from tracejit.codegen_llvm.linear_index import Linear
from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.ir.core import Function, Value

__all__ = ["BLOCK", "vector_loop"]

BLOCK = 16
"""Iterations of a compensated sum between two additions to the total: as many as NumPy adds one after the other."""


class _Frame:
    """Names of a vector loop's blocks and of what lives across them."""

    def __init__(self, body: Body, loop: VectorLoop, accumulators: Sequence[Accumulator], lower: str) -> None:
        self.loop = loop
        self.accumulators = accumulators
        self.lower = lower
        self.outer = loop.outer.block
        self.head, self.after, self.more, self.rest = body.label(), body.label(), body.label(), body.label()
        self.tail, self.finish, self.exit = body.label(), body.label(), body.label()
        self.again = body.label() if loop.repeatable and not accumulators else ""
        self.reached, self.last = body.fresh(), body.fresh()
        self.begin, self.end, self.next_end, self.remaining = body.fresh(), body.fresh(), body.fresh(), body.fresh()
        self.first_end = loop.main_end
        self.blocked = False
        self.totals = [[body.fresh() for _ in a.start] for a in accumulators]  # in outer
        self.folded: list[list[str]] = []  # in more
        self.rested = [[body.fresh() for _ in a.start] for a in accumulators]  # in rest
        self.tail_pointers: dict[str, str] = {}
        self.results: list[list[str]] = []
        self.more_block = self.tail_block = ""

    def phi(self, of: str, name: str, first: str, more: str, tail: str) -> str:
        """A line of outer: what a name is when it is entered first, for the next block, and for the last iteration."""
        incoming = f"{name} = phi {of} [{first}, %{self.loop.pre.block}]"
        if self.blocked:
            incoming += f", [{more}, %{self.more_block}]"
        return incoming + (f", [{tail}, %{self.tail_block}]" if self.loop.has_tail else "")

    def phis(self, of: str, name: str, first: str, more: str, tail: str, again: str) -> str:
        """The same where an iteration may be done again."""
        line = self.phi(of, name, first, more, tail)
        return line + (f", [{again}, %{self.again}]" if self.again else "")


def vector_loop(
    body: Body,
    region: Function,
    lower: str,
    upper: str,
    lanes: int,
    *,
    accumulators: Sequence[Accumulator] = (),
    mirrors: bool = False,
) -> list[list[str]]:
    """Emit a loop in lanes; gives the settled parts of each accumulator.

    mirrors: lanes behind the end must repeat the last one.
    """
    count = body.index_op("sub", upper, lower)
    constant = int(count) if count[0] != "%" else None
    if constant is None:
        count = body.op(f"call i64 @llvm.smax.i64(i64 {count}, i64 0)")
        whole = body.op(f"and i64 {count}, {-lanes}")
    else:
        whole = str(max(constant, 0) & -lanes)
    main_end = body.index_op("add", lower, whole)
    has_tail = constant is None or constant % lanes != 0
    loop = VectorLoop(body, lanes, upper, main_end, has_tail, region, mirrors)
    frame = _Frame(body, loop, accumulators, lower)
    if any(a.compensated for a in accumulators) and (constant is None or constant > 2 * BLOCK * lanes):
        frame.blocked = True
        step = body.index_op("add", lower, str(BLOCK * lanes))
        frame.first_end = body.op(f"call i64 @llvm.smin.i64(i64 {step}, i64 {main_end})")
    body.out.append(loop.pre.lines)
    body.branch(body.op(f"icmp slt i64 {lower}, {main_end}"), frame.outer, frame.rest)
    phis: list[str] = []
    body.start(frame.outer)
    body.out += [phis, loop.outer.lines]
    body.jump(frame.head)
    _emit_body(body, region, frame)
    totals = _emit_ends(body, frame)
    phis.extend(_outer_phis(frame))
    loop.forget()
    return [a.settled(body, t) for a, t in zip(accumulators, totals, strict=True)]


def _emit_body(body: Body, region: Function, frame: _Frame) -> None:
    """The body itself, in lanes."""
    loop = frame.loop
    head: list[str] = []
    body.start(frame.head)
    body.out.append(head)
    body.loop, body.lanes = loop, loop.lanes
    mark = len(body.undo)
    index, *carries = region.params
    body.linears[index] = Linear(1, "", 0)
    for carry, accumulator in zip(carries, frame.accumulators, strict=True):
        body.vectors[carry] = accumulator.value
        if isinstance(accumulator, ExtremeAccumulator):
            body.extremes[region.results[carries.index(carry)]] = (carry, accumulator)
    body.unrounded.update(r for r in region.results if isinstance(r, Value))
    try:
        body.region(region)
        yields = [body.vector(result) for result in region.results]
    finally:
        body.loop, body.lanes = None, 1
    body.forget(mark)
    frame.results = [a.yielded(y) for a, y in zip(frame.accumulators, yields, strict=True)]
    following = body.op(f"add nsw i64 {loop.index}, {loop.lanes}")
    head.append(f"{loop.index} = phi i64 [{frame.begin}, %{frame.outer}], [{following}, %{body.block}]")
    for accumulator, result in zip(frame.accumulators, frame.results, strict=True):
        rows = zip(accumulator.parts, accumulator.part_types, accumulator.identity, result, strict=True)
        for name, of, first, again in rows:
            head.append(f"{name} = phi {of} [{first}, %{frame.outer}], [{again}, %{body.block}]")
    more = body.op(f"icmp slt i64 {following}, {frame.end}")
    body.out.append(f"br i1 {more}, label %{frame.head}, label %{frame.after}{IN_LANES}")


def _emit_ends(body: Body, frame: _Frame) -> Sequence[Sequence[str]]:
    """Everything after the body: the next block, the last iteration, the end; gives the totals there."""
    loop, accumulators = frame.loop, frame.accumulators
    body.start(frame.after)
    if loop.has_tail:
        body.branch(loop.is_tail, frame.finish, frame.more)
    else:
        body.jump(frame.more)
    body.start(frame.more)
    frame.folded = [a.fold(body, t, r) for a, t, r in zip(accumulators, frame.totals, frame.results, strict=True)]
    frame.more_block = body.block
    if frame.blocked:
        step = body.op(f"add i64 {frame.end}, {BLOCK * loop.lanes}")
        body.out.append(f"{frame.next_end} = call i64 @llvm.smin.i64(i64 {step}, i64 {loop.main_end})")
        body.branch(body.op(f"icmp slt i64 {frame.end}, {loop.main_end}"), frame.outer, frame.rest)
    else:
        body.jump(frame.rest)
    body.start(frame.rest)
    starts = [a.start for a in accumulators]
    _merge(body, accumulators, frame.rested, starts, loop.pre.block, frame.folded, frame.more_block)
    return _emit_tail(body, frame) if loop.has_tail else frame.rested


def _emit_tail(body: Body, frame: _Frame) -> Sequence[Sequence[str]]:
    """The copies around the last iteration; gives the totals after it."""
    loop, accumulators = frame.loop, frame.accumulators
    if frame.again:
        more = f"[{loop.main_end}, %{loop.pre.block}], [{frame.end}, %{frame.more_block}]"
        body.out.append(f"{frame.reached} = phi i64 {more}")
        left, one_more = body.label(), body.op(f"icmp slt i64 {frame.reached}, {loop.upper}")
        body.branch(one_more, left, frame.exit)
        body.start(left)
        body.out.append(f"{frame.remaining} = sub i64 {loop.upper}, {loop.main_end}")
        body.branch(body.op(f"icmp slt i64 {frame.lower}, {loop.main_end}"), frame.again, frame.tail)
        body.start(frame.again)
        body.out.append(f"{frame.last} = sub i64 {loop.upper}, {loop.lanes}")
        body.jump(frame.outer)
    else:
        body.out.append(f"{frame.remaining} = sub i64 {loop.upper}, {loop.main_end}")
        body.branch(body.op(f"icmp sgt i64 {frame.remaining}, 0"), frame.tail, frame.exit)
    body.start(frame.tail)
    frame.tail_pointers = loop.copy_streams_in(body, loop.main_end, frame.remaining)
    frame.tail_block = body.block
    body.jump(frame.outer)
    body.start(frame.finish)
    totals = frame.totals
    if accumulators:
        totals = [
            a.fold(body, t, a.masked(body, _active_lanes(body, loop, a.k), r))
            for a, t, r in zip(accumulators, frame.totals, frame.results, strict=True)
        ]
    loop.copy_streams_out(body, loop.main_end, loop.active)
    finish_block = body.block
    body.jump(frame.exit)
    body.start(frame.exit)
    final = [[body.fresh() for _ in a.start] for a in accumulators]
    _merge(body, accumulators, final, frame.rested, frame.rest, totals, finish_block)
    return final


def _active_lanes(body: Body, loop: VectorLoop, k: Register) -> str:
    """The mask of the lanes that count, compared in integers as wide as the values that it is for."""
    i = named_register(f"i{max(k.bits, 8)}", loop.lanes)
    steps = ", ".join([f"{i.element} {lane}" for lane in range(loop.lanes)])
    active = loop.active if i.bits == 64 else body.op(f"trunc i64 {loop.active} to {i.element}")
    return body.op(f"icmp ult {i.type} <{steps}>, {body.splat(i, active)}")


def _merge(
    body: Body,
    accumulators: Sequence[Accumulator],
    names: Sequence[Sequence[str]],
    one: Sequence[Sequence[str]],
    one_block: str,
    other: Sequence[Sequence[str]],
    other_block: str,
) -> None:
    """Emit the totals where two ways meet."""
    for accumulator, results, left, right in zip(accumulators, names, one, other, strict=True):
        for name, of, a, b in zip(results, accumulator.total_types, left, right, strict=True):
            body.out.append(f"{name} = phi {of} [{a}, %{one_block}], [{b}, %{other_block}]")


def _outer_phis(frame: _Frame) -> list[str]:
    """The lines of outer that differ between its entries."""
    loop = frame.loop
    lines = [
        frame.phis("i64", frame.begin, frame.lower, frame.end, loop.main_end, frame.last),
        frame.phis("i64", frame.end, frame.first_end, frame.next_end, loop.upper, loop.upper),
    ]
    if loop.has_tail:
        lanes = str(loop.lanes)
        lines.append(frame.phis("i1", loop.is_tail, "false", "false", "true", "false"))
        lines.append(frame.phis("i64", loop.active, lanes, lanes, frame.remaining, lanes))
        for stream in loop.streams.values():
            pointer = stream.place.pointer
            copy = frame.tail_pointers[stream.pointer]
            lines.append(frame.phis("ptr", stream.pointer, pointer, pointer, copy, pointer))
    for accumulator, names, folded, rested in zip(
        frame.accumulators, frame.totals, frame.folded or frame.totals, frame.rested, strict=True
    ):
        rows = zip(names, accumulator.total_types, accumulator.start, folded, rested, strict=True)
        for name, of, first, more, tail in rows:
            lines.append(frame.phi(of, name, first, more, tail))
    return lines
