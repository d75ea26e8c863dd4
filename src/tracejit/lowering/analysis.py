"""What fusion needs to know of a program: which values are materialised, and who reads what at which index.

A *root* is a value that gets a nest of its own (or shares one): results, operands of library calls, reductions, and
what would
be expensive to compute twice. Everything else is computed where it is read. This module reads programs; it emits
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tracejit.ir.builder import is_check
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.dims import Dim, DimLike, evaluate, symbols_of
from tracejit.lowering.overwriting import overwritten

__all__ = [
    "REDUCTIONS",
    "UNROLLED",
    "Access",
    "Program",
    "Reads",
    "analyse",
    "identity_tags",
    "is_loadable",
    "operand_tags",
    "reads_of",
    "reads_of_root",
    "reduce_mode",
]

REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_prod": "mul",
    "reduce_min": "min",
    "reduce_max": "max",
    "reduce_all": "and",
    "reduce_any": "or",
}

SMALL = 16  # a reduction over at most this many elements is a serial loop inside its consumer
UNROLLED = 8  # a short loop of at most so many iterations gets a version of its nest with the loop unrolled
CHEAP = 4  # operations that may be computed again rather than stored and loaded
LONGEST = 400  # operations in one expression; longer ones are cut, so that compile time stays linear

_MATHS = {
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh": 16,
    "erf erfc pow cbrt arctan2 hypot logaddexp logaddexp2 sigmoid softplus lgamma digamma": 16,
    "div sqrt mod floordiv fmod reciprocal": 5,
    "gather concatenate": 6,
}
_COST = {name: cost for names, cost in _MATHS.items() for name in names.split()}


def operation_cost(eqn: Eqn) -> int:
    """Rough cost of one element, in simple vector instructions."""
    return _COST.get(eqn.op.name, 1)


def is_loadable(eqn: Eqn) -> bool:
    """Whether the value at one index can be computed from its operands' values (elementwise, views, gathers)."""
    return eqn.op.elementwise or eqn.op.load is not None


@dataclass
class Access:
    """How a root reads one source: the number of leading loop dims that index it exactly, and whether all do."""

    prefix: int
    identity: bool


@dataclass
class Program:
    """A function with what analysis found out."""

    function: Function
    hints: Mapping[str, int]
    definition: dict[Value, Eqn] = field(default_factory=dict)
    uses: dict[Value, list[Eqn]] = field(default_factory=dict)
    roots: set[Value] = field(default_factory=set)
    cost: dict[Value, int] = field(default_factory=dict)
    results: set[Value] = field(default_factory=set)
    late: set[str] = field(default_factory=set)  # size symbols that operations of the program bind

    def hint(self, dim: DimLike) -> int:
        """The size seen at trace time, or a middling guess; steers speed, never meaning."""
        if isinstance(dim, int):
            return dim
        return evaluate(dim, {name: self.hints.get(name, 1000) for name in symbols_of(dim)})


def analyse(function: Function, hints: Mapping[str, int], kept: Collection[Value] = ()) -> Program:
    """Decide the roots of a function; the values ``kept`` are roots in any case."""
    program = Program(function, hints)
    program.roots.update(kept)
    program.results = {r for r in function.results if isinstance(r, Value)}
    for eqn in function.eqns:
        if eqn.op.name == "bind_size":
            program.late.add(eqn.attrs["symbol"])
        for result in eqn.results:
            program.definition[result] = eqn
        for operand in set(eqn.operands):
            if isinstance(operand, Value):
                program.uses.setdefault(operand, []).append(eqn)
    program.roots.update(_read_after_change(function))
    for eqn in function.eqns:
        _decide(program, eqn)
    return program


def _read_after_change(function: Function) -> set[Value]:
    """Values to compute at once: they are read after an array that they depend on may have been changed in place."""
    changed: dict[Operand, int] = {}
    last_use: dict[Operand, int] = dict.fromkeys(function.results, len(function.eqns))
    for position, eqn in enumerate(function.eqns):
        changed.update((old, position) for old, _ in overwritten(eqn))
        for operand in eqn.operands:
            last_use[operand] = max(last_use.get(operand, 0), position)
    found: set[Value] = set()
    touched: dict[Operand, set[Operand]] = {}
    for position, eqn in enumerate(function.eqns if changed else ()):
        if not is_loadable(eqn):
            continue
        sources = {o for o in eqn.operands if o in changed}.union(*(touched.get(o, ()) for o in eqn.operands))
        (result,) = eqn.results
        if any(position < changed[source] < last_use.get(result, 0) for source in sources):
            found.add(result)
        elif sources:
            touched[result] = sources
    return found


