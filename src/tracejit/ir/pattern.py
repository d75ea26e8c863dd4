"""Rewrite rules: patterns made by calling primitives on variables, and the builder that applies them as it appends.

Matching looks at producers only, so it needs no use lists. This module knows no particular rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tracejit.errors import VerifyError
from tracejit.ir.builder import Builder, rebuild, same_dims
from tracejit.ir.core import Eqn, Function, Literal, Location, Operand, Value, _Expression
from tracejit.ir.ops.families import COMMUTATIVE, kind_of
from tracejit.ir.primitive import PRIMITIVES, Pattern, Primitive
from tracejit.ir.types import ArrayType

__all__ = [
    "Attr",
    "Condition",
    "Node",
    "Rule",
    "RuleBuilder",
    "RuleSet",
    "Var",
    "apply_rules",
    "attr",
    "constant",
    "is_bool",
    "is_complex",
    "is_float",
    "is_integer",
    "is_literal",
    "is_scalar",
    "named",
    "rule",
    "rules",
    "single_use",
    "var",
]

Captures: TypeAlias = dict[str, Any]  # variable name to operand, attribute name to value

# ------------------------------------------------------------------------------------------------------- patterns


class Var(Pattern, _Expression):
    """Stands for any operand (or any literal); the same variable twice stands for the same operand."""

    __slots__ = ("literal", "name")

    def __init__(self, name: str, literal: bool = False) -> None:
        self.name = name
        self.literal = literal


class Node(Pattern, _Expression):
    """Stands for the result of an operation on operands that match; with a name, it is captured too."""

    __slots__ = ("attrs", "name", "op", "operands")

    def __init__(self, op: Primitive, operands: Sequence[Any], attrs: Mapping[str, Any], name: str = "") -> None:
        self.op = op
        self.operands = tuple(operands)
        self.attrs = dict(attrs)
        self.name = name


class Attr:
    """Stands for any value of an attribute; the same name twice stands for equal values."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


Pattern.node = staticmethod(Node)  # type: ignore[method-assign]


def var(name: str) -> Var:
    """A variable for an operand."""
    return Var(name)


def constant(name: str) -> Var:
    """A variable for an operand that is a literal."""
    return Var(name, literal=True)


def named(name: str, node: Node) -> Node:
    """A pattern for an operation whose result is captured, as that of a variable is."""
    return Node(node.op, node.operands, node.attrs, name)


def attr(name: str) -> Attr:
    """A variable for an attribute."""
    return Attr(name)


# ----------------------------------------------------------------------------------------------------- conditions


class Condition:
    """A predicate on captures, to be combined by ``& | ~``."""

    __slots__ = ("holds",)

    def __init__(self, holds: Callable[[Captures, RuleBuilder], bool]) -> None:
        self.holds = holds

    def __and__(self, other: Condition) -> Condition:
        return Condition(lambda captures, builder: self.holds(captures, builder) and other.holds(captures, builder))

    def __or__(self, other: Condition) -> Condition:
        return Condition(lambda captures, builder: self.holds(captures, builder) or other.holds(captures, builder))

    def __invert__(self) -> Condition:
        return Condition(lambda captures, builder: not self.holds(captures, builder))


def _of_kind(x: Var | Node, kinds: str) -> Condition:
    return Condition(lambda captures, builder: kind_of(captures[x.name].dtype) in kinds)


def is_float(x: Var | Node) -> Condition:
    """The operand is real floating point."""
    return _of_kind(x, "f")


def is_integer(x: Var | Node) -> Condition:
    """The operand is a signed or unsigned integer."""
    return _of_kind(x, "iu")


def is_complex(x: Var | Node) -> Condition:
    """The operand is complex."""
    return _of_kind(x, "c")


def is_bool(x: Var | Node) -> Condition:
    """The operand is bool."""
    return _of_kind(x, "b")


def is_literal(x: Var | Node) -> Condition:
    """The operand is a literal."""
    return Condition(lambda captures, builder: isinstance(captures[x.name], Literal))


def is_scalar(x: Var | Node) -> Condition:
    """The operand has rank 0."""
    return Condition(lambda captures, builder: not captures[x.name].dims)


def single_use(x: Var | Node) -> Condition:
    """At most one equation of the program before the pass uses the operand."""
    return Condition(lambda captures, builder: builder.uses.get(captures[x.name], 1) <= 1)


# ---------------------------------------------------------------------------------------------------------- rules


