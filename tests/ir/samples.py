"""Operands and attributes for every primitive, for the table tests; a new operation needs a row here."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tracejit.ir.core import Function
from tracejit.ir.ops.families import BOOL, COMPLEXES, FLOATS, INTEGERS
from tracejit.ir.ops.library import FFT, LOOPS
from tracejit.ir.parser import parse
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType

NUMBERS = (*INTEGERS, *FLOATS, *COMPLEXES)
ALL = (BOOL, *NUMBERS)
SOME = tuple(map(np.dtype, ("bool", "int64", "uint8", "float32", "float64", "complex128")))
F64 = np.dtype("float64")
I64 = np.dtype("int64")


class Sample(NamedTuple):
    """One application of a primitive. ``smooth``: its derivative can be compared with finite differences."""

    operands: tuple[np.ndarray, ...]
    attrs: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    regions: tuple[Function, ...] = ()
    smooth: bool = True

    def __repr__(self) -> str:
        shapes = ", ".join(f"{o.dtype}{list(o.shape)}" for o in self.operands)
        return f"({shapes}) {self.attrs or ''}"


# -------------------------------------------------------------------------------------------------------- values

RANGES: dict[str, tuple[float, float]] = {
    "arccosh": (1.2, 3.0),
    "arcsinh": (-2.0, 2.0),
    "digamma": (0.5, 4.0),
    "lgamma": (0.5, 4.0),
    "polygamma": (0.5, 4.0),
    "select": (-2.0, 2.0),
    "tanh": (-2.0, 2.0),
    "erf": (-2.0, 2.0),
    "erfc": (-2.0, 2.0),
    "abs": (-2.0, 2.0),
    "mod": (2.1, 3.9),
    "fmod": (2.1, 3.9),
}


def generator(*key: Any) -> np.random.Generator:
    return np.random.default_rng(list(repr(key).encode()))


def regular(name: str, dtype: np.dtype, shape: tuple[int, ...], salt: int = 0) -> np.ndarray:
    """Values at which the operation is defined and smooth."""
    rng = generator(name, dtype, shape, salt)
    if dtype.kind == "b":
        return np.asarray(rng.integers(0, 2, shape), dtype)
    if dtype.kind in "iu":
        low = 0 if dtype.kind == "u" or name in ("pow", "shift_left", "shift_right") else -5
        return np.asarray(rng.integers(low, 6, shape), dtype)
    low_float, high = RANGES.get(name, (0.25, 0.85))
    value = rng.uniform(low_float, high, shape)
    if dtype.kind == "c":
        value = value + 1j * rng.uniform(0.2, 0.7, shape)
    return np.asarray(value, dtype)


def special(name: str, dtype: np.dtype) -> np.ndarray:
    """Values at the edges of a dtype."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        # Integers to negative powers are an error in NumPy.
        low = [0] if name == "pow" or dtype.kind == "u" else [info.min, info.min + 1, -1, -2]
        return np.array([*low, 0, 1, 2, 3, 7, info.max, info.max - 1], dtype)
    info_float = np.finfo(dtype)
    edges = [0.0, 1.0, 0.5, 2.0, 3.7, 1e-3, info_float.tiny, info_float.smallest_subnormal, info_float.max, np.inf]
    real = np.array([*edges, *(-np.array(edges)), np.nan], info_float.dtype)
    if dtype.kind != "c":
        return real
    value = np.empty((len(real), len(real)), dtype)
    value.real, value.imag = real[:, None], real[None, :]
    return value.ravel()


# --------------------------------------------------------------------------------------------------- elementwise

_SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((),), ((0,),), ((5,),), ((2, 3),), ((3, 0, 2),)],
    2: [((), ()), ((0,), ()), ((4,), (4,)), ((2, 3), ()), ((), (2, 3)), ((2, 3), (2, 3))],
    3: [((), (), ()), ((4,), (4,), (4,)), ((4,), (), ()), ((), (4,), ()), ((), (), (4,)), ((2, 3), (), (2, 3))],
}


