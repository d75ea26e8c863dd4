"""Generators of random numbers as objects: which objects are some, and that tracing leaves them as they are.

While tracing, the user's function sees the real generators, but numbers are drawn when the program runs: from the
object that is found then where this one was found.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError

__all__ = ["is_generator", "is_maker", "is_shared", "sample_of", "undisturbed"]

_MODULE = "numpy.random"


def is_generator(value: Any) -> bool:
    """Whether a value is a random number generator, or a source of random bits or of seeds."""
    module = type(value).__module__
    if module.startswith(_MODULE):
        return not callable(value)
    standard: Any = sys.modules.get("random")
    return standard is not None and isinstance(value, standard.Random)


def is_shared(value: Any) -> bool:
    """Whether a generator is the one behind the functions of ``numpy.random`` or ``random``."""
    return any(value is generator for generator in _shared())


def _shared() -> list[Any]:
    numpys: Any = sys.modules.get(f"{_MODULE}.mtrand")
    standard: Any = sys.modules.get("random")
    return [*([] if numpys is None else [numpys._rand]), *([] if standard is None else [standard._inst])]


def is_maker(function: Any) -> bool:
    """Whether a callable makes or seeds generators."""
    standard: Any = sys.modules.get("random")
    if isinstance(function, type):
        return function.__module__.startswith(_MODULE) or (
            standard is not None and issubclass(function, standard.Random)
        )
    if getattr(function, "__self__", None) is not None:
        return False
    return (getattr(function, "__module__", None) or "").startswith(_MODULE)


def sample_of(generator: Any) -> Any:
    """A generator to try a call on."""
    try:
        return copy.deepcopy(generator)
    except (NotImplementedError, TypeError):  # of the operating system: it has no state
        return generator


# ---------------------------------------------------------------------------------------------------------------- state


def _state(generator: Any) -> Any:
    if hasattr(generator, "bit_generator"):
        return generator.bit_generator.state
    if hasattr(generator, "getstate"):
        try:
            return generator.getstate()
        except NotImplementedError:
            return None
    if hasattr(generator, "get_state"):
        return generator.get_state(legacy=False)
    return getattr(generator, "state", None)


def _restore(generator: Any, state: Any) -> None:
    if hasattr(generator, "bit_generator"):
        generator.bit_generator.state = state
    elif hasattr(generator, "setstate"):
        generator.setstate(state)
    elif hasattr(generator, "set_state"):
        generator.set_state(state)
    else:
        generator.state = state


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return all(_equal(a[key], b[key]) for key in a)
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


class States:
    """The states of generators, to be put back."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}
        for generator in _shared():
            self.know(generator)

    def know(self, generator: Any) -> None:
        """Note the state of one more generator."""
        if id(generator) not in self._known:
            state = _state(generator)
            if state is not None:
                self._known[id(generator)] = (generator, state)

    def put_back(self) -> list[Any]:
        """Put all states back; gives the generators that had changed."""
        changed = [(g, state) for g, state in self._known.values() if not _equal(_state(g), state)]
        for generator, state in changed:
            _restore(generator, state)
        return [generator for generator, _ in changed]


@contextmanager
def undisturbed() -> Iterator[States]:
    """Tracing: generators are afterwards what they were; where that was needed, numbers have been drawn in vain."""
    states = States()
    try:
        yield states
    except BaseException:
        states.put_back()
        raise
    changed = states.put_back()
    if changed:
        raise UnsupportedError(
            f"random numbers of {changed[0]!r} are drawn where tracejit does not see it, in a function of a library: "
            "they would be the same at each call. Draw them outside, or by a method of the generator"
        )
