"""Selected elements that are only reduced, or only written back, are not selected: the loops go over all elements.

``x[m].sum()`` becomes the sum of ``where(m, x, 0)``: one loop of vectors, and no memory. ``x[m] = f(x[m])`` becomes
``x = where(m, f(x), x)``. Operations that can fail are left alone: elements that are not selected must not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.ir.builder import Builder, is_check, rebuild
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.ops import PRIMITIVES
from tracejit.lowering.analysis import REDUCTIONS
from tracejit.lowering.loops import identity_element

__all__ = ["over_all_elements"]

Axes = tuple[int, ...]
LARGEST = 200  # operations between the selection and what becomes of it


def over_all_elements(function: Function) -> Function:
    """Rewrite reductions and assignments of selected elements that nothing else reads."""
    if not any(eqn.op.name == "compress" for eqn in function.eqns):
        return function
    selections = _Selections(function)

    def visit(builder: Builder, eqn: Eqn, operands: list[Operand]) -> Sequence[Operand]:
        selections.note(builder)
        replaced = selections.replaced(eqn, operands)
        if replaced is not None:
            return (replaced,)
        results = builder.emit(eqn.op, tuple(operands), eqn.attrs, eqn.regions, eqn.loc)
        if eqn in selections.kept:
            selections.stored.update(results)
        return results

    return rebuild(function, visit)


class _Selections:
    def __init__(self, function: Function) -> None:
        self.kept = _needed(function)
        self.stored: set[Operand] = set()  # selections of the new function that are in memory anyway
        self.made: dict[Operand, Eqn] = {}
        self._noted = 0

    def note(self, builder: Builder) -> None:
        """Know the operations that have been appended."""
        for eqn in builder.eqns[self._noted :]:
            self.made.update(dict.fromkeys(eqn.results, eqn))
        self._noted = len(builder.eqns)

    def replaced(self, eqn: Eqn, operands: list[Operand]) -> Operand | None:
        """What an operation becomes where no element need be selected."""
        if eqn.op.name in REDUCTIONS and 0 in eqn.attrs["axes"]:
            (value,) = operands
            mask = self._mask_of(value)
            wide = None if mask is None else _Widening(self, mask, value.dims[0]).of(value)
            return None if mask is None or wide is None else _masked_reduction(eqn, mask, wide)
        if eqn.op.name == "spread":
            x, mask, value = operands
            wide = _Widening(self, mask, value.dims[0]).of(value)
            return None if wide is None else _op("select", _over(mask, x.dims), wide, x)
        return None

    def _mask_of(self, value: Operand) -> Operand | None:
        """The mask of the selections below a value."""
        seen = {value}
        stack = [value]
        while stack:
            eqn = self.made.get(stack.pop())
            if eqn is None:
                continue
            if eqn.op.name == "compress":
                return eqn.operands[0] if eqn.attrs["size"] == value.dims[0] else None
            if eqn.op.effect is None and not eqn.regions and len(seen) < LARGEST:
                fresh = [o for o in eqn.operands if o.rank and o not in seen and o.dims[0] == value.dims[0]]
                seen.update(fresh)
                stack.extend(fresh)
        return None


def _needed(function: Function) -> set[Eqn]:
    """The selections that something besides a reduction or an assignment reads."""
    needed: set[Operand] = set(function.results)
    kept: set[Eqn] = set()
    for eqn in reversed(function.eqns):
        if eqn.op.name == "compress" and eqn.results[0] in needed:
            kept.add(eqn)
        passes_on = _follows(eqn) and needed.isdisjoint(eqn.results)
        ends = (eqn.op.name in REDUCTIONS and 0 in eqn.attrs["axes"]) or passes_on
        written = eqn.operands[2] if eqn.op.name == "spread" else None
        needed.update(o for o in eqn.operands if not ends and o is not written)
    return kept


def _follows(eqn: Eqn) -> bool:
    """Whether an operation can be computed for all elements instead."""
    elementwise = eqn.op.elementwise and not is_check(eqn)
    return elementwise or eqn.op.name in ("broadcast", "reshape", "slice") or eqn.op.name in REDUCTIONS


class _Widening:
    """Values of selected elements, for all elements."""

    def __init__(self, selections: _Selections, mask: Operand, size: DimLike) -> None:
        self.selections = selections
        self.mask = mask
        self.size = size
        self.known: dict[Operand, Operand | None] = {}
        self.shift = mask.rank - 1

    def of(self, value: Operand) -> Operand | None:
        """The value for all elements of the mask; None where it is not computed element by element."""
        if value not in self.known:
            if len(self.known) > LARGEST:
                return None
            self.known[value] = self._widened(value)
        return self.known[value]

    def _widened(self, value: Operand) -> Operand | None:
        eqn = self.selections.made.get(value)
        if eqn is None or value.rank == 0 or value.dims[0] != self.size or value in self.selections.stored:
            return None
        if eqn.op.name == "compress":
            return eqn.operands[1] if eqn.operands[0] is self.mask else None
        if not _follows(eqn):
            return None
        if eqn.op.elementwise:
            wide = [self.of(o) if o.rank else o for o in eqn.operands]
            return None if any(o is None for o in wide) else _again(eqn, wide)
        return self._moved(eqn)

    def _moved(self, eqn: Eqn) -> Operand | None:
        (x,), name = eqn.operands, eqn.op.name
        dims = (*self.mask.dims, *eqn.results[0].dims[1:])
        first = tuple(range(self.mask.rank))
        if name == "broadcast":
            axes = eqn.attrs["axes"]
            if not axes or axes[0] != 0:
                return _op("broadcast", x, dims=dims, axes=self._shifted(axes))
            wide = self.of(x)
            return None if wide is None else _op("broadcast", wide, dims=dims, axes=first + self._shifted(axes[1:]))
        wide = self.of(x)
        if wide is None:
            return None
        if name == "reshape":
            return _op("reshape", wide, dims=dims)
        if name in REDUCTIONS:
            return None if 0 in eqn.attrs["axes"] else _op(name, wide, axes=self._shifted(eqn.attrs["axes"]))
        starts, sizes, steps = (eqn.attrs[key] for key in ("starts", "sizes", "steps"))
        if (starts[0], sizes[0], steps[0]) != (0, self.size, 1):
            return None
        zeros, ones = (0,) * self.mask.rank, (1,) * self.mask.rank
        return _op("slice", wide, starts=zeros + starts[1:], sizes=dims, steps=ones + steps[1:])

    def _shifted(self, axes: Axes) -> Axes:
        return tuple(axis + self.shift for axis in axes)


def _masked_reduction(eqn: Eqn, mask: Operand, wide: Operand) -> Operand:
    neutral = identity_element(REDUCTIONS[eqn.op.name], wide.dtype)
    axes = (*range(mask.rank), *(axis + mask.rank - 1 for axis in eqn.attrs["axes"] if axis))
    return _op(eqn.op.name, _op("select", _over(mask, wide.dims), wide, neutral), axes=axes)


def _over(mask: Operand, dims: tuple[DimLike, ...]) -> Operand:
    """A mask over the first axes of a shape, for all of them."""
    if mask.rank == len(dims):
        return mask
    return _op("broadcast", mask, dims=dims, axes=tuple(range(mask.rank)))


def _again(eqn: Eqn, operands: Sequence[Any]) -> Operand:
    return _op(eqn.op.name, *operands, **eqn.attrs)


def _op(name: str, *operands: Any, **attrs: Any) -> Operand:
    result: Operand = PRIMITIVES[name](*operands, **attrs)
    return result
