"""The programs of a traced function: one for leaves of any call, and if possible one that takes calls apart itself.

This module owns the way from ``trace`` (arguments, captures, trees) to :class:`Program`. A *flat* program gets the
leaves that the kernel needs and the captured arrays, all positional; somebody else has looked at the rest of the call.
A *direct* program describes a whole call, with its structure and what it depends on outside, to machine code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np

from tracejit.ir.core import walk
from tracejit.ir.dims import Dim
from tracejit.runtime.binding import is_fixed
from tracejit.runtime.callbacks import needs_call
from tracejit.runtime.compile import Kernel
from tracejit.runtime.program import ArgumentSpec, Program, comparison_of
from tracejit.runtime.result_tree import describe_results
from tracejit.runtime.structure import LEAF, CallShape, Lookup, Node
from tracejit.trace.arguments import Argument
from tracejit.trace.axis_order import NOTHING, ORDER, ROWS, columns, inverse
from tracejit.trace.captures import Capture, Loosely, OfType, number_form
from tracejit.trace.frames import LeafOf, running_call
from tracejit.trace.getters import UNREACHABLE, AttributeOf, ClosureCell, Fixed, Getter, GlobalName, ItemOf
from tracejit.trace.instances import Instance
from tracejit.trace.outside import ArgumentAt
from tracejit.trace.pytree import Tree, unflatten
from tracejit.trace.tracer import Traced

__all__ = ["direct_program", "flat_program", "owners", "passed_leaves"]

_MOST_LEAVES, _DEEPEST = 64, 8  # of containers that are compared item by item
_MOST_DIFFERENT = 32  # objects of which every two are compared
Way: TypeAlias = tuple[Any, ...]
_UNBOUNDED = frozenset(("while_loop", "fori_loop"))  # their kernels run for any time on little memory


class _NotDirectError(Exception):
    """Machine code cannot answer such calls."""


def passed_leaves(traced: Traced) -> list[int]:
    """The leaves of a call that a flat program gets."""
    return [k for k, a in enumerate(traced.arguments) if a.kind != "static" and a.same_as is None]


def flat_program(traced: Traced, kernel: Kernel) -> Program:
    """The program whose arguments are :func:`passed_leaves`, the captured arrays and numbers, and :func:`owners`."""
    leaves = passed_leaves(traced)
    described = _Arguments(traced)
    for k in leaves:
        described.add(_leaf_spec(traced.arguments[k]), leaf=k)
    for number, capture in enumerate(traced.captures):
        if capture.kind in ("array", "number"):
            described.add(_capture_spec(capture), capture=number)
    return described.program(kernel)


def owners(traced: Traced) -> list[Getter]:
    """Ways to the objects that get new values after a call or are part of its result, in the order of their use."""
    return list(dict.fromkeys(getter for getter in traced.owners() if not isinstance(getter, Fixed)))


def direct_program(traced: Traced, kernel: Kernel, leaves: Sequence[Any]) -> Program | None:
    """The program for whole calls, made for a call with these leaves (static ones as they are), if there is one."""
    if needs_call(kernel.callbacks):
        return None
    try:
        with running_call(leaves, unflatten(traced.in_tree, leaves)):
            described = _Direct(traced, leaves)
            described.take_call()
            described.take_captures()
            return described.program(kernel)
    except (_NotDirectError, *UNREACHABLE):
        return None


class _Arguments:
    """Collects the arguments of a program."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.specs: list[ArgumentSpec] = []
        self.dims: list[tuple[Any, ...]] = []
        self.sources: dict[str, Any] = {}
        self.leaf_numbers: dict[int, int] = {}
        self.capture_numbers: dict[int, int] = {}
        self.objects: dict[int, Any] = {}
        self.owner_numbers: dict[Getter, int] = {}
        self.distinct: list[tuple[int, ...]] = []
        self.params: dict[int, int] = {}  # of the arguments that are passed: which param of the function each is

    def add_owner(self, getter: Getter) -> None:
        """An object that is given to the function that makes the result."""
        self.owner_numbers[getter] = self.add(ArgumentSpec("object"))
        self.objects[self.owner_numbers[getter]] = type(getter())

    def add(self, spec: ArgumentSpec, leaf: int = -1, capture: int = -1) -> int:
        """The number of the next argument: a leaf of the call, a captured array, or neither."""
        number = len(self.specs)
        param = None
        if leaf >= 0:
            self.leaf_numbers[leaf] = number
            param = self.traced.arguments[leaf].param
            size = self.traced.arguments[leaf].size
            if size is not None:
                self.sources[size] = ("int", number)
        elif capture >= 0:
            self.capture_numbers[capture] = number
            param = self.traced.captures[capture].position
            size = self.traced.captures[capture].size
            if size is not None:
                self.sources[size] = ("int", number)
        self.specs.append(spec)
        if spec.passed and param is not None:
            self.params[number] = param
        used = spec.is_memory and param is not None
        dims = self.traced.function.params[param].type.dims if used and param is not None else ()
        self.dims.append(tuple(dims[axis] for axis in inverse(spec.order)) if spec.order else dims)
        return number

    def program(self, kernel: Kernel) -> Program:
        """The program with these arguments."""
        function = self.traced.function
        for getter in owners(self.traced):
            self.add_owner(getter)
        results, constants, tree = describe_results(
            self.traced, self.leaf_numbers, self.capture_numbers, self.owner_numbers
        )
        operations = {eqn.op.name for eqn in walk(function)}
        return Program(
            name=function.name,
            arguments=tuple(self.specs),
            argument_dims=tuple(self.dims),
            symbols=self._symbols(),
            results=results,
            guards=tuple((guard.dim, guard.relation) for guard in function.guards),  # type: ignore[misc]
            result_tree=tree,
            messages=kernel.messages,
            release_gil="large" if operations.isdisjoint(_UNBOUNDED) else "always",
            may_raise="library_loop" in operations,
            address=kernel.address,
            keepalive=kernel,
            callbacks=kernel.callbacks,
            constants=constants,
            objects=self.objects,
            distinct=tuple(self.distinct),
            data=tuple(sorted(self.params, key=self.params.__getitem__)),
            **self.process(),
        )

    def process(self) -> dict[str, Any]:
        """How the arguments are found: they are all positional."""
        return {}

    def _symbols(self) -> tuple[Any, ...]:
        sources = dict(self.sources)
        for number, own in enumerate(self.dims):
            for axis, dim in enumerate(own):
                if isinstance(dim, Dim) and (name := dim.as_symbol) is not None:
                    sources.setdefault(name, ("dim", number, axis))
        return tuple((name, sources[name]) for name in self.traced.function.symbols())


