"""Which calls of compiled functions machine code answers, and that the others are right and not slow for ever."""

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
import threading
import types
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tests.runtime.kernels import fast_only
from tracejit.runtime import generated
from tracejit.runtime.entry import suspended
from tracejit.trace.context import active_trace

FACTOR, LIMIT, MODE, DTYPE = 2.0, 10**9, "double", np.float32(0.5)
TABLE = np.arange(3.0)
SETTINGS: dict[str, Any] = {"rate": 0.5, "layers": [np.ones(3), np.full(3, 2.0)], "names": ("a", None)}


def helper(x):
    return x + FACTOR


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """The globals as they were, after each test."""
    module = sys.modules[__name__]
    for name in ("FACTOR", "LIMIT", "MODE", "DTYPE", "TABLE", "SETTINGS", "helper"):
        value = copy.deepcopy(getattr(module, name)) if name in ("TABLE", "SETTINGS") else getattr(module, name)
        monkeypatch.setattr(module, name, value)
    return monkeypatch


def call(f, *args, **kwargs):
    """The result, compared with plain Python's; and whether machine code gave it."""
    before = f._hits
    expected = f.__wrapped__(*copy.deepcopy(args), **copy.deepcopy(kwargs))
    result = f(*args, **kwargs)
    np.testing.assert_equal(result, expected)
    assert type(result) is type(expected)
    return f._hits > before


def check_fast(f, *args, **kwargs):
    call(f, *args, **kwargs)
    assert call(f, *args, **kwargs)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class State:
    w: Any
    b: Any


x, y = np.arange(3.0), np.full(3, 0.5)

