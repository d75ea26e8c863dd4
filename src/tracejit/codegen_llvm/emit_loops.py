"""Loops and branches: which form each takes, and the serial forms.

Inside a vector loop every loop is serial; its bounds are the same in all lanes, its carries may differ. Branches and ``while``
loops whose condition differs between lanes run for the lanes that need them, as long as nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, choose, handles
from tracejit.codegen_llvm.emit_reduce import Accumulator
from tracejit.codegen_llvm.emit_vector import BLOCK, vector_loop
from tracejit.codegen_llvm.registers import named_register, register
from tracejit.codegen_llvm.target_cpu import choose_lanes, names, weigh
from tracejit.ir.core import Eqn, Function, Operand, Value, walk

__all__ = ["emit_for"]

UNROLLED_ITERATIONS = 8
UNROLLED_OPERATIONS = 64
_STORING = frozenset({"store", "gemm", "alloc", "call", "check"})


@handles("for")
def emit_for(body: Body, eqn: Eqn) -> None:
    """A loop of any kind."""
    from tracejit.codegen_llvm.emit_parallel import parallel_loop  # noqa: PLC0415  (it emits loops inside)

    kind = eqn.attrs["kind"]
    lower, upper = eqn.operands[:2]
    if body.is_varying(lower) or body.is_varying(upper):
        raise NotVectorisable
    if body.loop is None:
        if kind in ("parallel", "parallel_vector") and parallel_loop(body, eqn):
            return
        if kind in ("vector", "parallel_vector", "reduce") and in_lanes(body, eqn, body.scalar(lower), body.scalar(upper)):
            return
    if _is_short(body, eqn):
        _unrolled(body, eqn)
    elif kind == "reduce" and not _adds_few(body, eqn):
        _serial_reduction(body, eqn)
    else:
        serial(body, eqn, body.scalar(lower), body.scalar(upper))


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
    accumulators = []
    for op, carry in zip(eqn.attrs.get("ops", ()), region.params[1:], strict=True):
        k = register(carry.type.dtype, lanes)
        accumulators.append(Accumulator(body, op, k, max(1, target.vector_bits // max(k.bits, 8))))
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
        and names(eqns).isdisjoint(("for", "while", "if", "alloc", "gemm"))
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
        body.loop.inner.update((text, *text) if isinstance(text, tuple) else (text,))


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


class _Carry:
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

    def phis(self, names: Sequence[str], first: Sequence[str], before: str, again: Sequence[str], latch: str) -> list[str]:
        """The lines that merge two ways."""
        return [
            f"{name} = phi {self.k.type} [{a}, %{before}], [{b}, %{latch}]"
            for name, a, b in zip(names, first, again, strict=True)
        ]


def _carries(body: Body, eqn: Eqn, params: Sequence[Value], inits: Sequence[Operand]) -> list[_Carry]:
    varying = varying_carries(body, eqn) if body.loop is not None and params else [False] * len(params)
    return [_Carry(body, p, i, v) for p, i, v in zip(params, inits, varying, strict=True)]


def _nested(body: Body, region: Function) -> None:
    if body.loop is not None:
        body.loop.depth += 1
    body.region(region)
    if body.loop is not None:
        body.loop.depth -= 1


def serial(body: Body, eqn: Eqn, lower: str, upper: str) -> None:
    """One iteration after the other."""
    (region,) = eqn.regions
    carries = _carries(body, eqn, region.params[1:], eqn.operands[2:])
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
    _nested(body, region)
    results = [carry.yielded(body, r) for carry, r in zip(carries, region.results, strict=True)]
    following = body.op(f"add nsw i64 {index}, 1")
    latch = body.block
    body.branch(body.op(f"icmp slt i64 {following}, {upper}"), head, done)
    head_lines.append(f"{index} = phi i64 [{lower}, %{before}], [{following}, %{latch}]")
    for carry, parts in zip(carries, results, strict=True):
        head_lines.extend(carry.phis(carry.names, carry.first, before, parts, latch))
    body.forget(mark)
    body.start(done)
    for carry, parts, result in zip(carries, results, eqn.results, strict=True):
        final = [body.fresh() for _ in parts]
        body.out.extend(carry.phis(final, carry.first, before, parts, latch))
        define(body, result, carry.value(final), varying=carry.varying)


def _serial_reduction(body: Body, eqn: Eqn) -> None:
    """One iteration after the other, the sums of blocks added with compensation."""
    (region,) = eqn.regions
    lower, upper = (body.scalar(o) for o in eqn.operands[:2])
    inits = _carries(body, eqn, region.params[1:], eqn.operands[2:])
    sums = [Accumulator(body, op, carry.k, carry.k.lanes) for op, carry in zip(eqn.attrs["ops"], inits, strict=True)]
    body.unrounded.update(r for r in region.results if isinstance(r, Value))
    before, outer, head, after, done = body.block, body.label(), body.label(), body.label(), body.label()
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
    for carry, accumulator in zip(inits, sums, strict=True):
        define(body, carry.param, accumulator.value, varying=carry.varying)
    _nested(body, region)
    results = [carry.yielded(body, r) for carry, r in zip(inits, region.results, strict=True)]
    following = body.op(f"add nsw i64 {index}, 1")
    latch = body.block
    body.branch(body.op(f"icmp slt i64 {following}, {end}"), head, after)
    body.start(after)
    folded = [s.fold(body, t, r) for s, t, r in zip(sums, totals, results, strict=True)]
    last = body.block
    body.branch(body.op(f"icmp slt i64 {end}, {upper}"), outer, done)
    outer_lines.append(f"{begin} = phi i64 [{lower}, %{before}], [{end}, %{last}]")
    head_lines.append(f"{index} = phi i64 [{begin}, %{outer}], [{following}, %{latch}]")
    body.forget(mark)
    body.start(done)
    for s, names_, parts, fold in zip(sums, totals, results, folded, strict=True):
        for name, a, b in zip(names_, s.start, fold, strict=True):
            outer_lines.append(f"{name} = phi {s.total.type} [{a}, %{before}], [{b}, %{last}]")
        for name, a, b in zip(s.parts, s.identity, parts, strict=True):
            head_lines.append(f"{name} = phi {s.k.type} [{a}, %{outer}], [{b}, %{latch}]")
    final = [
        [body.op(f"phi {s.total.type} [{a}, %{before}], [{b}, %{last}]") for a, b in zip(s.start, fold, strict=True)]
        for s, fold in zip(sums, folded, strict=True)
    ]
    for s, carry, total, result in zip(sums, inits, final, eqn.results, strict=True):
        text = s.result(body, carry.value(carry.first), s.settled(body, total), carry.k.lanes)
        define(body, result, text, varying=carry.varying)


# ------------------------------------------------------------------------------- what varies in a loop


def varying_carries(body: Body, eqn: Eqn) -> list[bool]:
    """Which carries of a loop inside a vector loop differ between lanes."""
    found: set[Value] = set()
    _spread(body, eqn, found)
    return [result in found for result in eqn.results]


def _spread(body: Body, eqn: Eqn, found: set[Value]) -> None:
    """Add what varies in a nested equation (and its results) to ``found``."""
    inits = eqn.operands[2:] if eqn.op.name == "for" else eqn.operands if eqn.op.name == "while" else ()
    bodies = eqn.regions if eqn.op.name != "while" else eqn.regions[::-1]

    def varies(operand: Operand) -> bool:
        return type(operand) is Value and (operand in found or body.is_varying(operand))

    def param_lists() -> list[Sequence[Value]]:
        return [region.params[1:] if eqn.op.name == "for" else region.params for region in bodies]

    while True:
        size = len(found)
        for region, params in zip(bodies, param_lists(), strict=True):
            for position, init in enumerate(inits):
                if varies(init) or eqn.results[position] in found:
                    found.update((params[position], eqn.results[position]))
            for inner in region.eqns:
                if inner.regions:
                    _spread(body, inner, found)
                elif inner.op.name == "load":
                    if any(map(varies, inner.operands[1:])) or body.shared.memory(inner.operands[0]).lanes > 1:  # type: ignore[arg-type]
                        found.update(inner.results)
                elif any(map(varies, inner.operands)):
                    found.update(inner.results)
        if eqn.op.name == "while" and varies(bodies[1].results[0]):
            found.update(eqn.results)
        if eqn.op.name == "if" and varies(eqn.operands[0]):
            found.update(eqn.results)
        results = bodies[0].results if eqn.op.name == "while" else None
        for region in bodies if results is None else bodies[:1]:
            found.update(r for r, y in zip(eqn.results, region.results, strict=True) if varies(y))
        if len(found) == size:
            return


# ------------------------------------------------------------------------------------------- branches


@handles("if")
def emit_if(body: Body, eqn: Eqn) -> None:
    """Two branches; in lanes, both where lanes differ."""
    predicate = eqn.operands[0]
    if body.is_varying(predicate):
        _masked_if(body, eqn)
        return
    condition = body.scalar(predicate)
    labels, done = (body.label(), body.label()), body.label()
    body.branch(condition, *labels)
    ends = []
    for label, region in zip(labels, eqn.regions, strict=True):
        body.start(label)
        _nested(body, region)
        lines: list[str] = []
        body.out.append(lines)
        ends.append((region, lines, body.block))
        body.jump(done)
    body.start(done)
    for position, result in enumerate(eqn.results):
        yields = [region.results[position] for region, _, _ in ends]
        varying = any(map(body.is_varying, yields))
        incoming = [_at_end(body, y, lines, block, varying) for y, (_, lines, block) in zip(yields, ends, strict=True)]
        define(body, result, _merged(body, register(result.type.dtype, body.lanes if varying else 1), incoming), varying=varying)


def _at_end(body: Body, operand: Operand, lines: list[str], block: str, varying: bool) -> tuple[Any, str]:
    """The text of what a branch yields; instructions for it go to the branch's end."""
    if not varying:
        return body.scalar(operand), block
    mark, out, here = len(body.undo), body.out, body.block
    body.out, body.block = lines, block
    text = body.vector(operand)
    body.forget(mark)
    body.out, body.block = out, here
    return text, block


