"""Rewrites the syntax of functions, so that calls and reads of outside names come to us before Python does them.

Purely syntactic: one method for each kind of node, no types, line numbers kept. What the rewritten constructs do is in
``calls.py``; outside a trace they do what Python does. Code without source runs as it is.
"""

from __future__ import annotations

import ast
import builtins
import os
import threading
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tracejit.trace.captures import GROWING
from tracejit.trace.flow_syntax import capture_flow
from tracejit.trace.source import compiled_like, find_definition
from tracejit.trace.tail_calls import as_loop

__all__ = ["HOOK", "let_loop", "rewritten_code"]

HOOK = "__tracejit__"
_UNTOUCHED_CALLS = frozenset(("super", "locals", "globals", "vars", "dir", "eval", "exec", "__import__", "breakpoint"))
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_codes: dict[CodeType, CodeType | None] = {}
_as_loops: set[CodeType] = set()  # of functions that call themselves as their last act, if traced otherwise in vain
_made: set[CodeType] = set()  # rewritten codes, and those of the functions inside them
_rewriting = threading.RLock()  # CPython 3.11 counts recursion wrongly where two threads turn syntax into objects


def _unlock_after_fork() -> None:
    global _rewriting
    _rewriting = threading.RLock()


if hasattr(os, "register_at_fork"):  # a child never gets a lock that another thread was holding
    os.register_at_fork(after_in_child=_unlock_after_fork)


def rewritten_code(function: FunctionType) -> CodeType | None:
    """The function's code with rewritten syntax, or None without source; remembered by code object."""
    code = function.__code__
    if code not in _codes:
        with _rewriting:
            try:
                _codes[code] = _rewrite(function, code in _as_loops)
            except (OSError, SyntaxError, ValueError):
                _codes[code] = None
    return _codes[code]


def let_loop(function: FunctionType) -> bool:
    """Let a function that calls itself as its last act be a loop from now on; False where it is not like that."""
    code = function.__code__
    if code in _as_loops:
        return False
    node = None if code in _made else find_definition(code, function.__globals__)
    if node is None or not as_loop(node):
        return False
    with _rewriting:
        _as_loops.add(code)
        _codes.pop(code, None)
    return True


def _rewrite(function: FunctionType, loop: bool) -> CodeType | None:
    code = function.__code__
    node = None if code in _made else find_definition(code, function.__globals__)
    if node is None:
        return None
    if loop:
        as_loop(node)
    capture_flow(node, HOOK)
    result = compiled_like(code, _Rewriter(function).function(node), HOOK)
    new = [result] if result is not None else []
    while new:
        _made.add(made := new.pop())
        new.extend(c for c in made.co_consts if isinstance(c, CodeType))
    return result


def is_rewritten(function: Any) -> bool:
    """Whether a function, or the one of a method, is one that was rewritten or a function inside of one."""
    return getattr(getattr(function, "__func__", function), "__code__", None) in _made


# ----------------------------------------------------------------------------------------------------------- rewriting