def _decide(program: Program, eqn: Eqn) -> None:
    cost = operation_cost(eqn)
    for operand in set(eqn.operands):
        if isinstance(operand, Value):
            cost += 1 if _is_source(program, operand) else program.cost.get(operand, 1)
    mode = reduce_mode(program, eqn)
    if mode == "small":
        (axes,) = (eqn.attrs["axes"],)
        cost *= max(1, _product(program.hint(eqn.operands[0].dims[a]) for a in axes))
    for result in eqn.results:
        program.cost[result] = cost
        if (
            result in program.results
            or mode in ("inner", "outer")
            or (mode is None and not is_loadable(eqn))
            or eqn.op.name == "concatenate"
            or is_check(eqn)
            or (cost > CHEAP and _read_again(program, result, cost))
            or any(_needs_memory(program, use, result) for use in program.uses.get(result, ()))
        ):
            program.roots.add(result)


def _is_source(program: Program, operand: Value) -> bool:
    return operand in program.roots or operand not in program.definition


def _read_again(program: Program, value: Value, cost: int) -> bool:
    uses = program.uses.get(value, ())
    if len(uses) > 1 or cost > LONGEST:
        return True
    return any(use.op.name == "gather" or _enlarges(program, use) for use in uses)


def _enlarges(program: Program, use: Eqn) -> bool:
    """A broadcast that reads each element several times."""
    if use.op.name != "broadcast":
        return False
    operand, dims, axes = use.operands[0], use.attrs["dims"], use.attrs["axes"]
    kept = {axis for axis, dim in zip(axes, operand.dims, strict=True) if dim == dims[axis]}
    return any(dim != 1 and axis not in kept for axis, dim in enumerate(dims))


def _needs_memory(program: Program, use: Eqn, value: Value) -> bool:
    """Whether an operation reads this operand from memory rather than element by element."""
    through_view = _is_read_through_view(program, use, value)
    if through_view is not None:
        return through_view
    if is_loadable(use):
        if use.op.name != "gather" or use.operands[0] is not value:
            return False
        return program.definition[value].op.name != "iota" and not _is_view_of_memory(program, value)
    if reduce_mode(program, use) is not None:
        return False
    if use.op.name == "update_slice":
        return use.operands[0] is value
    if use.op.name in ("scatter", "scatter_add"):
        return use.operands[0] is value
    if use.op.name in ("cumsum", "cumprod", "cummax", "cummin", "argmax", "argmin"):
        return False
    if use.op.name in ("compress", "spread"):  # serial loops; what is costly is computed before, by vectors
        return (use.op.name == "spread" and use.operands[0] is value) or program.cost[value] > CHEAP
    return value.rank > 0


_WHOLE_VIEWS = ("transpose", "broadcast", "reshape")
_VIEWS = (*_WHOLE_VIEWS, "slice")


def _is_read_through_view(program: Program, use: Eqn, value: Value) -> bool | None:
    """What calls of a library want that read through views: memory below the view, none for it; None for others."""
    if use.op.name == "transpose" and any(u.op.name == "dot" for u in program.uses.get(use.results[0], ())):
        return True
    if use.op.name == "dot" and (
        program.definition[value].op.name == "transpose" or part_of_matrix(program, value) is not None
    ):
        return False
    if use.op.name == "library_loop" and _is_view_of_memory(program, value):
        return False
    if use.op.name in _WHOLE_VIEWS and _is_seen_by_library(program, use):
        return not _is_view_of_memory(program, value)
    return None


def _is_seen_by_library(program: Program, view: Eqn) -> bool:
    """Whether a loop of a library reads a view, which takes a step for each axis, or a view of it."""
    uses = program.uses.get(view.results[0], ())
    return any(
        use.op.name == "library_loop" or (use.op.name in _WHOLE_VIEWS and _is_seen_by_library(program, use))
        for use in uses
    )


