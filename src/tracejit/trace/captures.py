"""What a traced function reads besides its arguments.

Arrays become inputs that are read again at each call, and so do numbers that are attributes; objects of the user's
classes count by their class; anything else is remembered and compared, so that nothing stale stays in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.ir.core import Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, TracedScalar
from tracejit.trace.axis_order import NOTHING, ORDER, Layout, fits_layout, inverse, layout_of
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import PYTHON_DTYPES
from tracejit.trace.foreign import check_array, plain_array
from tracejit.trace.frames import LeafOf
from tracejit.trace.generators import States, is_generator, is_shared
from tracejit.trace.getters import UNREACHABLE, AllDifferent, ArrayOf, AttributeOf, Fixed, Getter, ItemOf, is_hashable
from tracejit.trace.instances import Instance, counts_by_class, has_operators, own_attributes
from tracejit.trace.location import user_location
from tracejit.trace.scalar import SymbolicBool, SymbolicInt, TracedNumber
from tracejit.trace.storage import Storage
from tracejit.trace.values import Dims

if TYPE_CHECKING:
    from tracejit.trace.outside import OutsideWrites

__all__ = ["GROWING", "Capture", "CaptureTable", "OfType", "freeze", "is_run_time_number", "memory_of"]

_ARRAYS = (np.ndarray, np.memmap)
_NUMBERS = (int, float, complex, str, bytes, np.generic, np.dtype, type(None), type(Ellipsis))
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)
GROWING = frozenset(("append", "extend"))  # methods of lists that only make them longer
_MAX_ENTRIES = 1000


class Capture:
    """Something outside that the program depends on.

    kind: "array" (the array that ``getter()`` gives is param number ``position``; it must have this dtype and rank),
        "number" (of the kind ``form``, as for arguments: param ``position`` or the size symbol ``size``),
        "value" (``freeze(getter())`` must be ``key``), "alias" (``getter()`` must be the object ``other()``), or
        "distinct" and "missing" (the objects that ``getter.getters`` give are all different; ``getter()`` fails).
    written, layout, layout_used: as for arguments.
    """

    __slots__ = (
        "dtype",
        "form",
        "getter",
        "key",
        "kind",
        "layout",
        "layout_used",
        "other",
        "position",
        "rank",
        "size",
        "storage",
        "value",
        "written",
    )

    def __init__(self, kind: str, getter: Getter, *, key: Any = None, other: Getter | None = None) -> None:
        self.kind = kind
        self.getter = getter
        self.key = key
        self.other = other
        self.dtype: np.dtype[Any] | None = None
        self.form = ""
        self.rank = 0
        self.size: str | None = None
        self.position: int | None = None
        self.value: Value | None = None
        self.storage: Storage | None = None
        self.written = False
        self.layout = Layout()
        self.layout_used = NOTHING

    def holds(self) -> bool:
        """Whether the outside is still as the trace found it (the sizes of arrays apart)."""
        try:
            value = self.getter()
        except UNREACHABLE:
            return self.kind == "missing"
        if self.kind in ("distinct", "missing"):
            return self.kind == "distinct" and value
        if self.kind == "number":
            return number_form(value) == self.form and (self.form != "scalar" or value.dtype == self.dtype)
        if self.kind == "array":
            fits = type(value) in _ARRAYS and value.dtype == self.dtype and value.ndim == self.rank
            return fits and fits_layout(self, value)
        if self.kind == "alias":
            assert self.other is not None
            return value is self.other()
        return freeze(value) == self.key  # type: ignore[no-any-return]

    def remembers_number(self) -> bool:
        """Whether what it remembers is a number, which a program could be given instead."""
        return self.kind == "value" and isinstance(self.key, tuple) and self.key[0] in (int, float, complex)

    def holds_but_for_constants(self) -> bool:
        """Whether the outside differs at most in numbers and strings that the trace has remembered."""
        if self.kind != "value" or self.holds():
            return self.holds()
        try:
            return bool(loosened(freeze(self.getter())) == loosened(self.key))
        except UNREACHABLE:
            return False

    def __repr__(self) -> str:
        return f"<capture of {self.kind} {self.getter}>"


_PYTHON_NUMBERS = {bool: "bool", int: "int", float: "float", complex: "complex"}


def number_form(value: Any) -> str:
    """The kind that a number has among arguments; "" where the program cannot be given it."""
    form = _PYTHON_NUMBERS.get(type(value))
    if form is not None:
        return form if form != "int" or -(2**63) <= value < 2**63 else ""
    return "scalar" if isinstance(value, np.generic) and value.dtype.kind in "biufc" else ""


def is_run_time_number(value: Any) -> bool:
    """Whether an attribute of this value is read at each call; bools are remembered, as programs ask for them."""
    return number_form(value) not in ("", "bool") and getattr(value, "dtype", None) != np.bool_


def memory_of(trace: Trace, source: Any, array: np.ndarray[Any, Any], dims: Dims) -> Storage:
    """The memory of an array from outside, for an argument or capture, whose new param has no gaps and no order."""
    layout = source.layout = layout_of(array)
    order = layout.order
    dtype = array.dtype.newbyteorder("=")
    param = source.value = trace.builder.param(ArrayType(dtype, tuple(dims[axis] for axis in order) or dims))
    value: Operand = param
    if order:
        attrs = {"perm": inverse(order)}
        value = trace.builder.emit(PRIMITIVES["transpose"], (param,), attrs, (), user_location())[0]
    storage = Storage(
        value,
        trace,
        origin=source,
        writeable=array.flags.writeable,
        strides=tuple(stride // (array.itemsize or 1) for stride in array.strides),
        order=order,
        still=layout.still,
    )
    if order:
        storage.layout_used = ORDER
    return storage


class CaptureTable:
    """All captures of one outermost trace."""

    def __init__(self) -> None:
        self.trace: Trace | None = None  # the outermost trace, whose params captured arrays are
        self.writes: OutsideWrites | None = None  # what the function changes outside
        self.states: States | None = None  # of generators, which tracing must not change
        self.captures: list[Capture] = []
        self.warned: set[Any] = set()  # what this trace has warned of
        self.active: list[tuple[Any, int]] = []  # the functions that are being called, under how many conditions
        self.caught: list[tuple[Any, Any, Any]] = []  # of try statements: the exceptions, where, in which trace
        self.error_state: Any = None  # NumPy's modes for floating-point errors when the trace began
        self.said: set[str] = set()  # where loops were unrolled that the log has told of
        self.unrolling: Any = None  # the outermost loop that is running turn by turn
        self.maps_only = False  # whether dicts with ints as keys are looked through like others
        self.plain_lists: Exception | None = None  # why all lists stay Python's, if they must
        self.has_traced_lists = False
        self.stored_lists: list[tuple[list[Any], list[Any]]] = []  # items of traced lists, and what they held then
        self.uncompiled: Exception | None = None  # why the function must run in NumPy, if it must
        self.reads_numbers = True  # whether attributes that are numbers are read at each call; else they are remembered
        self._opened: set[int] = set()
        self._unopened: list[Any] = []
        self.static: list[Getter] = []  # ways to objects that the caller declared static: all of them is constant
        self.seen_through = True  # whether tracing sees what the function does; else objects are pinned
        self._arrays: dict[int, tuple[Capture, TracedArray]] = {}
        self._numbers: dict[Getter, Any] = {}
        self._instances: dict[int, Instance] = {}
        self._paths: dict[int, tuple[Any, Getter]] = {}  # the objects are kept, so that ids stay theirs
        self._seen: set[Any] = set()
        self._made: dict[int, tuple[Any, Getter, Trace]] = {}  # objects that stand for what the program makes
        self.exchangeable: dict[int, Any] = {}  # generators, to the argument or capture whose key allows another one

    def made(self, value: Any, getter: Getter) -> Any:
        """Note that an object stands for one that the program makes; gives the object."""
        self._made[id(value)] = (value, getter, current_trace())
        return value

    def made_in(self, value: Any) -> Trace | None:
        """The trace, still running, in which the program makes an object."""
        found = self._made.get(id(value))
        return None if found is None else found[2] if found[2].active else current_trace()

    def finder(self, value: Any) -> Getter:
        """What finds an object, or the one that it stands for, when the program runs."""
        found = self._made.get(id(value)) or self._paths.get(id(value))
        return Fixed(value) if found is None else found[1]

    def _exchange(self, value: Any, getter: Getter, source: Any) -> None:
        """Note a way to a generator: calls may have another one there, unless there are several ways to this one."""
        if self.states is not None:
            self.states.know(value)
        known = self._paths.setdefault(id(value), (value, Fixed(value) if is_shared(value) else getter))
        if known[1] == getter:
            self.exchangeable[id(value)] = source
            return
        source.key = _Same(value)
        if (first := self.exchangeable.get(id(value))) is not None:
            first.key = source.key

    def path_of(self, value: Any) -> Getter | None:
        """How an outside object was reached, if the trace saw that."""
        found = self._paths.get(id(value))
        return None if found is None else found[1]

    def know(self, value: Any, argument: Any = None, number: int = -1, static: bool = False) -> None:
        """Note a static argument (leaf ``number`` of the call), whose attributes the program may read."""
        if is_generator(value) and argument is not None:
            self._exchange(value, LeafOf(number), argument)
        elif argument is not None and not static and self.seen_through and counts_by_class(value):
            argument.key = self.instance(value, LeafOf(number), opened=False)
            self._unopened.append(value)
        elif not isinstance(value, (*_NUMBERS, *_FUNCTIONS)):
            self._paths.setdefault(id(value), (value, Fixed(value)))
            self._enter_attributes(value)
            if static:
                self.static.append(Fixed(value))
            else:
                self._unopened.append(value)

    def open_operands(self) -> None:
        """All arguments have become params: captured arrays and numbers may follow."""
        for value in self._unopened:
            self._open_operand(value)

    # ----------------------------------------------------------------------------------------- objects of classes

    def instance(self, value: Any, getter: Getter, opened: bool = True) -> Instance:
        """The key of an object that counts by its class, which was reached in this way."""
        known = self._instances.get(id(value))
        if known is None:
            known = self._instances[id(value)] = Instance(value)
            known.pinned = not self.seen_through
            self._paths.setdefault(id(value), (value, getter))
            self._enter_attributes(value)
            if opened:
                self._open_operand(value)
        self.note_alias(value, getter)
        return known

    def note_alias(self, value: Any, getter: Getter) -> None:
        """Another way to what was reached before must lead to the same again."""
        path = self._paths[id(value)][1]
        if is_hashable(getter) and path != getter and ("alias", getter) not in self._seen:
            self._seen.add(("alias", getter))
            self.captures.append(Capture("alias", getter, other=path))

    def pin(self, value: Any, text: bool = False) -> None:
        """Something reads an object, or those in a container, unseen: the program is for this very one.

        text: it reads constants, to make a text of them; elsewhere it may read tracers.
        """
        if isinstance(value, (list, tuple)):
            for item in value:
                self.pin(item, text)
        elif isinstance(value, dict):
            self.pin([*value, *value.values()], text)
        elif isinstance(value, MethodType):
            self.pin(value.__self__, text)
        elif (known := self._instances.get(id(value))) is not None and not known.pinned:
            known.pinned = True
            self._open(value, text)

    def _open(self, value: Any, text: bool = False) -> None:
        """All that an object has is part of what makes a version; arrays and numbers are tracers while tracing."""
        path = self._paths[id(value)][1]
        tracers: dict[str, Any] = {}
        for name, item in own_attributes(value).items():
            getter = AttributeOf(path, name)
            if isinstance(item, Tracer) or not is_hashable(getter):
                continue
            tracer = None if text or self.writes is None else self._tracer_of(item, getter)
            if tracer is None and not text and self.writes is not None:
                tracer = self._open_container(item, getter)
            if tracer is None:
                self._remember(item, getter)
                self.pin(item, text)
            elif tracer is not item:
                tracers[name] = tracer
        if self.writes is not None and not text:
            self.writes.open(value, path, tracers)

    def _open_container(self, item: Any, getter: Getter) -> Any:
        """A list, dict or tuple with tracers in it: for tuples another one; None where there is nothing to trace."""
        if type(item) not in (list, tuple, dict) or len(item) > _MAX_ENTRIES:
            return None
        entries = item.items() if isinstance(item, dict) else enumerate(item)
        found = {key: self._tracer_of(value, ItemOf(getter, key)) for key, value in entries}
        tracers = {key: tracer for key, tracer in found.items() if tracer is not None}
        if not tracers:
            return None
        self.remember_loosely(item, getter, Loosely)
        self.pin(item)
        if type(item) is tuple:
            return tuple(tracers.get(k, value) for k, value in enumerate(item))
        assert self.writes is not None
        self.writes.open_contents(item, getter, tracers)
        return item

    def _tracer_of(self, item: Any, getter: Getter) -> Any:
        """What the program sees of a value that it is given at each call; None of others."""
        if type(item) in _ARRAYS and item.dtype.kind in "biufc":
            return self.array(item, getter)
        return self.number(item, getter) if self.reads_numbers and is_run_time_number(item) else None

    def is_known(self, value: Any) -> bool:
        """Whether a value is an outside object that counts by its class."""
        return id(value) in self._instances and not self._instances[id(value)].pinned

    def settle(self) -> None:
        """The trace is over: note which objects must be different ones, and keep no samples."""
        for kind in {known.type for known in self._instances.values()}:
            self._demand_different([known.value for known in self._instances.values() if known.type is kind])
        for known in self._instances.values():
            known.settle()

    def demand_different_containers(self, written: Collection[int]) -> None:
        """Lists (and dicts) of which some are written, by id, must be different ones."""
        for kind in (list, dict):
            known = [value for value, _ in self._paths.values() if type(value) is kind]
            if any(id(value) in written for value in known):
                self._demand_different(known)

    def _demand_different(self, values: Sequence[Any]) -> None:
        if len(values) > 1:
            getters = tuple(self._paths[id(value)][1] for value in values)
            self.captures.append(Capture("distinct", AllDifferent(getters)))

    def _open_operand(self, value: Any) -> None:
        """An object of a class whose operators Python runs unseen."""
        if has_operators(value) and id(value) not in self._opened:
            self._opened.add(id(value))
            if hasattr(value, "__dict__"):
                self.remember_loosely(vars(value), AttributeOf(self._paths[id(value)][1], "__dict__"), Loosely)
            self._open(value)

    def _enter_attributes(self, value: Any) -> None:
        """Note how the arrays of an object are reached, for what reads them unseen."""
        path = self._paths[id(value)][1]
        for name, item in getattr(value, "__dict__", {}).items():
            if type(item) in _ARRAYS:
                self._paths.setdefault(id(item), (item, AttributeOf(path, name)))

    def missing(self, getter: Getter) -> None:
        """Note that there is nothing to read."""
        if ("missing", getter) not in self._seen:
            self._seen.add(("missing", getter))
            self.captures.append(Capture("missing", getter))

    def number(self, value: Any, getter: Getter) -> Any:
        """The tracer of an outside number that is read at each call."""
        if getter in self._numbers:
            return self._numbers[getter]
        trace = self.trace
        assert trace is not None
        capture = Capture("number", getter)
        capture.form = number_form(value)
        self.captures.append(capture)
        tracer: Any
        if capture.form in ("int", "bool"):
            dim = trace.sizes.fresh(_symbol_name(getter), int(value), integer=True)
            capture.size = dim.as_symbol
            tracer = SymbolicInt(dim, trace.sizes) if capture.form == "int" else SymbolicBool(dim, trace.sizes)
        else:
            capture.dtype = value.dtype if capture.form == "scalar" else PYTHON_DTYPES[type(value)]
            capture.value = trace.builder.param(ArrayType(capture.dtype.newbyteorder("=")))
            tracer = (
                TracedScalar(capture.value) if capture.form == "scalar" else TracedNumber(capture.value, type(value))
            )
            tracer.owner = trace
        self._numbers[getter] = tracer
        return tracer

    # ----------------------------------------------------------------------------------------- arrays and the rest

    def array(self, array: np.ndarray[Any, Any], getter: Getter | None = None) -> TracedArray:
        """The tracer of an outside array."""
        known = self._arrays.get(id(array))
        if known is not None:
            capture, tracer = known
            if getter is not None and getter != capture.getter and ("alias", getter) not in self._seen:
                self._seen.add(("alias", getter))
                self.captures.append(Capture("alias", getter, other=capture.getter))
            return tracer
        assert self.trace is not None
        getter = getter or self.path_of(array)
        check_array(array, f"{getter}, which the function reads," if getter else "an array used in a traced function")
        capture = Capture("array", getter or Fixed(array))
        name = _symbol_name(capture.getter) if getter else "captured"
        dims = tuple(self.trace.sizes.fresh(f"{name}{axis}", size) for axis, size in enumerate(array.shape))
        capture.dtype, capture.rank = array.dtype, array.ndim
        capture.storage = memory_of(self.trace, capture, array, dims)
        tracer = TracedArray(capture.storage)
        self.captures.append(capture)
        self._arrays[id(array)] = (capture, tracer)
        self._paths.setdefault(id(array), (array, capture.getter))
        return tracer

    def foreign(self, value: Any) -> TracedArray | None:
        """The tracer of an outside object that counts as an array; None if nobody knows how it was reached."""
        getter = self.path_of(value)
        if getter is None:
            return None
        if id(value) not in self._arrays:
            tracer = self.array(plain_array(value, str(getter)), ArrayOf(getter))
            self._arrays[id(value)] = (self.captures[-1], tracer)
        return self._arrays[id(value)][1]

    def read(self, value: Any, getter: Getter) -> Any:
        """What the program sees where it reads an outside object: arrays as tracers, the rest as it is, remembered."""
        if type(value) in _ARRAYS:
            return self.array(value, getter)
        if isinstance(value, (ModuleType, type)):
            return value
        if isinstance(value, (*_NUMBERS, *_FUNCTIONS)):
            self._remember(value, getter)
        elif isinstance(value, (list, tuple, dict)):
            self._remember(value, getter)
            self._enter(value, getter, 0)
        elif is_generator(value):
            if (capture := self._remember(value, getter)) is not None:
                self._exchange(value, getter, capture)
        else:
            self._remember(value, getter)
            self._paths.setdefault(id(value), (value, getter))
            self._open_operand(value)
        return value

    def remember_loosely(self, value: Any, getter: Getter, loosened: Callable[[Any], Any]) -> None:
        """Note what was read outside under another key than its own."""
        if (capture := self._remember(value, getter)) is not None:
            capture.key = loosened(capture.key)
        if isinstance(value, (list, tuple, dict)):
            self._enter(value, getter, 0)
        else:
            self._paths.setdefault(id(value), (value, getter))

    def remember_type(self, value: Any, getter: Getter) -> None:
        """Note a container whose contents do not matter."""
        capture = Capture("value", getter, key=OfType(type(value)))
        self.captures.append(capture)
        self._paths.setdefault(id(value), (value, getter))

    def _remember(self, value: Any, getter: Getter) -> Capture | None:
        try:
            if getter in self._seen:
                return None
            self._seen.add(getter)
        except TypeError:  # an unhashable key or object on the way
            pass
        capture = Capture("value", getter, key=self._key(value, getter))
        self.captures.append(capture)
        return capture

    def _key(self, value: Any, getter: Getter, depth: int = 0) -> Any:
        """A key as :func:`freeze` gives it, in which objects of classes count by their class."""
        if isinstance(value, (list, tuple)) and depth <= 8 and len(value) <= _MAX_ENTRIES:
            items = tuple(self._key(item, ItemOf(getter, k), depth + 1) for k, item in enumerate(value))
            return type(value), items
        if isinstance(value, dict) and depth <= 8 and len(value) <= _MAX_ENTRIES:
            return dict, tuple((key, self._key(item, ItemOf(getter, key), depth + 1)) for key, item in value.items())
        return self.instance(value, getter) if is_hashable(getter) and counts_by_class(value) else freeze(value, depth)

    def _enter(self, value: Any, getter: Getter, depth: int) -> None:
        """Note how the arrays inside a container are reached."""
        self._paths.setdefault(id(value), (value, getter))
        if isinstance(value, (list, dict)):
            self.note_alias(value, getter)
        if depth > 8 or len(value) > _MAX_ENTRIES:
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, (list, tuple, dict)):
                self._enter(item, ItemOf(getter, key), depth + 1)
            elif isinstance(item, np.ndarray) or hasattr(item, "__dict__"):  # of classes: see ``_key``
                self._paths.setdefault(id(item), (item, ItemOf(getter, key)))


def freeze(value: Any, depth: int = 0) -> Any:
    """A key that is equal for values which a program cannot tell apart; arrays count by dtype and rank."""
    if isinstance(value, (float, complex, np.floating, np.complexfloating)):
        return type(value), repr(value)  # NaN is equal to itself, -0.0 is not 0.0
    if isinstance(value, _NUMBERS):
        return type(value), value
    if isinstance(value, np.ndarray):
        return "array", value.dtype, value.ndim
    if isinstance(value, (list, tuple)) and depth <= 8 and len(value) <= _MAX_ENTRIES:
        return type(value), tuple(freeze(item, depth + 1) for item in value)
    if isinstance(value, dict) and depth <= 8 and len(value) <= _MAX_ENTRIES:
        return dict, tuple((key, freeze(item, depth + 1)) for key, item in value.items())
    return _Exchangeable(value) if depth == 0 and is_generator(value) else _Same(value)


def _symbol_name(getter: Getter) -> str:
    return "".join(c if c.isalnum() else "_" for c in str(getter)).lstrip("_0123456789") or "outside"


def loosened(key: Any) -> Any:
    """A key without the numbers and strings that are in it: with their types."""
    if not isinstance(key, tuple):
        return key
    if len(key) == 2 and isinstance(key[0], type) and issubclass(key[0], (bool, int, float, complex, str, np.generic)):
        return key[:1]
    return tuple(map(loosened, key))


class Loosely:
    """Equal to keys (``freeze``) of the same structure and types, whatever the numbers in them."""

    def __init__(self, key: Any) -> None:
        self.key = loosened(key)

    def __eq__(self, other: object) -> bool:
        return bool(loosened(other) == self.key)

    __hash__ = None  # type: ignore[assignment]


class OfType:
    """Equal to keys (``freeze``) of containers of one type."""

    __slots__ = ("type",)

    def __init__(self, type_: type) -> None:
        self.type = type_

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple):
            return other[0] is self.type
        return isinstance(other, _Same) and type(other.value) is self.type  # a large one

    __hash__ = None  # type: ignore[assignment]


class _Same:
    """Equal only for the same object, which is kept."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Instance, OfType)):
            return other == self
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class _Exchangeable(_Same):
    """An object that the program finds anew at each call: any other one of its type will do."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is _Exchangeable:
            return type(self.value) is type(other.value)
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return hash(type(self.value))