def _operand_dtypes(name: str, dtype: np.dtype) -> tuple[np.dtype, ...]:
    if name == "select":
        return (BOOL, dtype, dtype)
    if name == "ldexp":
        return (dtype, np.dtype("int32"))
    if name == "wrap_index":
        return (I64, I64)
    sample = ArrayType(dtype)
    for arity in (1, 2):
        try:
            PRIMITIVES[name].infer(*[sample] * arity, **_attrs(name))
        except TypeError:
            continue
        return (dtype,) * arity
    raise AssertionError(f"no arity found for {name} of {dtype}")


def _attrs(name: str) -> dict[str, Any]:
    return {"polygamma": {"order": 1}, "cast": {"dtype": F64}}.get(name, {})


def _elementwise(name: str) -> list[Sample]:
    found = []
    for dtype in PRIMITIVES[name].domain:
        dtypes = _operand_dtypes(name, dtype)
        for shapes in _SHAPES[len(dtypes)]:
            operands = [regular(name, d, s, k) for k, (d, s) in enumerate(zip(dtypes, shapes, strict=True))]
            found.append(Sample(tuple(operands), _attrs(name)))
        edges = [special(name, d) for d in dtypes]
        grid = np.meshgrid(*edges, indexing="ij", copy=True)
        found.append(Sample(tuple(g.ravel() for g in grid), _attrs(name), smooth=False))
    return found


def _casts() -> list[Sample]:
    found = []
    for source in ALL:
        for target in ALL:
            smooth = source.kind in "fc"
            found += [Sample((regular("cast", source, s),), {"dtype": target}, smooth=smooth) for s in [(), (2, 3)]]
            if source.kind not in "fc" or target.kind in "fc":
                found.append(Sample((special("cast", source),), {"dtype": target}, smooth=False))
    return found


def _bitcasts() -> list[Sample]:
    numbers = [dtype for dtype in ALL if dtype.kind in "iuf"]
    return [
        Sample((regular("bitcast", source, shape),), {"dtype": target}, smooth=False)
        for source in numbers
        for target in numbers
        for shape in [(), (2, 3)]
        if source.itemsize == target.itemsize
    ]


def _wrap_index() -> list[Sample]:
    indices = np.array([-3, -1, 0, 2])
    return [Sample((indices, np.array(3))), Sample((np.array(-1), np.array(4))), Sample((indices[:0], np.array(0)))]


# -------------------------------------------------------------------------------------------------------- shapes


def _on(dtypes: tuple[np.dtype, ...], *rows: tuple[tuple[int, ...], dict[str, Any]]) -> list[Sample]:
    """One operand: each shape and attributes, for each dtype."""
    return [Sample((regular("", dtype, shape),), attrs) for dtype in dtypes for shape, attrs in rows]


def _broadcast() -> list[Sample]:
    return _on(
        SOME,
        ((), {"dims": (3, 2), "axes": ()}),
        ((2,), {"dims": (3, 2), "axes": (1,)}),
        ((3,), {"dims": (3, 2), "axes": (0,)}),
        ((1, 2), {"dims": (3, 4, 2), "axes": (1, 2)}),
        ((2, 1), {"dims": (2, 3), "axes": (0, 1)}),
        ((), {"dims": (0,), "axes": ()}),
        ((), {"dims": (), "axes": ()}),
    )


def _reshape() -> list[Sample]:
    return _on(
        SOME,
        ((6,), {"dims": (2, 3)}),
        ((2, 3, 4), {"dims": (6, 4)}),
        ((2, 3, 4), {"dims": (4, 3, 2)}),
        ((2, 1, 3), {"dims": (2, 3)}),
        ((), {"dims": (1, 1)}),
        ((1,), {"dims": ()}),
        ((0, 3), {"dims": (3, 0, 2)}),
        ((6, 4), {"dims": (2, 3, 2, 2)}),
    )


def _transpose() -> list[Sample]:
    return _on(
        SOME,
        ((), {"perm": ()}),
        ((2, 3), {"perm": (1, 0)}),
        ((2, 3, 4), {"perm": (2, 0, 1)}),
        ((2, 0, 4), {"perm": (1, 2, 0)}),
    )


