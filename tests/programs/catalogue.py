"""The corpus: programs as people write them for plain NumPy, and what must hold when they get the decorator.

Each module beside this one holds the programs of one domain and a table ``PROGRAMS`` that says how to call them. The
programs are written for NumPy alone; where tracejit cannot do one, ``expected.py`` says so, and the program stays.
"""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Program", "load"]

Arguments = tuple[Any, ...]

SEED = 20240613


@dataclass(frozen=True)
class Program:
    """A function of plain NumPy, and how to call it.

    make: (size, dtype, random generator) -> the arguments of a call.
    sizes: small ones for the tests, in the order of the calls; the first call compiles.
    usual: the size at which its speed is of interest.
    rounding: how far results may be from NumPy's, in units of the last place of the largest value; 0 means the same
        bits. ``because`` says why.
    traces: how often it may be compiled over all sizes; ``why`` says what makes it more than once.
    loops: element-by-element loop nests, where the measure is Numba.
    joined: why a scalar of the result is a Python number for some data and NumPy's for other; compiled it has one type.
    """

    function: Callable[..., Any]
    make: Callable[[int, np.dtype[Any], np.random.Generator], Arguments]
    sizes: tuple[int, ...]
    usual: int
    dtypes: tuple[str, ...] = ("float64", "float32")
    rounding: float = 0
    because: str = ""
    traces: int = 1
    why: str = ""
    loops: bool = False
    joined: str = ""

    def __post_init__(self) -> None:
        """A deviation without a reason is a mistake in the table."""
        assert bool(self.rounding) == bool(self.because), f"{self.name}: rounding without reason"
        assert (self.traces != 1) == bool(self.why), f"{self.name}: traces without reason"

    @property
    def name(self) -> str:
        """The function's name, by which the tables know it."""
        return self.function.__name__

    @property
    def domain(self) -> str:
        """The module that it is in."""
        return self.function.__module__.rpartition(".")[2]

    def arguments(self, size: int, dtype: str) -> Arguments:
        """The arguments of a call, the same at each call of this."""
        return self.make(size, np.dtype(dtype), np.random.default_rng(SEED + size))


def copied(arguments: Arguments) -> Arguments:
    """Arguments that a call may write to; objects and generators are copied too."""
    return copy.deepcopy(arguments)


def load() -> dict[str, Program]:
    """All programs by name, in the order of the modules."""
    found: dict[str, Program] = {}
    package = importlib.import_module(__package__ or "tests.programs")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if module.name.startswith(("test_", "__")):
            continue
        for program in getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "PROGRAMS", ()):
            assert program.name not in found, f"two programs are named {program.name}"
            found[program.name] = program
    return found
