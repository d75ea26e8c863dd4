"""Values that are there for some data only: a number, array or tuple, or else None; a variable that may not be set.

Such a value is a container of a traced bool and of what is there where it holds. Where branches or turns of a loop end
with None on one side, their structures are unified to that; a test (``x is None``) asks the bool, and inside of the
branches that it decides the variable is the plain value, or None. Every other use lets the program check that it is
there, and raise what Python raises.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike
from tracejit.trace.base import Tracer, refuse
from tracejit.trace.context import as_it_is, current_trace
from tracejit.trace.dtypes import Kind
from tracejit.trace.facts import add_facts, facts_of, known_truth
from tracejit.trace.inputs import Input, accept_input, describe_input, operand_of, stand_in
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import LEAF, Tree, add_container
from tracejit.trace.scalar import number
from tracejit.trace.state import UNDEFINED, Undefined
from tracejit.trace.values import emit

__all__ = [
    "Maybe",
    "converted",
    "is_none",
    "made",
    "narrowed",
    "settled",
    "settled_call",
    "settled_item",
    "unbound_error",
    "unified",
]

Complaint = Callable[[None], Any]


class Maybe(Tracer):
    """``value`` where the traced bool ``present`` holds; else None or, for a variable's name, an unset variable."""

    __slots__ = ("name", "present", "value")
    maybe = True

    def __init__(self, present: Any, value: Any, name: str | None = None) -> None:
        self.present = present
        self.value = value
        self.name = name

    def required(self, complaint: Complaint | None = None) -> Any:
        """The value, which the program checks to be there; ``complaint`` does with None what is asked for."""
        known = known_truth(self.present)
        if known is None:
            exception, text = self._failure(complaint)
            trace = current_trace()
            flag = self.present.operand()
            trace.check(flag, (), exception, as_it_is(text))
            add_facts(trace, facts_of(flag, True, trace))
        elif not known:
            if self.name is not None:
                raise unbound_error(self.name)
            if complaint is not None:
                complaint(None)
            raise TypeError("a value that is None is used")
        return self.value.required(complaint) if isinstance(self.value, Maybe) else self.value

    def _failure(self, complaint: Complaint | None) -> tuple[str, str]:
        if self.name is not None:
            return "UnboundLocalError", str(unbound_error(self.name))
        try:
            if complaint is not None:
                complaint(None)
        except Exception as error:
            return type(error).__name__, str(error)
        return "UnsupportedError", (
            f"a value is used that is None here ({describe(user_location())}), where Python does something else with "
            "None than with a number or an array; test `is None` before"
        )

    def test(self) -> Any:
        """Whether it is there: a plain bool where that is known."""
        known = known_truth(self.present)
        return self.present if known is None else known

    # ----------------------------------------------------------------------------------------------- as a tracer

    @property
    def kind(self) -> Kind:
        """The dtype, or a Python number type."""
        return describe_input(self.required())[0]

    @property
    def dims(self) -> tuple[DimLike, ...]:
        """The sizes of all axes."""
        return operand_of(self.required()).type.dims

    def operand(self) -> Any:
        """The value in the current trace."""
        return operand_of(self.required())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.required(lambda none: getattr(none, name)), name)

    def __getitem__(self, key: Any) -> Any:
        return self.required(lambda none: none[0])[key]  # type: ignore[index]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.required(lambda none: operator.setitem(none, 0, 0))[key] = value  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.required(lambda none: iter(none)))  # type: ignore[call-overload]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call a function that may be None."""
        return self.required(lambda none: none())(*args, **kwargs)  # type: ignore[misc]

    def __bool__(self) -> bool:
        if self.test() is False:
            return False
        if self.test() is True:
            return bool(self.value)
        refuse("a truth test", self, "Ask `is None` in an `if` of the traced function.")

    def __eq__(self, other: object) -> Any:
        if other is None or (isinstance(other, Maybe) and other.test() is False):
            return is_none(self)
        if isinstance(other, Maybe):
            return self._equals_maybe(other)
        if self.test() is True:
            return self.value == other
        value = self.value
        if stand_in(value) is value and not isinstance(value, (bool, int, float, complex)):
            return self.required(_compared) == other
        equal = operand_of(value == other)
        return number(emit("bitwise_and", self.present.operand(), equal), bool) if not equal.type.dims else equal

    def _equals_maybe(self, other: Maybe) -> Any:
        """Both are None, or both are there and equal."""
        equal = operand_of(self.value == other.value)
        if equal.type.dims:
            return self.required(_compared) == other.required(_compared)
        ours, theirs = operand_of(self.test()), operand_of(other.test())
        same = emit("eq", ours, theirs)
        return number(emit("bitwise_and", same, emit("bitwise_or", emit("logical_not", ours), equal)), bool)

    def __ne__(self, other: object) -> Any:
        equal = self == other
        return not equal if isinstance(equal, bool) else number(emit("logical_not", operand_of(equal)), bool)

    __hash__ = Tracer.__hash__

    def __repr__(self) -> str:
        what = "not set" if self.name is not None else "None"
        return f"{self.value!r} or {what}"


def _compared(none: None) -> None:
    """Comparing with None is no error."""


def _operators() -> None:
    def binary(function: Any, reflected: bool) -> Callable[[Any, Any], Any]:
        def method(self: Maybe, other: Any) -> Any:
            if isinstance(other, Maybe) and not reflected:
                other = other.required(lambda none: function(stand_in(self.value), none))
            sample = stand_in(other)
            if reflected:
                return function(other, self.required(lambda none: function(sample, none)))
            return function(self.required(lambda none: function(none, sample)), other)

        return method

    def unary(function: Any) -> Callable[[Any], Any]:
        return lambda self: function(self.required(function))

    for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split():
        function = getattr(operator, f"__{name}__")
        setattr(Maybe, f"__{name}__", binary(function, False))
        setattr(Maybe, f"__r{name}__", binary(function, True))
    for name in "lt le gt ge".split():
        setattr(Maybe, f"__{name}__", binary(getattr(operator, name), False))
    for name in "neg pos abs invert".split():
        setattr(Maybe, f"__{name}__", unary(getattr(operator, f"__{name}__")))
    Maybe.__divmod__ = binary(divmod, False)
    Maybe.__rdivmod__ = binary(divmod, True)