def part_of_matrix(program: Program, value: Operand) -> tuple[Value, Eqn] | None:
    """The matrix in memory of which a value is a part without gaps in its rows, or a column; and the slice."""
    eqn = program.definition.get(value) if isinstance(value, Value) else None
    if eqn is not None and eqn.op.name == "reshape" and isinstance(column := eqn.operands[0], Value):
        if value.type.rank != 1 or column.dims != (*value.type.dims, 1):
            return None
        eqn = program.definition.get(column)
    if eqn is None or eqn.op.name != "slice" or eqn.attrs["steps"] != (1, 1):
        return None
    (base,) = eqn.operands
    return (base, eqn) if isinstance(base, Value) and _is_source(program, base) else None


def _is_view_of_memory(program: Program, value: Value) -> bool:
    eqn = program.definition.get(value)
    while eqn is not None and eqn.op.name in _VIEWS and isinstance(eqn.operands[0], Value):
        if _is_source(program, eqn.operands[0]):
            return eqn.operands[0].rank > 0
        eqn = program.definition.get(eqn.operands[0])
    return False


def _product(numbers: object) -> int:
    total = 1
    for number in numbers:  # type: ignore[attr-defined]
        total *= number
    return total


def reduce_mode(program: Program, eqn: Eqn) -> str | None:
    """How a reduction becomes loops.

    small: a serial loop over few elements inside the consumer's loop. inner: the last axis is reduced, so the reduction
    itself is the vector loop. outer: the last axis is kept and vectorised, the reduction is a serial loop inside it.
    """
    if eqn.op.name not in REDUCTIONS:
        return None
    operand = eqn.operands[0]
    axes: Sequence[int] = eqn.attrs["axes"]
    if len(axes) < operand.rank:
        if _product(program.hint(operand.dims[a]) for a in axes) <= SMALL:
            return "small"
        if operand.rank - 1 not in axes:
            return "outer"
    return "inner"


Tags = tuple[int | None, ...]  # for each dim of a value: the loop that indexes it exactly, or None


@dataclass
class Reads:
    """What computing one root reads: sources with their accesses, and whether one flat loop could do it."""

    sources: dict[Value, Access]
    flat: bool
    operations: int
    short: dict[str, int] = field(default_factory=dict)  # sizes of short loops inside, by symbol, as seen at trace time
    late: set[str] = field(default_factory=set)  # size symbols bound by operations, which must come first


def identity_tags(dims: tuple[DimLike, ...]) -> Tags:
    """The tags of a value that is read at exactly the loops' indices."""
    return tuple(range(len(dims)))


def reads_of(program: Program, starts: Sequence[tuple[Operand, Tags]], dims: tuple[DimLike, ...]) -> Reads:
    """Follow the inlined expressions below operands that are read at the given tags in loops over ``dims``."""
    reads = Reads({}, True, 0)
    seen: set[tuple[Value, Tags]] = set()
    stack = list(starts)
    while stack:
        value, tags = stack.pop()
        if not isinstance(value, Value) or (value, tags) in seen:
            continue
        seen.add((value, tags))
        if _is_source(program, value):
            _note_source(reads, value, tags, dims)
            continue
        reads.operations += 1
        _note_short(program, reads, program.definition[value])
        _note_late(program, reads, program.definition[value])
        if value.rank and not _is_flat(program.definition[value], dims):
            reads.flat = False
        stack.extend(operand_tags(program.definition[value], tags))
    return reads


def reads_of_root(program: Program, eqn: Eqn) -> Reads:
    """What computing a root element by element over its own dims reads."""
    dims = eqn.results[0].dims
    reads = reads_of(program, operand_tags(eqn, identity_tags(dims)), dims)
    reads.operations += 1
    _note_short(program, reads, eqn)
    _note_late(program, reads, eqn)
    reads.flat = reads.flat and _is_flat(eqn, dims)
    return reads


def _note_late(program: Program, reads: Reads, eqn: Eqn) -> None:
    if program.late:
        for result in eqn.results:
            reads.late |= symbols_in(result.dims) & program.late
        for attribute in eqn.attrs.values():
            reads.late |= symbols_in(attribute) & program.late


