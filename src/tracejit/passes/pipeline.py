"""The order of the array-level passes, on one page."""

from __future__ import annotations

from tracejit.ir.core import Function
from tracejit.ir.pattern import apply_rules, rules
from tracejit.passes.rules_algebra import ALGEBRA
from tracejit.passes.rules_shape import SHAPE
from tracejit.passes.rules_stable import STABLE

__all__ = ["optimise"]

RULES = rules(SHAPE, ALGEBRA, STABLE)


def optimise(function: Function, *, exact: bool = False, fastmath: bool = False) -> Function:
    """Everything that happens to a traced function before it is differentiated or lowered.

    exact: only rules whose result has the same bits; the stability rules are left out.
    """
    return apply_rules(function, RULES, exact=exact, fastmath=fastmath)
