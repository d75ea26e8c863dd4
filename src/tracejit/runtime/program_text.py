"""A program as text, and back: what the disk can keep of it.

This module owns the format. What belongs to a process (addresses, objects, functions, types) is not in the text.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from tracejit.ir.dims import Atom, Dim, DimLike
from tracejit.ir.types import dtype_name, dtype_named
from tracejit.runtime.program import ArgumentSpec, Program, ResultSpec, message_of
from tracejit.runtime.structure import CallShape, Lookup, Node

__all__ = ["from_json", "to_json"]

_FORMAT = 3


def to_json(program: Program) -> str:
    """The program without what belongs to this process, as text.

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
                [s.kind, _dtype_text(s.dtype), s.rank, s.written, s.passed, s.layout, s.compared, s.same_as, s.order]
                for s in program.arguments
            ],
            "argument_dims": [[_dim_data(dim) for dim in dims] for dims in program.argument_dims],
            "symbols": program.symbols,
            "results": [
                [r.kind, _dtype_text(r.dtype), [_dim_data(d) for d in r.dims], r.index] for r in program.results
            ],
            "guards": [[_dim_data(dim), relation] for dim, relation in program.guards],
            "distinct": program.distinct,
            "data": program.data,
            "result_tree": "custom" if callable(tree) else tree,
            "messages": [message.as_data() for message in program.messages],
            "release_gil": program.release_gil,
            "may_raise": program.may_raise,
            "shape": program.call_shape,
            "lookups": program.lookups,
            "outside": program.outside,
        },
        separators=(",", ":"),
    )


def from_json(text: str, **process: Any) -> Program:
    """The program of a text made by :func:`to_json`; ``ValueError`` where the text is not one of this format.

    process: what belongs to this process, by the names of the fields of :class:`Program`; ``result_tree`` among it
    where it is a function.
    """
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']}")
        tree = data["result_tree"]
        if tree == "custom":
            if not callable(process.get("result_tree")):
                raise ValueError("needs a function to build its result")
        elif "result_tree" in process:
            raise ValueError("builds its result itself")
        else:
            process["result_tree"] = tree
        positional, keywords = data["shape"]
        return Program(
            name=data["name"],
            arguments=tuple(map(_argument_of, data["arguments"])),
            argument_dims=tuple(tuple(map(_dim_of, dims)) for dims in data["argument_dims"]),
            symbols=tuple((name, tuple(source)) for name, source in data["symbols"]),
            results=tuple(
                ResultSpec(kind, _dtype_of(t), tuple(map(_dim_of, dims)), k) for kind, t, dims, k in data["results"]
            ),
            guards=tuple((_dim_of(dim), relation) for dim, relation in data["guards"]),
            distinct=tuple(map(tuple, data["distinct"])),
            data=tuple(data["data"]),
            messages=tuple(map(message_of, data["messages"])),
            release_gil=data["release_gil"],
            may_raise=data["may_raise"],
            shape=CallShape(tuple(map(_node_of, positional)), tuple((name, _node_of(tree)) for name, tree in keywords)),
            lookups=tuple(Lookup(*lookup) for lookup in data["lookups"]),
            outside=tuple((number, _node_of(tree)) for number, tree in data["outside"]),
            **process,
        )
    except (KeyError, IndexError, TypeError, AttributeError) as problem:
        raise ValueError(f"not the text of a program: {problem!r}") from problem


def _argument_of(data: Any) -> ArgumentSpec:
    kind, dtype, *rest, order = data
    return replace(ArgumentSpec(kind, _dtype_of(dtype), *rest), order=tuple(order))


def _node_of(data: Any) -> Node:
    kind, keys, children = data
    return Node(kind, tuple(keys), tuple(map(_node_of, children)))


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
