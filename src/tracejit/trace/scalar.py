"""Traced Python numbers: ints that serve as sizes, and numbers known only at run time.

A :class:`SymbolicInt` is a polynomial in the sizes of the call; questions about it are answered by the traced call's
value under a guard. A :class:`TracedNumber` is computed by the program. Both are weak beside arrays, as in Python.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ConcretizationError
from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import Dim, DimLike
from tracejit.trace.base import Tracer, refuse
from tracejit.trace.constants import constant_value
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import BOOL, INT64, PYTHON_DTYPES, Kind
from tracejit.trace.number_errors import (
    check_divisor,
    check_integer,
    check_overflow,
    check_power,
    division_error,
    order_error,
)
from tracejit.trace.registry import call
from tracejit.trace.sizes import SizeEnvironment, UndecidedError, leaked
from tracejit.trace.values import Dims, cast, dim_value, emit, late_dim, literal, truth

__all__ = ["SymbolicBool", "SymbolicInt", "TracedNumber", "as_dim", "number", "python_size"]

_RANK = {bool: 0, int: 1, float: 2, complex: 3}
_PLAIN = (bool, int, float, complex)
_OPS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floordiv",
    "mod": "mod",
    "pow": "pow",
    "lt": "lt",
    "le": "le",
    "gt": "gt",
    "ge": "ge",
    "eq": "eq",
    "ne": "ne",
}
_COMPARISONS = frozenset(("lt", "le", "gt", "ge", "eq", "ne"))
_UFUNCS: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def _is_array_like(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) or (
        isinstance(value, Tracer) and not isinstance(value, PythonNumber)
    )


def _arithmetic(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return self._combine(name, self, other, other)

    return method


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return self._combine(name, other, self, other)

    return method


class PythonNumber(Tracer):
    """Base of traced Python numbers: Python's arithmetic among themselves, NumPy's beside arrays."""

    __slots__ = ()
    dims: Dims = ()
    shape: tuple[int, ...] = ()
    ndim = 0
    python_type: type

    @property
    def kind(self) -> Kind:
        return BOOL if self.python_type is bool else self.python_type

    def _combine(self, name: str, left: Any, right: Any, other: Any) -> Any:
        if isinstance(other, Tracer) and other.maybe:
            return NotImplemented
        if _is_array_like(other):
            if name == "pow":
                return call("power", left, right)
            return call(np.ufunc, _UFUNCS[name], (left, right))
        if not isinstance(other, (*_PLAIN, PythonNumber)):
            return NotImplemented
        return combine_numbers(name, left, right)

    __add__, __radd__ = _arithmetic("add"), _reflected("add")
    __sub__, __rsub__ = _arithmetic("sub"), _reflected("sub")
    __mul__, __rmul__ = _arithmetic("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _arithmetic("truediv"), _reflected("truediv")
    __floordiv__, __rfloordiv__ = _arithmetic("floordiv"), _reflected("floordiv")
    __mod__, __rmod__ = _arithmetic("mod"), _reflected("mod")
    __lt__, __le__ = _arithmetic("lt"), _arithmetic("le")
    __gt__, __ge__ = _arithmetic("gt"), _arithmetic("ge")

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return NotImplemented if modulus is not None else self._combine("pow", self, other, other)

    def __rpow__(self, other: Any) -> Any:
        return self._combine("pow", other, self, other)

    __hash__ = Tracer.__hash__

    def __eq__(self, other: object) -> Any:
        return self._combine("eq", self, other, other)

    def __ne__(self, other: object) -> Any:
        return self._combine("ne", self, other, other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pos__(self) -> Any:
        return +0 + self if self.python_type is bool else self

    def conjugate(self) -> Any:
        """``float.conjugate`` and the like."""
        if self.python_type is complex:
            return number(emit("conj", self.operand()), complex)
        return +self if self.python_type is bool else self


class TracedNumber(PythonNumber):
    """A Python bool, int, float or complex that the compiled program is given or computes."""

    __slots__ = ("_operand", "owner", "python_type")

    def __init__(self, operand: Operand, python_type: type) -> None:
        self._operand = operand
        self.python_type = python_type
        self.owner: Trace = current_trace()

    def operand(self) -> Operand:
        """The value in the current trace."""
        return current_trace().lift(self._operand, self.owner)

    @property
    def raw(self) -> Operand:
        """The value in the trace that made it."""
        return self._operand

    def __neg__(self) -> Any:
        return number(emit("neg", _as(self, _arithmetic_type(self))), _arithmetic_type(self))

    def __abs__(self) -> Any:
        kind = _arithmetic_type(self)
        return number(emit("abs", _as(self, kind)), float if kind is complex else kind)

    def __invert__(self) -> Any:
        return number(emit("bitwise_not", _as(self, int)), int)

    @property
    def real(self) -> Any:
        """The real part."""
        return number(emit("real", self.operand()), float) if self.python_type is complex else +self

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return number(emit("imag", self.operand()), float) if self.python_type is complex else 0 * self

    def is_integer(self) -> Any:
        """``float.is_integer``."""
        return number(emit("eq", emit("floor", self.operand()), self.operand()), bool)

    def __round__(self, digits: int | None = None) -> Any:
        return call(round, self, digits)

    def __floor__(self) -> Any:
        return call(math.floor, self)

    def __ceil__(self) -> Any:
        return call(math.ceil, self)

    def __trunc__(self) -> Any:
        return call(int, self)

    def __repr__(self) -> str:
        return f"traced Python {self.python_type.__name__}"


class SymbolicInt(PythonNumber):
    """A Python int of the call, the size of an axis, or a polynomial of such."""

    __slots__ = ("dim", "sizes")
    python_type: type = int

    def __init__(self, dim: DimLike, sizes: SizeEnvironment) -> None:
        self.dim = dim
        self.sizes = sizes

    def operand(self) -> Operand:
        """The value in the current trace."""
        self._check()
        return dim_value(self.dim)

    def _check(self) -> None:
        if not self.sizes.active:
            raise leaked("a size")

    def value(self) -> int:
        """The plain int of the traced call, guarded."""
        self._check()
        return self.sizes.concrete(self.dim)

    __index__ = __int__ = __trunc__ = __floor__ = __ceil__ = value

    def __round__(self, digits: int | None = None) -> Any:
        return self if digits is None or digits >= 0 else round(self.value(), digits)

    def __float__(self) -> float:
        return float(self.value())

    def __complex__(self) -> complex:
        return complex(self.value())

    def __bool__(self) -> bool:
        return not self.sizes.decide(self.dim, "== 0")

    def __hash__(self) -> int:
        return hash(self.value())

    def __str__(self) -> str:
        return str(self.value())

    def __format__(self, spec: str) -> str:
        return format(self.value(), spec)

    def __neg__(self) -> Any:
        return python_size(-self.dim)

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __invert__(self) -> Any:
        return python_size(-self.dim - 1)

    def bit_length(self) -> int:
        """``int.bit_length``."""
        return self.value().bit_length()

    @property
    def real(self) -> Any:
        """The real part."""
        return +self

    @property
    def imag(self) -> int:
        """The imaginary part."""
        return 0

    @property
    def numerator(self) -> Any:
        """The int itself."""
        return self

    @property
    def denominator(self) -> int:
        """One."""
        return 1

    def is_integer(self) -> bool:
        """``int.is_integer``."""
        return True

    def __repr__(self) -> str:
        # str() of a shape shows the numbers, and is right for this call only: hence the guard.
        return str(self.value()) if self.sizes.active else f"<size {self.dim} of a finished trace>"


def _bits(name: str) -> None:
    """Bit operations need the value itself: polynomials have no bits."""

    def method(self: SymbolicInt, other: Any) -> Any:
        if _is_array_like(other):
            return call(np.ufunc, _BITS[name], (self, other))
        if isinstance(other, TracedNumber):
            return NotImplemented
        return getattr(self.value(), name)(int(other) if isinstance(other, SymbolicInt) else other)

    def reflected(self: SymbolicInt, other: Any) -> Any:
        if _is_array_like(other):
            return call(np.ufunc, _BITS[name], (other, self))
        return getattr(int(other), name)(self.value())

    setattr(SymbolicInt, name, method)
    setattr(SymbolicInt, name.replace("__", "__r", 1), reflected)


def _computed_bits(name: str) -> None:
    """Bit operations of computed ints and bools: Python's own beside Python numbers."""
    ufunc = _BITS[name]

    def combined(left: Any, right: Any, other: Any) -> Any:
        if _is_array_like(other):
            return call(np.ufunc, ufunc, (left, right))
        if not isinstance(other, (*_PLAIN, PythonNumber)) or not {_type_of(left), _type_of(right)} <= {int, bool}:
            return NotImplemented
        both_bool = _type_of(left) is _type_of(right) is bool and not name.endswith("shift__")
        kind = bool if both_bool else int
        return number(emit(_BIT_OPERATIONS[ufunc], _as(left, kind), _as(right, kind)), kind)

    setattr(TracedNumber, name, lambda self, other: combined(self, other, other))
    setattr(TracedNumber, name.replace("__", "__r", 1), lambda self, other: combined(other, self, other))


