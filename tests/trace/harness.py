"""Runs a function on NumPy and traced through the interpreter, and compares everything a caller can see."""

from __future__ import annotations

import copy
import linecache
import math
import warnings
from typing import Any

import numpy as np

from tracejit.trace.pytree import flatten
from tracejit.trace.tracer import Traced, flatten_call, run_leaves, trace


class Jit:
    """A jit that compiles nothing: programs are interpreted. The list of traces is what a real jit would compile."""

    def __init__(self, function: Any, static: tuple[int | str, ...] = ()) -> None:
        self.function = function
        self.static = static
        self.traces: list[Traced] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, tree = flatten_call(args, kwargs, self.static)
        for traced in self.traces:
            if traced.in_tree == tree and (sizes := traced.bind(leaves)) is not None:
                return run_leaves(traced, leaves, sizes, (args, kwargs))
        traced = trace(self.function, args, kwargs, static=self.static)
        self.traces.append(traced)
        sizes = traced.bind(leaves, fresh=True)
        assert sizes is not None, "a trace must fit the call that it was made from"
        return run_leaves(traced, leaves, sizes, (args, kwargs))


def outcome(function: Any, args: Any, kwargs: Any) -> tuple[Any, BaseException | None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs), None
        except Exception as error:
            return None, error


def same(actual: Any, expected: Any, rtol: float = 0.0, where: str = "result") -> None:
    a, tree_a = flatten(actual)
    b, tree_b = flatten(expected)
    assert tree_a == tree_b, f"{where}: {tree_a} instead of {tree_b}"
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        assert type(x) is type(y), f"{where} {k}: {type(x)} {x!r} instead of {type(y)} {y!r}"
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype, f"{where} {k}: {x.dtype} instead of {y.dtype}"
            assert x.shape == y.shape, f"{where} {k}: {x.shape} instead of {y.shape}"
            if rtol and y.dtype.kind in "fc":
                np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol, err_msg=f"{where} {k}")
            else:
                np.testing.assert_array_equal(x, y, err_msg=f"{where} {k}")
        elif isinstance(y, (float, complex)) and rtol:
            np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)
        else:
            assert x == y or (x != x and y != y), f"{where} {k}: {x!r} instead of {y!r}"


def check(
    function: Any, *args: Any, rtol: float = 1e-12, text: bool = True, jit: Jit | None = None, **kwargs: Any
) -> Jit:
    """The traced function must give what NumPy gives: values, dtypes, shapes, exceptions, changed arguments."""
    jit = jit or Jit(function)
    plain_args, plain_kwargs = copy.deepcopy((args, kwargs))
    traced_args, traced_kwargs = copy.deepcopy((args, kwargs))
    expected, expected_error = outcome(function, plain_args, plain_kwargs)
    actual, error = outcome(jit, traced_args, traced_kwargs)
    if expected_error is not None:
        assert error is not None, f"{expected_error!r} was not raised; result {actual!r}"
        assert isinstance(error, type(expected_error)), f"{error!r} instead of {expected_error!r}"
        if text:
            assert str(error) == str(expected_error), f"{str(error)!r} instead of {str(expected_error)!r}"
        return jit
    if error is not None:
        raise error
    dtypes = [leaf.dtype for leaf in flatten((args, kwargs, expected))[0] if hasattr(leaf, "dtype")]
    half = np.float16 in dtypes
    single = np.float32 in dtypes or np.complex64 in dtypes
    rtol = max(rtol, 1e-2 if half else 1e-5 if single else 0) if rtol else 0
    same(actual, expected, rtol)
    same((traced_args, traced_kwargs), (plain_args, plain_kwargs), rtol, "argument")
    return jit


_sources = 0


def function_of(body: str, arguments: str = "x, y") -> Any:
    """A function from source: an expression, or statements separated by `;` or lines."""
    global _sources
    _sources += 1
    name = f"<program {_sources}>"
    lines = body.split("\n") if "\n" in body else body.split("; ")
    if len(lines) == 1 and not lines[0].startswith(("return", "if ", "for ", "assert ", "while ")):
        try:
            compile(lines[0], name, "eval")
            lines = [f"return {lines[0]}"]
        except SyntaxError:
            pass
    source = f"def program({arguments}):\n" + "".join(f"    {line}\n" for line in lines)
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    namespace: dict[str, Any] = {"np": np, "math": math}
    exec(compile(source, name, "exec"), namespace)
    return namespace["program"]
