"""The cache on disk, seen from a program: the second process runs no LLVM, and no directory harms it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import json, sys, numpy as np, tracejit as tj

    @tj.jit
    def function(x, y):
        return np.exp(x) * y + x.sum()

    x = np.arange(5.0)
    error = abs(function(x, 2.0) - (np.exp(x) * 2 + 10)).max()
    # The vectorcall entries come from the same directory.
    error += abs(function(x, 2.0) - (np.exp(x) * 2 + 10)).max()
    assert error < 1e-12
    print(json.dumps(function.cache_info()._asdict()))
"""


def run(directory, program: str = PROGRAM, **environment: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TRACEJIT_CACHE_DIR": str(directory), **environment},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def entries(directory: Path) -> list[Path]:
    return sorted(p for p in directory.iterdir() if p.suffix == ".tjc")


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A cache after one run."""
    directory = tmp_path_factory.mktemp("cache") / "here"
    info = run(directory)
    assert (info["compiles"], info["disk_hits"]) == (1, 0)
    assert entries(directory)
    return directory


@pytest.fixture
def copy(filled, tmp_path) -> Path:
    directory = tmp_path / "copy"
    directory.mkdir(mode=0o700)
    for path in entries(filled):
        (directory / path.name).write_bytes(path.read_bytes())
        (directory / path.name).chmod(0o600)
    return directory


def test_a_second_process_runs_no_llvm(filled):
    before = [p.name for p in entries(filled)]
    watched = PROGRAM.replace(
        "x = np.arange(5.0)",
        """
    from tracejit.codegen_llvm import engine
    def refuse(*args, **kwargs):
        raise AssertionError("LLVM was run")
    engine.compile_object = refuse
    x = np.arange(5.0)""",
    )
    info = run(filled, watched)
    assert (info["compiles"], info["disk_hits"], info["traces"]) == (0, 1, 1)
    assert [p.name for p in entries(filled)] == before


def test_nobody_else_can_read_or_write_the_entries(filled):
    assert stat.S_IMODE(filled.stat().st_mode) == 0o700
    assert all(not p.stat().st_mode & 0o077 for p in entries(filled))


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit", "rubbish", "another's", "directory", "link"])
def test_damaged_entries_cost_time_only(copy, tmp_path, damage):
    contents = {path: path.read_bytes() for path in entries(copy)}
    others = dict(zip(contents, [*list(contents.values())[1:], *contents.values()], strict=False))
    for path, data in contents.items():
        if damage == "empty":
            path.write_bytes(b"")
        elif damage == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif damage == "one bit":
            path.write_bytes(data[:-100] + bytes([data[-100] ^ 4]) + data[-99:])
        elif damage == "rubbish":
            path.write_bytes(os.urandom(len(data)))
        elif damage == "another's":
            path.write_bytes(others[path])
        elif damage == "directory":
            path.unlink()
            path.mkdir()
        else:
            path.unlink()
            path.symlink_to(tmp_path / "nowhere")
    info = run(copy)
    assert (info["compiles"], info["disk_hits"]) == (1, 0)
    if damage != "directory":
        assert run(copy)["disk_hits"] == 1


def test_a_directory_that_others_may_write_is_not_used(copy):
    copy.chmod(0o777)
    before = {p.name: p.stat().st_mtime_ns for p in entries(copy)}
    assert run(copy)["compiles"] == 1
    assert {p.name: p.stat().st_mtime_ns for p in entries(copy)} == before


def test_entries_that_others_may_write_are_not_used(copy):
    for path in entries(copy):
        path.chmod(0o666)
    assert run(copy)["compiles"] == 1


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/nowhere", "/dev/full", "\0", "a file", ""])
def test_directories_that_cannot_be(tmp_path, place):
    if place == "a file":
        (tmp_path / "file").write_text("")
        place = str(tmp_path / "file")
    if place == "\0":  # no environment variable can hold it, the setting can
        program = "import os\nos.environ.pop('TRACEJIT_CACHE_DIR')\n" + textwrap.dedent(PROGRAM)
        program = program.replace(
            "@tj.jit", "from tracejit.runtime import cache\ncache.default_directory = lambda: '\\0'\n\n@tj.jit"
        )
        assert run("unused", program)["compiles"] == 1
        return
    assert run(place)["compiles"] == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_directory(copy):
    copy.chmod(0o500)
    assert run(copy)["disk_hits"] == 1
    for path in entries(copy):
        path.chmod(0o400)
    assert run(copy)["disk_hits"] == 1


def test_full_disk(tmp_path):
    """Every write fails, as on a full disk."""
    program = textwrap.dedent(PROGRAM).replace(
        "@tj.jit",
        """
import os, errno
def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")
os.replace = full

@tj.jit""",
    )
    assert run(tmp_path / "full", program)["compiles"] == 1
    assert not list((tmp_path / "full").iterdir())  # and nothing half written stays


def test_the_cache_can_be_switched_off(tmp_path):
    program = PROGRAM.replace("@tj.jit", "tj.config.disk_cache = False\n\n    @tj.jit")
    assert run(tmp_path / "off", program)["compiles"] == 1
    assert not (tmp_path / "off").exists() or not entries(tmp_path / "off")


def test_processes_at_once_share_a_directory(tmp_path):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM)]
    environment = {**os.environ, "TRACEJIT_CACHE_DIR": str(tmp_path / "shared")}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    infos = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert all(info["compiles"] + info["disk_hits"] == 1 for info in infos)
    assert run(tmp_path / "shared")["disk_hits"] == 1


def test_what_changes_the_code_changes_the_entry(filled):
    for change in [
        ("np.exp(x) * y + x.sum()", "np.exp(x) * y + x.sum() + 0 * y"),
        ("@tj.jit", "@tj.jit(exact=True)"),
        ("x = np.arange(5.0)", "x = np.arange(5.0, dtype='f4').astype('f8')[:3].sum() + np.arange(5.0) - 3"),
    ]:
        info = run(filled, PROGRAM.replace(*change).replace("@tj.jit(exact", "@tj.jit(parallel=False, exact"))
        assert info["compiles"] + info["disk_hits"] == 1
    assert run(filled)["disk_hits"] == 1


def test_error_messages_come_from_disk_too(tmp_path):
    program = """
    import json, numpy as np, tracejit as tj

    @tj.jit
    def function(x, i):
        return x[i]

    try:
        function(np.ones(3), np.array([7]))
    except IndexError as error:
        assert str(error) == "index 7 is out of bounds for axis 0 with size 3", error
        assert any("<string>:6" in note or ":6" in note for note in error.__notes__), error.__notes__
    else:
        raise AssertionError
    print(json.dumps(function.cache_info()._asdict()))
    """
    assert run(tmp_path, program)["compiles"] == 1
    assert run(tmp_path, program)["disk_hits"] == 1


def test_the_compilers_own_changes_make_new_entries(filled):
    """In a checkout the code changes more often than the version does."""
    program = textwrap.dedent(PROGRAM).replace(
        "@tj.jit", "from tracejit.runtime import compile as c\nc._compiler_state = lambda: 'edited'\n\n@tj.jit"
    )
    assert run(filled, program)["compiles"] == 1
