"""What compiled functions read besides their arguments: nothing stale stays in the code."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of
from tracejit.trace import user_files

FACTOR = 2.0
TABLE = np.arange(5.0)
SETTINGS: dict[str, Any] = {"weights": np.ones(5), "power": 2, "nested": [np.arange(5.0), 3]}
COUNT = 3


def use_globals(x):
    return x * FACTOR + TABLE[: len(x)]


def helper(x):
    return x + COUNT


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """The globals as they were, after each test."""
    module = sys.modules[__name__]
    for name, value in [("FACTOR", 2.0), ("TABLE", np.arange(5.0)), ("COUNT", 3), ("helper", helper)]:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "SETTINGS", {"weights": np.ones(5), "power": 2, "nested": [np.arange(5.0), 3]})
    return monkeypatch


def same(jitted, *args):
    np.testing.assert_array_equal(jitted(*args), jitted.__wrapped__(*args))


def test_globals_are_read_at_each_call():
    global FACTOR, TABLE
    jitted = tj.jit(use_globals)
    x = np.ones(5)
    same(jitted, x)
    same(jitted, x)
    FACTOR = 5.0
    same(jitted, x)
    TABLE = TABLE * 10
    same(jitted, x)
    TABLE[2] = -1
    same(jitted, x)
    TABLE = np.arange(5)  # another dtype
    same(jitted, x)
    TABLE = np.arange(12.0)
    same(jitted, x)
    TABLE = [1.0, 2.0, 3.0, 4.0, 5.0]
    same(jitted, x)
    FACTOR = 2.0
    same(jitted, x)
    FACTOR = np.float32(3)
    same(jitted, x)
    FACTOR = np.full(5, 7.0)
    same(jitted, x)


def test_a_new_value_of_a_global_array_compiles_nothing():
    global TABLE
    jitted = tj.jit(lambda x: x + TABLE)
    for k in range(5):
        TABLE = np.full(4 + k, float(k))
        np.testing.assert_array_equal(jitted(np.zeros(4 + k)), np.full(4 + k, float(k)))
    assert versions_of(jitted) == 1


def test_deleted_globals():
    jitted = tj.jit(use_globals)
    jitted(np.ones(3))
    del globals()["TABLE"]
    with pytest.raises(NameError, match="TABLE"):
        jitted(np.ones(3))


def test_globals_written_in_place():
    @tj.jit
    def count(x):
        TABLE[0] += x.sum()
        TABLE[1:] *= 2

    expected = TABLE.copy()
    for _ in range(3):
        count(np.ones(3))
        expected[0] += 3
        expected[1:] *= 2
        np.testing.assert_array_equal(TABLE, expected)


def test_a_global_that_is_also_an_argument():
    @tj.jit
    def add(x):
        x += TABLE
        return TABLE.sum()

    other = np.ones(5)
    assert add(other) == 10
    total = add(TABLE)
    np.testing.assert_array_equal(TABLE, 2 * np.arange(5.0))
    assert total == 20
    add(TABLE[::-1])
    expected = 2 * np.arange(5.0)
    expected[::-1] += expected.copy()
    np.testing.assert_array_equal(TABLE, expected)


def test_rebinding_a_global_to_an_alias_of_another():
    global TABLE
    other = np.zeros(5)
    SETTINGS["weights"] = other

    @tj.jit
    def write():
        TABLE[...] += 1
        return SETTINGS["weights"] + 0

    np.testing.assert_array_equal(write(), np.zeros(5))
    TABLE = other
    np.testing.assert_array_equal(write(), np.ones(5))
    TABLE = np.zeros(5)
    np.testing.assert_array_equal(write(), np.ones(5))


def test_containers():
    @tj.jit
    def use(x):
        return (x * SETTINGS["weights"]) ** SETTINGS["power"] + SETTINGS["nested"][0] * SETTINGS["nested"][1]

    x = np.arange(5.0)
    same(use, x)
    SETTINGS["weights"][1] = 9
    same(use, x)
    SETTINGS["weights"] = np.full(5, 3.0)
    same(use, x)
    SETTINGS["power"] = 3
    same(use, x)
    SETTINGS["nested"][1] = 0.5
    same(use, x)
    SETTINGS["nested"][0] = np.ones(5)
    same(use, x)
    SETTINGS["nested"] = [x, 1]
    same(use, x)


def test_lists_of_arrays_that_change():
    layers = [np.ones(3), np.full(3, 2.0)]

    @tj.jit
    def run(x):
        for layer in layers:
            x = x * layer
        return x

    same(run, np.ones(3))
    layers[0] = np.full(3, 5.0)
    same(run, np.ones(3))
    layers.append(np.full(3, 7.0))
    same(run, np.ones(3))
    layers[1][0] = 0
    same(run, np.ones(3))
    del layers[0]
    same(run, np.ones(3))


def test_closures():
    def make():
        scale, table = 2.0, np.arange(4.0)

        def function(x):
            return x * scale + table

        def change(new_scale, new_table):
            nonlocal scale, table
            scale, table = new_scale, new_table

        return tj.jit(function), change

    function, change = make()
    x = np.ones(4)
    same(function, x)
    change(3.0, np.arange(4.0))
    same(function, x)
    change(3.0, np.ones(4))
    same(function, x)
    change(True, np.ones(4, "f4"))
    same(function, x)
    assert versions_of(function) <= 3


def test_closures_of_loops_are_separate_functions():
    functions = []
    for k in range(3):
        functions.append(tj.jit(lambda x, k=k: x + k))
    for k, function in enumerate(functions):
        np.testing.assert_array_equal(function(np.zeros(2)), np.full(2, float(k)))


def test_helpers_are_replaced():
    global helper, COUNT

    @tj.jit
    def use(x):
        return helper(x) * 2

    same(use, np.ones(3))
    COUNT = 10  # a global of the helper
    same(use, np.ones(3))
    helper = lambda x: x - 1  # noqa: E731
    same(use, np.ones(3))


def test_attributes_of_objects():
    class Model:
        def __init__(self):
            self.weights = np.ones(3)
            self.rate = 0.5
            self.inner = types.SimpleNamespace(bias=np.zeros(3), on=True)

        @property
        def doubled(self):
            return self.weights * 2

        def predict(self, x):
            y = x * self.weights + self.inner.bias if self.inner.on else x
            return y * self.rate + self.doubled

    model = Model()
    predict = tj.jit(model.predict)

    def check():
        np.testing.assert_array_equal(predict(np.arange(3.0)), model.predict(np.arange(3.0)))

    check()
    model.weights[0] = 7
    check()
    model.weights = np.full(3, 4.0)
    check()
    model.rate = 0.25
    check()
    model.inner.bias = np.ones(3)
    check()
    model.inner.on = False
    check()
    model.inner = types.SimpleNamespace(bias=np.ones(3) * 9, on=True)
    check()


def test_objects_with_state_that_is_updated_in_place():
    class Counter:
        def __init__(self):
            self.total = np.zeros(3)

        @tj.jit
        def add(self, x):
            self.total += x
            return self.total.sum()

    counter = Counter()
    for k in range(1, 4):
        assert counter.add(np.ones(3)) == 3 * k
        np.testing.assert_array_equal(counter.total, np.full(3, float(k)))


def test_modules_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "user_settings_of_a_test.py").write_text("import numpy as np\nrate = 2.0\ntable = np.arange(3.0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import user_settings_of_a_test as module

    @tj.jit
    def use(x):
        return x * module.rate + module.table

    same(use, np.ones(3))
    module.rate = 5.0
    same(use, np.ones(3))
    module.table = np.ones(3)
    same(use, np.ones(3))
    module.table[0] = 3
    same(use, np.ones(3))


def test_captured_layouts():
    global TABLE
    jitted = tj.jit(lambda x: (x * TABLE, TABLE.sum()))
    base = np.arange(20.0)
    for table in (base[:5], base[::4], base[4::-1], base[:5].astype(">f8"), np.broadcast_to(base[3], 5)):
        TABLE = table
        found, total = jitted(np.ones(5))
        np.testing.assert_array_equal(found, table)
        assert total == table.sum()


def test_environment_and_dtypes():
    kinds = {"kind": np.float32}

    @tj.jit
    def use(x):
        return x.astype(kinds["kind"])

    assert use(np.ones(2)).dtype == np.float32
    kinds["kind"] = np.int16
    assert use(np.ones(2)).dtype == np.int16


def test_nonlocal_names_of_functions_inside():
    @tj.jit
    def function(x):
        count = 0

        def add(y):
            nonlocal x, count
            x = x + y
            count += 1
            return x

        add(1.0), add(2.0)
        return x, count

    result, count = function(np.zeros(2))
    assert result.tolist() == [3, 3] and count == 2


def test_an_installed_package_that_compiles_its_functions(tmp_path, monkeypatch):
    """What a package compiles means the same in a checkout and below site-packages, with the helpers beside it."""
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "helpers.py").write_text("import numpy as np\n\ndef ramp(n):\n    return np.arange(n) * 2.0\n")
    (package / "__init__.py").write_text(
        "import math\nfrom .helpers import ramp\n\n"
        "def f(x):\n    if x[0] > 0:\n        return ramp(len(x)) + math.sin(x[1])\n    return x * 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(user_files, "_PACKAGE_FOLDERS", (f"{tmp_path}/",))
    monkeypatch.setattr(user_files, "_LIBRARY_FOLDERS", (*user_files._LIBRARY_FOLDERS, f"{tmp_path}/"))
    function = importlib.import_module("some_package").f
    check(function, np.array([1.0, 2.0, 3.0]))
    check(function, np.array([-1.0, 2.0, 3.0]))
