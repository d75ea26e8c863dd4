"""What every stand-in for a value has: its place in NumPy's protocols, and refusals to become a plain Python value."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tracejit.errors import ConcretizationError, UnsupportedError
from tracejit.ir.core import Operand
from tracejit.trace.constants import constant_value
from tracejit.trace.dtypes import Kind
from tracejit.trace.location import describe, user_location
from tracejit.trace.registry import call
from tracejit.trace.values import Dims

__all__ = ["Tracer", "refuse"]


def refuse(what: str, tracer: Any, way_out: str) -> NoReturn:
    """Raise the error for a traced value that was needed as a plain one."""
    raise ConcretizationError(
        f"{what} needs the value of {tracer!r}, which is known only when the compiled function runs "
        f"({describe(user_location())}). {way_out}"
    )


def _operator(function: Any) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, Tracer) and other.maybe:
            return NotImplemented
        return call("binary", function, self, other)

    return method


def _reflected(function: Any) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return call("binary", function, other, self)

    return method


def _unary(function: Any) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        return call(np.ufunc, function, (self,))

    return method


class Tracer:
    """Base of traced arrays, NumPy scalars and Python numbers."""

    __slots__ = ()
    __array_priority__ = 1000.0
    maybe = False  # whether it may be None, so that operators are its own

    @property
    def kind(self) -> Kind:
        """The dtype, or a Python number type for weak values."""
        raise NotImplementedError

    @property
    def dims(self) -> Dims:
        """The sizes of all axes."""
        raise NotImplementedError

    def operand(self) -> Operand:
        """The value in the current trace."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__":
            return call(np.ufunc, ufunc, inputs, **kwargs)
        return call(f"ufunc.{method}", ufunc, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return call(function, *args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        refuse(
            "turning it into a NumPy array",
            self,
            "Call a NumPy function that tracejit knows, or move this step out of the traced function.",
        )

    # -------------------------------------------------------------------------------------------- plain Python values

    def _plain(self) -> Any:
        """The value if it is a constant with one element, else None."""
        if any(dim != 1 for dim in self.dims):
            return None
        value = constant_value(self.operand())
        return None if value is None else value.item()

    def __bool__(self) -> bool:
        if (known := self._plain()) is not None:
            return bool(known)
        refuse(
            "an `if`, `while`, `and`, `or`, `not` or `assert`",
            self,
            "Choose between values with np.where, or between computations with tj.cond.",
        )

    def __float__(self) -> float:
        if (known := self._plain()) is not None:
            return float(known)
        refuse("float()", self, "Use the traced value itself, or .astype(float).")

    def __complex__(self) -> complex:
        if (known := self._plain()) is not None:
            return complex(known)
        refuse("complex()", self, "Use the traced value itself, or .astype(complex).")

    def __int__(self) -> int:
        if (known := self._plain()) is not None:
            return int(known)
        refuse("int()", self, "Use .astype(int), or make the argument static with static_argnums.")

    def __index__(self) -> int:
        if not self.dims and isinstance(known := self._plain(), int):
            return known
        refuse(
            "an index, a size or range()",
            self,
            "Pass sizes as Python ints; an array can be indexed with traced integers.",
        )

    # ------------------------------------------------------------------------------------------------------ operators

    def __hash__(self) -> int:
        refuse(
            "a key of a dict or an element of a set",
            self,
            "Use an array of counts or values at computed indices, np.unique, or np.bincount.",
        )

    __add__, __radd__ = _operator(np.add), _reflected(np.add)
    __sub__, __rsub__ = _operator(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _operator(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.divide), _reflected(np.divide)
    __floordiv__, __rfloordiv__ = _operator(np.floor_divide), _reflected(np.floor_divide)
    __mod__, __rmod__ = _operator(np.remainder), _reflected(np.remainder)
    __divmod__, __rdivmod__ = _operator(np.divmod), _reflected(np.divmod)
    __and__, __rand__ = _operator(np.bitwise_and), _reflected(np.bitwise_and)
    __or__, __ror__ = _operator(np.bitwise_or), _reflected(np.bitwise_or)
    __xor__, __rxor__ = _operator(np.bitwise_xor), _reflected(np.bitwise_xor)
    __lshift__, __rlshift__ = _operator(np.left_shift), _reflected(np.left_shift)
    __rshift__, __rrshift__ = _operator(np.right_shift), _reflected(np.right_shift)
    __matmul__, __rmatmul__ = _operator(np.matmul), _reflected(np.matmul)
    __lt__, __le__ = _operator(np.less), _operator(np.less_equal)
    __gt__, __ge__ = _operator(np.greater), _operator(np.greater_equal)
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Tracer) and other.maybe:
            return NotImplemented
        return call("binary", np.equal, self, other)

    def __ne__(self, other: object) -> Any:
        if isinstance(other, Tracer) and other.maybe:
            return NotImplemented
        return call("binary", np.not_equal, self, other)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            return NotImplemented
        return call(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return call(operator.pow, other, self)


def unknown_function(function: Any) -> UnsupportedError:
    """The error for a NumPy function without an implementation."""
    module = getattr(function, "__module__", None) or "numpy"
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", repr(function))
    full = f"{module}.{name}".replace("numpy.", "np.", 1)
    return UnsupportedError(
        f"{full} is not compiled by tracejit ({describe(user_location())}). Call it before or after the traced "
        "function, or express it with functions that are: elementwise functions, reductions, indexing, reshaping, "
        "matmul, einsum"
    )