def _slice() -> list[Sample]:
    return _on(
        SOME,
        ((5,), {"starts": (1,), "sizes": (3,), "steps": (1,)}),
        ((5,), {"starts": (4,), "sizes": (5,), "steps": (-1,)}),
        ((5, 4), {"starts": (3, 0), "sizes": (2, 2), "steps": (-2, 3)}),
        ((5, 4), {"starts": (0, 1), "sizes": (0, 2), "steps": (1, 1)}),
        ((), {"starts": (), "sizes": (), "steps": ()}),
    )


def _update_slice() -> list[Sample]:
    rows = [
        ((5,), (3,), (1,), (1,)),
        ((5,), (5,), (4,), (-1,)),
        ((5, 4), (2, 2), (3, 0), (-2, 3)),
        ((5, 4), (0, 2), (0, 1), (1, 1)),
    ]
    return [
        Sample((regular("", d, x), regular("", d, v, 1)), {"starts": starts, "steps": steps})
        for d in SOME
        for x, v, starts, steps in rows
    ]


def _concatenate() -> list[Sample]:
    rows = [([(3,), (2,)], 0), ([(3,), (0,), (1,)], 0), ([(2, 3), (2, 1), (2, 2)], 1), ([(2, 3)], 0), ([(0,), (0,)], 0)]
    return [
        Sample(tuple(regular("", d, shape, k) for k, shape in enumerate(shapes)), {"axis": axis})
        for d in SOME
        for shapes, axis in rows
    ]


def _iota() -> list[Sample]:
    return [
        Sample((), {"dtype": np.dtype(d), "dims": dims, "axis": axis})
        for d in ("int64", "int8", "float64", "complex64")
        for dims, axis in [((4,), 0), ((2, 3), 1), ((2, 3), 0), ((0,), 0)]
    ]


def _constant() -> list[Sample]:
    arrays = [regular("", d, s) for d in SOME for s in [(), (3,), (2, 2), (0,)]]
    return [Sample((), {"dtype": a.dtype, "dims": a.shape, "data": a.tobytes()}) for a in arrays]


# --------------------------------------------------------------------------------------------- indices, reductions


def _search() -> list[Sample]:
    found = []
    for dtype in _ORDERED:
        x = np.array([0, 1, 1, 3, 4]).astype(dtype)
        values = np.array([[1, 0, 5], [2, 9, 1]]).astype(dtype)
        if dtype.kind == "f":
            x, values = np.append(x, [np.inf, np.nan, np.nan]), np.append(values, [[np.nan, -np.inf, np.inf]], axis=0)
        for side in ("left", "right"):
            found += [
                Sample((x, values), {"side": side, "batch": 0}),
                Sample((x, values[0, 0]), {"side": side, "batch": 0}),
            ]
            found += [Sample((x[:0], values), {"side": side, "batch": 0})]
            found += [Sample((np.array([x, x]), values[:2]), {"side": side, "batch": 1})]
    return found


def _indexing(with_values: bool) -> list[Sample]:
    rows: list[tuple[tuple[int, ...], list[Any], tuple[int, ...]]] = [
        ((5,), [[0, 3, 3, 1]], (0,)),
        ((5,), [2], (0,)),
        ((4, 3), [[3, 0]], (0,)),
        ((4, 3), [[2, 0]], (1,)),
        ((4, 3), [[[3, 0], [1, 1]], [[2, 1], [0, 0]]], (0, 1)),
        ((4, 3, 2), [[3, 0, 3], [1, 0, 1]], (0, 2)),
        ((4, 3), [np.zeros((0,), int)], (0,)),
    ]
    found = []
    for dtype in SOME:
        for shape, indices, axes in rows:
            positions = tuple(np.asarray(i, I64) for i in indices)
            values = positions[0].shape + tuple(s for axis, s in enumerate(shape) if axis not in axes)
            operands = (regular("", dtype, shape), regular("", dtype, values, 1)) if with_values else None
            found.append(Sample((*(operands or (regular("", dtype, shape),)), *positions), {"axes": axes}))
    return found


