"""What is known of truth values in the branch that is being traced: ``x is None`` holds in one side of an ``if``.

A fact belongs to a trace and holds for what is traced in it from then on. A *meaning* says which facts follow where a
computed truth value is true, and which where it is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracejit.ir.core import Literal, Operand
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.scalar import TracedNumber

__all__ = ["Fact", "add_facts", "facts_of", "known_truth", "negated", "note_meaning", "outer_facts"]

Fact = tuple[Operand, bool]


def note_meaning(value: object, *, true: Iterable[Fact] = (), false: Iterable[Fact] = ()) -> None:
    """Note what follows where a truth value, made in the current trace, holds or does not hold."""
    if isinstance(value, TracedNumber):
        current_trace().meanings[value.operand()] = {True: tuple(true), False: tuple(false)}


def negated(flag: TracedNumber) -> TracedNumber:
    """``not flag``."""
    found = TracedNumber(current_trace().builder.emit(PRIMITIVES["logical_not"], (flag.operand(),))[0], bool)
    note_meaning(found, true=[(flag.operand(), False)], false=[(flag.operand(), True)])
    return found


def facts_of(operand: Operand, holds: bool, trace: Trace) -> list[Fact]:
    """All that follows from a truth value of a trace; also about operands of traces around it."""
    found: list[Fact] = []
    pending: list[Fact] = [(operand, holds)]
    while pending:
        value, truth = pending.pop()
        for same in _outwards(value, trace):
            if isinstance(same, Literal) or (same, truth) in found:
                continue
            found.append((same, truth))
            meaning = trace.meanings.get(same)
            if meaning is not None:
                pending.extend(meaning[truth])
    return found


def outer_facts(operand: Operand, holds: bool, region: Trace) -> list[Fact]:
    """What follows from a truth value of a region about operands of the traces around it."""
    own = {result for eqn in region.builder.eqns for result in eqn.results} | set(region.builder.params)
    return [(value, truth) for value, truth in facts_of(operand, holds, region) if value not in own]


def add_facts(trace: Trace, facts: Iterable[Fact]) -> None:
    """Let facts hold in a trace from now on."""
    trace.facts.update(facts)


def known_truth(value: object) -> bool | None:
    """The truth value where it is known in the current trace."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, TracedNumber) or value.python_type is not bool:
        return None
    scopes = [current_trace()]
    while scopes[-1] is not value.owner:
        parent = scopes[-1].parent
        if parent is None:
            return None
        scopes.append(parent)
    names = _names(value.raw, scopes)
    scope: Trace | None = scopes[0]
    while scope is not None:
        for name in names if scope.facts else ():
            if name in scope.facts:
                return scope.facts[name]
        scope = scope.parent
    return None


def _names(operand: Operand, scopes: list[Trace]) -> list[Operand]:
    """What an operand of the last of these traces is called in all of them and around them; each is inside the next."""
    found = [*_outwards(operand, scopes[-1])]
    for inner in reversed(scopes[:-1]):
        param = inner.lifted(operand)
        if param is None:
            break
        found.append(operand := param)
    return found


def _outwards(operand: Operand, trace: Trace | None) -> Iterator[Operand]:
    """An operand of a trace, and what it is called in the traces around it."""
    yield operand
    while trace is not None and operand in trace.outer_of:
        operand = trace.outer_of[operand]
        yield operand
        trace = trace.parent