def _merged(body: Body, k: Any, incoming: Sequence[tuple[Any, str]]) -> Any:
    """A phi of texts (or of pairs of them)."""
    if isinstance(incoming[0][0], tuple):
        return tuple(_merged(body, k, [(text[side], block) for text, block in incoming]) for side in (0, 1))
    return body.op(f"phi {k.type} " + ", ".join([f"[{text}, %{block}]" for text, block in incoming]))


def _require_pure(eqn: Eqn) -> None:
    for region in eqn.regions:
        for inner in walk(region):
            if inner.op.name in _STORING:
                raise NotVectorisable


def _masked_if(body: Body, eqn: Eqn) -> None:
    """Both branches for the lanes that take them, then a choice."""
    _require_pure(eqn)
    outer_mask, k = body.mask, register(eqn.operands[0].type.dtype, body.lanes)
    condition = body.vector(eqn.operands[0])
    opposite = body.op(f"xor {k.type} {condition}, {k.number(True)}")
    texts = []
    for own, region in zip((condition, opposite), eqn.regions, strict=True):
        body.mask = own if outer_mask is None else body.op(f"and {k.type} {outer_mask}, {own}")
        texts.append(_for_some_lanes(body, region))
    body.mask = outer_mask
    for position, result in enumerate(eqn.results):
        r = register(result.type.dtype, body.lanes)
        body.vectors[result] = choose(body, r, condition, texts[0][position], texts[1][position], r.mask)


