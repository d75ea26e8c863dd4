"""Families of elementwise primitives: shared type rules and the glue that turns one row into all rules of an operation.

Dtypes are asked from NumPy's ufuncs; there is no promotion here, because operands of arithmetic already have one dtype.
This module declares no operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tracejit.ir.builder import same_dims
from tracejit.ir.core import Eqn, Literal, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.primitive import PRIMITIVES, Index, Loader, Primitive, Unknown
from tracejit.ir.types import ArrayType, dtype_name

__all__ = [
    "BOOL",
    "COMPLEXES",
    "FLOATS",
    "INTEGERS",
    "binary",
    "common_dims",
    "compare",
    "elementwise",
    "elementwise_load",
    "jvp_rule",
    "kind_of",
    "loops_of",
    "match_rank",
    "same_type",
    "sum_to",
    "transpose_rule",
    "unary",
    "unsupported",
]

DType: TypeAlias = "np.dtype[Any]"
# (tangent of the operand, out, *primals, **attrs) -> its share of the result's tangent, or None for zero
Tangent: TypeAlias = Callable[..., Any]

BOOL = np.dtype(np.bool_)
INTEGERS = tuple(map(np.dtype, "bhilBHIL")) if np.dtype("l").itemsize == 8 else tuple(map(np.dtype, "bhiqBHIQ"))
FLOATS = tuple(map(np.dtype, "efd"))
COMPLEXES = tuple(map(np.dtype, "FD"))
_DTYPES = {BOOL, *INTEGERS, *FLOATS, *COMPLEXES}
_SINGLE = np.dtype(np.float32)


def kind_of(dtype: DType) -> str:
    """NumPy's kind letter, with ``f`` for bfloat16, which NumPy itself calls void."""
    kind = dtype.kind
    return "f" if kind == "V" else kind


def loops_of(ufunc: np.ufunc) -> dict[DType, DType]:
    """Operand dtype to result dtype, for the loops of a ufunc whose operands have one dtype."""
    loops: dict[DType, DType] = {}
    for signature in ufunc.types:
        inputs, _, outputs = signature.partition("->")
        if len(set(inputs)) == 1 and "O" not in signature and np.dtype(inputs[0]) in _DTYPES:
            loops.setdefault(np.dtype(inputs[0]), np.dtype(outputs[0]))
    return loops


def same_type(*dtypes: DType) -> dict[DType, DType]:
    """The loops of an operation whose result has the dtype of its operands."""
    return {dtype: dtype for dtype in dtypes}


def unsupported(name: str) -> TypeError:
    """What NumPy says when a ufunc has no loop for its operands."""
    return TypeError(
        f"ufunc {name!r} not supported for the input types, and the inputs could not be safely coerced to any "
        "supported types according to the casting rule ''safe''"
    )


def common_dims(name: str, *types: ArrayType) -> tuple[DimLike, ...]:
    """The dims of an elementwise result: those of its operands that are no scalars, which must be equal."""
    dims: tuple[DimLike, ...] = ()
    for operand in types:
        if operand.dims and operand.dims is not dims:
            if not dims:
                dims = operand.dims
            elif not same_dims(dims, operand.dims):
                raise ValueError(f"{name}: operands have different dims {' and '.join(map(str, types))}")
    return dims


def _result_dtype(name: str, loops: Mapping[DType, DType], dtype: DType) -> DType:
    result = loops.get(dtype)
    if result is None and dtype.kind == "V" and dtype_name(dtype) == "bf16" and _SINGLE in loops:
        result = dtype if loops[_SINGLE] == _SINGLE else loops[_SINGLE]
        if result.kind == "c":  # there is no complex number of that precision
            result = None
    if result is None:
        raise unsupported(name)
    return result


def _infer_unary(name: str, loops: Mapping[DType, DType]) -> Callable[[ArrayType], ArrayType]:
    def infer(x: ArrayType) -> ArrayType:
        dtype = loops.get(x.dtype) or _result_dtype(name, loops, x.dtype)
        return x if dtype == x.dtype else ArrayType(dtype, x.dims)

    return infer


def _infer_binary(name: str, loops: Mapping[DType, DType]) -> Callable[[ArrayType, ArrayType], ArrayType]:
    def infer(x: ArrayType, y: ArrayType) -> ArrayType:
        dtype = loops.get(x.dtype) or _result_dtype(name, loops, x.dtype)
        if x.dtype != y.dtype:
            raise TypeError(f"{name}: operands have different dtypes {x} and {y}; one of them needs a cast")
        dims = x.dims if x.dims is y.dims else common_dims(name, x, y)
        if dtype == x.dtype:
            return x if dims is x.dims else y if dims is y.dims else ArrayType(dtype, dims)
        return ArrayType(dtype, dims)

    return infer


