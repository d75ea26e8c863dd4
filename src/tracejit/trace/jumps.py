"""Removes ``break``, ``continue`` and early ``return`` from a function's syntax tree: flags and branches say the same.

What follows a branch that always jumps moves into the other branch; elsewhere a flag guards what follows. After that a
loop body is a block with one end, and so is a function: captured control flow needs no more than that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["PREFIX", "without_jumps"]

PREFIX = "__tracejit_"
RETURNED, VALUE, STOPPED = PREFIX + "returned", PREFIX + "value", PREFIX + "stopped"
_LOOPS = (ast.For, ast.While)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def without_jumps(function: Any, hook: str) -> None:
    """Rewrite a definition in place; a loop that is left early names its flag in ``node.stopped``.

    Where the end may be reached without a return, ``hook`` is asked what the function gives.
    """
    if any(_returns_inside(statement) for statement in function.body):
        worker = _Jumps(returns=True)
        complete = _always_jumps(function.body)
        body = worker.block(function.body, None)
        at = function.body[0]
        first = [_assign(RETURNED, ast.Constant(False), at), _assign(VALUE, ast.Constant(None), at)]
        result: ast.expr = ast.Name(VALUE, ast.Load())
        if not complete:
            asked = ast.Attribute(ast.Name(hook, ast.Load()), "finished", ast.Load())
            result = ast.Call(asked, [result, ast.Name(RETURNED, ast.Load())], [])
        last = ast.fix_missing_locations(ast.copy_location(ast.Return(result), function.body[-1]))
        function.body = [*first, *body, last]
    else:
        function.body = _Jumps(returns=False).block(function.body, None)


def _returns_inside(statement: ast.stmt) -> bool:
    """Whether a compound statement has a ``return`` in it."""
    return not isinstance(statement, ast.Return) and any(isinstance(n, ast.Return) for n in _own_nodes(statement))


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement, without those of functions and classes inside it."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, _SCOPES):
            continue
        yield current
        stack.extend(ast.iter_child_nodes(current))


def _assign(name: str, value: ast.expr, like: ast.AST) -> ast.stmt:
    node = ast.Assign([ast.Name(name, ast.Store())], value)
    return ast.fix_missing_locations(ast.copy_location(node, like))


class _Loop:
    """The flags of the loop around a block."""

    def __init__(self, number: int) -> None:
        self.stopped = f"{STOPPED}{number}"
        self.skipped = f"{PREFIX}skipped{number}"
        self.stops = False
        self.skips = False


class _Jumps:
    """Goes through the blocks of one function."""

    def __init__(self, *, returns: bool) -> None:
        self.returns = returns
        self.count = 0

    def block(self, statements: Sequence[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        """The block without jumps."""
        done: list[ast.stmt] = []
        for position, statement in enumerate(statements):
            jump = self._jump(statement, loop)
            if jump is not None:
                return [*done, *jump]
            rest = statements[position + 1 :]
            if isinstance(statement, ast.If) and self._flags(statement, loop):
                return [*done, *self._branch(statement, rest, loop)]
            flags = self._flags(statement, loop)
            done.extend(self._inside(statement, loop))
            if flags and rest:
                return [*done, self._guarded(flags, rest, loop, statement)]
        return done

    def _jump(self, statement: ast.stmt, loop: _Loop | None) -> list[ast.stmt] | None:
        """What a jump becomes; None for other statements."""
        if isinstance(statement, ast.Return) and self.returns:
            value = statement.value or ast.copy_location(ast.Constant(None), statement)
            result = [_assign(VALUE, value, statement), _assign(RETURNED, ast.Constant(True), statement)]
            if loop is not None:
                loop.stops = True
                result.append(_assign(loop.stopped, ast.Constant(True), statement))
            return result
        if isinstance(statement, ast.Break) and loop is not None:
            loop.stops = True
            return [_assign(loop.stopped, ast.Constant(True), statement)]
        if isinstance(statement, ast.Continue) and loop is not None:
            loop.skips = True
            return [_assign(loop.skipped, ast.Constant(True), statement)]
        return None

    def _branch(self, node: ast.If, rest: Sequence[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        body, orelse = list(node.body), list(node.orelse)
        leftover: Sequence[ast.stmt] = ()
        if _always_jumps(body) and _always_jumps(orelse):
            pass
        elif _always_jumps(body):
            orelse += rest
        elif _always_jumps(orelse):
            body += rest
        else:
            leftover = rest
        flags = self._flags(node, loop)
        node.body = self.block(body, loop)
        node.orelse = self.block(orelse, loop)
        return [node, self._guarded(flags, leftover, loop, node)] if leftover else [node]

    def _inside(self, statement: Any, loop: _Loop | None) -> list[ast.stmt]:
        """A statement with its blocks rewritten; a loop comes with its flag."""
        if isinstance(statement, _LOOPS):
            return self._loop(statement, loop)
        scope = isinstance(statement, _SCOPES)
        for name in () if scope else ("body", "orelse", "finalbody"):
            if isinstance(getattr(statement, name, None), list):
                setattr(statement, name, self.block(getattr(statement, name), loop))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            part.body = self.block(part.body, loop)
        return [statement]

    def _loop(self, node: Any, outer: _Loop | None) -> list[ast.stmt]:
        self.count += 1
        loop = _Loop(self.count)
        body = self.block(node.body, loop)
        if loop.skips:
            body.insert(0, _assign(loop.skipped, ast.Constant(False), node.body[0]))
        node.body = body
        orelse = self.block(node.orelse, outer)
        node.orelse = []
        node.stopped = loop.stopped if loop.stops else None
        result: list[ast.stmt] = [node]
        if loop.stops:
            result.insert(0, _assign(loop.stopped, ast.Constant(False), node))
            if (
                outer is not None
                and self.returns
                and any(isinstance(n, ast.Name) and n.id == RETURNED for n in ast.walk(node))
            ):
                outer.stops = True
                leave = _assign(outer.stopped, ast.Constant(True), node)
                result.append(_if(ast.Name(RETURNED, ast.Load()), [leave], node))
        if orelse:
            result.extend([_if(_not([loop.stopped]), orelse, node)] if loop.stops else orelse)
        return result

    def _flags(self, statement: ast.stmt, loop: _Loop | None) -> list[str]:
        """The flags that a statement may set, so that what follows must look at them."""
        if isinstance(statement, _SCOPES) or self._jump_only(statement):
            return []
        found: list[str] = []
        nodes = list(_own_nodes(statement))
        if self.returns and any(_is_return(n) for n in nodes):
            found.append(RETURNED)
        if loop is not None:
            # The `else` of a loop inside belongs to this one: its jumps are jumps of this loop.
            parts = statement.orelse if isinstance(statement, _LOOPS) else [statement]
            inner = [node for part in parts for node in _own_nodes_outside_loops(part)]
            if any(isinstance(n, ast.Break) or _sets(n, loop.stopped) for n in inner):
                found.append(loop.stopped)
            if any(isinstance(n, ast.Continue) or _sets(n, loop.skipped) for n in inner):
                found.append(loop.skipped)
        return found

    @staticmethod
    def _jump_only(statement: ast.stmt) -> bool:
        return isinstance(statement, (ast.Return, ast.Break, ast.Continue, ast.Assign, ast.Expr))

    def _guarded(self, flags: list[str], rest: Sequence[ast.stmt], loop: _Loop | None, like: ast.AST) -> ast.stmt:
        return _if(_not(flags), self.block(rest, loop), like)


def _is_return(node: ast.AST) -> bool:
    return isinstance(node, ast.Return) or _sets(node, RETURNED)


def _sets(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)


def _own_nodes_outside_loops(node: ast.AST) -> Iterator[ast.AST]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, (*_SCOPES, *_LOOPS)):
            continue
        yield current
        stack.extend(ast.iter_child_nodes(current))


def _always_jumps(statements: Sequence[ast.stmt]) -> bool:
    """Whether a block never reaches its end."""
    for statement in statements:
        if isinstance(statement, (ast.Return, ast.Break, ast.Continue, ast.Raise)):
            return True
        if isinstance(statement, ast.If) and _always_jumps(statement.body) and _always_jumps(statement.orelse):
            return True
    return False


def _not(flags: Sequence[str]) -> ast.expr:
    tests: list[ast.expr] = [ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load())) for flag in flags]
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)


def _if(test: ast.expr, body: list[ast.stmt], like: ast.AST) -> ast.stmt:
    node = ast.If(test, body or [ast.Pass()], [])
    return ast.fix_missing_locations(ast.copy_location(node, like))
