"""Loops of a library that are called as they are: NumPy's own C functions for linear algebra and Fourier transforms.

A loop works on the last axes of its operands (the *core*, which its signature names) and goes through the axes in
front of these, the batch. An operand either has all axes of the batch or none of them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import same_dim, same_dims
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.common import Tangent, batch_size, dim_operand, op, require, with_batch
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, BufferType, scalar

__all__ = [
    "FFT",
    "LINALG",
    "LOOPS",
    "TANGENTS",
    "TRANSPOSES",
    "CalledLoop",
    "LibraryLoop",
    "call_library",
    "core_last",
    "library_loop",
]

Array = np.ndarray[Any, Any]
Core = tuple[str, ...]
DType = np.dtype[Any]
INT32, BOOL = np.dtype(np.int32), np.dtype(np.bool_)

LINALG, FFT = "numpy.linalg._umath_linalg", "numpy.fft._pocketfft_umath"


@dataclass(frozen=True)
class LibraryLoop:
    """What is known of one loop.

    inputs, outputs: the names of each operand's and each result's core axes.
    dtypes: a letter for each of them, relative to the dtype of the first operand: ``t`` the same, ``r`` the real one,
    ``c`` the complex one, ``i`` int32.
    functions: the library's names of it; where there are several, they are variants 0, 1, ... of one loop.
    reports: whether it can fail; then a bool scalar that says so is the last result.
    overwrites: the first operand is worked on in place: what it becomes is the first result.
    """

    module: str
    inputs: tuple[Core, ...]
    outputs: tuple[Core, ...]
    dtypes: str
    functions: tuple[str, ...]
    reports: bool = False
    overwrites: bool = False
    free: Core = field(init=False)

    def __post_init__(self) -> None:
        if len(self.dtypes) != len(self.inputs) + len(self.outputs):
            raise ValueError(f"{self.functions}: dtypes {self.dtypes!r}")
        given = {name for core in self.inputs for name in core}
        object.__setattr__(self, "free", tuple([name for name in self.names if name not in given]))

    @property
    def names(self) -> Core:
        """The core axes in the order of their first appearance, which is that of the sizes that the loop is given."""
        return tuple(dict.fromkeys(name for core in (*self.inputs, *self.outputs) for name in core))

    def dtype_of(self, position: int, base: DType) -> DType:
        """The dtype of an operand or, counted on, of a result."""
        letter = self.dtypes[position]
        if letter == "i":
            return INT32
        wide = base.itemsize // (2 if base.kind == "c" else 1)
        return {"t": base, "r": np.dtype(f"f{wide}"), "c": np.dtype(f"c{2 * wide}")}[letter]

    def core_sizes(self, operands: Sequence[ArrayType], free: Sequence[DimLike]) -> dict[str, DimLike]:
        """The size of each core axis."""
        found = dict(zip(self.free, free, strict=True))
        for type, core in zip(operands, self.inputs, strict=True):
            found.update(zip(core, type.dims[len(type.dims) - len(core) :], strict=True))
        return {name: found[name] for name in self.names}

    def batch(self, operands: Sequence[ArrayType]) -> tuple[DimLike, ...]:
        """The axes in front of the core."""
        own = [type.dims[: len(type.dims) - len(core)] for type, core in zip(operands, self.inputs, strict=True)]
        return max(own, key=len)


def _declared(module: str, text: str) -> dict[str, LibraryLoop]:
    """One loop a line: name, signature, dtypes, then what else is to be said of it."""
    loops = {}
    for line in text.strip().splitlines():
        name, signature, dtypes, *more = line.split()
        inputs, outputs = (
            tuple([tuple(filter(None, core.split(","))) for core in re.findall(r"\(([a-z,]*)\)", side)])
            for side in signature.split("->")
        )
        words = {word.partition("=")[0]: word.partition("=")[2] for word in more}
        functions = tuple(words.get("functions", name).split(","))
        flags = {word: True for word in ("reports", "overwrites") if word in words}
        loops[name] = LibraryLoop(module, inputs, outputs, dtypes.replace("->", ""), functions, **flags)
    return loops


LOOPS: dict[str, LibraryLoop] = {
    **_declared(
        LINALG,
        """
        solve1 (m,m),(m)->(m) tt->t reports
        solve (m,m),(m,n)->(m,n) tt->t reports
        inv (m,m)->(m,m) t->t reports
        det (m,m)->() t->t
        slogdet (m,m)->(),() t->tr
        cholesky_lo (m,m)->(m,m) t->t reports
        cholesky_up (m,m)->(m,m) t->t reports
        eigh_lo (m,m)->(m),(m,m) t->rt reports
        eigh_up (m,m)->(m),(m,m) t->rt reports
        eigvalsh_lo (m,m)->(m) t->r reports
        eigvalsh_up (m,m)->(m) t->r reports
        eig (m,m)->(m),(m,m) t->cc reports
        eigvals (m,m)->(m) t->c reports
        svd (m,n)->(p) t->r reports
        svd_s (m,n)->(m,p),(p),(p,n) t->trt reports
        svd_f (m,n)->(m,m),(p),(n,n) t->trt reports
        qr_r_raw (m,n)->(m,n),(p) t->tt reports overwrites
        qr_reduced (m,n),(k)->(m,k) tt->t reports
        qr_complete (m,n),(n)->(m,m) tt->t reports
        lstsq (m,n),(m,o),()->(n,o),(o),(),(p) ttr->trir reports
        """,
    ),
    **_declared(
        FFT,
        """
        fft (n),()->(m) tr->t
        ifft (n),()->(m) tr->t
        rfft (n),()->(m) tr->c functions=rfft_n_even,rfft_n_odd
        irfft (n),()->(m) tr->r
        """,
    ),
}
"""All loops by name."""


def core_last(operands: Sequence[ArrayType], axis: int) -> list[ArrayType]:
    """The operands' types with the first one's axis, which is counted from the end, as its last."""
    first, *rest = operands
    if axis == -1:
        return [first, *rest]
    dims = list(first.dims)
    dims.append(dims.pop(axis))
    return [first.with_dims(tuple(dims)), *rest]


def _loop_infer(
    *given: ArrayType, loop: str, sizes: tuple[DimLike, ...], variant: DimLike = 0, axis: int = -1
) -> tuple[Any, ...]:
    found = LOOPS[loop]
    require(len(given) == len(found.inputs), loop, f"{len(given)} operands")
    movable = len(found.inputs[0]) == len(found.outputs[0]) == len(found.outputs) == 1
    require(axis == -1 or (movable and -given[0].rank <= axis < 0), loop, f"axis {axis} of {given[0]}")
    operands = core_last(given, axis)
    base = operands[0].dtype
    core = found.core_sizes(operands, sizes)
    batch = found.batch(operands)
    for position, (type, names) in enumerate(zip(operands, found.inputs, strict=True)):
        require(type.dtype == found.dtype_of(position, base), loop, f"operand {position} is {type}")
        own, rest = type.dims[: type.rank - len(names)], type.dims[type.rank - len(names) :]
        require(not own or same_dims(own, batch), loop, f"{type} in a batch of {batch}")
        fits = all(same_dim(core[name], dim) for name, dim in zip(names, rest, strict=True))
        require(fits, loop, f"{type} does not fit the sizes {core}")
    results = [
        ArrayType(found.dtype_of(position, base), (*batch, *[core[name] for name in names]))
        for position, names in enumerate(found.outputs, len(operands))
    ]
    if axis != -1:
        dims = list(results[0].dims)
        dims.insert(len(dims) + axis, dims.pop())
        results[0] = results[0].with_dims(tuple(dims))
    return (*results, scalar("bool")) if found.reports else tuple(results)


def _loop_reference(
    *operands: Array, loop: str, sizes: tuple[int, ...], variant: int = 0, axis: int = -1
) -> tuple[Any, ...]:
    if axis != -1:
        first = np.moveaxis(operands[0], axis, -1)
        (result,) = _loop_reference(first, *operands[1:], loop=loop, sizes=sizes, variant=variant)
        return (np.ascontiguousarray(np.moveaxis(result, -1, axis)),)
    found = LOOPS[loop]
    arrays = [np.asarray(operand) for operand in operands]
    types = [ArrayType(array.dtype, array.shape) for array in arrays]
    results = [np.empty(type.dims, type.dtype) for type in _loop_infer(*types, loop=loop, sizes=sizes)]
    outputs = results[: len(found.outputs)]
    if found.overwrites:
        outputs[0][...] = arrays[0]
        arrays[0] = outputs[0]
    failed = _run(found, variant, arrays, outputs[1:] if found.overwrites else outputs)
    values = [output[()] for output in outputs]
    return (*values, failed) if found.reports else tuple(values)


def _run(loop: LibraryLoop, variant: int, arrays: Sequence[Array], written: Sequence[Array]) -> np.bool_:
    """Let NumPy run a loop on arrays, in their own dtypes; gives whether it reports a failure."""
    function = getattr(importlib.import_module(loop.module), loop.functions[variant])
    signature = "->".join("".join(array.dtype.char for array in group) for group in (arrays, written))
    failed: list[Any] = []
    modes: Any = {"over": "ignore", "divide": "ignore", "under": "ignore", "invalid": "call"}
    with np.errstate(call=lambda *_: failed.append(True), **modes):
        function(*arrays, out=tuple(written), signature=signature)
    return np.bool_(bool(failed))


def _loop_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    """One more axis of the batch; operands without any stay as they are."""
    found = LOOPS[eqn.attrs["loop"]]
    size = batch_size(operands, batched)
    inner = found.batch(core_last([operand.type for operand in eqn.operands], eqn.attrs.get("axis", -1)))
    given = []
    for operand, old, names, flag in zip(operands, eqn.operands, found.inputs, batched, strict=True):
        rank = old.type.rank - len(names)
        if flag and rank < len(inner):  # it gets the inner axes of the batch, too
            dims = (size, *inner, *old.type.dims)
            axes = (0, *range(1 + len(inner), len(dims)))
            operand = op("broadcast", operand, dims=dims, axes=axes)
        elif not flag and rank:
            operand = with_batch(operand, False, size)
        given.append(operand)
    found_results = library_loop(*given, **eqn.attrs)
    results = list(found_results) if isinstance(found_results, tuple) else [found_results]
    if found.reports:
        results[-1] = with_batch(results[-1], False, size)
    return results


Rule = Callable[[Eqn, Sequence[Operand], Sequence[Tangent]], "list[Tangent]"]
TANGENTS: dict[str, Rule] = {}
"""The tangents of a loop's results, by the name of the loop; see ``library_tangents.py``."""
TRANSPOSES: dict[str, Callable[[Eqn, Operand, Sequence[Any]], list[Tangent]]] = {}
"""The cotangents of a loop's operands from that of its first result, where it is linear in one of them."""


