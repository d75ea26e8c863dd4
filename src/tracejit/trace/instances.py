"""Objects of the user's classes: programs know them by their class and by what they read of them, not as themselves.

That is right as long as tracing sees every read. What Python reads by itself is not seen: operators that a class
defines, functions without source. Such objects are *pinned*: a program is for this very object.
"""

from __future__ import annotations

from abc import ABCMeta
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    SimpleNamespace,
    WrapperDescriptorType,
)
from typing import Any, Generic
from weakref import WeakKeyDictionary

__all__ = [
    "Instance",
    "class_attribute",
    "compares_itself",
    "counts_by_class",
    "has_operators",
    "is_instance",
    "is_made_of_attributes",
    "is_plain_attribute",
    "own_attributes",
    "sets_by_itself",
]

_SEEN = frozenset(  # special methods that do not read an object unseen
    "__init__ __new__ __call__ __repr__ __str__ __post_init__ __init_subclass__ __class_getitem__ __getattr__ "
    "__getstate__ __setstate__ __reduce__ __reduce_ex__ __copy__ __deepcopy__ __replace__ __del__ __dir__ __sizeof__ "
    "__subclasshook__ __annotate__ __annotate_func__".split()
)
_PLAIN_BASES = (object, SimpleNamespace, Generic)
_UNSEEN_METHODS = (MethodDescriptorType, WrapperDescriptorType, BuiltinFunctionType)
_NO_INSTANCES = (type, ModuleType, FunctionType, CodeType)
_answers: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


class Instance:
    """A key (see ``captures.freeze``) for any object of a class; if pinned, for this very object.

    The object is kept for as long as the function is traced.
    """

    __slots__ = ("pinned", "type", "value")

    def __init__(self, value: Any) -> None:
        self.type = type(value)
        self.value = value
        self.pinned = False

    def fits(self, value: Any) -> bool:
        """Whether a program with this key takes an object."""
        return value is self.value if self.pinned else type(value) is self.type

    def __eq__(self, other: object) -> bool:
        return self is other or self.fits(getattr(other, "value", None))

    __hash__ = None  # type: ignore[assignment]

    def settle(self) -> None:
        """The trace is over: let go of the object that was only a sample."""
        if not self.pinned:
            self.value = None


def is_instance(value: Any) -> bool:
    """Whether a value is an object of a class written in Python, of which tracing sees what is read."""
    kind = type(value)
    answer = _answers.get(kind)
    if answer is None:
        answer = _answers[kind] = not issubclass(kind, _NO_INSTANCES) and all(map(_is_seen, kind.__mro__))
    return answer


def is_made_of_attributes(value: Any) -> bool:
    """Whether attributes are all that there is to an object: nothing of it is Python's own, as of lists."""
    bases = type(value).__mro__
    return not isinstance(value, _NO_INSTANCES) and all(b in _PLAIN_BASES or b.__flags__ & _HEAP_TYPE for b in bases)


def counts_by_class(value: Any) -> bool:
    """Whether programs know an object by its class: if tracing sees what is read, or shows tracers to operators."""
    return is_instance(value) or has_operators(value)


def has_operators(value: Any) -> bool:
    """Whether an object has operators that its class defines in Python, which read its attributes unseen."""
    if not is_made_of_attributes(value) or type(type(value)) not in (type, ABCMeta):
        return False
    if any(class_attribute(type(value), name) is not vars(object).get(name) for name in _HIDING):
        return False
    operators = (class_attribute(type(value), name) for name in _OPERATORS)
    return any(isinstance(own, FunctionType) and own.__code__.co_filename != "<string>" for own in operators)


_HIDING = ("__getattribute__", "__setattr__", "__delattr__")
_OPERATORS = tuple(
    f"__{reflected}{name}__"
    for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
    for reflected in ("", "r", "i")
) + tuple(f"__{name}__" for name in "neg pos abs invert eq ne lt le gt ge getitem len iter contains bool".split())


def _is_seen(base: type) -> bool:
    if base in _PLAIN_BASES:
        return True
    if not base.__flags__ & _HEAP_TYPE:
        return False
    return all(_may_have(name, value) for name, value in vars(base).items())


_HEAP_TYPE = 1 << 9


def _may_have(name: str, value: Any) -> bool:
    if isinstance(value, _UNSEEN_METHODS):
        return False
    special = name.startswith("__") and name.endswith("__") and name not in _SEEN
    generated = isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"  # of a dataclass
    return not special or generated or not isinstance(value, FunctionType)


def class_attribute(kind: type, name: str) -> Any:
    """What a class and its bases have under a name, as it is there; None where there is nothing."""
    for base in kind.__mro__:
        found = vars(base).get(name)
        if found is not None:
            return found
    return None


def compares_itself(value: Any) -> bool:
    """Whether ``==`` asks a value for more than which object it is."""
    return class_attribute(type(value), "__eq__") is not vars(object)["__eq__"]


def is_plain_attribute(owner: Any, name: str) -> bool:
    """Whether setting an attribute puts the value into the object itself."""
    found = class_attribute(type(owner), name)
    return isinstance(found, MemberDescriptorType) or not hasattr(type(found), "__set__")


def sets_by_itself(owner: Any) -> bool:
    """Whether the class of an object has a ``__setattr__`` of its own, besides the one that makes it frozen."""
    found = class_attribute(type(owner), "__setattr__")
    return isinstance(found, FunctionType) and found.__code__.co_filename != "<string>"


def own_attributes(owner: Any) -> dict[str, Any]:
    """All that an object itself has."""
    found = dict(getattr(owner, "__dict__", {}))
    for base in type(owner).__mro__:
        for name, entry in vars(base).items():
            if isinstance(entry, MemberDescriptorType) and name not in found and hasattr(owner, name):
                found[name] = getattr(owner, name)
    return found
