"""Loop nests of fused groups: maps, rows with phases, whole reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.ir.core import Literal, Operand, Value
from tracejit.ir.dims import DimLike, evaluate, floordiv, product, symbol, symbols_of
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.primitive import Index
from tracejit.ir.types import scalar
from tracejit.lowering.analysis import REDUCTIONS
from tracejit.lowering.fusion import Group, Member
from tracejit.lowering.loops import allocate, for_loop, identity_element, if_then, size_operand, store
from tracejit.lowering.reader import Reader, combined, flattened, reduce_loops

__all__ = ["Target", "by_length", "emit_group", "map_loops", "ordered_loops"]

BLOCK = 16384  # elements of one partial result of a whole reduction: the split does not depend on the thread count
ROWS = 256  # rows of one partial result of a column reduction
SIMPLE = 8  # operations of a body that takes no longer element by element than in vectors with most lanes empty
SHORT = 32  # a row of fewer elements does not fill a vector: rows are the lanes, and the row is walked serially

Target = Callable[[Member], Value]  # the buffer that a stored member is written to


def emit_group(reader: Reader, group: Group, target: Target) -> None:
    """Emit the nest of a group; afterwards the reader knows where its values are."""
    if not group.members[0].space:
        _scalars(reader, group, target)
    elif group.prefix == 0 and any(m.columns for m in group.members):
        _column_reduction(reader, group, target)
    elif group.prefix == 0:
        _whole_reduction(reader, group, target)
    elif all(m.kept == group.prefix and not m.is_reduction for m in group.members):
        _maps(reader, group, target)
    else:
        _rows(reader, group, target)


def work(members: Sequence[Member], dims: Sequence[DimLike]) -> DimLike:
    """Cost of one iteration around ``dims``: how often the innermost body runs (code generation weighs the body)."""
    inner: DimLike = 1
    for member in members:
        if REDUCTIONS.get(member.eqn.op.name) and not member.is_reduction:  # a loop of its own in every iteration
            inner = product(tuple(member.eqn.operands[0].dims[a] for a in member.eqn.attrs["axes"]))
    return product(tuple(dims)) * inner


def _versioned(reader: Reader, members: Sequence[Member], emit: Callable[[], object]) -> None:
    """Emit a nest; where short loops run inside it, also a version with those unrolled, for the sizes last seen."""
    fixed: dict[str, DimLike] = {name: size for m in members for name, size in m.reads.short.items()}
    if not fixed:
        emit()
        return
    same: Operand | None = None
    for name, size in fixed.items():
        equal = PRIMITIVES["eq"](size_operand(symbol(name)), size_operand(size))
        same = equal if same is None else PRIMITIVES["bitwise_and"](same, equal)

    def special() -> None:
        reader.fixed = fixed
        emit()
        reader.fixed = {}

    assert same is not None
    if_then(same, special, emit)


def _scalars(reader: Reader, group: Group, target: Target) -> None:
    for member in group.members:
        value = reader.compute(member.value, ())
        if member.stored:
            _keep_scalar(reader, member, value, target)


def _keep_scalar(reader: Reader, member: Member, value: Operand, target: Target) -> None:
    reader.know(member.value, (), value)
    if member.value in reader.program.results:
        store(value, target(member), ())


def map_loops(
    dims: Sequence[DimLike],
    body: Callable[[Index], None],
    *,
    flat: bool,
    cost: DimLike,
    reader: Reader,
) -> None:
    """Loops over independent elements: one flat loop where the index does not matter, else a nest (not of size 1)."""
    if flat:

        def element(i: Value, _: list[Operand]) -> list[Operand]:
            with reader:
                body((i,))
            return []

        for_loop(product(tuple(dims)), element, kind="parallel_vector", cost=cost)
        return

    loops = [axis for axis, dim in enumerate(dims) if dim != 1]
    if not loops:
        with reader:
            body((Literal(0, scalar("i64")),) * len(dims))
    elif len(loops) == 1:
        _nest(dims, loops, body, lanes=0, cost=cost, reader=reader)
    else:
        by_length(
            reader,
            dims[loops[-1]],
            short=lambda: _nest(dims, loops, body, lanes=len(loops) - 2, cost=cost, reader=reader),
            long=lambda: _nest(dims, loops, body, lanes=len(loops) - 1, cost=cost, reader=reader),
        )


def ordered_loops(reader: Reader, dims: Sequence[DimLike], body: Callable[[Index], None], *, shared: int = 0) -> None:
    """Loops that go through elements in their order; the elements of a row are independent.

    shared: behind so many axes the elements are of one row; if none is left, nothing is independent.
    """

    def level(depth: int, outer: Index) -> None:
        if depth == len(dims):
            body(outer)
            return

        def inside(i: Value, _: list[Operand]) -> list[Operand]:
            with reader:
                level(depth + 1, (*outer, i))
            return []

        def loop(kind: str) -> None:
            for_loop(dims[depth], inside, kind=kind)

        if depth >= shared and depth == len(dims) - 1:
            by_length(reader, dims[depth], short=lambda: loop("serial"), long=lambda: loop("vector"))
        else:
            loop("serial")

    level(0, ())


def by_length(reader: Reader, dim: DimLike, *, short: Callable[[], None], long: Callable[[], None]) -> None:
    """Emit the nest for rows of this size; both where they were short in the call that was traced and may differ."""
    hints = reader.program.hints
    if isinstance(dim, int):
        (short if dim < SHORT else long)()
    elif reader.fixed or not symbols_of(dim) <= hints.keys() or evaluate(dim, hints) >= SHORT:
        long()
    else:
        if_then(PRIMITIVES["lt"](size_operand(dim), size_operand(SHORT)), short, long)


def _nest(
    dims: Sequence[DimLike],
    loops: Sequence[int],
    body: Callable[[Index], None],
    *,
    lanes: int,
    cost: DimLike,
    reader: Reader,
) -> None:
    """One loop for each axis in ``loops``, of which the one at position ``lanes`` becomes vectors."""

    def level(depth: int, index: tuple[Operand, ...]) -> None:
        def inside(i: Value, _: list[Operand]) -> list[Operand]:
            with reader:
                at = (*index[: loops[depth]], i, *index[loops[depth] + 1 :])
                if depth == len(loops) - 1:
                    body(at)
                else:
                    level(depth + 1, at)
            return []

        inner = tuple(dims[axis] for axis in loops[depth + 1 :])
        if depth == lanes:
            kind = "vector" if depth else "parallel_vector"
        else:
            kind = "serial" if depth else "parallel"
        for_loop(dims[loops[depth]], inside, kind=kind, cost=product(inner) * cost)

    level(0, (Literal(0, scalar("i64")),) * len(dims))


def _maps(reader: Reader, group: Group, target: Target) -> None:
    members = group.members
    buffers = {m: target(m) for m in members if m.stored}

    def body(index: Index) -> None:
        _compute_and_store(reader, members, index, buffers)

    flat = all(m.reads.flat for m in members)
    _versioned(
        reader,
        members,
        lambda: map_loops(members[0].space, body, flat=flat, cost=work(members, ()), reader=reader),
    )
    for member, buffer in buffers.items():
        reader.storage[member.value] = buffer


def _compute_and_store(reader: Reader, members: Sequence[Member], index: Index, buffers: dict[Member, Value]) -> None:
    """Stores come last: a loop may overwrite what it reads at the same index."""
    values = [reader.compute(m.value, index) for m in members]
    for member, value in zip(members, values, strict=True):
        if member in buffers:
            buffer = buffers[member]
            store(value, flattened(buffer, index), index)


def _rows(reader: Reader, group: Group, target: Target) -> None:
    prefix = group.prefix
    dims = max((m.space for m in group.members), key=len)
    buffers = {m: target(m) for m in group.members if m.stored and m.value.rank}

    def level(depth: int, outer: Index) -> None:
        def inside(i: Value, _: list[Operand]) -> list[Operand]:
            with reader:
                if depth == prefix - 1:
                    _phases(reader, group, (*outer, i), buffers)
                else:
                    level(depth + 1, (*outer, i))
            return []

        kind = "serial" if depth else "parallel"
        for_loop(dims[depth], inside, kind=kind, cost=work(group.members, dims[depth + 1 :]))

    _versioned(reader, group.members, lambda: level(0, ()))
    for member, buffer in buffers.items():
        reader.storage[member.value] = buffer


def _phases(reader: Reader, group: Group, row: Index, buffers: dict[Member, Value]) -> None:
    """Everything that happens for one row: inner loops one after another, scalars of the row between them."""
    for phase in sorted({m.phase for m in group.members}):
        members = [m for m in group.members if m.phase == phase]
        for member in members:
            if len(member.space) == len(row):
                _compute_and_store(reader, [member], row, buffers)
        loops: dict[tuple[DimLike, ...], list[Member]] = {}
        for member in members:
            if len(member.space) > len(row):
                loops.setdefault(member.space[len(row) :], []).append(member)
        for inner, together in loops.items():
            _inner_loop(reader, together, row, inner, buffers)
            for member in together:
                if not member.is_reduction and member in buffers:
                    reader.storage[member.value] = buffers[member]
    for member in group.members:
        reader.storage.pop(member.value, None)


def _inner_loop(
    reader: Reader,
    members: Sequence[Member],
    row: Index,
    dims: tuple[DimLike, ...],
    buffers: dict[Member, Value],
) -> None:
    """One inner loop for maps and reductions over the same dims; reduced values are known afterwards at the row."""
    totals = _totals(reader, members, row, dims, buffers)
    for member, total in zip([m for m in members if m.is_reduction], totals, strict=True):
        reader.know(member.value, row, total)
        if member in buffers:
            store(total, buffers[member], row)


def _totals(
    reader: Reader,
    members: Sequence[Member],
    row: Index,
    dims: Sequence[DimLike | Operand],
    buffers: dict[Member, Value],
    lower: DimLike | Operand = 0,
) -> list[Operand]:
    """Loops that compute maps, store those that have a buffer, and give what the reductions combine to."""
    maps = [m for m in members if not m.is_reduction]
    reductions = [m for m in members if m.is_reduction]

    def body(inner: Index) -> list[Operand]:
        index = (*row, *inner)
        for member in maps:
            reader.compute(member.value, index)
        found = [reader.read(m.eqn.operands[0], _operand_index(m, index)) for m in reductions]
        _store_known(reader, maps, index, buffers)
        return found

    combine = [REDUCTIONS[m.eqn.op.name] for m in reductions]
    return reduce_loops(reader, dims, combine, [m.eqn.operands[0] for m in reductions], body, lower=lower)


def _store_known(reader: Reader, members: Sequence[Member], index: Index, buffers: dict[Member, Value]) -> None:
    for member in members:
        if member in buffers:
            buffer = buffers[member]
            store(reader.read(member.value, index), flattened(buffer, index), index)


def _operand_index(member: Member, index: Index) -> Index:
    """The reduced operand's index from the loops' (kept axes first, then the reduced ones); a flat one as it is."""
    operand = member.eqn.operands[0]
    if len(index) != operand.rank:
        return index
    axes = member.eqn.attrs["axes"]
    order = [a for a in range(operand.rank) if a not in axes] + sorted(axes)
    found: list[Operand] = list(index)
    for loop, axis in enumerate(order):
        found[axis] = index[loop]
    return tuple(found)


def _whole_reduction(reader: Reader, group: Group, target: Target) -> None:
    """Reductions to scalars (and maps of the same shape): partial results of blocks in parallel, then of those."""
    members = group.members
    reductions = [m for m in members if m.is_reduction]
    buffers = {m: target(m) for m in members if m.stored and not m.is_reduction}
    dims = members[0].space
    if reader.depth:
        # Inside of a loop a reduction is mostly short: no blocks, no other threads.
        totals = _totals(reader, members, (), dims, buffers)
        for member, buffer in buffers.items():
            reader.storage[member.value] = buffer
        for member, total in zip(reductions, totals, strict=True):
            _keep_scalar(reader, member, total, target)
        return
    one_loop = len(dims) == 1 or all(m.reads.flat for m in members)
    count: DimLike = floordiv(product(dims) + (BLOCK - 1), BLOCK) if one_loop else dims[0]
    partial = [allocate(m.value.dtype, (count,)) for m in reductions]
    combine = [REDUCTIONS[m.eqn.op.name] for m in reductions]

    def block(b: Value, _: list[Operand]) -> list[Operand]:
        with reader:
            if one_loop:
                lower, upper = block_bounds(b, BLOCK, product(dims))
                totals = _totals(reader, members, (), (upper,), buffers, lower)
            else:
                _inner_loop(reader, members, (b,), dims[1:], buffers)
                totals = [reader.read(m.value, (b,)) for m in reductions]
            for total, buffer in zip(totals, partial, strict=True):
                store(total, buffer, (b,))
        return []

    weight = work(members, (BLOCK,) if one_loop else dims[1:])
    _versioned(reader, members, lambda: for_loop(count, block, kind="parallel", cost=weight))
    totals = reduce_loops(
        reader,
        (count,),
        combine,
        [m.eqn.operands[0] for m in reductions],
        lambda index: [Reader.load(buffer, index) for buffer in partial],
    )
    for member, buffer in buffers.items():
        reader.storage[member.value] = buffer
    for member, total in zip(reductions, totals, strict=True):
        _keep_scalar(reader, member, total, target)


def _column_reduction(reader: Reader, group: Group, target: Target) -> None:
    """Reductions over the leading dims, row after row as memory lies: blocks of rows in parallel, then their sum."""
    members = group.members
    reductions = [m for m in members if m.is_reduction]
    buffers = {m: target(m) for m in members if m.stored and not m.is_reduction}
    dims = members[0].space
    columns = dims[len(dims) - reductions[0].columns :]
    blocks = floordiv(dims[0] + (ROWS - 1), ROWS)
    partial = [allocate(m.value.dtype, (blocks, *columns)) for m in reductions]
    combine = [REDUCTIONS[m.eqn.op.name] for m in reductions]

    def block(b: Value, _: list[Operand]) -> list[Operand]:
        def clear(index: Index) -> list[Operand]:
            for op, buffer in zip(combine, partial, strict=True):
                store(identity_element(op, buffer.dtype), buffer, (b, *index))
            return []

        def add_row(index: Index) -> list[Operand]:
            for member in members:
                if not member.is_reduction:
                    reader.compute(member.value, index)
            at = (b, *index[len(dims) - len(columns) :])
            for member, op, buffer in zip(reductions, combine, partial, strict=True):
                found = reader.read(member.eqn.operands[0], index)
                store(combined(op, Reader.load(buffer, at), found), buffer, at)
            _store_known(reader, [m for m in members if not m.is_reduction], index, buffers)
            return []

        with reader:
            reduce_loops(reader, columns, [], [], clear)
            _row_by_row(reader, group, dims, block_bounds(b, ROWS, dims[0]), add_row)
        return []

    weight = work(members, (ROWS, *dims[1:]))
    _versioned(reader, members, lambda: for_loop(blocks, block, kind="parallel", cost=weight))
    for member, buffer in buffers.items():
        reader.storage[member.value] = buffer
    _combine_blocks(reader, reductions, partial, blocks, {m: target(m) for m in reductions})


def _row_by_row(
    reader: Reader,
    group: Group,
    dims: Sequence[DimLike],
    bounds: tuple[Operand, Operand],
    add_row: Callable[[Index], list[Operand]],
) -> None:
    """The loops of one block; elements of short rows one by one, in the same order."""

    def rows(vector: bool) -> None:
        reduce_loops(reader, (bounds[1], *dims[1:]), [], [], add_row, lower=bounds[0], vector=vector)

    if group.operations <= SIMPLE:
        by_length(reader, dims[-1], short=lambda: rows(False), long=lambda: rows(True))
    else:
        rows(True)


def _combine_blocks(
    reader: Reader,
    reductions: Sequence[Member],
    partial: Sequence[Value],
    blocks: DimLike,
    buffers: dict[Member, Value],
) -> None:
    ops = [REDUCTIONS[m.eqn.op.name] for m in reductions]

    def column(index: Index) -> None:
        totals = reduce_loops(
            reader,
            (blocks,),
            ops,
            [m.eqn.operands[0] for m in reductions],
            lambda b: [Reader.load(buffer, (*b, *index)) for buffer in partial],
        )
        for member, total in zip(reductions, totals, strict=True):
            store(total, buffers[member], index)

    map_loops(reductions[0].value.dims, column, flat=False, cost=1, reader=reader)
    for member in reductions:
        reader.storage[member.value] = buffers[member]


def block_bounds(block: Operand, length: int, size: DimLike) -> tuple[Operand, Operand]:
    """Where a block of at most ``length`` iterations begins and ends."""
    step = Literal(length, scalar("i64"))
    lower = PRIMITIVES["mul"](block, step)
    return lower, PRIMITIVES["minimum"](PRIMITIVES["add"](lower, step), size_operand(size))
