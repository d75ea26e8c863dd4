"""Turns loops, branches and truth tests of a function's syntax tree into calls of hooks with nested functions.

A nested function shares the variables of the function around it (``nonlocal``); the hooks of ``control.py`` read and
set them through its closure. Purely syntactic, before the rewriting of expressions in ``syntax.py``.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from tracejit.trace.assignment import mark_unset_reads
from tracejit.trace.comprehension_syntax import Comprehensions
from tracejit.trace.jumps import PREFIX, without_jumps
from tracejit.trace.liveness import (
    GIVEN,
    annotate,
    assigned_names,
    changed_lists,
    given_names,
    rebound_by_nested,
)
from tracejit.trace.plainer_syntax import make_plainer

__all__ = ["capture_flow"]

_BLOCKS = tuple(PREFIX + kind for kind in ("body", "test", "then", "else"))
_UNFIT = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)
_FORBIDDEN_NAMES = frozenset(("super", "locals", "vars", "exec", "eval", "__class__"))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def capture_flow(function: Any, hook: str) -> None:
    """Rewrite a definition (and the functions inside it) in place."""
    if isinstance(function, ast.Lambda):
        function.body = _Expressions(hook).visit(function.body)
        return
    if isinstance(function, ast.AsyncFunctionDef) or not _is_fit(function):
        return
    make_plainer(function, hook)
    mark_unset_reads(function, "unset")  # in Python
    without_jumps(function, hook)
    mark_unset_reads(function, "traced_unset")  # in the program, where what follows a jump is not left out
    annotate(function)
    statements = _Statements(hook, function)
    function.body = statements.block(function.body)
    if statements.shared:
        # Nested functions may only share variables that the function itself binds somewhere.
        names: list[ast.expr] = [ast.Name(name, ast.Store()) for name in sorted(statements.shared)]
        never = ast.If(ast.Constant(False), [ast.Assign(names, ast.Constant(None))], [])
        function.body.insert(0, ast.copy_location(never, function.body[0]))
    ast.fix_missing_locations(function)


def _is_fit(function: Any) -> bool:
    """Whether the function's blocks may become functions of their own."""
    for node in _own(function):
        if isinstance(node, _UNFIT) or (isinstance(node, ast.Name) and node.id in _FORBIDDEN_NAMES):
            return False
    return True


def _own(function: Any) -> list[ast.AST]:
    found: list[ast.AST] = []
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        if not isinstance(node, _SCOPES):
            found.append(node)
            stack.extend(ast.iter_child_nodes(node))
    return found


_REDUCTIONS = frozenset(("sum", "any", "all", "max", "min"))


def _flat_target(target: ast.expr) -> list[str] | None:
    """The names of a loop's target that is a name, or a tuple of names."""
    items = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
    names = [item.id for item in items if isinstance(item, ast.Name)]
    return names if len(names) == len(items) == len(set(names)) else None