class _Direct(_Arguments):
    """Collects the arguments of a direct program, and the structure and the lookups that lead to them."""

    def __init__(self, traced: Traced, leaves: Sequence[Any]) -> None:
        super().__init__(traced)
        self._leaves = leaves
        self._lookups: list[Lookup] = []
        self._numbers: dict[Any, int] = {}  # of the lookups, by getter
        self._roots: dict[int, Any] = {}
        self._shape: CallShape | None = None
        self._types: list[type] = []
        self._outside: list[tuple[int, Node]] = []
        self._found: dict[Any, int] = {}  # arguments that are the objects of getters
        self._ways = _ways(traced.in_tree)
        self._fields: list[tuple[Way, Tree, list[int]]] = []  # of dataclasses, with the leaves in them

    def add_owner(self, getter: Getter) -> None:
        """An object that is given to the function that makes the result."""
        lookup = self._lookup(getter)
        super().add_owner(getter)
        self._outside.append((lookup, LEAF))

    def process(self) -> dict[str, Any]:
        """How the arguments are found."""
        found: dict[str, Any] = {"shape": self._shape, "roots": self._roots, "types": tuple(self._types)}
        return found | {"lookups": tuple(self._lookups), "outside": tuple(self._outside)}

    # --------------------------------------------------------------------------------------- the call

    def take_call(self) -> None:
        """The structure of the call, and its leaves."""
        positional, keywords = self.traced.in_tree.children
        remaining = iter(range(len(self.traced.arguments)))
        arguments = (*positional.children, *keywords.children)
        trees = [self._node(child, remaining, (position,)) for position, child in enumerate(arguments)]
        count = len(positional.children)
        named = zip(keywords.data, trees[count:], strict=True)
        self._shape = CallShape(tuple(trees[:count]), tuple(named))
        while self._fields:
            way, child, leaves = self._fields.pop(0)
            lookup, _ = self._along(way)
            self._lookups.append(lookup)
            number = self._numbers[way] = len(self._lookups) - 1
            self._outside.append((number, self._node(child, iter(leaves), way)))

    def _node(self, tree: Tree, remaining: Iterator[int], way: Way) -> Node:
        if tree.kind == "leaf":
            return self._leaf(next(remaining))
        if tree.kind == "dataclass":
            return self._dataclass(tree, remaining, way)
        if tree.kind not in ("none", "tuple", "list", "dict", "named"):
            raise _NotDirectError
        if tree.kind == "named":
            self._types.append(tree.data)
        keys = tree.data if tree.kind == "dict" else ()
        if any(type(key) is not str for key in keys):
            raise _NotDirectError
        children = zip(tree.children, _steps(tree), strict=True)
        nodes = tuple(self._node(child, remaining, (*way, step)) for child, step in children)
        return Node(tree.kind, keys, nodes)  # type: ignore[arg-type]

    def _dataclass(self, tree: Tree, remaining: Iterator[int], way: Way) -> Node:
        """An object of this class; its attributes are looked up, after the arguments of the call."""
        kind, names = tree.data
        self.objects[self.add(ArgumentSpec("object"))] = kind
        for child, name in zip(tree.children, names, strict=True):
            leaves = [next(remaining) for _ in range(child.size)]
            self._fields.append(((*way, ("attribute", name)), child, leaves))
        return LEAF

    def _leaf(self, k: int) -> Node:
        argument = self.traced.arguments[k]
        if argument.kind == "static":
            return self._static(self._leaves[k], argument.key)
        if argument.same_as is not None:
            if argument.same_as not in self.leaf_numbers:
                raise _NotDirectError
            self.add(ArgumentSpec("same", same_as=self.leaf_numbers[argument.same_as]))
            return LEAF
        if argument.dtype is not None and not argument.dtype.isnative:
            raise _NotDirectError
        self.add(_layout(_leaf_spec(argument), argument), leaf=k)
        return LEAF

    def _static(self, value: Any, key: Any, depth: int = 0, loose: bool = False) -> Node:
        """An object that must be equal to this one, or of one class: containers are compared item by item."""
        if isinstance(key, Loosely):
            key, loose = key.key, True
        if loose and number_form(value):
            self.objects[self.add(ArgumentSpec("object"))] = type(value)
            return LEAF
        if isinstance(key, (Instance, OfType)) and not (isinstance(key, Instance) and key.pinned):
            self.objects[self.add(ArgumentSpec("object"))] = key.type
            return LEAF
        container = _container_kind(value)
        if container is not None and len(value) <= _MOST_LEAVES and depth <= _DEEPEST:
            if container == "named":
                self._types.append(type(value))
            keys = tuple(value) if container == "dict" else ()
            items = zip(value.values() if container == "dict" else value, _item_keys(key, len(value)), strict=True)
            return Node(container, keys, tuple(self._static(item, own, depth + 1, loose) for item, own in items))
        if type(value) is np.ndarray and value.dtype.isnative:
            self.add(ArgumentSpec("array", value.dtype, value.ndim, passed=False))
            return LEAF
        if not is_fixed(value) or isinstance(value, np.ndarray):
            raise _NotDirectError
        self.objects[self.add(ArgumentSpec("static", compared=comparison_of(value)))] = value
        return LEAF

    # --------------------------------------------------------------------------------------- outside

    def take_captures(self) -> None:
        """What the function reads outside of the call."""
        for number, capture in enumerate(self.traced.captures):
            if capture.kind == "distinct":
                self._take_distinct(capture.getter)
                continue
            if capture.kind == "missing":
                raise _NotDirectError
            lookup = self._lookup(capture.getter)
            if capture.kind in ("array", "number"):
                if capture.dtype is not None and not capture.dtype.isnative:
                    raise _NotDirectError
                self.add(_layout(_capture_spec(capture), capture), capture=number)
                tree = LEAF
            elif capture.kind == "alias":
                tree = LEAF
                self.add(ArgumentSpec("same", same_as=self._object(capture.other)))
            else:
                tree = self._static(capture.getter(), capture.key)
            self._outside.append((lookup, tree))

    def _object(self, getter: Any) -> int:
        """The number of the argument that is what a getter finds."""
        for number, known in self.capture_numbers.items():
            if self.traced.captures[number].getter == getter:
                return known
        if getter not in self._found:
            lookup = self._lookup(getter)
            self._found[getter] = self.add(ArgumentSpec("object"))
            self.objects[self._found[getter]] = type(getter())
            self._outside.append((lookup, LEAF))
        return self._found[getter]

    def _take_distinct(self, getter: Any) -> None:
        if len(getter.getters) > _MOST_DIFFERENT:
            raise _NotDirectError
        self.distinct.append(tuple(map(self._object, getter.getters)))

    def _lookup(self, getter: Any) -> int:
        try:
            known = self._numbers.get(getter)
        except TypeError:  # an unhashable key on the way
            raise _NotDirectError from None
        if known is None:
            lookup, root = self._described(getter)
            known = self._numbers[getter] = len(self._lookups)
            self._lookups.append(lookup)
            if lookup.parent < 0:
                self._roots[known] = root
        return known

    def _described(self, getter: Any) -> tuple[Lookup, Any]:
        if isinstance(getter, GlobalName):
            return Lookup("global", getter.name), getter.namespace
        if isinstance(getter, ClosureCell):
            return Lookup("cell"), getter.cell
        if isinstance(getter, Fixed):
            return Lookup("object"), getter.value
        if isinstance(getter, LeafOf):
            return self._along(self._ways[getter.number])
        if isinstance(getter, ArgumentAt):
            return self._along(_way_to(getter, self.traced.in_tree))
        if isinstance(getter, AttributeOf):
            owner: Any = getter.parent()
            if type(owner) is ModuleType and isinstance(getter.parent, Fixed):
                return Lookup("global", getter.name), vars(owner)
            return Lookup("attribute", getter.name, self._lookup(getter.parent)), None
        if isinstance(getter, ItemOf):
            owner, key = getter.parent(), getter.key
            kind = _container_kind(owner)
            if kind in ("list", "tuple", "dict") and type(key) is (str if kind == "dict" else int):
                return Lookup(kind, key, self._lookup(getter.parent)), None
        raise _NotDirectError

    def _along(self, way: Way) -> tuple[Lookup, Any]:
        """The last step on a way from an argument of the call to what is inside of it."""
        position, *steps = way
        if not steps:
            return Lookup("argument", position), None
        kind, key = steps[-1]
        if kind not in ("list", "tuple", "dict", "attribute") or (kind == "dict" and type(key) is not str):
            raise _NotDirectError
        parent = self._numbers.get(way[:-1])
        if parent is None:
            lookup, _ = self._along(way[:-1])
            parent = self._numbers[way[:-1]] = len(self._lookups)
            self._lookups.append(lookup)
        return Lookup(kind, key, parent), None


