"""What a traced function returns, as a program describes it: leaves, and a function that builds the object from them.

This module owns the way from ``trace.results`` and its trees to :class:`ResultSpec`: which leaves come as they are, and
which are made by Python (views, dicts, namedtuples), by a function that is generated for the purpose.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from tracejit.ir.builder import symbols_in
from tracejit.ir.core import Function
from tracejit.ir.dims import Dim, DimLike
from tracejit.runtime.generated import make_function
from tracejit.runtime.places import PlaceWriter
from tracejit.runtime.program import ResultSpec, Unflatten
from tracejit.trace.axis_order import inverse
from tracejit.trace.getters import Fixed
from tracejit.trace.outside import MISSING, reference_of
from tracejit.trace.pytree import LEAF, Tree, unflatten
from tracejit.trace.results import Result
from tracejit.trace.strided_views import strided_view
from tracejit.trace.tracer import Traced

__all__ = ["Results", "describe_results"]

_PYTHON = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}


class Results(NamedTuple):
    """The fields of a :class:`Program` that say what it returns."""

    results: tuple[ResultSpec, ...]
    constants: dict[int, Any]
    result_tree: Literal["tuple", "list"] | Unflatten | None


def describe_results(
    traced: Traced, arguments: Mapping[int, int], captures: Mapping[int, int], owners: Mapping[Any, int]
) -> Results:
    """The results of a program.

    arguments, captures, owners: the program's number for a leaf of the call, for a capture, for what a getter finds.
    """
    return _Describer(traced, arguments, captures, owners).describe()


class _Describer:
    """Gives every leaf a specification, and where one is made by Python, an expression for it."""

    def __init__(self, traced: Traced, arguments: Any, captures: Any, owners: Mapping[Any, int]) -> None:
        self._traced = traced
        self._owners = owners
        self._computed = _computed(traced.function)
        self._sources = {"argument": arguments, "capture": captures}
        self._specs: list[ResultSpec] = []
        self._constants: dict[int, Any] = {}
        self._names: dict[str, Any] = dict(_FUNCTIONS)
        self._leaves: list[str] = []  # an expression for each leaf
        self._lines: list[str] = []
        self._late: dict[DimLike, str] = {}  # an expression for each size in views that the kernel computes

    def describe(self) -> Results:
        tree, results = self._traced.out_tree, self._traced.results
        flat = tree is LEAF or (tree.kind in ("tuple", "list") and all(child is LEAF for child in tree.children))
        self._leaves = ["" if r.kind in ("view", "same") else self._leaf(r) for r in results]
        for result in results:
            for dim in result.late:
                if dim not in self._late:
                    self._late[dim] = self._add(ResultSpec("python", np.dtype(np.int64)))
        for k, result in enumerate(results):
            if result.kind == "view":
                self._view(k, result)
        for k, result in enumerate(results):
            if result.kind == "same":
                self._leaves[k] = self._leaves[result.index]
        self._check_order()
        if flat and not self._traced.writes and self._leaves == [_parameter(k) for k in range(len(self._specs))]:
            return Results(tuple(self._specs), self._constants, None if tree is LEAF else tree.kind)  # type: ignore[arg-type]
        self._return(tree)
        parameters = [_parameter(k) for k in range(len(self._specs))]
        build = make_function("build", parameters, self._lines, self._names)
        return Results(tuple(self._specs), self._constants, build)

    def _return(self, tree: Tree) -> None:
        """Put values in their places, and return the rest."""
        leaves = iter(self._leaves)
        if not self._traced.writes:
            self._lines.append(f"return {self._container(tree, leaves)}")
            return
        result, values = tree.children
        self._lines.append(f"result = {self._container(result, leaves)}")
        put = PlaceWriter(self._lines, self._name, self._owner)
        for place, value in zip(self._traced.writes, values.children, strict=True):
            put.write(place, value, lambda child: self._container(child, leaves))
        self._lines.append("return result")

    def _owner(self, getter: Any) -> str:
        """An expression for the object that a getter finds."""
        if isinstance(getter, Fixed):
            return self._name(getter.value)
        spec = ResultSpec("argument", index=self._owners[getter])
        return _parameter(self._specs.index(spec)) if spec in self._specs else self._add(spec)

    def _check_order(self) -> None:
        """A kernel's results have their slots in the order of the leaves."""
        results = self._traced.results
        wanted: list[int] = []
        for result in results:
            if result.kind == "list":
                wanted += [result.index + k for k in range(result.value.count)]
            elif result.kind in ("array", "scalar", "python"):
                wanted += [result.index, *(flag for _, _, flag in result.owners)]
        wanted += sorted({index for result in results for index in result.late.values()})
        if wanted != list(range(len(self._computed))):
            raise AssertionError(f"the results {wanted} of {self._traced.function.name} are not in order")

    # --------------------------------------------------------------------------------------------- leaves

    def _add(self, spec: ResultSpec) -> str:
        self._specs.append(spec)
        return _parameter(len(self._specs) - 1)

    def _name(self, value: Any) -> str:
        """A name for an object that the function needs."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def _leaf(self, result: Result) -> str:
        if result.kind == "constant":
            reference = reference_of(result.value)
            if reference is not None:
                return self._owner(reference)
            if result.value is MISSING:
                return ""
            self._constants[len(self._specs)] = result.value
            return self._add(ResultSpec("constant"))
        if result.kind in self._sources:
            return self._add(ResultSpec("argument", index=self._sources[result.kind][result.index]))
        if result.kind == "list":
            return self._list(result)
        type = self._computed[result.index].type
        if result.kind == "python":
            if type.dtype == _PYTHON.get(result.value):
                return self._add(ResultSpec("python", type.dtype))
            return f"{self._name(result.value)}({self._add(ResultSpec('scalar', type.dtype))})"
        if result.kind == "scalar":
            return self._add(ResultSpec("scalar", type.dtype))
        return self._owned(_in_order(self._array(result.index), result), result)

    def _array(self, index: int) -> str:
        type = self._computed[index].type
        known = symbols_in(type) <= set(self._traced.function.symbols())
        return self._add(ResultSpec("array" if known else "claimed", type.dtype, type.dims))

    def _list(self, result: Result) -> str:
        if not result.value.count:
            return f"{self._name(result.value.build)}()"
        columns = [self._array(result.index + k) for k in range(result.value.count)]
        shape = result.value
        single = shape.item.single
        if single is not None and shape.python_class is list and not shape.forms and single.number is not None:
            return f"{columns[0]}.tolist()"
        if single is not None and shape.python_class is list and single.form != "list" and not shape.forms:
            return f"list({columns[0]})"
        return f"{self._name(shape.build)}({', '.join(columns)})"

    def _owned(self, expression: str, result: Result) -> str:
        """The new array, or the argument that the program finds it to be."""
        for kind, index, _ in result.owners:
            owner = self._add(ResultSpec("argument", index=self._sources[kind][index]))
            flag = self._add(ResultSpec("python", np.dtype(bool)))
            expression = f"({owner} if {flag} else {expression})"
        return expression

    def _view(self, position: int, result: Result) -> None:
        kind, index = result.base
        if kind == "result":
            expression = self._leaves[index]
        else:
            expression = self._add(ResultSpec("argument", index=self._sources[kind][index]))
        for name, *operands in result.steps:
            expression = _STEPS[name](expression, *(self._operand(operand, result) for operand in operands))
        self._leaves[position] = f"view{position}"
        self._lines.append(f"view{position} = {expression}")

    def _operand(self, value: Any, result: Result) -> Any:
        """An operand of a step of a view, with dims as expressions."""
        if isinstance(value, tuple):
            return _Expressions(self._operand(item, result) for item in value)
        if isinstance(value, str):
            return repr(value)
        if value in self._late:
            return self._late[value]
        if isinstance(value, Dim):
            size = ResultSpec("size", dims=(value,))
            return _parameter(self._specs.index(size)) if size in self._specs else self._add(size)
        return str(int(value))

    # --------------------------------------------------------------------------------------------- containers

    def _container(self, tree: Tree, leaves: Iterator[str]) -> str:
        kind = tree.kind
        if kind == "leaf":
            return next(leaves)
        if kind == "none":
            return "None"
        if kind in ("dataclass", "optree"):
            own = [next(leaves) for _ in range(tree.size)]
            return f"{self._name(partial(unflatten, tree))}([{', '.join(own)}])"
        items = [self._container(child, leaves) for child in tree.children]
        if kind == "maybe":
            return f"({items[1]} if {items[0]} else None)"
        if kind == "tuple":
            return f"({''.join(f'{item}, ' for item in items)})"
        if kind == "list":
            return f"[{', '.join(items)}]"
        if kind == "named":
            return f"{self._name(tree.data)}({', '.join(items)})"
        return self._mapping(tree, items)

    def _mapping(self, tree: Tree, items: Sequence[str]) -> str:
        keys = tree.data[1] if tree.kind == "default" else tree.data
        pairs = ", ".join(f"{self._key(key)}: {item}" for key, item in zip(keys, items, strict=True))
        if tree.kind == "default":
            return f"{self._name(partial(defaultdict, tree.data[0]))}({{{pairs}}})"
        return f"{{{pairs}}}" if tree.kind == "dict" else f"{self._name(OrderedDict)}({{{pairs}}})"

    def _key(self, key: Any) -> str:
        return repr(key) if type(key) in (str, int) else self._name(key)


def _computed(function: Function) -> list[Any]:
    """The results that the kernel has slots for."""
    return [value for position, value in enumerate(function.results) if position not in function.aliases]


def _parameter(number: int) -> str:
    return f"a{number}"


def _in_order(array: str, result: Result) -> str:
    """An expression for the array whose axes have the result's order in memory."""
    return f"{array}.transpose({inverse(result.order)})" if result.order else array


