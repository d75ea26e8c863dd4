"""Draws of single random numbers in loops, as machine code: NumPy's methods, on the bits of NumPy's bit generators.

The program asks once for the addresses of a generator's C functions and of its state, and holds the generator's lock
until it ends; the numbers and the state are those of NumPy. Arrays of random numbers are drawn by NumPy itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace import ziggurat
from tracejit.trace.array import NumpyValue, TracedScalar
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.frames import current_frame
from tracejit.trace.location import user_location
from tracejit.trace.python_calls import Announced, Outcome, Part, call_python
from tracejit.trace.pytree import flatten
from tracejit.trace.registry import call
from tracejit.trace.scalar import PythonNumber, number, to_number

__all__ = ["draw_natively", "open_bits"]


def draw_natively(owner: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A single number in a loop, or NotImplemented."""
    rule, *names = _METHODS.get(type(owner), {}).get(name, (None,))
    if rule is None or not current_trace().region:
        return NotImplemented
    if len(args) > len(names) or not kwargs.keys() <= set(names):  # a size, a dtype
        return NotImplemented
    return rule(owner, *args, **kwargs) if all(map(_is_scalar, (*args, *kwargs.values()))) else NotImplemented


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (PythonNumber, bool, int, float, np.integer, np.floating)):
        return not (isinstance(value, PythonNumber) and value.python_type is complex)
    return isinstance(value, NumpyValue) and not value.dims and value.dtype.kind in "biuf"


# ---------------------------------------------------------------------------------------------------------------- bits


class _Bits:
    """A bit generator in the program."""

    def __init__(self, addresses: Sequence[Any]) -> None:
        self.state, *self.functions = addresses

    def _next(self, function: int, dtype: Any) -> Operand:
        addresses = (self.functions[function].operand(), self.state.operand())
        attrs = {"dtype": np.dtype(dtype)}
        return current_trace().builder.emit(PRIMITIVES["random_bits"], addresses, attrs, (), user_location())[0]

    def uint64(self) -> Any:
        """64 bits."""
        return TracedScalar(self._next(0, np.uint64))

    def uint32(self) -> Any:
        """32 bits."""
        return TracedScalar(self._next(1, np.uint32))

    def double(self) -> Any:
        """A number in [0, 1)."""
        return number(self._next(2, np.float64), float)


def open_bits(owner: Any) -> tuple[int, ...]:
    """The addresses in a bit generator; its lock is held from now on."""
    bits = owner.bit_generator if hasattr(owner, "bit_generator") else owner._bit_generator
    frame = current_frame()
    if frame.locks is not None and bits.lock not in frame.locks:
        bits.lock.acquire()
        frame.locks.append(bits.lock)
    interface = bits.ctypes
    functions = (interface.next_uint64, interface.next_uint32, interface.next_double)
    return (interface.state_address, *(ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions))


_ADDRESSES = Outcome(flatten((0,) * 4)[1], tuple(Part("python", k, int) for k in range(4)), (Announced(INT64, ()),) * 4)


def _bits_of(owner: Any) -> _Bits:
    """The bit generator, opened in front of all loops, or where the generator was made."""
    trace = current_trace()
    outer = trace.captures.made_in(owner) or trace.outside_regions()
    bits = outer.bits.get(id(owner))
    if bits is None:
        with outer.resumed():
            addresses = call_python(open_bits, (owner,), {}, _ADDRESSES, name="BitGenerator.ctypes", effects=True)
        bits = outer.bits[id(owner)] = _Bits(addresses)
    return bits


# ------------------------------------------------------------------------------------------------------------- methods
# The functions below are traced: their loops and branches become those of the program.


def _standard_normal(bits: Any, inside: Any, widths: Any, heights: Any, edge: Any, inverse: Any) -> Any:
    while True:
        drawn = bits.uint64()
        layer = np.int64(drawn & np.uint64(255))
        negative = (drawn >> np.uint64(8)) & np.uint64(1)
        size = np.int64((drawn >> np.uint64(9)) & np.uint64(0x000FFFFFFFFFFFFF))
        x = size * widths[layer]
        if negative:
            x = -x
        if size < inside[layer]:
            return x
        if layer == 0:
            while True:
                beyond = -inverse * np.log1p(-bits.double())
                if -2 * np.log1p(-bits.double()) > beyond * beyond:
                    return -(edge + beyond) if (size >> 8) & 1 else edge + beyond
        height = heights[layer]
        if (heights[layer - 1] - height) * bits.double() + height < np.exp(-0.5 * x * x):
            return x


def _standard_exponential(bits: Any, inside: Any, widths: Any, heights: Any, edge: Any) -> Any:
    while True:
        drawn = bits.uint64() >> np.uint64(3)
        layer = np.int64(drawn & np.uint64(255))
        size = np.int64(drawn >> np.uint64(8))
        x = size * widths[layer]
        if size < inside[layer]:
            return x
        if layer == 0:
            return edge - np.log1p(-bits.double())
        height = heights[layer]
        if (heights[layer - 1] - height) * bits.double() + height < np.exp(-x):
            return x


def _below_32(bits: Any, largest: Any) -> Any:
    """A number in [0, largest], after Lemire, "Fast random integer generation in an interval", 2019."""
    count = largest + np.uint64(1)
    product = np.uint64(bits.uint32()) * count
    if (product & _LOW) < count:
        least = (_LOW - largest) % count
        while (product & _LOW) < least:
            product = np.uint64(bits.uint32()) * count
    return product >> np.uint64(32)