def _for_some_lanes(body: Body, region: Function) -> list[Any]:
    """A branch's results in all lanes; skipped where no lane takes it."""
    assert body.mask is not None
    if names(region.eqns).isdisjoint(("load", "for", "while", "if")):
        body.region(region)
        return [body.vector(r) for r in region.results]
    before, then, done = body.block, body.label(), body.label()
    body.branch(body.any_lane(named_register("bool", body.lanes), body.mask), then, done)
    body.start(then)
    mark = len(body.undo)
    _nested(body, region)
    texts = [body.vector(r) for r in region.results]
    body.forget(mark)
    last = body.block
    body.jump(done)
    body.start(done)
    return [
        _merged(body, register(r.type.dtype, body.lanes), [(text, last), (_nothing(text), before)])
        for r, text in zip(region.results, texts, strict=True)
    ]


def _nothing(text: Any) -> Any:
    return ("zeroinitializer", "zeroinitializer") if isinstance(text, tuple) else "zeroinitializer"


# ---------------------------------------------------------------------------------------------- while


@handles("while")
def emit_while(body: Body, eqn: Eqn) -> None:
    """A loop with a condition; in lanes, until no lane goes on."""
    condition, region = eqn.regions
    carries = _carries(body, eqn, condition.params, eqn.operands)
    before, head, then, done = body.block, body.label(), body.label(), body.label()
    head_lines: list[str] = []
    body.jump(head)
    body.start(head)
    body.out.append(head_lines)
    for carry in carries:
        carry.enter(body)
    outer_mask = body.mask
    active, mark = body.fresh(), len(body.undo)
    masked = _is_masked(body, eqn, carries)
    if masked:
        _require_pure(eqn)
        body.mask = active
    _nested(body, condition)
    test = condition.results[0]
    k = named_register("bool", body.lanes)
    if masked:
        going = body.op(f"and {k.type} {active}, {body.vector(test)}")
        body.mask = going
        body.branch(body.any_lane(k, going), then, done)
    else:
        going = body.scalar(test)
        body.branch(going, then, done)
    body.start(then)
    for carry, param in zip(carries, region.params, strict=True):
        define(body, param, carry.value(carry.names), varying=carry.varying)
    _nested(body, region)
    results = [carry.yielded(body, r) for carry, r in zip(carries, region.results, strict=True)]
    if masked:
        results = [_kept(body, carry, going, parts) for carry, parts in zip(carries, results, strict=True)]
    latch = body.block
    body.jump(head)
    for carry, parts in zip(carries, results, strict=True):
        head_lines.extend(carry.phis(carry.names, carry.first, before, parts, latch))
    if masked:
        start = outer_mask or k.number(True)
        head_lines.append(f"{active} = phi {k.type} [{start}, %{before}], [{going}, %{latch}]")
    body.mask = outer_mask
    body.forget(mark)
    body.start(done)
    for carry, result in zip(carries, eqn.results, strict=True):
        define(body, result, carry.value(carry.names), varying=carry.varying)


def _is_masked(body: Body, eqn: Eqn, carries: Sequence[_Carry]) -> bool:
    """Whether lanes leave the loop at different times: its condition depends on something that varies."""
    if body.loop is None:
        return False
    found = {carry.param for carry in carries if carry.varying}
    for inner in walk(eqn.regions[0]):
        if any(type(o) is Value and (o in found or body.is_varying(o)) for o in inner.operands):
            found.update(inner.results)
    test = eqn.regions[0].results[0]
    return test in found or body.is_varying(test) if type(test) is Value else False


def _kept(body: Body, carry: _Carry, going: str, parts: Sequence[str]) -> list[str]:
    """The new values of lanes that go on, the old ones of the others."""
    return [
        body.op(f"select {carry.k.mask} {going}, {carry.k.type} {new}, {carry.k.type} {old}")
        for new, old in zip(parts, carry.names, strict=True)
    ]
