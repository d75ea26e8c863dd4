"""One compiled version of a function as plain data: what a call must look like, and what comes back.

This module owns the description that the call path works from, and its text form for the disk cache. It knows dims, and
nothing else of the IR; it does not know how a call is made (``entry.py``, ``wrapper.py``).
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from tracejit import errors
from tracejit.ir.dims import Atom, Dim, DimLike
from tracejit.ir.types import dtype_name, dtype_named

__all__ = [
    "ArgumentSpec",
    "Guard",
    "Message",
    "Program",
    "ResultSpec",
    "SymbolSource",
    "Unflatten",
    "from_json",
    "message_of",
    "to_json",
]

ArgumentKind: TypeAlias = Literal["array", "int", "float", "bool", "complex", "static"]
ArgumentSource: TypeAlias = Literal["call", "cell", "global", "object"]
ResultKind: TypeAlias = Literal["array", "scalar", "argument"]
Relation: TypeAlias = Literal["== 0", "!= 0", ">= 0"]
SymbolSource: TypeAlias = tuple[Literal["dim"], int, int] | tuple[Literal["int"], int]
Guard: TypeAlias = tuple[DimLike, Relation]
Unflatten: TypeAlias = Callable[[list[Any]], Any]

_SCALAR_DTYPES = {"int": "int64", "float": "float64", "bool": "bool", "complex": "complex128"}
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ArgumentSpec:
    """What one argument must be.

    ``kind`` is ``"array"``, a Python scalar type, or ``"static"`` (the very object that the program was compiled for).
    ``written`` arrays are changed in place. ``passed`` says that the kernel has a data slot for it: an int that is only
    a size has none. ``source`` says where the value is found: in the call, in a closure ``"cell"``, in the dict of a
    module (``"global"``), or in the program itself (``"object"``); ``Program.objects`` holds what that needs.
    """

    kind: ArgumentKind
    dtype: np.dtype[Any] | None = None
    rank: int = 0
    written: bool = False
    passed: bool = True
    source: ArgumentSource = "call"

    def __post_init__(self) -> None:
        if self.kind in _SCALAR_DTYPES:
            object.__setattr__(self, "dtype", np.dtype(_SCALAR_DTYPES[self.kind]))
        elif self.kind == "static":
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
    def has_scalar_type(self) -> bool:
        """Whether NumPy itself has a scalar type for the dtype."""
        return self.dtype is not None and self.dtype.isbuiltin == 1


def _the_one(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The object that arrays of a dtype share: machine code compares addresses (``newbyteorder`` makes equal others)."""
    shared = np.dtype(dtype.type)
    return shared if shared == dtype else dtype


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """What one result is: a fresh ``"array"``, a NumPy ``"scalar"``, or the object of an ``"argument"``, by number."""

    kind: ResultKind
    dtype: np.dtype[Any] | None = None
    dims: tuple[DimLike, ...] = ()
    argument: int = -1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _the_one(self.dtype))

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return 0 if self.dtype is None else self.dtype.itemsize


class Message(NamedTuple):
    """The exception for one failing check; ``text`` may use ``{0}`` to ``{3}``, the values that the check reports."""

    exception: type[Exception]
    text: str
    location: str = ""

    def as_data(self) -> list[str]:
        """The same as strings, for :func:`message_of`."""
        if _exception_of(self.exception.__name__) is not self.exception:
            raise ValueError(f"{self.exception} is not an exception that a program may raise")
        return [self.exception.__name__, self.text, self.location]


def message_of(data: Sequence[str]) -> Message:
    """The message of what :meth:`Message.as_data` gave; ``ValueError`` where it is none."""
    if not (isinstance(data, list | tuple) and len(data) == 3 and all(isinstance(item, str) for item in data)):
        raise ValueError(f"{data!r} is not a message")
    name, text, location = data
    return Message(_exception_of(name), text, location)


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """One compiled version of a function.

    ``argument_dims[k][j]`` is what axis ``j`` of argument ``k`` must equal; where it is the symbol that ``symbols``
    binds there, it defines the symbol instead. The kernel's ``sizes`` are ``symbols``; its ``data`` are the arguments
    that are ``passed``, followed by the results that are not an ``"argument"``.

    ``result_tree`` is ``None`` for one leaf that is returned as it is, ``"tuple"``, ``"list"``, or a function from the
    list of leaves to the object to return. ``release_gil`` is ``"large"`` (only for calls that touch much memory) or
    ``"always"``, for kernels whose work is not bounded by the memory that they touch.

    ``address`` (the kernel's), ``keepalive`` (whatever owns its code) and ``objects`` belong to this process. The last
    has, by argument number, what is not in the call: the value of a ``"static"`` argument, and the cell, the
    ``(dict, name)`` or the array of one whose ``source`` says so.
    """

    name: str
    arguments: tuple[ArgumentSpec, ...]
    argument_dims: tuple[tuple[DimLike, ...], ...]
    symbols: tuple[tuple[str, SymbolSource], ...]
    results: tuple[ResultSpec, ...]
    guards: tuple[Guard, ...] = ()
    result_tree: Literal["tuple", "list"] | Unflatten | None = None
    messages: tuple[Message, ...] = ()
    release_gil: Literal["large", "always"] = "large"
    address: int = 0
    keepalive: object = None
    objects: Mapping[int, Any] = field(default_factory=dict)

    positional: tuple[int, ...] = field(init=False)
    """The numbers of the arguments that come from the call, not from a closure or a module."""
    requirements: tuple[tuple[int, int, DimLike], ...] = field(init=False)
    """``(argument, axis, dim)`` for every axis that must equal a dim rather than define a symbol."""

    def __post_init__(self) -> None:
        ranks = [spec.rank for spec in self.arguments]
        if [len(dims) for dims in self.argument_dims] != ranks:
            raise ValueError(f"argument_dims {self.argument_dims} do not fit the ranks {ranks}")
        if self.result_tree is None and len(self.results) != 1:
            raise ValueError(f"{len(self.results)} results need a result_tree")
        for name, source in self.symbols:
            if source[0] == "int" and self.arguments[source[1]].kind not in ("int", "bool"):
                raise ValueError(f"the size {name} is bound by argument {source[1]}, which is not an int")
        object.__setattr__(self, "positional", tuple(k for k, s in enumerate(self.arguments) if s.source == "call"))
        object.__setattr__(self, "requirements", tuple(self._requirements()))

    def _requirements(self) -> Iterator[tuple[int, int, DimLike]]:
        defined = {(source[1], source[2]): name for name, source in self.symbols if source[0] == "dim"}
        for k, dims in enumerate(self.argument_dims):
            for j, dim in enumerate(dims):
                name = defined.get((k, j))
                if name is None or not isinstance(dim, Dim) or dim.as_symbol != name:
                    yield k, j, dim