class _Bindings(ast.NodeVisitor):
    """The names that a function binds itself, without those of functions inside it."""

    def __init__(self) -> None:
        self.bound: set[str] = set()
        self.outside: set[str] = set()  # declared global or nonlocal

    @classmethod
    def of(cls, node: Any) -> _Bindings:
        found = cls()
        arguments = node.args
        for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if a is not None:
                found.bound.add(a.arg)
        for statement in node.body if isinstance(node.body, list) else [node.body]:
            found.visit(statement)
        found.bound -= found.outside
        return found

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)

    def visit_FunctionDef(self, node: Any) -> None:
        self.bound.add(node.name)
        for child in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(child)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.bound.add(node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for child in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(child)

    def visit_comprehension_expression(self, node: Any) -> None:
        # Its targets are its own; an assignment expression inside binds in the function.
        for child in ast.walk(node):
            if isinstance(child, ast.NamedExpr):
                self.bound.add(child.target.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_expression

    def visit_Global(self, node: ast.Global) -> None:
        self.outside.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.outside.update(node.names)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bound.add(node.name)
        self.generic_visit(node)

    def visit_Import(self, node: Any) -> None:
        self.bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)

    visit_ImportFrom = visit_Import

    def visit_MatchAs(self, node: Any) -> None:
        if node.name:
            self.bound.add(node.name)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.bound.add(node.rest)
        self.generic_visit(node)


def _stays_plain(value: Any) -> bool:
    """Whether a global of this value need not be watched: what programs do not rebind."""
    return isinstance(value, (ModuleType, type, np.ufunc)) or (
        callable(value) and (getattr(value, "__module__", None) or "").split(".")[0] in ("numpy", "builtins", "math")
    )


class _Rewriter(ast.NodeTransformer):
    """Puts the hook in front of calls, outside names, attributes, subscripts, iteration and in-place operators."""

    def __init__(self, function: FunctionType) -> None:
        self.namespace = function.__globals__
        self.free = frozenset(function.__code__.co_freevars)
        self.names = frozenset(_names_in(function.__code__))
        self.scopes: list[set[str]] = []
        self.declared: list[set[str]] = []

    # ------------------------------------------------------------------------------------------------------- helpers

    def _hook(self, method: str, *arguments: ast.expr, like: ast.AST) -> ast.Call:
        function = ast.Attribute(ast.Name(HOOK, ast.Load()), method, ast.Load())
        call = ast.Call(function, list(arguments), [])
        ast.copy_location(call, like)
        for node in (function, function.value):
            # Python puts the line of a method call where the name of the method ends: here that is where `like` begins.
            ast.copy_location(node, like)
            node.end_lineno, node.end_col_offset = call.lineno, call.col_offset
        return call

    def _attribute(self, name: str) -> str | None:
        """The name under which an attribute is found; None where nobody knows how Python has mangled it."""
        if not _is_private(name) or name in self.names:
            return name
        mangled = [own for own in self.names if own.endswith(name) and own.startswith("_")]
        return mangled[0] if len(mangled) == 1 else None

    def _constant(self, value: Any, like: ast.AST) -> ast.expr:
        return ast.copy_location(ast.Constant(value), like)

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self.scopes)

    def _plain_module(self, node: ast.expr) -> bool:
        """Whether an expression is the name of a module, such as ``np``, or an attribute path of one."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return (
            isinstance(node, ast.Name)
            and not self._is_local(node.id)
            and node.id not in self.free
            and isinstance(self.namespace.get(node.id), ModuleType)
            and self.namespace[node.id].__name__.split(".")[0] in ("numpy", "math", "scipy", "tracejit", "operator")
        )

    # ----------------------------------------------------------------------------------------------------- functions

    def function(self, node: Any) -> Any:
        """The definition with rewritten body, without decorators, defaults and annotations."""
        return self._body(node, outermost=True)

    def _body(self, node: Any, *, outermost: bool = False) -> Any:
        if not outermost:
            node.args.defaults = [self.visit(d) for d in node.args.defaults]
            node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
            if not isinstance(node, ast.Lambda):
                node.decorator_list = [self.visit(d) for d in node.decorator_list]
        else:
            _strip_signature(node)
        bindings = _Bindings.of(node)
        self.scopes.append(bindings.bound)
        self.declared.append(bindings.outside)
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        else:
            node.body = [s for statement in node.body for s in _as_list(self.visit(statement))]
        self.scopes.pop()
        self.declared.pop()
        return node

    def visit_FunctionDef(self, node: Any) -> Any:
        return self._body(node)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return node  # a class made inside a function stays as it is

    def visit_Match(self, node: ast.Match) -> Any:
        self.generic_visit(node)
        node.subject = self._hook("opened", node.subject, like=node.subject)
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        return node  # patterns are no expressions

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        return node

    def visit_Delete(self, node: ast.Delete) -> Any:
        """Attributes are deleted by the hook, one by one."""
        statements: list[ast.stmt] = []
        for target in node.targets:
            name = self._attribute(target.attr) if isinstance(target, ast.Attribute) else None
            if isinstance(target, ast.Attribute) and name is not None:
                call = self._hook("del_attr", self.visit(target.value), self._constant(name, target), like=target)
                statements.append(ast.copy_location(ast.Expr(call), node))
            else:
                statements.append(ast.copy_location(ast.Delete([self.visit(target)]), node))
        return statements

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if isinstance(node.target, ast.Attribute) and node.value is not None:
            return self.visit_Assign(ast.copy_location(ast.Assign([node.target], node.value), node))
        node.target = self.visit(node.target)
        node.value = node.value and self.visit(node.value)
        return node

    def _comprehension(self, node: Any) -> Any:
        targets = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        self.scopes.append(targets)
        self.generic_visit(node)
        self.scopes.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        if not node.is_async:
            node.iter = self._hook("iterate", node.iter, like=node.iter)
        return node

    # --------------------------------------------------------------------------------------------------- expressions

    def visit_Name(self, node: ast.Name) -> Any:
        name = node.id
        if not isinstance(node.ctx, ast.Load) or name == HOOK:
            return node
        if self._is_local(name):
            return self._unset(node) if getattr(node, "traced_unset", False) else node
        if name in self.free:
            return self._hook("free", self._constant(name, node), node, like=node)
        if name not in self.namespace:
            if hasattr(builtins, name):
                return node
        elif _stays_plain(self.namespace[name]):
            return node
        return self._hook("glob", self._constant(name, node), node, like=node)

    def _unset(self, node: ast.Name) -> ast.expr:
        """The read of a variable that may have no value."""
        name = self._constant(node.id, node)
        none = ast.arguments([], [], None, [], [], None, [])
        later = ast.copy_location(ast.Lambda(none, ast.copy_location(ast.Name(node.id, ast.Load()), node)), node)
        return self._hook("variable", name, later, self._constant(not getattr(node, "unset", False), node), like=node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if self._plain_module(node.value):
            return node
        node.value = self.visit(node.value)
        if isinstance(node.ctx, ast.Load) and (name := self._attribute(node.attr)) is not None:
            return self._hook("attr", node.value, self._constant(name, node), like=node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        node.value = self.visit(node.value)
        node.slice = self.visit(node.slice)
        if isinstance(node.ctx, ast.Load):
            return self._hook("item", node.value, self._index(node.slice), like=node)
        node.value = self._hook("target", node.value, like=node.value)
        return node

    def _index(self, index: ast.expr) -> ast.expr:
        """A subscript as an ordinary expression: slices become calls of ``slice``."""
        if isinstance(index, ast.Slice):
            parts = [part or self._constant(None, index) for part in (index.lower, index.upper, index.step)]
            return self._hook("slice", *parts, like=index)
        if isinstance(index, ast.Tuple):
            index.elts = [self._index(item) for item in index.elts]
        return index

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        pieces = [self._piece(value) for value in node.values]
        return self._hook("joined", *pieces, like=node)

    def _piece(self, node: ast.expr) -> ast.expr:
        """A piece of an f-string: a text, or ``(value, conversion, format)``."""
        if not isinstance(node, ast.FormattedValue):
            return node
        spec = self._constant("", node) if node.format_spec is None else self.visit(node.format_spec)
        parts = [self.visit(node.value), self._constant(node.conversion, node), spec]
        return ast.copy_location(ast.Tuple(parts, ast.Load()), node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return self._hook("percent", node.left, node.right, like=node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", None) == HOOK:
            node.args = [self.visit(argument) for argument in node.args]
            return node
        if isinstance(node.func, ast.Name) and node.func.id in _UNTOUCHED_CALLS and not self._is_local(node.func.id):
            return node
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in GROWING:
            owner = self._grown(function.value)
            function = self._hook("attr", owner, self._constant(function.attr, function), like=function)
        else:
            function = self.visit(function)
        call = self._hook("call", function, *map(self.visit, node.args), like=node)
        call.keywords = list(map(self.visit, node.keywords))
        return call

    def _grown(self, node: ast.expr) -> ast.expr:
        """An expression for a list that is only made longer: what it contains does not matter."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            read = self.visit(node)
        elif isinstance(node, ast.Subscript):
            read = self._hook("item", self._grown(node.value), self._index(self.visit(node.slice)), like=node)
        else:
            return self.visit(node)  # type: ignore[no-any-return]
        if isinstance(read, ast.Call):
            read.keywords.append(ast.keyword("grown", self._constant(True, node)))
        return read  # type: ignore[no-any-return]

    # ---------------------------------------------------------------------------------------------------- statements

    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        node.iter = self._hook("iterate", node.iter, like=node.iter)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        if len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Attribute) and (attribute := self._attribute(target.attr)) is not None:
                name = self._constant(attribute, target)
                return ast.copy_location(
                    ast.Expr(self._hook("set_attr", node.value, target.value, name, like=node)), node
                )
            if isinstance(target, ast.Name):
                node.value = self._kept_outside(target.id, node.value)
                return node
        return self._several(node)

    def _several(self, node: ast.Assign) -> Any:
        """An assignment to several targets: attributes and outside names among them get their values one by one."""
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, (ast.Tuple, ast.List)):
            if not isinstance(node.value, (ast.Tuple, ast.List)):
                pattern = self._constant(_pattern(target), node.value)
                node.value = self._hook("unpacked", node.value, pattern, like=node.value)
        later: list[ast.stmt] = []

        def replaced(target: ast.expr) -> ast.expr:
            if isinstance(target, (ast.Tuple, ast.List)):
                target.elts = [replaced(item) for item in target.elts]
                return target
            attribute = self._attribute(target.attr) if isinstance(target, ast.Attribute) else None
            if attribute is None and not (isinstance(target, ast.Name) and self._is_declared(target.id)):
                return target
            name = f"{HOOK}{len(later)}"
            value = ast.copy_location(ast.Name(name, ast.Load()), target)
            if isinstance(target, ast.Attribute):
                call = self._hook("set_attr", value, target.value, self._constant(attribute, target), like=target)
                later.append(ast.copy_location(ast.Expr(call), node))
            elif isinstance(target, ast.Name):
                later.append(ast.copy_location(ast.Assign([target], self._kept_outside(target.id, value)), node))
            return ast.copy_location(ast.Name(name, ast.Store()), target)

        node.targets = [replaced(target) for target in node.targets]
        return [node, *later]

    def _is_declared(self, name: str) -> bool:
        """Whether a name is one of outside that is declared global or nonlocal here."""
        return bool(self.declared) and name in self.declared[-1] and not any(name in s for s in self.scopes[:-1])

    def _kept_outside(self, name: str, value: ast.expr) -> ast.expr:
        """Values for names declared global or nonlocal must not be traced."""
        if self._is_declared(name):
            return self._hook("outside", self._constant(name, value), value, like=value)
        return value

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        target = node.target
        operation = self._constant(type(node.op).__name__, node)
        value = self.visit(node.value)
        if isinstance(target, ast.Name):
            read = ast.copy_location(ast.Name(target.id, ast.Load()), target)
            for mark in ("unset", "traced_unset"):
                setattr(read, mark, getattr(target, mark, False))
            load = self.visit(read)
            result = self._hook("augment", operation, load, value, like=node)
            assigned = ast.Assign([target], self._kept_outside(target.id, result))
            return ast.copy_location(assigned, node)
        if isinstance(target, ast.Attribute):
            owner = self.visit(target.value)
            attribute = self._attribute(target.attr)
            if attribute is None:
                node.value = value
                return node
            name = self._constant(attribute, target)
            call = self._hook("augment_attr", operation, owner, name, value, like=node)
            return ast.copy_location(ast.Expr(call), node)
        owner = self.visit(target.value)
        index = self._index(self.visit(target.slice))
        call = self._hook("augment_item", operation, owner, index, value, like=node)
        return ast.copy_location(ast.Expr(call), node)


def _pattern(target: ast.Tuple | ast.List) -> tuple[Any, ...]:
    """For each item of an assigned tuple its own pattern, or None for a single target."""
    return tuple(_pattern(item) if isinstance(item, (ast.Tuple, ast.List)) else None for item in target.elts)


def _names_in(code: CodeType) -> Iterator[str]:
    """The names of attributes and globals in a function and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _is_private(name: str) -> bool:
    """Whether Python mangles an attribute's name inside a class."""
    return name.startswith("__") and not name.endswith("__")


def _strip_signature(node: Any) -> None:
    """Defaults come with the function object; annotations and decorators have done their work."""
    arguments = node.args
    missing = ast.copy_location(ast.Constant(None), node)
    arguments.defaults = [missing for _ in arguments.defaults]
    arguments.kw_defaults = [None if d is None else missing for d in arguments.kw_defaults]
    if isinstance(node, ast.Lambda):
        return
    node.decorator_list = []
    node.returns = None
    for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if a is not None:
            a.annotation = None


def _as_list(result: Any) -> Iterable[ast.stmt]:
    return result if isinstance(result, list) else [result]