class Rule:
    """A named rewrite ``left -> right``.

    right: a pattern, a number, or a function of captured names (and of ``result``, the type that is replaced) that
        emits the replacement and returns it, or None where the rule does not apply.
    where: a :class:`Condition` or a function of captured names that returns a bool.
    exact: bit for bit the same result. Rules that are not exact are switched off by ``jit(exact=True)``.
    fastmath: only for ``jit(fastmath=True)``: may be less accurate, or wrong for NaN, infinities and signed zeros.
    """

    __slots__ = ("exact", "fastmath", "left", "name", "right", "where")

    def __init__(self, name: str, left: Node, right: Any, where: Any, exact: bool, fastmath: bool) -> None:
        self.name = name
        self.left = left
        self.right = right
        self.where = where
        self.exact = exact
        self.fastmath = fastmath

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


def rule(
    name: str,
    left: Any,
    right: Any,
    *,
    where: Condition | Callable[..., bool] | None = None,
    exact: bool = True,
    fastmath: bool = False,
) -> Rule:
    """Declare a rewrite rule; see :class:`Rule`.

    Example:
        >>> import tracejit.ir.ops
        >>> x = var("x")
        >>> rule("neg_neg", -(-x), x)
        <rule neg_neg>
    """
    if not isinstance(left, Node):
        raise TypeError(f"rule {name}: the left side must be an operation, not {left!r}")
    missing = set(_names(right)) - set(_names(left))
    if missing:
        raise TypeError(f"rule {name}: the right side uses {', '.join(sorted(missing))}, which the left does not bind")
    return Rule(name, left, right, where, exact and not fastmath, fastmath)


def _names(pattern: Any) -> Iterator[str]:
    if isinstance(pattern, Var | Attr):
        yield pattern.name
    elif isinstance(pattern, Node):
        if pattern.name:
            yield pattern.name
        for part in (*pattern.operands, *pattern.attrs.values()):
            yield from _names(part)


class RuleSet:
    """Rules with distinct names, indexed by the operation at the root of their left sides."""

    __slots__ = ("by_root", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.by_root: dict[str, list[Rule]] = {}
        twice = [name for name, count in Counter(r.name for r in rules).items() if count > 1]
        if twice:
            raise ValueError(f"rules with the same name: {', '.join(twice)}")
        for r in rules:
            self.by_root.setdefault(r.left.op.name, []).append(r)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)


def rules(*parts: Rule | RuleSet) -> RuleSet:
    """A rule set of rules and of other rule sets; earlier rules are tried first."""
    flat: list[Rule] = []
    for part in parts:
        flat.extend(part if isinstance(part, RuleSet) else [part])
    return RuleSet(flat)


# ------------------------------------------------------------------------------------------------------- matching

# The head of an operand: the name of the operation that made it, "" for a param, and for a literal its value where a
# rule mentions it, or else this object.
_LITERAL = object()


def _may_match(rule: Rule, root: str, heads: tuple[Any, ...]) -> bool:
    """Whether the heads of an equation's operands fit the pattern, whatever is further up."""

    def fits(order: Sequence[Any]) -> bool:
        patterns = rule.left.operands
        return len(patterns) == len(order) and all(map(_fits_head, patterns, order))

    return fits(heads) or (root in COMMUTATIVE and fits(heads[::-1]))


def _fits_head(pattern: Any, head: Any) -> bool:
    if isinstance(pattern, Node):
        return bool(pattern.op.name == head)
    if isinstance(pattern, Var):
        return not pattern.literal or not isinstance(head, str)
    return bool((pattern.value if isinstance(pattern, Literal) else pattern) == head)


def _numbers(pattern: Any) -> Iterator[Any]:
    if isinstance(pattern, Node):
        for operand in pattern.operands:
            yield from _numbers(operand)
    elif not isinstance(pattern, Var):
        yield pattern.value if isinstance(pattern, Literal) else pattern


Goals: TypeAlias = "tuple[Any, Any, Goals] | None"  # a linked list of (pattern, operand) still to be matched


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, Literal) and a == b)


def _is_number(operand: Any, number: Any) -> bool:
    """Whether an operand is the literal of a number, bit for bit: ``0`` is not ``-0.0``."""
    if not isinstance(operand, Literal):
        return False
    if isinstance(number, Literal):
        return operand == number
    return bool(operand.value == number) and operand == Literal(number, operand.type)