def _loop_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    found = TANGENTS.get(eqn.attrs["loop"])
    if found is None:
        raise UnsupportedError(
            f"{eqn.attrs['loop']} of LAPACK cannot be differentiated by tracejit; give the derivative with custom_jvp "
            "or custom_vjp, or wrap the arguments in stop_gradient"
        )
    moved = found(eqn, primals, tangents)
    return [*moved, *[None] * (len(eqn.results) - len(moved))]


def _loop_transpose(eqn: Eqn, cotangents: Sequence[Any], operands: Sequence[Any]) -> list[Tangent]:
    if cotangents[0] is None:
        return [None] * len(operands)
    return TRANSPOSES[eqn.attrs["loop"]](eqn, cotangents[0], operands)


library_loop = primitive(
    "library_loop",
    infer=_loop_infer,
    reference=_loop_reference,
    jvp=_loop_jvp,
    transpose=_loop_transpose,
    batch=_loop_batch,
)
"""``library_loop(*operands) {loop, sizes, variant, axis}``: the results of a loop of :data:`LOOPS`.

``sizes`` are those of the core axes that no operand has; ``variant`` is the number of the function among several;
``axis``, counted from the end, is where the core of Fourier transforms is, in the first operand and in the result.
"""


@dataclass(frozen=True)
class CalledLoop:
    """A loop as a Python function, for programs that cannot call it as it is; gets sizes and variant as operands."""

    loop: str
    axis: int = -1

    def __call__(self, *arrays: Array) -> tuple[Any, ...]:
        """The results of the loop."""
        count = len(LOOPS[self.loop].inputs)
        *sizes, variant = map(int, arrays[count:])
        return _loop_reference(*arrays[:count], loop=self.loop, sizes=tuple(sizes), variant=variant, axis=self.axis)

    @staticmethod
    def operands(eqn: Eqn, operands: Sequence[Operand]) -> tuple[Operand, ...]:
        """What to call the function of an equation with."""
        numbers = (*eqn.attrs["sizes"], eqn.attrs.get("variant", 0))
        return (*operands, *map(dim_operand, numbers))