_operators()


def _described(value: Maybe) -> Input:
    return describe_input(value.required())


accept_input(Maybe, _described)


def unbound_error(name: str) -> UnboundLocalError:
    """What Python raises where a variable is read that is not set."""
    return UnboundLocalError(f"cannot access local variable '{name}' where it is not associated with a value")


def is_none(value: Any) -> Any:
    """``value is None``."""
    if not isinstance(value, Maybe):
        return value is None
    going = value.test()
    if isinstance(going, bool):
        return not going
    return number(emit("logical_not", going.operand()), bool)


def settled(value: Any, complaint: Complaint | None = None) -> Any:
    """The value itself, where it may be None."""
    return value.required(complaint) if isinstance(value, Maybe) else value


def settled_item(owner: Any, key: Any) -> tuple[Any, Any]:
    """What is indexed, and the index, as they are where they are not None."""
    owner = settled(owner, lambda none: none[0])  # type: ignore[index]
    if isinstance(key, Maybe):
        return owner, key.required(lambda none: stand_in(owner)[none])
    if type(key) is tuple and any(isinstance(part, Maybe) for part in key):
        return owner, tuple(settled(part) for part in key)
    return owner, key


def settled_call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], keep: bool) -> Any:
    """A call with what is called and, unless it may get None, the arguments as they are where they are not None."""
    function = settled(function, lambda none: none())  # type: ignore[misc]
    if keep:
        return function, args, kwargs
    samples = [None if isinstance(value, Maybe) else stand_in(value) for value in args]
    small = isinstance(function, np.ufunc) or not str(getattr(function, "__module__", "")).startswith("numpy")

    def complaint(none: None) -> None:
        if small:
            function(*samples)

    return function, tuple(settled(a, complaint) for a in args), {k: settled(v) for k, v in kwargs.items()}


def narrowed(value: Any) -> Any:
    """The value in the current trace, where a test has decided whether it is there, or whether it is True."""
    if isinstance(value, Maybe):
        known = known_truth(value.present)
        if known is None:
            return value
        if known:
            return narrowed(value.value)
        return None if value.name is None else UNDEFINED
    if type(value) in (tuple, list):
        items = [narrowed(item) for item in value]
        unchanged = all(map(operator.is_, items, value))
        return value if unchanged or type(value) is list else tuple(items)
    known = None if isinstance(value, bool) else known_truth(value)
    return value if known is None else known


# ------------------------------------------------------------------------------------------------------- structures


def _split(value: Maybe) -> tuple[str, Any, Any]:
    return "maybe", value.name, (value.present, value.value)


def made(name: str | None, parts: Sequence[Any]) -> Any:
    """The value of a flag and what is there: a Maybe only where the flag is traced."""
    present, value = parts
    if isinstance(present, Tracer):
        return Maybe(present, value, name)
    return value if present else None if name is None else UNDEFINED


add_container(Maybe, _split, "maybe", made)
add_container(Undefined, lambda value: ("undefined", None, ()), "undefined", lambda data, values: UNDEFINED)


def unified(a: Tree, b: Tree, name: str | None = None) -> Tree | None:
    """The structure that holds values of both, which differ in what is there; ``name``: of an unset variable."""
    if a == b:
        return a
    for one, other in ((a, b), (b, a)):
        if one.kind == "undefined":
            return other if other.kind == "maybe" and other.data is not None else _maybe(other, name)
        if one.kind == "none" and not (other.kind == "maybe" and other.data is not None):
            return other if other.kind == "maybe" else _maybe(other, None)
    for one, other in ((a, b), (b, a)):
        if one.kind == "maybe" and not (other.kind == "maybe" and other.data is not None and one.data is None):
            same = other.kind == "maybe" and other.data == one.data
            inner = unified(one.children[1], other.children[1] if same else other, name)
            return None if inner is None else _maybe(inner, one.data)
    if a.kind != b.kind or a.data != b.data or len(a.children) != len(b.children) or not a.children:
        return None
    children = [unified(x, y, name) for x, y in zip(a.children, b.children, strict=True)]
    return None if None in children else Tree(a.kind, a.data, tuple(children))  # type: ignore[arg-type]


def _maybe(tree: Tree, name: str | None) -> Tree:
    return Tree("maybe", name, (LEAF, tree))


def converted(tree: Tree, leaves: Sequence[Any], wider: Tree, blank: Any, flag: Callable[[bool], Any]) -> list[Any]:
    """The leaves of a structure as those of a unified one; ``flag`` makes those that say whether something is there."""
    rest = iter(leaves)

    def convert(tree: Tree, wider: Tree) -> list[Any]:
        if tree == wider:
            return [next(rest) for _ in range(tree.size)]
        if wider.kind == "maybe":
            inner = wider.children[1]
            if tree.kind == ("none" if wider.data is None else "undefined"):
                return [flag(False), *(blank for _ in range(inner.size))]
            if tree.kind == "maybe" and tree.data == wider.data:
                return [next(rest), *convert(tree.children[1], inner)]
            return [flag(True), *convert(tree, inner)]
        return [leaf for pair in zip(tree.children, wider.children, strict=True) for leaf in convert(*pair)]

    return convert(tree, wider)
