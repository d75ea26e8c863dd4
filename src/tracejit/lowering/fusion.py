"""Which roots share a loop nest.

A :class:`Group` is a nest: loops over a common prefix of dims, and inside them one or more *phases* (inner loops
after one
another). A reduction and what consumes its result row by row share the prefix (softmax, norms); roots of one shape
share one
loop. A consumer that needs a whole reduction never shares the loop that makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tracejit.ir.builder import has_effect, is_check
from tracejit.ir.core import Eqn, Value
from tracejit.ir.dims import DimLike
from tracejit.lowering.analysis import (
    Program,
    Reads,
    identity_tags,
    reads_of,
    reads_of_root,
    reduce_mode,
    symbols_in,
)
from tracejit.lowering.checks import has_check

__all__ = ["Group", "Member", "Opaque", "Step", "mark_stored", "schedule"]

MOST_OPERATIONS = 600  # in one nest
LOOK_BACK = 8  # groups that a root may still join


@dataclass(eq=False)
class Member:
    """A root inside a group: a map over ``space``, or a reduction of its operand over ``space[kept:]``.

    A column reduction reduces the leading dims instead and keeps the last ``columns`` of them.
    """

    eqn: Eqn
    value: Value
    space: tuple[DimLike, ...]
    kept: int
    reads: Reads
    columns: int = 0
    phase: int = 0
    stored: bool = False

    @property
    def is_reduction(self) -> bool:
        """Whether it combines elements; else it is a map."""
        return self.kept < len(self.space)


@dataclass(eq=False)
class Group:
    """Roots that share one nest; ``prefix`` loops are common to all."""

    members: list[Member] = field(default_factory=list)
    prefix: int = 0
    position: int = 0

    @property
    def operations(self) -> int:
        """Operations of one iteration."""
        return sum(m.reads.operations for m in self.members)


@dataclass(eq=False)
class Opaque:
    """One operation that is lowered by itself: a library call, an in-place update, a region."""

    eqn: Eqn
    position: int = 0


Step = Group | Opaque


def schedule(program: Program, *, checks_apart: bool = False) -> list[Step]:
    """Order the roots into steps, fused where the nests agree.

    checks_apart: checks share nests with one another only, so that they are over before anything is written.
    """
    steps: list[Step] = []
    made_in: dict[Value | str, Step] = {}  # values, and size symbols bound by operations
    last_check = size_check = 0
    for eqn in program.function.eqns:
        if not (has_effect(eqn) or any(result in program.roots for result in eqn.results)):
            continue
        member = as_member(program, eqn)
        if member is None:
            step: Step = Opaque(eqn, len(steps))
            steps.append(step)
        else:
            # A check stays behind earlier ones: which of several fails first is seen from outside. What is computed
            # over computed sizes stays behind the checks of these.
            earliest = last_check if is_check(eqn) else size_check if member.reads.late else 0
            step = _place(member, steps, made_in, checks_apart, earliest)
        if has_check(eqn):
            last_check = step.position
        if eqn.op.name == "check":
            size_check = step.position + 1
        for result in eqn.results:
            made_in[result] = step
        if eqn.op.name == "bind_size":
            made_in[eqn.attrs["symbol"]] = step
    return steps


def as_member(program: Program, eqn: Eqn) -> Member | None:
    """The root as a map or an inner reduction; None for what is lowered by itself."""
    mode = reduce_mode(program, eqn)
    if mode == "inner":
        operand = eqn.operands[0]
        axes = eqn.attrs["axes"]
        kept = [a for a in range(operand.rank) if a not in axes]
        order = kept + sorted(axes)
        space = tuple(operand.dims[a] for a in order)
        tags: list[int | None] = [0] * operand.rank
        for loop, axis in enumerate(order):
            tags[axis] = loop
        reads = reads_of(program, [(operand, tuple(tags))], space)
        reads.late |= symbols_in(space) & program.late
        if order != sorted(order):
            reads.flat = False
        return Member(eqn, eqn.results[0], space, len(kept), reads)
    if mode == "outer" and sorted(eqn.attrs["axes"]) == list(range(len(eqn.attrs["axes"]))):
        operand = eqn.operands[0]
        reads = reads_of(program, [(operand, identity_tags(operand.dims))], operand.dims)
        reads.late |= symbols_in(operand.dims) & program.late
        return Member(eqn, eqn.results[0], operand.dims, 0, reads, eqn.results[0].rank)
    if not eqn.results:
        return None
    if mode is None and (not (eqn.op.elementwise or eqn.op.load) or eqn.op.name == "concatenate"):
        return None
    dims = eqn.results[0].dims
    return Member(eqn, eqn.results[0], dims, len(dims), reads_of_root(program, eqn))


def _place(
    member: Member, steps: list[Step], made_in: dict[Value | str, Step], checks_apart: bool, earliest: int
) -> Step:
    sources: list[Value | str] = [*member.reads.sources, *member.reads.late]
    for source in sources:
        step = made_in.get(source)
        if step is not None:
            earliest = max(earliest, step.position + (1 if isinstance(step, Opaque) else 0))
    for step in reversed(steps[max(earliest, len(steps) - LOOK_BACK) :]):
        if isinstance(step, Group) and not (checks_apart and is_check(member.eqn) != is_check(step.members[0].eqn)):
            if _join(step, member):
                return step
    group = Group([member], member.kept, len(steps))
    steps.append(group)
    return group


def _join(group: Group, member: Member) -> bool:
    """Add a member to a group if one nest can compute both."""
    if group.operations + member.reads.operations > MOST_OPERATIONS:
        return False
    inside = {m.value: m for m in group.members}
    dependencies = [(inside[s], access) for s, access in member.reads.sources.items() if s in inside]
    prefix = min([group.prefix, member.kept, *(access.prefix for _, access in dependencies)])
    longest = max((m.space for m in group.members), key=len)
    same_space = member.space == longest and all(m.space == longest for m in group.members)
    if member.space[:prefix] != longest[:prefix]:
        return False
    if any(m.is_reduction and m.kept != prefix for m in (*group.members, member)):
        return False
    phase = 0
    for source, access in dependencies:
        together = access.identity and not source.is_reduction and source.space == member.space
        phase = max(phase, source.phase + (0 if together else 1))
    if prefix == 0:
        styles = {m.columns for m in (*group.members, member) if m.is_reduction}
        if not (same_space and phase == 0 and member.space and len(styles) == 1):
            return False
    if not _worthwhile(group, member, prefix, same_space, bool(dependencies)):
        return False
    member.phase = phase
    group.members.append(member)
    group.prefix = prefix
    return True


def _worthwhile(group: Group, member: Member, prefix: int, same_space: bool, depends: bool) -> bool:
    """Whether sharing the loops saves anything: a nest that both want anyway, or a value that stays in registers."""
    if same_space and prefix == group.prefix == member.kept:
        return True
    if depends:
        return True
    shared = any(s in m.reads.sources for m in group.members for s in member.reads.sources if s.rank)
    return same_space and shared


def mark_stored(program: Program, steps: Sequence[Step]) -> None:
    """Mark the members whose value must be in memory: results, read by other steps, or by later phases."""
    made_by = {m.value: (step, m) for step in steps if isinstance(step, Group) for m in step.members}
    for step in steps:
        if isinstance(step, Opaque):
            for value in opaque_sources(program, step.eqn) & made_by.keys():
                made_by[value][1].stored = True
            continue
        for member in step.members:
            member.stored = member.stored or member.value in program.results
            for source in member.reads.sources.keys() & made_by.keys():
                home, maker = made_by[source]
                later = maker.phase < member.phase and maker.kept > step.prefix
                if home is not step or later:
                    maker.stored = True


def opaque_sources(program: Program, eqn: Eqn) -> set[Value]:
    """Everything that lowering this operation by itself may read."""
    found: set[Value] = set()
    for operand in eqn.operands:
        if isinstance(operand, Value):
            found |= reads_of(program, [(operand, identity_tags(operand.dims))], operand.dims).sources.keys()
    return found
