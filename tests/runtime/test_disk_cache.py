"""The cache of object code on disk: what it keeps, whom it trusts, what it survives."""

import errno
import io
import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracejit.config import options
from tracejit.runtime import cache
from tracejit.runtime.cache import DiskCache, default_directory, key

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
not_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")

ITEMS = {"object": bytes(range(256)) * 40, "program": "größe".encode(), "empty": b""}
KEY = key("a")


@pytest.fixture
def disk(tmp_path):
    return DiskCache(tmp_path / "cache")


def entries(disk):
    return sorted(disk.directory.iterdir())


def test_what_is_stored_is_loaded(disk):
    assert disk.load(KEY) is None
    assert disk.store(KEY, ITEMS)
    assert disk.load(KEY) == ITEMS
    assert DiskCache(disk.directory).load(KEY) == ITEMS
    assert disk.load(key("b")) is None
    assert disk.store(KEY, {}) and disk.load(KEY) == {}
    disk.clear()
    assert disk.load(KEY) is None and not entries(disk)


def test_keys():
    assert key("a", "b") != key("ab") != key("a", b"", "b")
    assert key("text") == key(b"text") and len(KEY) == 64
    with pytest.raises(ValueError, match="not a key"):
        DiskCache(".").load("../etc")


@pytest.mark.parametrize("size", [0, 1, 7, 8, 20, 47, 48, 60, 1000])
def test_truncated_files_are_missing_and_removed(disk, size):
    disk.store(KEY, ITEMS)
    (path,) = entries(disk)
    assert path.stat().st_size > size
    os.truncate(path, size)
    assert disk.load(KEY) is None and not path.exists()


@pytest.mark.parametrize("position", [0, 7, 8, 15, 16, 47, 48, 60, -1])
def test_damaged_files_are_missing_and_removed(disk, position):
    disk.store(KEY, ITEMS)
    (path,) = entries(disk)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert disk.load(KEY) is None and not path.exists()


def test_foreign_files(disk):
    disk.store(KEY, ITEMS)
    (path,) = entries(disk)
    other = path.with_stem(key("b"))
    other.write_bytes(path.read_bytes())  # whole, but of another key
    assert disk.load(key("b")) is None and not other.exists()
    path.write_bytes(path.read_bytes() + b"more")
    assert disk.load(KEY) is None
    path.mkdir()
    assert disk.load(KEY) is None and not disk.store(KEY, ITEMS)
    assert entries(disk) == [path]


