"""Random programs with loops, branches and early ends, written as text.

A program takes two arrays of n numbers, a number and an int. All numbers stay small and exact (each is taken modulo
something, and all are halves or quarters of ints), so that results are equal and not merely close; indices are taken
modulo n. Programs may use a variable that no turn has set: then they raise, compiled or not.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.util.programs import Program, compiled_text

__all__ = ["flows"]

RESULTS = "return a, b, m, float(s), float(t), int(k), out"
START = """\
def f(a, b, s, k):
    n = len(a)
    t = 1.0
    m = np.zeros((n, 4))
    out = []
"""
MOST_DEPTH = 3


class Writer:
    """Lines of a program, and the loops that the next one would be in."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.depth = 0
        self.indices: list[str] = []
        self.loops = 0
        self.appends = self.chance(3)

    def pick(self, *items: str) -> str:
        return self.draw(st.sampled_from(items))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(1, one_in)) == one_in

    def write(self, line: str) -> None:
        self.lines.append("    " * (1 + self.depth) + line)

    # ------------------------------------------------------------------------------------------------ expressions

    def index(self) -> str:
        turns = [
            text.format(i) for i in self.indices for text in ("{} % n", "{} % n", "({} * 3 + 1) % n", "-1 - {} % n")
        ]
        return self.pick("0", "-1", "k % n", "int(s) % n", *turns)

    def element(self) -> str:
        return self.pick(f"{self.array()}[{self.index()}]", f"m[{self.index()}, {self.pick('0', '-1', 'k % 4')}]")

    def array(self) -> str:
        return self.pick("a", "b")

    def number(self, depth: int = 0) -> str:
        kind = (
            "leaf"
            if depth > 2
            else self.pick("leaf", "leaf", "element", "element", "sum", "call", "two", "two", "choice")
        )
        if kind == "leaf":
            return self.pick("s", "t", "k", "n", "1", "2", "3.0", "0.5", *self.indices)
        if kind == "element":
            return self.element()
        if kind == "sum":
            return self.pick(f"{self.array()}.sum()", f"np.max({self.array()})", "m.min()", f"len({self.array()})")
        one = self.number(depth + 1)
        if kind == "call":
            return self.pick(f"abs({one})", f"max({one}, 2)", f"min({one}, {self.number(depth + 1)})", f"-{one}")
        if kind == "choice":
            return f"({one} if {self.condition(depth + 1)} else {self.number(depth + 1)})"
        return f"({one} {self.pick('+', '-', '*')} {self.number(depth + 1)})"

    def small(self) -> str:
        return f"({self.number()}) % {self.pick('5', '7', '11')}"

    def condition(self, depth: int = 0) -> str:
        kind = "compare" if depth > 1 else self.pick(*["compare"] * 6, "not", "both", "both", "chain")
        if kind == "not":
            return f"not ({self.condition(depth + 1)})"
        if kind == "both":
            return f"({self.condition(depth + 1)}) {self.pick('and', 'or')} ({self.condition(depth + 1)})"
        one, other = self.number(depth + 1), self.number(depth + 1)
        if kind == "chain":
            return f"0 < {one} <= {other}"
        return f"{one} {self.pick('<', '>', '<=', '!=', '==')} {other}"

    # ------------------------------------------------------------------------------------------------ statements

    def assignment(self) -> None:
        number = self.pick("s", "t")
        self.write(
            self.pick(
                f"{number} = {self.small()}",
                f"{number} {self.pick('+=', '-=')} {self.small()}",
                f"k = (k + {self.pick('1', '2', *self.indices)}) % 9",
                "s, t = t, s",
            )
        )

    def store(self) -> None:
        left, right = self.draw(
            st.sampled_from(
                [(":", ":"), ("1:", ":-1"), (":-1", "1:"), ("::2", "::2"), (":", "::-1")]
                + [(part, part) for i in ("k", *self.indices) for part in (f":{i} % n", f"{i} % n:")]
            )
        )
        written, read = self.array(), self.array()
        self.write(
            self.pick(
                f"{self.element()} = {self.small()}",
                f"{self.element()} = {self.small()}",
                f"{written}[{left}] = ({read}[{right}] {self.pick('+', '*')} {self.pick('1', '2', 's')}) % 7",
                f"m[:, {self.pick('0', '-1', 'k % 4')}] = {read}",
                f"m[{self.index()}] = {self.small()}",
                f"{written} += {self.pick('1', '2', 'k')}",
                f"{written}[{read} > {self.pick('1', 'k', 's')}] = {self.small()}",
            )
        )

    def rebind(self) -> None:
        one, other = self.array(), self.array()
        self.write(
            self.pick(
                f"{one} = ({one} {self.pick('+', '-')} {other}) % 5",
                f"{one} = np.where({one} > {self.small()}, {one}, {other})",
                "a, b = b, a",
                f"{one} = {other}.copy()",
            )
        )

    def append(self) -> None:
        if self.appends:
            self.write(f"out.append(float({self.small()}))")
        else:
            self.assignment()

    def leave(self) -> None:
        if self.indices:
            self.write(f"if {self.condition()}:")
            self.depth += 1
            self.write(self.pick("break", "continue", RESULTS))
            self.depth -= 1
        else:
            self.assignment()

    def branch(self) -> None:
        self.write(f"if {self.condition()}:")
        self.block(2)
        if self.chance(3):
            self.write(f"elif {self.condition()}:")
            self.block(2)
        if self.chance(2):
            self.write("else:")
            self.block(2)

    def loop(self) -> None:
        self.loops += 1
        index, stop = f"i{self.loops}", self.pick("n", "6", "n - 1", "k", "k + 1", "7", *self.indices)
        kind = self.pick("range", "range", "range", "from", "down", "while", "items", "pairs")
        opening = {
            "range": f"for {index} in range({stop}):",
            "from": f"for {index} in range(1, {stop}):",
            "down": f"for {index} in range({stop} - 1, -1, -1):",
            "items": f"for {index}, item in enumerate({self.array()}):",
            "pairs": f"for {index}, (left, right) in enumerate(zip(a, m)):",
        }
        if kind == "while":
            self.write(f"{index} = 0")
            self.write(f"while {index} < {stop} and {self.condition()}:")
            self.write(f"    {index} += 1")
        else:
            self.write(opening[kind])
        self.indices.append(index)
        self.block(3)
        self.indices.pop()

    def step(self) -> None:
        kinds = ["assignment"] * 3 + ["store"] * 4 + ["rebind", "append", "leave"]
        if self.depth < MOST_DEPTH:
            kinds += ["branch"] * 2 + ["loop"] * (3 if len(self.indices) < 2 else 0)
        getattr(self, self.pick(*kinds))()

    def block(self, most: int) -> None:
        self.depth += 1
        for _ in range(self.draw(st.integers(1, most))):
            self.step()
        self.depth -= 1


@st.composite
def flows(draw: Any, most: int = 6) -> Program:
    """A function ``f(a, b, s, k)`` that returns all of its variables, wherever it ends."""
    writer = Writer(draw)
    for _ in range(draw(st.integers(2, most))):
        writer.step()
    writer.write(RESULTS)
    text = START + "\n".join(writer.lines) + "\n"
    return Program(text, compiled_text(text))
