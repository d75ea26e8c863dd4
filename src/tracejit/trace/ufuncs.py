"""NumPy's universal functions on tracers: dtypes and casting as NumPy decides, broadcasting, ``out=``, ``where=``."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Literal, Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.base import Tracer
from tracejit.trace.dtypes import BOOL, INT64, DType, loop_dtypes
from tracejit.trace.foreign import is_foreign
from tracejit.trace.inputs import Input, as_array, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import elementwise_order
from tracejit.trace.scalar import SymbolicInt
from tracejit.trace.size_arithmetic import size_arithmetic
from tracejit.trace.values import (
    broadcast_dims,
    broadcast_to,
    cast,
    emit,
    fits,
    full,
    literal,
    match,
    resolve_dims,
    select,
    truth,
)

__all__ = ["apply_ufunc", "binary_operator", "power_operator", "rule_of", "write_out"]

Results = Operand | tuple[Operand, ...]

_COMPARISONS = frozenset((np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal))
_LOGICAL = frozenset((np.logical_and, np.logical_or, np.logical_xor, np.logical_not))
_PRIMITIVE_OF: dict[Any, str] = {p.ufunc: p.name for p in PRIMITIVES.values() if p.ufunc is not None}
_SPECIAL = {"expit": "sigmoid", "erf": "erf", "erfc": "erfc", "gammaln": "lgamma", "psi": "digamma"}


def _logical(name: str) -> Callable[[Operand, Operand], Operand]:
    return lambda x, y: emit(name, truth(x), truth(y))


def _scaled(numerator: float, denominator: float) -> Callable[[Operand], Operand]:
    """Times a quotient that has NumPy's rounding: in the dtype, for halves in singles."""

    def scale(x: Operand) -> Operand:
        dtype = x.type.dtype if x.type.dtype.itemsize > 2 else np.dtype(np.float32)
        factor = dtype.type(numerator) / dtype.type(denominator)
        return emit("mul", cast(x, dtype), literal(factor, dtype))

    return scale


def _square(x: Operand) -> Operand:
    return emit("mul", x, x)


def _multiply(x: Operand, y: Operand) -> Operand:
    return emit("bitwise_and" if x.type.dtype == BOOL else "mul", x, y)


def _add(x: Operand, y: Operand) -> Operand:
    return emit("bitwise_or" if x.type.dtype == BOOL else "add", x, y)


_POWERS_BY_ROOT = bool(np.signbit(np.power(np.full(2, -0.0), 0.5)).all())  # depends on the version of NumPy


def _general_power(x: Operand, y: Operand) -> Operand:
    """The power by logarithms; of complex numbers to whole numbers by products."""
    if x.type.dtype.kind != "c" or not isinstance(y, Literal) or complex(y.value).imag:
        return emit("pow", x, y)
    exponent = complex(y.value).real
    if exponent == 0:
        return full(literal(1, x.type.dtype), x.type.dims)
    whole = abs(exponent) < 100 and exponent == int(exponent)
    result = _product_of_powers(x, int(exponent)) if whole else emit("pow", x, y)
    of_zero = literal(0 if exponent > 0 else complex(np.nan, np.nan), x.type.dtype)
    return select(emit("eq", x, literal(0, x.type.dtype)), of_zero, result)


def _power(x: Operand, y: Operand) -> Operand:
    """``np.power`` on arrays, which takes the square root for an exponent of a half: other zeros and infinities."""
    if _POWERS_BY_ROOT and x.type.dtype.char in "fd" and isinstance(y, Literal) and y.value == 0.5:
        return emit("sqrt", x)
    return _general_power(x, y)


def _product_of_powers(x: Operand, count: int) -> Operand:
    """A power of complex numbers by repeated squaring from one on, as in NumPy."""
    if 1 <= count <= 3:
        return x if count == 1 else emit("mul", x, x if count == 2 else emit("mul", x, x))
    one = literal(1, x.type.dtype)
    product: Operand = one
    square, rest = x, abs(count)
    while rest:
        product = emit("mul", product, square) if rest % 2 else product
        rest //= 2
        square = emit("mul", square, square) if rest else square
    return product if count > 0 else emit("div", one, product)


