"""Python functions made from text, for what is done at every call in the same way.

This module owns their compilation, and that tracebacks show their lines. It knows nothing of what they do.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracejit.ir.dims import Atom, Dim, DimLike

__all__ = ["dim_source", "make_function"]

_numbers = itertools.count()


def make_function(
    name: str, parameters: Sequence[str], lines: Sequence[str], names: Mapping[str, Any]
) -> Callable[..., Any]:
    """A function of these parameters with these lines as its body, in which ``names`` are known.

    Example:
        >>> make_function("double", ["x"], ["return two * x"], {"two": 2})(4)
        8
    """
    text = "\n".join([f"def {name}({', '.join(parameters)}):", *(f"    {line}" for line in lines or ["pass"]), ""])
    filename = f"<tracejit {name} {next(_numbers)}>"
    namespace: dict[str, Any] = dict(names)
    exec(compile(text, filename, "exec"), namespace)
    made: Callable[..., Any] = namespace.pop(name)
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    weakref.finalize(made, linecache.cache.pop, filename, None).atexit = False
    return made


def dim_source(dim: DimLike, names: Mapping[str, str]) -> str:
    """An expression for a dim, from expressions for its symbols.

    Example:
        >>> from tracejit.ir.dims import symbol
        >>> dim_source(symbol("n") * 2 - 1, {"n": "s0"})
        '(2 * s0 + -1)'
    """
    if not isinstance(dim, Dim):
        return str(dim)
    terms = []
    for monomial, coefficient in dim.terms.items():
        factors = [_atom_source(atom, names) for atom in monomial]
        if coefficient != 1 or not factors:
            factors.insert(0, str(coefficient))
        terms.append(" * ".join(factors))
    return f"({' + '.join(terms)})"


def _atom_source(atom: Atom, names: Mapping[str, str]) -> str:
    if atom.kind == "symbol":
        return names[atom.name]
    a, b = (dim_source(dim, names) for dim in atom.args)
    if atom.kind in ("max", "min"):
        return f"{atom.kind}({a}, {b})"
    return f"({a} {'//' if atom.kind == 'floordiv' else '%'} {b})"