ARGUMENTS = {
    "list": (lambda p, s: p[0] * s + p[1], ([x, y], 2.0), {}),
    "tuple": (lambda p: p[0] * p[1][0] + p[1][1], ((x, (y, 3)),), {}),
    "dict": (lambda p: p["w"] @ p["x"] + p["n"], ({"w": x, "x": y, "n": None or 2.5},), {}),
    "named": (lambda p: p.x - p.y, (Point(x, 2),), {}),
    "none": (lambda a, b=None: a if b is None else a + b, (x, None), {}),
    "keywords": (lambda a, *, scale, more: a * scale + more[0], (x,), {"scale": 2.0, "more": [y]}),
    "only keywords": (lambda **k: k["a"] - k["b"], (), {"a": x, "b": y}),
    "NumPy scalar": (lambda a, s: a * s, (x, np.float32(2)), {}),
    "array of rank 0": (lambda a, s: a * s, (x, np.array(2.0)), {}),
    "bool": (lambda a, flag: a * 2 if flag else a, (x, True), {}),
    "complex": (lambda a, c: a * c, (x, 1j), {}),
    "text": (lambda a, kind: a.sum() if kind == "sum" else a.max(), (x, "sum"), {}),
    "python results": (lambda a, s, n: (float(s) * 2, n + 1, len(a), s > 0, s * 1j), (x, 2.5, 3), {}),
    "constants": (lambda a: ("text", None, 3, a + 1), (x,), {}),
    "views": (lambda a: (a, a[1:], a[::-1], a.reshape(-1, 1), a[None].T, a[0:0]), (x,), {}),
    "views of results": (lambda a: {"b": (b := a * 2), "half": b[: len(a) // 2], "again": b}, (x,), {}),
    "trees": (lambda a: [Point(a + 1, {"k": a * 2, 3: (None, [a - 1])}), ()], (x,), {}),
    "ravel": (lambda a: a.ravel() * 2, (np.ones((2, 3)),), {}),
    "ravel of a transpose": (lambda a: a.ravel() * 2, (np.ones((2, 3)).T,), {}),
}


@fast_only
@pytest.mark.parametrize("name", ARGUMENTS)
def test_machine_code_answers(name):
    function, args, kwargs = ARGUMENTS[name]
    check_fast(tj.jit(function), *args, **kwargs)


@fast_only
def test_layouts_that_matter_select_versions():
    f = tj.jit(lambda a: a.reshape(-1))
    square = np.arange(9.0).reshape(3, 3)
    for array, shared in [(square, True), (square.T, False), (square[::2], False), (square, True), (square.T, False)]:
        assert np.shares_memory(f(array), array) == shared
    assert f._hits >= 2 and f.cache_info().entries == 3


@fast_only
def test_scalars_and_arrays_of_rank_0_are_different_calls():
    f = tj.jit(lambda s: (s + 1, isinstance(s, np.ndarray)))
    for _ in range(3):
        assert f(np.array(2.0)) == (3.0, True) and f(np.float64(2)) == (3.0, False)
    assert f.cache_info().entries == 2 and f._hits == 4


def test_static_arguments_of_any_kind_are_compared_by_value():
    f = tj.jit(lambda a, how: a.reshape(how) if isinstance(how, (tuple, list)) else a * how, static_argnums=1)
    six = np.arange(6.0)
    for _ in range(3):
        for how in ((2, 3), [3, 2], 2.0, 2, np.float32(3), np.int8(2)):
            call(f, six, copy.copy(how))
    assert f.cache_info().entries == 6
    sizes = [2, 3]
    assert f(six, sizes).shape == (2, 3)
    sizes[:] = 6, 1
    assert f(six, sizes).shape == (6, 1)


# ------------------------------------------------------------------------------------------------ captures


@fast_only
def test_global_constants_and_helpers():
    global FACTOR, LIMIT, MODE, helper
    f = tj.jit(lambda a: (helper(a) if MODE == "double" else a) * min(LIMIT, 2))
    check_fast(f, x)
    MODE = "".join(["dou", "ble"])
    LIMIT = 10**3 * 10**6
    FACTOR = float("2.0")
    assert call(f, x)  # equal values
    for name, value in [("MODE", "other"), ("LIMIT", 1), ("FACTOR", 3.0), ("helper", lambda x: x - 1)]:
        before = globals()[name]
        globals()[name] = value
        assert not call(f, x) and call(f, x)
        globals()[name] = before
        assert call(f, x)


@fast_only
def test_equal_objects_of_other_identity_become_the_expected_ones():
    global DTYPE
    f = tj.jit(lambda a: a * DTYPE)
    check_fast(f, x)
    DTYPE = np.float32("0.5")
    assert not call(f, x)
    call(f, x)
    assert call(f, x) and f.cache_info().traces == 1
    for _ in range(40):
        DTYPE = np.float32("0.5")
        call(f, x)
    assert f.cache_info().traces == 1
    DTYPE = np.float64(0.5)
    assert not call(f, x) and f.cache_info().traces == 2


@fast_only
def test_cells():
    def make():
        scale, table = 2.0, np.ones(3)

        def function(a):
            return a * scale + table

        def change(new_scale, new_table):
            nonlocal scale, table
            scale, table = new_scale, new_table

        return tj.jit(function), change

    f, change = make()
    check_fast(f, x)
    change(2.0, np.full(3, 7.0))
    assert call(f, x)
    change(3.0, np.ones(3))
    assert not call(f, x) and call(f, x)


@fast_only
def test_containers_in_globals():
    f = tj.jit(lambda a: (a * SETTINGS["layers"][0] + SETTINGS["layers"][-1]) * SETTINGS["rate"])
    check_fast(f, x)
    SETTINGS["layers"][0] = np.full(3, 5.0)
    SETTINGS["layers"][1][0] = 9
    assert call(f, x)
    SETTINGS["rate"] = 0.25
    assert not call(f, x) and call(f, x)
    SETTINGS["layers"].append(np.zeros(3))
    assert not call(f, x) and call(f, x)
    SETTINGS["layers"][0] = np.ones(3, "f4")
    assert not call(f, x) and call(f, x)


@fast_only
def test_attributes(tmp_path, monkeypatch):
    (tmp_path / "constants_of_a_test.py").write_text("import numpy as np\nrate = 2.0\ntable = np.arange(3.0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import constants_of_a_test as module

    class Layer:
        slope = 0.5

        def __init__(self):
            self.w, self.inner = np.ones(3), types.SimpleNamespace(on=True, b=np.zeros(3))

        def apply(self, a):
            return a * self.w * self.slope + (self.inner.b if self.inner.on else 0) + module.table * module.rate

    layer = Layer()
    f = tj.jit(layer.apply)
    check_fast(f, x)
    layer.w = np.full(3, 3.0)
    layer.inner.b[1] = 5
    layer.slope = 2.0
    module.table = np.ones(3)
    assert call(f, x)
    layer.slope = 2.0  # of the object now, no longer of its class
    assert call(f, x)
    for owner, name, value in [
        *((layer.inner, "on", False), (module, "rate", 3.0), (layer, "w", np.ones(3, "f4"))),
        (layer, "inner", types.SimpleNamespace(on=True, b=np.ones(3))),
    ]:
        setattr(owner, name, value)
        assert not call(f, x)
        assert call(f, x)


def test_properties_are_read_at_each_call():
    class Model:
        rate = 1.0

        @property
        def weights(self):
            return np.full(3, self.rate)

    model = Model()
    f = tj.jit(lambda a: a * model.weights)
    for rate in (1.0, 1.0, 2.0, 2.0, 3.0):
        model.rate = rate
        call(f, x)
    assert f.cache_info().traces == 1


def test_the_same_memory_under_two_names():
    global TABLE
    f = tj.jit(lambda a: (a.__setitem__(0, 7), TABLE + a)[1])
    own = np.zeros(3)
    call(f, own)
    call(f, own)
    TABLE = own
    np.testing.assert_array_equal(f(own), [14, 0, 0])


# ------------------------------------------------------------------------------------------------ Python's half


def other_structures():
    return [
        (lambda s: s.w * s.b, State(x, y)),
        (lambda d: d["w"] - d["b"], OrderedDict(w=x, b=y)),
        (lambda d: d["w"] - d["b"], defaultdict(float, w=x, b=y)),
        (lambda p: p[0][0].w * p[1], [[State(x, None)], Point(y, None).x]),
        (lambda d: d[1] + d[2], {1: x, 2: y}),
        (lambda a: a * 2, x.astype(">f8")),
        (lambda a, b: a.__iadd__(b), np.zeros(6)[::2]),
    ]


@pytest.mark.parametrize("case", range(len(other_structures())))
def test_python_answers_what_machine_code_does_not(case):
    function, argument = other_structures()[case]
    f = tj.jit(function)
    args = (argument, y) if function.__code__.co_argcount == 2 else (argument,)
    for _ in range(4):
        call(f, *args)
    info = f.cache_info()
    assert (info.traces, info.misses, info.hits) == (1, 1, 3)


def test_other_structures_are_told_apart():
    f = tj.jit(lambda s: s.w + 1 if isinstance(s, State) else s["w"] + 2 if isinstance(s, dict) else s[0] + 3)
    for argument in 2 * [State(x, y), State(x, None), {"w": x}, OrderedDict(w=x), defaultdict(int, w=x), [x], (x,)]:
        call(f, argument)
        call(f, argument)
    assert f.cache_info().traces == 7


def test_array_likes():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return x

    f = tj.jit(lambda a, b: a + b[0])
    for _ in range(3):
        np.testing.assert_array_equal(f(Like(), [y]), x + y)
        np.testing.assert_array_equal(f(memoryview(x), [Like()]), x + x)
    assert f.cache_info().traces == 1


def test_mapped_files(tmp_path):
    mapped = np.memmap(tmp_path / "data", "f8", "w+", shape=3)
    f = tj.jit(lambda a: a.__iadd__(1.0) * 2)
    f(np.zeros(3))
    for count in (1, 2):
        np.testing.assert_array_equal(f(mapped), np.full(3, 2.0 * count))
    assert f.cache_info().traces == 1 and mapped[0] == 2


def test_generated_functions_have_source():
    import inspect

    made = generated.make_function("twice", ["a"], ["return a * two"], {"two": 2})
    assert made(4) == 8 and "return a * two" in inspect.getsource(made)


# ------------------------------------------------------------------------------------------------ traces


def test_compiled_functions_become_part_of_a_trace():
    state = np.ones(3)
    double = tj.jit(lambda: state * 2)
    count = tj.jit(lambda: state.__setitem__(0, state[0] + 1))
    for _ in range(3):
        double()
    f = tj.jit(lambda a: (count(), a + double())[1])
    count()
    state[:] = 1
    for step in range(1, 4):
        np.testing.assert_array_equal(f(np.zeros(3)), [2 * (1 + step), 2, 2])
    assert active_trace() is None


def test_calls_within_a_trace_count_nothing():
    inner = tj.jit(lambda a, k: a * k)
    inner(x, 2.0)
    before = inner.cache_info()
    outer = tj.jit(lambda a: inner(a, 3.0) + inner(a, 3))
    np.testing.assert_array_equal(outer(x), x * 6)
    assert inner.cache_info() == before


@fast_only
def test_disabled_from_the_start():
    code = "import tracejit as tj, numpy as np; f = tj.jit(lambda x: type(x).__name__); print(f(np.ones(2)), f._hits)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TRACEJIT_DISABLE_JIT": "1"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["ndarray", "0"]


OTHER_INTERPRETER = """
import tracejit.runtime.layout as layout
layout.problem = lambda: "as if"
import numpy as np, tracejit as tj
from tracejit.runtime.entry import CompiledCallable, PortableCallable
x, y = np.arange(3.0), np.ones(3)
f = tj.jit(lambda p, *, k: {"a": p[0] * k + y, "b": p[0][1:], "c": (float(k), None, p[1])})
for k in (1.0, 2.0, 3.0):
    found = f([x, "s"], k=k)
    np.testing.assert_array_equal(found["a"], x * k + 1)
    assert found["b"].base is x and found["c"] == (k, None, "s")
assert CompiledCallable is PortableCallable and (f._hits, f.cache_info().traces) == (2, 1)
outer = tj.jit(lambda p: f([p, "s"], k=2.0)["a"])
np.testing.assert_array_equal(outer(x), x * 2 + 1)
"""


def test_other_interpreters_do_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(OTHER_INTERPRETER)
    subprocess.run([sys.executable, script], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_traces():
    f = tj.jit(lambda a: a + 1)
    for _ in range(2):
        f(x)
    tracing, done = threading.Event(), threading.Event()

    def trace_slowly():
        with suspended():
            tracing.set()
            done.wait()

    thread = threading.Thread(target=trace_slowly)
    thread.start()
    tracing.wait()
    child = os.fork()
    if not child:
        code = 1
        try:
            before = f._hits
            f(x)
            code = 0 if f._hits == before + 1 else 2
        finally:
            os._exit(code)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


# ------------------------------------------------------------------------------------------------ objects


class Model:
    def __init__(self, w):
        self.w = w

    @tj.jit
    def predict(self, a):
        """The prediction."""
        return a * self.w

    @staticmethod
    @tj.jit
    def plus(a):
        return a + 1


@tj.jit
def module_level(a):
    return a - 1


@fast_only
def test_methods():
    one, two = Model(np.ones(3)), Model(np.full(3, 2.0))
    for model in (one, two, one, two):
        np.testing.assert_array_equal(model.predict(x), x * model.w)
        np.testing.assert_array_equal(Model.predict(model, x), x * model.w)
    assert Model.predict.cache_info().traces == 1 and Model.predict._hits == 7
    assert Model.predict.__doc__ == "The prediction."
    np.testing.assert_array_equal(one.plus(x), x + 1)


def test_copies_and_pickles_are_the_function_itself():
    assert copy.copy(module_level) is module_level and copy.deepcopy({"f": module_level})["f"] is module_level
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(tj.jit(lambda a: a))


def test_clearing_while_in_use():
    f = tj.jit(lambda p: p[0] + 1)
    for _ in range(3):
        call(f, [x])
    f.cache_clear()
    assert f.cache_info() == (0, 0, 0, 0, 0, 0)
    call(f, [x])
    assert f.cache_info().traces == 1


# ------------------------------------------------------------------------------------------------ random structures


def random_tree(generator, depth=0):
    kind = generator.integers(0, 9 if depth < 3 else 4)
    if kind < 4:
        return [np.ones(2) * generator.random(), 2.5, int(generator.integers(100, 200)), None][kind]
    items = [random_tree(generator, depth + 1) for _ in range(generator.integers(0, 4))]
    if kind == 6:
        return {f"k{k}": item for k, item in enumerate(items)}
    if kind == 7:
        return Point(items, 1.0)
    if kind == 8:
        return OrderedDict((f"k{k}", item) for k, item in enumerate(items))
    return items if kind == 4 else tuple(items)


def sum_of(tree):
    if isinstance(tree, dict):
        return sum([total(item) for item in tree.values()]) + 1
    if isinstance(tree, (list, tuple)):
        return sum([total(item) for item in tree]) + 2
    return 0 if tree is None else tree


total = sum_of


def added(tree):
    return np.ones(2) * total(tree)


def test_random_structures():
    generator = np.random.default_rng(5)
    f = tj.jit(added)
    trees = [random_tree(generator) for _ in range(25)]
    for _ in range(3):
        for tree in trees:
            np.testing.assert_allclose(f(tree), added(tree), rtol=1e-14)
    assert f.cache_info().traces <= len(trees)


def test_disable_jit_takes_effect_on_compiled_functions() -> None:
    f = tj.jit(lambda x: x + 1)
    x = np.arange(3.0)
    f(x)
    hits = f.cache_info().hits
    with tj.options(disable_jit=True):
        np.testing.assert_array_equal(f(x), x + 1)
    assert f.cache_info().hits == hits  # plain Python answered
    f(x)
    assert f.cache_info().hits == hits + 1