_COMPOSED: dict[Any, Callable[..., Results]] = {
    np.power: _power,
    np.add: _add,
    np.multiply: _multiply,
    np.square: _square,
    np.positive: lambda x: x,
    np.fabs: lambda x: emit("abs", x),
    np.float_power: lambda x, y: emit("pow", x, y),
    np.logical_and: _logical("bitwise_and"),
    np.logical_or: _logical("bitwise_or"),
    np.logical_xor: _logical("bitwise_xor"),
    np.deg2rad: _scaled(np.pi, 180),
    np.radians: _scaled(np.pi, 180),
    np.rad2deg: _scaled(180, np.pi),
    np.degrees: _scaled(180, np.pi),
    np.divmod: lambda x, y: (emit("floordiv", x, y), emit("mod", x, y)),
    np.modf: lambda x: (emit("modf_fraction", x), emit("trunc", x)),
    np.frexp: lambda x: (emit("frexp_mantissa", x), emit("frexp_exponent", x)),
}
_GENERALIZED = frozenset((np.matmul, np.vecdot, *(getattr(np, n) for n in ("matvec", "vecmat") if hasattr(np, n))))


def rule_of(ufunc: np.ufunc) -> Callable[..., Results] | None:
    """What a ufunc does with operands of the dtypes of one of its loops; None when it is unknown."""
    rule = _COMPOSED.get(ufunc)
    if rule is not None:
        return rule
    name = _PRIMITIVE_OF.get(ufunc)
    if name is None and ufunc.__name__ in _SPECIAL and not hasattr(np, ufunc.__name__):
        name = _SPECIAL[ufunc.__name__]  # scipy.special's ufuncs are recognised by name: SciPy is not imported for them
    if name is None:
        return None
    primitive = name

    def emit_primitive(*operands: Operand) -> Operand:
        return emit(primitive, *operands)

    _COMPOSED[ufunc] = emit_primitive
    return emit_primitive


@implements(np.ufunc)
def apply_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...], *, out: Any = None, **kwargs: Any) -> Any:
    """``ufunc(*inputs, **kwargs)`` with all of NumPy's keywords."""
    if ufunc in _GENERALIZED:
        return call(ufunc, *inputs, out=out, **kwargs)
    if len(inputs) > ufunc.nin:
        inputs, out = inputs[: ufunc.nin], inputs[ufunc.nin :]
    rule = rule_of(ufunc)
    chosen = kwargs and (kwargs.get("signature") is not None or kwargs.get("sig") is not None)
    if rule is None or chosen:
        if ufunc is np.isnat:
            raise_as_numpy(ufunc, *inputs)
        return call("python function", ufunc, inputs, kwargs if out is None else {**kwargs, "out": out})
    try:
        described = [describe_input(value) for value in inputs]
    except NotImplementedError:
        raise_as_numpy(ufunc, *inputs)
    outs = _outputs(ufunc, out)
    if kwargs or outs:
        return _apply_with_keywords(ufunc, rule, inputs, described, outs, **kwargs)
    return _wrapped(ufunc, inputs, _compute(ufunc, rule, inputs, described, None, "same_kind"))


