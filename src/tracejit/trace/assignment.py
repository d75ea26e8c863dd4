"""Which reads of a function's own variables may find them without a value.

Forwards over a syntax tree. Such reads come to a hook: in a traced program a variable that only one side of a branch
sets, or only the turns of a loop, is there for some data only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.trace.liveness import assigned_names

__all__ = ["mark_unset_reads"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_MAYBE_SKIPPED = (*_SCOPES, *_COMPREHENSIONS, ast.BoolOp, ast.IfExp)
_Names = frozenset[str] | None  # that certainly have values; None: of a place that is never reached


def mark_unset_reads(function: Any, attribute: str) -> None:
    """Set an attribute of each node that reads, or changes, a variable that may have no value there."""
    own = assigned_names(function.body) - _declared(function)
    _Assignment(attribute, own).block(function.body, frozenset(_parameters(function)))


def _meet(ends: Iterable[_Names]) -> _Names:
    reached = [end for end in ends if end is not None]
    return frozenset.intersection(*reached) if reached else None


class _Assignment:
    def __init__(self, attribute: str, own: set[str]) -> None:
        self.attribute = attribute
        self.own = own
        self.breaks: list[list[_Names]] = []

    def block(self, statements: Sequence[ast.stmt], have: _Names) -> _Names:
        for statement in statements:
            if have is None:
                return None
            have = self.statement(statement, have)
        return have

    def statement(self, node: Any, have: frozenset[str]) -> _Names:
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is not None:
            return method(node, have)  # type: ignore[no-any-return]
        self.reads(node, have)
        return have | self._bound(node)

    def _bound(self, node: ast.AST) -> set[str]:
        """The names that an expression or simple statement certainly sets."""
        found: set[str] = set()
        stack: list[ast.AST] = [node]
        while stack:
            current = stack.pop()
            if isinstance(current, ast.Name) and not isinstance(current.ctx, ast.Load):
                found.add(current.id)
            elif isinstance(current, (ast.Import, ast.ImportFrom)):
                found.update((alias.asname or alias.name).split(".")[0] for alias in current.names)
            elif isinstance(current, ast.BoolOp):
                stack.append(current.values[0])
            elif isinstance(current, ast.IfExp):
                stack.append(current.test)
            elif not isinstance(current, _MAYBE_SKIPPED):
                stack.extend(ast.iter_child_nodes(current))
        return found

    def reads(self, node: ast.AST, have: frozenset[str]) -> None:
        """Mark the reads in an expression or simple statement."""
        known = have | self._bound(node) if not isinstance(node, ast.stmt) else have
        self._reads(node, known)

    def _reads(self, node: Any, known: frozenset[str]) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id in self.own and node.id not in known:
                setattr(node, self.attribute, True)
            return
        if isinstance(node, ast.ClassDef):
            return
        if isinstance(node, _SCOPES):
            known = known | _own_names(node)
        elif isinstance(node, _COMPREHENSIONS):
            targets = [n for g in node.generators for n in ast.walk(g.target)]
            known = known | {n.id for n in targets if isinstance(n, ast.Name)}
        elif isinstance(node, ast.expr):
            known = known | {n.target.id for n in ast.iter_child_nodes(node) if isinstance(n, ast.NamedExpr)}
        for child in ast.iter_child_nodes(node):
            self._reads(child, known)

    # ---------------------------------------------------------------------------------------------------- statements

    def visit_Delete(self, node: ast.Delete, have: frozenset[str]) -> _Names:
        return have - {target.id for target in node.targets if isinstance(target, ast.Name)}

    def visit_AnnAssign(self, node: ast.AnnAssign, have: frozenset[str]) -> _Names:
        self.reads(node, have)
        return have if node.value is None else have | self._bound(node)

    def visit_AugAssign(self, node: ast.AugAssign, have: frozenset[str]) -> _Names:
        self.reads(node, have)
        if isinstance(node.target, ast.Name) and node.target.id in self.own and node.target.id not in have:
            setattr(node.target, self.attribute, True)
        return have | self._bound(node)

    def visit_FunctionDef(self, node: Any, have: frozenset[str]) -> _Names:
        self.reads(node, have | {node.name})
        return have | {node.name}

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef, have: frozenset[str]) -> _Names:
        return have | {node.name}

    def visit_Return(self, node: ast.Return, have: frozenset[str]) -> _Names:
        self.reads(node, have)
        return None

    visit_Raise = visit_Return

    def visit_Continue(self, node: ast.Continue, have: frozenset[str]) -> _Names:
        return None

    def visit_Break(self, node: ast.Break, have: frozenset[str]) -> _Names:
        self.breaks[-1].append(have)
        return None

    def visit_If(self, node: ast.If, have: frozenset[str]) -> _Names:
        self.reads(node.test, have)
        have |= self._bound(node.test)
        return _meet([self.block(node.body, have), self.block(node.orelse, have)])

    def visit_For(self, node: Any, have: frozenset[str]) -> _Names:
        self.reads(node.iter, have)
        have |= self._bound(node.iter)
        self.breaks.append([])
        self.block(node.body, have | self._bound(node.target))
        return _meet([*self.breaks.pop(), self.block(node.orelse, have)])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While, have: frozenset[str]) -> _Names:
        self.reads(node.test, have)
        have |= self._bound(node.test)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value) and not getattr(node, "stopped", None)
        self.breaks.append([])
        self.block(node.body, have)
        return _meet([*self.breaks.pop(), None if endless else self.block(node.orelse, have)])

    def visit_With(self, node: Any, have: frozenset[str]) -> _Names:
        for item in node.items:
            self.reads(item, have)
            have |= self._bound(item)
        return self.block(node.body, have)

    visit_AsyncWith = visit_With

    def visit_Try(self, node: Any, have: frozenset[str]) -> _Names:
        ends = [self.block(handler.body, have | {handler.name or ""}) for handler in node.handlers]
        done = self.block(node.body, have)
        end = _meet([*ends, None if done is None else self.block(node.orelse, done)])
        last = self.block(node.finalbody, have)
        return None if end is None or last is None else end | last

    visit_TryStar = visit_Try

    def visit_Match(self, node: Any, have: frozenset[str]) -> _Names:
        self.reads(node.subject, have)
        ends: list[_Names] = []
        for case in node.cases:
            inside = have | assigned_names([case.pattern])
            if case.guard is not None:
                self.reads(case.guard, inside)
            ends.append(self.block(case.body, inside))
        last = node.cases[-1]
        certain = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
        return _meet([*ends, *([] if certain else [have])])


def _own_names(function: Any) -> set[str]:
    """The parameters and variables of a function inside."""
    body = function.body if isinstance(function.body, list) else [function.body]
    return (_parameters(function) | assigned_names(body)) - _declared(function)


def _parameters(function: Any) -> set[str]:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {a.arg for a in given if a is not None}


def _declared(function: Any) -> set[str]:
    """The names that a function, or one inside of it, declares to be another's."""
    return {n for node in ast.walk(function) if isinstance(node, (ast.Global, ast.Nonlocal)) for n in node.names}
