"""The run-time half of the rewritten syntax: what a call, a name, an attribute or a subscript does while tracing.

Calls of NumPy functions go to their implementation when they make arrays or get traced values; the user's own functions
are traced with rewritten syntax, too; everything else runs as Python. Without a trace all is plain Python.
"""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace import conditions, loops
from tracejit.trace.adopting import adopt, adopt_items, adopt_new
from tracejit.trace.array import TracedArray
from tracejit.trace.attributes import delete_attribute, read_attribute, write_attribute
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS
from tracejit.trace.captures import GROWING
from tracejit.trace.comprehensions import Generated, added, comprehension, extended, filtered, keyed
from tracejit.trace.context import Trace, active_trace
from tracejit.trace.effects import call_effect, has_effect
from tracejit.trace.fallback import is_library_function
from tracejit.trace.generator_loops import LOOPS
from tracejit.trace.getters import ClosureCell, Fixed, GlobalName, ItemOf
from tracejit.trace.indexing import augment_masked, is_mask_key
from tracejit.trace.inputs import contains_tracer, stand_in
from tracejit.trace.instances import compares_itself
from tracejit.trace.iteration import Indexed
from tracejit.trace.library_calls import call_library, call_with_function, holds_data, of_scipy, takes_function
from tracejit.trace.location import describe, user_location
from tracejit.trace.maybe import Maybe, settled, settled_call, settled_item, unbound_error
from tracejit.trace.outside import Place, note_change, read_outside, writes_of
from tracejit.trace.pytree import flatten
from tracejit.trace.random_numbers import draw, is_draw
from tracejit.trace.recursion import calling
from tracejit.trace.region import require_set, trying
from tracejit.trace.registry import CREATION, FUNCTIONS, INDEXED, ask, implements
from tracejit.trace.registry import call as registered
from tracejit.trace.state import cells_of
from tracejit.trace.syntax import HOOK, is_rewritten, rewritten_code
from tracejit.trace.text import formatted, is_pending, joined
from tracejit.trace.traced_list import TracedList
from tracejit.trace.user_files import is_user_file, know_user_package

__all__ = ["Hook", "dispatch", "enter_callable", "rewritten"]

_CHANGING = frozenset(  # methods of containers
    "append extend insert remove pop clear sort reverse update setdefault popitem __setitem__ __delitem__ add discard "
    "appendleft extendleft popleft rotate".split()
)


def rewritten(function: Any) -> Any:
    """The callable with rewritten syntax if it is a user's Python function with source, else the callable itself."""
    if isinstance(function, FunctionType):
        if not is_user_file(function.__code__.co_filename):
            return function
        return with_hook(function)
    if isinstance(function, MethodType):
        inner = rewritten(function.__func__)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if isinstance(function, functools.partial):
        return functools.partial(rewritten(function.func), *function.args, **function.keywords)
    return function


def with_hook(function: FunctionType) -> FunctionType:
    """The function with rewritten syntax, or itself without source."""
    code = rewritten_code(function)
    if code is None:
        return function
    cells: dict[str, CellType] = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[HOOK] = CellType(Hook(function.__globals__, cells))
    closure = tuple(cells[name] for name in code.co_freevars)
    result = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    result.__kwdefaults__ = function.__kwdefaults__
    result.__qualname__ = function.__qualname__  # what Python's own errors name
    return result


def enter_callable(function: Any, trace: Trace) -> Any:
    """The rewritten form of the function to be traced; the object that a method is bound to is known as outside."""
    if isinstance(function, functools.partial):
        inner = enter_callable(function.func, trace)
        for value in (*function.args, *function.keywords.values()):
            trace.captures.know(value)
        return functools.partial(inner, *(adopt(a, trace) for a in function.args), **function.keywords)
    if _is_callable_object(function):
        function = MethodType(type(function).__call__, function)
    inner = getattr(function, "__func__", function)
    if isinstance(inner, FunctionType) and not is_user_file(inner.__code__.co_filename):
        know_user_package(inner)
    entered = rewritten(function)
    trace.captures.seen_through = entered is not function or is_rewritten(function)
    if isinstance(function, MethodType):
        trace.captures.know(function.__self__)
    return entered


def _is_callable_object(function: Any) -> bool:
    """Whether calling means the ``__call__`` that a Python class defines."""
    return not isinstance(function, (FunctionType, type)) and any(
        isinstance(vars(base).get("__call__"), FunctionType) for base in type(function).__mro__
    )


