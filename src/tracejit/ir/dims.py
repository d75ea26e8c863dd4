"""Sizes known only at run time: polynomials with integer coefficients over named symbols.

A dim is a plain ``int`` or a :class:`Dim`. Two dims are equal for all sizes exactly when they compare equal, because a
``Dim`` is kept in one normal form. Anything that is not a polynomial (``n // 2``, ``max(a, b)``) is an opaque
:class:`Atom`
whose operands are dims again. This module knows nothing of hints or guards; those belong to the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "Atom",
    "Dim",
    "DimLike",
    "atom",
    "evaluate",
    "floordiv",
    "maximum",
    "minimum",
    "modulo",
    "product",
    "replace_atoms",
    "substitute",
    "symbol",
    "symbols_of",
]


class Atom:
    """A symbol (``kind == "symbol"``) or an opaque operation on two dims (``floordiv``, ``mod``, ``max``, ``min``)."""

    __slots__ = ("_hash", "args", "kind", "name")

    def __init__(self, kind: str, name: str, args: tuple[DimLike, ...] = ()) -> None:
        self.kind = kind
        self.name = name
        self.args = args
        self._hash = hash((kind, name, args))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Atom)
            and self._hash == other._hash
            and self.kind == other.kind
            and self.name == other.name
            and self.args == other.args
        )

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        if self.kind == "symbol":
            return self.name
        return f"{self.kind}({', '.join(map(str, self.args))})"

    def __repr__(self) -> str:
        return f"Atom({self})"


Monomial: TypeAlias = tuple[Atom, ...]  # a product; () is 1


class Dim:
    """A polynomial that is not a constant (constants are plain ints).

    ``terms`` maps a monomial (a sorted tuple of atoms, repeated for powers) to its non-zero coefficient.
    Arithmetic (``+ - * // %``, unary ``-``) gives an ``int`` where the result is constant.

    Example:
        >>> n, m = symbol("n"), symbol("m")
        >>> (n + 1) * 2 - n == n + 2
        True
        >>> str(n * m + 3)
        'm*n+3'
        >>> n - n
        0
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = dict(terms)
        self._hash = hash(frozenset(self.terms.items()))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: DimLike) -> DimLike:
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other).items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _normal(terms)

    __radd__ = __add__

    def __neg__(self) -> DimLike:
        return Dim({monomial: -coefficient for monomial, coefficient in self.terms.items()})

    def __sub__(self, other: DimLike) -> DimLike:
        return self + (-other)

    def __rsub__(self, other: DimLike) -> DimLike:
        return (-self) + other

    def __mul__(self, other: DimLike) -> DimLike:
        terms: dict[Monomial, int] = {}
        right = _terms(other)
        for a, p in self.terms.items():
            for b, q in right.items():
                monomial = tuple(sorted(a + b, key=str)) if a and b else a or b
                terms[monomial] = terms.get(monomial, 0) + p * q
        return _normal(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: DimLike) -> DimLike:
        return floordiv(self, other)

    def __rfloordiv__(self, other: DimLike) -> DimLike:
        return floordiv(other, self)

    def __mod__(self, other: DimLike) -> DimLike:
        return modulo(self, other)

    def __rmod__(self, other: DimLike) -> DimLike:
        return modulo(other, self)

    @property
    def as_symbol(self) -> str | None:
        """The symbol's name when this dim is one symbol and nothing else."""
        if len(self.terms) == 1:
            (monomial, coefficient), *_ = self.terms.items()
            if coefficient == 1 and len(monomial) == 1 and monomial[0].kind == "symbol":
                return monomial[0].name
        return None

    @property
    def constant(self) -> int:
        """The constant term."""
        return self.terms.get((), 0)

    def __str__(self) -> str:
        parts: list[str] = []
        ordered = sorted(self.terms.items(), key=lambda term: (-len(term[0]), [str(a) for a in term[0]]))
        for monomial, coefficient in ordered:
            factors = "*".join(map(str, monomial))
            if not monomial:
                text = str(coefficient)
            elif coefficient in (1, -1):
                text = factors if coefficient == 1 else f"-{factors}"
            else:
                text = f"{coefficient}*{factors}"
            parts.append(text if not parts or text.startswith("-") else f"+{text}")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __bool__(self) -> bool:
        raise TypeError(f"the truth of the symbolic size {self} is not known; ask the trace's guards")


DimLike: TypeAlias = int | Dim


def _terms(dim: DimLike) -> Mapping[Monomial, int]:
    if isinstance(dim, Dim):
        return dim.terms
    return {(): int(dim)} if dim else {}


def _normal(terms: dict[Monomial, int]) -> DimLike:
    terms = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Dim(terms)


def symbol(name: str) -> Dim:
    """A new size symbol."""
    return Dim({(Atom("symbol", name),): 1})


def atom(kind: str, *args: DimLike) -> Dim:
    """An opaque operation as a dim, without any simplification."""
    return Dim({(Atom(kind, "", args),): 1})


