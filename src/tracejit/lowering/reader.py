"""Values at an index: composes the expressions below a root into rank-0 operations of the loop that asks for them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tracejit.ir.builder import current_builder
from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.dims import DimLike, product, substitute
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.shape import linear_index, reshape_groups
from tracejit.ir.primitive import Index, Loader
from tracejit.ir.types import scalar
from tracejit.lowering.analysis import REDUCTIONS, UNROLLED, Program
from tracejit.lowering.loops import for_loop, identity_element

__all__ = ["Reader", "combined", "flattened", "reduce_loops"]

_FLAT_DEPTH = 6  # of expressions that are looked through for what cannot be read by a flat index

Key: TypeAlias = tuple[Value, Index]


class Reader:
    """Reads values of one program at indices, from memory where they have storage, by computing them where not.

    ``storage`` maps a value to its buffer. Inside ``with reader:`` what has been read is known until the scope ends,
    as the scalars belong to the loop body in which they were made. An index of one entry for a value of higher
    rank is a flat (row-major) index.
    """

    def __init__(self, program: Program, depth: int = 0) -> None:
        """depth: how many loops and branches are around the program."""
        self.program = program
        self.depth = depth
        self.storage: dict[Value, Value] = {}
        self.fixed: dict[str, DimLike] = {}  # what is known of sizes in the nest that is being emitted
        self._scopes: list[dict[Key, Operand]] = [{}]

    def __enter__(self) -> Reader:
        self._scopes.append({})
        return self

    def __exit__(self, *_: object) -> None:
        self._scopes.pop()

    def know(self, value: Value, index: Index, read: Operand) -> None:
        """Remember what a value is at an index, for the rest of the current scope."""
        self._scopes[-1][(value, index)] = read

    def _known(self, value: Operand, index: Index) -> Operand | None:
        if isinstance(value, Literal):
            return value
        key = (value, index)
        for scope in reversed(self._scopes):
            if (found := scope.get(key)) is not None:
                return found
        buffer = self.storage.get(value)
        if buffer is None:
            return None
        read = self.load(buffer, index)
        self.know(value, index, read)
        return read

    @staticmethod
    def load(buffer: Value, index: Index) -> Operand:
        """Load one element; a flat index reads the buffer as one row."""
        loaded: Operand = PRIMITIVES["load"](flattened(buffer, index), *index)
        return loaded

    def read(self, value: Operand, index: Index) -> Operand:
        """The rank-0 value at an index."""
        known = self._known(value, index)
        if known is not None:
            return known
        assert isinstance(value, Value)
        return self._run(value, index)

    def compute(self, value: Value, index: Index) -> Operand:
        """Like :meth:`read`, but evaluates the value's own operation even if the value has storage."""
        return self._run(value, index)

    def _run(self, value: Value, index: Index) -> Operand:
        """Evaluate with an explicit stack of generators: programs may be deeper than Python's own."""
        stack: list[tuple[Key, Loader]] = [((value, index), self._loader(value, index))]
        sent: Operand | None = None
        while True:
            key, loader = stack[-1]
            try:
                wanted, at = next(loader) if sent is None else loader.send(sent)
            except StopIteration as done:
                stack.pop()
                sent = done.value
                assert sent is not None
                self.know(*key, sent)
                if not stack:
                    return sent
                continue
            sent = self._known(wanted, at)
            if sent is None:
                assert isinstance(wanted, Value)
                stack.append(((wanted, at), self._loader(wanted, at)))

    def _loader(self, value: Value, index: Index) -> Loader:
        eqn = self.program.definition[value]
        if eqn.op.elementwise:
            return _elementwise(eqn, index)
        if eqn.op.name in REDUCTIONS:
            return self._reduction(eqn, index)
        if len(index) != value.rank:
            return _flat_broadcast(eqn)
        if eqn.op.name == "reshape" and self._is_better_flat(eqn):
            return _flat_reshape(eqn, index)
        assert eqn.op.load is not None, eqn.op.name
        return eqn.op.load(eqn, index)

    def _is_better_flat(self, eqn: Eqn) -> bool:
        """Whether a reshape would divide to find an index of its operand, all of which can be read by a flat one."""
        source = eqn.operands[0]
        groups = reshape_groups(source.type.dims, eqn.attrs["dims"])
        return any(len(left) > 1 for left, _ in groups) and self._reads_flat(source, _FLAT_DEPTH)

    def _reads_flat(self, value: Operand, depth: int) -> bool:
        if not isinstance(value, Value) or value.rank == 0 or value in self.storage:
            return True
        eqn = self.program.definition.get(value)
        if eqn is None or depth == 0:
            return False
        if eqn.op.name == "broadcast":
            return eqn.operands[0].type.rank == 0
        return eqn.op.elementwise and all(self._reads_flat(operand, depth - 1) for operand in eqn.operands)

    def _reduction(self, eqn: Eqn, index: Index) -> Loader:
        """A serial loop over the reduced axes, inside whatever loop asked."""
        yield from ()  # a generator, as every loader is
        operand = eqn.operands[0]
        axes = sorted(eqn.attrs["axes"])
        combine = REDUCTIONS[eqn.op.name]

        def at(inner: Index) -> Operand:
            outer, reduced = iter(index), iter(inner)
            return self.read(operand, tuple(next(reduced) if a in axes else next(outer) for a in range(operand.rank)))

        dims = [substitute(operand.dims[a], self.fixed) for a in axes]
        count = product(tuple(dims))
        if isinstance(count, int) and 0 < count <= UNROLLED and len(axes) == 1:
            terms = [at((Literal(k, scalar("i64")),)) for k in range(count)]
            if combine == "add" and operand.dtype.kind in "fc":  # a sum of negative zeros is positive
                terms.insert(0, identity_element(combine, operand.dtype))
            return functools.reduce(functools.partial(combined, combine), terms)
        (total,) = reduce_loops(self, dims, [combine], [operand], lambda inner: [at(inner)], vector=False)
        return total


