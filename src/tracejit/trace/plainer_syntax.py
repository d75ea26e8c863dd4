"""Rewrites statements into plainer ones that mean the same: ``match`` into ``if``, assignments out of ``while`` tests.

The first step on a function's syntax tree. What cannot be rewritten stays, and a ``match`` that asks for classes then
asks a hook whether it may look at its subject.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from tracejit.trace.jumps import PREFIX

__all__ = ["make_plainer"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SELF_MATCHING = frozenset("bool bytearray bytes dict float frozenset int list set str tuple".split())


def make_plainer(function: Any, hook: str) -> None:
    """Rewrite the statements of a definition in place, without those of functions inside it."""
    function.body = _Plainer(hook).block(function.body)


class _Unfit(Exception):
    """A pattern that is no simple test."""


class _Plainer:
    def __init__(self, hook: str) -> None:
        self.hook = hook
        self.count = 0

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in statements for new in self.statement(statement)]

    def statement(self, node: Any) -> list[ast.stmt]:
        for name in () if isinstance(node, _SCOPES) else ("body", "orelse", "finalbody"):
            if isinstance(getattr(node, name, None), list):
                setattr(node, name, self.block(getattr(node, name)))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self.block(part.body)
        if isinstance(node, ast.Match):
            return self.match(node)
        if isinstance(node, ast.While) and any(isinstance(n, ast.NamedExpr) for n in ast.walk(node.test)):
            self.while_loop(node)
        return [node]

    def while_loop(self, node: ast.While) -> None:
        """``while (x := f()) > 0: ...``: the test becomes the first statement of a turn."""
        if any(isinstance(n, (ast.Break, ast.Continue)) for s in node.orelse for n in ast.walk(s)):
            return
        leave = ast.If(ast.UnaryOp(ast.Not(), node.test), [*node.orelse, ast.Break()], [])
        node.body = [ast.fix_missing_locations(ast.copy_location(leave, node.test)), *node.body]
        node.test = ast.copy_location(ast.Constant(True), node.test)
        node.orelse = []

    # --------------------------------------------------------------------------------------------------------- match

    def match(self, node: ast.Match) -> list[ast.stmt]:
        self.count += 1
        subject = f"{PREFIX}subject{self.count}"
        try:
            chain = self.chain(node.cases, subject)
        except _Unfit:
            if any(isinstance(n, ast.MatchClass) for case in node.cases for n in ast.walk(case.pattern)):
                asked = ast.Attribute(ast.Name(self.hook, ast.Load()), "matched", ast.Load())
                node.subject = _at(ast.Call(asked, [node.subject], []), node.subject)
            return [node]
        return [_at(ast.Assign([ast.Name(subject, ast.Store())], node.subject), node), *chain]

    def chain(self, cases: Sequence[Any], subject: str) -> list[ast.stmt]:
        """The cases from the first of these on."""
        if not cases:
            return []
        case, *rest = cases
        test, name = self.test(case.pattern, subject)
        bound = [] if name is None else [_at(ast.Assign([ast.Name(name, ast.Store())], _read(subject)), case.pattern)]
        following = self.chain(rest, subject)
        if case.guard is None:
            if test is None:
                return [*bound, *case.body]
            return [_at(ast.If(test, [*bound, *case.body], following), case.pattern)]
        if test is None:
            return [*bound, _at(ast.If(case.guard, case.body, following), case.guard)]
        if bound:
            raise _Unfit
        both = ast.BoolOp(ast.And(), [test, case.guard])
        return [_at(ast.If(both, case.body, following), case.pattern)]

    def test(self, pattern: Any, subject: str) -> tuple[ast.expr | None, str | None]:
        """The test of a pattern (None: it always fits), and the name that it binds to the subject."""
        if isinstance(pattern, ast.MatchValue):
            return _at(ast.Compare(_read(subject), [ast.Eq()], [pattern.value]), pattern), None
        if isinstance(pattern, ast.MatchSingleton):
            return _at(ast.Compare(_read(subject), [ast.Is()], [ast.Constant(pattern.value)]), pattern), None
        if isinstance(pattern, ast.MatchAs):
            if pattern.pattern is None:
                return None, pattern.name
            test, name = self.test(pattern.pattern, subject)
            if name is not None:
                raise _Unfit
            return test, pattern.name
        if isinstance(pattern, ast.MatchOr):
            parts = [self.test(part, subject) for part in pattern.patterns]
            tests = [test for test, name in parts if test is not None and name is None]
            if len(tests) < len(parts):
                raise _Unfit
            return _at(ast.BoolOp(ast.Or(), tests), pattern), None
        if isinstance(pattern, ast.MatchClass):
            return self.class_test(pattern, subject)
        raise _Unfit

    def class_test(self, pattern: ast.MatchClass, subject: str) -> tuple[ast.expr, str | None]:
        name = None
        if pattern.patterns or pattern.kwd_patterns:
            inside: Any = pattern.patterns[0] if pattern.patterns else None
            itself = isinstance(pattern.cls, ast.Name) and pattern.cls.id in _SELF_MATCHING
            if not itself or pattern.kwd_patterns or not isinstance(inside, ast.MatchAs) or inside.pattern is not None:
                raise _Unfit
            name = inside.name
        call = ast.Call(ast.Name("isinstance", ast.Load()), [_read(subject), pattern.cls], [])
        return _at(call, pattern), name


def _read(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _at(node: Any, like: ast.AST) -> Any:
    return ast.fix_missing_locations(ast.copy_location(node, like))
