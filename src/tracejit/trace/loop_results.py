"""What the variables of a loop hold after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.ir.core import Operand, Value
from tracejit.ir.dims import DimLike, substitute, symbols_of
from tracejit.ir.types import scalar
from tracejit.trace.array import TracedArray
from tracejit.trace.branches import owners_of
from tracejit.trace.iteration import Indexed
from tracejit.trace.jumps import VALUE
from tracejit.trace.location import describe, user_location
from tracejit.trace.loop_body import Attempt, LoopBody
from tracejit.trace.maybe import Maybe, made
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.region import CarryError, Inputs, UnstageableError
from tracejit.trace.scalar import SymbolicInt, python_size
from tracejit.trace.state import (
    UNDEFINED,
    Kind,
    ambiguous,
    enter,
    get,
    is_outside,
    join,
    kind_of,
    operand_as,
    put,
    zeros,
)
from tracejit.trace.storage import Storage, lose_twins, make_twins
from tracejit.trace.values import dim_value, late_dim, literal
from tracejit.trace.varying import SIZE

__all__ = ["Local", "NoTurnError", "hand_out", "local_variables"]


class NoTurnError(Exception):
    """Variables that only a turn sets are read after the loop, which in this call has no turn."""


@dataclass
class Local:
    """A leaf of a variable that each turn sets anew, and that is read after the loop."""

    name: str
    kind: Kind
    init: Operand
    param: Value
    end: Operand
    sources: list[Storage] = field(default_factory=list)  # memory of which it may be a copy
    room: DimLike = 0  # of a size that varies: the most it can be


def local_variables(loop: LoopBody, attempt: Attempt) -> list[Local]:
    """Variables that are set in each turn and read after the loop."""
    found: list[Local] = []
    known = {entry.name for entry in attempt.names}
    wanted = [n for n in loop.assigned if n in loop.needed and n not in known]
    for name in wanted:
        value = attempt.ends[name]
        if isinstance(value, Maybe) and value.name is not None:
            raise CarryError(name)
        if value is UNDEFINED or _last(loop, value, attempt.indexed) is not None:
            continue
        if _last_view(loop, value, attempt) is not None:
            continue
        _check_old(loop, attempt, name, value)
        for leaf in flatten(value)[0]:
            kind = _computed_kind(attempt, name, leaf)
            if kind is not None:
                kind = _varying(loop, attempt, kind, found)
                found.append(_local(loop, attempt, name, leaf, kind))
    if attempt.only_inside:
        param = attempt.region.builder.param(BOOL_KIND.type)
        yes, no = (literal(flag, BOOL_KIND.type.dtype) for flag in (True, False))
        found.append(Local(_RAN, BOOL_KIND, no, param, yes))
    return found


def _computed_kind(attempt: Attempt, name: str, leaf: Any) -> Kind | None:
    """The kind of a leaf that a turn gives anew; None for one that is the same after each turn in which it is set."""
    if name == VALUE and isinstance(leaf, TracedArray) and not leaf.views and leaf.storage.trace is not attempt.region:
        return None
    return kind_of(leaf)


def _check_old(loop: LoopBody, attempt: Attempt, name: str, value: Any) -> None:
    """Without a turn a variable is what it was: carried, unless it had no value, which a flag tells then."""
    old = get(loop.cells[name])
    kinds, before = ([kind_of(leaf) for leaf in flatten(v)[0]] for v in (value, old))
    fits = old is value or (
        flatten(old)[1] == flatten(value)[1] and None not in kinds + before and all(map(_fits, before, kinds))
    )
    if fits or name == VALUE or loop.certainly_runs(attempt.indexed):
        return
    if attempt.indexed is not None and not loop.runs_once(attempt.indexed, late=True):
        raise NoTurnError
    if old is not UNDEFINED:
        raise CarryError(name)
    attempt.only_inside.add(name)


def _fits(old: Kind | None, kind: Kind | None) -> bool:
    return old is not None and kind is not None and join(old, kind) == kind


_SIZE, _RAN = "a size", "a turn"  # no names of variables
BOOL_KIND = Kind("python", scalar("bool"), bool)


def _varying(loop: LoopBody, attempt: Attempt, kind: Kind, found: list[Local]) -> Kind:
    """The kind of an array whose size a turn computes, and that size."""
    sizes = loop.outer.sizes
    late = [sizes.is_late(dim) for dim in kind.type.dims]
    if not any(late):
        return kind
    dims = list(kind.type.dims)
    numbers: list[int | None] = [None] * kind.type.rank
    for axis, dim in enumerate(kind.type.dims):
        room = sizes.upper_bound(dim) if late[axis] else None
        if room is None:
            if late[axis]:
                raise UnstageableError(f"nobody knows how large {kind} is, which is read after the loop")
            continue
        param = attempt.region.builder.param(SIZE.type)
        with attempt.region.running():
            end = dim_value(dim)
        attempt.region.active = True
        numbers[axis] = sum(local.name == _SIZE for local in found)
        found.append(Local(_SIZE, SIZE, literal(0, SIZE.type.dtype), param, end, room=room))
        dims[axis] = room
    return replace(kind, type=kind.type.with_dims(tuple(dims)), varying=tuple(numbers))


def _local(loop: LoopBody, attempt: Attempt, name: str, leaf: Any, kind: Kind) -> Local:
    old = get(loop.cells[name])
    fits = old is not UNDEFINED and not kind.varying and _fits(kind_of(old), kind)
    if not fits and attempt.indexed is not None and not loop.runs_once(attempt.indexed, late=True):
        raise NoTurnError
    init = operand_as(old, kind) if fits else zeros(kind)
    param = attempt.region.builder.param(kind.type)
    with attempt.region.running():
        end = operand_as(leaf, kind)
    attempt.region.active = True
    shown = [x.storage for x in ([old] if fits else []) + [leaf] if isinstance(x, TracedArray)]
    return Local(name, kind, init, param, end, [s for s in shown if s.trace is not attempt.region])


def _last(loop: LoopBody, value: Any, indexed: Indexed | None) -> Any:
    """The last value of what follows the loop's index, where that is a size; None for the rest."""
    if indexed is None or not isinstance(value, SymbolicInt) or loop.stopped is not None:
        return None
    sizes = loop.outer.sizes
    if not sizes.is_late(value.dim):
        return value
    name = next((n for n, (low, high) in sizes.late.items() if _is_index(n, value.dim, indexed, low, high)), None)
    if name is None or not loop.runs_once(indexed):
        return None
    return python_size(substitute(value.dim, {name: indexed.stop - 1}))


