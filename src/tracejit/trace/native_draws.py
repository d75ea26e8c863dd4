"""Draws of random numbers as machine code: NumPy's methods, on the bits and the C functions of NumPy.

The program asks once for the addresses of a generator's C functions and of its state, and holds the generator's lock
until it ends; the numbers and the state are those of NumPy.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.ops.random import OWN, c_function
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace import drawn_numbers, generator_memory, ziggurat
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.creation import shape_dims
from tracejit.trace.dtypes import FLOAT64, INT64
from tracejit.trace.fallback_shapes import dims_of
from tracejit.trace.frames import current_frame
from tracejit.trace.inputs import as_array
from tracejit.trace.location import user_location
from tracejit.trace.python_calls import Announced, Outcome, Part, call_python
from tracejit.trace.pytree import LEAF
from tracejit.trace.registry import call
from tracejit.trace.scalar import PythonNumber, as_dim, number, python_size, to_number
from tracejit.trace.values import Dims, broadcast_dims, literal

__all__ = ["draw_natively", "open_bits"]


def draw_natively(owner: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a method draws, or NotImplemented where NumPy has to."""
    rule, *names = _METHODS.get(type(owner), {}).get(name, (None,))
    if rule is None:
        return NotImplemented
    if names == ["*"]:
        given: dict[str, Any] = {"size": args} if args and not kwargs else {}
    else:
        given = dict(zip(names, args, strict=False))
        if len(args) > len(names) or given.keys() & kwargs.keys() or not kwargs.keys() <= set(names):
            return NotImplemented
        given |= kwargs
    size = given.pop("size", None)
    dims = None if size is None else shape_dims(size)
    if type(owner) is random.Random and not generator_memory.knows_python():
        return NotImplemented
    if dims == () or (dims is None and not current_trace().region):
        return NotImplemented
    return rule(_Draw(owner, dims), **given)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (PythonNumber, bool, int, float, np.integer, np.floating)):
        return not (isinstance(value, PythonNumber) and value.python_type is complex)
    return isinstance(value, NumpyValue) and not value.dims and value.dtype.kind in "biuf"


def _is_array(value: Any) -> bool:
    return isinstance(value, (TracedArray, np.ndarray)) and value.dtype == np.float64


# ---------------------------------------------------------------------------------------------------------------- bits


class _Bits:
    """A generator in the program: addresses of its state, of the functions that give bits, of what has them all."""

    def __init__(self, addresses: TracedArray) -> None:
        values = [number(addresses[k].operand(), int) for k in range(_COUNT)]
        self.state, *self.functions, _, self.generator, self.legacy = values

    def _next(self, function: int, dtype: Any) -> Operand:
        addresses = (self.functions[function].operand(), self.state.operand())
        attrs = {"dtype": np.dtype(dtype)}
        return current_trace().builder.emit(PRIMITIVES["random_bits"], addresses, attrs, (), user_location())[0]

    def uint64(self) -> Any:
        """64 bits."""
        return TracedScalar(self._next(0, np.uint64))

    def uint32(self) -> Any:
        """32 bits."""
        return TracedScalar(self._next(1, np.uint32))

    def double(self) -> Any:
        """A number in [0, 1)."""
        return number(self._next(2, np.float64), float)


_BITGEN = ctypes.c_int64 * 5  # bitgen_t: the state, functions for 64 bits, 32 bits, a double and raw bits
_COUNT = 7


def open_bits(owner: Any) -> np.ndarray[Any, Any]:
    """The addresses in a generator: ``bitgen_t``, where that lies, and where an older state lies.

    Its lock is held from now on.
    """
    bits = getattr(owner, "bit_generator", None) or getattr(owner, "_bit_generator", None)
    if bits is None:
        return np.array((generator_memory.of_python(owner), 0, 0, 0, 0, 0, 0))
    frame = current_frame()
    if frame.locks is not None and bits.lock not in frame.locks:
        bits.lock.acquire()
        frame.locks.append(bits.lock)
    place = bits.ctypes.bit_generator.value
    legacy = generator_memory.of_state(owner) if type(owner) is np.random.RandomState else 0
    return np.array((*_BITGEN.from_address(place), place, legacy))


open_bits.needs_call = True  # type: ignore[attr-defined]  # which gives back the lock
_ADDRESSES = Outcome(LEAF, (Part("array", 0, ()),), (Announced(INT64, (_COUNT,)),))