class _Expressions(Comprehensions):
    """Truth tests inside expressions."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def call(self, method: str, *arguments: ast.expr, like: ast.AST) -> ast.expr:
        """A call of a hook."""
        function = ast.Attribute(ast.Name(self.hook, ast.Load()), method, ast.Load())
        node = ast.Call(function, list(arguments), [])
        ast.copy_location(node, like)
        for inner in (function, function.value):
            ast.copy_location(inner, like)
        return node

    def later(self, value: ast.expr) -> ast.expr:
        """An expression that is evaluated when it is asked for."""
        none = ast.arguments([], [], None, [], [], None, [])
        return ast.copy_location(ast.Lambda(none, value), value)

    def deferrable(self, *values: ast.expr) -> bool:
        """Whether expressions may move into functions of their own."""
        return not any(isinstance(n, (ast.NamedExpr, *_UNFIT)) for value in values for n in ast.walk(value))

    def visit_FunctionDef(self, node: Any) -> Any:
        capture_flow(node, self.hook)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        node.body = self.visit(node.body)
        return node

    def reduced(self, node: ast.Call) -> Any:
        """``sum(f(x) for x in xs)`` and the like become loops where they can."""
        self.generic_visit(node)
        generator = node.args[0] if node.args else None
        if not isinstance(node.func, ast.Name) or node.func.id not in _REDUCTIONS or node.keywords:
            return node
        if not isinstance(generator, ast.GeneratorExp) or len(generator.generators) != 1:
            return node
        (part,) = generator.generators
        names = _flat_target(part.target)
        inside = [generator.elt, *part.ifs]
        if names is None or part.is_async or not self.deferrable(*inside):
            return node
        arguments = ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
        none: ast.expr = ast.Constant(None)
        if part.ifs:
            test = part.ifs[0] if len(part.ifs) == 1 else self.visit_BoolOp(ast.BoolOp(ast.And(), part.ifs))
            none = ast.Lambda(arguments, test)
        single = ast.Constant(isinstance(part.target, ast.Name))
        value = ast.Lambda(copy.deepcopy(arguments), generator.elt)
        call = self.call("reduction", node.func, part.iter, value, none, single, *node.args[1:], like=node)
        return ast.fix_missing_locations(call)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        if not self.deferrable(node.body, node.orelse):
            return node
        return self.call("choose", node.test, self.later(node.body), self.later(node.orelse), like=node)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        first, *rest = node.values
        if not self.deferrable(*rest):
            return node
        method = "both" if isinstance(node.op, ast.And) else "either"
        return self.call(method, first, *map(self.later, rest), like=node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        return self.call("opposite", node.operand, like=node) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot)):
            method = "contained" if isinstance(node.ops[0], (ast.In, ast.NotIn)) else "identical"
            found = self.call(method, node.left, *node.comparators, like=node)
            return self.call("opposite", found, like=node) if isinstance(node.ops[0], (ast.NotIn, ast.IsNot)) else found
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            node.left, *node.comparators = [
                v if isinstance(v, ast.Constant) else self.call("noted", v, like=v)
                for v in (node.left, *node.comparators)
            ]
        plain = all(isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)) for op in node.ops)
        if len(node.ops) == 1 or not plain or not self.deferrable(*node.comparators):
            return node
        names: list[ast.expr] = [ast.copy_location(ast.Constant(type(op).__name__), node) for op in node.ops]
        pairs: list[ast.expr] = []
        for name, value in zip(names, node.comparators, strict=True):
            pairs += [name, self.later(value)]
        return self.call("chain", node.left, *pairs, like=node)


class _Statements:
    """The blocks of one function."""

    def __init__(self, hook: str, function: Any) -> None:
        self.hook = hook
        self.expressions = _Expressions(hook)
        self.count = 0
        self.shared: set[str] = set()
        self.outside: set[str] = set()
        for node in _own(function):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                self.outside.update(node.names)
        self.given = {
            name for node in _own(function) if isinstance(node, ast.Call) for name in given_names(node)
        } - self.outside
        self.globals = {n for node in _own(function) if isinstance(node, ast.Global) for n in node.names}
        self.nonlocals = self.outside - self.globals
        self.rebound = rebound_by_nested(function) - self.outside  # own variables that a call may set

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in statements for new in self.statement(statement)]

    def statement(self, node: Any) -> list[ast.stmt]:
        if isinstance(node, ast.For):
            return self.for_loop(node)
        if isinstance(node, ast.While):
            return self.while_loop(node)
        if isinstance(node, ast.If):
            return self.branch(node)
        if isinstance(node, ast.Assert):
            message = self.expressions.later(node.msg or ast.copy_location(ast.Constant(None), node))
            call = self.expressions.call("ensure", node.test, message, like=node)
            node = ast.copy_location(ast.Expr(call), node)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            node.exc = self.expressions.call("raising", node.exc, like=node.exc)
        elif isinstance(node, (ast.With, ast.Try, ast.Match)):
            return [self.compound(node)]
        node = self.expressions.visit(node)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and getattr(node.targets[0], "id", "") in self.given:
            if isinstance(node.value, ast.List) and not node.value.elts:
                node.value = self.expressions.call("new_list", like=node.value)
        return [node]

    def compound(self, node: Any) -> Any:
        """A statement whose blocks stay where they are."""
        for item in getattr(node, "items", ()):
            item.context_expr = self.expressions.visit(item.context_expr)
        for name in ("body", "orelse", "finalbody"):
            if isinstance(getattr(node, name, None), list):
                setattr(node, name, self.block(getattr(node, name)))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self.block(part.body)
        if isinstance(node, ast.Try) and node.handlers:
            kinds = [handler.type or ast.Name("BaseException", ast.Load()) for handler in node.handlers]
            caught = self.expressions.later(ast.Tuple([copy.deepcopy(kind) for kind in kinds], ast.Load()))
            context = self.expressions.call("trying", caught, like=node)
            inside = ast.copy_location(ast.With([ast.withitem(context)], node.body), node)
            node.body = [ast.fix_missing_locations(inside)]
        return node

    def nested(self, kind: str, body: list[ast.stmt], like: ast.AST, parameters: tuple[str, ...] = ()) -> ast.stmt:
        """A block as a function that shares the names it binds."""
        own = {n for n in assigned_names(body) - set(parameters) if not n.startswith(_BLOCKS)}
        called = self.rebound if any(isinstance(n, ast.Call) for s in body for n in ast.walk(s)) else set()
        own |= called
        names = sorted(own - self.globals)
        self.shared |= own - self.outside
        self.count += 1
        head: list[ast.stmt] = [ast.Nonlocal(names)] if names else []
        if declared := sorted(own & self.globals):
            head.append(ast.Global(declared))
        if called:  # never run, but says that the block sets them
            never = ast.Attribute(ast.Name(self.hook, ast.Load()), "never", ast.Load())
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in sorted(called)]
            head.append(ast.If(never, [ast.Assign(targets, ast.Constant(None))], []))
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        extra: dict[str, Any] = {"type_params": []} if "type_params" in ast.FunctionDef._fields else {}
        function = ast.FunctionDef(
            f"{PREFIX}{kind}{self.count}", arguments, [*head, *(body or [ast.Pass()])], [], **extra
        )
        for node in (function, *head):
            ast.copy_location(node, like)
        return ast.fix_missing_locations(function)

    def _names(self, names: set[str], like: ast.AST) -> ast.expr:
        items: list[ast.expr] = [ast.Constant(name) for name in sorted((names | self.nonlocals) - self.globals)]
        return ast.fix_missing_locations(ast.copy_location(ast.Tuple(items, ast.Load()), like))

    def _changed(self, names: set[str], like: ast.AST) -> ast.expr:
        known = [name for name in sorted(names) if name.removeprefix(GIVEN) not in self.globals]
        items: list[ast.expr] = [ast.Constant(name) for name in known]
        return ast.fix_missing_locations(ast.copy_location(ast.Tuple(items, ast.Load()), like))

    def _read(self, function: Any, like: ast.AST) -> ast.expr:
        return ast.copy_location(ast.Name(function.name, ast.Load()), like)

    def _call(self, method: str, *arguments: ast.expr, like: Any) -> ast.stmt:
        place: Any = getattr(like, "iter", None) or getattr(like, "test", like)
        call = self.expressions.call(method, *arguments, like=place)
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), place))

    def for_loop(self, node: Any) -> list[ast.stmt]:
        item = f"{PREFIX}item"
        target = ast.copy_location(ast.Assign([node.target], ast.Name(item, ast.Load())), node.target)
        body = self.block([ast.fix_missing_locations(target), *node.body])
        function = self.nested("body", body, node, (item,))
        stopped = ast.copy_location(ast.Constant(node.stopped), node)
        call = self._call(
            "for_loop",
            self.expressions.visit(node.iter),
            self._read(function, node),
            self._names(node.carried, node),
            self._names(node.needed, node),
            stopped,
            self._changed(changed_lists(node.body), node),
            like=node,
        )
        return [function, call]

    def while_loop(self, node: Any) -> list[ast.stmt]:
        test: ast.expr = node.test
        if node.stopped:
            going = ast.UnaryOp(ast.Not(), ast.Name(node.stopped, ast.Load()))
            test = ast.BoolOp(ast.And(), [going, test])
            ast.fix_missing_locations(ast.copy_location(test, node.test))
        returned = ast.copy_location(ast.Return(self.expressions.visit(test)), node.test)
        condition = self.nested("test", [ast.fix_missing_locations(returned)], node)
        body = self.nested("body", self.block(node.body), node)
        call = self._call(
            "while_loop",
            self._read(condition, node),
            self._read(body, node),
            self._names(node.carried, node),
            self._names(node.needed, node),
            self._changed(changed_lists([node.test, *node.body]), node),
            like=node,
        )
        return [condition, body, call]

    def branch(self, node: ast.If) -> list[ast.stmt]:
        then = self.nested("then", self.block(node.body), node)
        otherwise = self.nested("else", self.block(node.orelse), node)
        needed: Any = node
        call = self._call(
            "branch",
            self.expressions.visit(node.test),
            self._read(then, node),
            self._read(otherwise, node),
            self._names(needed.needed, node),
            self._changed(changed_lists([*node.body, *node.orelse]), node),
            like=node,
        )
        return [then, otherwise, call]