def _wrapped(ufunc: np.ufunc, inputs: tuple[Any, ...], results: Results) -> Any:
    """The results as NumPy gives them: scalars where there are no axes and no array of rank 0."""
    if any(isinstance(x, SymbolicInt) or getattr(x, "dim", None) is not None for x in inputs):
        answer = size_arithmetic(ufunc, inputs)
        if isinstance(answer, bool):
            return TracedScalar(literal(answer, BOOL))
        if answer is not None and isinstance(results, (Value, Literal)) and results.type.dtype == INT64:
            return TracedScalar(results, answer)
    weak = not any(isinstance(value, (NumpyValue, np.ndarray, list, tuple)) for value in inputs)
    if weak:
        return _map(TracedScalar, results)
    if isinstance(results, tuple):
        order = elementwise_order(inputs, results[0].type.dims)
        return tuple([wrap(result, order) for result in results])
    dims = results.type.dims
    return wrap(results, elementwise_order(inputs, dims)) if len(dims) > 1 else wrap(results)


def _map(function: Callable[[Operand], Any], results: Results) -> Any:
    return tuple(map(function, results)) if isinstance(results, tuple) else function(results)


def _outputs(ufunc: np.ufunc, out: Any) -> tuple[Any, ...]:
    if out is None:
        return ()
    outs = out if isinstance(out, tuple) else (out,)
    if len(outs) != ufunc.nout and isinstance(out, tuple):
        raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
    return () if all(o is None for o in outs) else outs


def _compute(
    ufunc: np.ufunc,
    rule: Callable[..., Results],
    inputs: tuple[Any, ...],
    described: list[Input],
    dtype: DType | None,
    casting: str,
    outs: tuple[Any, ...] = (),
) -> Results:
    kinds = tuple([kind for kind, _ in described])
    try:
        dtypes = loop_dtypes(ufunc, kinds, dtype, casting)
    except TypeError:
        keywords = {} if dtype is None else {"dtype": dtype}
        raise_as_numpy(ufunc, *inputs, casting=casting, **keywords)
    for out, result in zip(outs, dtypes[ufunc.nin :], strict=False):
        if isinstance(out, TracedArray) and not np.can_cast(result, out.dtype, casting):  # type: ignore[arg-type]
            keywords = {} if dtype is None else {"dtype": dtype}
            raise_as_numpy(ufunc, *inputs, out=outs, casting=casting, **keywords)
    if int in kinds and (answer := _of_huge_numbers(ufunc, inputs, described, dtypes[0])) is not None:
        return answer
    operands = [materialize(value, d) for (_, value), d in zip(described, dtypes, strict=False)]
    if len(operands) > 1:
        dims = operands[0].type.dims
        if any(o.type.dims != dims for o in operands[1:]):
            operands = broadcast_operands(ufunc, inputs, operands, outs)
    if ufunc in _COMPARISONS and dtypes[0] != dtypes[1]:
        return _compare_signs(ufunc, rule, *operands)
    results = rule(*operands)
    if isinstance(results, tuple):
        return tuple(cast(r, d) for r, d in zip(results, dtypes[ufunc.nin :], strict=True))
    return cast(results, dtypes[-1])


def _of_huge_numbers(ufunc: np.ufunc, inputs: tuple[Any, ...], described: list[Input], dtype: DType) -> Operand | None:
    """What a Python int beyond 64 bits makes of an operation: NumPy's error, or a comparison with one answer."""
    of_bools = BOOL in [kind for kind, _ in described] and dtype.kind in "biu"
    if (of_bools or ufunc in _LOGICAL) and any(map(_is_huge, inputs)):
        raise_as_numpy(ufunc, *inputs)
    return _compare_outside(ufunc, described, dtype) if ufunc in _COMPARISONS else None


def _is_huge(value: Any) -> bool:
    """A Python int that no int64 holds, in which bools and truth values are compared."""
    return type(value) is int and not -(2**63) <= value < 2**63


def broadcast_operands(
    function: Any, inputs: tuple[Any, ...], operands: list[Operand], outs: tuple[Any, ...] = ()
) -> list[Operand]:
    """Operands broadcast against each other, scalars left as they are; NumPy's error where the shapes do not fit."""
    dims = broadcast_dims([o.type.dims for o in operands])
    if dims is None:
        raise_as_numpy(function, *inputs, **({"out": outs} if outs else {}))
    return [match(o, dims) for o in operands]