def _bits_of(owner: Any) -> _Bits:
    """The generator, opened in front of all loops, or where it was made."""
    trace = current_trace()
    outer = trace.captures.made_in(owner) or trace.outside_regions()
    bits = outer.bits.get(id(owner))
    if bits is None:
        with outer.resumed():
            addresses = call_python(open_bits, (owner,), {}, _ADDRESSES, name="BitGenerator.ctypes", effects=True)
            bits = outer.bits[id(owner)] = _Bits(addresses)
    return bits


# -------------------------------------------------------------------------------------------------------------- numbers


class _Draw:
    """One call of a method. dims: of the array that is wanted; None: one number."""

    def __init__(self, owner: Any, dims: Dims | None) -> None:
        self.owner = owner
        self.dims = dims
        self.is_legacy = type(owner) is np.random.RandomState

    @property
    def bits(self) -> _Bits:
        """The generator."""
        return _bits_of(self.owner)

    def numbers(self, function: str, dtype: Any, *parameters: Any, place: str = "generator") -> Any:
        """What a C function draws, or NotImplemented where it cannot be called."""
        if function not in OWN and not c_function(function):
            return NotImplemented
        operands = (getattr(self.bits, place).operand(), *map(_parameter, parameters))
        attrs: dict[str, Any] = {"function": function, "dtype": np.dtype(dtype)}
        if self.dims is not None:
            attrs["dims"] = self.dims
        primitive = PRIMITIVES["random_number" if self.dims is None else "random_array"]
        (drawn,) = current_trace().builder.emit(primitive, operands, attrs, (), user_location())
        return TracedScalar(drawn) if self.dims is None else new_array(drawn)

    def floats(self, function: str, *parameters: Any, place: str = "generator") -> Any:
        """Numbers as floats."""
        drawn = self.numbers(function, np.float64, *parameters, place=place)
        return self.plain(drawn, float)

    def plain(self, drawn: Any, kind: type) -> Any:
        """A single number as one of Python's."""
        return to_number(drawn, kind) if self.dims is None and isinstance(drawn, TracedScalar) else drawn

    def spread_over(self, *parameters: Any) -> bool:
        """Take parameters that are arrays: the result has their dims. False: they are none that we know."""
        if all(map(_is_scalar, parameters)):
            return True
        if self.dims is not None or not all(_is_scalar(p) or _is_array(p) for p in parameters):
            return False
        self.dims = broadcast_dims([dims_of(p) for p in parameters if _is_array(p)])
        return bool(self.dims)


def _parameter(value: Any) -> Operand:
    if isinstance(value, float):
        return literal(value, FLOAT64)
    if isinstance(value, np.generic):
        return literal(value, value.dtype)
    operand: Operand = value.operand()
    return operand


def _float(value: Any) -> Any:
    if isinstance(value, TracedArray) and value.dims:
        return value
    if isinstance(value, np.ndarray):
        return as_array(value)
    return to_number(value, float) if isinstance(value, Tracer) else float(value)


