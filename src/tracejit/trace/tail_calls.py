"""A function whose last act is to call itself, as a loop: ``return f(b, a % b)`` sets the parameters and goes round.

Used where a function calls itself under a traced condition, so that tracing would not come to an end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["as_loop"]

_INSIDE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class _UnfitError(Exception):
    """A call that is not the last act, or whose arguments are not the parameters."""


def as_loop(function: Any) -> bool:
    """Rewrite a definition in place, if all its calls of itself are last acts."""
    arguments = function.args
    if not isinstance(function, ast.FunctionDef) or arguments.vararg or arguments.kwarg:
        return False
    if any(isinstance(node, _INSIDE) for statement in function.body for node in ast.walk(statement)):
        return False  # it may keep the parameters of one call
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    positional = len(names) - len(arguments.kwonlyargs)
    try:
        body = [*_block(function.body, function.name, names, positional)]
    except _UnfitError:
        return False
    last = ast.Return(ast.Constant(None))
    loop = ast.While(ast.Constant(True), [*body, last], [])
    function.body = [ast.copy_location(loop, function.body[0])]
    ast.fix_missing_locations(function)
    return True


def _block(statements: Sequence[ast.stmt], name: str, names: list[str], positional: int) -> Iterator[ast.stmt]:
    for node in statements:
        if isinstance(node, ast.Return) and isinstance(node.value, ast.IfExp):
            choice = node.value
            sides: list[list[ast.stmt]] = [
                [ast.copy_location(ast.Return(value), node)] for value in (choice.body, choice.orelse)
            ]
            node = ast.copy_location(ast.If(choice.test, sides[0], sides[1]), node)
        if isinstance(node, ast.If):
            if _calls(node.test, name):
                raise _UnfitError
            node.body = [*_block(node.body, name, names, positional)]
            node.orelse = [*_block(node.orelse, name, names, positional)]
            yield node
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and _is_call(node.value, name):
            yield from _round(node, node.value, name, names, positional)
        elif _calls(node, name):
            raise _UnfitError
        else:
            yield node


def _round(node: ast.Return, call: ast.Call, name: str, names: list[str], positional: int) -> list[ast.stmt]:
    """The parameters of the next turn."""
    given: dict[str | None, ast.expr] = dict(zip(names[:positional], call.args, strict=False))
    keywords: dict[str | None, ast.expr] = {keyword.arg: keyword.value for keyword in call.keywords}
    if len(call.args) > positional or any(isinstance(a, ast.Starred) for a in call.args) or None in keywords:
        raise _UnfitError
    values = {**given, **keywords}
    if values.keys() != set(names) or any(_calls(value, name) for value in values.values()):
        raise _UnfitError
    targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in names]
    value = ast.Tuple([values[n] for n in names], ast.Load())
    assigned = ast.Assign([ast.Tuple(targets, ast.Store())], value)
    return [ast.copy_location(assigned, node), ast.copy_location(ast.Continue(), node)]


def _calls(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _is_call(node: ast.Call, name: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == name
