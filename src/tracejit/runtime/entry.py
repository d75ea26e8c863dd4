"""Objects that are called through machine code: an instance's vectorcall slot checks the arguments and runs kernels.

This module owns the type, the tables that its machine code reads, and their lifetime. An instance has a chain of
tables, one for each version of the function; the last one's entry calls ``self._call_slow``. Where the layout of the
interpreter's objects is not as expected, :data:`CompiledCallable` is a Python class with the same behaviour.

It does not know how programs come to be; what the machine code does is in ``entry_text.py`` and ``support_text.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import llvmlite

from tracejit.codegen_llvm import engine
from tracejit.runtime import cache, callbacks, layout, memory, wrapper
from tracejit.runtime.entry_text import ENTRY_SYMBOL, entry_text
from tracejit.runtime.entry_writer import Slot
from tracejit.runtime.program import Program
from tracejit.runtime.support_text import EXPORTS, support_text, symbol_of
from tracejit.trace.floating_errors import VARIABLE, asked_for, watch_accepted

__all__ = ["CompiledCallable", "FastCallable", "PortableCallable", "suspended"]

_SLOW_NAME = sys.intern("_call_slow")
_HAVE_VECTORCALL, _METHOD_DESCRIPTOR = 1 << 11, 1 << 17
_BASETYPE = 1 << 10
_TP_CALL, _TP_MEMBERS, _MEMBER_SSIZE, _MEMBER_READONLY = 50, 72, 19, 1


# ------------------------------------------------------------------------------------------------ machine code

_lock = threading.RLock()
_codes: dict[str, engine.LoadedCode] = {}


def _code(text: str, *symbols: str) -> engine.LoadedCode:
    """The machine code of a text, loaded once per process and compiled once per machine. Kept for ever: it is small."""
    with _lock:
        found = _codes.get(text)
        if found is None:
            found = _codes[text] = _load(text, symbols)
        return found


def _load(text: str, symbols: tuple[str, ...]) -> engine.LoadedCode:
    disk = cache.default_cache()
    name = cache.key("entry", text, engine.host_target().key, llvmlite.__version__)
    stored = disk.load(name)
    if stored is not None:
        try:
            return engine.load_object(stored["object"], *symbols)
        except (KeyError, engine.LoadError):
            pass  # whole, yet not loadable: compiled again below
    # Straight lines of loads and compares: quick code generation, 2 ms instead of 8, makes them just as fast.
    code = engine.compile_object(text, level=engine.LEVEL_QUICK)
    disk.store(name, {"object": code})
    return engine.load_object(code, *symbols)


if hasattr(os, "register_at_fork"):  # a child must not inherit the lock from a thread that it does not have
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class _Shared(NamedTuple):
    """What all instances use: addresses of ``dispatch`` and ``slow``, the table of pointers, the end of every chain."""

    dispatch: int
    api: ctypes.Array[ctypes.c_uint64]
    last: ctypes.Array[ctypes.c_uint64]
    keepalive: object


@functools.cache
def _shared() -> _Shared:
    support = _code(support_text(), *map(symbol_of, EXPORTS))
    pointers = layout.foreign_pointers() | {name: support.addresses[symbol_of(name)] for name in EXPORTS}
    pointers |= {
        "suspended": 0,
        "accepted_state": 0,
        "error_variable": id(VARIABLE),
        "asked_for": id(asked_for),
        "slow_name": id(_SLOW_NAME),
        "context": memory.context_template_address(),
        "new_result": memory.new_result_address(),
        "take_over": memory.take_over_address(),
        "forget": memory.release_address(),
        "call_python": callbacks.ADDRESS,
    }
    api = _words([pointers[name] for name in layout.API_FIELDS])
    last = _words([pointers["slow"], 0, ctypes.addressof(api)])
    return _Shared(pointers["dispatch"], api, last, support)


def _accept(state: object) -> None:
    """Let machine code answer calls under these modes for floating-point errors, without asking again."""
    if layout.problem() is None:
        _shared().api[layout.api_offset("accepted_state") // 8] = id(state)


watch_accepted(_accept)


def _words(values: Sequence[int]) -> ctypes.Array[ctypes.c_uint64]:
    return (ctypes.c_uint64 * len(values))(*values)


class _Version(NamedTuple):
    """One link of a chain, and all that its words point to."""

    table: ctypes.Array[ctypes.c_uint64]
    keepalive: tuple[object, ...]


def _version(program: Program, following: int) -> _Version:
    text, slots = entry_text(program)
    code = _code(text, ENTRY_SYMBOL)
    fail = functools.partial(wrapper.raise_failure, program)
    unflatten = program.result_tree if callable(program.result_tree) else None
    objects = [_slot_object(program, slot) for slot in slots]
    words = {
        layout.TABLE_ENTRY: code.address,
        layout.TABLE_NEXT: following,
        layout.TABLE_API: ctypes.addressof(_shared().api),
        layout.TABLE_KERNEL: program.address,
        layout.TABLE_FAIL: id(fail),
        layout.TABLE_UNFLATTEN: id(unflatten),
    }
    fixed = [words[offset] for offset in range(0, layout.TABLE_SLOTS, 8)]
    varying = [_slot_word(program, slot, held) for slot, held in zip(slots, objects, strict=True)]
    return _Version(_words([*fixed, *varying]), (program, code, fail, unflatten, objects))


def _slot_object(program: Program, slot: Slot) -> object:
    """The object that a slot of the table is about."""
    kind, number = slot
    if kind == "server":
        return program.server
    if kind == "result_dtype":
        return program.results[number].dtype
    if kind in ("dtype", "scalar_type"):
        dtype = program.arguments[number].dtype
        return dtype if kind == "dtype" or dtype is None else dtype.type
    if kind == "key":
        key = program.lookups[number].key
        return sys.intern(key) if isinstance(key, str) else key
    if kind == "name":
        return _names(program)[number]
    source: Any = {
        "object": program.objects, "root": program.roots, "constant": program.constants, "type": program.types
    }  # fmt: skip
    return source[kind][number]


def _names(program: Program) -> list[str]:
    """Every keyword and every key of a dict, in the order in which an entry asks for them."""
    shape = program.call_shape
    trees = [*shape.trees(), *(tree for _, tree in program.outside)]
    keys = [key for tree in trees for key in tree.keys_in_order()]
    return [*(sys.intern(name) for name, _ in shape.keywords), *keys]


def _slot_word(program: Program, slot: Slot, held: Any) -> int:
    """What the table has for an object: its address, or the bits of a static number."""
    if slot.kind == "object":
        compared = program.arguments[slot.number].compared
        if compared == "int":
            return int(held) % 2**64
        if compared == "float":
            return int.from_bytes(struct.pack("<d", held), "little")
    return id(held)


@contextlib.contextmanager
def suspended() -> Iterator[None]:
    """Send all calls of all instances to ``_call_slow`` for a ``with`` block."""
    add_reason(1)
    try:
        yield
    finally:
        add_reason(-1)


class _Reasons(threading.local):
    count = 0


_own_reasons = _Reasons()  # those of this thread


def add_reason(step: int) -> None:
    """Count one reason more (or less) for which calls of all instances go to ``_call_slow``."""
    with _lock:
        _own_reasons.count += step
        _set_reasons(PortableCallable.reasons + step)


def _set_reasons(count: int) -> None:
    PortableCallable.reasons = count
    if layout.problem() is None:
        _shared().api[layout.api_offset("suspended") // 8] = count


if hasattr(os, "register_at_fork"):  # the other threads end in a child, and with them their reasons
    os.register_at_fork(after_in_child=lambda: _set_reasons(_own_reasons.count))


# ------------------------------------------------------------------------------------------------ the type


class _TypeSlot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _TypeSpec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_TypeSlot)),
    ]


_kept: list[object] = []  # what types point to for as long as the process lives


def _make_base() -> Any:
    """The type whose instances begin with the four words of ``layout.INSTANCE_...``."""
    members = (_Member * 2)(
        _Member(b"__vectorcalloffset__", _MEMBER_SSIZE, layout.INSTANCE_CALL, _MEMBER_READONLY, None), _Member()
    )
    call = ctypes.cast(ctypes.pythonapi.PyVectorcall_Call, ctypes.c_void_p).value
    slots = (_TypeSlot * 3)(
        _TypeSlot(_TP_CALL, call),
        _TypeSlot(_TP_MEMBERS, ctypes.cast(members, ctypes.c_void_p)),
        _TypeSlot(0, None),
    )
    flags = _BASETYPE | _HAVE_VECTORCALL
    spec = _TypeSpec(b"tracejit.runtime.entry.CallableBase", layout.INSTANCE_SIZE, 0, flags, slots)
    _kept.extend((members, slots, spec))
    from_spec = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(("PyType_FromSpec", ctypes.pythonapi))
    return from_spec(ctypes.addressof(spec))


if TYPE_CHECKING:

    class _CallableBase:
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

else:
    _CallableBase = _make_base() if layout.problem() is None else type("CallableBase", (), {"__slots__": ()})


class _LikeFunction:
    """What a function does besides being called: it becomes a method, copies as itself, and pickles by its name."""

    __slots__ = ()

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(cast(Callable[..., Any], self), instance)

    def __copy__(self) -> _LikeFunction:
        return self

    def __deepcopy__(self, memo: object) -> _LikeFunction:
        return self

    def __reduce__(self) -> str:
        name: str = getattr(self, "__qualname__", "<unnamed>")
        return name

    def _call_slow(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define _call_slow")


class FastCallable(_CallableBase, _LikeFunction):
    """An object whose calls go through machine code; subclasses define ``_call_slow`` for the calls that it refuses."""

    __slots__ = ("__dict__", "__weakref__", "_chain", "_retired")
    _chain: tuple[tuple[Program, _Version], ...]
    _retired: list[object]

    def __new__(cls, *_args: object, **_kwargs: object) -> FastCallable:
        """An instance without versions; ``__init__`` is the subclass's."""
        self: FastCallable = super().__new__(cls)
        shared = _shared()
        self._chain, self._retired = (), []
        self._word(layout.INSTANCE_TABLE).value = ctypes.addressof(shared.last)
        self._word(layout.INSTANCE_CALL).value = shared.dispatch
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _set_type_flags(cls)

    def _install(self, programs: Sequence[Program]) -> None:
        """Answer calls by these programs from now on, asked in this order; one thread at a time may do this."""
        known = {id(program): version for program, version in self._chain}
        chain: list[tuple[Program, _Version]] = []
        following = ctypes.addressof(_shared().last)
        for program in reversed(programs):
            version = known.get(id(program))
            version = _version(program, following) if version is None else _relinked(version, following)
            chain.append((program, version))
            following = ctypes.addressof(version.table)
        self._retired.append(self._chain)
        self._chain = tuple(reversed(chain))
        self._word(layout.INSTANCE_TABLE).value = following
        # A call that now runs in another thread (or further up in this one) goes on reading its old table.
        if self._word(layout.INSTANCE_RUNNING).value == 0:
            self._retired.clear()

    @property
    def _hits(self) -> int:
        """How many calls machine code has answered."""
        return self._word(layout.INSTANCE_HITS).value

    @_hits.setter
    def _hits(self, value: int) -> None:
        self._word(layout.INSTANCE_HITS).value = value

    def _word(self, offset: int) -> ctypes.c_uint64:
        return ctypes.c_uint64.from_address(id(self) + offset)


