"""One compiled version of a function as plain data: what a call must look like, and what comes back.

This module owns the description that the call path works from. It knows dims, and nothing else of the IR; it does not
know how a call is made (``entry.py``, ``wrapper.py``), nor its text form for the disk (``program_text.py``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from tracejit.errors import exception_named
from tracejit.ir.dims import Dim, DimLike
from tracejit.runtime.callbacks import Server
from tracejit.runtime.structure import CallShape, Lookup, Node, flat_shape, leaf_count

__all__ = [
    "ArgumentSpec",
    "Guard",
    "Message",
    "Program",
    "ResultSpec",
    "SymbolSource",
    "Unflatten",
    "comparison_of",
    "message_of",
    "same_bits",
]

ArgumentKind: TypeAlias = Literal["array", "scalar", "int", "float", "bool", "complex", "static", "same", "object"]
Layout: TypeAlias = Literal["any", "contiguous", "rows", "columns", "strided"]
Comparison: TypeAlias = Literal["identity", "text", "int", "float"]
ResultKind: TypeAlias = Literal["array", "scalar", "python", "argument", "constant", "size", "claimed"]
Relation: TypeAlias = Literal["== 0", "!= 0", ">= 0"]
SymbolSource: TypeAlias = tuple[Literal["dim"], int, int] | tuple[Literal["int"], int]
Guard: TypeAlias = tuple[DimLike, Relation]
Unflatten: TypeAlias = Callable[..., Any]

INT64 = range(-(2**63), 2**63)
_SCALAR_DTYPES = {"int": "int64", "float": "float64", "bool": "bool", "complex": "complex128"}


@dataclass(frozen=True, slots=True)
class ArgumentSpec:
    """What one argument, or one object from outside, must be.

    ``kind`` is ``"array"`` (exactly ``ndarray``), ``"scalar"`` (NumPy's scalar type of the dtype), a Python scalar
    type, ``"static"`` (the very object that the program was compiled for; where ``compared`` says so, an equal string,
    int or float), ``"object"`` (one of exactly a type), or ``"same"`` (the object that argument ``same_as`` is).
    ``written`` arrays are changed in place.
    ``layout`` says which arrays are right: any; those that are contiguous, or not (``"strided"``); whose strides do not
    grow from axis to axis (``"rows"``); that are contiguous only as Fortran has it (``"columns"``). The kernel sees the
    axes in the ``order`` that is given, row-major if it is empty. ``passed`` says that the kernel has a data slot: an
    int that is only a size has none, and of an array without one only dtype and rank matter.
    """

    kind: ArgumentKind
    dtype: np.dtype[Any] | None = None
    rank: int = 0
    written: bool = False
    passed: bool = True
    layout: Layout = "any"
    compared: Comparison = "identity"
    same_as: int = -1
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind in _SCALAR_DTYPES:
            object.__setattr__(self, "dtype", np.dtype(_SCALAR_DTYPES[self.kind]))
        elif self.kind in ("static", "same", "object"):
            object.__setattr__(self, "passed", False)
        elif self.dtype is None or not self.dtype.isnative:
            raise ValueError(f"an array argument needs a dtype in native byte order, not {self.dtype}")
        else:
            object.__setattr__(self, "dtype", _the_one(self.dtype))

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return 0 if self.dtype is None else self.dtype.itemsize

    @property
    def is_memory(self) -> bool:
        """Whether a kernel reads or writes the memory of an array."""
        return self.kind == "array" and self.passed


def _the_one(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The object that arrays of a dtype share; machine code compares addresses, and ``newbyteorder`` makes others."""
    shared = np.dtype(dtype.type)
    return shared if shared == dtype else dtype


def comparison_of(value: object) -> Comparison:
    """How machine code tells whether an object is equal to a static one."""
    if type(value) is int and value in INT64:
        return "int"
    return "text" if type(value) is str else "float" if type(value) is float else "identity"


def same_bits(a: float, b: float) -> bool:
    """Whether two floats are the same, which tells zeros apart and makes NaN equal to itself."""
    return struct.pack("d", a) == struct.pack("d", b)


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """What one leaf of the result is.

    A fresh ``"array"``, a NumPy ``"scalar"`` or a ``"python"`` number, which the kernel computes; a ``"claimed"``
    array, for which the kernel claims memory itself, since it computes dims of it, too; the object of ``"argument"``
    number ``index``; a ``"constant"``, which ``Program.constants`` has; or a ``"size"``, the value of ``dims[0]`` as an
    int.
    """

    kind: ResultKind
    dtype: np.dtype[Any] | None = None
    dims: tuple[DimLike, ...] = ()
    index: int = -1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _the_one(self.dtype))

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return 0 if self.dtype is None else self.dtype.itemsize

    @property
    def is_computed(self) -> bool:
        """Whether the kernel has a data slot for it."""
        return self.kind in ("array", "scalar", "python", "claimed")


class Message(NamedTuple):
    """The exception for one failing check; ``text`` may use ``{0}`` to ``{3}``, the values that the check reports."""

    exception: type[Exception]
    text: str
    location: str = ""

    def as_data(self) -> list[str]:
        """The same as strings, for :func:`message_of`."""
        if exception_named(self.exception.__name__) is not self.exception:
            raise ValueError(f"{self.exception} is not an exception that a program may raise")
        return [self.exception.__name__, self.text, self.location]


