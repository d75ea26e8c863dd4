"""The table of workloads: what is computed, and how each peer computes it.

A workload is declared by its inputs; its NumPy source and one builder per peer are added to it:

    @workload("softmax", "softmax of the rows, float32")
    def softmax(size): ...                    # the inputs, a tuple of NumPy arrays

    @softmax.reference
    def softmax_numpy(x): ...                 # plain NumPy: the reference, and what tracejit compiles

    @softmax.peer("jax")
    def softmax_jax(): ...                    # imports the peer, returns the function to call

Workloads that are not "call it often in a warm process" are declared with `@special`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.session import Session

__all__ = ["SPECIALS", "WORKLOADS", "Special", "Workload", "load", "special", "workload"]

Function = Callable[..., Any]
Builder = Callable[[], Function]


@dataclass
class Workload:
    """A computation that every peer repeats in a warm process."""

    name: str
    title: str
    inputs: Callable[[str], tuple[Any, ...]]
    tolerance: float
    bytes_moved: Callable[..., int] | None
    builders: dict[str, Builder] = field(default_factory=dict)
    traffic: dict[str, Callable[..., int]] = field(default_factory=dict)

    def reference(self, function: Function) -> Function:
        """Declare the NumPy source, which is also what tracejit compiles unless it gets a builder of its own."""

        def compiled() -> Function:
            import tracejit

            return tracejit.jit(function)

        self.builders["numpy"] = lambda: function
        self.builders.setdefault("tracejit", compiled)
        return function

    def peer(self, name: str, bytes_moved: Callable[..., int] | None = None) -> Callable[[Builder], Builder]:
        """Declare how `name` computes it; `bytes_moved(*inputs)` where that differs from the workload's."""

        def register(builder: Builder) -> Builder:
            self.builders[name] = builder
            if bytes_moved is not None:
                self.traffic[name] = bytes_moved
            return builder

        return register

    def bytes_of(self, peer: str, inputs: tuple[Any, ...]) -> int | None:
        """Bytes that one call has to read and write, where that is the measure of the workload."""
        count = self.traffic.get(peer, self.bytes_moved)
        return None if count is None else count(*inputs)


@dataclass
class Special:
    """A measurement with a procedure of its own; `measure(session)` returns the rows of its table."""

    name: str
    title: str
    measure: Callable[[Session], list[dict[str, Any]]]


WORKLOADS: dict[str, Workload] = {}
SPECIALS: dict[str, Special] = {}


def workload(
    name: str, title: str, tolerance: float = 1e-10, bytes_moved: Callable[..., int] | None = None
) -> Callable[[Callable[[str], tuple[Any, ...]]], Workload]:
    """Declare a workload by the function that makes its inputs for a size, "small" or "large"."""

    def register(inputs: Callable[[str], tuple[Any, ...]]) -> Workload:
        WORKLOADS[name] = Workload(name, title, inputs, tolerance, bytes_moved)
        return WORKLOADS[name]

    return register


def special(
    name: str, title: str
) -> Callable[[Callable[[Session], list[dict[str, Any]]]], Callable[[Session], list[dict[str, Any]]]]:
    """Declare a measurement with a procedure of its own."""

    def register(measure: Callable[[Session], list[dict[str, Any]]]) -> Callable[[Session], list[dict[str, Any]]]:
        SPECIALS[name] = Special(name, title, measure)
        return measure

    return register


def load() -> None:
    """Import every module of `bench.workloads`, so that the tables are full."""
    package = importlib.import_module("bench.workloads")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"bench.workloads.{module.name}")