@implements("call")
def dispatch(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Any:
    """A call while tracing."""
    if any(isinstance(value, Maybe) for value in (function, *args, *kwargs.values())):
        function, args, kwargs = settled_call(function, args, kwargs, _takes_none(function))
    if type(function) is FunctionType:
        return _call_function(function, args, kwargs, trace)
    try:
        implementation = BUILTINS.get(function) or FUNCTIONS.get(function)
    except TypeError:  # unhashable callables
        implementation = None
    if implementation is not None:
        if function in FUNCTIONS:
            return _call_numpy(function, args, kwargs)
        _note_objects(function, None, (args, kwargs), trace)
        return implementation(*_adopted(function, args, trace), **kwargs)
    if isinstance(function, np.ufunc):
        if _is_traced(args) or _is_traced(kwargs):
            out = kwargs.pop("out", None)
            return FUNCTIONS[np.ufunc](function, args, out=out, **kwargs)
        return adopt_new(function(*args, **kwargs))
    return _call_other(function, args, kwargs, trace)


@implements("call on tracers")
def call_function(function: Any, *args: Any) -> Any:
    """A call of the user's function."""
    return Hook({}, {}).call(function, *args)


def _call_function(function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Any:
    if function in FUNCTIONS:
        return _call_numpy(function, args, kwargs)
    if is_library_function(function):
        if _is_traced((args, kwargs)):
            return call_library(function, args, kwargs)
        if takes_function(args, kwargs) and function.__module__.startswith("scipy."):
            return call_with_function(function, args, kwargs)
    if has_effect(function):
        return call_effect(function, args, kwargs)
    with calling(function, trace):
        return _call_user(function, args, kwargs, trace)


def _takes_none(function: Any) -> bool:
    """Whether a function may get values that may be None as they are."""
    if isinstance(function, Maybe):
        return False
    if isinstance(function, (FunctionType, MethodType, functools.partial)):
        return not is_library_function(function) and function not in FUNCTIONS
    if isinstance(getattr(function, "__self__", None), (list, dict, set, deque)):
        return True
    return (
        function in _KEEP_NONE if isinstance(function, (type, BuiltinFunctionType)) else _is_callable_object(function)
    )


_KEEP_NONE = frozenset((isinstance, type, bool, print, str, repr, format, tuple, list, zip, enumerate, any, all, id))


def _call_numpy(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if function in CREATION or _is_traced(args) or _is_traced(kwargs):
        return registered(function, *args, **kwargs)
    return adopt_new(function(*args, **kwargs))


def _is_traced(value: Any) -> bool:
    """Whether a value holds tracers or arrays from outside, whose elements may differ at the next call."""
    if isinstance(value, (Tracer, np.ndarray)):
        return True
    if isinstance(value, (list, tuple)):
        return any(map(_is_traced, value))
    return isinstance(value, dict) and any(map(_is_traced, value.values()))


def _call_other(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Any:
    owner = getattr(function, "__self__", None)
    _note_method(function, owner)
    if (later := _only_later(function, owner, args, kwargs)) is not None:
        return later(function, args, kwargs)
    if isinstance(owner, np.ufunc) and (_is_traced(args) or _is_traced(kwargs)):
        return FUNCTIONS[f"ufunc.{function.__name__}"](owner, *args, **kwargs)
    if isinstance(function, functools.partial):
        return dispatch(function.func, (*function.args, *args), {**function.keywords, **kwargs}, trace)
    if of_scipy(function) and holds_data((args, kwargs)):
        return FUNCTIONS["python function"](function, args, kwargs)
    if isinstance(function, MethodType):
        return _call_user(function, args, kwargs, trace)
    if isinstance(function, functools._lru_cache_wrapper) and contains_tracer((args, kwargs)):
        return dispatch(function.__wrapped__, args, kwargs, trace)
    if isinstance(function, np.vectorize):
        return FUNCTIONS["vectorized"](function, args, kwargs)
    if _is_callable_object(function):
        return _call_user(MethodType(type(function).__call__, function), args, kwargs, trace)
    return _call_unseen(function, owner, args, kwargs, trace)


def _call_unseen(function: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Any:
    """A call of a class, or of a function that is not written in Python."""
    _note_objects(function, owner, (args, kwargs), trace)
    args = _adopted(function, args, trace)
    module = getattr(function, "__module__", None) or ""
    if isinstance(function, type):
        if module.startswith("scipy.") and holds_data((args, kwargs)):
            raise UnsupportedError(
                f"{module}.{function.__name__} makes an object of values that only the compiled function knows "
                f"({describe(user_location())}); make it outside and pass it in, or compute without it"
            )
        return function(*args, **kwargs)
    if is_library_function(function) and holds_data((args, kwargs)):
        return FUNCTIONS["python function"](function, args, kwargs)
    result = function(*args, **kwargs)
    return adopt_new(result) if module.startswith("numpy") else adopt(result, trace)


def _call_user(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Any:
    """A call of a Python function, in which tracing sees everything where there is source."""
    inner = rewritten(function)
    if inner is function and not is_rewritten(function):
        trace.captures.pin((function, args, kwargs))
    args = tuple(adopt(value, trace) for value in args)
    return adopt(inner(*args, **{key: adopt(value, trace) for key, value in kwargs.items()}), trace)


def _adopted(function: Any, args: tuple[Any, ...], trace: Trace) -> tuple[Any, ...]:
    """Arguments for a function of Python's that may do arithmetic with, or hand on, the items of lists."""
    if not any(function is reader for reader in _READERS):
        return args
    return tuple(adopt_items(value, trace) for value in args)


_HARMLESS: tuple[Any, ...] = (
    isinstance,
    callable,
    len,
    super,
    type,
    list,
    tuple,
    dict,
    zip,
    enumerate,
    reversed,
    iter,
    next,
    getattr,
    hasattr,
    setattr,
    delattr,
)
_READERS: tuple[Any, ...] = (list, tuple, zip, enumerate, reversed, iter, sum, max, min, map, filter, sorted)
_HARMLESS_METHODS = frozenset("append extend insert pop clear reverse copy items values keys".split())


def _note_objects(function: Any, owner: Any, values: Any, trace: Trace) -> None:
    """Objects that are given to what reads them unseen are pinned; some functions of Python's read nothing of them."""
    if isinstance(owner, (list, dict)) and function.__name__ in _HARMLESS_METHODS:
        return
    if not any(function is harmless for harmless in _HARMLESS):
        trace.captures.pin(values)


def _note_method(function: Any, owner: Any) -> None:
    if isinstance(owner, (list, dict, set, deque)) and function.__name__ in _CHANGING:
        tail = type(owner) is list and function.__name__ in GROWING
        note_change("tail" if tail else "contents", owner)


def _only_later(function: Any, owner: Any, args: Any, kwargs: Any) -> Callable[..., Any] | None:
    """What calls a function when the program runs, if it must not be called while tracing."""
    if is_draw(function):
        return draw
    if has_effect(function):
        return call_effect
    return formatted if type(owner) is str and is_pending((args, kwargs)) else None


def _note_texts(values: Any) -> None:
    """Texts are made of objects unseen."""
    if (trace := active_trace()) is not None:
        trace.captures.pin(values, text=True)


class Hook:
    """What rewritten functions call. One for each rewritten function: it knows the function's globals and closure."""

    __slots__ = ("cells", "namespace")

    def __init__(self, namespace: dict[str, Any], cells: dict[str, CellType]) -> None:
        self.namespace = namespace
        self.cells = cells

    slice = staticmethod(slice)
    never = False  # in front of assignments that only say that a block may set a variable

    # Control flow; without a trace it is Python's own, with the variables that the nested functions share.

    def for_loop(
        self, iterable: Any, body: Any, carried: Any, needed: Any, stopped: str | None, changed: Any = ()
    ) -> None:
        """``for``; see :mod:`tracejit.trace.loops`."""
        if active_trace() is not None:
            loops.for_loop(self.iterate(iterable), body, carried, needed, stopped, changed)
            return
        flag = cells_of([body])[stopped] if stopped else None
        for item in iterable:
            if flag is not None and flag.cell_contents:
                break
            body(item)

    def while_loop(self, test: Any, body: Any, carried: Any, needed: Any, changed: Any = ()) -> None:
        """``while``."""
        if active_trace() is not None:
            loops.while_loop(test, body, carried, needed, changed)
            return
        while test():
            body()

    def branch(self, test: Any, then: Any, otherwise: Any, needed: Any, changed: Any = ()) -> None:
        """``if``."""
        if active_trace() is not None:
            conditions.branch(test, then, otherwise, needed, cells_of([then, otherwise]), changed)
        elif test:
            then()
        else:
            otherwise()

    def choose(self, test: Any, then: Any, otherwise: Any) -> Any:
        """``then if test else otherwise``."""
        if active_trace() is not None:
            return conditions.choose(test, then, otherwise)
        return then() if test else otherwise()

    both, either = staticmethod(conditions.both), staticmethod(conditions.either)
    opposite, chain = staticmethod(conditions.opposite), staticmethod(conditions.chain)
    contained, identical = staticmethod(conditions.contained), staticmethod(conditions.identical)
    ensure, raising = staticmethod(conditions.ensure), staticmethod(conditions.raising)
    finished = staticmethod(conditions.finished)

    def comprehension(self, iterable: Any, step: Any) -> Any:
        """``[... for item in iterable]``."""
        return comprehension(self.iterate(iterable), step)

    def keyed(self, is_dict: bool, iterable: Any, step: Any) -> Any:
        """``{... for item in iterable}``."""
        if active_trace() is None:
            made = comprehension(iterable, step)
            return dict(made) if is_dict else set(made)
        return keyed(is_dict, self.iterate(iterable), step)

    def extended(self, out: Any, iterable: Any, step: Any) -> Any:
        """``for`` behind the first one."""
        return extended(out, self.iterate(iterable), step)

    def generator(self, iterable: Any, step: Any) -> Any:
        """``(... for item in iterable)``."""
        if active_trace() is None:
            return iter(comprehension(iterable, step))
        return Generated(self.iterate(iterable), step)

    def new_list(self) -> Any:
        """``[]`` in a variable that is given to functions, which may append in their loops."""
        trace = active_trace()
        return [] if trace is None or trace.captures.plain_lists is not None else TracedList([], trace)

    def repeated(self, items: Any, times: Any) -> Any:
        """``[...] * times``."""
        trace = active_trace()
        if trace is None or not isinstance(times, Tracer) or trace.captures.plain_lists is not None:
            return items * times
        return ask("repeat list", items, times)

    added, filtered = staticmethod(added), staticmethod(filtered)

    def joined(self, *pieces: Any) -> Any:
        """An f-string."""
        _note_texts(pieces)
        return joined(*pieces)

    def reduction(self, function: Any, iterable: Any, value: Any, test: Any, single: bool, *rest: Any) -> Any:
        """``function((value(item) for item in iterable if test(item)), *rest)``."""
        of = value if single else lambda item: value(*item)
        only = test if single or test is None else lambda item: test(*item)
        if active_trace() is not None and function in (sum, any, all, max, min) and len(rest) <= (function is sum):
            return with_hook(LOOPS[function])(iterable, of, only, *rest)
        return self.call(function, (of(item) for item in self.iterate(iterable) if only is None or only(item)), *rest)

    trying = staticmethod(trying)

    def matched(self, subject: Any) -> Any:
        """The subject of a ``match`` that asks for classes, which Python does by itself."""
        if active_trace() is not None and any(isinstance(leaf, Tracer) for leaf in flatten(subject)[0]):
            raise UnsupportedError(
                f"a match statement asks for the class of a value that is computed ({describe(user_location())}), with "
                "a pattern that is not compiled; use isinstance in an `if`"
            )
        return subject

    def percent(self, text: Any, values: Any) -> Any:
        """``text % values``."""
        _note_texts(values)
        return formatted(operator.mod, (text, values), {}) if is_pending(values) else text % values

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``."""
        trace = active_trace()
        if trace is None:
            return function(*args, **kwargs)
        return dispatch(function, args, kwargs, trace)

    def glob(self, name: str, value: Any, grown: bool = False) -> Any:
        """Reading a global name; ``grown``: of a list that is only made longer."""
        trace = active_trace()
        if trace is None or isinstance(value, Tracer):
            return value
        return read_outside(trace, value, GlobalName(self.namespace, name), grown)

    def free(self, name: str, value: Any, grown: bool = False) -> Any:
        """Reading a variable of an enclosing function."""
        trace = active_trace()
        if trace is None or isinstance(value, Tracer):
            return value
        return read_outside(trace, value, ClosureCell(self.cells[name], name), grown)

    def variable(self, name: str, read: Callable[[], Any], certain: bool) -> Any:
        """A variable of the function that may have no value; ``certain``: not so in Python."""
        try:
            value = read()
        except NameError:
            require_set(name)
            raise unbound_error(name) from None
        if isinstance(value, Maybe) and value.name is not None:
            return value.value if certain else value.required()
        return value

    def attr(self, owner: Any, name: str, grown: bool = False) -> Any:
        """``owner.name``."""
        if isinstance(owner, Maybe):
            owner = owner.required(lambda none: getattr(none, name))
        return read_attribute(owner, name, grown)

    def item(self, owner: Any, key: Any, grown: bool = False) -> Any:
        """``owner[key]``."""
        trace = active_trace()
        owner, key = settled_item(owner, key)
        if trace is None or isinstance(owner, Tracer):
            return owner[key]
        if type(owner) is np.ndarray:
            return trace.captures.array(owner)[key]
        if type(owner) in (list, tuple) and isinstance(key, Tracer):
            found = ask("computed item", owner, key)
            if found is not NotImplemented:
                return found
        if type(owner) in INDEXED:
            return INDEXED[type(owner)](owner, key)
        value = owner[key]
        trace.captures.pin(key, text=True)
        path = trace.captures.path_of(owner)
        if grown and path is not None and not isinstance(key, Tracer):
            return read_outside(trace, value, ItemOf(path, key), grown)
        if type(value) is np.ndarray:
            return trace.captures.array(value, None if path is None or isinstance(key, Tracer) else ItemOf(path, key))
        return value

    def target(self, owner: Any) -> Any:
        """The object in front of an assigned ``[...]``."""
        trace = active_trace()
        if trace is None:
            return owner
        if type(owner) is np.ndarray:
            return trace.captures.array(owner)
        owner = settled(owner, lambda none: operator.setitem(none, 0, 0))  # type: ignore[call-overload]
        if isinstance(owner, (dict, list)):
            note_change("contents", owner)
        return owner

    def unpacked(self, value: Any, pattern: tuple[Any, ...]) -> Any:
        """What several names are assigned from."""
        trace = active_trace()
        return value if trace is None else adopt_items(value, trace, pattern)

    def iterate(self, iterable: Any) -> Iterable[Any]:
        """What a loop iterates over."""
        trace = active_trace()
        iterable = settled(iterable, lambda none: iter(none))  # type: ignore[call-overload]
        if trace is None or isinstance(iterable, (Tracer, range, Indexed)):
            return iterable  # type: ignore[no-any-return]
        if type(iterable) is np.ndarray:
            return trace.captures.array(iterable)
        owner: Trace = trace
        return (adopt(item, owner) for item in iterable)

    def set_attr(self, value: Any, owner: Any, name: str) -> None:
        """``owner.name = value``."""
        write_attribute(owner, name, value)

    def del_attr(self, owner: Any, name: str) -> None:
        """``del owner.name``."""
        delete_attribute(owner, name)

    def opened(self, value: Any) -> Any:
        """What ``match`` looks at: Python reads its attributes by itself."""
        if (trace := active_trace()) is not None:
            trace.captures.pin(value)
        return value

    def noted(self, value: Any) -> Any:
        """An operand of ``==``, which may look into objects."""
        if (trace := active_trace()) is not None and compares_itself(value):
            trace.captures.pin(value)
        return value

    def outside(self, name: str, value: Any) -> Any:
        """A value for a name declared global or nonlocal."""
        if (trace := active_trace()) is not None:
            if name in self.cells:
                place = Place("cell", Fixed(self.cells[name]), name)
            else:
                place = Place("name", Fixed(self.namespace), name)
            writes_of(trace).note(place, trace)
        return value

    def augment(self, operation: str, old: Any, value: Any) -> Any:
        """``old <operation>= value``."""
        trace = active_trace()
        if trace is not None and type(old) is np.ndarray:
            old = trace.captures.array(old)
        elif trace is not None and isinstance(old, (list, dict, set, deque)):
            note_change("contents", old)
        old = settled(old, lambda none: _IN_PLACE[operation](none, stand_in(value)))
        return _IN_PLACE[operation](old, value)

    def augment_attr(self, operation: str, owner: Any, name: str, value: Any) -> None:
        """``owner.name <operation>= value``."""
        old = self.attr(owner, name)
        new = self.augment(operation, old, value)
        if not (new is old and isinstance(new, TracedArray)):
            self.set_attr(new, owner, name)

    def augment_item(self, operation: str, owner: Any, key: Any, value: Any) -> None:
        """``owner[key] <operation>= value``."""
        owner = self.target(owner)
        if is_mask_key(owner, key):
            augment_masked(owner, key, _IN_PLACE[operation], value)
            return
        old = self.item(owner, key)
        new = self.augment(operation, old, value)
        if isinstance(owner, TracedArray) or not (new is old and isinstance(new, TracedArray)):
            owner[key] = new


_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd,
    "Sub": operator.isub,
    "Mult": operator.imul,
    "Div": operator.itruediv,
    "FloorDiv": operator.ifloordiv,
    "Mod": operator.imod,
    "Pow": operator.ipow,
    "MatMult": operator.imatmul,
    "LShift": operator.ilshift,
    "RShift": operator.irshift,
    "BitAnd": operator.iand,
    "BitOr": operator.ior,
    "BitXor": operator.ixor,
}