def _relinked(version: _Version, following: int) -> _Version:
    words = list(version.table)
    words[layout.TABLE_NEXT // 8] = following
    return _Version(_words(words), version.keepalive)


def _set_type_flags(cls: type[FastCallable]) -> None:
    """Let the interpreter use the vectorcall slot (3.11 does not inherit that), and spare it making bound methods."""
    wanted = _HAVE_VECTORCALL if cls.__call__ is _CallableBase.__call__ else 0
    if wanted and cls.__get__ is FastCallable.__get__:
        wanted |= _METHOD_DESCRIPTOR
    ctypes.c_ulong.from_address(id(cls) + layout.TYPE_FLAGS).value |= wanted
    ctypes.PYFUNCTYPE(None, ctypes.py_object)(("PyType_Modified", ctypes.pythonapi))(cls)


if layout.problem() is None:
    _set_type_flags(FastCallable)


class PortableCallable(_LikeFunction):
    """What :class:`FastCallable` is, in Python."""

    reasons: ClassVar[int] = 0  # to send every call to the slow path

    _programs: tuple[Program, ...]
    _hits: int

    def __new__(cls, *_args: object, **_kwargs: object) -> PortableCallable:
        """An instance without versions; ``__init__`` is the subclass's."""
        self = super().__new__(cls)
        self._programs, self._hits = (), 0
        return self

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the first version that fits."""
        for program in () if PortableCallable.reasons or asked_for() else self._programs:
            values = wrapper.values_of(program, args, kwargs)
            if values is not None and wrapper.matches(program, values):
                try:
                    leaves = wrapper.call(program, values)
                except wrapper.OverlapError:
                    break
                self._hits += 1
                return wrapper.unflatten(program, leaves)
        return self._call_slow(*args, **kwargs)

    def _call_slow(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define _call_slow")

    def _install(self, programs: Sequence[Program]) -> None:
        """Answer calls by these programs from now on, asked in this order."""
        self._programs = tuple(programs)


if TYPE_CHECKING:
    CompiledCallable = FastCallable
else:
    CompiledCallable = FastCallable if layout.problem() is None else PortableCallable
