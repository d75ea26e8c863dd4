"""The syntax tree of a function, from the text of its file, and back to code in the same surroundings.

The text is that of the file now, which need not be the text that was imported: definitions are compared with the code
that they should explain. This module knows nothing of tracing.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import time
from opcode import EXTENDED_ARG, hasjrel, opmap
from types import CodeType
from typing import Any

__all__ = ["Definition", "compiled_like", "find_definition"]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FACTORY = "__tracejit_factory__"
_FUTURE_FLAGS = 0x1000000  # annotations: the only __future__ feature that still changes how code is compiled
_CLOCK_STEP = 2.0  # seconds: the coarsest times of file systems
_started = time.time()


def find_definition(code: CodeType, namespace: dict[str, Any]) -> Definition | None:
    """The definition that a code object was compiled from; None where its text cannot be had any more."""
    node = _find_node(code, namespace)
    if node is not None and _explains(node, code):
        return node
    linecache.checkcache(code.co_filename)  # the text may be older than the code: of a module that was reloaded
    node = _find_node(code, namespace)
    if node is None or _explains(node, code) or not _was_edited(code.co_filename):
        return node  # an import hook (pytest's, for assertions) has changed what the text says
    return None


def compiled_like(code: CodeType, definition: Definition, *parameters: str) -> CodeType | None:
    """The code of a definition in the surroundings of a code object, with some free variables more."""
    body: list[ast.stmt] = [ast.Expr(definition) if isinstance(definition, ast.Lambda) else definition]
    class_name = _class_name(code.co_qualname)
    name = getattr(definition, "name", "")
    mangled = f"_{(class_name or '').lstrip('_')}__"
    if class_name and any(n.startswith(mangled) for n in code.co_names + code.co_varnames + code.co_freevars):
        # Names such as __x are mangled with the name of the class.
        body = [ast.ClassDef(class_name, [], [], body, [], **_type_params())]
    elif _reads_global(code, name) and name not in code.co_freevars:
        body.insert(0, ast.Global([name]))  # inside, the name of the definition is one of the module
    factory = ast.FunctionDef(
        _FACTORY,
        ast.arguments([], [ast.arg(name) for name in (*parameters, *code.co_freevars)], None, [], [], None, []),
        body,
        [],
        **_type_params(),
    )
    module = ast.Module([factory], [])
    ast.fix_missing_locations(module)
    compiled = compile(module, code.co_filename, "exec", dont_inherit=True, flags=code.co_flags & _FUTURE_FLAGS)
    return _find_code(compiled, code)


def _type_params() -> dict[str, Any]:
    """Python 3.12 added a field to definitions."""
    return {"type_params": []} if "type_params" in ast.FunctionDef._fields else {}


def _class_name(qualname: str) -> str | None:
    parts = qualname.split(".")
    return parts[-2] if len(parts) > 1 and parts[-2] != "<locals>" else None


def _find_code(compiled: CodeType, original: CodeType) -> CodeType | None:
    count = original.co_argcount
    stack = [compiled]
    while stack:
        for constant in stack.pop().co_consts:
            if isinstance(constant, CodeType):
                named = constant.co_name == original.co_name
                if named and constant.co_varnames[: constant.co_argcount] == original.co_varnames[:count]:
                    return constant
                stack.append(constant)
    return None


def _reads_global(code: CodeType, name: str) -> bool:
    """Whether a name is one of the module in a code object or in what is defined inside it (comprehensions)."""
    stack = [code]
    while stack:
        current = stack.pop()
        if name in current.co_names:
            return True
        stack.extend(c for c in current.co_consts if isinstance(c, CodeType))
    return False


# -------------------------------------------------------------------------------------------------------- comparing


def _explains(node: Definition, code: CodeType) -> bool:
    """Whether a definition compiles to the instructions of a code object."""
    found = compiled_like(code, node)
    return found is not None and _summary(found) == _summary(code)


def _summary(code: CodeType) -> tuple[Any, ...]:
    constants = [_summary(c) if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts]
    return _instructions(code.co_code), code.co_names, code.co_varnames, code.co_freevars, constants


def _instructions(text: bytes) -> list[tuple[int, int]]:
    """Operations with their arguments, without what depends on how a name was bound elsewhere in the file.

    Python calls ``np.sin`` in one way where ``np`` was imported at the top of the same text, in another where not; that
    changes how methods are looked up, and the lengths of jumps.
    """
    found = []
    argument = 0
    for operation, low in zip(text[::2], text[1::2], strict=True):
        argument |= low
        if operation == EXTENDED_ARG:
            argument <<= 8
            continue
        if operation in _JUMPS:
            argument = 0
        elif operation in _FLAGGED:
            argument >>= 1
        if operation not in _SKIPPED:
            found.append((_LOAD_ATTR if operation == _LOAD_METHOD else operation, argument))
        argument = 0
    return found


_LOAD_ATTR, _LOAD_METHOD = opmap["LOAD_ATTR"], opmap.get("LOAD_METHOD", -1)
_SKIPPED = frozenset((opmap.get("CACHE", 0), opmap["PUSH_NULL"]))
_JUMPS = frozenset(hasjrel)
# The lowest bit asks for a NULL on the stack; of LOAD_ATTR since Python 3.12, when it took the place of LOAD_METHOD.
_FLAGGED = frozenset((opmap["LOAD_GLOBAL"], *((_LOAD_ATTR,) if sys.version_info >= (3, 12) else ())))


def _was_edited(filename: str) -> bool:
    """Whether a file has changed since this module was imported."""
    try:
        return os.stat(filename).st_mtime > _started - _CLOCK_STEP
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------------------- finding


def _find_node(code: CodeType, namespace: dict[str, Any]) -> Definition | None:
    lines = linecache.getlines(code.co_filename, namespace)
    if len(lines) < code.co_firstlineno:
        return None
    first = code.co_firstlineno
    if code.co_name != "<lambda>":
        node = _parse_block(lines, code)
        if node is not None:
            return node
    tree = ast.parse("".join(lines))
    wanted = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    found = [n for n in ast.walk(tree) if isinstance(n, wanted) and _first_line(n) == first and _fits(n, code)]
    if len(found) > 1:
        found = [n for n in found if _same_columns(n, code)]
    return found[0] if len(found) == 1 else None


def _parse_block(lines: list[str], code: CodeType) -> Definition | None:
    """Parse only the lines of the function; None when that does not work out."""
    first = code.co_firstlineno
    last = _last_line(code)
    indented = lines[first - 1][:1] in (" ", "\t")
    prefix = "\n" * (first - 2) + "if 1:\n" if indented and first > 1 else "\n" * (first - 1)
    for extra in (0, 1, 2, 4, 8, 16):
        try:
            tree = ast.parse(prefix + "".join(lines[first - 1 : last + extra]))
        except SyntaxError:
            continue
        node: Any = tree.body[0] if tree.body else None
        node = node.body[0] if isinstance(node, ast.If) else node
        matches = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _fits(node, code)
        return node if matches else None
    return None


def _last_line(code: CodeType) -> int:
    last = code.co_firstlineno
    stack = [code]
    while stack:
        current = stack.pop()
        last = max([last, *(end for _, end, _, _ in current.co_positions() if end is not None)])
        stack.extend(c for c in current.co_consts if isinstance(c, CodeType))
    return last


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    line: int = min([node.lineno, *(d.lineno for d in decorators)])
    return line


def _fits(node: Any, code: CodeType) -> bool:
    """Whether a definition has the name and the parameters of a code object."""
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    return getattr(node, "name", "<lambda>") == code.co_name and tuple(names) == tuple(
        _unmangled(name, code) for name in code.co_varnames[:count]
    )


def _unmangled(name: str, code: CodeType) -> str:
    class_name = _class_name(code.co_qualname)
    prefix = f"_{class_name.lstrip('_')}__" if class_name else None
    return name[len(prefix) - 2 :] if prefix and name.startswith(prefix) else name


def _same_columns(node: Any, code: CodeType) -> bool:
    """Whether the body of a lambda is what the code computes: some instruction spans exactly the body."""
    body = node.body
    return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in list(code.co_positions())