def _ways(tree: Tree) -> list[Way]:
    """For each leaf of a call: which argument it is in, and the steps to it."""
    found: list[Way] = []

    def walk(tree: Tree, way: Way) -> None:
        if tree.kind == "leaf":
            found.append(way)
        for child, step in zip(tree.children, _steps(tree), strict=True):
            walk(child, (*way, step))

    positional, keywords = tree.children
    for position, child in enumerate((*positional.children, *keywords.children)):
        walk(child, (position,))
    return found


def _steps(tree: Tree) -> list[Any]:
    """The lookups of what a container has; of kinds that machine code does not know, unusable ones."""
    if tree.kind == "dict":
        return [("dict", key) for key in tree.data]
    if tree.kind in ("dataclass", "named"):
        return [("attribute", name) for name in (tree.data[1] if tree.kind == "dataclass" else tree.data._fields)]
    return [(tree.kind, k) for k in range(len(tree.children))]


def _way_to(getter: ArgumentAt, tree: Tree) -> Way:
    """The way to a container among the arguments."""
    group, key, *path = getter.path
    positional, keywords = tree.children
    position = key if group == 0 else len(positional.children) + keywords.data.index(key)
    tree = (*positional.children, *keywords.children)[position]
    steps = []
    for part in path:
        name = getattr(part, "name", part)
        index = [own for _, own in _steps(tree)].index(name)
        steps.append(_steps(tree)[index])
        tree = tree.children[index]
    return (position, *steps)