def _last_view(loop: LoopBody, value: Any, attempt: Attempt) -> TracedArray | None:
    """The part of an array that the last turn was about, for a variable that is such a part itself."""
    indexed = attempt.indexed
    if not isinstance(value, TracedArray) or indexed is None or loop.stopped is not None or loop.group != 1:
        return None
    parts = flatten(attempt.item)[0]
    for position, part in enumerate(parts):
        if isinstance(part, TracedArray) and part.storage.trace is not attempt.region and part.shares_place(value):
            if not loop.runs_once(indexed):
                return None
            last = flatten(indexed.item(python_size(indexed.stop - 1)))[0][position]
            return last if isinstance(last, TracedArray) else None
    return None


def _is_index(name: str, dim: DimLike, indexed: Indexed, low: Any, high: Any) -> bool:
    """Whether a late symbol in a dim is the index of a loop over these bounds."""
    return name in symbols_of(dim) and low == indexed.start and high == indexed.stop - 1


def hand_out(
    loop: LoopBody, attempt: Attempt, locals_: Sequence[Local], values: Sequence[Operand], inputs: Inputs
) -> None:
    """Give the variables their values after the loop."""
    position = len(attempt.kinds)
    inputs.write_back(values[position + len(locals_) :])
    _hand_out_carried(loop, attempt, values)
    lose_twins(attempt.region, loop.outer)
    known = {entry.name for entry in attempt.names}
    given: dict[str, list[Any]] = {}
    sizes: list[DimLike] = []
    ran: Any = True
    for local, value in zip(locals_, values[position:], strict=False):
        if local.name == _SIZE:
            sizes.append(late_dim(value, 0, local.room))
            continue
        entered = enter(value, local.kind, sizes=sizes)
        if local.name == _RAN:
            ran = entered
            continue
        given.setdefault(local.name, []).append(entered)
        for source in local.sources:
            make_twins(entered.storage, source)
    for name in loop.assigned:
        if name not in known:
            _hand_out_local(loop, attempt, name, given.get(name))
            if name in attempt.only_inside:
                put(loop.cells[name], made(name, (ran, get(loop.cells[name]))))


def _hand_out_local(loop: LoopBody, attempt: Attempt, name: str, given: list[Any] | None) -> None:
    end, needed, cell = attempt.ends[name], name in loop.needed, loop.cells[name]
    last = _last(loop, end, attempt.indexed) if needed else None
    if last is None and needed:
        last = _last_view(loop, end, attempt)
    if last is not None:
        put(cell, last)
    elif given is not None:
        leaves, tree = flatten(end)
        fresh = iter(given)
        put(cell, unflatten(tree, [x if _computed_kind(attempt, name, x) is None else next(fresh) for x in leaves]))
    elif end is UNDEFINED:
        return
    elif not needed:
        put(cell, UNDEFINED)
    elif all(_computed_kind(attempt, name, leaf) is None for leaf in flatten(end)[0]):
        put(cell, end)


def _hand_out_carried(loop: LoopBody, attempt: Attempt, values: Sequence[Operand]) -> None:
    rooms = [size.room for size in loop.sizes.computed]
    computed = [late_dim(value, 0, room) for value, room in zip(values, rooms, strict=False)]
    entered = attempt.entered(values, loop.sizes.final(computed))
    indexed = attempt.indexed
    certain = indexed is not None and loop.outer.sizes.proves(indexed.stop - indexed.start - 1)
    for entry in attempt.names:
        leaves = entered[entry.name]
        ends = attempt.end_leaves[entry.name]
        parts = zip(leaves, entry.kinds, entry.borrowed, ends, entry.sources, entry.leaves, strict=True)
        for leaf, kind, borrowed, end, sources, initial in parts:
            if kind is not None and borrowed:
                if attempt.no_turn is not False and not is_outside(end, None):
                    leaf.storage.owners = dict.fromkeys(owners_of(initial), attempt.no_turn)
                ambiguous(leaf, _why_ambiguous(loop, attempt, entry.name, end))
            for source in sources if kind is not None else ():
                make_twins(leaf.storage, source)
        if certain:
            leaves = [end if isinstance(end, bool) else leaf for leaf, end in zip(leaves, ends, strict=True)]
        put(loop.cells[entry.name], unflatten(entry.tree, leaves))


def _why_ambiguous(loop: LoopBody, attempt: Attempt, name: str, end: Any) -> Callable[[], str]:
    """Why an array must not be written after the loop: it may be memory that it showed before."""
    where, fresh = describe(user_location()), not is_outside(end, None)

    def reason() -> str:
        if fresh and attempt.indexed is not None and loop.runs_once(attempt.indexed):
            return ""
        return (
            f"{name!r} may be the memory of an argument or not, depending on how often a loop runs ({where}); "
            "copy it before writing into it"
        )

    return reason