# ------------------------------------------------------------------------------------------------ text form


def to_json(program: Program) -> str:
    """The program without what belongs to this process (addresses, objects, functions), as text.

    Example:
        >>> x = ArgumentSpec("array", np.dtype("f8"), 1)
        >>> p = Program("f", (x,), ((3,),), (), (ResultSpec("array", np.dtype("f8"), (3,)),))
        >>> to_json(from_json(to_json(p))) == to_json(p)
        True
    """
    tree = program.result_tree
    return json.dumps(
        {
            "format": _FORMAT,
            "name": program.name,
            "arguments": [
                [s.kind, _dtype_text(s.dtype), s.rank, s.written, s.passed, s.source] for s in program.arguments
            ],
            "argument_dims": [[_dim_data(dim) for dim in dims] for dims in program.argument_dims],
            "symbols": program.symbols,
            "results": [
                [r.kind, _dtype_text(r.dtype), [_dim_data(d) for d in r.dims], r.argument] for r in program.results
            ],
            "guards": [[_dim_data(dim), relation] for dim, relation in program.guards],
            "result_tree": "custom" if callable(tree) else tree,
            "messages": [message.as_data() for message in program.messages],
            "release_gil": program.release_gil,
        },
        separators=(",", ":"),
    )


def from_json(
    text: str,
    *,
    address: int = 0,
    keepalive: object = None,
    objects: Mapping[int, Any] | None = None,
    unflatten: Unflatten | None = None,
) -> Program:
    """The program of a text made by :func:`to_json`; ``ValueError`` where the text is not one of this format."""
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']}")
        tree = data["result_tree"]
        if tree == "custom" and unflatten is None:
            raise ValueError("needs a function to build its result")
        return Program(
            name=data["name"],
            arguments=tuple(ArgumentSpec(k, _dtype_of(t), *rest) for k, t, *rest in data["arguments"]),
            argument_dims=tuple(tuple(map(_dim_of, dims)) for dims in data["argument_dims"]),
            symbols=tuple((name, tuple(source)) for name, source in data["symbols"]),
            results=tuple(
                ResultSpec(kind, _dtype_of(t), tuple(map(_dim_of, dims)), k) for kind, t, dims, k in data["results"]
            ),
            guards=tuple((_dim_of(dim), relation) for dim, relation in data["guards"]),
            result_tree=unflatten if tree == "custom" else tree,
            messages=tuple(map(message_of, data["messages"])),
            release_gil=data["release_gil"],
            address=address,
            keepalive=keepalive,
            objects=objects or {},
        )
    except (KeyError, IndexError, TypeError, AttributeError) as problem:
        raise ValueError(f"not the text of a program: {problem!r}") from problem


def _dtype_text(dtype: np.dtype[Any] | None) -> str | None:
    return None if dtype is None else dtype_name(dtype)


def _dtype_of(name: str | None) -> np.dtype[Any] | None:
    return None if name is None else dtype_named(name)


def _dim_data(dim: DimLike) -> Any:
    """An int, or a list of terms ``[coefficient, atom, ...]``; an atom is a name or ``[kind, dim, dim]``."""
    if not isinstance(dim, Dim):
        return int(dim)
    return [
        [c, *(a.name if a.kind == "symbol" else [a.kind, *map(_dim_data, a.args)] for a in monomial)]
        for monomial, c in dim.terms.items()
    ]


def _dim_of(data: Any) -> DimLike:
    if isinstance(data, int):
        return data
    return Dim({tuple(map(_atom_of, atoms)): coefficient for coefficient, *atoms in data})


def _atom_of(data: Any) -> Atom:
    if isinstance(data, str):
        return Atom("symbol", data)
    kind, *args = data
    return Atom(kind, "", tuple(map(_dim_of, args)))


def _exception_of(name: str) -> type[Exception]:
    found: Any = getattr(builtins, name, None) or getattr(errors, name, None) or getattr(np.linalg, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        raise ValueError(f"{name!r} is not an exception that a program may raise")
    return found
