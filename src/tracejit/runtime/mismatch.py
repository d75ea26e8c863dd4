"""Why a call is not for a version that there is: what ``TRACEJIT_LOG=guards`` says of a new one.

Owns the words for each thing that a version depends on. It must not decide what a version depends on (``Traced.bind``
and what :mod:`tracejit.runtime.binding` generates do); it runs only when a version was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import repr
from typing import Any

import numpy as np

from tracejit.ir.dims import evaluate
from tracejit.trace.arguments import Argument, Static, classify
from tracejit.trace.axis_order import fits_layout
from tracejit.trace.captures import freeze
from tracejit.trace.frames import running_call
from tracejit.trace.location import describe
from tracejit.trace.tracer import Traced, size_values

__all__ = ["mismatch"]


def mismatch(traced: Traced, leaves: Sequence[Any]) -> str:
    """The first thing that a program needs and a call with these leaves has not, as a phrase after "needs"."""
    with running_call(leaves):
        return _mismatch(traced, leaves)


def _mismatch(traced: Traced, leaves: Sequence[Any]) -> str:
    for argument, leaf in zip(traced.arguments, leaves, strict=True):
        if (reason := _argument_mismatch(argument, leaf)) is not None:
            return reason
    for capture in traced.captures:
        if not capture.holds():
            what = {"distinct": "different objects:", "alias": f"{capture.other} to be"}.get(capture.kind, "another")
            return f"{what} {capture.getter}" if capture.kind != "missing" else f"no {capture.getter}"
    for k, argument in enumerate(traced.arguments):
        if argument.same_as is not None and leaves[argument.same_as] is not leaves[k]:
            return f"{traced.arguments[argument.same_as].name} and {argument.name} to be one array"
    return _size_mismatch(traced, leaves) or "other memory"


def _argument_mismatch(argument: Argument, leaf: Any) -> str | None:
    if argument.kind == "static" or isinstance(leaf, Static):
        value = leaf.value if isinstance(leaf, Static) else leaf
        same = argument.kind == "static" and freeze(value) == argument.key
        return None if same else f"another {argument.name} than {type(value).__name__} {repr(value)}"
    found = classify(leaf)
    if found != (argument.kind, argument.dtype, argument.rank):
        return f"{argument.name} to be {_kind(argument.kind, argument.dtype, argument.rank)}, not {_kind(*found)}"
    if argument.kind != "array":
        return None
    if not fits_layout(argument, leaf):
        return f"{argument.name} to lie in memory as it did then"
    if argument.written and not leaf.flags.writeable:
        return f"{argument.name} to be writeable"
    return None


def _kind(kind: str, dtype: np.dtype[Any] | None, rank: int) -> str:
    if kind == "array":
        return f"an array of {dtype} of rank {rank}"
    return f"a NumPy {dtype}" if kind == "scalar" else f"a Python {kind}" if kind != "static" else "another object"


def _size_mismatch(traced: Traced, leaves: Sequence[Any]) -> str | None:
    inputs = traced.inputs(leaves)
    sizes = size_values(traced.function, inputs, traced.integers(leaves))
    for param, value in zip(traced.function.params, inputs, strict=True):
        wanted, found = tuple(evaluate(dim, sizes) for dim in param.type.dims), np.shape(value)
        if wanted != found:
            return f"a shape ({', '.join(map(str, param.type.dims))}), here {wanted}, not {found}"
    for guard in traced.function.guards:
        if not guard.holds(evaluate(guard.dim, sizes)):
            return f"{guard.dim} {guard.relation} ({describe(guard.loc)})"
    return None
