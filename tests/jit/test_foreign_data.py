"""Arguments that others made: pandas, DLPack, memory maps, buffers, read-only arrays; and what is refused, and why."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj

Array = Any


class Dlpack:
    """What a tensor of another library shows of itself."""

    def __init__(self, own: Array, device: tuple[int, int] = (1, 0)) -> None:
        self.own = own
        self.device = device

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.own.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class WithArray:
    def __init__(self, own: Array) -> None:
        self.own = own

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.own if dtype is None else self.own.astype(dtype)


class WithInterface:
    def __init__(self, own: Array) -> None:
        self.own = own
        self.__array_interface__ = own.__array_interface__


class OnGpu:
    def __init__(self) -> None:
        self.__cuda_array_interface__ = {"shape": (3,), "typestr": "<f8", "data": (4096, False), "version": 3}


def foreign(kind: str, values: Array) -> Any:
    """The values as an object of another kind, which shares the memory of an array where it can."""
    values = np.asarray(values, np.float64)
    if kind == "array.array":
        return array.array("d", values)
    if kind == "memoryview":
        return memoryview(array.array("d", values))
    return {"dlpack": Dlpack, "__array__": WithArray, "interface": WithInterface}[kind](values)


KINDS = ["array.array", "memoryview", "dlpack", "__array__", "interface"]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_count_as_arrays_are_arguments(kind: str) -> None:
    f = tj.jit(lambda x: np.sin(x) * 2 + x.sum())
    for values in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0, 7.0]):
        expected = np.sin(np.array(values)) * 2 + sum(values)
        np.testing.assert_allclose(f(foreign(kind, values)), expected)
    assert f.cache_info().traces == 1


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_count_as_arrays_are_converted_inside(kind: str) -> None:
    f = tj.jit(lambda x: (np.asarray(x) + 1, np.array(x), np.asarray(x, np.float32)))
    one, two, three = f(foreign(kind, [1.0, 2.0]))
    assert one.tolist() == [2, 3] and two.tolist() == [1, 2] and three.dtype == np.float32


OUTSIDE: Any = None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ["asarray", "operator", "ufunc", "list"])
def test_objects_from_outside_are_read_at_each_call(kind: str, use: str) -> None:
    global OUTSIDE
    uses = {
        "asarray": lambda x: np.asarray(OUTSIDE) + x,
        "operator": lambda x: x + OUTSIDE,
        "ufunc": lambda x: np.add(OUTSIDE, x),
        "list": lambda x: np.array([OUTSIDE, OUTSIDE])[1] + x,
    }
    f = tj.jit(uses[use])
    x = np.ones(2)
    for values in ([1.0, 2.0], [3.0, 4.0]):
        OUTSIDE = foreign(kind, values)
        assert f(x).tolist() == [values[0] + 1, values[1] + 1]
    changed = OUTSIDE if kind == "array.array" else getattr(OUTSIDE, "own", None)
    if changed is None:
        changed = OUTSIDE.obj  # what a memoryview shows
    changed[0] = 9.0
    assert f(x).tolist() == [10.0, 5.0]


def test_writes_reach_the_memory_of_others() -> None:
    def double(x: Array) -> None:
        x *= 2

    f = tj.jit(double)
    own, buffer = np.arange(3.0), array.array("d", [1, 2, 3])
    f(WithInterface(own))
    f(buffer)
    f(memoryview(buffer))
    assert own.tolist() == [0, 2, 4] and buffer.tolist() == [4, 8, 12]


def test_from_dlpack_and_frombuffer_inside() -> None:
    x = np.arange(4.0)
    assert tj.jit(lambda x: np.from_dlpack(x) + 1)(Dlpack(x)).tolist() == [1, 2, 3, 4]
    assert np.shares_memory(tj.jit(lambda x: np.from_dlpack(x))(x), x)
    assert not np.shares_memory(tj.jit(lambda x: np.from_dlpack(x, copy=True))(x), x)
    assert tj.jit(lambda x: np.frombuffer(x, count=2, offset=8))(memoryview(x)).tolist() == [1, 2]
    with pytest.raises(tj.UnsupportedError, match="as int64 is not compiled; read the buffer before"):
        tj.jit(lambda x: np.frombuffer(x, np.int64))(memoryview(x))
    with pytest.warns(tj.PerformanceWarning, match=r"np\.frombuffer is called through NumPy"):
        assert tj.jit(lambda x: np.frombuffer(x, np.uint8) + 1)(b"ab").tolist() == [98, 99]


def test_lists_of_numbers() -> None:
    f = tj.jit(lambda x: (np.sin(x), np.sum(x), np.array(x) * 2, np.mean(x, axis=0)))
    for x in ([1.0, 2.0], [3.0, 4.0], [[1.0, 2], [3, 4]], (5.0, 6.0)):
        for got, expected in zip(f(x), (np.sin(x), np.sum(x), np.array(x) * 2, np.mean(x, axis=0)), strict=True):
            np.testing.assert_allclose(got, expected)


def test_arrays_without_axes_and_scalars_of_numpy() -> None:
    f = tj.jit(lambda x: (x + 1, np.sqrt(x)))
    for x in (np.array(4.0), np.float64(4), np.float32(4), np.array(4, np.int8), np.int64(4), np.True_):
        for got, expected in zip(f(x), (x + 1, np.sqrt(x)), strict=True):
            assert got == expected and type(got) is type(expected)


# ------------------------------------------------------------------------------------------------- memory maps


def test_memory_maps(tmp_path: Path) -> None:
    path = tmp_path / "data"
    np.arange(6.0).tofile(path)

    def change(x: Array) -> Array:
        x[0] = 7
        x += 1
        return x.sum()

    f = tj.jit(change)
    whole = np.memmap(path, "f8", "r+")
    assert f(whole) == 28.0
    whole.flush()
    assert np.fromfile(path).tolist() == [8, 2, 3, 4, 5, 6]
    private = np.memmap(path, "f8", "c")
    assert f(private) == 33.0 and np.fromfile(path)[0] == 8
    fixed = np.memmap(path, "f8", "r")
    with pytest.raises(ValueError, match=r"^assignment destination is read-only\b"):
        f(fixed)
    assert type(tj.jit(lambda x: x + 1)(fixed)) is np.ndarray
    assert type(tj.jit(lambda x: x[1:])(fixed)) is np.memmap
    assert tj.jit(lambda x: x + fixed)(np.ones(6))[0] == 9


# ------------------------------------------------------------------------------------------------- read-only arrays


def read_only(x: Array) -> Array:
    x = np.array(x)
    x.flags.writeable = False
    return x


def set_item(x: Array) -> None:
    x[0] = 1


def set_all(x: Array) -> None:
    x[...] = 1


def add_in_place(x: Array) -> None:
    x += 1


def add_into(x: Array) -> None:
    np.add(x, 1, out=x)


def fill(x: Array) -> None:
    x.fill(1)


def set_through_a_view(x: Array) -> None:
    x[1:][0] = 1


def set_flat(x: Array) -> None:
    x.reshape(-1)[0] = 1


@pytest.mark.parametrize("write", [set_item, set_all, add_in_place, add_into, fill, set_through_a_view, set_flat])
def test_writing_into_read_only_arrays_raises_what_numpy_raises(write: Any) -> None:
    f, x = tj.jit(write), np.zeros(3)
    f(x)
    with pytest.raises(ValueError) as expected:
        write(read_only([0.0, 0, 0]))
    for _ in range(2):
        with pytest.raises(ValueError) as got:
            f(read_only([0.0, 0, 0]))
        assert str(got.value) == str(expected.value)
    f(x)


def test_read_only_arrays_are_read_and_their_views_are_read_only() -> None:
    f = tj.jit(lambda x: (x + 1, x[1:], x.reshape(-1, 1), x, x.T))
    for x in (read_only([1.0, 2.0]), np.array([1.0, 2.0]), read_only([3.0, 4.0])):
        writeable = [part.flags.writeable for part in f(x)]
        assert writeable == [True] + [x.flags.writeable] * 4


# ------------------------------------------------------------------------------------------------- refused

MASKED, MATRIX = np.ma.masked_array([1.0, 2.0], [0, 1]), np.ones((1, 2)).view(np.matrix)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        (MASKED, r"is a numpy\.ma\.MaskedArray \(.*test_foreign_data\.py:\d+\).*x\.filled\(value\)"),
        (MATRIX, r"is a numpy\.matrix \(.*np\.asarray\(x\), and write @"),
        (np.zeros(2).view(Subclass), r"Subclass \(.*pass a plain array, np\.asarray\(x\)"),
        (np.rec.fromarrays([np.zeros(2)], names="a"), r"recarray \(.*pass a plain array"),
        (np.zeros(2, [("a", "f8")]), r"has dtype \[\('a', '<f8'\)\].*fields one by one, x\['name'\]"),
        (np.array([1, None]), r"has dtype object.*x\.astype\(float\)"),
        (np.array(["a"]), r"has dtype <U1.*x\.astype\(float\)"),
        (np.array(["2020-01-01"], "M8[D]"), r"has dtype datetime64\[D\].*x\.view\(np\.int64\)"),
        (np.ones(2, np.longdouble), r"has dtype \w+;.*x\.astype\(np\.float64\)"),
    ],
)
def test_arrays_that_are_not_compiled_say_why_and_what_to_write(value: Any, instead: str) -> None:
    global OUTSIDE
    with pytest.raises(TypeError, match=f"^argument 'x' {instead}" if instead.startswith("is") else instead):
        tj.jit(lambda x: x + 1)(value)
    OUTSIDE = value
    with pytest.raises(TypeError, match=instead.removeprefix("is ")):
        tj.jit(lambda x: x + OUTSIDE)(np.ones(2))


@pytest.mark.parametrize("value", [OnGpu(), Dlpack(np.ones(3), (2, 0))])
def test_memory_of_a_gpu(value: Any) -> None:
    with pytest.raises(TypeError, match=r"in the memory of a GPU.*copy it to the host first: x\.cpu\(\)"):
        tj.jit(lambda x: x + 1)(value)


# ------------------------------------------------------------------------------------------------- pandas


def test_columns_of_pandas_are_seen_as_arrays() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]})
    f = tj.jit(lambda a, b: np.sqrt(a) * b + a.sum())
    for part in (frame, frame[1:], frame[::-1]):
        expected = np.sqrt(part["a"].to_numpy()) * part["b"].to_numpy() + part["a"].sum()
        np.testing.assert_allclose(f(part["a"], part["b"]), expected)
    assert f.cache_info().traces == 1
    np.testing.assert_allclose(tj.jit(lambda x: x.mean(0))(frame), [2, 5])
    assert tj.jit(lambda x: np.asarray(x) + 1)(pandas.Index([1, 2])).tolist() == [2, 3]


def test_pandas_from_outside_is_read_at_each_call() -> None:
    pandas = pytest.importorskip("pandas")
    column = pandas.Series([1.0, 2.0])
    f = tj.jit(lambda x: x + np.asarray(column))
    assert f(np.zeros(2)).tolist() == [1, 2]
    column.iloc[0] = 5
    assert f(np.zeros(2)).tolist() == [5, 2]


def test_pandas_that_would_be_aligned_by_label_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    a, b = pandas.Series([1.0, 2.0]), pandas.Series([3.0, 4.0], index=[1, 2])
    with pytest.raises(tj.UnsupportedError, match=r"different indexes \(.*a\.align\(b, join='inner'\)"):
        tj.jit(lambda a, b: a + b)(a, b)
    assert tj.jit(lambda a, b: a + b)(a.to_numpy(), b.to_numpy()).tolist() == [4, 6]


def test_pandas_without_numbers_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="argument 'x' has dtype object"):
        tj.jit(lambda x: x)(pandas.Series(["a", 1]))
    with pytest.raises(TypeError, match="argument 'x' has dtype datetime64"):
        tj.jit(lambda x: x)(pandas.Series(pandas.date_range("2020-01-01", periods=2)))
