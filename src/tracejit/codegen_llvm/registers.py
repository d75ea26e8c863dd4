"""How values of each dtype are held in registers and in memory: LLVM type names and the spelling of constants.

Owns everything that depends on a dtype and a number of lanes only. It must not know operations, loops or targets.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from tracejit.ir.core import Literal
from tracejit.ir.types import dtype_name

__all__ = ["Register", "Text", "register", "spell_float"]

Text = str | tuple[str, str]
"""A value in LLVM text: a name or a constant; for complex dtypes the pair (real part, imaginary part)."""

# name -> (group, element in registers, element in memory, bits of the element in registers, bytes in memory)
_LAYOUT = {
    "f64": ("f", "double", "double", 64, 8),
    "f32": ("f", "float", "float", 32, 4),
    "f16": ("h", "float", "half", 32, 2),
    "bf16": ("h", "float", "i16", 32, 2),
    "c128": ("c", "double", "double", 64, 16),
    "c64": ("c", "float", "float", 32, 8),
    "bool": ("b", "i1", "i8", 1, 1),
    **{f"i{bits}": ("s", f"i{bits}", f"i{bits}", bits, bits // 8) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": ("u", f"i{bits}", f"i{bits}", bits, bits // 8) for bits in (8, 16, 32, 64)},
}


def spell_float(value: float) -> str:
    """A float constant: LLVM writes both ``float`` and ``double`` as the bits of the same number in double."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Register:
    """``lanes`` values of one dtype in a register.

    group: ``f`` floats, ``h`` half precision (held as float, rounded after each operation), ``s`` signed and ``u``
           unsigned integers, ``b`` bool (held as i1, in memory a byte), ``c`` complex (two registers).
    type:  the LLVM type, ``<4 x double>``; for complex the type of each part.
    mask:  the LLVM type of a truth value for each lane.
    part:  for complex, the register of each part.
    """

    __slots__ = (
        "_constants", "bits", "element", "group", "integer", "lanes", "mask", "memory", "memory_type", "name", "part",
        "size", "suffix", "type",
    )  # fmt: skip

    def __init__(self, name: str, lanes: int) -> None:
        group, element, memory, bits, size = _LAYOUT[name]
        self.name = name
        self.group = group
        self.lanes = lanes
        self.element = element
        self.memory = memory
        self.bits = bits
        self.size = size
        self.type = wide(lanes, element)
        self.memory_type = wide(lanes, memory)
        self.mask = wide(lanes, "i1")
        self.integer = wide(lanes, f"i{bits}")
        letter = "f" if group in "fhc" else "i"
        self.suffix = f"{letter}{bits}" if lanes == 1 else f"v{lanes}{letter}{bits}"
        part = {"c128": "f64", "c64": "f32"}.get(name)
        self.part: Register | None = None if part is None else named_register(part, lanes)
        self._constants: dict[Any, Text] = {}

    def number(self, value: float | complex) -> Any:
        """A constant, the same in each lane, as text (as a pair of texts for complex dtypes)."""
        key = (value, str(value))  # 0.0 and -0.0 are equal, and so are 1 and True
        text = self._constants.get(key)
        if text is None:
            text = self._constants[key] = self._spell(value)
        return text

    def literal(self, literal: Literal) -> Any:
        """The constant that a literal of this dtype stands for."""
        text = self._constants.get(literal)
        if text is None:
            value = literal.value
            plain = value if self.group == "c" else float(value) if self.group == "h" else value.item()
            text = self._constants[literal] = self._spell(plain)
        return text

    def _spell(self, value: Any) -> Text:
        if self.part is not None:
            return self.part.number(float(np.real(value))), self.part.number(float(np.imag(value)))
        if self.group == "b":
            text = "true" if value else "false"
        elif self.group in "su":
            text = str(int(value))
        else:
            text = spell_float(float(np.float32(value)) if self.bits == 32 else float(value))
        return text if self.lanes == 1 else f"splat ({self.element} {text})"

    def with_lanes(self, lanes: int) -> Register:
        """The register of the same dtype for another number of lanes."""
        return self if lanes == self.lanes else named_register(self.name, lanes)

    def __repr__(self) -> str:
        return f"<{self.lanes} x {self.name}>"


def wide(lanes: int, element: str) -> str:
    """The LLVM type of some lanes of an element type."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


_registers: dict[tuple[str, int], Register] = {}
_by_dtype: dict[tuple[Any, int], Register] = {}


def named_register(name: str, lanes: int = 1) -> Register:
    """The register of a short dtype name."""
    found = _registers.get((name, lanes))
    if found is None:
        found = _registers[name, lanes] = Register(name, lanes)
    return found


def register(dtype: np.dtype[Any], lanes: int = 1) -> Register:
    """The register of a dtype.

    Example:
        >>> register(np.dtype("f4"), 8).type
        '<8 x float>'
    """
    found = _by_dtype.get((dtype, lanes))
    if found is None:
        found = _by_dtype[dtype, lanes] = named_register(dtype_name(dtype), lanes)
    return found
