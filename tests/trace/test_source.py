"""The text that is traced is the text of the code that would run."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import time

import numpy as np
import pytest

import tracejit as tj

OLD = "import numpy as np\n\ndef first(x):\n    return x + 1\n\ndef second(x):\n    return np.zeros(len(x)) + x * 2\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user, in a file, imported before the file changes."""
    name = f"edited_by_a_test_{time.time_ns()}"
    path = tmp_path / f"{name}.py"
    path.write_text(OLD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module(name)
    del sys.modules[name]


def test_functions_named_like_what_they_read(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("import time\n\ndef f(x, n):\n    return x if n == 0 else f(x, n - 1) * n\n")
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    np.testing.assert_array_equal(tj.jit(names["f"])(np.ones(2), 4), [24, 24])


def rewrite(module, text: str) -> None:
    with open(module.__file__, "w") as file:
        file.write(text)
    os.utime(module.__file__, (time.time() + 10, time.time() + 10))
    linecache.clearcache()


def test_an_edited_file_does_not_change_functions_that_were_imported(module):
    rewrite(module, OLD.replace("x + 1", "x + 100"))
    np.testing.assert_array_equal(tj.jit(module.first)(np.ones(3)), np.full(3, 2.0))


def test_functions_that_have_moved_in_their_file(module):
    rewrite(module, OLD.replace("def first", "def other(x):\n    return x - 5\n\ndef first"))
    np.testing.assert_array_equal(tj.jit(module.first)(np.ones(3)), np.full(3, 2.0))
    for size in (3, 5):  # without its text, Python's own len() guards the size
        np.testing.assert_array_equal(tj.jit(module.second)(np.ones(size)), np.full(size, 2.0))


def test_lambdas_that_have_moved(tmp_path):
    path = tmp_path / "lambdas.py"
    path.write_text("a = lambda x, i: x[i]\nb = lambda x, i: x[i] * 2\n")
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    path.write_text("\na = lambda x, i: x[i]\nb = lambda x, i: x[i] * 2\n")
    os.utime(path, (time.time() + 10, time.time() + 10))
    assert tj.jit(names["b"])(np.arange(5.0), 3) == 6


def test_reloaded_modules(module):
    assert tj.jit(module.first)(np.ones(1))[0] == 2
    with open(module.__file__, "w") as file:
        file.write(OLD.replace("x + 1", "np.zeros(len(x)) + x + 7"))
    os.utime(module.__file__, (time.time() + 10, time.time() + 10))
    importlib.reload(module)
    # The text that was read for the first function is still in linecache.
    assert tj.jit(module.first)(np.ones(1))[0] == 8
