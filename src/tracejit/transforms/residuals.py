"""What a linear region needs of the values computed before it: which to save, which to compute once more."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Operand, Value
from tracejit.ir.dims import symbols_of
from tracejit.transforms.reverse import linear_equations

__all__ = ["Split", "split_region"]

# Saving these instead of their operand would save the same information in more memory.
_REPEATED = {"broadcast", "reshape", "transpose", "neg"}
_CHEAP = _REPEATED | {"slice", "real", "imag"}


@dataclass(frozen=True, slots=True)
class Split:
    """The linear part of a region.

    linear:     its equations, without those that no result needs.
    saved:      known values to be carried over from the known part.
    recomputed: known equations to be emitted again before the linear ones.
    """

    linear: tuple[Eqn, ...]
    saved: tuple[Value, ...]
    recomputed: tuple[Eqn, ...]

    def emit(self, builder: Builder, environment: dict[Operand, Operand], results: Sequence[Operand]) -> list[Operand]:
        """Emit the linear part; ``environment`` has the seeds, ``saved`` and the free params."""
        for eqn in (*self.recomputed, *self.linear):
            operands = tuple(environment.get(o, o) for o in eqn.operands)
            emitted = builder.emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
            environment.update(zip(eqn.results, emitted, strict=True))
        return [environment.get(r, r) for r in results]


def split_region(
    eqns: Sequence[Eqn],
    params: Sequence[Value],
    free: Sequence[Value],
    seeds: Sequence[Value],
    results: Sequence[Operand],
    again: AbstractSet[Operand] = frozenset(),
    *,
    recompute: bool = False,
) -> Split:
    """Divide the equations of a region whose linear inputs are ``seeds`` and whose linear outputs are ``results``.

    free: the params that the linear part can read without their being saved.
    again: values that are better computed again than saved, whatever they cost.
    recompute: save only params, and compute everything else again.
    """
    linear, wanted = _needed(linear_equations(eqns, seeds), seeds, results)
    skip = {id(eqn) for eqn in linear_equations(eqns, seeds)}
    known = [eqn for eqn in eqns if id(eqn) not in skip]
    if linear:  # sizes that the region binds may stand in the dims of any of the linear equations
        wanted.update(o for eqn in known if eqn.op.name == "bind_size" for o in _values(eqn))
    if recompute:
        recomputed, used = _recomputed(known, (), wanted)
        return Split(linear, tuple(p for p in params if p in used and p not in free), recomputed)
    constant = _constant(known, free)
    again = again | _of_inner_sizes(known)
    _prefer_sources(known, params, constant, wanted, again)
    saved = _saved(known, params, constant, wanted, again)
    return Split(linear, tuple(saved), _recomputed(known, saved, wanted)[0])


def _needed(
    linear: Sequence[Eqn], seeds: Sequence[Value], results: Sequence[Operand]
) -> tuple[tuple[Eqn, ...], set[Operand]]:
    """The linear equations that results need, and the known values that those read."""
    needed: set[Operand] = {r for r in results if isinstance(r, Value)}
    kept = []
    for eqn in reversed(linear):
        if not needed.isdisjoint(eqn.results):
            kept.append(eqn)
            needed.update(o for o in eqn.operands if isinstance(o, Value))
    needed.difference_update(seeds)
    for eqn in linear:
        needed.difference_update(eqn.results)
    return tuple(reversed(kept)), needed


def _values(eqn: Eqn) -> list[Value]:
    return [o for o in eqn.operands if isinstance(o, Value)]


def _constant(known: Sequence[Eqn], free: Sequence[Value]) -> set[Operand]:
    """The values that follow from free params alone."""
    constant: set[Operand] = set(free)
    for eqn in known:
        if not eqn.regions and eqn.op.effect is None and constant.issuperset(_values(eqn)):
            constant.update(eqn.results)
    return constant


def _of_inner_sizes(known: Sequence[Eqn]) -> set[Operand]:
    """The values whose dims the region itself binds: those of different iterations do not stack."""
    bound = {eqn.attrs["symbol"] for eqn in known if eqn.op.name == "bind_size"}
    if not bound:
        return set()
    return {r for eqn in known for r in eqn.results if any(not bound.isdisjoint(symbols_of(d)) for d in r.type.dims)}


def _prefer_sources(
    known: Sequence[Eqn],
    params: Sequence[Value],
    constant: set[Operand],
    wanted: set[Operand],
    again: AbstractSet[Operand],
) -> None:
    """Want ``x`` too where its repetition, or several functions of it alone (``sin(x)`` and ``cos(x)``), are wanted."""
    bytes_of: dict[Operand, int] = {}  # for each source, of what would be saved in its place
    for eqn in reversed(known):
        for result in eqn.results:
            if bytes_of.get(result, 0) > result.dtype.itemsize:
                wanted.add(result)
        if wanted.isdisjoint(eqn.results):
            continue
        result = eqn.results[0]
        if not again.isdisjoint(eqn.results):
            wanted.update(_values(eqn))
            continue
        sources = {o for o in _values(eqn) if o not in constant}
        if result not in wanted or len(sources) != 1 or result in constant:
            continue
        (source,) = sources
        if eqn.op.name in _REPEATED:
            wanted.add(source)
        elif eqn.op.elementwise and source.rank <= result.rank:
            bytes_of[source] = bytes_of.get(source, 0) + result.dtype.itemsize
    wanted.update(p for p in params if bytes_of.get(p, 0) > p.dtype.itemsize)


def _saved(
    known: Sequence[Eqn],
    params: Sequence[Value],
    constant: set[Operand],
    wanted: set[Operand],
    again: AbstractSet[Operand],
) -> list[Value]:
    """A wanted value is saved unless it follows from free params, or cheaply from what is saved anyway."""
    saved = [p for p in params if p in wanted and p not in constant]
    available = constant | set(saved)
    for eqn in known:
        if constant.issuperset(eqn.results):
            continue
        repeatable = eqn.op.elementwise or eqn.op.name in _CHEAP or not again.isdisjoint(eqn.results)
        if repeatable and available.issuperset(_values(eqn)):
            available.update(eqn.results)
        else:
            found = [r for r in eqn.results if r in wanted]
            saved.extend(found)
            available.update(found)
    return saved


def _recomputed(
    known: Sequence[Eqn], saved: Sequence[Value], wanted: set[Operand]
) -> tuple[tuple[Eqn, ...], set[Operand]]:
    """The equations that give the wanted values that are not saved, and everything they read."""
    needed = wanted.difference(saved)
    kept = []
    for eqn in reversed(known):
        binds = eqn.op.name == "bind_size" and wanted.issuperset(_values(eqn))
        if binds or not needed.isdisjoint(eqn.results):
            kept.append(eqn)
            needed.update(o for o in eqn.operands if isinstance(o, Value) and o not in saved)
    return tuple(reversed(kept)), needed
