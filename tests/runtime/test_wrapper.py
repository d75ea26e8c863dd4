"""One call in Python: layouts, overlap, and reasons."""

import numpy as np
import pytest

from tests.runtime.kernels import (
    DOUBLE,
    F8,
    NOTHING,
    ROWS,
    array,
    doubling,
    doubling_in_place,
    m,
    n,
    program,
    two_arrays,
)
from tracejit.runtime import wrapper
from tracejit.runtime.program import ResultSpec


def test_any_layout_is_copied_in_and_back():
    x = np.arange(12.0)
    layouts = [
        x,
        x[::2],
        x[::-1],
        x.astype(">f8"),
        np.frombuffer(bytearray(97), "u1")[1:].view("f8"),
        x.reshape(3, 4).T[1],
    ]
    for values in layouts:
        expected = np.asarray(values) * 2 + 1
        assert wrapper.matches(doubling(), [values])
        (result,) = wrapper.call(doubling(), [values])
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == F8
        (same,) = wrapper.call(doubling_in_place(), [values])
        assert same is values
        np.testing.assert_array_equal(np.asarray(values), expected)


def test_other_kinds_of_arrays_are_refused():
    for value in ([0.0, 1.0, 2.0], memoryview(np.arange(3.0)), np.ma.array([1.0]), np.float64(1), None):
        assert not wrapper.matches(doubling(), [value])


def test_mapped_files_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", "f8", "w+", shape=3)
    assert wrapper.matches(doubling(), [mapped])
    np.testing.assert_array_equal(wrapper.call(doubling(), [mapped])[0], [1, 1, 1])


def test_overlap_is_found_exactly():
    base = np.zeros(10)
    assert wrapper.call(two_arrays(), [base[::2], base[1::2]])[0].tolist() == [1] * 5
    assert base.tolist() == [1, 0] * 5
    for a, b in [(base, base), (base[::2], base[4:5]), (base[2:], base[:3])]:
        with pytest.raises(wrapper.OverlapError) as caught:
            wrapper.call(two_arrays(), [a, b])
        assert caught.value.arguments == (0, 1)
    windows = np.lib.stride_tricks.as_strided(base, (8, 3), (8, 8))
    matrix = program(NOTHING, [array(2, written=True)], [(n, m)], [ROWS, ("m", ("dim", 0, 1))], [], result_tree="tuple")
    with pytest.raises(wrapper.OverlapError):
        wrapper.call(matrix, [windows])
    assert wrapper.call(matrix, [np.zeros((3, 4)).T]) == [] == wrapper.call(matrix, [np.zeros((1, 4))[:, ::-1]])


def test_reasons_are_given_in_words():
    p = program(DOUBLE, [array()], [(n,)], [ROWS], [ResultSpec("array", F8, (n,))], guards=((n - 3, "== 0"),))
    assert wrapper.mismatch(p, [np.ones(3)]) is None
    for leaves, text in [
        ([], "0 arguments where 1 are expected"),
        ([1.0], "argument 0 is of kind float, not array"),
        ([np.ones(3, "f4")], "argument 0 is float32 of rank 1, not float64 of rank 1"),
        ([np.ones(4)], "n-3 == 0 does not hold for {'n': 4}"),
    ]:
        assert wrapper.mismatch(p, leaves) == text
    three = program(NOTHING, [array()], [(3,)], [], [], result_tree="tuple")
    assert wrapper.mismatch(three, [np.ones(2)]) == "axis 0 of argument 0 has size 2, not 3"
