"""Random small NumPy programs: source text that runs in NumPy and compiled, on two matrices, a vector and a number.

Every statement is chosen so that NumPy accepts it: the shapes are tracked while the text is written. Values stay finite
and moderate, so that results can be compared closely.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

__all__ = ["Program", "arguments", "programs"]

N, M = 5, 4  # the sizes that texts are written for, as names n and m


@dataclass
class Program:
    """A function and its text."""

    text: str
    function: Callable[..., Any]


_programs_made = 0


def compiled_text(text: str) -> Callable[..., Any]:
    """The function ``f`` of a text, with its source where inspect and tracebacks find it."""
    global _programs_made
    _programs_made += 1
    name = f"/generated/program{_programs_made}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec"), names)
    function: Callable[..., Any] = names["f"]
    return function


@dataclass
class Name:
    """A variable of the program: its shape as names of sizes, and what kind of numbers it holds."""

    text: str
    shape: tuple[str, ...]
    kind: str = "f"  # float, "i"nt, "b"ool
    writeable: bool = True


UNARY = """
    np.sin({}); np.cos({}); np.tanh({}); -{}; np.abs({}); np.exp(-np.abs({})); np.sqrt(np.abs({})); {} * {};
    np.arctan({});
    np.log1p(np.abs({})); np.floor({}); 1 / (1 + np.exp(-{})); np.where({} > 0, {}, 0.5); np.clip({}, -1, 1); ({} >
    0.25);
    {}.copy(); np.square(np.sin({})); np.maximum({}, 0); 2 - {}; {} / 3
"""
BINARY = """
    {} + {}; {} - {}; {} * {}; np.maximum({}, {}); np.minimum({}, {}); np.where({} < {}, 1.0, -1.0); np.hypot({}, {});
    {} / (1 + np.abs({})); np.arctan2({}, {}); np.copysign({}, {})
