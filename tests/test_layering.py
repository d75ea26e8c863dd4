"""The shape of the house: which folder may import which, and how large a file or a function may grow."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Callable, Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tracejit"
MIDDLE = ("trace", "transforms", "passes", "lowering", "codegen_llvm")
LEAVES = {"errors", "config", "version"}

# What each part of the package may import from the package, besides itself and the leaves.
# Parts that are not listed (api, __init__, what users import) may import everything.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "config": set(),
    "version": set(),
    "ir": set(),
    **{part: {"ir"} for part in MIDDLE},
    "codegen_gpu": {"ir", "codegen_llvm"},
    "runtime": {"ir", *MIDDLE, "codegen_gpu"},
}
FORBIDDEN = {"llvmlite.ir", "pickle", "numba"}
LAZY = {"scipy", "optree", "ml_dtypes", "inspect"}  # too slow for `import tracejit`
Rule = Callable[[pathlib.Path, ast.Module], Iterator[tuple[int, str]]]
LONGEST_FILE = 600
LONGEST_FUNCTION = 80

SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = sorted(path for folder in ("src", "tests", "bench", "examples") for path in (ROOT / folder).rglob("*.py"))


def part_of(path: pathlib.Path) -> str:
    """The folder or module directly below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: pathlib.Path) -> list[str]:
    """The package that relative imports of the file start from."""
    return ["tracejit", *path.relative_to(PACKAGE).parts[:-1]]


def imports(path: pathlib.Path, nodes: Iterator[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that the nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module_of(path)
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def parts_imported(name: str) -> set[str]:
    """The part of the package that a dotted name belongs to; none where it is another package's."""
    words = name.split(".")
    if words[0] != "tracejit":
        return set()
    return {words[1]} if len(words) > 1 else {"__init__"}


def one_way(path: pathlib.Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports against the direction."""
    part = part_of(path)
    if part not in MAY_IMPORT:
        return
    allowed = MAY_IMPORT[part] | {part} | (LEAVES if part not in LEAVES else set())
    for line, name in imports(path, ast.walk(tree)):
        if parts_imported(name) - allowed:
            yield line, f"{part} imports {name}"


def nothing_forbidden(path: pathlib.Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports that the package does without."""
    for line, name in imports(path, ast.walk(tree)):
        if any(name == banned or name.startswith(f"{banned}.") for banned in FORBIDDEN):
            yield line, f"imports {name}"


def slow_ones_lazily(path: pathlib.Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Slow packages imported while `import tracejit` runs."""
    for line, name in imports(path, iter(tree.body)):
        if name.split(".")[0] in LAZY:
            yield line, f"imports {name} at import time"


def a_docstring(path: pathlib.Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Modules that do not say what they are."""
    if tree.body and not ast.get_docstring(tree):
        yield 1, "has no docstring"


def moderate_length(path: pathlib.Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Files and functions that have grown too long."""
    lines = path.read_text().count("\n")
    if lines > LONGEST_FILE:
        yield 1, f"{lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name}, {length} lines"


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        (one_way, SOURCES),
        (nothing_forbidden, SOURCES),
        (slow_ones_lazily, SOURCES),
        (a_docstring, SOURCES),
        (moderate_length, EVERYTHING),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_house_rule(rule: Rule, paths: list[pathlib.Path]) -> None:
    assert paths
    broken = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in paths
        for line, what in rule(path, ast.parse(path.read_text()))
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_the_rule_knows_every_folder() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    users = {"numpy", "special", "random", "linalg", "fft", "nn", "sparse"}
    assert folders - users <= set(MAY_IMPORT), "a new folder needs its line in MAY_IMPORT"