def _item_keys(key: Any, count: int) -> list[Any]:
    """The keys of the items of a container with this key."""
    if not isinstance(key, tuple) or len(key) != 2 or not isinstance(key[1], tuple) or len(key[1]) != count:
        return [None] * count
    return [item[1] for item in key[1]] if key[0] is dict else list(key[1])


def _container_kind(value: Any) -> Literal["list", "tuple", "dict", "named"] | None:
    """The kind of a container that machine code can take apart."""
    kind = type(value)
    if kind is dict:
        return "dict" if all(type(key) is str for key in value) else None
    if kind is list or kind is tuple:
        return "list" if kind is list else "tuple"
    return "named" if issubclass(kind, tuple) and hasattr(kind, "_fields") else None


def _leaf_spec(argument: Argument) -> ArgumentSpec:
    kind: Any = argument.kind
    if kind in ("int", "bool"):
        return ArgumentSpec(kind, passed=False)
    if kind in ("float", "complex"):
        return ArgumentSpec(kind)
    assert argument.dtype is not None
    return _array_spec(ArgumentSpec(kind, argument.dtype.newbyteorder("="), argument.rank), argument)


def _capture_spec(capture: Capture) -> ArgumentSpec:
    if capture.kind == "number":
        kind: Any = capture.form
        if kind != "scalar":
            return ArgumentSpec(kind, passed=capture.size is None)
        assert capture.dtype is not None
        return ArgumentSpec(kind, capture.dtype.newbyteorder("="))
    assert capture.dtype is not None
    return _array_spec(ArgumentSpec("array", capture.dtype.newbyteorder("="), capture.rank), capture)


def _array_spec(spec: ArgumentSpec, source: Argument | Capture) -> ArgumentSpec:
    """The same for a flat program, which gets arrays of the right layout only."""
    order = source.layout.order
    by_columns = bool(order) and order == columns(spec.rank)
    return replace(spec, written=source.written, order=order, layout="columns" if by_columns else "any")


def _layout(spec: ArgumentSpec, source: Argument | Capture) -> ArgumentSpec:
    """The same with the layout that a call must have, as far as machine code can tell it."""
    if source.layout_used == NOTHING or (spec.layout == "columns" and not source.layout.still):
        return spec
    if source.layout_used == ORDER and source.layout[:2] == ROWS[:2]:
        return replace(spec, layout="rows")
    if source.layout == ROWS:
        return replace(spec, layout="contiguous")
    raise _NotDirectError