def _compare_outside(ufunc: np.ufunc, described: list[Input], dtype: DType) -> Operand | None:
    """A comparison with a Python int that the other side's dtype cannot hold has one answer for all elements."""
    if dtype.kind not in "iu":
        return None
    limits = np.iinfo(dtype)
    for position, (kind, value) in enumerate(described):
        if kind is not int or not isinstance(value, (int, SymbolicInt)):
            continue
        above = bool(value > int(limits.max))
        if above or value < int(limits.min):
            other = operand_of_input(described[1 - position])
            answer = bool(ufunc(1, 2) if above == (position == 1) else ufunc(2, 1))
            return full(literal(answer, BOOL), other.type.dims)
    return None


def _compare_signs(ufunc: np.ufunc, rule: Callable[..., Results], x: Operand, y: Operand) -> Operand:
    """Compare the exact values of int64 and uint64: a negative number is below everything unsigned."""
    signed = x if x.type.dtype.kind == "i" else y
    answer = bool(ufunc(-1, 0) if signed is x else ufunc(0, -1))
    unsigned = np.dtype(np.uint64)
    compared = rule(cast(x, unsigned), cast(y, unsigned))
    assert not isinstance(compared, tuple)
    negative = emit("lt", signed, literal(0, signed.type.dtype))
    return select(match(negative, compared.type.dims), literal(answer, BOOL), compared)


def operand_of_input(described: Input) -> Operand:
    """The operand of an input that has a dtype of its own."""
    kind, value = described
    assert not isinstance(kind, type)
    return materialize(value, kind)


def _apply_with_keywords(
    ufunc: np.ufunc,
    rule: Callable[..., Results],
    inputs: tuple[Any, ...],
    described: list[Input],
    outs: tuple[Any, ...],
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    signature: None = None,
    sig: None = None,
) -> Any:
    loop = None if dtype is None else np.dtype(dtype)
    results = _compute(ufunc, rule, inputs, described, loop, casting, outs)
    parts = results if isinstance(results, tuple) else (results,)
    targets = outs or (None,) * len(parts)
    done = tuple(
        _deliver(ufunc, inputs, part, target, where, casting, order)
        for part, target in zip(parts, targets, strict=True)
    )
    return done if isinstance(results, tuple) else done[0]


def _deliver(
    ufunc: np.ufunc, inputs: tuple[Any, ...], part: Operand, target: Any, where: Any, casting: str, order: str
) -> Any:
    if target is None:
        if where is True:
            return wrap(part, elementwise_order(inputs, part.type.dims, order))
        mask = truth(operand_of(where))
        dims = broadcast_dims([part.type.dims, mask.type.dims]) or ()
        result = select(match(mask, dims), match(part, dims), emit("empty", dtype=part.type.dtype, dims=dims))
        return wrap(result, elementwise_order((*inputs, where), dims, order))
    return write_out(ufunc, inputs, part, target, where, casting)


@implements("write out")
def write_out(
    function: Any, inputs: tuple[Any, ...], part: Operand, out: Any, where: Any = True, casting: str = "same_kind"
) -> Any:
    """Write a result into an ``out=`` array under NumPy's casting and shape rules; gives that array."""
    if isinstance(out, tuple):
        (out,) = out
    if out is Ellipsis:  # an array even where a NumPy scalar would be the result
        return new_array(part)
    if not isinstance(out, TracedArray):
        if not isinstance(out, np.ndarray):
            raise TypeError("return arrays must be of ArrayType")
        out = as_array(out)
    default = casting == ("same_kind" if isinstance(function, np.ufunc) else "unsafe")
    keywords: dict[str, Any] = {} if default or casting == "same_kind" else {"casting": casting}
    if not out.writeable:
        raise ValueError("output array is read-only")
    if not np.can_cast(part.type.dtype, out.dtype, casting):  # type: ignore[arg-type]
        raise_as_numpy(function, *inputs, out=out, **keywords)
    mask = None if where is True else truth(operand_of(where))
    dims = resolve_dims(out.dims)
    if mask is not None:
        keywords["where"] = where
    if not fits(part.type.dims, dims) or not (mask is None or fits(mask.type.dims, dims)):
        raise_as_numpy(function, *inputs, out=out, **keywords)
    value = cast(part, out.dtype)
    if mask is not None:
        value = select(match(mask, dims), match(value, dims), out.operand())
    out.write(broadcast_to(value, dims))
    return out


