"""Whether a call is a version's own, decided by a Python function that is generated for the version.

This module owns what such functions ask: everything that ``Traced.bind`` asks, and in the same words, without looking
again at what cannot have changed. They answer the calls that machine code leaves to Python.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.dims import Dim, symbols_of
from tracejit.runtime.generated import dim_source, make_function
from tracejit.runtime.program import INT64
from tracejit.trace.arguments import Argument
from tracejit.trace.axis_order import NOTHING, ORDER, ROWS, columns, fits_layout
from tracejit.trace.captures import Capture, freeze
from tracejit.trace.frames import LeafOf, running_call
from tracejit.trace.getters import UNREACHABLE, AllDifferent, AttributeOf, ClosureCell, Fixed, GlobalName, ItemOf
from tracejit.trace.instances import Instance
from tracejit.trace.pytree import Tree
from tracejit.trace.tracer import Traced

__all__ = ["Renewed", "is_fixed", "make_bind", "make_split", "static_objects"]

Renewed = Callable[[str, Any], None]


def is_fixed(value: object, depth: int = 0) -> bool:
    """Whether a value's key (``freeze``) stays the same as long as the object does."""
    if isinstance(value, tuple):
        return depth < 8 and all(is_fixed(item, depth + 1) for item in value)
    return not isinstance(value, (list, dict))


# ------------------------------------------------------------------------------------------------ structure


def make_split(tree: Tree) -> Callable[[Any, Any], list[Any] | None] | None:
    """A function from ``(args, kwargs)`` to the leaves, or to None where the structure is not this one.

    What it takes for a leaf may be a container of another structure: only a leaf of the right type is one. None where
    containers are of a type that only optree can take apart.
    """
    writer = _SplitWriter()
    positional, keywords = tree.children
    names = writer.parts(len(positional.children), "args")
    writer.lines.append(f"if tuple(kwargs) != {writer.name(tuple(keywords.data))}: return None")
    names += writer.parts(len(keywords.children), "kwargs.values()", counted=True)
    try:
        for child, name in zip((*positional.children, *keywords.children), names, strict=True):
            writer.take(child, name)
    except NotImplementedError:
        return None
    writer.lines.append(f"return [{', '.join(writer.leaves)}]")
    return make_function("split", ["args", "kwargs"], writer.lines, writer.names)


_MAPPINGS: dict[str, type] = {"dict": dict, "ordered": OrderedDict, "default": defaultdict}


class _SplitWriter:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.names: dict[str, Any] = {}
        self._variables = 0

    def name(self, value: Any) -> str:
        """A name for an object that the function needs."""
        name = f"v{len(self.names)}"
        self.names[name] = value
        return name

    def parts(self, count: int, value: str, counted: bool = False) -> list[str]:
        """Variables for the items of a sequence."""
        if not counted:
            self.lines.append(f"if len({value}) != {count}: return None")
        found = [f"a{self._variables + k}" for k in range(count)]
        self._variables += count
        if found:
            self.lines.append(f"{', '.join(found)}, = {value}")
        return found

    def take(self, tree: Tree, value: str) -> None:
        """Take an object apart."""
        if tree.kind == "leaf":
            self.leaves.append(value)
            return
        if tree.kind == "none":
            self.lines.append(f"if {value} is not None: return None")
            return
        for child, part in zip(tree.children, self._open(tree, value), strict=True):
            self.take(child, part)

    def _open(self, tree: Tree, value: str) -> list[str]:
        kind = tree.kind
        if kind in ("tuple", "list", "named"):
            self._check_type(value, tree.data if kind == "named" else {"tuple": tuple, "list": list}[kind])
            return self.parts(len(tree.children), value)
        if kind == "dataclass":
            self._check_type(value, tree.data[0])
            return [f"{value}.{name}" for name in tree.data[1]]
        if kind not in _MAPPINGS:
            raise NotImplementedError(kind)
        self._check_type(value, _MAPPINGS[kind])
        keys = tree.data
        if kind == "default":
            factory, keys = tree.data
            self.lines.append(f"if {value}.default_factory is not {self.name(factory)}: return None")
        self.lines.append(f"if tuple({value}) != {self.name(tuple(keys))}: return None")
        return self.parts(len(tree.children), f"{value}.values()", counted=True)

    def _check_type(self, value: str, kind: type) -> None:
        self.lines.append(f"if type({value}) is not {self.name(kind)}: return None")


# ------------------------------------------------------------------------------------------------ leaves and captures


def static_objects(traced: Traced, leaves: Sequence[Any]) -> dict[str, Any]:
    """What the program was made for and a call must have again, by name: static leaves, and values from outside."""
    found = {f"leaf{k}": leaves[k] for k, own in enumerate(traced.arguments) if _is_kept(own)}
    with running_call(leaves):
        outside = {f"capture{k}": capture.getter() for k, capture in enumerate(traced.captures) if _is_kept(capture)}
    return {name: value for name, value in (found | outside).items() if is_fixed(value)}


