"""Products of arrays: matmul, dot, inner, outer, tensordot, kron and einsum, all by ``dot``, transposes and sums."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_letters
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, wrap
from tracejit.trace.axis_order import Order, joint_order, normal
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64, DType, result_type
from tracejit.trace.inputs import as_array, as_value, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import axis_index, given, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.ufuncs import write_out
from tracejit.trace.values import (
    cast,
    emit,
    iota,
    reshape,
    resolve_dims,
    squeeze,
    transpose,
)

__all__ = ["contract"]

Labels = str


def _promoted(values: Sequence[Any], dtype: Any = None) -> tuple[list[Operand], DType]:
    """The operands in their common dtype."""
    described = [describe_input(value) for value in values]
    loop = np.dtype(dtype) if dtype is not None else result_type(*(kind for kind, _ in described))
    return [materialize(content, loop) for _, content in described], loop


def _finish(function: Any, args: tuple[Any, ...], value: Operand, out: Any, casting: str = "same_kind") -> Any:
    if given(out) and not (isinstance(out, tuple) and out == (None,)):
        return write_out(function, args, value, out, True, casting)
    return wrap(value)


def dot_general(
    x: Operand, y: Operand, contract: tuple[Sequence[int], Sequence[int]], batch: tuple[Sequence[int], Sequence[int]]
) -> Operand:
    """The ``dot`` primitive; bools are counted and compared, as the logical product has no arithmetic."""
    attrs = {"contract": tuple(map(tuple, contract)), "batch": tuple(map(tuple, batch))}
    dims = list(y.type.dims)
    for i, j in zip((*contract[0], *batch[0]), (*contract[1], *batch[1]), strict=True):
        if not current_trace().sizes.same(x.type.dims[i], dims[j]):
            dims[j] = x.type.dims[i]  # the program has checked that they are equal
    y = reshape(y, tuple(dims))
    if x.type.dtype == BOOL:
        count = emit("dot", cast(x, INT64), cast(y, INT64), **attrs)
        return emit("ne", count, operand_of(np.int64(0)))
    return emit("dot", x, y, **attrs)


# -------------------------------------------------------------------------------------------------------------- einsum


def contract(inputs: Sequence[tuple[Operand, Labels]], output: Labels, function: Any, args: tuple[Any, ...]) -> Operand:
    """Multiply operands whose axes carry labels, and sum over the labels that the output lacks."""
    terms = [_own_axes(x, labels, function, args) for x, labels in inputs]
    terms = _fit_sizes(terms, function, args)
    terms = [_without_lonely(term, terms, output) for term in terms]
    for left_place, right_place in _cheapest_order(terms, output):
        left, right = terms[left_place], terms[right_place]
        rest = [term for term in terms if term is not left and term is not right]
        needed = set(output).union(*(labels for _, labels in rest))
        terms = [_multiply_pair(left, right, needed), *rest]
    (x, labels), *_ = terms
    summed = tuple(k for k, label in enumerate(labels) if label not in output)
    if summed:
        x = _summed(x, summed)
        labels = "".join(label for label in labels if label in output)
    return transpose(x, tuple(labels.index(label) for label in output))


def _summed(x: Operand, axes: tuple[int, ...]) -> Operand:
    return emit("reduce_any" if x.type.dtype == BOOL else "reduce_sum", x, axes=axes)


Term = tuple[Operand, Labels]


def _own_axes(x: Operand, labels: Labels, function: Any, args: tuple[Any, ...]) -> Term:
    """Take the diagonal where a label stands twice in one operand."""
    sizes = current_trace().sizes
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if not sizes.require_equal(x.type.dims[first], x.type.dims[second]):
                raise_as_numpy(function, *args)
            place = iota(INT64, (x.type.dims[first],), 0)
            x = emit("gather", x, place, place, axes=(first, second))
            labels = label + "".join(c for k, c in enumerate(labels) if k not in (first, second))
    return x, labels


def _fit_sizes(terms: list[Term], function: Any, args: tuple[Any, ...]) -> list[Term]:
    """Require equal sizes for equal labels; an axis of size 1 beside a longer one is dropped."""
    sizes = current_trace().sizes
    known: dict[str, DimLike] = {}
    for x, labels in terms:
        for label, dim in zip(labels, x.type.dims, strict=True):
            joined = sizes.broadcast(known[label], dim) if label in known else dim
            if joined is None:
                raise_as_numpy(function, *args)
            known[label] = joined
    result = []
    for x, labels in terms:
        resolved = resolve_dims(x.type.dims)
        unit = [k for k, label in enumerate(labels) if resolved[k] == 1 and sizes.resolve(known[label]) != 1]
        if unit:
            x = squeeze(reshape(x, resolved), unit)
            labels = "".join(label for k, label in enumerate(labels) if k not in unit)
        result.append((x, labels))
    return result


def _without_lonely(term: Term, terms: list[Term], output: Labels) -> Term:
    """Sum over labels that occur in no other operand and not in the output."""
    x, labels = term
    others = set(output).union(*(other for o, other in terms if o is not x or other is not labels))
    others |= {label for label in labels if sum(label in other for _, other in terms) > 1}
    lonely = tuple(k for k, label in enumerate(labels) if label not in others)
    if not lonely or len(terms) == 1:
        return term
    return _summed(x, lonely), "".join(label for label in labels if label in others)


_SEARCHED = 6  # operands for which every order is tried


def _cheapest_order(terms: list[Term], output: Labels) -> list[tuple[int, int]]:
    """The pairs to multiply, one after the other: the product of a pair becomes the first of the terms that are left.

    What counts is the number of multiplications for the sizes of the traced call; of many terms the cheapest pair is
    taken each time.
    """
    hint = current_trace().sizes.hint
    size = {label: hint(dim) for x, labels in terms for label, dim in zip(labels, x.type.dims, strict=True)}
    known: dict[tuple[frozenset[str], ...], tuple[float, list[tuple[int, int]]]] = {}

    def step(sets: tuple[frozenset[str], ...], i: int, j: int) -> tuple[float, tuple[frozenset[str], ...]]:
        rest = tuple(s for k, s in enumerate(sets) if k not in (i, j))
        both = sets[i] | sets[j]
        cost = 1.0
        for label in both:
            cost *= size[label]
        return cost, (both & frozenset(output).union(*rest), *rest)

    def best(sets: tuple[frozenset[str], ...]) -> tuple[float, list[tuple[int, int]]]:
        if len(sets) == 1:
            return 0.0, []
        if sets not in known:
            steps = [(*step(sets, i, j), (i, j)) for i in range(len(sets)) for j in range(i + 1, len(sets))]
            if len(sets) > _SEARCHED:
                steps = [min(steps, key=lambda found: found[0])]
            options = []
            for cost, left, pair in steps:
                total, pairs = best(left)
                options.append((cost + total, [pair, *pairs]))
            known[sets] = min(options, key=lambda found: found[0])
        return known[sets]

    return best(tuple(frozenset(labels) for _, labels in terms))[1]


def _multiply_pair(left: Term, right: Term, needed: set[str]) -> Term:
    (x, a), (y, b) = left, right
    shared = [label for label in a if label in b]
    batch = [label for label in shared if label in needed]
    summed = [label for label in shared if label not in needed]
    if not summed:
        return _multiply_elementwise(left, right)
    value = dot_general(
        x,
        y,
        ([a.index(label) for label in summed], [b.index(label) for label in summed]),
        ([a.index(label) for label in batch], [b.index(label) for label in batch]),
    )
    free = [label for label in a if label not in shared] + [label for label in b if label not in shared]
    return value, "".join(batch + free)


def _multiply_elementwise(left: Term, right: Term) -> Term:
    """No label is summed: an outer product or a product of equal axes is a broadcast multiplication."""
    (x, a), (y, b) = left, right
    labels = a + "".join(label for label in b if label not in a)
    dims = dict(zip(b, y.type.dims, strict=True)) | dict(zip(a, x.type.dims, strict=True))
    target = resolve_dims(tuple(dims[label] for label in labels))
    operands = []
    for value, own in (left, right):
        places = [labels.index(label) for label in own]
        order = tuple(sorted(range(len(own)), key=places.__getitem__))
        value = transpose(value, order)
        axes = tuple(sorted(labels.index(label) for label in own))
        if value.type.dims and resolve_dims(value.type.dims) != target:
            value = emit("broadcast", value, dims=target, axes=axes)
        operands.append(value)
    name = "bitwise_and" if x.type.dtype == BOOL else "mul"
    return emit(name, *operands), labels


@implements(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, **kwargs: Any) -> Any:
    """``np.einsum``."""
    if not isinstance(operands[0], str):
        operands = _from_sublists(operands)
    subscripts, *values = operands
    arrays = [as_array(value) for value in values]
    inputs, output = _parse(subscripts, arrays, operands)
    casting = kwargs.get("casting", "safe")
    if dtype is not None and not all(np.can_cast(array.dtype, np.dtype(dtype), casting) for array in arrays):
        raise_as_numpy(np.einsum, subscripts, *arrays, dtype=dtype, casting=casting)
    promoted, _ = _promoted(values, dtype)
    value = contract(list(zip(promoted, inputs, strict=True)), output, np.einsum, (subscripts, *arrays))
    if out is None and len(output) > 1:
        return wrap(value, _einsum_order(arrays, inputs, output))
    return _finish(np.einsum, operands, value, out, kwargs.get("casting", "same_kind") if out is not None else "safe")


def _einsum_order(arrays: list[TracedArray], inputs: list[Labels], output: Labels) -> Order:
    """The order of the result: NumPy goes through the output's labels, then through those that are summed."""
    labels = [*output, *dict.fromkeys(label for own in inputs for label in own if label not in output)]
    paces = []
    for array, own in zip(arrays, inputs, strict=True):
        found = dict(zip(own, array.paces(), strict=True))
        paces.append([found.get(label, 0) for label in labels])
    order = joint_order(paces) or range(len(labels))
    return normal([axis for axis in order if axis < len(output)])


