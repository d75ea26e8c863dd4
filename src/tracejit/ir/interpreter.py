"""Runs a function of either level with NumPy, one equation after the other: the meaning of the IR, and the fallback.

At array level NumPy warns as it would for the user. Nothing here knows how functions were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import free_values
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value
from tracejit.ir.dims import Dim, evaluate, symbols_of
from tracejit.ir.types import ArrayType, BufferType

__all__ = ["bind_sizes", "interpret"]

Array = np.ndarray[Any, Any]


def interpret(
    function: Function,
    *args: Any,
    sizes: Mapping[str, int] | Sequence[int] | None = None,
    outputs: Sequence[Array] | None = None,
    backwards: bool = False,
) -> list[Any]:
    """Run a function of either level; gives its results.

    args: one array (or number) a param. At loop level params are buffers: arrays of the param's dims, or flat and
        C-contiguous; they are written in place. Trailing params without an argument are allocated, and given back.
    sizes: values of the size symbols that no shape binds: by name, or in the order of ``function.sizes``.
    outputs: at loop level, the arguments of the trailing params; at array level, arrays that results are copied into.

    backwards: run the iterations of every loop that is not serial from the last to the first. Loops that are what they
        say give the same results, up to the rounding of reductions.

    Example:
        >>> from tracejit.ir.parser import parse
        >>> double = parse("func @double(%x: f64[n]) -> (f64[n]) { %0: f64[n] = add %x, %x  return %0 }")
        >>> interpret(double, np.array([1.0, 2.0]))
        [array([2., 4.])]
    """
    is_loop_level = any(isinstance(param.type, BufferType) for param in function.params)
    if is_loop_level and outputs is not None:
        args = (*args, *outputs)
    if len(args) > len(function.params) or (len(args) < len(function.params) and not is_loop_level):
        raise TypeError(f"{function.name} takes {len(function.params)} arguments, not {len(args)}")
    arrays = [_as_argument(arg, param.type) for arg, param in zip(args, function.params, strict=False)]
    bound = bind_sizes(function, arrays, sizes)
    values = [_shaped(array, param.type, bound) for array, param in zip(arrays, function.params, strict=False)]
    fresh = [_fresh(param.type, bound) for param in function.params[len(values) :]]
    results = _Interpreter(bound, backwards).program(function, [*values, *fresh])
    if is_loop_level:
        return [*results, *fresh]
    for target, result in zip(outputs or (), results, strict=False):
        target[...] = result
    return results


def bind_sizes(
    function: Function, arrays: Sequence[Any], sizes: Mapping[str, int] | Sequence[int] | None = None
) -> dict[str, int]:
    """The value of every size symbol, from given values and from shapes of the arguments."""
    if sizes is None:
        bound: dict[str, int] = {}
    elif isinstance(sizes, Mapping):
        bound = dict(sizes)
    else:
        bound = dict(zip(function.sizes, sizes, strict=True))
    for array, param in zip(arrays, function.params, strict=False):
        if len(array.shape) == param.rank:
            for dim, size in zip(param.dims, array.shape, strict=True):
                if isinstance(dim, Dim) and (name := dim.as_symbol) is not None:
                    bound.setdefault(name, size)
    missing = [name for name in function.symbols() if name not in bound]
    if missing:
        raise TypeError(f"{function.name}: nothing says what the sizes {', '.join(missing)} are; give them as sizes=")
    return bound


def _as_argument(arg: Any, type: ArrayType) -> Array:
    if isinstance(arg, np.ndarray | np.generic):
        if arg.dtype != type.dtype:
            raise TypeError(f"an argument of dtype {arg.dtype} for a param of type {type}")
        return np.asarray(arg)
    return np.asarray(arg, type.dtype)


def _shaped(array: Array, type: ArrayType, sizes: Mapping[str, int]) -> Array:
    shape = tuple(evaluate(dim, sizes) for dim in type.dims)
    if array.shape == shape:
        return array
    flat = isinstance(type, BufferType) and array.ndim == 1 and array.flags.c_contiguous
    if not flat or array.size != np.prod(shape, dtype=int):
        raise ValueError(f"an argument of shape {array.shape} for a param of type {type}, with sizes {dict(sizes)}")
    return array.reshape(shape)


def _fresh(type: ArrayType, sizes: Mapping[str, int]) -> Array:
    return np.zeros(tuple(evaluate(dim, sizes) for dim in type.dims), type.dtype)


class _Interpreter:
    """One run: the sizes and everything computed so far. Values are unique, so one table serves all regions."""

    def __init__(self, sizes: Mapping[str, int], backwards: bool) -> None:
        self.sizes = dict(sizes)
        self.late: set[str] = set()  # the symbols that operations of the program have bound
        self.backwards = backwards
        self.values: dict[Value, Any] = {}
        self.resolved: dict[Eqn, Mapping[str, Any]] = {}

    def program(self, function: Function, arguments: Sequence[Any]) -> list[Any]:
        """Run straight-line code, forgetting each value after its last use."""
        self.values.update(zip(function.params, arguments, strict=True))
        last_uses = _last_uses(function)
        for eqn, done in zip(function.eqns, last_uses, strict=True):
            self.step(eqn)
            for value in done:
                self.values.pop(value, None)
        return [self.value(result) for result in function.results]

    def region(self, function: Function) -> Callable[..., list[Any]]:
        def run(*arguments: Any) -> list[Any]:
            self.values.update(zip(function.params, arguments, strict=True))
            for eqn in function.eqns:
                self.step(eqn)
            return [self.value(result) for result in function.results]

        return run

    def value(self, operand: Operand) -> Any:
        return operand.value if isinstance(operand, Literal) else self.values[operand]

    def step(self, eqn: Eqn) -> None:
        operands = [self.value(operand) for operand in eqn.operands]
        attrs = eqn.attrs
        if attrs or eqn.regions:
            attrs = self.resolved.get(eqn) or self.resolve(eqn)
            if self.backwards and attrs.get("kind", "serial") != "serial":
                attrs = {**attrs, "regions": (_mirrored(attrs["regions"][0], operands[0] + operands[1] - 1),)}
        results = eqn.op.reference(*operands, **attrs)
        if eqn.op.name == "bind_size":
            self.sizes[attrs["symbol"]] = int(operands[0])
            self.late.add(attrs["symbol"])
        if isinstance(results, tuple):
            self.values.update(zip(eqn.results, results, strict=True))
        else:
            self.values[eqn.results[0]] = results

    def resolve(self, eqn: Eqn) -> Mapping[str, Any]:
        """The attributes with dims replaced by ints, and the regions as callables."""
        attrs = {name: self.attribute(value) for name, value in eqn.attrs.items()}
        if eqn.regions:
            attrs["regions"] = tuple(self.region(region) for region in eqn.regions)
        if not self.late or self.late.isdisjoint(_symbols_in(tuple(eqn.attrs.values()))):
            self.resolved[eqn] = attrs
        return attrs

    def attribute(self, value: Any) -> Any:
        if isinstance(value, Dim):
            return evaluate(value, self.sizes)
        if isinstance(value, tuple):
            return tuple(self.attribute(item) for item in value)
        if isinstance(value, ArrayType):
            return value.with_dims(tuple(evaluate(dim, self.sizes) for dim in value.dims))
        return value


def _symbols_in(attribute: Any) -> set[str]:
    if isinstance(attribute, tuple):
        return set().union(*map(_symbols_in, attribute))
    if isinstance(attribute, ArrayType):
        return _symbols_in(attribute.dims)
    return symbols_of(attribute) if isinstance(attribute, Dim) else set()


def _mirrored(body: Callable[..., list[Any]], total: Any) -> Callable[..., list[Any]]:
    """A loop body that is given the index ``total - i`` in iteration i."""
    return lambda i, *carries: body(total - i, *carries)


def _last_uses(function: Function) -> list[list[Value]]:
    """For each equation the values that nothing needs after it, those that regions use included."""
    needed = {result for result in function.results if isinstance(result, Value)}
    done: list[list[Value]] = []
    for eqn in reversed(function.eqns):
        used = {operand for operand in eqn.operands if isinstance(operand, Value)}
        used.update(eqn.results)
        for region in eqn.regions:
            used |= free_values(region)
        done.append([value for value in used if value not in needed])
        needed |= used
    done.reverse()
    return done
