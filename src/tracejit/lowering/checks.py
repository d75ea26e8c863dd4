"""Checks come before writes: a call that fails has changed none of the caller's arrays.

Indices are checked by ``wrap_index``, integer exponents by ``pow``: these have nests of their own (or share one), so
that all elements are checked. ``check`` is lowered alone. In a function that writes into its params all of them come
first, with all that they need; what has to be written before (an index that is computed from a written array) is
written to memory of our own, see ``lower.py``.
"""

from __future__ import annotations

from tracejit.ir.builder import has_effect, is_check
from tracejit.ir.core import Eqn, Function, Value, walk
from tracejit.ir.ops.callbacks import callback, pure_callback

__all__ = ["checks_first", "has_check"]


def has_check(eqn: Eqn) -> bool:
    """Whether an operation can fail, by itself or in its regions; what Python does may always fail."""
    return _can_fail(eqn) or any(_can_fail(inner) for region in eqn.regions for inner in walk(region))


def _can_fail(eqn: Eqn) -> bool:
    return is_check(eqn) or eqn.op in (callback, pure_callback)


def checks_first(function: Function) -> Function:
    """The function with its checks, and what they depend on, before all else.

    As it is where it writes nothing, or where it has effects, which a check must not overtake.
    """
    if not function.aliases or any(map(has_effect, function.eqns)) or not any(map(is_check, function.eqns)):
        return function
    needed: set[Value] = set()
    early: set[Eqn] = set()
    for eqn in reversed(function.eqns):
        if is_check(eqn) or not needed.isdisjoint(eqn.results):
            early.add(eqn)
            needed.update(operand for operand in eqn.operands if isinstance(operand, Value))
    return function.replace(eqns=sorted(function.eqns, key=lambda eqn: eqn not in early))
