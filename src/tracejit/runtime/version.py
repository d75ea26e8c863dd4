"""One compiled version of a decorated function: a traced program, its machine code, and how a call's leaves reach it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any


from tracejit.errors import PerformanceWarning, UnsupportedError
from tracejit.ir.dims import Dim
from tracejit.runtime import wrapper
from tracejit.runtime.compile import CompileOptions, Kernel, compile_kernel
from tracejit.runtime.program import ArgumentSpec, Program, ResultSpec
from tracejit.trace.arguments import Argument, Static
from tracejit.trace.captures import Capture, ClosureCell, Fixed, GlobalName
from tracejit.trace.pytree import LEAF, unflatten
from tracejit.trace.results import Result, build_results
from tracejit.trace.tracer import Traced, run_leaves

__all__ = ["Version"]

_log = logging.getLogger("tracejit.trace")


class Version:
    """A traced program that is ready to run, natively or (with a warning, once) through NumPy.

    program: the description that :mod:`tracejit.runtime.wrapper` runs; its arguments are the leaves that are passed and
        the captured arrays. None where the program has no native form.
    entry: the same for machine code that is called directly, or None where only :meth:`run` can answer.
    """

    def __init__(
        self, traced: Traced, leaves: Sequence[Any], sizes: Mapping[str, int], options: CompileOptions
    ) -> None:
        self.traced = traced
        self._static = {k: _plain(leaves[k]) for k, a in enumerate(traced.arguments) if a.kind == "static"}
        self.hints = dict(sizes)
        self.program: Program | None = None
        self.entry: Program | None = None
        self.kernel: Kernel | None = None
        try:
            self.kernel = compile_kernel(traced.function, self.hints, options)
        except UnsupportedError as problem:
            warnings.warn(
                f"{traced.function.name} runs through NumPy instead of machine code: {problem}",
                PerformanceWarning,
                stacklevel=4,
            )
            return
        self._passed = [k for k, a in enumerate(traced.arguments) if a.same_as is None]
        self._captured = [c for c in traced.captures if c.kind == "array"]
        self.program = self._describe()
        self.entry = self._describe_entry(self.program)

    def run(self, leaves: Sequence[Any], sizes: dict[str, int]) -> Any:
        """Answer a call whose leaves this version fits; raises OverlapError where written memory is shared."""
        if self.program is None:
            return run_leaves(self.traced, leaves, sizes)
        captured = {id(c): c.getter() for c in self._captured}
        given = [_plain(leaves[k]) for k in self._passed] + list(captured.values())
        values = wrapper.call(self.program, given)
        traced = self.traced
        originals = [_plain(leaf) for leaf in leaves]
        found = [captured.get(id(c)) for c in traced.captures]
        return unflatten(traced.out_tree, build_results(traced.results, values, originals, found, sizes))

    # ----------------------------------------------------------------------------------------- descriptions

    def _describe(self) -> Program:
        """What the wrapper needs: all arguments in the call, every result an array of its own."""
        assert self.kernel is not None
        traced, function = self.traced, self.traced.function
        specs = [_spec(traced.arguments[k]) for k in self._passed]
        dims = [_dims(traced, traced.arguments[k].param) for k in self._passed]
        objects = {
            position: self._static[k] for position, k in enumerate(self._passed) if k in self._static
        }
        for capture in self._captured:
            assert capture.dtype is not None
            dtype = capture.dtype.newbyteorder("=")
            specs.append(ArgumentSpec("array", dtype, capture.rank, written=capture.written))
            dims.append(_dims(traced, traced.capture_param(capture)))
        return Program(
            name=function.name,
            arguments=tuple(specs),
            argument_dims=tuple(dims),
            symbols=self._symbols(dims),
            results=tuple(
                ResultSpec("array", result.type.dtype, result.type.dims)
                for position, result in enumerate(function.results)
                if position not in function.aliases
            ),
            guards=tuple((guard.dim, guard.relation) for guard in function.guards),  # type: ignore[misc]
            result_tree="list",
            messages=self.kernel.messages,
            release_gil="always",
            address=self.kernel.address,
            keepalive=self.kernel,
            objects=objects,
        )

    def _symbols(self, dims: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        sources: dict[str, Any] = {}
        for position, k in enumerate(self._passed):
            size = self.traced.arguments[k].size
            if size is not None:
                sources[size] = ("int", position)
        for position, own in enumerate(dims):
            for axis, dim in enumerate(own):
                if isinstance(dim, Dim) and (name := dim.as_symbol) is not None:
                    sources.setdefault(name, ("dim", position, axis))
        return tuple((name, sources[name]) for name in self.traced.function.symbols())

    def _describe_entry(self, program: Program) -> Program | None:
        """The program as machine code can call it: flat positional arguments, results that it can make itself."""
        traced = self.traced
        if not _is_flat(traced) or not all(map(_is_direct, traced.arguments)):
            return None
        arguments, objects = list(program.arguments), dict(self._static)
        first = len(traced.arguments)
        for offset, capture in enumerate(self._captured):
            source = _capture_source(capture)
            if source is None or capture.layout_used:
                return None
            arguments[first + offset] = replace(arguments[first + offset], source=source[0])
            objects[first + offset] = source[1]
        if any(c.kind != "array" for c in traced.captures):
            return None
        results = self._direct_results()
        if results is None:
            return None
        tree = traced.out_tree
        shape: Any = None if tree is LEAF else tree.kind
        if shape not in (None, "tuple", "list") or any(child is not LEAF for child in tree.children):
            shape = lambda leaves: unflatten(tree, leaves)  # noqa: E731
        return replace(
            program, arguments=tuple(arguments), objects=objects, results=results, result_tree=shape, release_gil="large"
        )

    def _direct_results(self) -> tuple[ResultSpec, ...] | None:
        """The leaves of the result where each is a fresh array, a NumPy scalar or an argument, in the kernel's order."""
        function = self.traced.function
        specs = []
        fresh = 0
        for result in self.traced.results:
            if result.kind == "argument":
                specs.append(ResultSpec("argument", argument=result.index))
                continue
            if result.kind not in ("array", "scalar") or result.index != fresh:
                return None
            value = function.results[fresh]
            specs.append(ResultSpec(_result_kind(result), value.type.dtype, value.type.dims))  # type: ignore[arg-type]
            fresh += 1
        expected = sum(position not in function.aliases for position in range(len(function.results)))
        return tuple(specs) if fresh == expected else None