# ------------------------------------------------------------------------------------------------------- loop level


def _call_infer(*operands: ArrayType, loop: str, variant: DimLike) -> ArrayType:
    found = LOOPS[loop]
    arguments = len(found.inputs) + len(found.outputs) - found.overwrites
    core = sum(map(len, (*found.inputs, *found.outputs[found.overwrites :])))
    expected = 2 * arguments + 1 + len(found.names) + arguments + core
    require(len(operands) == expected, "call_library", f"{len(operands)} operands, not {expected}")
    for buffer in operands[: 2 * arguments : 2]:
        require(isinstance(buffer, BufferType), "call_library", f"{buffer} is no buffer")
    numbers = (*operands[1 : 2 * arguments : 2], *operands[2 * arguments :])
    require(all(number == scalar("i64") for number in numbers), "call_library", "sizes and steps are i64")
    return scalar("bool")


def _call_reference(*operands: Any, loop: str, variant: int) -> Any:
    found = LOOPS[loop]
    cores = (*found.inputs, *found.outputs[found.overwrites :])
    arguments = len(cores)
    buffers, offsets = operands[: 2 * arguments : 2], operands[1 : 2 * arguments : 2]
    count, *rest = map(int, operands[2 * arguments :])
    sizes = dict(zip(found.names, rest, strict=False))
    steps = rest[len(sizes) :]
    inner = iter(steps[arguments:])
    views = []
    for buffer, offset, outer, names in zip(buffers, offsets, steps, cores, strict=False):
        flat, strides = buffer.reshape(-1), [outer, *[next(inner) for _ in names]]
        shape = [count, *[sizes[name] for name in names]]
        bytes_ = [stride * flat.itemsize for stride in strides]
        views.append(np.lib.stride_tricks.as_strided(flat[int(offset) :], shape, bytes_))
    inputs = len(found.inputs)
    return _run(found, variant, views[:inputs], views[inputs:])


call_library = primitive("call_library", infer=_call_infer, reference=_call_reference, level="loop", effect="write")
"""``call_library(*operands) {loop, variant}``: call a loop on memory; gives whether it failed.

The operands: a buffer and an offset for each input and each output that is not an input; how often the core is worked
on, and the sizes of its axes; for each of these arguments the step from one core to the next, and then the steps of the
core's axes, all in elements.
"""
