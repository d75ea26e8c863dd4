"""Runs a program plain and decorated on equal arguments, compares what a caller can see, and tells how it ran."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import tracejit as tj
from tests.programs.catalogue import Program, copied
from tracejit.trace.pytree import flatten

__all__ = ["Observer", "check_program", "quietly"]


# ------------------------------------------------------------------------------------------------ how it ran


class Observer(logging.Handler):
    """Collects what tracejit warns of and logs while it is active."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    @property
    def state(self) -> str:
        """How the program ran: "callback" where NumPy was called at run time, "unrolled", or "native"."""
        if any(message.startswith("warning: ") for message in self.messages):
            return "callback"
        return "unrolled" if any("unroll" in message for message in self.messages) else "native"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the log of guards, where unrolled loops are told, and to warnings."""
        logger = logging.getLogger("tracejit.guards")
        level = logger.level
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)
        for warning in caught:
            if issubclass(warning.category, tj.PerformanceWarning):
                self.messages.append(f"warning: {warning.message}")


def quietly(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A call whose floating-point warnings nobody wants to see."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*arguments)


# ------------------------------------------------------------------------------------------------- comparing


def _visible(value: Any) -> Any:
    """What can be compared: objects as their attributes, generators as their state."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, (list, tuple)):
        return type(value)(_visible(item) for item in value)
    if isinstance(value, dict):
        return {key: _visible(item) for key, item in value.items()}
    if hasattr(value, "__dict__") and not callable(value):
        return _visible(dict(vars(value)))
    return value


def _compare(actual: Any, expected: Any, program: Program, dtype: str, where: str) -> None:
    own, own_tree = flatten(_visible(actual))
    other, other_tree = flatten(_visible(expected))
    assert own_tree == other_tree, f"{where}: {own_tree} instead of {other_tree}"
    for k, (x, y) in enumerate(zip(own, other, strict=True)):
        name = f"{where}, leaf {k}" if len(own) > 1 else where
        if program.joined and isinstance(x, np.generic) and type(y) in (int, float):
            y = x.dtype.type(y)
        assert type(x) is type(y), f"{name}: {type(x)} {x!r} instead of {type(y)} {y!r}"
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype, f"{name}: {x.dtype} instead of {y.dtype}"
            assert x.shape == y.shape, f"{name}: {x.shape} instead of {y.shape}"
        if program.rounding and np.asarray(y).dtype.kind in "fc":
            unit = max(_precision(np.asarray(y).dtype), _precision(np.dtype(dtype)))
            _compare_values(x, y, program.rounding * unit, name)
        else:
            np.testing.assert_array_equal(x, y, err_msg=name)


def _precision(dtype: np.dtype[Any]) -> float:
    """The unit in the last place of 1; a result is as precise as the least precise of what it is made from."""
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


def _compare_values(x: Any, y: Any, unit: float, name: str) -> None:
    finite = np.abs(y)[np.isfinite(y)]
    scale = finite.max() if finite.size else 1.0
    np.testing.assert_allclose(x, y, rtol=unit, atol=unit * float(scale), err_msg=name)


def check_program(program: Program, dtype: str) -> str:
    """Compare over all sizes and count compilations; the state of the program."""
    compiled = tj.jit(program.function)
    observer = Observer()
    for size in program.sizes:
        arguments = program.arguments(size, dtype)
        plain, ours = copied(arguments), copied(arguments)
        expected = quietly(program.function, plain)
        with observer.watching():
            actual = quietly(compiled, ours)
        _compare(actual, expected, program, dtype, f"result for size {size}")
        _compare(ours, plain, program, dtype, f"arguments for size {size}")
    traces = compiled.cache_info().traces
    assert traces == program.traces, f"traced {traces} times: {observer.messages}"
    return observer.state