def _traced(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of ``drawn_numbers.py``, whose source is traced."""
    return call("with hooks", function)(*args)


def _table(array: np.ndarray[Any, Any]) -> Any:
    return current_trace().captures.array(array)


def _ziggurat(draw: _Draw, source: Any, table: ziggurat.Ziggurat | None, *edges: float) -> Any:
    if table is None or draw.dims is not None:
        return NotImplemented
    arrays = map(_table, (table.inside, table.widths, table.heights))
    return _float(_traced(source, draw.bits, *arrays, *edges))


# ----------------------------------------------------------------------------------------------------------- by method


def _dtyped(name: str) -> Callable[..., Any]:
    """A method with no parameter but a dtype."""

    def rule(draw: _Draw, dtype: Any = np.float64) -> Any:
        dtype = np.dtype(dtype)
        if dtype == np.float32 and draw.dims is not None:
            return draw.numbers(f"{name}_f", dtype)
        return _STANDARD[name](draw) if dtype == np.float64 else NotImplemented

    return rule


def _random(draw: _Draw) -> Any:
    return draw.bits.double() if draw.dims is None else draw.floats("standard_uniform")


def _standard_normal(draw: _Draw) -> Any:
    if draw.is_legacy:
        return draw.floats("legacy_gauss", place="legacy") if generator_memory.knows_state() else NotImplemented
    drawn = draw.floats("standard_normal")
    if drawn is not NotImplemented:
        return drawn
    edges = ziggurat.NORMAL_EDGE, ziggurat.INVERSE_NORMAL_EDGE
    return _ziggurat(draw, drawn_numbers.standard_normal, ziggurat.normal(), *edges)


def _standard_exponential(draw: _Draw) -> Any:
    if draw.is_legacy:
        return draw.floats("legacy_exponential")
    drawn = draw.floats("standard_exponential")
    if drawn is not NotImplemented:
        return drawn
    table = ziggurat.exponential()
    return _ziggurat(draw, drawn_numbers.standard_exponential, table, ziggurat.EXPONENTIAL_EDGE)


_STANDARD: dict[str, Callable[[_Draw], Any]] = {
    "standard_uniform": _random,
    "standard_normal": _standard_normal,
    "standard_exponential": _standard_exponential,
}


def _normal(draw: _Draw, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    if not draw.spread_over(loc, scale):
        return NotImplemented
    loc, scale = _float(loc), _float(scale)
    _traced(drawn_numbers.check_scale, scale)
    drawn = _standard_normal(draw)
    return drawn if drawn is NotImplemented else loc + scale * drawn


def _exponential(draw: _Draw, scale: Any = 1.0) -> Any:
    if not draw.spread_over(scale):
        return NotImplemented
    scale = _float(scale)
    _traced(drawn_numbers.check_scale, scale)
    drawn = _standard_exponential(draw)
    return drawn if drawn is NotImplemented else scale * drawn


def _uniform(signed: bool, text: str) -> Callable[..., Any]:
    def rule(draw: _Draw, low: Any = 0.0, high: Any = 1.0) -> Any:
        if not draw.spread_over(low, high):
            return NotImplemented
        low, high = _float(low), _float(high)
        _traced(drawn_numbers.check_range, low, high, signed, text)
        drawn = _random(draw)
        return drawn if drawn is NotImplemented else low + (high - low) * drawn

    return rule


def _is_int64(value: Any) -> bool:
    if isinstance(value, PythonNumber):
        return value.python_type is int
    if isinstance(value, NumpyValue):
        return not value.dims and value.dtype.kind in "iu" and value.dtype != np.uint64
    return type(value) is int and -(2**63) <= value < 2**63


def _is_python_int(value: Any) -> bool:
    return value.python_type is int if isinstance(value, PythonNumber) else type(value) is int


def _is_narrow(low: Any, high: Any) -> bool:
    return type(low) is int and type(high) is int and high - low <= 2**32


def _is_wide(low: Any, high: Any) -> bool:
    return type(low) is int and type(high) is int and high - low > 2**32


def _integers(draw: _Draw, low: Any, high: Any = None, dtype: Any = np.int64, endpoint: Any = False) -> Any:
    if high is None:
        low, high = 0, low
    if not (_is_int64(low) and _is_int64(high) and type(endpoint) is bool):
        return NotImplemented
    plain = draw.is_legacy and dtype in (int, np.int64)
    dtype = np.dtype(dtype)
    if dtype != np.int64 and not (dtype.itemsize >= 4 and dtype.kind in "iu" and _is_inside(low, high, dtype)):
        return NotImplemented
    if draw.dims is not None and any(current_trace().sizes.decide(dim, "== 0") for dim in draw.dims):
        return call(np.empty, tuple(map(python_size, draw.dims)), dtype)
    with np.errstate(over="ignore"):  # of plain numbers
        start, largest = _traced(drawn_numbers.interval, low, high, endpoint)
        drawn = _bounded(draw, start, largest, _is_narrow(low, high))
        if drawn is NotImplemented:
            return drawn
        drawn = _traced(drawn_numbers.converted, drawn, dtype.type, draw.dims is not None)
    return draw.plain(drawn, int) if plain else drawn


def _is_inside(low: Any, high: Any, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return type(low) is int and type(high) is int and limits.min <= low and high <= limits.max


def _bounded(draw: _Draw, start: Any, largest: Any, is_narrow: bool) -> Any:
    """Numbers from ``start`` to ``start + largest``, of 64 bits."""
    if c_function("bounded_uint64"):
        mask = _traced(drawn_numbers.bit_mask, largest) if draw.is_legacy else np.uint64(0)
        return draw.numbers("bounded_uint64", np.uint64, start, largest, mask, np.uint32(draw.is_legacy))
    if draw.dims is not None:
        return NotImplemented
    below = drawn_numbers.below_by_mask if draw.is_legacy else drawn_numbers.below_32
    wide = None if is_narrow or draw.is_legacy else drawn_numbers.below_64
    functions = (f and call("with hooks", f) for f in (below, wide))
    return _traced(drawn_numbers.bounded, draw.bits, *functions, start, largest)


def _below(owner: Any) -> Callable[[Any], Any]:
    """What draws a single number in ``[0, largest]`` for shuffles: bits that are too many are drawn again."""

    def draw(largest: Any) -> Any:
        largest = _traced(drawn_numbers.unsigned, largest)
        drawn = _Draw(owner, None).numbers("interval", np.uint64, largest)
        if drawn is NotImplemented:
            drawn = _traced(drawn_numbers.below_by_mask, _bits_of(owner), largest)
        return _traced(drawn_numbers.converted, drawn, np.int64, False)

    return draw


def _shuffle(draw: _Draw, x: Any) -> Any:
    if not isinstance(x, (TracedArray, np.ndarray)) or (type(x) is np.ndarray and x.dtype.kind not in "biufc"):
        return NotImplemented
    array = as_array(x)
    if len(array.dims) > 1:
        call(np.copyto, array, array[_shuffled(draw, array.dims[0])])
    elif array.dims:
        _traced(drawn_numbers.exchange, _below(draw.owner), array, python_size(array.dims[0]), 1)
    else:
        return NotImplemented
    return None


def _shuffled(draw: _Draw, count: Any) -> Any:
    places = call(np.arange, python_size(count))
    _traced(drawn_numbers.exchange, _below(draw.owner), places, python_size(count), 1)
    return places


def _permutation(draw: _Draw, x: Any) -> Any:
    if isinstance(x, (TracedArray, np.ndarray)) and x.ndim:
        array = as_array(x)
        if array.ndim > 1:
            return array[_shuffled(draw, array.dims[0])]
        copy = call("copy", array)
        _traced(drawn_numbers.exchange, _below(draw.owner), copy, python_size(array.dims[0]), 1)
        return copy
    return _shuffled(draw, as_dim(x)) if _is_int64(x) and not isinstance(x, NumpyValue) else NotImplemented


def _choice(draw: _Draw, a: Any, replace: Any = True, p: Any = None) -> Any:
    is_size = _is_int64(a) and not isinstance(a, NumpyValue)
    is_array = isinstance(a, (TracedArray, np.ndarray)) and a.ndim == 1
    if not (is_size or is_array) or type(replace) is not bool or (p is not None and not replace):
        return NotImplemented
    count = a if is_size else python_size(as_array(a).dims[0])
    if not replace:
        chosen = _distinct(draw, count)
    elif p is None:
        if not (isinstance(count, int) and count > 0) and not _traced(drawn_numbers.is_positive, count):
            return NotImplemented
        chosen = _integers(draw, 0, count)
    else:
        chosen = _weighted(draw, count, p)
    if chosen is NotImplemented:
        return chosen
    if is_size:
        return draw.plain(chosen, int)
    return as_array(a)[chosen]


def _weighted(draw: _Draw, count: Any, p: Any) -> Any:
    if not _is_array(p) or p.ndim != 1:
        return NotImplemented
    probabilities = as_array(p)
    if not current_trace().sizes.same(probabilities.dims[0], as_dim(count)):
        return NotImplemented
    prefix = "p" if draw.is_legacy else "P"
    _traced(drawn_numbers.check_probabilities, probabilities, prefix, draw.is_legacy)
    drawn = _random(draw)
    if drawn is NotImplemented:
        return drawn
    return call(np.searchsorted, _traced(drawn_numbers.cumulative, probabilities), drawn, side="right")


def _distinct(draw: _Draw, count: Any) -> Any:
    """Without replacement: NumPy's methods depend on both sizes, which must be known to us."""
    if draw.dims is None or len(draw.dims) != 1:
        return NotImplemented
    (size,) = draw.dims
    if not current_trace().sizes.proves(as_dim(count) - size, assume=True) or not c_function("bounded_uint64"):
        return NotImplemented
    if draw.is_legacy:
        return _shuffled(draw, as_dim(count))[: python_size(size)]

    def below(largest: Any) -> Any:
        largest = _traced(drawn_numbers.unsigned, largest)
        drawn = _bounded(_Draw(draw.owner, None), np.uint64(0), largest, False)
        return _traced(drawn_numbers.converted, drawn, np.int64, False)

    return _traced(drawn_numbers.distinct, below, count, python_size(size), call("with hooks", drawn_numbers.exchange))


def _by_function(function: str, kind: type, **parameters: tuple[Any, str]) -> tuple[Any, ...]:
    """A method that is one of NumPy's C functions. parameters: their defaults, and the checks of NumPy's."""

    def rule(draw: _Draw, **given: Any) -> Any:
        values = {name: given.get(name, default) for name, (default, _) in parameters.items()}
        if not all(map(_is_scalar, values.values())) or not c_function(function):
            return NotImplemented
        values = {name: _float(value) for name, value in values.items()}
        for name, (_, check) in parameters.items():
            if check:
                _traced(getattr(drawn_numbers, check), values[name], name)
        drawn = draw.numbers(function, np.float64 if kind is float else np.int64, *values.values())
        return draw.plain(drawn, kind)

    return rule, *parameters, "size"


# ---------------------------------------------------------------------------------------------- Python's random.Random


def _python_random(draw: _Draw) -> Any:
    return draw.floats("python_double", place="state")


def _python_uniform(draw: _Draw, a: Any, b: Any) -> Any:
    return a + (b - a) * _python_random(draw) if _is_scalar(a) and _is_scalar(b) else NotImplemented


def _python_between(draw: _Draw, start: Any, stop: Any = None) -> Any:
    """``randrange``."""
    if stop is None:
        start, stop = 0, start
    if not (_is_python_int(start) and _is_python_int(stop)) or _is_wide(start, stop):
        return NotImplemented

    def bits(wide: Any) -> Any:
        wide = _traced(drawn_numbers.as_uint32, wide)
        return _traced(drawn_numbers.as_int, draw.numbers("python_bits", np.uint32, wide, place="state"))

    return start + _traced(drawn_numbers.python_below, bits, stop - start)


def _python_integer(draw: _Draw, a: Any, b: Any) -> Any:
    """``randint``."""
    return _python_between(draw, a, b + 1) if _is_python_int(a) and _is_python_int(b) else NotImplemented


_SIZED = ("size",)
_METHODS: dict[type, dict[str, tuple[Any, ...]]] = {
    np.random.Generator: {
        "random": (_dtyped("standard_uniform"), "size", "dtype"),
        "uniform": (_uniform(False, "high - low range exceeds valid bounds"), "low", "high", "size"),
        "standard_normal": (_dtyped("standard_normal"), "size", "dtype"),
        "normal": (_normal, "loc", "scale", "size"),
        "standard_exponential": (_dtyped("standard_exponential"), "size", "dtype"),
        "exponential": (_exponential, "scale", "size"),
        "integers": (_integers, "low", "high", "size", "dtype", "endpoint"),
        "shuffle": (_shuffle, "x"),
        "permutation": (_permutation, "x"),
        "choice": (_choice, "a", "size", "replace", "p"),
        "poisson": _by_function("poisson", int, lam=(1.0, "check_poisson")),
        "geometric": _by_function("geometric", int, p=(None, "check_probability")),
        "standard_gamma": _by_function("standard_gamma", float, shape=(None, "check_not_negative")),
        "gamma": _by_function("gamma", float, shape=(None, "check_not_negative"), scale=(1.0, "check_not_negative")),
        "beta": _by_function("beta", float, a=(None, "check_positive"), b=(None, "check_positive")),
        "chisquare": _by_function("chisquare", float, df=(None, "check_positive")),
        "lognormal": _by_function("lognormal", float, mean=(0.0, ""), sigma=(1.0, "check_not_negative")),
        "laplace": _by_function("laplace", float, loc=(0.0, ""), scale=(1.0, "check_not_negative")),
        "gumbel": _by_function("gumbel", float, loc=(0.0, ""), scale=(1.0, "check_not_negative")),
        "logistic": _by_function("logistic", float, loc=(0.0, ""), scale=(1.0, "check_not_negative")),
        "rayleigh": _by_function("rayleigh", float, scale=(1.0, "check_not_negative")),
        "weibull": _by_function("weibull", float, a=(None, "check_not_negative")),
        "pareto": _by_function("pareto", float, a=(None, "check_positive")),
        "standard_cauchy": _by_function("standard_cauchy", float),
        "standard_t": _by_function("standard_t", float, df=(None, "check_positive")),
    },
    np.random.RandomState: {
        "random": (_random, *_SIZED),
        "random_sample": (_random, *_SIZED),
        "rand": (_random, "*"),
        "uniform": (_uniform(True, "Range exceeds valid bounds"), "low", "high", "size"),
        "randint": (_integers, "low", "high", "size", "dtype"),
        "standard_normal": (_standard_normal, *_SIZED),
        "randn": (_standard_normal, "*"),
        "normal": (_normal, "loc", "scale", "size"),
        "standard_exponential": (_standard_exponential, *_SIZED),
        "exponential": (_exponential, "scale", "size"),
        "shuffle": (_shuffle, "x"),
        "permutation": (_permutation, "x"),
        "choice": (_choice, "a", "size", "replace", "p"),
        "poisson": _by_function("poisson", int, lam=(1.0, "check_poisson")),
    },
    random.Random: {
        "random": (_python_random,),
        "uniform": (_python_uniform, "a", "b"),
        "randrange": (_python_between, "start", "stop"),
        "randint": (_python_integer, "a", "b"),
    },
}
"""Methods that are drawn by machine code, and the names of their parameters; "*": the sizes of an array."""