def _reduce(dtypes: tuple[np.dtype, ...], empty: bool) -> list[Sample]:
    rows: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((), {"axes": ()}),
        ((5,), {"axes": (0,)}),
        ((4, 3), {"axes": (0,)}),
        ((4, 3), {"axes": (1,)}),
        ((4, 3), {"axes": (0, 1)}),
        ((2, 3, 4), {"axes": (0, 2)}),
        ((2, 3), {"axes": ()}),
        ((0, 3), {"axes": (1,)}),
    ]
    return _on(dtypes, *rows, *([((0,), {"axes": (0,)}), ((3, 0), {"axes": (1,)})] if empty else []))


def _along(dtypes: tuple[np.dtype, ...], empty: bool) -> list[Sample]:
    rows: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((5,), {"axis": 0}),
        ((4, 3), {"axis": 0}),
        ((4, 3), {"axis": 1}),
        ((0, 3), {"axis": 1}),
    ]
    return _on(dtypes, *rows, *([((0,), {"axis": 0})] if empty else []))


def _dot() -> list[Sample]:
    none: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    rows = [
        ((3,), (3,), ((0,), (0,)), none),
        ((2, 3), (3,), ((1,), (0,)), none),
        ((2, 3), (3, 4), ((1,), (0,)), none),
        ((3, 2), (4, 3), ((0,), (1,)), none),
        ((2,), (3,), none, none),
        ((5, 2, 3), (5, 3, 4), ((2,), (1,)), ((0,), (0,))),
        ((2, 3, 4), (4, 3, 5), ((1, 2), (1, 0)), none),
        ((2, 0), (0, 3), ((1,), (0,)), none),
    ]
    return [
        Sample((regular("", d, x), regular("", d, y, 1)), {"contract": contract, "batch": batch})
        for d in map(np.dtype, ("float32", "float64", "complex128", "int64"))
        for x, y, contract, batch in rows
    ]


# -------------------------------------------------------------------------------------------------- control, loops


def region(text: str) -> Function:
    """A region from text."""
    return parse(f"func @body{text}")


def _cond() -> list[Sample]:
    then = region("(%x: f64[3], %y: f64[3]) -> (f64[3]) { %0: f64[3] = mul %x, %y return %0 }")
    otherwise = region("(%x: f64[3], %y: f64[3]) -> (f64[3]) { %0: f64[3] = add %x, %y return %0 }")
    x, y = regular("", F64, (3,)), regular("", F64, (3,), 1)
    return [Sample((np.array(p), x, y), {}, (then, otherwise)) for p in (True, False)]


def _while_loop() -> list[Sample]:
    condition = region("(%x: f64[], %c: f64[]) -> (bool[]) { %0: bool[] = lt %x, f64(10.0) return %0 }")
    body = region("(%x: f64[], %c: f64[]) -> (f64[]) { %0: f64[] = mul %x, %c return %0 }")
    return [Sample((np.array(x), np.array(2.0)), {"carries": 1}, (condition, body)) for x in (1.0, 20.0)]


def _fori_loop() -> list[Sample]:
    body = region("(%i: i64[], %x: f64[2], %c: f64[2]) -> (f64[2]) { %0: f64[2] = mul %x, %c return %0 }")
    x, c = regular("", F64, (2,)), regular("", F64, (2,), 1)
    return [Sample((np.array(0), np.array(n), x, c), {"carries": 1}, (body,)) for n in (0, 1, 4)]


def _custom_jvp() -> list[Sample]:
    primal = region("(%x: f64[3]) -> (f64[3]) { %0: f64[3] = mul %x, %x return %0 }")
    rule = region(
        "(%x: f64[3], %d: f64[3]) -> (f64[3], f64[3]) "
        "{ %0: f64[3] = mul %x, %x  %1: f64[3] = mul %x, %d  %2: f64[3] = add %1, %1  return %0, %2 }"
    )
    return [Sample((regular("", F64, (3,)),), {}, (primal, rule))]