_BIT_OPERATIONS = {
    np.bitwise_and: "bitwise_and",
    np.bitwise_or: "bitwise_or",
    np.bitwise_xor: "bitwise_xor",
    np.left_shift: "shift_left",
    np.right_shift: "shift_right",
}
_BITS = {
    "__and__": np.bitwise_and,
    "__or__": np.bitwise_or,
    "__xor__": np.bitwise_xor,
    "__lshift__": np.left_shift,
    "__rshift__": np.right_shift,
}
for _name in _BITS:
    _bits(_name)
    _computed_bits(_name)


class SymbolicBool(SymbolicInt):
    """A Python bool of the call: the size 0 or 1."""

    __slots__ = ()
    python_type = bool

    def operand(self) -> Operand:
        """The value in the current trace."""
        return cast(super().operand(), BOOL)

    def value(self) -> int:
        """The plain bool of the traced call, guarded."""
        return bool(self)

    __index__ = __int__ = value

    def __str__(self) -> str:
        return str(bool(self))

    def __format__(self, spec: str) -> str:
        return format(bool(self), spec)

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return str(bool(self)) if self.sizes.active else f"<bool {self.dim} of a finished trace>"


def python_size(dim: DimLike) -> Any:
    """A dim as the Python int that the user sees: plain where it is known."""
    if type(dim) is int:
        return dim
    sizes = current_trace().sizes
    dim = sizes.resolve(dim)
    return SymbolicInt(dim, sizes) if isinstance(dim, Dim) else dim


