"""Object code on disk, so that a new process compiles nothing: one file per key, written whole or not at all.

This module owns the directory, its safety and the file format. It knows nothing of what is stored. What it hands out is
executed, so it reads and writes only where nobody but the user can write, and only files that are whole. Nothing here
raises: without a usable directory everything is a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tracejit.config import config

__all__ = ["DiskCache", "default_cache", "default_directory", "key"]

_log = logging.getLogger("tracejit.cache")

# A file: this, the payload's length, the SHA-256 of key and payload, and the payload: the number of items, and for each
# the lengths of name and data, then both.
_HEADER = struct.Struct("<8sQ32s")
_MAGIC = b"tracejt\x01"
_COUNT = struct.Struct("<I")
_LENGTHS = struct.Struct("<IQ")
_SUFFIX = ".tjc"
_PARTIAL = ".tmp"
_MAX_BYTES = 1 << 30
_CHECKED = "00"  # keys are evenly spread: the size is looked at when one of 256 entries is stored
_STALE_SECONDS = 3600  # a temporary file this old belongs to a process that died


def key(*parts: bytes | str) -> str:
    """A name for whatever the parts say, different for different parts: 64 hexadecimal digits.

    Example:
        >>> key("a", "bc") == key("ab", "c")
        False
        >>> len(key(b"text", "x86-64"))
        64
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def default_directory() -> Path | None:
    """``TRACEJIT_CACHE_DIR``, or the platform's place for a user's caches; ``None`` where there is no home."""
    chosen = os.environ.get("TRACEJIT_CACHE_DIR")
    if chosen is not None:
        return Path(chosen) if chosen else None  # set but empty: no cache
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base, "tracejit", "cache") if base else None
    base = os.environ.get("XDG_CACHE_HOME")
    if base and os.path.isabs(base):
        return Path(base, "tracejit")
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if not home.is_absolute():
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "tracejit"


def default_cache() -> DiskCache:
    """The cache of this process, in :func:`default_directory`; one that holds nothing while the user wants none."""
    return _process_cache() if config.disk_cache else DiskCache(None)


@cache
def _process_cache() -> DiskCache:
    return DiskCache(default_directory())


class DiskCache:
    """A directory of entries, each a few named byte strings.

    Processes may share it: an entry is written to a file of its own and then renamed, so a reader sees all of it or
    nothing. ``None`` instead of a directory gives a cache that holds nothing.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.directory = self._usable(Path(directory)) if directory is not None else None

    def load(self, entry: str) -> dict[str, bytes] | None:
        """What was stored under a key, or ``None``. Files that are damaged are removed."""
        if self.directory is None:
            return None
        path = self._path(entry)
        try:
            data = _read_own(path)
        except OSError as problem:
            if not isinstance(problem, FileNotFoundError):
                _log.info("%s: %s", path, problem)
            return None
        items = _unpack(entry, data) if data is not None else None
        if items is None:
            _log.info("%s is not a whole entry of ours; it is removed", path)
            _remove(path)
        else:
            self._touch(path)
        return items

    def store(self, entry: str, items: Mapping[str, bytes]) -> bool:
        """Keep items under a key; says whether that was possible."""
        if self.directory is None:
            return False
        try:
            self._write(self._path(entry), _pack(entry, items))
        except OSError as problem:  # read-only, full, over quota, gone
            _log.info("cannot write to %s: %s", self.directory, problem)
            return False
        if entry.startswith(_CHECKED):
            self._trim()
        return True

    def clear(self) -> None:
        """Remove all entries."""
        for path, _ in self._files():
            _remove(path)

    def _path(self, entry: str) -> Path:
        assert self.directory is not None
        if not entry.isalnum():
            raise ValueError(f"{entry!r} is not a key")
        return self.directory / f"{entry}{_SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        # mkstemp makes a file that only its owner can read and write, whatever the umask.
        handle, name = tempfile.mkstemp(suffix=_PARTIAL, dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            _remove(Path(name))
            raise

    def _touch(self, path: Path) -> None:
        """Mark an entry as used, at most daily: the oldest go first when space runs out."""
        with contextlib.suppress(OSError):
            info = path.stat()
            if time.time() - info.st_mtime > 86_400:
                os.utime(path)

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found: list[tuple[Path, os.stat_result]] = []
        if self.directory is not None:
            with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
                for item in entries:
                    if item.name.endswith((_SUFFIX, _PARTIAL)):
                        with contextlib.suppress(OSError):
                            found.append((Path(item.path), item.stat(follow_symlinks=False)))
        return found

    def _trim(self) -> None:
        """Remove the oldest entries while all together are too large, down to 9/10 of the limit."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime)
        total = sum(info.st_size for _, info in files)
        goal = self._max_bytes if total <= self._max_bytes else self._max_bytes * 9 // 10
        for path, info in files:
            abandoned = path.suffix == _PARTIAL and time.time() - info.st_mtime > _STALE_SECONDS
            if abandoned or (total > goal and path.suffix == _SUFFIX):
                _remove(path)
                total -= info.st_size

    @staticmethod
    def _usable(directory: Path) -> Path | None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = directory.stat()
        except (OSError, ValueError) as problem:  # ValueError: not a path at all
            _log.info("no cache on disk: %s", problem)
            return None
        if not stat.S_ISDIR(info.st_mode) or not _only_ours(info):
            _log.info("no cache on disk: others can write to %s, or own it", directory)
            return None
        return directory


def _only_ours(info: os.stat_result) -> bool:
    """Whether nobody but this user (and the administrator) can change a file. Windows' profile folders are private."""
    if sys.platform == "win32":
        return True
    return info.st_uid == os.geteuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_own(path: Path) -> bytes | None:
    """The content of a file of ours; ``None`` for a file that another user could have written."""
    # Opened before it is looked at, and never through a link: what is checked is what is read.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
        info = os.fstat(file.fileno())
        return file.read() if stat.S_ISREG(info.st_mode) and _only_ours(info) else None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _pack(entry: str, items: Mapping[str, bytes]) -> bytes:
    parts = [_COUNT.pack(len(items))]
    for name, data in items.items():
        encoded = name.encode()
        parts += [_LENGTHS.pack(len(encoded), len(data)), encoded, data]
    payload = b"".join(parts)
    return _HEADER.pack(_MAGIC, len(payload), _checksum(entry, payload)) + payload


def _checksum(entry: str, payload: bytes) -> bytes:
    """Of key and payload, so that a file under another's name is noticed, too."""
    return hashlib.sha256(entry.encode() + b"\0" + payload).digest()


def _unpack(entry: str, data: bytes) -> dict[str, bytes] | None:
    if len(data) < _HEADER.size + _COUNT.size:
        return None
    magic, length, checksum = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if magic != _MAGIC or length != len(payload) or checksum != _checksum(entry, payload):
        return None
    items: dict[str, bytes] = {}
    position = _COUNT.size
    for _ in range(_COUNT.unpack_from(payload)[0]):
        name_length, data_length = _LENGTHS.unpack_from(payload, position)
        position += _LENGTHS.size
        name = payload[position : position + name_length].decode()
        position += name_length
        items[name] = payload[position : position + data_length]
        position += data_length
    return items