def _is_kept(source: Argument | Capture) -> bool:
    """Whether a call must have an object again, and not only another one of its class."""
    by_class = isinstance(source.key, Instance) and not source.key.pinned
    return source.kind in ("static", "value") and not by_class


def make_bind(
    traced: Traced, passed: Sequence[int], known: Mapping[str, Any], renewed: Renewed
) -> Callable[[Sequence[Any]], list[Any] | None]:
    """A function from the leaves of a call to the values of a flat program, or to None where it is not the version's.

    passed: which leaves the program gets; the captured arrays and numbers follow. known: the :func:`static_objects`,
    which need no second look while they are the same. renewed: told the name of one that is another object now, and
    equal.
    """
    writer = _BindWriter(traced, known, renewed)
    values = writer.write(passed)
    lines = [*writer.lines, f"return [{', '.join(values)}]"]
    return make_function("bind", ["leaves"], lines, writer.names)


class _BindWriter:
    def __init__(self, traced: Traced, known: Mapping[str, Any], renewed: Renewed) -> None:
        self._traced = traced
        self._known = known
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "ndarray": np.ndarray, "memmap": np.memmap, "generic": np.generic, "freeze": freeze, "missing": UNREACHABLE,
            "renewed": renewed,
        }  # fmt: skip
        self._shapes: dict[int, str] = {}  # an expression for the shape of a param
        self._sizes_given: dict[str, str] = {}  # variables of numbers from outside that are sizes
        self._found: dict[Any, str] = {}  # variables of what getters gave

    def write(self, passed: Sequence[int]) -> list[str]:
        traced = self._traced
        count = len(traced.arguments)
        if count:
            self._line(f"{', '.join(map(_leaf, range(count)))}, = leaves")
        for k, argument in enumerate(traced.arguments):
            self._argument(k, argument)
        captured = self._captures()
        self._sizes()
        return [*map(_leaf, passed), *captured]

    def _line(self, text: str) -> None:
        self.lines.append(text)

    def _demand(self, condition: str) -> None:
        self._line(f"if not ({condition}): return None")

    def _name(self, value: Any) -> str:
        name = f"v{len(self.names)}"
        self.names[name] = value
        return name

    def _argument(self, k: int, argument: Argument) -> None:
        leaf, kind = _leaf(k), argument.kind
        if argument.same_as is not None:
            self._demand(f"{leaf} is {_leaf(argument.same_as)}")
        elif kind == "array":
            self._demand(f"type({leaf}) is ndarray or type({leaf}) is memmap")
            self._array(leaf, argument)
            if argument.written:
                self._demand(f"{leaf}.flags.writeable")
        elif kind == "scalar":
            self._demand(f"isinstance({leaf}, generic) and {leaf}.dtype == {self._name(argument.dtype)}")
        elif kind == "int":
            self._demand(f"type({leaf}) is int and {INT64.start} <= {leaf} < {INT64.stop}")
        elif kind == "static":
            self._value(f"leaf{k}", leaf, argument.key)
        else:
            self._demand(f"type({leaf}) is {kind}")
        if argument.param is not None and kind == "array":
            self._shapes[argument.param] = self._shape(leaf, argument)

    def _array(self, value: str, source: Argument | Capture) -> None:
        dtype = self._name(source.dtype)
        self._demand(f"({value}.dtype is {dtype} or {value}.dtype == {dtype}) and {value}.ndim == {source.rank}")
        if source.layout_used != NOTHING:
            self._layout(value, source)

    def _layout(self, value: str, source: Argument | Capture) -> None:
        """Demand the layout that the program was traced for; flags tell most of them."""
        layout = source.layout
        fits = f"{self._name(fits_layout)}({self._name(source)}, {value})"
        if layout.by_columns:
            self._demand(f"{value}.flags.fnc or {fits}")
        elif layout == ROWS or (source.layout_used == ORDER and layout[:2] == ROWS[:2]):
            self._demand(f"{value}.flags.c_contiguous or {fits}")
        else:
            self._demand(fits)

    def _shape(self, value: str, source: Argument | Capture) -> str:
        """The sizes of a param's axes."""
        order = source.layout.order
        if order == columns(source.rank):
            return f"{value}.shape[::-1]" if order else f"{value}.shape"
        return f"{value}.transpose({order}).shape" if order else f"{value}.shape"

    def _value(self, known: str, value: str, key: Any) -> None:
        """Demand an object that the program cannot tell from the one that it was made for."""
        if isinstance(key, Instance) and not key.pinned:
            self._demand(f"type({value}) is {self._name(key.type)}")
            return
        frozen = self._name(key)
        self.names[known] = self._known.get(known, _UNKNOWN)
        self._line(f"if {value} is not {known}:")
        self._line(f"    if freeze({value}) != {frozen}: return None")
        self._line(f"    renewed({known!r}, {value})")

    # --------------------------------------------------------------------------------------------- captures

    def _captures(self) -> list[str]:
        """Read what is outside, and check it; the variables of the captured arrays."""
        captures = self._traced.captures
        if not captures:
            return []
        self._line("try:")
        first = len(self.lines)
        found = [self._read(capture.getter) if capture.kind != "missing" else "" for capture in captures]
        others = [None if c.other is None else self._read(c.other) for c in captures]
        self.lines[first:] = [f"    {line}" for line in self.lines[first:]] or ["    pass"]
        self._line("except missing: return None")
        arrays = []
        for number, (capture, value, other) in enumerate(zip(captures, found, others, strict=True)):
            if capture.kind == "number":
                self._number(value, capture)
                arrays.append(value)
            elif capture.kind == "array":
                self._demand(f"type({value}) is ndarray or type({value}) is memmap")
                self._array(value, capture)
                self._shapes[self._traced.capture_param(capture)] = self._shape(value, capture)
                arrays.append(value)
            elif capture.kind == "alias":
                self._demand(f"{value} is {other}")
            elif capture.kind == "distinct":
                self._demand(value)
            elif capture.kind == "value":
                self._value(f"capture{number}", value, capture.key)
        for capture in captures:
            if capture.kind == "missing":
                self._missing(capture.getter)
        return arrays

    def _missing(self, getter: Any) -> None:
        if isinstance(getter, ItemOf):
            self._demand(f"{self._name(getter.key)} not in {self._read(getter.parent)}")
        else:
            self._demand(f"not hasattr({self._read(getter.parent)}, {getter.name!r})")

    def _number(self, value: str, capture: Capture) -> None:
        if capture.form == "scalar":
            self._demand(f"isinstance({value}, generic) and {value}.dtype == {self._name(capture.dtype)}")
            return
        self._demand(f"type({value}) is {capture.form}")
        if capture.form == "int":
            self._demand(f"{INT64.start} <= {value} < {INT64.stop}")
        if capture.size is not None:
            self._sizes_given[capture.size] = value

    def _read(self, getter: Any) -> str:
        """A variable for what a getter gives."""
        try:
            known = self._found.get(getter)
        except TypeError:  # an unhashable key on the way
            known = None
        if known is not None:
            return known
        expression = self._getter(getter)
        variable = f"c{len(self.lines)}"
        self._line(f"{variable} = {expression}")
        try:
            self._found[getter] = variable
        except TypeError:
            pass
        return variable

    def _getter(self, getter: Any) -> str:
        if isinstance(getter, GlobalName):
            return f"{self._name(getter.namespace)}[{getter.name!r}]"
        if isinstance(getter, ClosureCell):
            return f"{self._name(getter.cell)}.cell_contents"
        if isinstance(getter, Fixed):
            return self._name(getter.value)
        if isinstance(getter, LeafOf):
            return _leaf(getter.number)
        if isinstance(getter, AllDifferent):
            objects = ", ".join(f"id({self._read(own)})" for own in getter.getters)
            return f"len({{{objects}}}) == {len(getter.getters)}"
        if isinstance(getter, AttributeOf) and getter.name.isidentifier():
            return f"{self._read(getter.parent)}.{getter.name}"
        if isinstance(getter, ItemOf):
            return f"{self._read(getter.parent)}[{self._name(getter.key)}]"
        return f"{self._name(getter)}()"

    # --------------------------------------------------------------------------------------------- sizes

    def _sizes(self) -> None:
        """Bind the symbols, in the order of ``bind_function``, and check all dims and guards."""
        function = self._traced.function
        names = {a.size: _leaf(k) for k, a in enumerate(self._traced.arguments) if a.size is not None}
        names |= self._sizes_given
        checks: list[tuple[str, Any]] = []
        for number, param in enumerate(function.params):
            if number not in self._shapes:
                continue  # a number
            axes = [f"n{number}_{axis}" for axis in range(len(param.type.dims))]
            if axes:
                self._line(f"{', '.join(axes)}, = {self._shapes[number]}")
            for axis, dim in zip(axes, param.type.dims, strict=True):
                name = dim.as_symbol if isinstance(dim, Dim) else None
                if name is not None and names.setdefault(name, axis) == axis:
                    continue
                checks.append((axis, dim))
        conditions = [f"{axis} == {dim_source(dim, names)}" for axis, dim in checks]
        conditions += [f"{dim_source(guard.dim, names)} {guard.relation}" for guard in function.guards]
        self._conditions(conditions, [*(dim for _, dim in checks), *(guard.dim for guard in function.guards)], names)

    def _conditions(self, conditions: Sequence[str], dims: Sequence[Any], names: Mapping[str, str]) -> None:
        if not conditions:
            return
        assert all(name in names for dim in dims for name in symbols_of(dim))
        self._line("try:")
        self._line(f"    if not ({' and '.join(conditions)}): return None")
        self._line("except ZeroDivisionError: return None")


_UNKNOWN = object()


def _leaf(number: int) -> str:
    return f"leaf_{number}"