def as_dim(value: Any, what: str = "a size") -> DimLike:
    """The dim of a Python int, a NumPy integer or a size; other traced numbers are refused."""
    if type(value) is int:
        return value
    if isinstance(value, SymbolicInt):
        value._check()
        return value.sizes.resolve(value.dim)
    if isinstance(value, Tracer):
        if (dim := getattr(value, "dim", None)) is not None:
            return current_trace().sizes.resolve(dim)  # a NumPy integer that is the product of a shape
        if isinstance(value, PythonNumber) and value.python_type in (float, complex):
            raise TypeError(f"'{value.python_type.__name__}' object cannot be interpreted as an integer")
        if not value.dims and (known := constant_value(value.operand())) is not None and known.dtype.kind in "iub":
            return int(known)
        if value.dims == () and getattr(value.kind, "kind", "i") in "iu":
            return late_dim(cast(value.operand(), INT64))
        refuse(what, value, "Sizes come from ints.")
    index: int = value.__index__() if hasattr(value, "__index__") else _not_an_int(value)
    return int(index)


def _not_an_int(value: Any) -> int:
    raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")


# ---------------------------------------------------------------------------------------- arithmetic of Python numbers


def number(operand: Operand, python_type: type) -> Any:
    """The Python number of a computed scalar; a constant becomes a plain number."""
    if isinstance(operand, Literal):
        return python_type(operand.value)
    return TracedNumber(operand, python_type)


def _type_of(value: Any) -> type:
    if isinstance(value, PythonNumber):
        return value.python_type
    return type(value) if type(value) in _RANK else next(kind for kind in _PLAIN if isinstance(value, kind))


def _arithmetic_type(value: Any) -> type:
    kind = _type_of(value)
    return int if kind is bool else kind


def _as(value: Any, kind: type) -> Operand:
    """A Python number as an operand of another Python number type's dtype."""
    dtype = PYTHON_DTYPES[kind]
    if isinstance(value, PythonNumber):
        return cast(value.operand(), dtype)
    return literal(value, dtype)


def combine_numbers(name: str, left: Any, right: Any) -> Any:
    """Python's arithmetic or comparison of two Python numbers, of which one is traced."""
    kind = max((_type_of(left), _type_of(right)), key=_RANK.__getitem__)
    if kind in (int, bool) and not isinstance(left, TracedNumber) and not isinstance(right, TracedNumber):
        result = _combine_exactly(name, left, right)
        if result is not NotImplemented:
            return result
    if name in _COMPARISONS:
        return _compare(name, left, right, kind)
    if kind is bool:
        kind = int
    given = kind
    if name == "truediv" and kind is int:
        kind = float
    if name == "pow":
        return _power(left, right, kind)
    divisor = _as(right, kind)
    if name in ("truediv", "floordiv", "mod"):
        if _is_computed(right):
            check_divisor(name, divisor, given)
        elif not right:
            raise division_error(name, given)
    return number(emit(_OPS[name], _as(left, kind), divisor), kind)


