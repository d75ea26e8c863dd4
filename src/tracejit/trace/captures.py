"""What a traced function reads besides its arguments.

Arrays become inputs that are read again at each call; anything else is remembered and compared, so that nothing stale
stays in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.ir.core import Operand, Value
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray
from tracejit.trace.axis_order import NOTHING, ORDER, Layout, fits_layout, inverse, layout_of
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.foreign import check_array, plain_array
from tracejit.trace.frames import LeafOf
from tracejit.trace.generators import States, is_generator, is_shared
from tracejit.trace.location import user_location
from tracejit.trace.storage import Storage
from tracejit.trace.values import Dims

if TYPE_CHECKING:
    from tracejit.trace.outside import OutsideWrites

__all__ = ["GROWING", "Capture", "CaptureTable", "freeze", "memory_of"]

Getter = Callable[[], Any]
_ARRAYS = (np.ndarray, np.memmap)
_NUMBERS = (int, float, complex, str, bytes, np.generic, np.dtype, type(None), type(Ellipsis))
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)
GROWING = frozenset(("append", "extend"))  # methods of lists that only make them longer
_MAX_ENTRIES = 1000


@dataclass(frozen=True, eq=False)
class GlobalName:
    """Reads a name of a module."""

    namespace: dict[str, Any]
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GlobalName) and self.name == other.name and self.namespace is other.namespace

    def __hash__(self) -> int:
        return hash((id(self.namespace), self.name))

    def __call__(self) -> Any:
        return self.namespace[self.name]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class ClosureCell:
    """Reads a variable of an enclosing function."""

    cell: CellType
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClosureCell) and self.cell is other.cell

    def __hash__(self) -> int:
        return id(self.cell)

    def __call__(self) -> Any:
        return self.cell.cell_contents

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Fixed:
    """One object, whatever happens to the names that it had."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __call__(self) -> Any:
        return self.value

    def __str__(self) -> str:
        return f"<{type(self.value).__name__}>"


@dataclass(frozen=True)
class AttributeOf:
    """Reads an attribute of what another getter reads."""

    parent: Getter
    name: str

    def __call__(self) -> Any:
        return getattr(self.parent(), self.name)

    def __str__(self) -> str:
        return f"{self.parent}.{self.name}"


@dataclass(frozen=True)
class ItemOf:
    """Reads an entry of the container that another getter reads."""

    parent: Getter
    key: Any

    def __call__(self) -> Any:
        return self.parent()[self.key]

    def __str__(self) -> str:
        return f"{self.parent}[{self.key!r}]"


@dataclass(frozen=True)
class ArrayOf:
    """Reads the array that NumPy takes a foreign object for (see ``foreign``)."""

    parent: Getter

    def __call__(self) -> Any:
        return plain_array(self.parent(), str(self.parent))

    def __str__(self) -> str:
        return str(self.parent)


class Capture:
    """Something outside that the program depends on.

    kind: "array" (the array that ``getter()`` gives is param number ``position``; it must have this dtype and rank),
        "value" (``freeze(getter())`` must be ``key``), or "alias" (``getter()`` must be the object ``other()``).
    written, layout, layout_used: as for arguments.
    """

    __slots__ = (
        "dtype",
        "getter",
        "key",
        "kind",
        "layout",
        "layout_used",
        "other",
        "position",
        "rank",
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
        self.rank = 0
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
        except (AttributeError, IndexError, KeyError, NameError, TypeError, ValueError):
            return False
        if self.kind == "array":
            fits = type(value) in _ARRAYS and value.dtype == self.dtype and value.ndim == self.rank
            return fits and fits_layout(self, value)
        if self.kind == "alias":
            assert self.other is not None
            return value is self.other()
        return freeze(value) == self.key  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<capture of {self.kind} {self.getter}>"


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
        self.error_state: Any = None  # NumPy's modes for floating-point errors when the trace began
        self.said: set[str] = set()  # where loops were unrolled that the log has told of
        self.unrolling: Any = None  # the outermost loop that is running turn by turn
        self.maps_only = False  # whether dicts with ints as keys are looked through like others
        self.plain_lists: Exception | None = None  # why all lists stay Python's, if they must
        self.has_traced_lists = False
        self.stored_lists: list[tuple[list[Any], list[Any]]] = []  # items of traced lists, and what they held then
        self.uncompiled: Exception | None = None  # why the function must run in NumPy, if it must
        self._arrays: dict[int, tuple[Capture, TracedArray]] = {}
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

    def know(self, value: Any, argument: Any = None, number: int = -1) -> None:
        """Note a static argument (leaf ``number`` of the call), whose attributes the program may read."""
        if is_generator(value) and argument is not None:
            self._exchange(value, LeafOf(number), argument)
        elif not isinstance(value, (*_NUMBERS, *_FUNCTIONS)):
            self._paths.setdefault(id(value), (value, Fixed(value)))

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
        name = "".join(c if c.isalnum() else "_" for c in str(capture.getter)) if getter else "captured"
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
        return value

    def remember_loosely(self, value: Any, getter: Getter, key: Any) -> None:
        """Note what was read outside under another key than its own."""
        if (capture := self._remember(value, getter)) is not None:
            capture.key = key
        if isinstance(value, (list, tuple, dict)):
            self._enter(value, getter, 0)
        else:
            self._paths.setdefault(id(value), (value, getter))

    def remember_type(self, value: Any, getter: Getter) -> None:
        """Note a container whose contents do not matter."""
        capture = Capture("value", getter, key=_Type(type(value)))
        self.captures.append(capture)
        self._paths.setdefault(id(value), (value, getter))

    def _remember(self, value: Any, getter: Getter) -> Capture | None:
        try:
            if getter in self._seen:
                return None
            self._seen.add(getter)
        except TypeError:  # an unhashable key or object on the way
            pass
        capture = Capture("value", getter, key=freeze(value))
        self.captures.append(capture)
        return capture

    def _enter(self, value: Any, getter: Getter, depth: int) -> None:
        """Note how the arrays inside a container are reached."""
        self._paths.setdefault(id(value), (value, getter))
        if depth > 8 or len(value) > _MAX_ENTRIES:
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, (list, tuple, dict)):
                self._enter(item, ItemOf(getter, key), depth + 1)
            elif isinstance(item, np.ndarray) or hasattr(item, "__dict__"):
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


class _Type:
    """Equal to keys (``freeze``) of containers of one type."""

    __slots__ = ("type",)

    def __init__(self, type_: type) -> None:
        self.type = type_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and other[0] is self.type

    __hash__ = None  # type: ignore[assignment]


class _Same:
    """Equal only for the same object, which is kept."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
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
