"""What a trace knows and assumes of sizes: a symbol with a hint for each size, learned equalities, guards.

Each symbol stands for any size; its hint is the size in the call that is traced. Equality of sizes is learned where the
program needs it; a question about a size (``n > 3``) is answered by the hint, and the answer becomes a guard.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from tracejit.errors import ConcretizationError, TracejitError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Guard, Operand
from tracejit.ir.dims import (
    Atom,
    Dim,
    DimLike,
    Monomial,
    evaluate,
    maximum,
    replace_atoms,
    substitute,
    symbol,
    symbols_of,
)
from tracejit.trace.location import describe, user_location

__all__ = ["SizeEnvironment", "TracingBuilder"]

Bound = int | None  # None: unbounded


class SizeEnvironment:
    """Symbols with hints, what is known of them, and the guards of one trace."""

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self.integers: list[str] = []  # symbols bound by Python ints of the call
        self.recorded = 0  # operations, also those of attempts that were given up
        self.active = True
        self.assuming = False  # whether a question that cannot be answered gets its usual answer, checked at run time
        self._age: dict[str, int] = {}
        self._solved: dict[str, DimLike] = {}
        self._aliases: dict[DimLike, DimLike] = {}
        self._guards: list[Guard] = []
        self._bounds: dict[str, tuple[Bound, Bound]] = {}
        self._lower: dict[frozenset[tuple[Monomial, int]], int] = {}
        self._nonzero: set[DimLike] = set()
        self._resolved: dict[DimLike, DimLike] = {}
        self.late: dict[str, tuple[DimLike | None, DimLike | None]] = {}  # symbols bound while the program runs

    # ------------------------------------------------------------------------------------------ symbols and hints

    def fresh(self, name: str, hint: int, *, integer: bool = False) -> Dim:
        """A new symbol. ``integer``: bound by a Python int of the call, which may be negative."""
        unique, count = name, 1
        while unique in self.hints:
            unique, count = f"{name}_{count}", count + 1
        self.hints[unique] = hint
        self._age[unique] = len(self._age)
        if integer:
            self.integers.append(unique)
        self._bounds[unique] = (None if integer else 0, None)
        return symbol(unique)

    def fresh_late(self, name: str, low: DimLike | None, high: DimLike | None) -> Dim:
        """A symbol that the program binds when it runs, between two sizes (None: unknown); nothing is guarded on it."""
        least = 0 if low is None else self.hint(low)
        # Samples of arrays have so many elements; some functions refuse none.
        hint = least + 2 if high is None else max(least, self.hint(high))
        dim = self.fresh(name, hint, integer=False)
        unique = dim.as_symbol
        assert unique is not None
        lowest = None if low is None else self.bounds(low)[0]
        highest = None if high is None else self.bounds(high)[1]
        self._bounds[unique] = (lowest, highest)
        self.late[unique] = (low, high)
        return dim

    def is_late(self, dim: DimLike) -> bool:
        """Whether a dim depends on what the program computes."""
        return bool(self.late) and type(dim) is not int and not self.late.keys().isdisjoint(symbols_of(dim))

    @property
    def has_equalities(self) -> bool:
        """Whether any equality has been learned."""
        return bool(self._solved or self._aliases)

    @property
    def has_aliases(self) -> bool:
        """Whether sizes are known to be equal of which neither could be replaced everywhere."""
        return bool(self._aliases)

    def hint(self, dim: DimLike) -> int:
        """The value of a dim in the traced call."""
        return evaluate(dim, self.hints)

    def resolve(self, dim: DimLike) -> DimLike:
        """The canonical form of a dim under the equalities learned so far."""
        if type(dim) is int or not (self._solved or self._aliases):
            return dim
        known = self._resolved.get(dim)
        if known is None:
            known = substitute(dim, self._solved)
            for _ in range(4):  # an alias may lead to another
                further = self._aliases.get(known)
                if further is None and self._aliases:
                    further = replace_atoms(known, self._aliases)
                if further is None or further == known:
                    break
                known = substitute(further, self._solved)
            self._resolved[dim] = known
        return known

    # -------------------------------------------------------------------------------------------------- equality

    def same(self, a: DimLike, b: DimLike) -> bool:
        """Whether two dims are known to be equal; nothing is assumed."""
        return a == b or self.resolve(a) == self.resolve(b)

    def require_equal(self, a: DimLike, b: DimLike) -> bool:
        """Make two dims equal for the rest of the trace; False when this call's sizes differ."""
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return True
        if self.is_late(a - b):
            if not self.assuming:
                raise UndecidedError(f"whether the sizes {a} and {b} are equal depends on what is computed")
            self.check_equal(a, b)
            return True
        if self.hint(a) != self.hint(b):
            return False
        self._assume_zero(a - b, a, b)
        return True

    def broadcast(self, a: DimLike, b: DimLike) -> DimLike | None:
        """The size of an axis of sizes a and b under broadcasting; None when this call's sizes do not fit."""
        a, b = self.resolve(a), self.resolve(b)
        if a == b or b == 1:
            return a
        if a == 1:
            return b
        if self.is_late(a - b):
            self.check_equal(a, b)
            return b if self.is_late(a) else a
        if self.require_equal(a, b):
            return self.resolve(a)
        if self.hint(a) == 1:
            self.require_equal(a, 1)
            return self.resolve(b)
        if self.hint(b) == 1:
            self.require_equal(b, 1)
            return self.resolve(a)
        return None

    def _assume_zero(self, difference: DimLike, a: DimLike, b: DimLike) -> None:
        """Learn that ``difference == a - b`` is 0: solve for a symbol, or else remember the pair and guard it."""
        if isinstance(difference, int):
            return
        self._resolved.clear()
        solution = self._solve(difference)
        if solution is None:
            older, newer = sorted((a, b), key=self._rank)
            self._aliases[newer] = older
            self._guards.append(Guard(difference, "== 0", user_location()))
            return
        name, value = solution
        low, high = self._bounds[name]
        if low is not None and isinstance(value, Dim):
            self._learn_nonnegative(value - low)
        if high is not None and isinstance(value, Dim):
            self._learn_nonnegative(high - value)
        step = {name: value}
        self._solved = {n: substitute(d, step) for n, d in self._solved.items()}
        self._solved[name] = value
        facts, self._lower = self._lower, {}
        for key, bound in facts.items():
            fact = substitute(Dim(dict(key)), step)
            if isinstance(fact, Dim):
                self._learn_nonnegative(fact - bound)

    def _rank(self, dim: DimLike) -> tuple[int, int, int]:
        """Orders dims by which is kept: constants, then what consists of older symbols, then what is shorter."""
        ages = [self._age[name] for name in symbols_of(dim)]
        return (max(ages, default=-1), len(ages), len(str(dim)))

    def _solve(self, difference: Dim) -> tuple[str, DimLike] | None:
        """The newest symbol that occurs once, with coefficient 1 or -1, and its value; ints of the call come last."""
        terms = [(m, c) for m, c in difference.terms.items() if m]
        if len(terms) == 1 and len(terms[0][0]) == 1 and terms[0][0][0].kind == "symbol":  # 2*n == 10
            ((monomial, coefficient),) = terms
            if difference.constant % coefficient == 0:
                return monomial[0].name, -difference.constant // coefficient
        best: tuple[tuple[bool, int], str, Monomial, int] | None = None
        for monomial, coefficient in difference.terms.items():
            if len(monomial) != 1 or coefficient not in (1, -1) or monomial[0].kind != "symbol":
                continue
            name = monomial[0].name
            priority = (name not in self.integers, self._age[name])
            if best is None or priority > best[0]:
                rest = Dim({m: c for m, c in difference.terms.items() if m != monomial})
                if name not in symbols_of(rest):
                    best = (priority, name, monomial, coefficient)
        if best is None:
            return None
        _, name, monomial, coefficient = best
        rest_of: DimLike = difference - coefficient * Dim({monomial: 1})
        return name, (-rest_of if coefficient == 1 else rest_of)

    # ---------------------------------------------------------------------------------------------------- facts

    def bounds(self, dim: DimLike) -> tuple[Bound, Bound]:
        """A lower and an upper bound that hold for every call that passes the guards."""
        if isinstance(dim, int):
            return dim, dim
        low: Bound = dim.constant
        high: Bound = dim.constant
        for monomial, coefficient in dim.terms.items():
            if not monomial:
                continue
            below, above = self._monomial_bounds(monomial)
            if coefficient < 0:
                below, above = above, below
            low = None if low is None or below is None else low + coefficient * below
            high = None if high is None or above is None else high + coefficient * above
        key, constant = _split(dim)
        if key in self._lower:
            fact = self._lower[key] + constant
            low = fact if low is None else max(low, fact)
        negated, _ = _split(Dim({m: -c for m, c in dim.terms.items()}))
        if negated in self._lower:
            fact = constant - self._lower[negated]
            high = fact if high is None else min(high, fact)
        return low, high

    def _monomial_bounds(self, monomial: Monomial) -> tuple[Bound, Bound]:
        if len(monomial) == 1:
            return self._atom_bounds(monomial[0])
        low: Bound = 1
        high: Bound = 1
        for factor in monomial:
            below, above = self._atom_bounds(factor)
            if below is None or below < 0:
                return None, None
            low = None if low is None else low * below
            high = None if high is None or above is None else high * above
        return low, high

    def _atom_bounds(self, factor: Atom) -> tuple[Bound, Bound]:
        if factor.kind == "symbol":
            return self._bounds.get(factor.name, (None, None))
        (a_low, a_high), (b_low, b_high) = (self.bounds(argument) for argument in factor.args)
        if factor.kind == "max":
            lows = [low for low in (a_low, b_low) if low is not None]
            return max(lows, default=None), None if a_high is None or b_high is None else max(a_high, b_high)
        if factor.kind == "min":
            highs = [high for high in (a_high, b_high) if high is not None]
            return None if a_low is None or b_low is None else min(a_low, b_low), min(highs, default=None)
        if b_low is None or b_low < 1:
            return None, None
        if factor.kind == "mod":
            return 0, None if b_high is None else b_high - 1
        if a_low is None or a_low < 0:
            return None, None
        return (0 if b_high is None else a_low // b_high), None if a_high is None else a_high // b_low

    def _learn_nonnegative(self, dim: DimLike) -> None:
        if isinstance(dim, int):
            return
        key, constant = _split(dim)
        self._lower[key] = max(self._lower.get(key, -constant), -constant)
        if len(key) == 1:
            ((monomial, coefficient),) = key
            if len(monomial) == 1 and monomial[0].kind == "symbol" and coefficient in (1, -1):
                name = monomial[0].name
                low, high = self._bounds[name]
                if coefficient == 1:
                    low = -constant if low is None else max(low, -constant)
                else:
                    high = constant if high is None else min(high, constant)
                self._bounds[name] = (low, high)

    # -------------------------------------------------------------------------------------------------- questions

    def decide(self, dim: DimLike, relation: str) -> bool:
        """Whether ``dim == 0`` or ``dim >= 0``: proved, or else as in this call, under a guard."""
        if not self.active:
            raise leaked("a size")
        dim = self.resolve(dim)
        if isinstance(dim, int):
            return dim == 0 if relation == "== 0" else dim >= 0
        if self.is_late(dim):
            return self._decide_late(dim, relation)
        low, high = self.bounds(dim)
        if relation == ">= 0":
            return self._decide_nonnegative(dim, low, high)
        if (low is not None and low > 0) or (high is not None and high < 0) or dim in self._nonzero:
            return False
        if self.hint(dim) == 0:
            self._assume_zero(dim, dim, 0)
            return True
        self._nonzero.update((dim, -dim))
        self._guards.append(Guard(dim, "!= 0", user_location()))
        if low == 0:
            self._learn_nonnegative(dim - 1)
        return False

    def _decide_late(self, dim: Dim, relation: str) -> bool:
        """Like :meth:`decide` where no call can answer; what must hold for all values may still become a guard."""
        if self.proves(dim):
            if relation == ">= 0":
                return True
            if self.proves(dim - 1):
                return False
        elif self.proves(-dim - 1):
            return False
        elif relation == ">= 0" and self.proves(dim, assume=True):
            return True
        if self.assuming:
            return self.assume(dim, relation)
        raise UndecidedError(f"a question about the size {dim}, which is computed while the function runs")

    def proves(self, dim: DimLike, *, assume: bool = False) -> bool:
        """Whether ``dim >= 0`` for all values of the symbols that the program binds.

        assume: a condition on the sizes of the call may be added, if it holds for this one.
        """
        for _ in range(8):
            dim = self.resolve(dim)
            if isinstance(dim, int):
                return dim >= 0
            low, _high = self.bounds(dim)
            if low is not None and low >= 0:
                return True
            if not self.is_late(dim):
                return assume and self.hint(dim) >= 0 and self.decide(dim, ">= 0")
            lower = _without_division(dim)
            if lower is None:
                lower = self._least(dim)
            if lower is None:
                return False
            dim = lower
        return False

    def upper_bound(self, dim: DimLike, known: Container[str] = ()) -> DimLike | None:
        """A size that is not smaller for any values of the symbols that the program binds; None if none is known.

        known: those that it may still depend on.
        """
        lower: DimLike | None = self.resolve(-dim)
        while lower is not None and any(n in self.late and n not in known for n in symbols_of(lower)):
            lower = self._least(lower)  # type: ignore[arg-type]
        return None if lower is None else -lower

    def larger(self, a: DimLike, b: DimLike) -> DimLike:
        """The larger of two sizes."""
        if self.proves(a - b):
            return a
        return b if self.proves(b - a) else maximum(a, b)

    def _least(self, dim: Dim) -> DimLike | None:
        """A lower bound of a dim with one atom less that the program binds."""
        atoms = {factor for monomial in dim.terms for factor in monomial}
        late = [a for a in atoms if self.is_late(Dim({(a,): 1}))]
        late.sort(key=lambda a: self._age.get(a.name, 0), reverse=True)  # inner loops' indices first
        opaque = [a for a in late if a.kind != "symbol"]
        for factor in opaque or late:
            rest, slope = _linear_in(dim, factor)
            if rest is None or slope is None:
                continue
            bound = self._end_of(factor, lowest=True) if self._is_positive(slope) else None
            if bound is None and self._is_positive(-slope):
                bound = self._end_of(factor, lowest=False)
            if bound is not None:
                return rest + slope * bound
        return None

    def _is_positive(self, dim: DimLike) -> bool:
        low, _ = self.bounds(dim)
        return low is not None and low >= 0

    def _end_of(self, factor: Atom, *, lowest: bool) -> DimLike | None:
        """A dim that is never above (below) an atom."""
        if factor.kind == "symbol":
            return self.late[factor.name][0 if lowest else 1]
        a, b = factor.args
        if factor.kind == "mod" and self.proves(b - 1):
            return 0 if lowest else b - 1
        if factor.kind == "floordiv" and self.proves(a) and self.proves(b - 1):
            return 0 if lowest else a
        if factor.kind == ("min" if not lowest else "max"):
            return a if self.is_late(b) else b
        if factor.kind in ("min", "max") and self.proves(a) and self.proves(b) and lowest:
            return 0
        return None

    def check_equal(self, a: DimLike, b: DimLike) -> None:
        """Replaced by ``values.py``: let the program check that two sizes are equal."""
        raise UndecidedError(f"whether the sizes {a} and {b} are equal depends on what is computed")

    def assume(self, dim: DimLike, relation: str) -> bool:
        """Replaced by ``values.py``: the usual answer to a question, which the program checks."""
        raise UndecidedError(f"a question about the size {dim}, which is computed while the function runs")

    @contextmanager
    def answering(self, *, usually: bool) -> Iterator[None]:
        """Whether questions that cannot be answered get their usual answer, or raise UndecidedError."""
        before, self.assuming = self.assuming, usually
        try:
            yield
        finally:
            self.assuming = before

    def _decide_nonnegative(self, dim: Dim, low: Bound, high: Bound) -> bool:
        if low is not None and low >= 0:
            return True
        if high is not None and high < 0:
            return False
        answer = self.hint(dim) >= 0
        fact = dim if answer else -dim - 1
        self._learn_nonnegative(fact)
        self._guards.append(Guard(fact, ">= 0", user_location()))
        return answer

    def concrete(self, dim: DimLike) -> int:
        """The value of a dim as a plain int, guarded."""
        dim = self.resolve(dim)
        if isinstance(dim, int):
            return dim
        if self.is_late(dim):
            raise UndecidedError(
                f"the size {dim} is known only when the compiled function runs ({describe(user_location())}). Lists of "
                "so many elements, and loops that run in Python, are not compiled: use functions of arrays, or a loop "
                "that fills an array"
            )
        value = self.hint(dim)
        self.decide(dim - value, "== 0")
        return value

    def guards(self) -> tuple[Guard, ...]:
        """What a call must satisfy besides the dims of the params, in terms of the symbols that are left."""
        found: dict[tuple[DimLike, str], Guard] = {}
        for name in self.integers:
            if name in self._solved:
                dim = symbol(name) - substitute(self._solved[name], self._solved)
                found[dim, "== 0"] = Guard(dim, "== 0")
        strictest: dict[frozenset[tuple[Monomial, int]], int] = {}
        for guard in self._guards:
            dim = substitute(guard.dim, self._solved)
            if not isinstance(dim, Dim):
                continue
            if guard.relation == ">= 0":
                key, constant = _split(dim)
                known = strictest.get(key)
                if known is not None and known <= constant:
                    continue
                if known is not None:
                    del found[Dim(dict(key)) + known, ">= 0"]
                strictest[key] = constant
            found.setdefault((dim, guard.relation), Guard(dim, guard.relation, guard.loc))
        return tuple(found.values())


class UndecidedError(ConcretizationError):
    """A question about a size that depends on data, which only the running program can answer."""


def _without_division(dim: Dim) -> DimLike | None:
    """A dim that is not negative where this one is not: ``r - a // b >= 0`` just where ``b*r + b - 1 - a >= 0``."""
    for monomial, coefficient in dim.terms.items():
        if len(monomial) != 1 or coefficient not in (1, -1) or monomial[0].kind != "floordiv":
            continue
        a, b = monomial[0].args
        rest = dim - coefficient * Dim({monomial: 1})
        if isinstance(b, int) and b > 0:
            return a + b * rest if coefficient == 1 else b * rest + (b - 1) - a
    return None


def _linear_in(dim: Dim, factor: Atom) -> tuple[DimLike | None, DimLike | None]:
    """``rest, slope`` with ``dim == rest + slope * factor``; None where it is not linear in the atom."""
    rest: DimLike = 0
    slope: DimLike = 0
    for monomial, coefficient in dim.terms.items():
        count = monomial.count(factor)
        if count > 1:
            return None, None
        others = tuple(f for f in monomial if f != factor)
        term: DimLike = Dim({others: coefficient}) if others else coefficient
        if count:
            slope = slope + term
        else:
            rest = rest + term
    if isinstance(slope, Dim) and factor.kind == "symbol" and factor.name in symbols_of(slope):
        return None, None
    return rest, slope


def leaked(what: str) -> TracejitError:
    """The error for a tracer that outlived its trace."""
    return TracejitError(
        f"{what} of a traced function is used after the tracing has ended. Traced values must not be kept in globals, "
        "attributes, caches or default arguments; return them from the function instead"
    )


def _split(dim: Dim) -> tuple[frozenset[tuple[Monomial, int]], int]:
    """The terms of a dim that are not constant, and the constant."""
    terms = dict(dim.terms)
    constant = terms.pop((), 0)
    return frozenset(terms.items()), constant


class TracingBuilder(Builder):
    """A builder that knows the equalities of sizes learned by its trace."""

    def __init__(self, sizes: SizeEnvironment) -> None:
        super().__init__()
        self.sizes = sizes
        self._definitions: dict[Operand, int] = {}
        self._indexed = 0

    def emit(self, *args: Any, **kwargs: Any) -> tuple[Operand, ...]:
        """Append one operation."""
        self.sizes.recorded += 1
        return super().emit(*args, **kwargs)

    def definition(self, value: Operand) -> int | None:
        """The position of the equation whose result a value is; None for params and values of other builders."""
        for position in range(self._indexed, len(self.eqns)):
            self._definitions.update(dict.fromkeys(self.eqns[position].results, position))
        self._indexed = len(self.eqns)
        return self._definitions.get(value)

    def resolve(self, dim: DimLike) -> DimLike:
        """The canonical form of a dim under the equalities that the trace has learned."""
        return self.sizes.resolve(dim)
