"""Attributes while tracing: ``owner.name``, ``getattr``, ``hasattr``, ``owner.name = value``, ``del owner.name``.

What is read of an outside object becomes part of what makes a version, and so does that something is not there.
Properties are traced like functions. Without a trace all is plain Python.
"""

from __future__ import annotations

from functools import cached_property
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import replaces
from tracejit.trace.context import Trace, active_trace
from tracejit.trace.getters import AttributeOf, Fixed, ItemOf
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.instances import class_attribute, is_instance, is_plain_attribute, sets_by_itself
from tracejit.trace.location import describe, user_location
from tracejit.trace.outside import MISSING, note_change, read_outside
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import FUNCTIONS
from tracejit.trace.user_files import is_user_file, is_user_owner

__all__ = ["delete_attribute", "read_attribute", "write_attribute"]

_METHODS = (MethodType, BuiltinFunctionType, type)


def read_attribute(owner: Any, name: str, grown: bool = False) -> Any:
    """``owner.name``; ``grown``: of a list that is only made longer."""
    trace = active_trace()
    if trace is None or isinstance(owner, Tracer):
        return getattr(owner, name)
    if type(owner) is np.ndarray:
        return getattr(trace.captures.array(owner), name)
    if (function := _accessor(owner, name, "fget", trace)) is not None:
        return FUNCTIONS["call"](function, (owner,), {}, trace)
    if (cached := class_attribute(type(owner), name)) is not None and type(cached) is cached_property:
        return _cached(owner, name, cached, trace)
    path = trace.captures.path_of(owner)
    try:
        value = getattr(owner, name)
    except AttributeError:
        if path is not None:
            trace.captures.missing(AttributeOf(path, name))
        raise
    return _read(owner, name, value, grown, trace)


def _read(owner: Any, name: str, value: Any, grown: bool, trace: Trace) -> Any:
    path = trace.captures.path_of(owner)
    if isinstance(value, (Tracer, *_METHODS)):
        if path is not None and type(value) is MethodType and value.__self__ is owner:
            trace.captures.read(value.__func__, AttributeOf(AttributeOf(path, name), "__func__"))
        return value
    if path is None and isinstance(owner, (ModuleType, type)) and is_user_owner(owner):
        path = Fixed(owner)
    if path is not None and not (type(value) is tuple and contains_tracer(value)):
        return read_outside(trace, value, AttributeOf(path, name), grown)
    return FUNCTIONS["adopt outside"](value, trace)


def _accessor(owner: Any, name: str, kind: str, trace: Trace) -> FunctionType | None:
    """The function behind a property of an object of the user's class: to be traced as others are."""
    found = class_attribute(type(owner), name) if is_instance(owner) else None
    function = getattr(found, kind) if type(found) is property else None
    if not isinstance(function, FunctionType) or not is_user_file(function.__code__.co_filename):
        return None
    if trace.captures.path_of(owner) is not None:
        trace.captures.read(found, AttributeOf(Fixed(type(owner)), name))
    return function


def _cached(owner: Any, name: str, cached: Any, trace: Trace) -> Any:
    """A property that is computed at first, and then an attribute."""
    path = trace.captures.path_of(owner)
    if name in vars(owner):
        return _read(owner, name, vars(owner)[name], False, trace)
    if path is not None:
        trace.captures.read(cached, AttributeOf(Fixed(type(owner)), name))
        trace.captures.missing(ItemOf(AttributeOf(path, "__dict__"), name))
    value = FUNCTIONS["call"](cached.func, (owner,), {}, trace)
    _about_to_change(owner, name, trace)
    vars(owner)[name] = value
    return value


@replaces(getattr)
def _getattr(owner: Any, name: str, *default: Any) -> Any:
    try:
        return read_attribute(owner, name)
    except AttributeError:
        if default:
            return default[0]
        raise


@replaces(hasattr)
def _hasattr(owner: Any, name: str) -> bool:
    return _getattr(owner, name, MISSING) is not MISSING


# ------------------------------------------------------------------------------------------------------------- writing


@replaces(setattr)
def write_attribute(owner: Any, name: str, value: Any) -> None:
    """``owner.name = value``; objects that the function has made itself are changed at once."""
    trace = active_trace()
    if trace is None or isinstance(owner, Tracer):
        setattr(owner, name, value)
    elif (function := _accessor(owner, name, "fset", trace)) is not None:
        FUNCTIONS["call"](function, (owner, value), {}, trace)
    else:
        _about_to_change(owner, name, trace)
        setattr(owner, name, value)


@replaces(delattr)
def delete_attribute(owner: Any, name: str) -> None:
    """``del owner.name``."""
    trace = active_trace()
    if trace is not None and not isinstance(owner, Tracer):
        if (function := _accessor(owner, name, "fdel", trace)) is not None:
            FUNCTIONS["call"](function, (owner,), {}, trace)
            return
        if trace.captures.path_of(owner) is not None and hasattr(owner, name):
            read_attribute(owner, name)  # it must be there
        _about_to_change(owner, name, trace)
    delattr(owner, name)


def _about_to_change(owner: Any, name: str, trace: Trace) -> None:
    if trace.captures.path_of(owner) is not None and not is_plain_attribute(owner, name):
        raise UnsupportedError(
            f"setting {name!r} of a {type(owner).__name__} runs a descriptor that tracejit cannot trace "
            f"({describe(user_location())}); set the attribute that it stands for"
        )
    if trace.captures.path_of(owner) is not None and sets_by_itself(owner):
        raise UnsupportedError(
            f"{type(owner).__name__} defines __setattr__, which tracejit does not trace ({describe(user_location())}); "
            "return the value and set the attribute outside"
        )
    note_change("attribute", owner, name)
    if trace.region:
        raise UnstageableError(
            f"its body sets the attribute {name!r} of a {type(owner).__name__} ({describe(user_location())}); "
            "use a variable, and set the attribute afterwards"
        )