class _Match:
    """One attempt to match a rule at an equation."""

    __slots__ = ("builder", "rule")

    def __init__(self, rule: Rule, builder: RuleBuilder) -> None:
        self.rule = rule
        self.builder = builder

    def solve(self, goals: Goals, captures: Captures) -> Captures | None:
        """The first binding that meets all goals and the rule's condition; commutative operands in both orders."""
        if goals is None:
            return captures if self.condition(captures) else None
        pattern, operand, rest = goals
        if isinstance(pattern, Var):
            if pattern.name in captures:
                return self.solve(rest, captures) if _same(captures[pattern.name], operand) else None
            if pattern.literal and not isinstance(operand, Literal):
                return None
            return self.solve(rest, {**captures, pattern.name: operand})
        if isinstance(pattern, Node):
            eqn = None if type(operand) is Literal else self.builder.producers.get(operand)
            if eqn is None or eqn.op is not pattern.op:
                return None
            if pattern.name:
                captures = {**captures, pattern.name: operand}
            return self.node(pattern, eqn, rest, captures)
        return self.solve(rest, captures) if _is_number(operand, pattern) else None

    def node(self, pattern: Node, eqn: Eqn, rest: Goals, captures: Captures) -> Captures | None:
        if len(pattern.operands) != len(eqn.operands) or pattern.attrs.keys() != eqn.attrs.keys():
            return None
        for name, wanted in pattern.attrs.items():
            actual = eqn.attrs[name]
            if isinstance(wanted, Attr):
                if captures.get(wanted.name, actual) != actual:
                    return None
                captures = {**captures, wanted.name: actual}
            elif wanted != actual:
                return None
        found = self.solve(_with(pattern.operands, eqn.operands, rest), captures)
        if found is None and eqn.op.name in COMMUTATIVE:
            found = self.solve(_with(pattern.operands, eqn.operands[::-1], rest), captures)
        return found

    def condition(self, captures: Captures) -> bool:
        where = self.rule.where
        if where is None:
            return True
        if isinstance(where, Condition):
            return where.holds(captures, self.builder)
        return bool(_call(where, captures))


def _with(patterns: Sequence[Any], operands: Sequence[Operand], rest: Goals) -> Goals:
    for pattern, operand in zip(reversed(patterns), reversed(operands), strict=True):
        rest = (pattern, operand, rest)
    return rest


def _call(function: Any, captures: Captures) -> Any:
    """Call a function with the captures that its parameters name."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return function(**{name: captures[name] for name in names if name in captures})


def _instantiate(pattern: Any, captures: Captures) -> Any:
    if isinstance(pattern, Var | Attr) or (isinstance(pattern, Node) and pattern.name):
        return captures[pattern.name]
    if isinstance(pattern, Node):
        operands = [_instantiate(operand, captures) for operand in pattern.operands]
        return pattern.op(*operands, **{name: _instantiate(a, captures) for name, a in pattern.attrs.items()})
    return pattern


# ------------------------------------------------------------------------------------------------------- applying

_CHAIN_LIMIT = 50


class RuleBuilder(Builder):
    """A builder that applies rules to every operation it appends, also to those that replacements and transforms emit.

    hits: how often each rule replaced something. uses: how often each value was used before the pass, where known.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        *,
        exact: bool = False,
        fastmath: bool = False,
        budget: int | None = None,
        hits: Counter[str] | None = None,
        parent: Builder | None = None,
    ) -> None:
        super().__init__(parent)
        self.hits: Counter[str] = Counter() if hits is None else hits
        self.uses: dict[Operand, int] = {}
        self.producers: dict[Operand, Eqn] = {}
        self.budget = budget
        self._own: Counter[str] = Counter()
        self._rules = {
            root: usable
            for root, declared in ruleset.by_root.items()
            if (usable := [r for r in declared if (r.exact or not exact) and (fastmath or not r.fastmath)])
        }
        self._numbers = {number for r in ruleset for number in _numbers(r.left)}
        self._by_heads: dict[tuple[str, tuple[Any, ...]], list[Rule]] = {}
        self._replaced: dict[Operand, Operand] = {}
        self._chain: list[str] = []

    def emit(
        self,
        op: Primitive,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Any] | None = None,
        regions: tuple[Function, ...] = (),
        loc: Location | None = None,
    ) -> tuple[Operand, ...]:
        """Append one operation, then let the first rule that matches replace it."""
        count = len(self.eqns)
        results = super().emit(op, operands, attrs, regions, loc)
        if len(results) != 1:
            return results
        result = results[0]
        if len(self.eqns) == count:
            return (self._replaced.get(result, result),)
        eqn = self.producers[result] = self.eqns[-1]
        if op.name in self._rules and (new := self._rewrite(eqn)) is not None:
            self._replaced[result] = new
            return (new,)
        return results

    def _rewrite(self, eqn: Eqn) -> Operand | None:
        for candidate in self._candidates(eqn):
            captures = _Match(candidate, self).node(candidate.left, eqn, None, {})
            if captures is None:
                continue
            new = self._replacement(candidate, eqn, captures)
            if new is not None and new is not eqn.results[0]:
                self._count(candidate)
                return new
        return None

    def _candidates(self, eqn: Eqn) -> list[Rule]:
        """The rules that the operations around an equation leave possible; few, and found by one look-up."""
        heads = tuple([self._head(operand) for operand in eqn.operands])
        key = (eqn.op.name, heads)
        if (found := self._by_heads.get(key)) is None:
            declared = self._rules[eqn.op.name]
            found = self._by_heads[key] = [r for r in declared if _may_match(r, eqn.op.name, heads)]
        return found

    def _head(self, operand: Operand) -> Any:
        if type(operand) is Literal:
            return operand.value if operand.value in self._numbers else _LITERAL
        producer = self.producers.get(operand)
        return "" if producer is None else producer.op.name

    def _replacement(self, chosen: Rule, eqn: Eqn, captures: Captures) -> Operand | None:
        self._chain.append(chosen.name)
        if len(self._chain) > _CHAIN_LIMIT:
            raise VerifyError(f"rules that do not come to an end: {' -> '.join(dict.fromkeys(self._chain))}")
        outer, self.loc = self.loc, eqn.loc or self.loc
        try:
            if isinstance(chosen.right, Pattern) or not callable(chosen.right):
                new = _instantiate(chosen.right, captures)
            else:
                new = _call(chosen.right, {**captures, "result": eqn.results[0].type})
        finally:
            self._chain.pop()
            self.loc = outer
        return None if new is None else _fit(chosen, new, eqn.results[0].type)

    def _count(self, applied: Rule) -> None:
        self.hits[applied.name] += 1
        self._own[applied.name] += 1
        if self.budget is not None and self._own[applied.name] > self.budget:
            raise VerifyError(
                f"rule {applied.name} was applied {self._own[applied.name]} times, more than a program of this size "
                f"can need; applied so far: {', '.join(f'{name} {n}' for name, n in self._own.most_common(5))}"
            )