"""
REDUCE = ["sum", "max", "min", "mean", "prod", "std", "any", "argmax"]


class Writer:
    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.names = [Name("a", ("n", "m")), Name("b", ("n", "m")), Name("v", ("n",)), Name("s", ())]

    def one_of(self, items: Any) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def pick(self, rank: int = 0, shape: tuple[str, ...] | None = None, written: bool = False) -> Name | None:
        fits = [
            x
            for x in self.names
            if len(x.shape) >= rank
            and (shape is None or x.shape == shape)
            and (not written or (x.writeable and x.shape))
        ]
        return self.one_of(fits) if fits else None

    def new(self, text: str, shape: tuple[str, ...], kind: str = "f", writeable: bool = True) -> None:
        name = f"t{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.names.append(Name(name, shape, kind, writeable and bool(shape)))

    # ------------------------------------------------------------------------------------------------ statements

    def unary(self) -> None:
        x = self.pick()
        template = self.one_of(_choices(UNARY))
        self.new(template.format(*[_number(x)] * template.count("{}")), x.shape, "b" if ">" in template[:8] else "f")

    def binary(self) -> None:
        x = self.pick()
        y = self.pick(shape=x.shape) if self.draw(st.booleans()) else self.pick(shape=())
        first, second = (x, y) if self.draw(st.booleans()) else (y, x)
        self.new(self.one_of(_choices(BINARY)).format(_number(first), _number(second)), x.shape)

    def broadcast(self) -> None:
        row, matrix = self.pick(shape=("m",)), self.pick(shape=("n", "m"))
        column = self.pick(shape=("n",))
        if row is not None and self.draw(st.booleans()):
            self.new(f"{_number(matrix)} * {_number(row)}", ("n", "m"))
        else:
            self.new(f"{_number(matrix)} + {_number(column)}[:, None]", ("n", "m"))

    def outer(self) -> None:
        x, y = self.pick(shape=("n",)), self.pick(shape=("m",)) or self.pick(shape=("n",))
        self.new(f"{_number(x)}[:, None] * {_number(y)}", ("n", *y.shape))

    def reduce(self) -> None:
        x = self.pick(rank=1)
        name = self.one_of(REDUCE)
        axis = self.one_of([None, *range(-len(x.shape), len(x.shape))])
        keep = self.draw(st.booleans()) and axis is not None
        shape = () if axis is None else tuple(
            "1" if k == axis % len(x.shape) else d for k, d in enumerate(x.shape) if keep or k != axis % len(x.shape)
        )  # fmt: skip
        text = f"np.{name}(np.sin({_number(x)}), axis={axis}{', keepdims=True' if keep else ''})"
        if "1" in shape:
            self.new(f"{_number(x)} - {text}", x.shape)
        else:
            self.new(text, shape, {"any": "b", "argmax": "i"}.get(name, "f"))

    def scan(self) -> None:
        x = self.pick(rank=1)
        self.new(f"np.cumsum(np.cos({_number(x)}), axis={self.draw(st.integers(0, len(x.shape) - 1))})", x.shape)

    def reverse(self) -> None:
        x = self.pick(rank=1)
        keys = [self.one_of([":", "::-1"]) for _ in x.shape]
        self.new(f"{x.text}[{', '.join(keys)}]", x.shape, x.kind, x.writeable)

    def transpose(self) -> None:
        x = self.pick(rank=2)
        self.new(f"{x.text}.T", x.shape[::-1], x.kind, x.writeable)

    def part(self) -> None:
        """A row, a column or a number, as a view."""
        x = self.pick(rank=1)
        place = self.one_of(["0", "-1", "1"])
        if len(x.shape) > 1 and self.draw(st.booleans()):
            self.new(f"{x.text}[:, {place}]", x.shape[:1], x.kind, x.writeable)
        else:
            self.new(f"{x.text}[{place}]", x.shape[1:], x.kind, x.writeable)

    def shifted(self) -> None:
        x = self.pick(rank=1)
        self.new(f"np.concatenate([{x.text}[1:], {x.text}[:1]])", x.shape, x.kind)

    def difference(self) -> None:
        x = self.pick(rank=1)
        self.new(f"np.sin({_number(x)}[1:] - {_number(x)}[:-1]).sum(0)", x.shape[1:])

    def flatten(self) -> None:
        x = self.pick(rank=2)
        self.new(f"np.sin({_number(x)}.ravel()).reshape({x.text}.shape)", x.shape)

    def gather(self) -> None:
        x = self.pick(rank=1)
        index = f"(np.arange({x.text}.shape[0]) * 7 + {self.draw(st.integers(0, 5))}) % {x.text}.shape[0]"
        self.new(f"{x.text}[{index}]", x.shape, x.kind)

    def product(self) -> None:
        x, y = self.pick(rank=2), self.pick(rank=2)
        if len(x.shape) != 2 or len(y.shape) != 2:
            return
        left = _number(x) if x.shape[1] in y.shape else f"{_number(x)}.T"
        inner = x.shape[1] if x.shape[1] in y.shape else x.shape[0]
        outer = x.shape[0] if x.shape[1] in y.shape else x.shape[1]
        if inner not in y.shape:
            return
        right, last = (_number(y), y.shape[1]) if y.shape[0] == inner else (f"{_number(y)}.T", y.shape[0])
        self.new(f"np.tanh({left} @ {right})", (outer, last))

    def write(self) -> None:
        x = self.pick(rank=1, written=True)
        if x is None or x.kind != "f":
            return
        y = self.pick(shape=x.shape) if self.draw(st.booleans()) else self.pick(shape=x.shape[1:])
        scalar = self.pick(shape=())
        value = _number(y) if y is not None else _number(scalar)
        forms = [
            f"{x.text}[...] = {value}",
            f"{x.text} += np.sin({value})",
            f"{x.text} *= 0.5",
            f"{x.text}[::2] = {_number(scalar)}",
        ]
        forms += [f"{x.text}[0] = {x.text}[-1]", f"{x.text}[1:] = {x.text}[:-1]", f"{x.text}[:-1] -= {x.text}[1:] / 2"]
        forms += [f"{x.text}[{x.text} > 0.5] = 0.25", f"np.tanh({x.text}, out={x.text})", f"{x.text}[::-1] = {value}"]
        self.lines.append(self.one_of(forms))

    def loop(self) -> None:
        x = self.pick(rank=1, written=True)
        if x is None or x.kind != "f":
            return
        body = self.one_of([f"{x.text}[k] += np.sin({x.text}[k - 1])", f"{x.text}[k] = {x.text}[k] * 0.5 + k"])
        self.lines.append(f"for k in range({self.draw(st.integers(1, 3))}):\n        {body}")

    def step(self) -> None:
        common = "unary unary binary binary binary broadcast reduce reduce write write reverse transpose part".split()
        rare = "outer scan shifted difference flatten gather product loop".split()
        getattr(self, self.one_of(common + rare))()


def _choices(text: str) -> list[str]:
    return [item.strip() for item in text.split(";")]


def _number(x: Name | None) -> str:
    assert x is not None
    return x.text if x.kind == "f" else f"({x.text} * 1.0)"


@st.composite
def programs(draw: Any, most: int = 10) -> Program:
    """A function ``f(a, b, v, s)`` that returns a tuple and may change its arguments."""
    writer = Writer(draw)
    for _ in range(draw(st.integers(1, most))):
        writer.step()
    results = draw(st.lists(st.sampled_from([x.text for x in writer.names]), min_size=1, max_size=3))
    body = "".join(f"    {line}\n" for line in writer.lines)
    text = f"def f(a, b, v, s):\n{body}    return {', '.join(results)},\n"
    return Program(text, compiled_text(text))


def arguments(seed: int, rows: int = N, columns: int = M) -> tuple[Any, ...]:
    """Arguments for a random program."""
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, columns)), random.normal(size=(rows, columns)), random.normal(size=rows), 0.7
