"""Changes of objects from outside: of attributes, of names declared global or nonlocal, of lists and dicts.

While tracing they are made, so that the function sees them; afterwards they are taken back, and the final values become
results of the program, which are put in place after each call. Numbers that a function both reads and replaces are
read anew at each call, not remembered.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CellType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.base import Tracer
from tracejit.trace.captures import CaptureTable, Loosely, is_run_time_number, number_form
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.frames import current_frame
from tracejit.trace.getters import AttributeOf, ClosureCell, Fixed, Getter, GlobalName, ItemOf, is_hashable
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.instances import class_attribute, own_attributes
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import replace_containers
from tracejit.trace.region import UnstageableError

__all__ = [
    "MISSING",
    "ArgumentAt",
    "Containers",
    "OutsideWrites",
    "Place",
    "found",
    "note_change",
    "put_all",
    "read_outside",
    "refer",
    "reference_of",
    "replace_contents",
    "writes_of",
]

_NUMBERS = (bool, int, float, complex, np.number, np.bool_)
_RESTORABLE = frozenset((list, dict, OrderedDict, defaultdict))
_MOST_ENTRIES = 8  # of a container that are set one by one
MISSING: Any = object()


@dataclass(frozen=True)
class Place:
    """Where a value goes after a call.

    kind: "attribute", "name" (of a module), "cell", "contents" (of a container),
        "entry" (of a list or dict that has it,
        or of a dict that gets it last), or "tail" (what a list gets appended).
    """

    kind: str
    find: Getter
    key: Any = ""

    def get(self, owner: Any) -> Any:
        """What is there now, in the object that it belongs to."""
        if self.kind == "attribute":
            return own_attribute(owner, self.key)
        if self.kind == "name":
            return owner.get(self.key, MISSING)
        if self.kind == "cell":
            return _content(owner)
        return owner.copy()

    def put(self, value: Any, owner: Any) -> None:
        """Put a value there."""
        if self.kind == "attribute":
            delattr(owner, self.key) if value is MISSING else setattr(owner, self.key, value)
        elif self.kind == "name":
            owner.pop(self.key, None) if value is MISSING else owner.__setitem__(self.key, value)
        elif self.kind == "cell":
            owner.cell_contents = value
        elif self.kind == "entry":
            owner[self.key] = value
        elif self.kind == "tail":
            owner.extend(map(_found, value))
        elif isinstance(owner, list):
            owner[:] = map(_found, value)
        else:
            replace_contents(owner, {key: _found(item) for key, item in value.items()})

    @property
    def getter(self) -> Getter:
        """How the function reads it."""
        if self.kind == "attribute":
            return AttributeOf(self.find, self.key)
        if self.kind in ("contents", "tail"):
            return self.find
        owner = self.find()
        return GlobalName(owner, self.key) if self.kind == "name" else ClosureCell(owner, self.key)


def replace_contents(owner: Any, value: Any) -> None:
    """Give a list or a dict the contents of another one; entries that stay are there all the time."""
    if isinstance(owner, list):
        owner[:] = value
        return
    if list(value)[: len(owner)] != list(owner):
        owner.clear()
    owner.update(value)


def own_attribute(owner: Any, name: str) -> Any:
    """What an object itself has under a name, not its class."""
    if isinstance(class_attribute(type(owner), name), MemberDescriptorType):  # of __slots__
        return getattr(owner, name, MISSING)
    return vars(owner).get(name, MISSING) if hasattr(owner, "__dict__") else MISSING


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class _Reference:
    """Stands in a result, or in the final contents of a container, for a container that stays the object that it is.

    Not a dataclass: those are containers themselves.
    """

    __slots__ = ("find",)

    def __init__(self, find: Getter) -> None:
        self.find = find


def reference_of(value: Any) -> Getter | None:
    """The way to the object that a leaf of a result refers to."""
    return value.find if isinstance(value, _Reference) else None


def refer(value: Any, owners: Mapping[int, Getter]) -> Any:
    """A result with references in the place of the containers that change: the caller gets them, not copies."""

    def replacement(item: Any) -> Any:
        find = owners.get(id(item))
        return item if find is None else _Reference(find)

    return replace_containers(replacement, value)


def refer_to(leaf: Any, captures: CaptureTable) -> Any:
    """A leaf of a result, with a reference where it is an object that another call finds in its own place."""
    return _Reference(captures.finder(leaf)) if captures.is_known(leaf) else leaf


def found(value: Any) -> Any:
    """A result with the containers that it refers to."""
    return replace_containers(_found, value)


def _found(value: Any) -> Any:
    return value.find() if isinstance(value, _Reference) else value


def _referring(value: Any, finder: Callable[[Any], Getter | None]) -> Any:
    """Contents with references for the containers that a finder knows."""

    def refer(item: Any) -> Any:
        find = finder(item) if isinstance(item, (list, dict)) else None
        return item if find is None else _Reference(find)

    return list(map(refer, value)) if isinstance(value, list) else {key: refer(item) for key, item in value.items()}


def put_all(places: Sequence[Place], values: Sequence[Any]) -> None:
    """After a call: put the final values in place."""
    owners = [place.find() for place in places]
    for place, value, owner in zip(places, values, owners, strict=True):
        place.put(_found(value), owner)


class OutsideWrites:
    """The places outside that a trace has changed, with what was there before."""

    def __init__(self, captures: CaptureTable, volatile: frozenset[Getter]) -> None:
        self.captures = captures
        self.volatile = volatile  # ways to numbers that are read at each call
        self.before: dict[Place, Any] = {}
        self.getters: set[Getter] = set()
        self.owners: dict[int, Getter] = {}  # the objects that have changed in the end
        self.objects: dict[Getter, Any] = {}  # that places belong to: ways may lead elsewhere after a change
        self.shown: dict[Place, Any] = {}  # tracers in the place of what Python reads unseen
        self.opened: list[tuple[Any, Getter]] = []
        self.growing: set[Getter] = set()  # ways to lists whose contents the function has not looked at

    def owner(self, find: Getter) -> Any:
        """The object at the end of a way, as it was before the function changed anything on it."""
        return self.objects[find] if find in self.objects else find()

    def note(self, place: Place, trace: Trace, owner: Any = None) -> None:
        """A place is about to change, of this object."""
        self.objects.setdefault(place.find, place.find() if owner is None else owner)
        if trace.region:
            raise UnstageableError(f"its body changes {place.getter} from outside ({describe(user_location())})")
        if place.kind == "contents":
            with self.looking(place.find):
                pass
        elif place.kind == "tail" and place.find not in self.growing:
            place = Place("contents", place.find)
        if place not in self.before:
            self.before[place] = place.get(self.owner(place.find))
            self.getters.add(place.getter)

    def open(self, owner: Any, path: Getter, tracers: Mapping[str, Any]) -> None:
        """Python reads and writes an object unseen: while tracing, it has tracers where it has arrays and numbers."""
        self.objects.setdefault(path, owner)
        for name, value in own_attributes(owner).items():
            place = Place("attribute", path, name)
            if place in self.before:
                continue
            self.before[place] = value
            if name in tracers:
                self.getters.add(place.getter)
                self.shown[place] = tracers[name]
                object.__setattr__(owner, name, tracers[name])
        self.opened.append((owner, path))

    def open_contents(self, owner: Any, path: Getter, tracers: Mapping[Any, Any]) -> None:
        """The same for a list or dict that such an object has."""
        place = Place("contents", path)
        self.objects.setdefault(path, owner)
        if place not in self.before:
            self.before[place] = owner.copy()
            self.getters.add(path)
            for key, tracer in tracers.items():
                owner[key] = tracer
            self.shown[place] = owner.copy()

    def note_unseen(self) -> None:
        """What Python has added to objects, or replaced, unseen."""
        for owner, path in self.opened:
            for name, value in own_attributes(owner).items():
                place = Place("attribute", path, name)
                if value is not self.before.setdefault(place, MISSING):
                    self.getters.add(place.getter)

    @contextmanager
    def looking(self, getter: Getter) -> Iterator[None]:
        """The function looks at the contents of a container: they count from now on; inside they are as at first."""
        longer = []
        for own in [g for g in self.growing if _leads_to(getter, g)]:
            self.growing.discard(own)
            contents = self.before.pop(Place("tail", own), None)
            if contents is not None:
                place = Place("contents", own)
                longer.append((place, place.get(self.owner(own))))
                self.before[place] = contents
                place.put(contents, self.owner(own))
            self.captures.read(self.owner(own), own)
        yield
        for place, contents in longer:
            place.put(contents, self.owner(place.find))

    def finals(self) -> list[tuple[Place, Any]]:
        """The places that have changed, and what is there now."""
        self.note_unseen()
        found = [(place, place.get(self.owner(place.find))) for place in self.before]
        at_first = self.before | self.shown
        changed = [
            (place, value)
            for place, value in found
            if not _same(value, at_first[place]) and not (place.kind != "contents" and _same(value, self.before[place]))
        ]
        self.owners = {id(self.owner(place.find)): place.find for place, _ in changed}
        self.captures.demand_different_containers(
            {id(self.owner(place.find)) for place, _ in changed if place.kind in ("contents", "tail")}
        )
        found = []
        for place, value in changed:
            final = self._final(place, value)
            found += _entries(place, value, at_first[place], final) if place.kind == "contents" else [(place, final)]
        return found

    def _final(self, place: Place, value: Any) -> Any:
        if place.kind == "tail":
            value = value[len(self.before[place]) :]
        if place.kind in ("contents", "tail"):
            return _referring(value, self.captures.path_of)
        path = self.captures.path_of(value) if isinstance(value, (list, dict)) else None
        return value if path is None else _Reference(path)

    def take_back(self) -> None:
        """Put back what was there before."""
        for place, value in self.before.items():
            owner = self.owner(place.find)
            if place.kind == "attribute" and own_attribute(owner, place.key) is value:
                continue
            if place in self.shown and place.kind == "attribute":
                object.__setattr__(owner, place.key, value)
                continue
            (Place("contents", place.find) if place.kind == "tail" else place).put(value, owner)

    def numbers_read(self) -> frozenset[Getter]:
        """Ways to numbers that were remembered, and change: a program for all calls reads them at each call."""
        remembered = {
            id(capture.getter): capture.getter for capture in self.captures.captures if capture.kind == "value"
        }
        changed = {place.getter: before for place, before in self.before.items() if place.kind != "tail"}
        return frozenset(
            getter for getter in remembered.values() if is_hashable(getter) and _has_number(changed.get(getter, ()))
        )


def _entries(place: Place, value: Any, before: Any, final: Any) -> list[tuple[Place, Any]]:
    """The entries of a container that get another value, where those are few and the others stay as they are."""
    if isinstance(value, dict):
        stay = list(value)[: len(before)] == list(before) and not any(isinstance(key, Tracer) for key in value)
        changed = [key for key, item in value.items() if key not in before or item is not before[key]]
    else:
        stay = len(value) == len(before)
        changed = [k for k, (item, own) in enumerate(zip(value, before, strict=False)) if item is not own]
    if not stay or len(changed) > _MOST_ENTRIES:
        return [(place, final)]
    return [(Place("entry", place.find, key), final[key]) for key in changed]


def _leads_to(getter: Getter, inner: Getter) -> bool:
    """Whether a getter is the other one or reads something that contains what the other one reads."""
    while inner != getter:
        if not isinstance(inner, ItemOf):
            return False
        inner = inner.parent
    return True


def _has_number(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_number, value))
    return any(map(_has_number, value.values())) if isinstance(value, dict) else isinstance(value, _NUMBERS)


def _same(value: Any, before: Any) -> bool:
    if isinstance(value, list) and isinstance(before, list):
        return len(value) == len(before) and all(a is b for a, b in zip(value, before, strict=True))
    if isinstance(value, dict) and isinstance(before, dict):
        return list(value) == list(before) and all(value[key] is before[key] for key in value)
    return value is before


# ------------------------------------------------------------------------------------------------------------- reading


def read_outside(trace: Trace, value: Any, getter: Getter, grown: bool = False) -> Any:
    """What the program sees where it reads something outside; ``grown``: lists are read to be made longer only."""
    captures, writes = trace.captures, trace.captures.writes
    hashable = is_hashable(getter)
    if hashable and type(value) in (list, dict) and (path := captures.path_of(value)) not in (None, getter):
        captures.note_alias(value, getter)
        getter = path
    if contains_tracer(value) and not (writes is not None and hashable and getter in writes.getters):
        return value
    if writes is None or not hashable:
        return captures.read(value, getter)
    if grown and type(value) in (list, dict):
        if getter not in writes.getters and captures.path_of(value) is None:
            captures.remember_type(value, getter)
            writes.growing.add(getter)
        return value
    writes.note_unseen()
    with writes.looking(getter):
        return _read(trace, value, getter, writes)


def _read(trace: Trace, value: Any, getter: Getter, writes: OutsideWrites) -> Any:
    captures = trace.captures
    if getter in writes.getters:  # the function itself has put it there
        return captures.array(value) if type(value) is np.ndarray else value
    if getter not in writes.volatile:
        if captures.reads_numbers and is_run_time_number(value) and _is_attribute_of_an_object(getter, captures):
            return captures.number(value, getter)
        return captures.read(value, getter)
    if number_form(value):
        return captures.number(value, getter)
    captures.remember_loosely(value, getter, Loosely)
    place = Place("contents", getter)
    if isinstance(value, (list, dict)) and place not in writes.before:
        writes.objects.setdefault(getter, value)
        writes.before[place] = value.copy()
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if number_form(item):
                value[key] = captures.number(item, ItemOf(getter, key))
    return value


def _is_attribute_of_an_object(getter: Getter, captures: CaptureTable) -> bool:
    """Whether a getter reads an attribute of what is neither a module, a class nor static, which have constants."""
    if not isinstance(getter, AttributeOf) or getter.parent in captures.static:
        return False
    return not (isinstance(getter.parent, Fixed) and isinstance(getter.parent.value, (ModuleType, type)))


# ----------------------------------------------------------------------------------------------- containers of the call


@dataclass(frozen=True)
class ArgumentAt:
    """Finds a container among the arguments of the running call."""

    path: tuple[Any, ...]

    def __call__(self) -> Any:
        """The container."""
        value: Any = current_frame().arguments
        for step in self.path:
            value = getattr(value, step.name) if isinstance(step, _Field) else value[step]
        return value


@dataclass(frozen=True)
class _Field:
    name: str


class Containers:
    """The lists, dicts and dataclasses among the arguments of a traced function, as they were before."""

    def __init__(self, args: Any, kwargs: Any) -> None:
        self.before = [
            (path, value, own_attributes(value) if hasattr(value, "__dataclass_fields__") else value.copy())
            for path, value in _containers((args, kwargs), ())
        ]
        self.owners: dict[int, Getter] = {}  # those that have changed in the end

    def finals(self) -> list[tuple[Place, Any]]:
        """Where the caller's containers must change, and to what; the function's own are put back."""
        found: list[tuple[Place, Any]] = []
        for path, value, before in self.before:
            if not hasattr(value, "__dataclass_fields__"):
                if not _same(value, before):
                    self.owners[id(value)] = ArgumentAt(path)
                    final = _referring(value, self._finder)
                    found += _entries(Place("contents", ArgumentAt(path)), value, before, final)
                    Place("contents", Fixed(value)).put(before, value)
                continue
            for name, content in own_attributes(value).items():
                if content is not before.get(name, MISSING):
                    self.owners[id(value)] = ArgumentAt(path)
                    found.append((Place("attribute", ArgumentAt(path), name), content))
                    Place("attribute", Fixed(value), name).put(before.get(name, MISSING), value)
        return found

    def _finder(self, value: Any) -> Getter | None:
        return next((ArgumentAt(path) for path, own, _ in self.before if own is value), None)


def _containers(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        items = [(_Field(name), item) for name, item in own_attributes(value).items()]
    else:
        return
    if not isinstance(value, tuple) and len(path) > 1:
        yield path, value
    for key, item in items:
        yield from _containers(item, (*path, key))


def writes_of(trace: Trace) -> OutsideWrites:
    """The changes of the running trace."""
    writes = trace.captures.writes
    if writes is None:
        raise UnsupportedError(
            f"an object from outside is changed under a transform ({describe(user_location())}); return the value"
        )
    return writes


def note_change(kind: str, owner: Any, key: str = "") -> None:
    """The traced function is about to change something of an object from outside."""
    trace = current_trace()
    path = trace.captures.path_of(owner)
    if path is None and isinstance(owner, (ModuleType, type)):
        path = Fixed(owner)
    if path is not None and kind == "contents" and type(owner) not in _RESTORABLE:
        raise UnsupportedError(
            f"a {type(owner).__name__} from outside is changed ({describe(user_location())}); use a list or a dict"
        )
    if path is not None:
        writes_of(trace).note(Place(kind, path, key), trace, owner)
