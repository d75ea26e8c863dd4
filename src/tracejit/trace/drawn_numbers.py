"""NumPy's methods of generators as Python on top of bits, or of numbers that C functions draw.

These functions are traced: their loops and branches become those of the program.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "as_int",
    "as_uint32",
    "below_32",
    "below_64",
    "below_by_mask",
    "bit_mask",
    "bounded",
    "check_not_negative",
    "check_poisson",
    "check_positive",
    "check_probabilities",
    "check_probability",
    "check_range",
    "check_scale",
    "converted",
    "cumulative",
    "distinct",
    "exchange",
    "interval",
    "is_positive",
    "python_below",
    "standard_exponential",
    "standard_normal",
    "unsigned",
]


def standard_normal(bits: Any, inside: Any, widths: Any, heights: Any, edge: Any, inverse: Any) -> Any:
    """A normal number by the ziggurat."""
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


def standard_exponential(bits: Any, inside: Any, widths: Any, heights: Any, edge: Any) -> Any:
    """An exponential number by the ziggurat."""
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


def below_32(bits: Any, largest: Any) -> Any:
    """A number in [0, largest], after Lemire, "Fast random integer generation in an interval", 2019."""
    count = largest + np.uint64(1)
    product = np.uint64(bits.uint32()) * count
    if (product & _LOW) < count:
        least = (_LOW - largest) % count
        while (product & _LOW) < least:
            product = np.uint64(bits.uint32()) * count
    return product >> np.uint64(32)


def below_64(bits: Any, largest: Any) -> Any:
    """A number in [0, largest] by the same method, with products of 128 bits."""
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


def below_by_mask(bits: Any, largest: Any) -> Any:
    """A number in [0, largest]: bits that are too many are drawn again."""
    mask = bit_mask(largest)
    drawn = _ALL
    if largest <= _LOW:
        while drawn > largest:
            drawn = np.uint64(bits.uint32()) & mask
    else:
        while drawn > largest:
            drawn = bits.uint64() & mask
    return drawn


_LOW, _ALL = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)


def bounded(bits: Any, below: Any, below_wide: Any, start: Any, largest: Any) -> Any:
    """A number from ``start`` to ``start + largest``."""
    drawn = np.uint64(0)
    if below_wide is None or largest <= _LOW:
        if largest > 0:
            drawn = below(bits, largest)
    else:
        drawn = below_wide(bits, largest)
    return start + drawn


def interval(low: Any, high: Any, closed: bool) -> Any:
    """``low``, and by how much a number in ``[low, high)``, or ``[low, high]``, may be above it, as uint64."""
    if low > high if closed else low >= high:
        if low == 0:
            raise ValueError("high < 0" if closed else "high <= 0")
        raise ValueError("low > high" if closed else "low >= high")
    start = np.uint64(np.int64(low))
    largest = np.uint64(np.int64(high)) - start
    return start, largest if closed else largest - np.uint64(1)


def converted(drawn: Any, dtype: Any, is_array: bool) -> Any:
    """64 bits as integers of a dtype."""
    return drawn.astype(dtype) if is_array else dtype(drawn)


def unsigned(number: Any) -> Any:
    """A number that is not negative as uint64."""
    return np.uint64(number)


def as_uint32(number: Any) -> Any:
    """A small number as uint32."""
    return np.uint32(number)


def as_int(number: Any) -> Any:
    """A number as one of Python's."""
    return int(number)


def is_positive(count: Any) -> bool:
    """Whether there is something to choose from; NumPy raises the error."""
    return bool(count > 0)


def check_not_negative(value: Any, name: str) -> None:
    """NumPy's CONS_NON_NEGATIVE."""
    if np.signbit(value) and value == value:
        raise ValueError(name + " < 0")


def check_positive(value: Any, name: str) -> None:
    """NumPy's CONS_POSITIVE."""
    if value <= 0:
        raise ValueError(name + " <= 0")


def check_probability(value: Any, name: str) -> None:
    """NumPy's CONS_BOUNDED_GT_0_1."""
    if not value > 0 or not value <= 1:
        raise ValueError(name + " <= 0, " + name + " > 1 or " + name + " contains NaNs")


def check_poisson(value: Any, name: str) -> None:
    """NumPy's CONS_POISSON."""
    if not value >= 0:
        raise ValueError(name + " < 0 or " + name + " is NaN")
    if not value <= 9.223372006484771e18:
        raise ValueError(name + " value too large")


def bit_mask(largest: Any) -> Any:
    """All bits up to the highest one of a number."""
    mask = largest
    for shift in (1, 2, 4, 8, 16, 32):
        mask = mask | mask >> np.uint64(shift)
    return mask


def check_scale(scale: Any) -> None:
    """NumPy's check of what is to be not negative; NaN is let through."""
    if np.any(np.signbit(scale) & (scale == scale)):
        raise ValueError("scale < 0")


def check_range(low: Any, high: Any, signed: bool, text: str) -> None:
    """NumPy's check of the ends of an interval."""
    if not np.all(np.isfinite(high - low)):
        raise OverflowError(text)
    if not signed and np.any(np.signbit(high - low)):
        raise ValueError("high - low < 0")


def check_probabilities(p: Any, prefix: str, is_legacy: bool) -> None:
    """NumPy's checks of probabilities."""
    total = p.sum()
    if np.isnan(total):
        raise ValueError(prefix + "robabilities contain NaN")
    if np.any(p < 0):
        raise ValueError(prefix + "robabilities are not non-negative")
    if abs(total - 1.0) > 1.4901161193847656e-08:
        if is_legacy:
            raise ValueError("probabilities do not sum to 1")
        raise ValueError("Probabilities do not sum to 1. See Notes section of docstring for more information.")


def cumulative(p: Any) -> Any:
    """Sums up to each probability, the last one 1."""
    sums = p.cumsum()
    return sums / sums[-1]


def exchange(draw: Any, x: Any, count: Any, first: Any) -> None:
    """Shuffle the elements from ``first`` on, from the last one down."""
    for i in range(count - 1, first - 1, -1):
        j = draw(i)
        kept = x[j]
        x[j] = x[i]
        x[i] = kept


def distinct(draw: Any, count: Any, size: Any, exchange: Any) -> Any:
    """Different numbers below ``count`` as `Generator.choice` finds them: from the end of a shuffle, or by Floyd."""
    if count > 10000 and size > count // 50:
        places = np.arange(count)
        exchange(draw, places, count, max(count - size, 1))
        return places[count - size :].copy()
    found = np.empty(size, np.int64)
    taken = np.zeros(count, np.bool_)
    for k in range(size):
        number = draw(count - size + k)
        if taken[number]:
            number = count - size + k
        taken[number] = True
        found[k] = number
    exchange(draw, found, size, 1)
    return found


def python_below(bits: Any, count: Any) -> Any:
    """``Random._randbelow``: as many bits as the number has, drawn again where they are too many."""
    if count <= 0:
        raise ValueError("empty range for randrange()")
    if count > 4294967295:
        raise OverflowError("random integers from a range of more than 32 bits that is computed are not compiled")
    wide = 0
    while count >> wide:
        wide += 1
    drawn = count
    while drawn >= count:
        drawn = bits(wide)
    return drawn