def _below_64(bits: Any, largest: Any) -> Any:
    count = largest + np.uint64(1)
    drawn = bits.uint64()
    if drawn * count < count:
        least = (_ALL - largest) % count
        while drawn * count < least:
            drawn = bits.uint64()
    high, low = drawn >> np.uint64(32), drawn & _LOW
    other_high, other_low = count >> np.uint64(32), count & _LOW
    middle = high * other_low + (low * other_low >> np.uint64(32))
    carried = (middle & _LOW) + low * other_high
    return high * other_high + (middle >> np.uint64(32)) + (carried >> np.uint64(32))


def _below_by_mask(bits: Any, largest: Any) -> Any:
    """A number in [0, largest]: bits that are too many are drawn again."""
    mask = largest
    for shift in (1, 2, 4, 8, 16, 32):
        mask = mask | mask >> np.uint64(shift)
    drawn = _ALL
    if largest <= _LOW:
        while drawn > largest:
            drawn = np.uint64(bits.uint32()) & mask
    else:
        while drawn > largest:
            drawn = bits.uint64() & mask
    return drawn


_LOW, _ALL = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)


def _integers(bits: Any, below: Any, below_wide: Any, low: Any, high: Any) -> Any:
    if low >= high:
        if low == 0:
            raise ValueError("high <= 0")
        raise ValueError("low >= high")
    start = np.uint64(np.int64(low))
    largest = np.uint64(np.int64(high)) - start - np.uint64(1)
    drawn = np.uint64(0)
    if below_wide is None or largest <= _LOW:
        if largest > 0:
            drawn = below(bits, largest)
    else:
        drawn = below_wide(bits, largest)
    return np.int64(start + drawn)


def _check_scale(scale: Any) -> None:
    if np.signbit(scale):
        raise ValueError("scale < 0")


def _check_range(low: Any, high: Any, signed: bool, text: str) -> None:
    if not np.isfinite(high - low):
        raise OverflowError(text)
    if not signed and np.signbit(high - low):
        raise ValueError("high - low < 0")


# ----------------------------------------------------------------------------------------------------------- by method


def _float(value: Any) -> Any:
    return to_number(value, float) if isinstance(value, Tracer) else float(value)


def _table(array: np.ndarray[Any, Any]) -> Any:
    return current_trace().captures.array(array)


def _ziggurat(owner: Any, source: Any, table: ziggurat.Ziggurat | None, *edges: float) -> Any:
    if table is None:
        return NotImplemented
    arrays = map(_table, (table.inside, table.widths, table.heights))
    return _float(call("with hooks", source)(_bits_of(owner), *arrays, *edges))


def _random(owner: Any) -> Any:
    return _bits_of(owner).double()


def _draw_normal(owner: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    call("with hooks", _check_scale)(_float(scale))
    drawn = _draw_standard_normal(owner)
    return drawn if drawn is NotImplemented else _float(loc) + _float(scale) * drawn


def _draw_standard_normal(owner: Any) -> Any:
    edges = ziggurat.NORMAL_EDGE, ziggurat.INVERSE_NORMAL_EDGE
    return _ziggurat(owner, _standard_normal, ziggurat.normal(), *edges)


def _draw_standard_exponential(owner: Any) -> Any:
    return _ziggurat(owner, _standard_exponential, ziggurat.exponential(), ziggurat.EXPONENTIAL_EDGE)


def _draw_exponential(owner: Any, scale: Any = 1.0) -> Any:
    call("with hooks", _check_scale)(_float(scale))
    drawn = _draw_standard_exponential(owner)
    return drawn if drawn is NotImplemented else _float(scale) * drawn


def _uniform(signed: bool, text: str) -> Callable[..., Any]:
    def draw(owner: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
        low, high = _float(low), _float(high)
        call("with hooks", _check_range)(low, high, signed, text)
        return low + (high - low) * _bits_of(owner).double()

    return draw


def _draw_integers(below: Any, below_wide: Any, result: type) -> Callable[..., Any]:
    def draw(owner: Any, low: Any, high: Any = None) -> Any:
        if high is None:
            low, high = 0, low
        if not all(map(_is_int64, (low, high))):
            return NotImplemented
        wide = None if _is_narrow(low, high) else below_wide
        functions = (f and call("with hooks", f) for f in (below, wide))
        with np.errstate(over="ignore"):  # of plain numbers
            drawn = call("with hooks", _integers)(_bits_of(owner), *functions, low, high)
        return to_number(drawn, int) if result is int else drawn

    return draw


def _is_int64(value: Any) -> bool:
    if isinstance(value, PythonNumber):
        return value.python_type is int
    if isinstance(value, NumpyValue):
        return value.dtype.kind in "iu" and value.dtype != np.uint64
    return type(value) is int and -(2**63) <= value < 2**63


def _is_narrow(low: Any, high: Any) -> bool:
    return type(low) is int and type(high) is int and high - low <= 2**32


_METHODS: dict[type, dict[str, tuple[Any, ...]]] = {
    np.random.Generator: {
        "random": (_random,),
        "uniform": (_uniform(False, "high - low range exceeds valid bounds"), "low", "high"),
        "standard_normal": (_draw_standard_normal,),
        "normal": (_draw_normal, "loc", "scale"),
        "standard_exponential": (_draw_standard_exponential,),
        "exponential": (_draw_exponential, "scale"),
        "integers": (_draw_integers(_below_32, _below_64, np.int64), "low", "high"),
    },
    np.random.RandomState: {
        "random": (_random,),
        "random_sample": (_random,),
        "rand": (_random,),
        "uniform": (_uniform(True, "Range exceeds valid bounds"), "low", "high"),
        "randint": (_draw_integers(_below_by_mask, None, int), "low", "high"),
    },
}
"""Methods whose single numbers are drawn by machine code, and the names of their parameters."""
