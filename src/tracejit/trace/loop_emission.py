"""A traced loop body as an operation of the IR: ``fori_loop``, or ``while_loop`` where it may end early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracejit.ir.core import Literal, Operand, Value
from tracejit.ir.types import scalar
from tracejit.trace.branches import owners_of
from tracejit.trace.conditions import opposite, truth_of
from tracejit.trace.context import Trace
from tracejit.trace.loop_body import Attempt, LoopBody
from tracejit.trace.loop_results import hand_out, local_variables
from tracejit.trace.pytree import unflatten
from tracejit.trace.region import Inputs, UnstageableError, emit_regions, finish, region_of
from tracejit.trace.scalar import number
from tracejit.trace.state import get, operand_as, put
from tracejit.trace.values import dim_value, emit, late_dim, literal

__all__ = ["emit_loop"]


def emit_loop(loop: LoopBody, attempt: Attempt) -> None:
    """Emit the operation, and give the variables their values after the loop."""
    region = attempt.region
    locals_ = local_variables(loop, attempt)
    stopped = _flag(loop, attempt)
    condition = None
    if attempt.indexed is None or stopped is not None:
        condition = _condition(loop, attempt, stopped)
    regions = [region] if condition is None else [condition.region, region]
    inputs = Inputs(loop.outer, regions)
    if condition is not None and condition.region.written:
        raise UnstageableError("its test writes into an array")
    attempt.no_turn = _no_turn(loop, attempt)
    inits = [operand_as(leaf, kind) for leaf, kind in zip(attempt.inits, attempt.kinds, strict=True)]
    inits += [local.init for local in locals_] + inputs.memory()
    params = [*attempt.params, *(local.param for local in locals_), *inputs.written_params(region)]
    with region.builder:
        results = [*attempt.results, *(local.end for local in locals_), *inputs.results(region)]
    if condition is not None:
        values = _emit_while(attempt, condition, inputs, inits, params, results)
    else:
        values = _emit_for(attempt, inputs, inits, params, results)
    hand_out(loop, attempt, locals_, values, inputs)


def _no_turn(loop: LoopBody, attempt: Attempt) -> Any:
    """Whether the loop has no turn, where an array is that of an argument then."""
    owned = any(
        borrowed and kind is not None and owners_of(leaf)
        for entry in attempt.names
        for leaf, kind, borrowed in zip(entry.leaves, entry.kinds, entry.borrowed, strict=True)
    )
    if not owned:
        return False
    indexed = attempt.indexed
    if indexed is None:
        assert loop.test is not None
        return opposite(loop.test())
    count = indexed.stop - indexed.start
    if loop.outer.sizes.proves(count - 1):
        return False
    return number(emit("le", dim_value(count), dim_value(0)), bool)


def _emit_for(
    attempt: Attempt, inputs: Inputs, inits: list[Operand], params: list[Value], results: list[Operand]
) -> tuple[Operand, ...]:
    region, indexed = attempt.region, attempt.indexed
    assert indexed is not None and attempt.index is not None
    body = finish(region, [attempt.index, *params, *inputs.constant_params(region)], results, "body")
    bounds = [dim_value(indexed.start), dim_value(indexed.stop)]
    return tuple(emit_regions("fori_loop", [*bounds, *inits, *inputs.constants], (body,), carries=len(inits)))


def _emit_while(
    attempt: Attempt,
    condition: _Condition,
    inputs: Inputs,
    inits: list[Operand],
    params: list[Value],
    results: list[Operand],
) -> tuple[Operand, ...]:
    region, own = attempt.region, condition.region
    first: list[Operand] = []
    constant_params = inputs.constant_params(region)
    if attempt.indexed is not None:
        assert attempt.index is not None
        params, first = [attempt.index, *params], [dim_value(attempt.indexed.start)]
        with region.running():
            results = [emit("add", attempt.index, literal(1, scalar("i64").dtype)), *results]
    body = finish(region, [*params, *constant_params], results, "body")
    heads = [own.builder.param(p.type) for p in params[len(condition.params) :]]
    memory = dict(zip(inputs.written_params(region), inputs.written_params(own), strict=True))
    ordered = [*condition.params, *heads]
    for position, param in enumerate(params):
        if param in memory:
            ordered[position] = memory[param]
    test = finish(own, [*ordered, *inputs.constant_params(own)], [condition.result], "test")
    values = emit_regions("while_loop", [*first, *inits, *inputs.constants], (test, body), carries=len(params))
    return tuple(values[len(first) :])


@dataclass
class _Condition:
    """The region that says whether there is one more turn."""

    region: Trace
    params: list[Value]
    result: Operand


def _condition(loop: LoopBody, attempt: Attempt, stopped: int | None) -> _Condition:
    with region_of(loop.outer) as region:
        params: list[Value] = []
        index = None
        if attempt.indexed is not None:
            index = region.builder.param(scalar("i64"))
            params.append(index)
        leaf_params = [region.builder.param(kind.type) for kind in attempt.kinds]
        params += leaf_params
        if loop.test is not None:
            result = _test(loop, attempt, leaf_params)
        else:
            assert stopped is not None and attempt.indexed is not None and index is not None
            inside = emit("lt", index, dim_value(attempt.indexed.stop))
            going = emit("logical_not", leaf_params[stopped])
            result = emit("bitwise_and", inside, going)
    return _Condition(region, params, result)


def _test(loop: LoopBody, attempt: Attempt, params: list[Value]) -> Operand:
    assert loop.test is not None
    before = {name: get(cell) for name, cell in loop.cells.items()}
    rooms = [size.room for size in loop.sizes.computed]
    sizes = [late_dim(param, 0, room) for param, room in zip(params, rooms, strict=False)]
    try:
        for name, leaves in attempt.entered(params, sizes).items():
            put(loop.cells[name], unflatten(next(e.tree for e in attempt.names if e.name == name), leaves))
        going = truth_of(loop.test())
    finally:
        for name, value in before.items():
            put(loop.cells[name], value)
    return literal(going, scalar("bool").dtype) if isinstance(going, bool) else going.operand()


def _flag(loop: LoopBody, attempt: Attempt) -> int | None:
    """The position of the leaf that ends the loop early, if any turn may set it."""
    if loop.stopped is None:
        return None
    position = attempt.counted
    for entry in attempt.names:
        for kind in entry.kinds:
            if kind is None:
                continue
            if entry.name == loop.stopped and not _is_false(attempt.results[position]):
                return position
            position += 1
    return None


def _is_false(flag: Operand) -> bool:
    return isinstance(flag, Literal) and not flag.value
