"""The program: types, sizes, values, equations and functions; text form, interpreter, verifier.

``parse`` reads a program's text back, ``interpret`` runs it with NumPy, ``verify`` checks it. They are loaded when
used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracejit.ir.core import Function
    from tracejit.ir.interpreter import interpret
    from tracejit.ir.parser import parse
    from tracejit.ir.verifier import verify

__all__ = ["Function", "interpret", "parse", "verify"]

_HOMES = {"Function": "core", "interpret": "interpreter", "parse": "parser", "verify": "verifier"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracejit.ir' has no attribute {name!r}")
    return getattr(import_module(f"tracejit.ir.{_HOMES[name]}"), name)
