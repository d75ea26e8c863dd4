"""Expressions in NumPy as text, many at a time: each does compiled what it does in NumPy, results, types and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tracejit as tj
from tests.util.compare import Outcome, assert_same_outcome, outcome_of
from tests.util.programs import compiled_text

__all__ = ["check_expressions", "check_statements"]


def check_expressions(
    expressions: Sequence[str], names: dict[str, Any], *, ulps: float = 0, text: bool = True, alone: bool = False
) -> None:
    """Those that NumPy computes are compiled as one program and compared one by one; each error has its own program.

    alone: each in its own program in any case.
    """
    parameters, arguments = ", ".join(names), tuple(names.values())
    good: list[tuple[str, Outcome]] = []
    problems = []
    for expression in expressions:
        function = compiled_text(f"def f({parameters}):\n    return {expression}\n")
        expected = outcome_of(function, arguments, {})
        if expected.error is None and not alone:
            good.append((expression, expected))
        else:
            problems += _differences(expression, tj.jit(function, exact=True), arguments, expected, ulps, text)
    if good:
        body = "".join(f"        {expression},\n" for expression, _ in good)
        function = compiled_text(f"def f({parameters}):\n    return (\n{body}    )\n")
        actual = outcome_of(tj.jit(function, exact=True), arguments, {})
        if actual.error is not None:  # one of them is to blame
            for expression, expected in good:
                function = compiled_text(f"def f({parameters}):\n    return {expression}\n")
                problems += _differences(expression, tj.jit(function, exact=True), arguments, expected, ulps, text)
            problems = problems or [f"together: {actual.error!r}"]
        else:
            for (expression, expected), result in zip(good, actual.result, strict=True):
                own = Outcome(result, None, actual.given, actual.arguments)
                problems += _compared(expression, own, expected, ulps, text)
    assert not problems, f"{len(problems)} differ:\n" + "\n".join(problems[:40])


def check_statements(programs: Sequence[str], names: dict[str, Any], *, ulps: float = 0, text: bool = True) -> None:
    """Bodies of functions, each a program of its own, in lines or with ``; ``; arguments are compared afterwards."""
    problems = []
    for program in programs:
        body = "".join(f"    {line}\n" for line in program.split("\n" if "\n" in program else "; "))
        function = compiled_text(f"def f({', '.join(names)}):\n{body}")
        arguments = tuple(names.values())
        expected = outcome_of(function, arguments, {})
        problems += _differences(program, tj.jit(function, exact=True), arguments, expected, ulps, text)
    assert not problems, f"{len(problems)} differ:\n" + "\n".join(problems[:40])


def _differences(name: str, jitted: Any, arguments: Any, expected: Outcome, ulps: float, text: bool) -> list[str]:
    for _ in range(2):  # the second call goes through machine code
        found = _compared(name, outcome_of(jitted, arguments, {}), expected, ulps, text)
        if found:
            return found
    return []


def _compared(name: str, actual: Outcome, expected: Outcome, ulps: float, text: bool) -> list[str]:
    try:
        assert_same_outcome(actual, expected, ulps, text=text)
    except Exception as problem:
        return [f"{name}: {type(problem).__name__}: {str(problem).strip()[:600]}"]
    return []