# ----------------------------------------------------------------------------------------------------------- operators

_ACCEPTED = (Tracer, np.ndarray, np.generic, bool, int, float, complex, list, tuple)


@implements("binary")
def binary_operator(ufunc: np.ufunc, left: Any, right: Any) -> Any:
    """``left <operator> right``; NotImplemented where the other operand should have its say."""
    if isinstance(left, _ACCEPTED) and isinstance(right, _ACCEPTED):
        return apply_ufunc(ufunc, (left, right))
    other = right if isinstance(left, Tracer) else left
    if ufunc in (np.equal, np.not_equal) and (other is None or isinstance(other, str)):
        this = left if isinstance(left, Tracer) else right
        return wrap(full(literal(ufunc is np.not_equal, BOOL), this.dims))
    if is_foreign(other) and getattr(other, "__array_ufunc__", True) is not None:
        return apply_ufunc(ufunc, (left, right))
    return NotImplemented


@implements(operator.pow)
def power_operator(base: Any, exponent: Any) -> Any:
    """``base ** exponent``: like np.power, but NumPy computes some constant exponents in simpler ways."""
    if not (isinstance(base, _ACCEPTED) and isinstance(exponent, _ACCEPTED)):
        return binary_operator(np.power, base, exponent)
    special = _simple_power(base, exponent)
    return special if special is not None else call("power", base, exponent)


def _simple_power(base: Any, exponent: Any) -> Any:
    if type(exponent) not in (int, float) or not isinstance(base, NumpyValue):
        return None
    kind = base.dtype.kind
    if kind in "fc" and exponent in _SIMPLE_POWERS and isinstance(base, TracedArray):
        return apply_ufunc(_SIMPLE_POWERS[exponent], (base,))
    integers = "iub" if isinstance(base, TracedArray) else "iu"
    if exponent == 2 and (kind == "f" or (kind in integers and type(exponent) is int)):
        return apply_ufunc(np.square, (base,))
    return None


_SIMPLE_POWERS: dict[float, np.ufunc] = {
    1: np.positive,
    2: np.square,
    -1: np.reciprocal,
    0.5: np.sqrt,
}


@implements("power")
def checked_power(base: Any, exponent: Any) -> Any:
    """``np.power`` with NumPy's error for ints to negative constant powers."""
    if isinstance(exponent, (int, SymbolicInt)) and not isinstance(exponent, bool) and exponent < 0:
        kind = describe_input(base)[0]
        fitting = kind is int or (not isinstance(kind, type) and kind.kind == "i" and exponent >= np.iinfo(kind).min)
        if fitting:  # what does not fit the dtype is another error
            raise ValueError("Integers to negative integer powers are not allowed.")
    if isinstance(base, TracedArray):
        return apply_ufunc(np.power, (base, exponent))
    inputs = (base, exponent)  # NumPy's scalars know no simple powers
    described = [describe_input(value) for value in inputs]
    return _wrapped(np.power, inputs, _compute(np.power, _general_power, inputs, described, None, "same_kind"))


@implements("in-place power")
def in_place_power(base: TracedArray, exponent: Any) -> TracedArray:
    """``base **= exponent``."""
    special = _simple_power(base, exponent)
    if special is None:
        apply_ufunc(np.power, (base, exponent), out=(base,))
    else:
        write_out(np.power, (base, exponent), special.operand(), base)
    return base