def _custom_vjp() -> list[Sample]:
    primal = region("(%x: f64[3]) -> (f64[3]) { %0: f64[3] = neg %x return %0 }")
    forward = region("(%x: f64[3]) -> (f64[3]) { %0: f64[3] = neg %x return %0 }")
    backward = region("(%c: f64[3]) -> (f64[3]) { %0: f64[3] = neg %c return %0 }")
    return [Sample((regular("", F64, (3,)),), {"residuals": 0}, (primal, forward, backward))]


def double(x: np.ndarray) -> np.ndarray:
    """What the callback sample calls."""
    return x + x


_BITS = np.random.PCG64(3)


def _random_bits() -> list[Sample]:
    interface = _BITS.ctypes
    functions = {"float64": interface.next_double, "uint64": interface.next_uint64, "uint32": interface.next_uint32}
    state = np.int64(interface.state_address)
    return [
        Sample((np.int64(ctypes.cast(function, ctypes.c_void_p).value), state), {"dtype": np.dtype(name)})
        for name, function in functions.items()
    ]


def _random_numbers(*, dims: tuple[int, ...] | None = None) -> list[Sample]:
    """Of NumPy's functions and of our own; those of one dtype and several parameters."""
    generator = np.int64(_BITS.ctypes.bit_generator.value)
    extra = {} if dims is None else {"dims": dims}
    cases: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("standard_normal", np.float64, ()),
        ("standard_normal_f", np.float32, ()),
        ("poisson", np.int64, (np.float64(3.5),)),
        ("bounded_uint64", np.uint64, (np.uint64(3), np.uint64(9), np.uint64(0), np.uint32(0))),
        ("legacy_exponential", np.float64, ()),
    ]
    return [
        Sample((generator, *parameters), {"function": name, "dtype": np.dtype(dtype)} | extra, smooth=False)
        for name, dtype, parameters in cases
    ]


def _callback() -> list[Sample]:
    attrs = {"function": double, "types": (ArrayType(F64, (3,)),)}
    return [Sample((regular("", F64, (3,)),), attrs, smooth=False)]


_CORE_SIZES = {"m": 3, "n": 2, "k": 2, "o": 2, "p": 2}


def _library_loop() -> list[Sample]:
    """Every loop, on one core and on a batch; matrices that are read as symmetric are positive definite."""
    found = []
    for name, loop in LOOPS.items():
        bases = [base for base in map(np.dtype, ("f4", "f8", "c8", "c16")) if has_loop(name, base)]
        for base in bases:
            for batch in ((), (2,)):
                sizes = dict(_CORE_SIZES)
                if name in ("fft", "ifft", "rfft", "irfft"):
                    sizes["m"], sizes["n"] = 4, 3
                operands = [
                    regular(
                        name, loop.dtype_of(position, base), (*(batch if names else ()), *[sizes[n] for n in names])
                    )
                    for position, names in enumerate(loop.inputs)
                ]
                if loop.inputs[0] == ("m", "m"):
                    square = operands[0]
                    operands[0] = square @ np.conj(np.swapaxes(square, -1, -2)) + 3 * np.eye(3, dtype=base)
                attrs = {"loop": name, "sizes": tuple(sizes[n] for n in loop.free)}
                if batch and loop.module == FFT:
                    operands[0] = np.ascontiguousarray(np.moveaxis(operands[0], -1, 0))
                    attrs |= {"axis": -2, "variant": int(name == "rfft")}
                # Others are not linear in any operand, or not in each: tests/jit/test_gradients.py has them.
                found.append(Sample(tuple(operands), attrs, smooth=LOOPS[name].module == FFT))
    return found


def has_loop(name: str, base: np.dtype) -> bool:
    """Whether NumPy has a loop for a dtype of the first operand."""
    loop = LOOPS[name]
    ufunc = getattr(importlib.import_module(loop.module), loop.functions[0])
    letters = [loop.dtype_of(position, base).char for position in range(len(loop.dtypes))]
    inputs = len(loop.inputs)
    return "".join(letters[:inputs]) + "->" + "".join(letters[inputs + loop.overwrites :]) in ufunc.types


