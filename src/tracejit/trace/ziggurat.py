"""The tables behind NumPy's normal and exponential numbers: widths of layers, and which numbers lie inside of one.

Compiled code draws the same numbers as NumPy, to the last bit, only with NumPy's own widths. They are read from NumPy:
a bit generator that answers with chosen bits makes it give them. The rest follows from them. The method is that of
Marsaglia and Tsang, "The ziggurat method for generating random variables", J. Stat. Softw. 5(8), 2000.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["EXPONENTIAL_EDGE", "INVERSE_NORMAL_EDGE", "LAYERS", "NORMAL_EDGE", "Ziggurat", "exponential", "normal"]

LAYERS = 256
NORMAL_EDGE = 3.6541528853610087963519472518
INVERSE_NORMAL_EDGE = 0.27366123732975827203338247596
EXPONENTIAL_EDGE = 7.69711747013104972


@dataclass(frozen=True)
class Ziggurat:
    """inside: integers below this are within the layer above; widths: of a layer, in units of the last bit;
    heights: the density at the layer's edge."""  # fmt: skip

    inside: np.ndarray[Any, Any]
    widths: np.ndarray[Any, Any]
    heights: np.ndarray[Any, Any]


@lru_cache
def normal() -> Ziggurat | None:
    """The tables of ``Generator.standard_normal``; None where NumPy does not do it this way."""
    one = lambda layer: layer | 1 << 9  # noqa: E731
    return _read("standard_normal", one, 52, lambda x: np.exp(-0.5 * x * x), NORMAL_EDGE)


@lru_cache
def exponential() -> Ziggurat | None:
    """The tables of ``Generator.standard_exponential``; None where NumPy does not do it this way."""
    return _read(
        "standard_exponential", lambda layer: (layer | 1 << 8) << 3, 53, lambda x: np.exp(-x), EXPONENTIAL_EDGE
    )


def _read(name: str, one: Callable[[int], int], bits: int, density: Any, edge: float) -> Ziggurat | None:
    """one: the 64 bits that choose a layer and the integer 1."""
    source = _ChosenBits()
    draw = getattr(np.random.Generator(source), name)  # type: ignore[arg-type]
    widths = np.array([source.answered(one(layer), draw) for layer in range(LAYERS)])
    edges = widths * 2.0**bits
    usual = (np.diff(edges[1:]) > 0).all() and edges[0] > edges[-1] and abs(edges[-1] / edge - 1) < 1e-14
    if not usual:
        return None
    inside = np.empty(LAYERS, np.int64)
    inside[0] = int(edge / edges[0] * 2.0**bits)
    inside[1] = 0
    inside[2:] = (edges[1:-1] / edges[2:] * 2.0**bits).astype(np.int64)
    heights = density(edges)
    heights[0] = 1.0
    return Ziggurat(inside, widths, heights)


_Next64 = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)
_Next32 = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
_NextDouble = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p)
_CAPSULE = b"BitGenerator"


class _Interface(ctypes.Structure):
    """``bitgen_t`` of NumPy's C interface (numpy/random/bitgen.h)."""

    _fields_ = [
        ("state", ctypes.c_void_p),
        ("next_uint64", _Next64),
        ("next_uint32", _Next32),
        ("next_double", _NextDouble),
        ("next_raw", _Next64),
    ]


class _ChosenBits:
    """A bit generator that gives the bits it was told to, and zeros as doubles."""

    def __init__(self) -> None:
        self.bits = 0
        bits, zero = _Next64(lambda _: self.bits), _NextDouble(lambda _: 0.0)
        self._interface = _Interface(None, bits, _Next32(lambda _: 0), zero, bits)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        self.capsule = new(ctypes.addressof(self._interface), _CAPSULE, None)
        self.lock = threading.RLock()

    def answered(self, bits: int, draw: Callable[[], float]) -> float:
        """What a method draws from these bits."""
        self.bits = bits
        return draw()