class _Expressions(tuple[str, ...]):
    """A tuple of expressions, which is the text of a tuple."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"({''.join(f'{item}, ' for item in self)})"


def _slice_of(start: int, size: int, step: int) -> slice:
    """The slice with so many elements."""
    stop = start + size * step
    return slice(start, None if stop < 0 else stop, step) if size else slice(0, 0)


def _slice_step(array: str, starts: Any, sizes: Any, steps: Any, dropped: Any) -> str:
    parts = []
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        parts.append(start if str(axis) in dropped else f"slice_of({start}, {size}, {step})")
    return f"{array}[{', '.join([*parts, '...'])}]"


_FUNCTIONS = {"slice_of": _slice_of, "broadcast_to": np.broadcast_to, "strided_view": strided_view}
"""What the steps call."""

_STEPS: dict[str, Callable[..., str]] = {
    "slice": _slice_step,
    "reshape": lambda array, dims: f"{array}.reshape({dims})",
    "transpose": lambda array, perm: f"{array}.transpose({perm})",
    "real": lambda array: f"{array}.real",
    "imag": lambda array: f"{array}.imag",
    "broadcast": lambda array, dims: f"broadcast_to({array}, {dims})",
    "diagonal": lambda array, offset, axes: f"{array}.diagonal({offset}, *{axes})",
    "view": lambda array, dtype: f"{array}.view({dtype})",
    "strided": lambda array, *operands: f"strided_view({array}, {', '.join(map(str, operands))})",
}
