"""Which files are the user's own, so that functions in them are traced with rewritten syntax."""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FunctionType, ModuleType
from typing import Any

from tracejit.trace.fallback import is_library_function
from tracejit.trace.location import is_internal

__all__ = ["is_user_file", "is_user_owner", "know_user_package"]

_LIBRARY_FOLDERS = tuple(
    os.path.join(os.path.realpath(folder), "")
    for folder in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if folder
)
_PACKAGE_FOLDERS = tuple(
    {os.path.join(os.path.realpath(sysconfig.get_path(name)), "") for name in ("purelib", "platlib")}
)
_user_files: dict[str, bool] = {}
_user_packages: set[str] = set()


def is_user_file(filename: str) -> bool:
    """Whether a file is the user's own, or of a package whose functions are compiled by name."""
    known = _user_files.get(filename)
    if known is None:
        path = os.path.realpath(filename)
        library = is_internal(filename) or path.startswith(_LIBRARY_FOLDERS) or filename.startswith("<frozen")
        known = not library or _package_of(path) in _user_packages
        _user_files[filename] = known
    return known


def _package_of(path: str) -> str | None:
    """The installed package that a file belongs to: its folder or, for a single module, its file."""
    for folder in _PACKAGE_FOLDERS:
        if path.startswith(folder):
            return folder + path[len(folder) :].split(os.sep, 1)[0]
    return None


def know_user_package(function: FunctionType) -> None:
    """A package whose function is compiled by name is the user's own code, also where it is installed."""
    filename = function.__code__.co_filename
    package = _package_of(os.path.realpath(filename))
    if package is not None and not is_internal(filename) and not is_library_function(function):
        _user_packages.add(package)
        _user_files.clear()


def is_user_owner(owner: Any) -> bool:
    """Whether a module, or the module of a class, is the user's."""
    module = owner if isinstance(owner, ModuleType) else sys.modules.get(owner.__module__)
    return is_user_file(getattr(module, "__file__", None) or "<")