def _is_computed(value: Any) -> bool:
    """Whether only the running program knows a number."""
    if isinstance(value, SymbolicInt):
        return value.sizes.is_late(value.sizes.resolve(value.dim))
    return isinstance(value, TracedNumber)


def _combine_exactly(name: str, left: Any, right: Any) -> Any:
    try:
        return _combine_sizes(name, as_dim(left), as_dim(right))
    except UndecidedError:  # the running program computes it
        return NotImplemented


def _compare(name: str, left: Any, right: Any, kind: type) -> Any:
    if kind is complex and name not in ("eq", "ne"):
        raise order_error(name, _type_of(left), _type_of(right))
    if isinstance(left, SymbolicInt) and type(right) is float:
        return _compare_with_float(name, left, right)
    if isinstance(right, SymbolicInt) and type(left) is float:
        return _compare_with_float(_MIRRORED[name], right, left)
    return number(emit(_OPS[name], _as(left, kind), _as(right, kind)), bool)


def _power(left: Any, right: Any, kind: type) -> Any:
    if kind is int:
        if not isinstance(right, TracedNumber):
            if right < 0:
                kind = float
        else:
            raise ConcretizationError(
                "the type of an int to the power of a computed int depends on its sign; convert one of them to float"
            )
    elif kind is float and type(right) is int and right == 2:
        base = _as(left, float)
        square = emit("mul", base, base)
        check_overflow(square, base)
        return number(square, float)
    base, exponent = _as(left, kind), _as(right, kind)
    result = emit("pow", base, exponent)
    if kind is float:
        check_power(result, base, exponent)
    return number(result, kind)


def _combine_sizes(name: str, a: DimLike, b: DimLike) -> Any:
    """The result where it is a size again, or an answer under a guard."""
    sizes = current_trace().sizes
    if name in _COMPARISONS:
        return _compare_sizes(sizes, name, a, b)
    if name == "pow":
        exponent = b if isinstance(b, int) else sizes.concrete(b)
        if not 0 <= exponent <= 16:
            return NotImplemented if exponent < 0 else sizes.concrete(a) ** exponent
        result: DimLike = 1
        for _ in range(exponent):
            result = result * a
        return python_size(result)
    if name == "truediv":
        return NotImplemented
    if name in ("floordiv", "mod"):
        if sizes.decide(b, "== 0"):
            raise division_error(name, int)
        return python_size(a // b if name == "floordiv" else a % b)
    return python_size(a + b if name == "add" else a - b if name == "sub" else a * b)


_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


def _compare_with_float(name: str, size: SymbolicInt, bound: float) -> bool:
    """A question about a size, decided as between ints."""
    if not math.isfinite(bound):
        return bool(getattr(operator, name)(0.0, bound))
    if name in ("eq", "ne") and not bound.is_integer():
        return name == "ne"
    whole = math.floor(bound) if name in ("le", "gt") else math.ceil(bound)
    return bool(getattr(operator, name)(size, whole))


def _compare_sizes(sizes: SizeEnvironment, name: str, a: DimLike, b: DimLike) -> bool:
    if name == "lt":
        return not sizes.decide(a - b, ">= 0")
    if name == "le":
        return sizes.decide(b - a, ">= 0")
    if name == "gt":
        return not sizes.decide(b - a, ">= 0")
    if name == "ge":
        return sizes.decide(a - b, ">= 0")
    equal = sizes.decide(a - b, "== 0")
    return equal if name == "eq" else not equal


def to_number(value: Any, kind: type) -> Any:
    """``float(value)`` and the like of a traced number or of a traced array with one element."""
    if kind is int and (dim := getattr(value, "dim", None)) is not None:
        return python_size(dim)
    operand = value.operand()
    known = constant_value(operand)
    if known is not None and not (known.dtype.kind == "c" and kind is not complex):
        return kind(known)
    if kind is bool:
        return number(truth(operand), bool)
    dtype = PYTHON_DTYPES[kind]
    if operand.type.dtype.kind == "c" and kind is not complex:
        if not isinstance(value, PythonNumber):
            return number(cast(emit("real", operand), dtype), kind)  # NumPy only warns
        raise TypeError(f"{kind.__name__}() argument must be a string or a real number, not 'complex'")
    if kind is int and operand.type.dtype.kind == "f":
        check_integer(operand)
    return number(cast(operand, dtype), kind)
