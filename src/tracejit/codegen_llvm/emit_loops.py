"""``for`` loops: which form each takes, and the serial forms.

Inside a vector loop every loop is serial; its bounds are the same in all lanes, its carries may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.codegen_llvm.alias_scopes import IN_LANES
from tracejit.codegen_llvm.emit_body import Body, NotVectorisable
from tracejit.codegen_llvm.emit_reduce import Accumulator, ExtremeAccumulator
from tracejit.codegen_llvm.emit_varying import varying_carries
from tracejit.codegen_llvm.emit_vector import BLOCK, vector_loop
from tracejit.codegen_llvm.registers import Register, register
from tracejit.codegen_llvm.target_cpu import choose_lanes, names, weigh
from tracejit.ir.core import Eqn, Function, Operand, Value

__all__ = ["Carry", "carries_of", "define", "emit_here", "in_lanes", "nested", "serial"]

UNROLLED_ITERATIONS = 8
UNROLLED_OPERATIONS = 64


def emit_here(body: Body, eqn: Eqn) -> None:
    """A loop on this thread: in lanes if its kind allows it and no loop around it is, else serial."""
    kind = eqn.attrs["kind"]
    lower, upper = (body.scalar(o) for o in eqn.operands[:2])
    if body.loop is None and kind in ("vector", "parallel_vector", "reduce") and in_lanes(body, eqn, lower, upper):
        return
    if _is_short(body, eqn):
        _unrolled(body, eqn)
    elif kind == "reduce" and not _adds_few(body, eqn):
        _serial_reduction(body, eqn)
    else:
        serial(body, eqn, lower, upper)


# ------------------------------------------------------------------------------------------ vector loops


def in_lanes(body: Body, eqn: Eqn, lower: str, upper: str) -> bool:
    """Emit a loop outside of other vector loops in lanes, unless it cannot be; says which."""
    (region,) = eqn.regions
    constant = int(upper) - int(lower) if lower[0] != "%" and upper[0] != "%" else None
    weight = weigh(region)
    target = body.shared.target
    lanes = choose_lanes(weight, target.vector_bits, constant, eqn.attrs["kind"])
    if lanes == 1:
        return False
    state = body.snapshot()
    accumulators: list[Accumulator] = []
    for position, (op, carry) in enumerate(zip(eqn.attrs.get("ops", ()), region.params[1:], strict=True)):
        k = register(carry.type.dtype, lanes)
        kind = ExtremeAccumulator if _is_plain_extreme(region, position, op, k) else Accumulator
        accumulators.append(kind(body, op, k, max(1, target.vector_bits // max(k.bits, 8))))
    try:
        totals = vector_loop(body, region, lower, upper, lanes, accumulators=accumulators, mirrors=weight.indirect)
    except NotVectorisable:
        body.restore(state)
        return False
    finally:
        for known in (body.vectors, body.linears, body.splats):
            known.clear()
    for accumulator, parts, init, result in zip(accumulators, totals, eqn.operands[2:], eqn.results, strict=True):
        across = accumulator.across(body, parts)
        body.scalars[result] = accumulator.result(body, body.scalar(init), across, 1)
    return True


def _is_plain_extreme(region: Function, position: int, op: str, k: Register) -> bool:
    """Whether a carry is the least or largest of float terms, by one operation on it."""
    if op not in ("min", "max") or k.group != "f":
        return False
    carry, given = region.params[position + 1], region.results[position]
    uses = [eqn for eqn in region.eqns if carry in eqn.operands]
    return (
        len(uses) == 1
        and uses[0].results == (given,)
        and uses[0].op.name == ("maximum" if op == "max" else "minimum")
        and uses[0].operands.count(carry) == 1
        and not any(given in eqn.operands for eqn in region.eqns)
        and region.results.count(given) == 1
    )


# ---------------------------------------------------------------------------------------- serial loops


def _constant_count(body: Body, eqn: Eqn) -> int | None:
    lower, upper = (body.scalar(o) for o in eqn.operands[:2])
    return int(upper) - int(lower) if lower[0] != "%" and upper[0] != "%" else None


def _is_short(body: Body, eqn: Eqn) -> bool:
    count = _constant_count(body, eqn)
    eqns = eqn.regions[0].eqns
    return (
        count is not None
        and count <= UNROLLED_ITERATIONS
        and count * len(eqns) <= UNROLLED_OPERATIONS
        and names(eqns).isdisjoint(("for", "while", "if", "alloc", "gemm", "sort_line", "argsort_line", "call_library"))
    )


def _adds_few(body: Body, eqn: Eqn) -> bool:
    """Whether plain serial addition is accurate enough."""
    count = _constant_count(body, eqn)
    inexact = any(
        op == "add" and o.type.dtype.kind in "fcV" for op, o in zip(eqn.attrs["ops"], eqn.operands[2:], strict=True)
    )
    return not inexact or (count is not None and count <= 2 * BLOCK)


def define(body: Body, value: Value, text: Any, *, varying: bool) -> None:
    """Give a value its text; what is uniform in a vector loop, but defined inside, changes in it."""
    if varying:
        body.vectors[value] = text
        return
    body.scalars[value] = text
    if body.loop is not None:
        body.loop.changes(text)


def _unrolled(body: Body, eqn: Eqn) -> None:
    """A short loop of constant length: its body, again and again."""
    (region,) = eqn.regions
    index, *carries = region.params
    lower, upper = (int(body.scalar(o)) for o in eqn.operands[:2])
    current: Sequence[Operand] = eqn.operands[2:]
    states = [_state(body, operand) for operand in current]
    for i in range(lower, upper):
        if body.loop is not None:
            _forget_forms(body, region)
        body.scalars[index] = str(i)
        for carry, state in zip(carries, states, strict=True):
            _assign(body, carry, state)
        body.run(region.eqns)
        states = [_state(body, operand) for operand in region.results]
    for result, state in zip(eqn.results, states, strict=True):
        _assign(body, result, state)


def _forget_forms(body: Body, region: Function) -> None:
    """A value may be linear in one iteration of an unrolled loop and uniform in the next."""
    for known in (body.vectors, body.linears, body.splats):
        for eqn in region.eqns:
            for result in eqn.results:
                known.pop(result, None)


def _state(body: Body, operand: Operand) -> tuple[str, Any]:
    """The form and text of an operand, to give to another value."""
    if type(operand) is Value:
        if operand in body.vectors:
            return "vectors", body.vectors[operand]
        if operand in body.linears:
            return "linears", body.linears[operand]
    return "scalars", body.scalar(operand)


def _assign(body: Body, value: Value, state: tuple[str, Any]) -> None:
    for known in (body.vectors, body.linears, body.splats):
        known.pop(value, None)
    getattr(body, state[0])[value] = state[1]


class Carry:
    """One carry of a serial loop: the text before, the names inside, the texts after an iteration."""

    def __init__(self, body: Body, param: Value, init: Operand, varying: bool) -> None:
        self.param = param
        self.varying = varying
        self.k = register(param.type.dtype, body.lanes if varying else 1)
        self.first = self._parts(body.vector(init) if varying else body.scalar(init))
        self.names = [body.fresh() for _ in self.first]

    @staticmethod
    def _parts(text: Any) -> list[str]:
        return list(text) if isinstance(text, tuple) else [text]

    def value(self, parts: Sequence[str]) -> Any:
        """The parts as one text."""
        return tuple(parts) if self.k.group == "c" else parts[0]

    def enter(self, body: Body) -> None:
        """Define the carry in the loop."""
        define(body, self.param, self.value(self.names), varying=self.varying)

    def yielded(self, body: Body, operand: Operand) -> list[str]:
        """The parts of what an iteration gives."""
        return self._parts(body.vector(operand) if self.varying else body.scalar(operand))

    def phis(
        self, names: Sequence[str], first: Sequence[str], before: str, again: Sequence[str], latch: str
    ) -> list[str]:
        """The lines that merge two ways."""
        return [
            f"{name} = phi {self.k.type} [{a}, %{before}], [{b}, %{latch}]"
            for name, a, b in zip(names, first, again, strict=True)
        ]


def carries_of(body: Body, eqn: Eqn, params: Sequence[Value], inits: Sequence[Operand]) -> list[Carry]:
    """The carries of a loop that is about to be emitted."""
    varying = varying_carries(body, eqn) if body.loop is not None and params else [False] * len(params)
    return [Carry(body, p, i, v) for p, i, v in zip(params, inits, varying, strict=True)]


def nested(body: Body, region: Function) -> None:
    """Emit a region that not every iteration of a vector loop around it need reach once."""
    if body.loop is not None:
        body.loop.depth += 1
    body.region(region)
    if body.loop is not None:
        body.loop.depth -= 1


def serial(body: Body, eqn: Eqn, lower: str, upper: str) -> None:
    """One iteration after the other."""
    (region,) = eqn.regions
    carries = carries_of(body, eqn, region.params[1:], eqn.operands[2:])
    body.unrounded.update(r for r in region.results if isinstance(r, Value) and eqn.attrs["kind"] == "reduce")
    before, head, done = body.block, body.label(), body.label()
    body.branch(body.op(f"icmp slt i64 {lower}, {upper}"), head, done)
    head_lines: list[str] = []
    index, mark = body.fresh(), len(body.undo)
    body.start(head)
    body.out.append(head_lines)
    define(body, region.params[0], index, varying=False)
    for carry in carries:
        carry.enter(body)
    nested(body, region)
    results = [carry.yielded(body, r) for carry, r in zip(carries, region.results, strict=True)]
    following = body.op(f"add nsw i64 {index}, 1")
    latch = body.block
    _again(body, body.op(f"icmp slt i64 {following}, {upper}"), head, done)
    head_lines.append(f"{index} = phi i64 [{lower}, %{before}], [{following}, %{latch}]")
    for carry, parts in zip(carries, results, strict=True):
        head_lines.extend(carry.phis(carry.names, carry.first, before, parts, latch))
    body.forget(mark)
    body.start(done)
    for carry, parts, result in zip(carries, results, eqn.results, strict=True):
        final = [body.fresh() for _ in parts]
        body.out.extend(carry.phis(final, carry.first, before, parts, latch))
        define(body, result, carry.value(final), varying=carry.varying)


def _again(body: Body, condition: str, head: str, after: str) -> None:
    """End an iteration; in lanes, LLVM leaves the loop as it is."""
    if body.loop is None:
        body.branch(condition, head, after)
    else:
        body.out.append(f"br i1 {condition}, label %{head}, label %{after}{IN_LANES}")


def _serial_reduction(body: Body, eqn: Eqn) -> None:
    """One iteration after the other; the sums of blocks are added with compensation, unless one block is all."""
    (region,) = eqn.regions
    lower, upper = (body.scalar(o) for o in eqn.operands[:2])
    carries = carries_of(body, eqn, region.params[1:], eqn.operands[2:])
    sums = [Accumulator(body, op, carry.k, carry.k.lanes) for op, carry in zip(eqn.attrs["ops"], carries, strict=True)]
    body.unrounded.update(r for r in region.results if isinstance(r, Value))
    count = body.index_op("sub", upper, lower)
    is_short = body.uniform(f"icmp sle i64 {count}, {BLOCK}", count)
    before, outer, head, after = body.block, body.label(), body.label(), body.label()
    short, long, finish, done = body.label(), body.label(), body.label(), body.label()
    begin, index, mark = body.fresh(), body.fresh(), len(body.undo)
    totals = [[body.fresh() for _ in s.start] for s in sums]
    body.branch(body.op(f"icmp slt i64 {lower}, {upper}"), outer, done)
    outer_lines: list[str] = []
    head_lines: list[str] = []
    body.start(outer)
    body.out.append(outer_lines)
    step = body.op(f"add i64 {begin}, {BLOCK}")
    end = body.op(f"call i64 @llvm.smin.i64(i64 {step}, i64 {upper})")
    body.jump(head)
    body.start(head)
    body.out.append(head_lines)
    define(body, region.params[0], index, varying=False)
    for carry, accumulator in zip(carries, sums, strict=True):
        define(body, carry.param, accumulator.value, varying=carry.varying)
    nested(body, region)
    results = [carry.yielded(body, r) for carry, r in zip(carries, region.results, strict=True)]
    following = body.op(f"add nsw i64 {index}, 1")
    latch = body.block
    _again(body, body.op(f"icmp slt i64 {following}, {end}"), head, after)
    body.start(after)
    body.branch(is_short, short, long)
    body.start(short)
    body.jump(done)
    body.start(long)
    folded = [s.fold(body, t, r) for s, t, r in zip(sums, totals, results, strict=True)]
    body.branch(body.op(f"icmp slt i64 {end}, {upper}"), outer, finish)
    body.start(finish)
    settled = [s.settled(body, fold) for s, fold in zip(sums, folded, strict=True)]
    body.jump(done)
    outer_lines.append(f"{begin} = phi i64 [{lower}, %{before}], [{end}, %{long}]")
    head_lines.append(f"{index} = phi i64 [{begin}, %{outer}], [{following}, %{latch}]")
    for s, names_, parts, fold in zip(sums, totals, results, folded, strict=True):
        outer_lines += _phis(names_, s.total_types, s.start, before, fold, long)
        head_lines += _phis(s.parts, s.part_types, s.identity, outer, parts, latch)
    body.forget(mark)
    body.start(done)
    finals = [
        [
            body.op(f"phi {of} [{a}, %{before}], [{b}, %{short}], [{c}, %{finish}]")
            for of, a, b, c in zip(s.part_types, s.identity, given, total, strict=True)
        ]
        for s, given, total in zip(sums, results, settled, strict=True)
    ]
    for s, carry, final, result in zip(sums, carries, finals, eqn.results, strict=True):
        text = s.result(body, carry.value(carry.first), final, carry.k.lanes)
        define(body, result, text, varying=carry.varying)


def _phis(
    names: Sequence[str], types: Sequence[str], first: Sequence[str], before: str, again: Sequence[str], latch: str
) -> list[str]:
    """Lines that merge two ways."""
    rows = zip(names, types, first, again, strict=True)
    return [f"{name} = phi {of} [{a}, %{before}], [{b}, %{latch}]" for name, of, a, b in rows]