_SCALAR = {
    "add": "add",
    "mul": "mul",
    "min": "minimum",
    "max": "maximum",
    "and": "bitwise_and",
    "or": "bitwise_or",
}


def combined(combine: str, a: Operand, b: Operand) -> Operand:
    """One step of a reduction."""
    result: Operand = PRIMITIVES[_SCALAR[combine]](a, b)
    return result


def _elementwise(eqn: Eqn, index: Index) -> Loader:
    scalars = []
    for operand in eqn.operands:
        scalars.append((yield operand, index if operand.rank else ()))
    return current_builder().emit(eqn.op, tuple(scalars), eqn.attrs, (), eqn.loc)[0]


def _flat_reshape(eqn: Eqn, index: Index) -> Loader:
    return (yield eqn.operands[0], (linear_index(index, eqn.attrs["dims"]),))


def _flat_broadcast(eqn: Eqn) -> Loader:
    assert eqn.op.name == "broadcast" and eqn.operands[0].rank == 0, eqn.op.name
    return (yield eqn.operands[0], ())


def flattened(buffer: Value, index: Index) -> Value:
    """The buffer itself, or a view of it as one row when the index is flat."""
    if len(index) == buffer.rank:
        return buffer
    view: Value = PRIMITIVES["view"](buffer, dims=(product(buffer.dims),))
    return view


def reduce_loops(
    reader: Reader,
    dims: Sequence[DimLike | Operand],
    combine: Sequence[str],
    operands: Sequence[Operand],
    body: Callable[[Index], list[Operand]],
    *,
    vector: bool = True,
    lower: DimLike | Operand = 0,
) -> list[Operand]:
    """Nested loops over ``dims`` that combine what ``body(index)`` gives; the innermost is a ``reduce`` loop.

    body: may also store (independent elements). Returns the combined scalars.
    """
    inits: list[Operand] = [identity_element(c, o.type.dtype) for c, o in zip(combine, operands, strict=True)]

    def level(depth: int, outer: Index, carries: list[Operand]) -> list[Operand]:
        last = depth == len(dims) - 1

        def inside(i: Value, inner: list[Operand]) -> list[Operand]:
            with reader:
                if not last:
                    return level(depth + 1, (*outer, i), inner)
                given = body((*outer, i))
                return [combined(c, a, v) for c, a, v in zip(combine, inner, given, strict=True)]

        if not last:
            kind = "serial"
        elif combine:
            kind = "reduce"
        else:
            kind = "vector" if vector else "serial"
        ops = tuple(combine) if kind == "reduce" else ()
        start = 0 if depth else lower
        return for_loop(dims[depth], inside, carries, lower=start, kind=kind, ops=ops)

    return level(0, (), inits)