def _plain(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Static) else leaf


def _spec(argument: Argument) -> ArgumentSpec:
    kind = argument.kind
    if kind == "static":
        return ArgumentSpec("static")
    if kind in ("int", "bool"):
        return ArgumentSpec(kind, passed=False)  # type: ignore[arg-type]
    if kind in ("float", "complex"):
        return ArgumentSpec(kind)  # type: ignore[arg-type]
    assert argument.dtype is not None
    return ArgumentSpec("array", argument.dtype.newbyteorder("="), argument.rank, written=argument.written)


def _dims(traced: Traced, param: int | None) -> tuple[Any, ...]:
    return () if param is None else traced.function.params[param].type.dims


def _is_flat(traced: Traced) -> bool:
    positional, keywords = traced.in_tree.children
    return not keywords.children and all(child is LEAF for child in positional.children)


def _is_direct(argument: Argument) -> bool:
    if argument.kind in ("scalar", "bool", "complex") or argument.same_as is not None or argument.layout_used:
        return False
    return argument.dtype is None or argument.dtype.isnative


def _capture_source(capture: Capture) -> tuple[Any, Any] | None:
    getter = capture.getter
    if isinstance(getter, GlobalName):
        return "global", (getter.namespace, getter.name)
    if isinstance(getter, ClosureCell):
        return "cell", getter.cell
    if isinstance(getter, Fixed):
        return "object", getter.value
    return None


def _result_kind(result: Result) -> str:
    return "array" if result.kind == "array" else "scalar"