def floordiv(a: DimLike, b: DimLike) -> DimLike:
    """``a // b`` as Python rounds it."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    if a == b:
        return 1  # a size by itself; 0 // 0 is refused by the trace's guards
    if isinstance(b, int) and b > 0:
        whole = {m: c // b for m, c in _terms(a).items() if c % b == 0}
        rest = {m: c for m, c in _terms(a).items() if c % b}
        if not rest:
            return _normal(whole)
        if whole:
            return _normal(whole) + floordiv(_normal(rest), b)
    quotient = _exact_quotient(a, b)
    return atom("floordiv", a, b) if quotient is None else quotient


def _exact_quotient(a: DimLike, b: DimLike) -> DimLike | None:
    """``a / b`` when ``b`` is a single term that divides every term of ``a`` (``n*m // n``)."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return None
    ((monomial, coefficient),) = divisor.items()
    terms: dict[Monomial, int] = {}
    for m, c in _terms(a).items():
        rest = list(m)
        for factor in monomial:
            if factor not in rest:
                return None
            rest.remove(factor)
        if c % coefficient:
            return None
        terms[tuple(rest)] = c // coefficient
    return _normal(terms)


def modulo(a: DimLike, b: DimLike) -> DimLike:
    """``a % b`` with Python's sign."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if b == 1 or a == b:
        return 0
    if isinstance(b, int) and b > 0:
        rest = _normal({m: c % b for m, c in _terms(a).items()})
        return rest % b if isinstance(rest, int) else atom("mod", rest, b)
    return atom("mod", a, b)


def maximum(a: DimLike, b: DimLike) -> DimLike:
    """The larger of two sizes; decided at once where their difference is constant."""
    difference = a - b
    if isinstance(difference, int):
        return a if difference >= 0 else b
    return atom("max", *sorted((a, b), key=str))


def minimum(a: DimLike, b: DimLike) -> DimLike:
    """The smaller of two sizes; decided at once where their difference is constant."""
    difference = a - b
    if isinstance(difference, int):
        return b if difference >= 0 else a
    return atom("min", *sorted((a, b), key=str))


def product(dims: tuple[DimLike, ...]) -> DimLike:
    """The number of elements of an array of these dims."""
    result: DimLike = 1
    for dim in dims:
        result = result * dim
    return result


_EVALUATE: dict[str, Callable[[int, int], int]] = {
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "max": max,
    "min": min,
}


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """The value of a dim, given the value of each symbol.

    Example:
        >>> evaluate(symbol("n") * 2 + 1, {"n": 4})
        9
    """
    if not isinstance(dim, Dim):
        return int(dim)
    total = 0
    for monomial, coefficient in dim.terms.items():
        value = coefficient
        for factor in monomial:
            if factor.kind == "symbol":
                value *= sizes[factor.name]
            else:
                value *= _EVALUATE[factor.kind](*(evaluate(a, sizes) for a in factor.args))
        total += value
    return total


_REBUILD: dict[str, Callable[[Any, Any], DimLike]] = {
    "floordiv": floordiv,
    "mod": modulo,
    "max": maximum,
    "min": minimum,
}


def substitute(dim: DimLike, values: Mapping[str, DimLike]) -> DimLike:
    """Replace symbols by dims, and bring the result to normal form."""
    if not isinstance(dim, Dim) or not values:
        return dim
    total: DimLike = 0
    for monomial, coefficient in dim.terms.items():
        value: DimLike = coefficient
        for factor in monomial:
            if factor.kind == "symbol":
                value = value * values.get(factor.name, Dim({(factor,): 1}))
            else:
                value = value * _REBUILD[factor.kind](*(substitute(a, values) for a in factor.args))
        total = total + value
    return total


def replace_atoms(dim: DimLike, values: Mapping[DimLike, DimLike]) -> DimLike:
    """Replace opaque atoms, also inside of others, by the dims that they are known to be equal to.

    Example:
        >>> n = symbol("n")
        >>> half, other = n // 2, (n + 1) // 2
        >>> str(replace_atoms(2 * other + 1, {other: half}))
        '2*floordiv(n, 2)+1'
    """
    if not isinstance(dim, Dim):
        return dim
    total: DimLike = 0
    for monomial, coefficient in dim.terms.items():
        value: DimLike = coefficient
        for factor in monomial:
            if factor.kind == "symbol":
                value = value * Dim({(factor,): 1})
            else:
                rebuilt = _REBUILD[factor.kind](*(replace_atoms(a, values) for a in factor.args))
                value = value * values.get(rebuilt, rebuilt)
        total = total + value
    return total


def symbols_of(dim: DimLike) -> set[str]:
    """The names of all symbols that a dim depends on."""
    found: set[str] = set()
    stack: list[DimLike] = [dim]
    while stack:
        current = stack.pop()
        if isinstance(current, Dim):
            for monomial in current.terms:
                for factor in monomial:
                    if factor.kind == "symbol":
                        found.add(factor.name)
                    else:
                        stack.extend(factor.args)
    return found
