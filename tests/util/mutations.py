"""Random programs that change arrays in place through views of views, written as text and tried out in NumPy.

Each statement is run on sample arrays while the text is written, so that the shapes of what it makes are known and what
NumPy refuses is left out.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.util.programs import Program, compiled_text

__all__ = ["mutations", "sample_arguments"]

PARAMETERS = ("a", "b", "v", "i")
MOST_ELEMENTS = 60


def sample_arguments(seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Two square matrices, a vector as long as one of them, and indices below four."""
    random = np.random.default_rng(seed)
    matrices = [random.integers(-9, 10, (4, 4)) / 4.0 for _ in range(2)]
    return [*matrices, random.integers(-9, 10, 16) / 4.0, random.integers(-4, 4, 3)]


class Writer:
    """Statements that NumPy accepts, and the arrays that they have made of the samples so far."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.values: dict[str, Any] = dict(zip(PARAMETERS, sample_arguments(), strict=True))

    def pick(self, items: Any) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def array(self, like: Any = None, written: bool = False) -> str:
        """The name of an array, of one that may be written or that has a given shape on request."""
        names = [n for n, x in self.values.items() if n != "i" and (not written or x.flags.writeable)]
        if like is not None:
            names = [n for n in names if self.values[n].shape == like] or names
        return self.pick(names)

    # ------------------------------------------------------------------------------------------------ keys

    def slice(self, size: int) -> str:
        start, stop = self.number(-size - 1, size + 1), self.number(-size - 1, size + 1)
        step = self.pick([1, 1, 1, 2, -1, -1, -2])
        return self.pick(
            [f"{start}:{stop}:{step}", f"::{step}", f"{start}:", f":{stop}", ":", f"{start % max(size, 1)}:"]
        )

    def key(self, shape: tuple[int, ...]) -> str:
        entries = []
        for size in shape[: self.number(1, max(len(shape), 1))]:
            inside = self.number(-size, max(size - 1, -size)) if size else 0
            entries.append(self.pick([self.slice(size), self.slice(size), self.slice(size), str(inside)]))
        if self.number(0, 7) == 0:
            entries.insert(self.number(0, len(entries)), self.pick(["None", "..."]))
        return ", ".join(entries)

    def any_key(self, name: str) -> str:
        """Also arrays of indices, and masks."""
        shape = self.values[name].shape
        size = shape[0] if shape else 1
        listed = [self.number(-size, size - 1) if size else 0 for _ in range(self.number(1, 3))]
        fancy = [f"np.array({listed})", f"i % {max(size, 1)}", f"{listed}"]
        fancy += [f":, {index}" for index in fancy[:2]] + [f"{name} > {self.number(-2, 2)}"]
        return self.pick([self.key(shape)] * 6 + fancy)

    # ------------------------------------------------------------------------------------------------ statements

    def operand(self, shape: tuple[int, ...]) -> str:
        """Something with a shape, or that broadcasts to it."""
        other = self.array(shape)
        return self.pick(
            [other, other, str(self.number(-3, 3)), f"{other}[{self.key(self.values[other].shape)}]", f"{other}.T"]
        )

    def view(self) -> str:
        x = self.array()
        shape = self.values[x].shape
        key = f"{x}[{self.key(shape)}]"
        count = int(np.prod(shape))
        shapes = [(count,), (-1,), (count, 1), (2, -1), (-1, 2), (1, *shape), tuple(reversed(shape))]
        ways = [
            f"{x}.T",
            f"{x}.reshape({self.pick(shapes)})",
            f"{x}.ravel()",
            f"{x}[None]",
            f"np.flip({x})",
            f"{x}.real",
        ]
        ways += [f"{x}.reshape({self.pick(shapes)}).T", f"np.squeeze({x})", f"np.split({x}, 2)[{self.number(0, 1)}]", x]
        ways += [
            f"np.swapaxes({x}, 0, -1)",
            f"np.diagonal({x})",
            f"np.broadcast_to({x}, (2, *{x}.shape))",
            f"{x}.view()",
        ]
        return f"t{len(self.lines)} = {self.pick([key] * 8 + ways)}"

    def value(self) -> str:
        x = self.array()
        ways = [f"{x}.copy()", f"{x} * 0.5", f"{x} + {self.operand(self.values[x].shape)}", f"{x}[{self.any_key(x)}]"]
        ways += [
            f"np.where({x} > 0, {x}, -1.0)",
            f"{x}.flatten()",
            f"{x}.sum(0)",
            f"np.cumsum({x})",
            f"np.concatenate([{x}, {x}])",
        ]
        return f"t{len(self.lines)} = {self.pick(ways)}"

    def write(self) -> str:
        x = self.array(written=True)
        shape = self.values[x].shape
        key = self.any_key(x)
        part = eval(f"{x}[{key}]", {"np": np}, self.values)
        other = self.operand(np.shape(part))
        own = f"{x}[{self.key(shape)}]"
        operator = self.pick(["=", "=", "+=", "-=", "*="])
        ways = [f"{x}[{key}] {operator} {other}"] * 3 + [f"{x}[{key}] {operator} {own}"] * 3
        ways += [f"{x}[...] {operator} {other}", f"{x} {operator.replace('=', '')}= {self.operand(shape)}"]
        ways += [
            f"{x}[:] = {x}[::-1]",
            f"{x}[1:] {operator} {x}[:-1]",
            f"{x}[:-1] {operator} {x}[1:]",
            f"{x}[::-1] = {x}",
        ]
        ways += [f"{x}.fill({self.number(-2, 2)})", f"np.copyto({x}, {self.operand(shape)}, where={x} > 0)"]
        ways += [f"np.add({x}, {self.operand(shape)}, out={x})", f"np.multiply({self.operand(shape)}, 0.5, out={x})"]
        ways += [
            f"{x}[0], {x}[-1] = {x}[-1], {x}[0]",
            f"{x}[[0, -1]] = {x}[[-1, 0]]",
            f"{x} += {x}.T",
            f"{x}[...] = {x}.T",
        ]
        ways += [
            f"np.add.at({x}, i % {max(len(part) if np.ndim(part) else 1, 1)}, 1.0)",
            f"np.cumsum({x}, axis=0, out={x})",
        ]
        ways += [
            f"{x}.flat[{self.number(0, 3)}] = 5.0",
            f"np.put({x}, [0, 1], [7.0, 8.0])",
            f"np.fill_diagonal({x}, 3.0)",
        ]
        return self.pick(ways)

    def loop(self) -> str:
        x = self.array(written=True)
        y = self.array()
        ways = [f"for row in {x}:\n        row += 1.0", f"for k in range(1, len({x})):\n        {x}[k] += {x}[k - 1]"]
        ways += [
            f"for k in range(len({x})):\n        {x}[k] = {x}[-k]",
            f"for k in range(2):\n        {x}[k:] -= {y}[0]",
        ]
        ways += [f"for k in i:\n        {x}[k] *= 2.0", f"if {y}.sum() > 0:\n        {x}[0] = {y}.max(initial=0.0)"]
        return self.pick(ways)

    def step(self) -> None:
        kind = self.pick(["view", "view", "view", "write", "write", "write", "write", "value", "loop"])
        values = dict(self.values)
        before = {name: value.copy() for name, value in values.items() if isinstance(value, np.ndarray)}
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                line = getattr(self, kind)()
                exec(line.replace("\n        ", "\n "), {"np": np}, values)
        except Exception:
            for name, old in before.items():  # what a loop wrote before it failed
                if values[name].flags.writeable:
                    values[name][...] = old
            return
        arrays = {name: x for name, x in values.items() if isinstance(x, np.ndarray) and x.dtype == float}
        arrays["i"] = values["i"]
        if len(arrays) < len(self.values) or any(x.size > MOST_ELEMENTS for x in arrays.values()):
            return
        if any(np.abs(x).max(initial=0) > 1e6 for x in arrays.values()):
            return
        self.lines.append(line)
        self.values = arrays


@st.composite
def mutations(draw: Any, most: int = 8) -> Program:
    """A function ``f(a, b, v, i)`` that changes its arguments through views and returns some of what it made."""
    writer = Writer(draw)
    for _ in range(draw(st.integers(1, most))):
        writer.step()
    results = draw(st.lists(st.sampled_from(list(writer.values)), min_size=1, max_size=3))
    body = "".join(f"    {line}\n" for line in writer.lines)
    text = f"def f({', '.join(PARAMETERS)}):\n{body}    return {', '.join(results)},\n"
    return Program(text, compiled_text(text))
