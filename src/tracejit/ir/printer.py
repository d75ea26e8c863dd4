"""The text form of functions, which the parser reads back, and the fingerprint by which programs are cached.

Values have no names of their own: they are numbered in the order in which they are defined.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Eqn, Function, Literal, Operand, Value
from tracejit.ir.dims import Dim
from tracejit.ir.types import ArrayType, dtype_name

__all__ = ["fingerprint", "format_attribute", "format_context", "format_eqn", "format_function", "format_literal"]

Names = dict[Value, str]


def format_function(function: Function, locations: bool = True) -> str:
    """The text of a function; ``parse`` gives an equal function back.

    Example:
        >>> from tracejit.ir.parser import parse
        >>> print(parse("func @f(%x: f64[n]) -> (f64[n]) { %y: f64[n] = mul %x, f64(2.0)  return %y }"))
        func @f(%0: f64[n]) -> (f64[n]) {
          %1: f64[n] = mul %0, f64(2.0)
          return %1
        }
    """
    names: Names = {}
    lines: list[str] = []
    lines.append(f"func {_header(function, names, arrow=True)}")
    _print_body(function, names, lines, "  ", "return", locations)
    lines.append("}")
    return "\n".join(lines)


def _header(function: Function, names: Names, arrow: bool) -> str:
    text = f"@{_identifier(function.name)}" if function.name or arrow else ""
    if function.sizes:
        text += f"[{', '.join(function.sizes)}]"
    text += f"({', '.join([f'{_define(p, names)}: {p.type}' for p in function.params])})"
    if arrow or function.aliases:
        results = []
        for position, result in enumerate(function.results):
            target = function.aliases.get(position)
            results.append(str(result.type) if target is None else f"{result.type} in {names[function.params[target]]}")
        text += f" -> ({', '.join(results)})"
    if function.guards:
        text += f" where {{{', '.join([f'{g.dim} {g.relation}' for g in function.guards])}}}"
    return text + " {"


def _identifier(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else json.dumps(name)


def _define(value: Value, names: Names) -> str:
    if (name := names.get(value)) is None:
        name = names[value] = f"%{len(names)}"
    return name


def _print_body(function: Function, names: Names, lines: list[str], indent: str, keyword: str, locations: bool) -> None:
    for eqn in function.eqns:
        text = indent + _eqn_head(eqn, names)
        comment = f"  # {os.path.basename(eqn.loc[0])}:{eqn.loc[1]}" if locations and eqn.loc else ""
        for region in eqn.regions:
            lines.append(f"{text} {_header(region, names, arrow=False)}{comment}")
            _print_body(region, names, lines, indent + "  ", "yield", locations)
            text, comment = indent + "}", ""
        lines.append(text + comment)
    results = ", ".join([_operand(result, names) for result in function.results])
    lines.append(f"{indent}{keyword} {results}" if results else f"{indent}{keyword}")


def _eqn_head(eqn: Eqn, names: Names) -> str:
    operands = ", ".join([_operand(operand, names) for operand in eqn.operands])
    text = f"{eqn.op.name} {operands}" if operands else eqn.op.name
    if eqn.attrs:
        text += f" {{{', '.join([f'{name}={format_attribute(eqn.attrs[name])}' for name in sorted(eqn.attrs)])}}}"
    if eqn.results:
        text = f"{', '.join([f'{_define(r, names)}: {r.type}' for r in eqn.results])} = {text}"
    return text


def format_eqn(eqn: Eqn, names: Names | None = None) -> str:
    """One equation in one line without its regions, for messages; values without a name are numbered."""
    names = {} if names is None else names
    for operand in eqn.operands:
        if isinstance(operand, Value):
            _define(operand, names)
    return _eqn_head(eqn, names) + (" ..." if eqn.regions else "")


def format_context(function: Function, body: Sequence[Eqn], bad: Eqn, around: int = 5) -> str:
    """An equation of a function marked by ``>``, between its neighbours in the body, numbered as in the function."""
    names: Names = {}
    _header(function, names, arrow=False)
    _print_body(function, names, [], "", "return", locations=False)
    lines = []
    position = next(k for k, eqn in enumerate(body) if eqn is bad)
    for eqn in body[max(0, position - around) : position + around + 1]:
        where = f"  # {os.path.basename(eqn.loc[0])}:{eqn.loc[1]}" if eqn.loc else ""
        lines.append(f"{'>' if eqn is bad else ' '} {format_eqn(eqn, names)}{where}")
    return "\n".join(lines)


def _operand(operand: Operand, names: Names) -> str:
    if isinstance(operand, Literal):
        return format_literal(operand)
    return names.get(operand, "%undefined")


# ------------------------------------------------------------------------------------- literals and attributes


def format_literal(literal: Literal) -> str:
    """A scalar with its dtype: ``f64(1.5)``, ``bool(True)``, ``c128(0.0, -1.0)``; exact to the bit."""
    return f"{dtype_name(literal.dtype)}({_number(literal.value)})"


def _number(value: Any) -> str:
    kind = value.dtype.kind
    if kind in "iub":
        return str(value)
    if kind == "c":
        return f"{_number(value.real)}, {_number(value.imag)}"
    text = str(value)
    # NaNs have many bit patterns, and the shortest text of a narrow float need not survive the way through double.
    if type(value)(float(text)).tobytes() != value.tobytes():
        return f"0x{int.from_bytes(value.tobytes(), 'little'):x}"
    return text


_WORDS = {None: "None", True: "True", False: "False"}


def format_attribute(value: Any) -> str:
    """An attribute: ``3 (1, <n+1>) "add" f64 None x"00ff"``, types as themselves, functions as ``&"name"``."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, Dim):
        return f"<{value}>"
    if isinstance(value, tuple):
        items = [format_attribute(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, np.dtype):
        return dtype_name(value)
    return _format_rare(value)


def _format_rare(value: Any) -> str:
    if isinstance(value, ArrayType):
        return str(value)
    if isinstance(value, bytes):
        return f'x"{value.hex()}"'
    if isinstance(value, np.generic):
        return format_literal(Literal(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Literal):
        return f"literal {format_literal(value)}"
    name = getattr(value, "__qualname__", None) or getattr(value, "name", None) or type(value).__qualname__
    return f"&{json.dumps(str(name))}"


# ------------------------------------------------------------------------------------------------- fingerprints


def fingerprint(function: Function) -> str:
    """A digest of everything that a function means, and of nothing else (no locations, no names of values).

    Two functions have one fingerprint exactly when their texts without locations are equal; Python functions among the
    attributes (``callback``) count by where they occur first, so that the digest holds in every process.
    """
    parts: list[str] = []
    _collect(function, {}, {}, parts)
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=20).hexdigest()


def _collect(function: Function, names: Names, texts: dict[Any, str], parts: list[str]) -> None:
    """What inference cannot find again: params, operations, operands, attributes, results. Types follow from these."""
    put = parts.append
    put(_header_text(function, names, texts))
    for eqn in function.eqns:
        put(eqn.op.name)
        for operand in eqn.operands:
            if type(operand) is Value:
                put(names[operand])
            else:
                put(_bits(operand))
        if eqn.attrs:
            put(_attributes_text(eqn.attrs, texts))
        for region in eqn.regions:
            _collect(region, names, texts, parts)
        for result in eqn.results:
            names[result] = str(len(names))
    put("return")
    for operand in function.results:
        put(names[operand] if type(operand) is Value else _bits(operand))


def _bits(literal: Any) -> str:
    return f"{literal.type.dtype.str}{literal.bits.hex()}"


def _header_text(function: Function, names: Names, texts: dict[Any, str]) -> str:
    params = []
    for param in function.params:
        names[param] = str(len(names))
        params.append(_cached(param.type, texts))
    guards = [f"{_cached(guard.dim, texts)}{guard.relation}" for guard in function.guards]
    return f"{function.name}{function.sizes}{params}{guards}{function.aliases or ''}"


def _attributes_text(attrs: Mapping[str, Any], texts: dict[Any, str]) -> str:
    names: Iterable[str] = attrs if len(attrs) == 1 else sorted(attrs)
    return "".join([f"{name}={_attribute_text(attrs[name], texts)};" for name in names])


def _attribute_text(value: Any, texts: dict[Any, str]) -> str:
    kind = type(value)
    if kind is int or kind is str or kind is bool or value is None:
        return repr(value)
    if kind is tuple:
        return f"({','.join([_attribute_text(item, texts) for item in value])})"
    if kind is Dim or isinstance(value, np.dtype):
        return _cached(value, texts)
    text = format_attribute(value)
    if not text.startswith("&"):
        return text
    if (numbered := texts.get(value)) is None:
        numbered = texts[value] = f"{text}{len(texts)}"
    return numbered


def _cached(value: Any, texts: dict[Any, str]) -> str:
    if (text := texts.get(value)) is None:
        text = texts[value] = value.str if isinstance(value, np.dtype) else str(value)
    return text