def message_of(data: Sequence[str]) -> Message:
    """The message of what :meth:`Message.as_data` gave; ``ValueError`` where it is none."""
    if not (isinstance(data, list | tuple) and len(data) == 3 and all(isinstance(item, str) for item in data)):
        raise ValueError(f"{data!r} is not a message")
    name, text, location = data
    return Message(exception_named(name), text, location)


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """One compiled version of a function.

    ``arguments`` are the leaves of the call, whose structure is ``shape`` (``None``: all are positional), and then the
    leaves of ``outside``: of the objects that ``lookups`` find at each call, by number, each with its structure.

    ``argument_dims[k][j]`` is what axis ``j`` of argument ``k`` must equal; where it is the symbol that ``symbols``
    binds there, it defines the symbol instead. The kernel's ``sizes`` are ``symbols``; its data are the arguments that
    are ``passed``, by their numbers in ``data`` (left out: in their order), and then the results that it computes.

    ``distinct`` has groups of arguments that must be different objects.

    ``result_tree`` is ``None`` for one leaf that is returned as it is, ``"tuple"``, ``"list"``, or a function from the
    leaves to the object to return. ``release_gil`` is ``"large"`` (only for calls that touch much memory) or
    ``"always"``, for kernels whose work is not bounded by the memory that they touch. ``may_raise`` says that the
    kernel calls functions that report by a Python exception, though they need no GIL (NumPy's loops, without memory).

    What is left belongs to this process: the ``address`` of the kernel and ``keepalive``, whatever owns its code; the
    ``callbacks``, Python functions that the kernel calls by number, and the ``server`` that answers for them; by
    argument number the ``objects`` that static ones must be, and the types of others; by result number the
    ``constants``; by lookup number the ``roots``; and the ``types`` of the namedtuples among the arguments, in order.
    """

    name: str
    arguments: tuple[ArgumentSpec, ...]
    argument_dims: tuple[tuple[DimLike, ...], ...]
    symbols: tuple[tuple[str, SymbolSource], ...]
    results: tuple[ResultSpec, ...]
    guards: tuple[Guard, ...] = ()
    distinct: tuple[tuple[int, ...], ...] = ()
    data: tuple[int, ...] = ()
    result_tree: Literal["tuple", "list"] | Unflatten | None = None
    messages: tuple[Message, ...] = ()
    release_gil: Literal["large", "always"] = "large"
    may_raise: bool = False
    shape: CallShape | None = None
    lookups: tuple[Lookup, ...] = ()
    outside: tuple[tuple[int, Node], ...] = ()
    address: int = 0
    keepalive: object = None
    callbacks: tuple[Callable[..., Any], ...] = ()
    objects: Mapping[int, Any] = field(default_factory=dict)
    constants: Mapping[int, Any] = field(default_factory=dict)
    roots: Mapping[int, Any] = field(default_factory=dict)
    types: tuple[type, ...] = ()

    server: Server | None = field(init=False)
    in_call: int = field(init=False)
    """How many of the arguments are leaves of the call; the others come from outside."""
    requirements: tuple[tuple[int, int, DimLike], ...] = field(init=False)
    """``(argument, axis, dim)`` for every axis that must equal a dim rather than define a symbol."""

    def __post_init__(self) -> None:
        ranks = [spec.rank if spec.is_memory else 0 for spec in self.arguments]
        if [len(dims) for dims in self.argument_dims] != ranks:
            raise ValueError(f"argument_dims {self.argument_dims} do not fit the ranks {ranks}")
        if self.result_tree is None and len(self.results) != 1:
            raise ValueError(f"{len(self.results)} results need a result_tree")
        for name, source in self.symbols:
            if source[0] == "int" and self.arguments[source[1]].kind not in ("int", "bool"):
                raise ValueError(f"the size {name} is bound by argument {source[1]}, which is not an int")
        in_call = len(self.arguments) - leaf_count([tree for _, tree in self.outside])
        if self.shape is None:
            object.__setattr__(self, "shape", flat_shape(in_call))
        if leaf_count(self.call_shape.trees()) != in_call:
            raise ValueError(f"{len(self.arguments)} arguments where {self.shape} and {self.outside} have others")
        object.__setattr__(self, "in_call", in_call)
        passed = tuple(k for k, spec in enumerate(self.arguments) if spec.passed)
        if self.data and sorted(self.data) != list(passed):
            raise ValueError(f"data {self.data} where {passed} are passed")
        object.__setattr__(self, "data", self.data or passed)
        object.__setattr__(self, "server", Server(self.callbacks) if self.callbacks else None)
        object.__setattr__(self, "requirements", tuple(self._requirements()))

    @property
    def call_shape(self) -> CallShape:
        """The structure of the call."""
        assert self.shape is not None
        return self.shape

    def _requirements(self) -> Iterator[tuple[int, int, DimLike]]:
        defined = {(source[1], source[2]): name for name, source in self.symbols if source[0] == "dim"}
        for k, dims in enumerate(self.argument_dims):
            for j, dim in enumerate(dims):
                name = defined.get((k, j))
                if name is None or not isinstance(dim, Dim) or dim.as_symbol != name:
                    yield k, j, dim
