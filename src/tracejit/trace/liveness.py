"""Which names of a function are still needed where: what a loop carries from turn to turn, what a branch hands on.

Backwards over blocks without jumps (``jumps.py``). Cautious: a name that a nested function reads is needed everywhere.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from typing import Any, cast

__all__ = ["annotate", "assigned_names", "changed_lists", "given_names", "rebound_by_nested"]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def annotate(function: Any) -> None:
    """Give each loop ``node.carried`` and each loop and branch ``node.needed``: names read in it before it sets them
    (loops only), and names read after it."""
    walk = _Liveness(_read_by_nested(function) | rebound_by_nested(function))
    walk.block(function.body, set())


def _read_by_nested(function: Any) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(function):
        if node is not function and isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            found.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Store))
    return found


def rebound_by_nested(function: Any) -> set[str]:
    """The variables of the function that functions inside it may set."""
    own = {n for node in function.body for n in _nonlocals(node)}
    return own & ({a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)} | assigned_names(function.body))


def _nonlocals(node: ast.AST) -> set[str]:
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.update(n for s in ast.walk(inner) if isinstance(s, ast.Nonlocal) for n in s.names)
    return found


def assigned_names(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in the function that they belong to."""
    found: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, _DEFINITIONS):
            found.add(node.name)
            stack.extend(node.decorator_list)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, _COMPREHENSIONS):
            found.update(n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            continue
        found.update(_bound_by(node))
        stack.extend(ast.iter_child_nodes(node))
    return found


def _bound_by(node: Any) -> list[str]:
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, (ast.MatchAs, ast.MatchStar, ast.ExceptHandler)):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    return []


class _Liveness:
    def __init__(self, always: set[str]) -> None:
        self.always = always

    def block(self, statements: Sequence[ast.stmt], after: set[str]) -> set[str]:
        """The names that are needed before a block, given those needed after it."""
        live = set(after)
        for statement in reversed(statements):
            live = self.statement(statement, live)
        return live

    def statement(self, node: Any, after: set[str]) -> set[str]:
        if isinstance(node, ast.If):
            cast(Any, node).needed = after | self.always
            live = self.block(node.body, after) | self.block(node.orelse, after)
            return live | _reads(node.test)
        if isinstance(node, (ast.For, ast.While)):
            return self.loop(node, after)
        if isinstance(node, ast.With):
            live = self.block(node.body, after)
            for item in node.items:
                live |= _reads(item)
            return live
        if isinstance(node, ast.Try):
            return self.attempt(node, after)
        if isinstance(node, ast.Match):
            live = set(after) | _reads(node.subject)
            for case in node.cases:
                live |= self.block(case.body, after) | _reads(case.pattern)
                if case.guard is not None:
                    live |= _reads(case.guard)
            return live
        reads = _reads(node)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            after = after - {name for target in targets for name in _plain_targets(target)}
        return after | reads

    def loop(self, node: Any, after: set[str]) -> set[str]:
        test = _reads(node.test) if isinstance(node, ast.While) else set()
        own = set(_plain_targets(node.target)) if isinstance(node, ast.For) else set()
        flag = {node.stopped} if node.stopped else set()
        head: set[str] = set()
        while True:  # what one turn needs, the turn before has to keep
            inside = self.block(node.body, after | head | test | flag)
            following = (inside - own) | test | flag
            if following <= head:
                break
            head |= following
        node.carried = head | self.always
        node.needed = after | self.always
        first = _reads(node.iter) if isinstance(node, ast.For) else set()
        return after | head | first

    def attempt(self, node: ast.Try, after: set[str]) -> set[str]:
        final = self.block(node.finalbody, after)
        live = set(final)
        for handler in node.handlers:
            live |= self.block(handler.body, final) | (_reads(handler.type) if handler.type else set())
        live |= self.block(node.orelse, final)
        return self.block(node.body, live) | live


def _plain_targets(target: ast.expr) -> list[str]:
    """The names that a target certainly sets."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for item in target.elts for name in _plain_targets(item)]
    return _plain_targets(target.value) if isinstance(target, ast.Starred) else []


def _reads(node: ast.AST) -> set[str]:
    """Every name that an expression or simple statement may read."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Load, ast.Del))}
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        found.add(node.target.id)
    return found


def changed_lists(nodes: Iterable[ast.AST]) -> set[str]:
    """The names of what statements change by methods of lists, by assigning to items, and through ``heapq``."""
    found: set[str] = set()
    for node in (n for statement in nodes for n in ast.walk(statement)):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in _CHANGING:
                found.update(_root(function.value))
            name = getattr(function, "attr", getattr(function, "id", ""))
            if name in _HEAPS and node.args:
                found.update(_root(node.args[0]))
            found.update(GIVEN + argument for argument in given_names(node))
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            found.update(_root(node.value))
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            found.update(_root(node.target))
    return found


GIVEN = "*"  # in front of the name of what may be changed by a function that it is given to


def given_names(node: ast.Call) -> list[str]:
    """The names that a call hands to a function that may be the user's."""
    function = node.func
    if isinstance(function, ast.Name) and not hasattr(builtins, function.id):
        return [argument.id for argument in node.args if isinstance(argument, ast.Name)]
    return []


_CHANGING = frozenset(
    "append appendleft extend extendleft insert pop popleft remove clear sort reverse rotate add discard "
    "update setdefault".split()
)
_HEAPS = frozenset("heappush heappop heapify heapreplace heappushpop insort insort_left insort_right".split())


def _root(node: ast.AST) -> list[str]:
    """The name in front of subscripts."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return [node.id] if isinstance(node, ast.Name) else []