def symbols_in(attribute: object) -> set[str]:
    """The size symbols in an attribute or in dims."""
    if isinstance(attribute, tuple):
        return set().union(*map(symbols_in, attribute))
    return symbols_of(attribute) if isinstance(attribute, Dim) else set()


def _note_short(program: Program, reads: Reads, eqn: Eqn) -> None:
    if reduce_mode(program, eqn) != "small":
        return
    for axis in eqn.attrs["axes"]:
        dim = eqn.operands[0].dims[axis]
        name = dim.as_symbol if isinstance(dim, Dim) else None
        if name is not None and 1 < program.hints.get(name, 0) <= UNROLLED:
            reads.short[name] = program.hints[name]


def _is_flat(eqn: Eqn, dims: tuple[DimLike, ...]) -> bool:
    simple = eqn.op.elementwise or (eqn.op.name == "broadcast" and eqn.operands[0].rank == 0)
    return simple and eqn.results[0].dims == dims


def _note_source(reads: Reads, value: Value, tags: Tags, dims: tuple[DimLike, ...]) -> None:
    prefix = 0
    while prefix < len(tags) and tags[prefix] == prefix:
        prefix += 1
    identity = prefix == len(tags) == len(dims)
    if value.rank == 0:
        prefix = len(dims)
    elif not identity or value.dims != dims:
        reads.flat = False
    known = reads.sources.get(value)
    if known is None:
        reads.sources[value] = Access(prefix, identity)
    else:
        known.prefix = min(known.prefix, prefix)
        known.identity = known.identity and identity


def operand_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    """The tags at which an inlined operation reads its operands."""
    rule = _TAGS.get(eqn.op.name)
    if rule is not None:
        return rule(eqn, tags)
    if eqn.op.elementwise:
        return [(o, tags if o.rank else ()) for o in eqn.operands]
    return [(o, (None,) * o.rank) for o in eqn.operands]


def _broadcast_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand, dims, axes = eqn.operands[0], eqn.attrs["dims"], eqn.attrs["axes"]
    return [(operand, tuple(tags[a] if d == dims[a] else None for a, d in zip(axes, operand.dims, strict=True)))]


def _transpose_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand_tags: list[int | None] = [None] * len(tags)
    for tag, axis in zip(tags, eqn.attrs["perm"], strict=True):
        operand_tags[axis] = tag
    return [(eqn.operands[0], tuple(operand_tags))]


def _reshape_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand, dims = eqn.operands[0], eqn.results[0].dims
    found: list[int | None] = []
    k = 0
    for dim in operand.dims:
        if dim == 1:
            found.append(None)
            continue
        while k < len(dims) and dims[k] == 1:
            k += 1
        if k < len(dims) and dims[k] == dim:
            found.append(tags[k])
            k += 1
        else:
            break
    found.extend([None] * (operand.rank - len(found)))
    return [(operand, tuple(found))]


def _slice_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand = eqn.operands[0]
    whole = [
        start == 0 and step == 1 and size == dim
        for start, step, size, dim in zip(
            eqn.attrs["starts"], eqn.attrs["steps"], eqn.attrs["sizes"], operand.dims, strict=True
        )
    ]
    return [(operand, tuple(t if w else None for t, w in zip(tags, whole, strict=True)))]


def _reduce_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand = eqn.operands[0]
    kept = iter(tags)
    return [(operand, tuple(None if a in eqn.attrs["axes"] else next(kept) for a in range(operand.rank)))]


def _gather_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    operand, *indices = eqn.operands
    rank = indices[0].rank if indices else 0
    rest = iter(tags[rank:])
    found = tuple(None if a in eqn.attrs["axes"] else next(rest) for a in range(operand.rank))
    return [(operand, found), *((i, tags[:rank]) for i in indices)]


def _concatenate_tags(eqn: Eqn, tags: Tags) -> list[tuple[Operand, Tags]]:
    axis = eqn.attrs["axis"]
    return [(o, tuple(None if a == axis else t for a, t in enumerate(tags))) for o in eqn.operands]


_TAGS = {
    "broadcast": _broadcast_tags,
    "transpose": _transpose_tags,
    "reshape": _reshape_tags,
    "slice": _slice_tags,
    "gather": _gather_tags,
    "concatenate": _concatenate_tags,
    **dict.fromkeys(REDUCTIONS, _reduce_tags),
}