@posix_only
def test_everything_is_private(tmp_path):
    before = os.umask(0)
    try:
        disk = DiskCache(tmp_path / "new" / "cache")
        disk.store(KEY, ITEMS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(disk.directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in entries(disk)] == [0o600]


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_directories_that_others_can_write_to_are_refused(tmp_path, mode, caplog):
    tmp_path.chmod(mode)
    with caplog.at_level(logging.INFO, "tracejit.cache"):
        disk = DiskCache(tmp_path)
    assert len(caplog.records) == 1 and "others can write" in caplog.text
    assert not disk.store(KEY, ITEMS) and disk.load(KEY) is None and not list(tmp_path.iterdir())
    tmp_path.chmod(0o700)


@posix_only
def test_other_owners_are_refused(disk, monkeypatch):
    disk.store(KEY, ITEMS)
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    assert disk.load(KEY) is None
    assert DiskCache(disk.directory).directory is None


@posix_only
def test_files_that_others_can_write_and_links_are_refused(disk, tmp_path):
    disk.store(KEY, ITEMS)
    (path,) = entries(disk)
    path.chmod(0o622)
    assert disk.load(KEY) is None and not path.exists()
    disk.store(KEY, ITEMS)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert disk.load(KEY) is None
    path.unlink()
    os.mkfifo(path)
    assert disk.load(KEY) is None


@posix_only
@not_root
def test_read_only_directories_can_be_read(disk):
    disk.store(KEY, ITEMS)
    disk.directory.chmod(0o500)
    try:
        again = DiskCache(disk.directory)
        assert again.load(KEY) == ITEMS
        assert not again.store(key("b"), ITEMS) and again.load(key("b")) is None
    finally:
        disk.directory.chmod(0o700)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", "\0"):
        disk = DiskCache(place)
        assert disk.directory is None and not disk.store(KEY, ITEMS) and disk.load(KEY) is None
        disk.clear()


def test_the_setting_switches_it_off(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(cache, "_process_cache", lambda: DiskCache(tmp_path))
    assert cache.default_cache().directory == tmp_path
    with options(disk_cache=False):
        assert cache.default_cache().directory is None


def test_no_directory_at_all():
    disk = DiskCache(None)
    assert not disk.store(KEY, ITEMS) and disk.load(KEY) is None


def full(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


class FullFile(io.FileIO):
    write = full


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_full_disk_leaves_nothing_behind(disk, monkeypatch, step):
    if step == "write":
        monkeypatch.setattr(cache, "open", FullFile, raising=False)
    else:
        monkeypatch.setattr(os, "replace", full)
    assert not disk.store(KEY, ITEMS)
    monkeypatch.undo()
    assert not entries(disk) and disk.load(KEY) is None


def test_a_directory_that_goes_away(disk):
    disk.store(KEY, ITEMS)
    disk.clear()
    disk.directory.rmdir()
    assert disk.load(KEY) is None and not disk.store(KEY, ITEMS)


def test_the_oldest_entries_go_first(tmp_path):
    disk = DiskCache(tmp_path / "cache", max_bytes=50_000)
    names = [f"0{k}" for k in range(1, 10)]
    for age, name in enumerate(names):
        assert disk.store(name, {"x": bytes(10_000)})
        os.utime(disk.directory / f"{name}.tjc", (time.time() - 1000 + age,) * 2)
    assert len(entries(disk)) == 9  # nobody has looked yet
    stale, fresh = disk.directory / "old.tmp", disk.directory / "new.tmp"
    for path in (stale, fresh):
        path.touch()
    os.utime(stale, (0, 0))
    assert disk.store("00ff", {"x": bytes(10_000)})
    kept = {path.stem for path in entries(disk) if path.suffix == ".tjc"}
    assert kept == {"00ff", *names[-3:]}
    assert fresh.exists() and not stale.exists()


def test_loading_keeps_an_entry_young(disk):
    disk.store(KEY, ITEMS)
    (path,) = entries(disk)
    os.utime(path, (1, 1))
    disk.load(KEY)
    assert time.time() - path.stat().st_mtime < 1000


# ------------------------------------------------------------------------------------------------ where it is


def test_the_directory_of_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACEJIT_CACHE_DIR", str(tmp_path))
    assert default_directory() == tmp_path
    monkeypatch.setenv("TRACEJIT_CACHE_DIR", "")
    assert default_directory() is None


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/tracejit"),
        ("linux", {"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/tracejit"),
        ("linux", {"HOME": "/home/me"}, "/home/me/.cache/tracejit"),
        ("linux", {"HOME": "relative"}, None),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Caches/tracejit"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/tracejit/cache"),
        ("win32", {}, None),
    ],
)
@posix_only
def test_the_platforms_directory(monkeypatch, platform, environment, expected):
    for name in ("TRACEJIT_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert default_directory() == (Path(expected) if expected else None)


@posix_only
def test_no_home(monkeypatch):
    for name in ("TRACEJIT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: (_ for _ in ()).throw(RuntimeError("no home"))))
    assert default_directory() is None
    assert not DiskCache(default_directory()).store(KEY, ITEMS)


# ------------------------------------------------------------------------------------------------ many processes

WORKER = """
import sys
from tracejit.runtime.cache import DiskCache, key
disk = DiskCache(sys.argv[1], max_bytes=200_000)
for round in range(40):
    for number in range(8):
        name = key(str(number))
        found = disk.load(name)
        assert found is None or found == {"x": str(number).encode() * 5000}, found
        assert disk.store(name, {"x": str(number).encode() * 5000})
        if round % 10 == 9:
            disk.store("00" + name, {})
"""


def test_processes_at_once(tmp_path):
    place = tmp_path / "cache"
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(place)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert all(path.suffix == ".tjc" for path in place.iterdir())
    assert all(DiskCache(place).load(key(str(k))) == {"x": str(k).encode() * 5000} for k in range(8))
