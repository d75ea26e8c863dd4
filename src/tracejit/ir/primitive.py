"""What an operation is: one declaration with its type rule, NumPy reference and the rules of every transformation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias
from typing import Literal as Choice

import numpy as np

from tracejit.ir.builder import current_builder
from tracejit.ir.core import _PRIMITIVES, Eqn, Literal, Operand, Value
from tracejit.ir.types import ArrayType

__all__ = ["PRIMITIVES", "Index", "Loader", "Pattern", "Primitive", "literal_like", "primitive"]

PRIMITIVES: dict[str, Primitive] = _PRIMITIVES

Index: TypeAlias = tuple[Operand, ...]  # one rank-0 i64 operand for each dim
Loader: TypeAlias = Generator[tuple[Operand, Index], Operand, Operand]
"""Yields (operand, index) requests, is sent the rank-0 values read there, returns its own value at its index."""


class Pattern:
    """Base of the pattern variables and nodes of rewrite rules (``ir/pattern.py``)."""

    __slots__ = ()

    @staticmethod
    def node(op: Primitive, operands: Sequence[Any], attrs: dict[str, Any]) -> Pattern:
        """The pattern of an operation on patterns."""
        raise NotImplementedError  # replaced by ir/pattern.py, which owns patterns


class Primitive:
    """An operation and everything that is known of it.

    infer:      ``infer(*types, **attrs) -> ArrayType | tuple``: checks operands, gives the result types.
    reference:  ``reference(*arrays, **attrs) -> array | tuple``: NumPy's meaning; interpreter, folding, tests.
    jvp:        ``jvp(eqn, primals, tangents) -> list of tangents``; a tangent is an operand or None (zero), one a
    result.
                None means: the derivative is zero.
    transpose:  ``transpose(eqn, cotangents, operands) -> list of cotangents``: operands that are linear unknowns come
    as
                ``Unknown(type)``; the answer has one entry an operand, None for the known ones (or zero).
    batch:      ``batch(eqn, operands, batched) -> list of results``, every batched operand and result with its batch
    axis
                first. None: derived for elementwise ops; for others a loop over the batch.
    load:       ``load(eqn, index) -> Loader``: the value at an index, for fusion. None: the op is materialised.
    level:      "array" (whole arrays only), "loop" (loop level only), "both" (elementwise).
    effect:     None, "read" (may not move over writes) or "write".
    """

    __slots__ = (
        "batch",
        "domain",
        "effect",
        "elementwise",
        "infer",
        "jvp",
        "level",
        "load",
        "name",
        "reference",
        "transpose",
        "ufunc",
    )

    def __init__(
        self,
        name: str,
        *,
        infer: Callable[..., Any],
        reference: Callable[..., Any],
        jvp: Callable[..., Any] | None = None,
        transpose: Callable[..., Any] | None = None,
        batch: Callable[..., Any] | None = None,
        load: Callable[[Eqn, Index], Loader] | None = None,
        elementwise: bool = False,
        level: Choice["array", "loop", "both"] = "array",
        effect: Choice["read", "write"] | None = None,
        ufunc: np.ufunc | None = None,
        domain: Any = None,
    ) -> None:
        if name in PRIMITIVES:
            raise ValueError(f"the primitive {name!r} is declared twice")
        self.name = name
        self.infer = infer
        self.reference = reference
        self.jvp = jvp
        self.transpose = transpose
        self.batch = batch
        self.load = load
        self.elementwise = elementwise
        self.level = level
        self.effect = effect
        self.ufunc = ufunc
        self.domain = domain
        PRIMITIVES[name] = self

    def __call__(self, *operands: Any, **attrs: Any) -> Any:
        """Emit into the current builder (or make a pattern, when an operand is one). One result, or a tuple of them.

        Python numbers among the operands take the dtype of the last operand that has one.
        """
        for operand in operands:
            if type(operand) is not Value and type(operand) is not Literal:
                if any(isinstance(o, Pattern) for o in operands):
                    return Pattern.node(self, operands, attrs)
                operands = as_operands(operands)
                break
        results = current_builder().emit(self, operands, attrs)
        return results[0] if len(results) == 1 else results

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def as_operands(operands: Sequence[Any]) -> tuple[Operand, ...]:
    """Turn Python numbers into literals of the dtype of the last real operand (a select begins with its condition)."""
    for operand in operands:
        if not isinstance(operand, (Value, Literal)):
            break
    else:
        return tuple(operands)
    dtype = next((o.type.dtype for o in reversed(operands) if isinstance(o, (Value, Literal))), None)
    return tuple(
        o
        if isinstance(o, (Value, Literal))
        else Literal(o)
        if dtype is None or isinstance(o, np.generic)
        else Literal(o, ArrayType(dtype))
        for o in operands
    )


def literal_like(value: Any, operand: Operand) -> Literal:
    """A literal with the dtype of an operand."""
    return Literal(value, ArrayType(operand.type.dtype))


def primitive(name: str, **rules: Any) -> Primitive:
    """Declare a primitive; see :class:`Primitive` for the rules."""
    return Primitive(name, **rules)


class Unknown:
    """Stands for a linear operand in a transpose rule: only its type is known."""

    __slots__ = ("type",)

    def __init__(self, type: ArrayType) -> None:
        self.type = type
