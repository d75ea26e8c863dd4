"""Branches and ``while`` loops. Where lanes of a vector loop go different ways, code runs for those that need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, choose, handles
from tracejit.codegen_llvm.emit_loops import Carry, carries_of, define, nested
from tracejit.codegen_llvm.registers import Register, named_register, register
from tracejit.codegen_llvm.target_cpu import names
from tracejit.ir.core import Eqn, Function, Operand, Value, walk

__all__ = ["emit_if", "emit_while"]

_STORING = frozenset({"store", "gemm", "alloc", "sort_line", "argsort_line", "random_line", "call_library"})

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
        nested(body, region)
        lines: list[str] = []
        body.out.append(lines)
        ends.append((region, lines, body.block))
        body.jump(done)
    body.start(done)
    for position, result in enumerate(eqn.results):
        yields = [region.results[position] for region, _, _ in ends]
        varying = any(map(body.is_varying, yields))
        incoming = [_at_end(body, y, lines, block, varying) for y, (_, lines, block) in zip(yields, ends, strict=True)]
        k = register(result.type.dtype, body.lanes if varying else 1)
        define(body, result, _merged(body, k, incoming), varying=varying)


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


def _merged(body: Body, k: Register, incoming: Sequence[tuple[Any, str]]) -> Any:
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
    nested(body, region)
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
    carries = carries_of(body, eqn, condition.params, eqn.operands)
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
    nested(body, condition)
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
    nested(body, region)
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


def _is_masked(body: Body, eqn: Eqn, carries: Sequence[Carry]) -> bool:
    """Whether lanes leave the loop at different times: its condition depends on something that varies."""
    if body.loop is None:
        return False
    found = {carry.param for carry in carries if carry.varying}
    for inner in walk(eqn.regions[0]):
        if any(type(o) is Value and (o in found or body.is_varying(o)) for o in inner.operands):
            found.update(inner.results)
    test = eqn.regions[0].results[0]
    return test in found or body.is_varying(test) if type(test) is Value else False


def _kept(body: Body, carry: Carry, going: str, parts: Sequence[str]) -> list[str]:
    """The new values of lanes that go on, the old ones of the others."""
    return [
        body.op(f"select {carry.k.mask} {going}, {carry.k.type} {new}, {carry.k.type} {old}")
        for new, old in zip(parts, carry.names, strict=True)
    ]
