"""The driver: orders the steps, gives every value its memory, emits the nests.

Array-level IR never overwrites anything. Here a value may take over the memory of one that nobody reads any more:
results that
are aliased to a param are written into it, updates of a slice become stores. Where that is not safe a copy is made
first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import Builder, current_builder, is_check, symbols_in
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.dims import DimLike
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.loops import record_type
from tracejit.ir.primitive import Index
from tracejit.ir.types import BufferType
from tracejit.lowering.analysis import analyse
from tracejit.lowering.checks import checks_first
from tracejit.lowering.decompose import decompose
from tracejit.lowering.fusion import Group, Member, Opaque, Step, mark_stored, opaque_sources, schedule
from tracejit.lowering.loops import allocate, store
from tracejit.lowering.nests import emit_group, map_loops
from tracejit.lowering.opaque import emit_opaque
from tracejit.lowering.overwriting import overwritten
from tracejit.lowering.pack import pack
from tracejit.lowering.reader import Reader, flattened
from tracejit.lowering.selections import over_all_elements
from tracejit.lowering.single_thread import single_thread
from tracejit.lowering.sorting import LibrarySorts, no_library

__all__ = ["Lowering", "lower"]


def lower(
    function: Function,
    hints: Mapping[str, int] | None = None,
    *,
    parallel: bool = True,
    library_sorts: LibrarySorts = no_library,
) -> Function:
    """The loop-level form of an array-level function.

    hints: sizes seen at trace time, by symbol; they steer the choice of loops, never the meaning.
    parallel: whether loops may be spread over threads.
    library_sorts: which lines a library sorts (``sort_line``, ``argsort_line``); all others become loops.
    The result's params are buffers: one for each param, then one for each result that is not aliased to a param: its
    memory, or where the program computes its size, the record of the memory that the kernel claims for it.
    Raises UnsupportedError for operations without a loop form.
    """
    function = checks_first(decompose(over_all_elements(function)))
    builder = Builder()
    with builder:
        params = [builder.param(BufferType(p.type.dtype, p.type.dims), p.loc) for p in function.params]
        slots, records = [], {}
        known = set(function.symbols())
        for position, result in enumerate(function.results):
            if position in function.aliases:
                slots.append(params[function.aliases[position]])
            elif symbols_in(result.type) <= known:
                slots.append(builder.param(BufferType(result.type.dtype, result.type.dims), result.loc))
            else:
                slots.append(Value(BufferType(result.type.dtype, result.type.dims), result.loc))
                records[slots[-1]] = builder.param(record_type(result.rank), result.loc)
        callers = {params[k] for k in function.aliases.values()}
        lowering = Lowering(function, hints or {}, slots, callers, records=records, library_sorts=library_sorts)
        for param, buffer in zip(lowering.function.params, params, strict=True):
            lowering.reader.storage[param] = buffer
        lowering.run()
        loops = builder.finish([], name=function.name, sizes=function.sizes, guards=function.guards)
        return loops if parallel else single_thread(loops)


class Lowering:
    """One function (or region) being lowered into the current builder.

    slots: the buffer that each result must end up in; for a result aliased to a param, the param's own.
    callers: the buffers among them that the caller of the kernel sees, which nothing may change before the last check.
    records: for each slot that does not exist yet, where to note the memory that is claimed for it.
    kept: scalars that are wanted besides. depth: how many loops and branches are around.
    library_sorts: as for :func:`lower`.
    The caller puts the params into ``reader.storage`` or makes them known scalars, then calls :meth:`run`.
    """

    def __init__(
        self,
        function: Function,
        hints: Mapping[str, int],
        slots: Sequence[Value],
        callers: Collection[Value] = (),
        *,
        records: Mapping[Value, Value] | None = None,
        kept: Collection[Value] = (),
        depth: int = 0,
        library_sorts: LibrarySorts = no_library,
    ) -> None:
        self.depth = depth
        self.library_sorts = library_sorts
        self._records = dict(records or {})
        self.roomy: dict[Value, Value] = {}  # claimed memory -> the same with room for one element more
        self.program = analyse(function, hints, kept) if depth else pack(analyse(function, hints))
        self.function = self.program.function
        self.reader = Reader(self.program, depth)
        self.callers = callers
        self.steps = schedule(self.program, checks_apart=bool(callers))
        self.last_check = max((step.position for step in self.steps if any(map(is_check, _eqns(step)))), default=-1)
        mark_stored(self.program, self.steps)
        self.slots = list(slots)
        self.position = 0
        self.home: dict[Value, Value] = {}
        self.alias_home: dict[Value, tuple[Value, Value]] = {}  # value -> (param, its buffer)
        self.copies: list[tuple[Value, Value]] = []
        self.last_read: dict[Value, int] = {}
        self._by_end: dict[int, list[Value]] = {}
        self._owned: set[Value] = set()
        self._holders: dict[Value, set[Value]] = {}  # buffer -> values that it holds, until nobody reads them
        self._free: dict[tuple[np.dtype[Any], tuple[DimLike, ...]], list[Value]] = {}

    # ------------------------------------------------------------------------------------------------ driver

    def run(self) -> None:
        """Emit everything."""
        self._note_reads()
        self._assign_homes()
        for step in self.steps:
            self.position = step.position
            self._claimed: set[Value] = set()
            for value in _made(step):
                self._claim(self.home.get(value))
            if isinstance(step, Group):
                emit_group(self.reader, step, lambda member, group=step: self.target(member, group))  # type: ignore[misc]
            else:
                emit_opaque(self, step.eqn)
            self._settle(step)
        self._copy_results()

    def _claim(self, slot: Value | None) -> None:
        """Claim memory of a computed size when something is about to be made there: then its size has been checked."""
        record = None if slot is None else self._records.pop(slot, None)
        if slot is None or record is None:
            return
        memory = PRIMITIVES["claim"](record, dtype=slot.dtype, dims=slot.dims)
        current_builder().eqns.append(Eqn(PRIMITIVES["view"], (memory,), {"dims": slot.dims}, (), (slot,), slot.loc))
        self.roomy[slot] = memory

    def _copy_results(self) -> None:
        """The copies that are left; what another copy would overwrite is saved first."""
        for _, buffer in self.copies:
            self._claim(buffer)
        targets = {buffer for _, buffer in self.copies}
        for value, buffer in self.copies:
            held = self.reader.storage.get(value)
            if held is not buffer and held in targets:
                saved = allocate(buffer.dtype, buffer.dims)
                self.copy(value, saved)
                self.reader.storage[value] = saved
        for value, buffer in self.copies:
            self.copy(value, buffer)

    def _note_reads(self) -> None:
        for step in self.steps:
            if isinstance(step, Group):
                sources = {s for m in step.members for s in m.reads.sources}
            else:
                sources = opaque_sources(self.program, step.eqn)
            for source in sources:
                self.last_read[source] = step.position
        for value, last in self.last_read.items():
            self._by_end.setdefault(last, []).append(value)

    def _assign_homes(self) -> None:
        """Decide where results live, and pass that on to the values whose memory they take over."""
        param_of = {k: self.function.params[p] for k, p in self.function.aliases.items()}
        for position, result in enumerate(self.function.results):
            slot = self.slots[position]
            if not isinstance(result, Value) or result not in self.program.roots:
                self._keep_given(result, slot, position in self.function.aliases)
            elif position in self.function.aliases:
                if result in self.home or result in self.alias_home:
                    self.copies.append((result, slot))
                else:
                    self.alias_home[result] = (param_of[position], slot)
            elif result in self.home:
                self.copies.append((result, slot))
            else:
                if result in self.alias_home:
                    self.copies.append((result, self.alias_home.pop(result)[1]))
                self.home[result] = slot
        self._pass_homes_on()

    def _pass_homes_on(self) -> None:
        """Let values be made where what takes their memory over belongs."""
        for step in reversed(self.steps):
            if isinstance(step, Opaque):
                for old, new in overwritten(step.eqn):
                    if isinstance(old, Value) and old in self.program.roots and self._dies(old, step.position):
                        if new in self.home:
                            self.home[old] = self.home[new]
                        if new in self.alias_home:
                            self.alias_home[old] = self.alias_home[new]
            elif isinstance(step, Group):
                self._lend_homes(step)

    def _lend_homes(self, group: Group) -> None:
        """Let what a result is computed from, element for element, be made in the result's own memory."""
        for member in group.members:
            home = self.home.get(member.value)
            if home is None or member.is_reduction:
                continue
            for source in member.reads.sources:
                fits = source in self.program.roots and source.type == member.value.type
                if fits and source not in self.home and source not in self.alias_home:
                    if self._dies(source, group.position) and self._may_overwrite(source, None, member, group):
                        self.home[source] = home
                        break

    def _keep_given(self, result: Operand, slot: Value, aliased: bool) -> None:
        """A result that is a param or a literal: copied before anything is overwritten."""
        if isinstance(result, Value) and self.reader.storage.get(result) is slot:
            return
        if not aliased:
            self.copy(result, slot)
            return
        scratch = allocate(slot.dtype, slot.dims)
        self.copy(result, scratch)
        saved = Value(result.type)
        self.reader.storage[saved] = scratch
        self.copies.append((saved, slot))

    # ------------------------------------------------------------------------------------------------ memory

    def target(self, member: Member, group: Group) -> Value:
        """The buffer that a member of a group is written to."""
        value = member.value
        if value in self.home:
            return self.home[value]
        if value in self.alias_home:
            param, buffer = self.alias_home[value]
            if self._may_overwrite(param, buffer, member, group):
                return buffer
        else:
            shared = self._later_result(member, group) or self._dying_source(member, group)
            if shared is not None:
                return shared
        return self.temporary(value)

    def _dying_source(self, member: Member, group: Group) -> Value | None:
        """The memory of something that this nest reads for the last time, element for element."""
        for source in member.reads.sources:
            buffer = self.reader.storage.get(source)
            if buffer not in self._owned or source.type != member.value.type or buffer in self._claimed:
                continue
            if self._dies(source, group.position) and self._may_overwrite(source, buffer, member, group):
                self._claimed.add(buffer)
                return buffer
        return None

    def temporary(self, value: Value) -> Value:
        """A scratch buffer of a value's type, used again where an earlier one is free."""
        free = self._free.get((value.dtype, value.dims))
        if free:
            return free.pop()
        buffer = allocate(value.dtype, value.dims)
        self._owned.add(buffer)
        return buffer

    def _later_result(self, member: Member, group: Group) -> Value | None:
        """The memory of a result that a later phase of the same nest writes over this value, element for element."""
        if member.value in self.program.results or self.last_read.get(member.value, -1) > group.position:
            return None
        readers = [m for m in group.members if member.value in m.reads.sources]
        for other in group.members:
            home = self.home.get(other.value)
            if home is None or other.phase <= member.phase or other.value.type != member.value.type:
                continue
            if not all(self._is_done_with(value, member, group) for value in self._holders.get(home, ())):
                continue
            if all(
                m.phase < other.phase or (m.phase == other.phase and m.reads.sources[member.value].identity)
                for m in readers
            ):
                self._holders.setdefault(home, set()).add(member.value)  # no other member of this phase goes there
                return home
        return None

    def _may_overwrite(self, old: Value, buffer: Value | None, member: Member, group: Group) -> bool:
        """Whether a member may be stored where an older value lives (or will live) while its nest runs."""
        if buffer in self.callers and group.position <= self.last_check:
            return False
        holders = {old} if buffer is None else {old, *self._holders.get(buffer, ())}
        return all(self._is_done_with(value, member, group) for value in holders)

    def _is_done_with(self, value: Value, member: Member, group: Group) -> bool:
        """Whether nothing needs a value once a member's element has been computed."""
        if self.last_read.get(value, -1) > group.position or value in self.program.results:
            return False
        for reader in group.members:
            access = reader.reads.sources.get(value)
            if access is None:
                continue
            same_element = access.identity and reader.phase <= member.phase and reader.space == member.space
            earlier_row = access.prefix >= group.prefix > 0 and reader.phase < member.phase
            if not (same_element or earlier_row):
                return False
        return True

    def _dies(self, value: Value, position: int) -> bool:
        return value not in self.program.results and self.last_read.get(value, -1) <= position

    def take_over(self, value: Operand) -> Value | None:
        """The memory of a value that the current step may overwrite, or None."""
        if not isinstance(value, Value) or not self._dies(value, self.position):
            return None
        buffer = self.reader.storage.get(value)
        if buffer is None or (buffer in self.callers and self.position <= self.last_check):
            return None
        if value in self.program.roots:
            return buffer
        return buffer if any(buffer is self.slots[p] for p in self.function.aliases) else None

    def writable_copy(self, eqn: Eqn) -> Value:
        """Memory that holds an operation's first operand and may be changed: its own if nobody needs the old value."""
        old, result = eqn.operands[0], eqn.results[0]
        buffer = self.take_over(old)
        home = self.home.get(result)
        if buffer is None or (home is not None and home is not buffer):
            buffer = home or self.temporary(result)
            if not self.is_empty(old):
                self.copy(old, buffer)
        return buffer

    def is_empty(self, value: Operand) -> bool:
        """Whether a value is memory that nobody has written."""
        eqn = self.program.definition.get(value) if isinstance(value, Value) else None
        return eqn is not None and eqn.op.name == "empty"

    def place(self, result: Value, buffer: Value) -> None:
        """Say where a step has put its result; copied at the end if it belongs elsewhere."""
        self.reader.storage[result] = buffer

    def result_buffer(self, result: Value) -> Value:
        """A buffer for the result of an operation that reads its operands' memory while it writes."""
        return self.home.get(result) or self.temporary(result)

    def copy(self, value: Operand, buffer: Value) -> None:
        """Store a whole value into a buffer."""

        def body(index: Index) -> None:
            store(self.reader.read(value, index if value.rank else ()), flattened(buffer, index), index)

        if value.rank == 0:
            store(self.reader.read(value, ()), buffer, ())
        else:
            held = isinstance(value, Value) and value in self.reader.storage
            map_loops(buffer.dims, body, flat=held, cost=1, reader=self.reader)

    def _settle(self, step: Step) -> None:
        """After a step: note results that ended up elsewhere, and free what nobody reads any more."""
        for value in _made(step):
            if value in self.program.results:
                wanted = self.home.get(value) or self.alias_home.get(value, (None, None))[1]
                if wanted is not None and value.rank and self.reader.storage.get(value) is not wanted:
                    self.copies.append((value, wanted))
                elif wanted is not None and not value.rank and (value in self.alias_home or isinstance(step, Opaque)):
                    self.copies.append((value, wanted))
            buffer = self.reader.storage.get(value)
            if buffer is not None:
                self._holders.setdefault(buffer, set()).add(value)
                self.last_read.setdefault(value, step.position)
        self._release(step.position)

    def _release(self, position: int) -> None:
        waiting = {value for value, _ in self.copies}
        for value in self._by_end.get(position, ()):
            buffer = self.reader.storage.get(value)
            if buffer is None or value in self.program.results or value in waiting:
                continue
            holders = self._holders.get(buffer)
            if holders is None:
                continue
            del self.reader.storage[value]
            holders.discard(value)
            if not holders and buffer in self._owned:
                self._free.setdefault((buffer.dtype, buffer.dims), []).append(buffer)


def _made(step: Step) -> list[Value]:
    return [member.value for member in step.members] if isinstance(step, Group) else list(step.eqn.results)


def _eqns(step: Step) -> list[Eqn]:
    return [member.eqn for member in step.members] if isinstance(step, Group) else [step.eqn]
