"""Reads the text form of functions. Types are taken as written, nothing is folded: checking is the verifier's."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

import tracejit.ir.ops  # noqa: F401  (declares the operations that the text names)
from tracejit.ir.core import Eqn, Function, Guard, Literal, Location, Operand, Value
from tracejit.ir.dims import DimLike, atom, symbol
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, BufferType, dtype_named

__all__ = ["Named", "ParseError", "parse"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>\#[^\n]*)
      | (?P<value>%\w+)
      | (?P<bytes>x"[0-9a-f]*")
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>0x[0-9a-f]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>->|[=!>]=|[()\[\]{}<>,:=@*+\-&])
    """,
    re.VERBOSE,
)
_LOCATION = re.compile(r"#\s*(.+):(\d+)\s*$")
_DTYPES = frozenset("f64 f32 f16 bf16 i64 i32 i16 i8 u64 u32 u16 u8 bool c128 c64".split())
_DIM_OPERATIONS = ("floordiv", "mod", "max", "min")
_RELATIONS = ("==", "!=", ">=")
_WORDS: dict[str, Any] = {"None": None, "True": True, "False": False, "nan": float("nan"), "inf": float("inf")}


class ParseError(ValueError):
    """The text is not in the text form; the message gives the line."""


class Named:
    """Stands for an attribute that only Python can hold, such as the function of a ``callback``, by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: object) -> Any:  # noqa: D102
        raise TypeError(f"{self.name} was read from text: the function itself is not known")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def parse(text: str) -> Function:
    """The function that a text says.

    Example:
        >>> parse("func @f(%x: f64[n]) -> (f64[n]) { return %x }")
        <Function f: 0 equations>
    """
    parser = _Parser(text)
    parser.expect("func")
    function = parser.function("return")
    if parser.kind != "end":
        raise parser.error("the end of the text")
    return function


class _Parser:
    """A cursor over the tokens: ``kind`` and ``text`` are those of the next one."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.tokens = list(_tokens(text))
        self.position = -1
        self.values: dict[str, Value] = {}
        self.symbols: dict[str, DimLike] = {}
        self.location: Location | None = None  # of the comment just passed
        self.kind = self.text = ""
        self.advance()

    # ------------------------------------------------------------------------------------------------ cursor

    def advance(self) -> str:
        text = self.text
        self.location = None
        while True:
            self.position += 1
            self.kind, self.text, _ = self.tokens[self.position]
            if self.kind != "comment":
                return text
            if match := _LOCATION.match(self.text):
                self.location = (match[1], int(match[2]))

    def peek(self) -> str:
        return self.tokens[self.position + 1][1]

    def accept(self, text: str) -> bool:
        if self.text == text and self.kind != "string":
            self.advance()
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.error(repr(text))

    def take(self, kind: str) -> str:
        if self.kind != kind:
            raise self.error(f"a {kind}")
        return self.advance()

    def error(self, wanted: str) -> ParseError:
        line = self.source.count("\n", 0, self.tokens[self.position][2]) + 1
        excerpt = self.source.splitlines()[line - 1].strip() if self.source else ""
        return ParseError(f"line {line}: {wanted} was expected, not {self.text!r}, in: {excerpt}")

    # --------------------------------------------------------------------------------------------- functions

    def function(self, keyword: str) -> Function:
        name = ""
        if self.accept("@"):
            name = json.loads(self.advance()) if self.kind == "string" else self.take("name")
        sizes: list[str] = []
        if self.accept("["):
            while not self.accept("]"):
                sizes.append(self.take("name"))
                self.accept(",")
        params = self.params()
        aliases = self.result_aliases(params) if self.accept("->") else {}
        guards = self.guards() if self.accept("where") else ()
        self.expect("{")
        eqns = []
        while self.text != keyword:
            eqns.append(self.eqn())
        self.advance()
        results = self.operands()
        self.expect("}")
        return Function(
            name,
            tuple(params.values()),
            tuple(eqns),
            results,
            sizes=tuple(sizes),
            guards=guards,
            aliases=aliases,
        )

    def params(self) -> dict[str, Value]:
        self.expect("(")
        params: dict[str, Value] = {}
        while not self.accept(")"):
            name = self.text
            params[name] = self.definition(None)
            self.accept(",")
        return params

    def definition(self, location: Location | None) -> Value:
        name = self.take("value")
        self.expect(":")
        if name in self.values:
            raise self.error(f"a name other than {name}, which is defined above,")
        value = self.values[name] = Value(self.type(), location)
        return value

    def result_aliases(self, params: dict[str, Value]) -> dict[int, int]:
        self.expect("(")
        aliases: dict[int, int] = {}
        position = 0
        while not self.accept(")"):
            self.type()
            if self.accept("in"):
                aliases[position] = list(params).index(self.take("value"))
            self.accept(",")
            position += 1
        return aliases

    def guards(self) -> tuple[Guard, ...]:
        self.expect("{")
        guards = []
        while not self.accept("}"):
            dim = self.dim()
            if self.text not in _RELATIONS:
                raise self.error(f"one of {' '.join(_RELATIONS)}")
            relation = self.advance()
            guards.append(Guard(dim, f"{relation} {self.take('number')}"))
            self.accept(",")
        return tuple(guards)

    def eqn(self) -> Eqn:
        results = []
        while self.kind == "value":
            results.append(self.definition(None))
            if not self.accept(","):
                self.expect("=")
                break
        if self.kind != "name" or self.text not in PRIMITIVES:
            raise self.error("an operation")
        op = PRIMITIVES[self.advance()]
        location = self.location
        operands = self.operands()
        location = self.location or location
        attrs = {}
        if self.text == "{":
            attrs = self.attributes()
            location = self.location or location
        regions = []
        while self.text in ("(", "@"):
            regions.append(self.region())
            location = location or self.region_location
        for result in results:
            result.loc = location
        return Eqn(op, operands, attrs, tuple(regions), tuple(results), location)

    region_location: Location | None = None

    def region(self) -> Function:
        """A region; the location of its equation is written behind the brace that opens the first one."""
        opening = self.position
        while self.tokens[opening][1] != "{" or self.tokens[opening - 1][1] == "where":
            opening += 1
        kind, text, _ = self.tokens[opening + 1]
        match = _LOCATION.match(text) if kind == "comment" else None
        function = self.function("yield")
        self.region_location = (match[1], int(match[2])) if match else None
        return function

    # ---------------------------------------------------------------------------------- operands, attributes

    def operands(self) -> tuple[Operand, ...]:
        operands: list[Operand] = []
        while True:
            if self.kind == "value" and self.peek() != ":":
                if self.text not in self.values:
                    raise self.error("a value that is defined above")
                operands.append(self.values[self.text])
                self.advance()
            elif self.text in _DTYPES and self.peek() == "(":
                operands.append(self.literal())
            else:
                return tuple(operands)
            if not self.accept(","):
                return tuple(operands)

    def literal(self) -> Literal:
        type = ArrayType(dtype_named(self.advance()))
        self.expect("(")
        parts = [self.scalar(type.dtype)]
        while self.accept(","):
            parts.append(self.scalar(type.dtype))
        self.expect(")")
        if type.dtype.kind == "c":
            value = np.empty((), type.dtype)
            value.real, value.imag = parts
            return Literal(value, type)
        return Literal(parts[0], type)

    def scalar(self, dtype: np.dtype[Any]) -> Any:
        negative = self.accept("-")
        text = self.advance()
        if text in ("True", "False"):
            return text == "True"
        part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        if text.startswith("0x"):
            return np.frombuffer(int(text, 16).to_bytes(part.itemsize, "little"), part)[0]
        if dtype.kind in "iub":
            return part.type(-int(text) if negative else int(text))
        number = float(text)
        return part.type(-number if negative else number)

    def attributes(self) -> dict[str, Any]:
        self.expect("{")
        attrs = {}
        while not self.accept("}"):
            name = self.take("name")
            self.expect("=")
            attrs[name] = self.attribute()
            self.accept(",")
        return attrs

    def attribute(self) -> Any:
        if self.kind == "string":
            return json.loads(self.advance())
        if self.kind == "bytes":
            return bytes.fromhex(self.advance()[2:-1])
        if self.accept("("):
            items = []
            while not self.accept(")"):
                items.append(self.attribute())
                self.accept(",")
            return tuple(items)
        if self.accept("<"):
            dim = self.dim()
            self.expect(">")
            return dim
        if self.accept("&"):
            return Named(json.loads(self.advance()))
        return self.word() if self.kind == "name" else self.number()

    def word(self) -> Any:
        if self.text in _WORDS:
            return _WORDS[self.advance()]
        if self.accept("literal"):
            return self.literal()
        if self.text == "buf" or (self.text in _DTYPES and self.peek() == "["):
            return self.type()
        if self.text in _DTYPES and self.peek() == "(":
            return self.literal().value
        if self.text in _DTYPES:
            return dtype_named(self.advance())
        raise self.error("an attribute")

    def number(self) -> Any:
        sign = -1 if self.accept("-") else 1
        if self.text in _WORDS:
            return sign * _WORDS[self.advance()]
        text = self.take("number")
        return sign * int(text) if text.isdigit() else sign * float(text)

    # ------------------------------------------------------------------------------------------ types, dims

    def type(self) -> ArrayType:
        kind = BufferType if self.accept("buf") else ArrayType
        if self.text not in _DTYPES:
            raise self.error("a dtype")
        dtype = dtype_named(self.advance())
        self.expect("[")
        dims: list[DimLike] = []
        while not self.accept("]"):
            dims.append(self.dim())
            self.accept(",")
        return kind(dtype, tuple(dims))

    def dim(self) -> DimLike:
        total = -self.term() if self.accept("-") else self.term()
        while self.text in ("+", "-"):
            total = total + self.term() if self.advance() == "+" else total - self.term()
        return total

    def term(self) -> DimLike:
        product = self.factor()
        while self.accept("*"):
            product = product * self.factor()
        return product

    def factor(self) -> DimLike:
        if self.kind == "number":
            return int(self.advance())
        name = self.take("name")
        if name in _DIM_OPERATIONS and self.accept("("):
            args = [self.dim()]
            while self.accept(","):
                args.append(self.dim())
            self.expect(")")
            return atom(name, *args)
        if name not in self.symbols:
            self.symbols[name] = symbol(name)
        return self.symbols[name]


def _tokens(text: str) -> list[tuple[str, str, int]]:
    tokens: list[tuple[str, str, int]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise ParseError(f"line {line}: {text[position : position + 20]!r} is no part of the text form")
        if match.lastgroup != "space":
            tokens.append((str(match.lastgroup), match[0], position))
        position = match.end()
    tokens.append(("end", "", position))
    return tokens