def _from_sublists(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` in subscript form."""
    items = list(operands)
    output = _letters(items.pop()) if len(items) % 2 else None
    values, subscripts = items[::2], [_letters(sub) for sub in items[1::2]]
    text = ",".join(subscripts) + ("" if output is None else f"->{output}")
    return (text, *values)


def _letters(sublist: Sequence[Any]) -> str:
    return "".join("..." if entry is Ellipsis else ascii_letters[entry] for entry in sublist)


def _parse(subscripts: str, arrays: list[TracedArray], operands: tuple[Any, ...]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the output, ellipses replaced by labels of their own."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(arrays) or not set(left + output) <= set(ascii_letters + ",."):
        raise_as_numpy(np.einsum, *operands)
    spare = [c for c in ascii_letters if c not in text]
    dotted = [(part, array) for part, array in zip(parts, arrays, strict=True) if "..." in part]
    hidden = max([array.ndim - len(part.replace("...", "")) for part, array in dotted], default=0)
    dots = "".join(spare[:hidden])
    inputs = []
    for part, array in zip(parts, arrays, strict=True):
        count = array.ndim - len(part.replace("...", ""))
        if count < 0 or (count > 0 and "..." not in part):
            raise_as_numpy(np.einsum, *operands)
        inputs.append(part.replace("...", dots[len(dots) - count :]))
    if not arrow:
        letters = "".join(parts).replace(".", "")
        output = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    else:
        output = output.replace("...", dots)
    if not set(output) <= set("".join(inputs)) or len(set(output)) != len(output):
        raise_as_numpy(np.einsum, *operands)
    return inputs, output


# ------------------------------------------------------------------------------------------------------------ products


@implements(np.matmul)
def matmul(x1: Any, x2: Any, out: Any = None, *, dtype: Any = None, casting: str = "same_kind", **kwargs: Any) -> Any:
    """``np.matmul`` and ``@``."""
    if other := set(kwargs) - {"order", "subok"}:
        raise UnsupportedError(f"np.matmul with {min(other)}= is not compiled; use np.einsum")
    if dtype is not None and not all(np.can_cast(as_array(v).dtype, np.dtype(dtype), casting) for v in (x1, x2)):  # type: ignore[arg-type]
        raise_as_numpy(np.matmul, as_array(x1), as_array(x2), dtype=dtype, casting=casting)
    (x, y), _ = _promoted((x1, x2), dtype)
    if not x.rank or not y.rank:
        raise_as_numpy(np.matmul, x1, x2)
    sizes = current_trace().sizes
    inner_x, inner_y = x.type.dims[-1], y.type.dims[max(y.rank - 2, 0)]
    if not sizes.require_equal(inner_x, inner_y):
        raise_as_numpy(np.matmul, wrap(x), wrap(y))
    value = _matmul(x, y, (x1, x2))
    return _finish(np.matmul, (x1, x2), value, out, casting)


def _matmul(x: Operand, y: Operand, args: tuple[Any, ...]) -> Operand:
    row = x.rank >= 2
    column = y.rank >= 2
    batch_x, batch_y = max(x.rank - 2, 0), max(y.rank - 2, 0)
    if not batch_x and not batch_y:
        return dot_general(x, y, ((x.rank - 1,), (0,)), ((), ()))
    dots = ascii_letters[: max(batch_x, batch_y)]
    left = dots[len(dots) - batch_x :] + ("X" if row else "") + "K"
    right = dots[len(dots) - batch_y :] + "K" + ("Y" if column else "")
    output = dots + ("X" if row else "") + ("Y" if column else "")
    return contract([(x, left), (y, right)], output, np.matmul, args)


def _vector_product(function: Any, left: str, right: str, output: str, conjugate: bool) -> None:
    @implements(function)
    def product(
        x1: Any,
        x2: Any,
        out: Any = None,
        *,
        axis: Any = -1,
        keepdims: Any = False,
        dtype: Any = None,
        casting: str = "same_kind",
        **kwargs: Any,
    ) -> Any:
        keywords = {"casting": casting} if dtype is None else {"casting": casting, "dtype": dtype}
        if kwargs or (axis != -1 and output):
            raise UnsupportedError(f"np.{function.__name__} with {', '.join(kwargs) or 'axis'}= is not compiled")
        if axis != -1:
            x1, x2 = (call(np.moveaxis, as_array(v), axis, -1) for v in (x1, x2))
        (x, y), loop = _promoted((x1, x2), dtype)
        if x.rank < len(left) or y.rank < len(right):
            raise_as_numpy(function, x1, x2, **keywords)
        if dtype is not None and not all(np.can_cast(as_array(v).dtype, loop, casting) for v in (x1, x2)):  # type: ignore[arg-type]
            raise_as_numpy(function, x1, x2, **keywords)
        inner_x, inner_y = (v.type.dims[labels.index("K") - len(labels)] for v, labels in ((x, left), (y, right)))
        if not current_trace().sizes.require_equal(inner_x, inner_y):
            raise_as_numpy(function, wrap(x), wrap(y))
        if conjugate and x.type.dtype.kind == "c":
            x = emit("conj", x)
        dots = ascii_letters[: max(x.rank - len(left), y.rank - len(right), 0)]
        inputs = [
            (x, dots[len(dots) - (x.rank - len(left)) :] + left),
            (y, dots[len(dots) - (y.rank - len(right)) :] + right),
        ]
        value = contract(inputs, dots + output, function, (x1, x2))
        if keepdims:
            value = operand_of(call(np.expand_dims, wrap(value), axis))
        return _finish(function, (x1, x2), value, out, casting)


_vector_product(np.vecdot, "K", "K", "", True)
for _name, _left, _right, _output, _conjugate in (("matvec", "XK", "K", "X", False), ("vecmat", "K", "KY", "Y", True)):
    if hasattr(np, _name):
        _vector_product(getattr(np, _name), _left, _right, _output, _conjugate)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """``np.dot``."""
    (x, y), _ = _promoted((as_value(a), as_value(b)))
    if not x.rank or not y.rank:
        return ufunc(np.multiply, wrap(x), wrap(y), out=out)
    axis = max(y.rank - 2, 0)
    if not current_trace().sizes.require_equal(x.type.dims[-1], y.type.dims[axis]):
        raise_as_numpy(np.dot, wrap(x), wrap(y))
    value = dot_general(x, y, ((x.rank - 1,), (axis,)), ((), ()))
    if given(out) and as_array(out).dtype != value.type.dtype:
        raise_as_numpy(np.dot, wrap(x), wrap(y), out)
    return _finish(np.dot, (a, b), value, out)


@implements(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    """``np.vdot``."""
    (x, y), _ = _promoted((call(np.ravel, as_array(a)), call(np.ravel, as_array(b))))
    if x.type.dtype.kind == "c":
        x = emit("conj", x)
    if not current_trace().sizes.require_equal(x.type.dims[0], y.type.dims[0]):
        raise_as_numpy(np.vdot, as_array(a), as_array(b))
    return dot(wrap(x), wrap(y))


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    """``np.inner``."""
    (x, y), _ = _promoted((as_value(a), as_value(b)))
    if not x.rank or not y.rank:
        return ufunc(np.multiply, wrap(x), wrap(y))
    if not current_trace().sizes.require_equal(x.type.dims[-1], y.type.dims[-1]):
        raise_as_numpy(np.inner, wrap(x), wrap(y))
    return wrap(dot_general(x, y, ((x.rank - 1,), (y.rank - 1,)), ((), ())))


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """``np.outer``."""
    x, y = call(np.ravel, as_array(a)), call(np.ravel, as_array(b))
    return ufunc(np.multiply, x[:, None], y[None, :], out=out)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """``np.linalg.multi_dot``, in the order that is cheapest for the sizes of the traced call."""
    parts = [as_array(a) for a in arrays]
    if len(parts) < 2:
        raise ValueError("Expecting at least two arrays.")
    ranks = [part.ndim for part in parts]
    if any(rank != 2 for rank in ranks[1:-1]) or not {ranks[0], ranks[-1]} <= {1, 2}:
        raise_as_numpy(np.linalg.multi_dot, parts)
    sizes = current_trace().sizes
    for left, right in pairwise(parts):
        if not sizes.require_equal(left.dims[-1], right.dims[0]):
            raise_as_numpy(np.linalg.multi_dot, parts)
    places = "".join(ascii_letters[k] for k in range(len(parts) + 1))
    labels = [places[k : k + 2] for k in range(len(parts))]
    labels[0] = labels[0] if ranks[0] == 2 else labels[0][1:]
    labels[-1] = labels[-1] if ranks[-1] == 2 else labels[-1][:1]
    output = (places[0] if ranks[0] == 2 else "") + (places[-1] if ranks[-1] == 2 else "")
    promoted, _ = _promoted(parts)
    value = contract(list(zip(promoted, labels, strict=True)), output, np.linalg.multi_dot, (parts,))
    return _finish(np.linalg.multi_dot, (parts,), value, out)


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """``np.tensordot``."""
    (x, y), _ = _promoted((a, b))
    if hasattr(axes, "__index__"):
        axes = operator.index(axes)
        pairs: tuple[list[int], list[int]] = (list(range(x.rank - axes, x.rank)), list(range(axes)))
    else:
        left, right = axes
        pairs = (
            [axis_index(k, x.rank) for k in (left if isinstance(left, (list, tuple)) else [left])],
            [axis_index(k, y.rank) for k in (right if isinstance(right, (list, tuple)) else [right])],
        )
    sizes = current_trace().sizes
    fits = len(pairs[0]) == len(pairs[1]) and all(
        0 <= i < x.rank and 0 <= j < y.rank and sizes.require_equal(x.type.dims[i], y.type.dims[j])
        for i, j in zip(*pairs, strict=True)
    )
    if not fits:
        raise ValueError("shape-mismatch for sum")
    if not pairs[0]:
        return ufunc(np.multiply, call(np.reshape, wrap(x), (*wrap(x).shape, *(1,) * y.rank)), wrap(y))
    value = dot_general(x, y, pairs, ((), ()))
    return wrap(value) if value.rank else as_array(wrap(value))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """``np.kron``."""
    (x, y), _ = _promoted((a, b))
    rank = max(x.rank, y.rank)
    left, right = ((1,) * (rank - v.rank) + v.type.dims for v in (x, y))
    wide_x = reshape(x, tuple(d for size in left for d in (size, 1)))
    wide_y = reshape(y, tuple(d for size in right for d in (1, size)))
    product = ufunc(np.multiply, wrap(wide_x), wrap(wide_y))
    dims = tuple(m * n for m, n in zip(left, right, strict=True))
    return wrap(reshape(operand_of(product), resolve_dims(dims)))
