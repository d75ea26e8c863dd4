"""One compiled version of a decorated function: a traced program, its machine code, and how a call reaches it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, cast

from tracejit.errors import PerformanceWarning, UnsupportedError
from tracejit.runtime import wrapper
from tracejit.runtime.binding import is_fixed, make_bind, make_split, static_objects
from tracejit.runtime.callbacks import needs_call
from tracejit.runtime.compile import CompileOptions, Kernel, compile_kernel
from tracejit.runtime.describe import direct_program, flat_program, owners, passed_leaves
from tracejit.runtime.entry import CompiledCallable, FastCallable
from tracejit.runtime.program import Program, comparison_of
from tracejit.trace.arguments import Static
from tracejit.trace.frames import running_call
from tracejit.trace.location import frames_to_user
from tracejit.trace.tracer import Traced, run_leaves

__all__ = ["Version", "plain_leaves"]

_MOST_RENEWALS = 16  # of an entry whose static objects are replaced by equal ones again and again

Bound = list[Any]


class Version:
    """A traced program that is ready to run, natively or (with a warning, once) through NumPy.

    entry: the program for machine code that takes whole calls, or None where only :meth:`run` can answer.
    stale: a call came with static objects that are equal to those of the entry, and not the same; see :meth:`renew`.
    """

    def __init__(
        self, traced: Traced, leaves: Sequence[Any], sizes: Mapping[str, int], options: CompileOptions
    ) -> None:
        """leaves: those of the call that was traced, static ones as they are."""
        self.traced = traced
        self.kernel: Kernel | None = None
        self.entry: Program | None = None
        self.stale = False
        self._renewals = 0
        self._known: dict[str, Any] = {}
        try:
            self.kernel = compile_kernel(traced.function, sizes, options)
        except UnsupportedError as problem:
            warnings.warn(
                f"{traced.function.name} runs through NumPy instead of machine code: {problem}",
                PerformanceWarning,
                stacklevel=frames_to_user(),
            )
            return
        self._known = static_objects(traced, leaves)
        self.entry = direct_program(traced, self.kernel, leaves)

    # --------------------------------------------------------------------------------------------- calls

    @functools.cached_property
    def split(self) -> Callable[[Any, Any], list[Any] | None] | None:
        """From the arguments of a call to its leaves, if the structure is this version's; see :func:`make_split`."""
        return make_split(self.traced.in_tree)

    @functools.cached_property
    def bind(self) -> Callable[[Sequence[Any]], Bound | None]:
        """From leaves (static ones as they are) to what :meth:`run` takes; None where a call is not this version's."""
        if self.kernel is None:
            return self._bind_interpreted
        return make_bind(self.traced, passed_leaves(self.traced), self._known, self._note)

    def run(self, leaves: Sequence[Any], bound: Bound, arguments: tuple[Any, Any]) -> Any:
        """Answer a call with these leaves; raises OverlapError where written memory is shared."""
        if self.kernel is None:
            return run_leaves(self.traced, bound[0], bound[1], arguments)
        needs = needs_call(self.kernel.callbacks)
        if needs or self._owners:
            return self._answer(needs, leaves, bound, arguments)
        return self._native(*bound)

    def run_first(self, leaves: Sequence[Any], sizes: dict[str, int], arguments: tuple[Any, Any]) -> Any:
        """Answer the call that was traced, without making what only further calls need."""
        if self.kernel is None:
            return run_leaves(self.traced, leaves, sizes, arguments)
        with running_call(leaves, arguments):
            captured = [c.getter() for c in self.traced.captures if c.kind in ("array", "number")]
            own = [getter() for getter in self._owners]
            return _answer(self._flat, [*(leaves[k] for k in passed_leaves(self.traced)), *captured, *own])

    def _answer(self, python: bool, leaves: Sequence[Any], bound: Bound, arguments: tuple[Any, Any]) -> Any:
        with running_call(leaves, arguments):
            values = [*bound, *(getter() for getter in self._owners)]
            return _answer(self._flat, values) if python else self._native(*values)

    @functools.cached_property
    def _owners(self) -> list[Callable[[], Any]]:
        return owners(self.traced)

    @functools.cached_property
    def _flat(self) -> Program:
        assert self.kernel is not None
        return flat_program(self.traced, self.kernel)

    @functools.cached_property
    def _native(self) -> _Native:
        return _Native(self._flat)

    def _bind_interpreted(self, leaves: Sequence[Any]) -> Bound | None:
        sizes = self.traced.bind(leaves)
        return None if sizes is None else [leaves, sizes]

    # --------------------------------------------------------------------------------------------- equal objects

    def _note(self, name: str, value: Any) -> None:
        """A static object was replaced by an equal one: from now on that is the expected one."""
        if not is_fixed(value):
            return
        cast(FunctionType, self.bind).__globals__[name] = value
        if self.entry is not None and comparison_of(value) == "identity" and not isinstance(value, tuple):
            self.stale = self._renewals < _MOST_RENEWALS

    def renew(self, leaves: Sequence[Any]) -> Program | None:
        """A new :attr:`entry`, for the objects of the last call."""
        assert self.kernel is not None
        self.stale = False
        self._renewals += 1
        self.entry = direct_program(self.traced, self.kernel, leaves)
        return self.entry


class _Native(CompiledCallable):
    """A flat program as a function of its arguments."""

    def __init__(self, program: Program) -> None:
        self._program = program
        fast = all(not spec.order or spec.layout == "columns" for spec in program.arguments)
        if fast and issubclass(CompiledCallable, FastCallable):
            self._install([program])

    def _call_slow(self, *values: Any) -> Any:
        return _answer(self._program, values)


def _answer(program: Program, values: Sequence[Any]) -> Any:
    return wrapper.unflatten(program, wrapper.call(program, values))


def plain_leaves(leaves: Sequence[Any]) -> list[Any]:
    """The leaves of a call with static ones as they are."""
    return [leaf.value if type(leaf) is Static else leaf for leaf in leaves]