def match_rank(value: Operand, like: ArrayType) -> Operand:
    """A scalar broadcast to the dims of a type; anything else as it is."""
    if value.type.dims or not like.dims:
        return value
    result: Operand = PRIMITIVES["broadcast"](value, dims=like.dims, axes=())
    return result


def sum_to(cotangent: Operand, type: ArrayType) -> Operand:
    """A cotangent summed over all axes where the operand that it belongs to is a scalar."""
    if type.dims or not cotangent.type.dims:
        return cotangent
    result: Operand = PRIMITIVES["reduce_sum"](cotangent, axes=tuple(range(cotangent.rank)))
    return result


def jvp_rule(*tangent_functions: Tangent | None) -> Callable[..., list[Any]]:
    """The jvp of an operation with one result, from one function an operand (None: its derivative is zero).

    ``out`` is emitted again; the builder answers with the equation that is already there.
    """

    def jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Operand | None]) -> list[Operand | None]:
        out = eqn.op(*primals, **eqn.attrs)
        if kind_of(out.dtype) not in "fc":
            return [None]
        total = None
        for function, tangent in zip(tangent_functions, tangents, strict=True):
            if tangent is None or function is None:
                continue
            term = function(tangent, out, *primals, **eqn.attrs)
            if term is not None:
                total = term if total is None else total + term
        return [None if total is None else match_rank(total, out.type)]

    return jvp


def transpose_rule(*rules: Callable[..., Any] | None) -> Callable[..., list[Any]]:
    """The transpose of an operation with one result: one function ``(cotangent, *operands)`` for each operand."""

    def transpose(
        eqn: Eqn, cotangents: Sequence[Operand | None], operands: Sequence[Operand | Unknown]
    ) -> list[Operand | None]:
        (cotangent,) = cotangents
        answer: list[Operand | None] = []
        for rule, operand in zip(rules, operands, strict=True):
            found = None
            if cotangent is not None and rule is not None and isinstance(operand, Unknown):
                found = rule(cotangent, *operands)
            answer.append(None if found is None else sum_to(found, operand.type))
        return answer

    return transpose


def elementwise_load(eqn: Eqn, index: Index) -> Loader:
    """The value of an elementwise operation at an index: the operation on the values of its operands there."""
    values: list[Operand] = []
    for operand in eqn.operands:
        if isinstance(operand, Literal):
            values.append(operand)
        else:
            values.append((yield operand, index if operand.rank else ()))
    result: Operand = eqn.op(*values, **eqn.attrs)
    return result


def elementwise(
    name: str,
    infer: Callable[..., Any],
    reference: Callable[..., Any],
    tangents: Sequence[Tangent | None] | None,
    **rules: Any,
) -> Primitive:
    """Declare an elementwise primitive of any arity; ``tangents=None`` states that its derivative is zero."""
    return Primitive(
        name,
        infer=infer,
        reference=reference,
        jvp=None if tangents is None else jvp_rule(*tangents),
        load=elementwise_load,
        elementwise=True,
        level="both",
        **rules,
    )


def unary(
    name: str,
    function: Callable[..., Any],
    tangent: Tangent | None,
    *,
    loops: Mapping[DType, DType] | None = None,
    transpose: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an elementwise primitive of one operand: its ufunc (or a function and its loops) and its tangent."""
    ufunc = function if isinstance(function, np.ufunc) and loops is None else None
    if loops is None:
        assert isinstance(function, np.ufunc)
        loops = loops_of(function)
    return elementwise(
        name,
        _infer_unary(ufunc.__name__ if ufunc else name, loops),
        function,
        None if tangent is None else (tangent,),
        transpose=None if transpose is None else transpose_rule(transpose),
        ufunc=ufunc,
        domain=tuple(loops),
    )


def binary(
    name: str,
    function: Callable[..., Any],
    tangents: tuple[Tangent | None, Tangent | None] | None,
    *,
    loops: Mapping[DType, DType] | None = None,
    transpose: tuple[Callable[..., Any] | None, Callable[..., Any] | None] | None = None,
    commutative: bool = False,
) -> Primitive:
    """Declare an elementwise primitive of two operands of one dtype: its ufunc and one tangent an operand."""
    ufunc = function if isinstance(function, np.ufunc) and loops is None else None
    if loops is None:
        assert isinstance(function, np.ufunc)
        loops = loops_of(function)
    declared = elementwise(
        name,
        _infer_binary(ufunc.__name__ if ufunc else name, loops),
        function,
        tangents,
        transpose=None if transpose is None else transpose_rule(*transpose),
        ufunc=ufunc,
        domain=tuple(loops),
    )
    if commutative:
        COMMUTATIVE.add(name)
    return declared


COMMUTATIVE: set[str] = set()
"""Names of the operations whose two operands may change places."""


def compare(name: str, ufunc: np.ufunc, *, commutative: bool = False) -> Primitive:
    """Declare a comparison: two operands of one dtype, a bool result, a derivative of zero."""
    return binary(name, ufunc, None, commutative=commutative)