def _check() -> list[Sample]:
    attrs = {"exception": "ValueError", "text": 'never "raised": {0} {1}'}
    return [Sample((np.array(True), np.array(3), np.array(-4)), attrs, smooth=False)]


_SMALL_INTEGERS = tuple(d for d in SOME if d.kind in "iu")
_ORDERED = tuple(d for d in SOME if d.kind != "c")


def _along_last() -> list[Sample]:
    operands = [sample.operands[0] for sample in _along(_ORDERED, empty=True) if sample.operands[0].ndim]
    return [Sample((x,), {"kind": kind}) for x in operands for kind in ("quicksort", "heapsort", "stable")]


def _selecting(*, spread: bool) -> list[Sample]:
    """Masks over one axis and over two, that select some elements, none and all."""
    result = []
    for shape, rank in (((4,), 1), ((3, 2), 1), ((3, 2), 2), ((0,), 1)):
        for mask in (
            np.arange(int(np.prod(shape[:rank]))).reshape(shape[:rank]) % 3 != 1,
            np.zeros(shape[:rank], bool),
        ):
            x = regular("compress", np.dtype(float), shape)
            chosen = x[mask]
            if spread:
                result.append(Sample((x, mask, chosen + 1)))
            else:
                result.append(Sample((mask, x), {"size": len(chosen)}))
    return result


TABLE: dict[str, Callable[[], list[Sample]]] = {
    "bitcast": _bitcasts,
    "cast": _casts,
    "wrap_index": _wrap_index,
    "broadcast": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "update_slice": _update_slice,
    "concatenate": _concatenate,
    "iota": _iota,
    "constant": _constant,
    "empty": lambda: [Sample((), {"dtype": d, "dims": dims}) for d in SOME for dims in [(), (3,), (0, 2)]],
    "dim": lambda: [Sample((), {"dim": 7})],
    "random_bits": _random_bits,
    "random_number": _random_numbers,
    "random_array": lambda: _random_numbers(dims=(2, 3)),
    "bind_size": lambda: [Sample((np.int64(3),), {"symbol": "late"})],
    "gather": lambda: _indexing(with_values=False),
    "scatter": lambda: _indexing(with_values=True),
    "scatter_add": lambda: _indexing(with_values=True),
    "reduce_sum": lambda: _reduce(SOME[1:], empty=True),
    "reduce_prod": lambda: _reduce(SOME[1:], empty=True),
    "reduce_max": lambda: _reduce(_ORDERED, empty=False),
    "reduce_min": lambda: _reduce(_ORDERED, empty=False),
    "reduce_any": lambda: _reduce((BOOL,), empty=True),
    "reduce_all": lambda: _reduce((BOOL,), empty=True),
    "argmax": lambda: _along(_ORDERED, empty=False),
    "argmin": lambda: _along(_ORDERED, empty=False),
    "cumsum": lambda: _along(SOME[1:], empty=True),
    "cumprod": lambda: _along(SOME[1:], empty=True),
    "cummax": lambda: _along(_ORDERED, empty=True),
    "cummin": lambda: _along(_ORDERED, empty=True),
    "search": _search,
    "sort": lambda: _along_last(),
    "argsort": lambda: _along_last(),
    "compress": lambda: _selecting(spread=False),
    "spread": lambda: _selecting(spread=True),
    "dot": _dot,
    "cond": _cond,
    "while_loop": _while_loop,
    "fori_loop": _fori_loop,
    "callback": _callback,
    "pure_callback": _callback,
    "check": _check,
    "library_loop": _library_loop,
    "custom_jvp": _custom_jvp,
    "custom_vjp": _custom_vjp,
    "custom_linear": lambda: [],  # never runs: the backward walk replaces it by its region
}


def samples(name: str) -> list[Sample]:
    """Applications of an array-level primitive: its dtypes, shapes with and without elements, values at the edges."""
    if name in TABLE:
        return TABLE[name]()
    if PRIMITIVES[name].elementwise:
        return _elementwise(name)
    raise AssertionError(f"the primitive {name} has no samples: add a row to TABLE in tests/ir/samples.py")
