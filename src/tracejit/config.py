"""Settings: attributes of :data:`config`, set for a block by :func:`options`, first read from the environment.

Example:
    >>> with options(exact=True):
    ...     config.exact
    True
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Config", "config", "options"]

_LOGS = ("trace", "compile", "cache", "guards")


def _flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0", "false", "no")


def _names(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in os.environ.get(name, "").split(",") if part.strip())


@dataclass
class Config:
    """All settings of the process.

    disable_jit: run decorated functions as plain Python (``TRACEJIT_DISABLE_JIT``).
    exact: leave out the rewrites that are more accurate than NumPy instead of bitwise equal.
    disk_cache: keep machine code on disk between processes (``TRACEJIT_CACHE_DIR=`` empty switches it off).
    log: which parts say what they do: trace, compile, cache, guards (``TRACEJIT_LOG``).
    """

    disable_jit: bool = field(default_factory=lambda: _flag("TRACEJIT_DISABLE_JIT"))
    exact: bool = False
    disk_cache: bool = True
    log: tuple[str, ...] = field(default_factory=lambda: _names("TRACEJIT_LOG"))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in {f.name for f in fields(self)}:
            known = ", ".join(f.name for f in fields(self))
            raise AttributeError(f"there is no setting {name!r}; settings are {known}")
        before = getattr(self, name, False)
        object.__setattr__(self, name, value)
        if name == "log":
            _start_logging(value)
        if name == "disable_jit" and bool(before) != bool(value):
            for callback in _watchers:
                callback(bool(value))


_watchers: list[Callable[[bool], None]] = []


def watch_disable_jit(callback: Callable[[bool], None]) -> None:
    """Call back when ``disable_jit`` changes: machine code does not read settings."""
    _watchers.append(callback)
    if config.disable_jit:
        callback(True)


def _start_logging(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in _LOGS:
            raise ValueError(f"TRACEJIT_LOG knows {', '.join(_LOGS)}, not {name!r}")
        logger = logging.getLogger(f"tracejit.{name}")
        logger.setLevel(logging.DEBUG)
        if not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
            logger.addHandler(handler)


config = Config()


@contextmanager
def options(**settings: Any) -> Iterator[Config]:
    """Change settings for a ``with`` block."""
    before = {name: getattr(config, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(config, name, value)
        yield config
    finally:
        for name, value in before.items():
            setattr(config, name, value)