def _fit(chosen: Rule, new: Any, wanted: ArrayType) -> Operand:
    """The replacement with the type of what it replaces: numbers become literals, scalars are broadcast."""
    operand: Operand = new if isinstance(new, Value | Literal) else Literal(new, ArrayType(wanted.dtype))
    if operand.dtype == wanted.dtype and wanted.dims and not operand.dims:
        operand = PRIMITIVES["broadcast"](operand, dims=wanted.dims, axes=())
    if operand.dtype != wanted.dtype or not same_dims(operand.dims, wanted.dims):
        raise VerifyError(f"rule {chosen.name} replaces {wanted} by {operand.type}")
    return operand


def apply_rules(
    function: Function,
    *rulesets: RuleSet,
    exact: bool = False,
    fastmath: bool = False,
    budget: int | None = None,
    hits: Counter[str] | None = None,
) -> Function:
    """Rewrite an array-level function by rule sets, closed regions included, in one walk for each set.

    budget: how often one rule may apply (in one region); by default far more than a program of its size can need.
    hits: counts applications by rule name.

    Example:
        >>> from tracejit.ir.parser import parse
        >>> x = var("x")
        >>> print(apply_rules(parse("func @f(%x: f64[]) -> (f64[]) { %y: f64[] = mul f64(1.0), %x return %y }"),
        ...                   rules(rule("mul_one", x * 1, x))))
        func @f(%0: f64[]) -> (f64[]) {
          return %0
        }
    """

    def rewritten(function: Function, ruleset: RuleSet) -> Function:
        limit = 1000 + 100 * len(function.eqns) if budget is None else budget
        builder = RuleBuilder(ruleset, exact=exact, fastmath=fastmath, budget=limit, hits=hits)
        uses = Counter(operand for eqn in function.eqns for operand in set(eqn.operands) if isinstance(operand, Value))

        def visit(builder_: Builder, eqn: Eqn, operands: list[Operand]) -> Sequence[Operand]:
            if eqn.op.level == "loop":
                raise TypeError(f"rules rewrite array-level functions; {eqn.op.name} is of the loop level")
            regions = tuple(rewritten(region, ruleset) for region in eqn.regions)
            results = builder_.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc)
            for old, new in zip(eqn.results, results, strict=True):
                builder.uses[new] = builder.uses.get(new, 0) + uses[old]
            return results

        return rebuild(function, visit, builder)

    for ruleset in rulesets:
        function = rewritten(function, ruleset)
    return function
