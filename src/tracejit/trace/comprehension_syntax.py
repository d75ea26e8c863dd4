"""Comprehensions and generator expressions as calls of hooks with functions of one item; ``[x] * n`` likewise."""

from __future__ import annotations

import ast
import copy
from abc import abstractmethod
from typing import Any

from tracejit.trace.jumps import PREFIX

__all__ = ["Comprehensions"]


_TAKING = frozenset(("sum", "max", "min", "any", "all", "list", "sorted", "tuple"))
_OUT, _ITEM = PREFIX + "out", PREFIX + "element"


class Comprehensions(ast.NodeTransformer):
    """Rewrites comprehensions in expressions."""

    @abstractmethod
    def call(self, method: str, *arguments: ast.expr, like: ast.AST) -> ast.expr:
        """A call of a hook."""

    @abstractmethod
    def deferrable(self, *values: ast.expr) -> bool:
        """Whether expressions may move into functions of their own."""

    @abstractmethod
    def reduced(self, node: ast.Call) -> Any:
        """``sum(... for ...)`` and the like as a loop, or the call itself."""

    def visit_ListComp(self, node: ast.ListComp) -> Any:
        """``[... for ...]``."""
        self.generic_visit(node)
        if not self.deferrable(node):
            return node
        first = node.generators[0]
        return self.call("comprehension", first.iter, self._step(node.generators, node.elt), like=node)

    def visit_DictComp(self, node: Any) -> Any:
        """``{... for ...}``, of a dict or a set."""
        self.generic_visit(node)
        if not self.deferrable(node):
            return node
        pairs = isinstance(node, ast.DictComp)
        element = ast.copy_location(ast.Tuple([node.key, node.value], ast.Load()), node) if pairs else node.elt
        first = node.generators[0]
        is_dict = ast.copy_location(ast.Constant(pairs), node)
        return self.call("keyed", is_dict, first.iter, self._step(node.generators, element), like=node)

    def visit_Call(self, node: ast.Call) -> Any:
        """``list(... for ...)`` and the like."""
        found = self.reduced(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if found is not node or name not in _TAKING or not node.args or not isinstance(node.args[0], ast.GeneratorExp):
            return found
        made = node.args[0]
        if self.deferrable(made):
            step = self._step(made.generators, made.elt)
            node.args[0] = self.call("generator", made.generators[0].iter, step, like=node)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """``[...] * n``."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Mult):
            if isinstance(node.left, ast.List):
                return self.call("repeated", node.left, node.right, like=node)
            if isinstance(node.right, ast.List):
                return self.call("repeated", node.right, node.left, like=node)
        return node

    def _step(self, generators: list[ast.comprehension], element: ast.expr) -> ast.expr:
        """``lambda item, out: ...``: what one item of the first ``for`` adds to a list."""
        first, *rest = generators
        out = ast.copy_location(ast.Name(_OUT, ast.Load()), element)
        if rest:
            inner = self.call("extended", out, rest[0].iter, self._step(rest, element), like=element)
        else:
            inner = self.call("added", out, element, like=element)
        for test in reversed(first.ifs):
            given = ast.Lambda(_parameters(_OUT), inner)
            inner = self.call("filtered", copy.copy(out), test, ast.copy_location(given, test), like=element)
        return self._of_item(first.target, inner, _OUT)

    def _of_item(self, target: ast.expr, value: ast.expr, *more: str) -> ast.expr:
        """A function of an item that is taken apart as the target of a ``for`` says."""
        if isinstance(target, ast.Name):
            return ast.copy_location(ast.Lambda(_parameters(target.id, *more), value), value)
        single = ast.copy_location(ast.Tuple([ast.Name(_ITEM, ast.Load())], ast.Load()), value)
        unpacked = ast.ListComp(value, [ast.comprehension(target, single, [], 0)])
        first = ast.Subscript(unpacked, ast.Constant(0), ast.Load())
        made = ast.Lambda(_parameters(_ITEM, *more), first)
        return ast.fix_missing_locations(ast.copy_location(made, value))

    visit_SetComp = visit_DictComp


def _parameters(*names: str) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
