"""Derivatives for users: ``grad``, ``vjp``, ``jvp``, ``jacobian`` and what is made of them.

Inside a traced function they trace their function as a program, transform it and inline the result. Outside they
compile
a function that does so, once for each function that they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.dual import compiled_once, dual, emit_program, is_float, label_of, pure_program
from tracejit.ir.core import Function, Literal, Operand
from tracejit.ir.dims import product
from tracejit.ir.types import ArrayType
from tracejit.trace.array import wrap
from tracejit.trace.base import Tracer
from tracejit.trace.context import active_trace, current_trace
from tracejit.trace.inputs import describe_input, operand_of
from tracejit.trace.nested import Leaf, Nested, as_leaf, call_traced
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.values import broadcast_to, cast, emit, full, iota, reshape, resolve_dims, transpose
from tracejit.transforms import jvp_function, vjp_function, vmap_function
from tracejit.transforms import value_and_grad as grad_program

__all__ = [
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

ArgumentNumbers = int | Sequence[int]


def _traced(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Nested:
    """The function as a program; what it writes into its arguments does not leave it, as derivatives are of values."""
    return call_traced(fun, args, kwargs, effects=False)


# ------------------------------------------------------------------------------------------------------------ grad


def value_and_grad(fun: Callable[..., Any], argnums: ArgumentNumbers = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns ``(fun(*args), gradient)``; what ``fun`` writes into its arguments does not leave it.

    argnums: the position of the argument to differentiate by (its gradient is returned as it is), or several (a tuple).
        Arguments may be pytrees of float arrays or floats; a gradient has the structure, shapes and dtypes of its
        argument.
    has_aux: ``fun`` returns ``(value, extra)``; then ``((value, extra), gradient)`` is returned.
    Raises TypeError when the value is not one real number, or the argument is not floating point.

    Example:
        >>> value, gradient = value_and_grad(lambda x: (x**2).sum())(np.array([1.0, 2.0]))
        >>> value, gradient
        (np.float64(5.0), array([2., 4.]))
    """

    def inside(*args: Any, **kwargs: Any) -> Any:
        nested = _traced(fun, args, kwargs)
        chosen = _chosen_leaves(nested, len(args), argnums, "grad")
        result = _value_position(nested, has_aux)
        program = grad_program(pure_program(nested), [leaf.index for leaf in _flat(chosen)], result)
        values = emit_program(program, nested.operands)
        count = nested.result_count
        output = nested.rebuild(values[:count])
        gradients = _as_arguments(nested, chosen, values[count:], argnums)
        return output, gradients

    return dual(inside, fun, ("value_and_grad", _key(argnums), has_aux), "value_and_grad")


def grad(fun: Callable[..., Any], argnums: ArgumentNumbers = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``fun``, which returns one real number; see :func:`value_and_grad`.

    Example:
        >>> grad(lambda x: x**3)(2.0)
        12.0
    """
    both = value_and_grad(fun, argnums, has_aux)

    def inside(*args: Any, **kwargs: Any) -> Any:
        output, gradients = both(*args, **kwargs)
        return (gradients, output[1]) if has_aux else gradients

    return dual(inside, fun, ("grad", _key(argnums), has_aux), "grad")


def _key(argnums: ArgumentNumbers) -> Any:
    return argnums if isinstance(argnums, int) else tuple(argnums)


Chosen = list[list[Leaf]]  # for each argument number, its leaves


def _flat(chosen: Chosen) -> list[Leaf]:
    return [leaf for argument in chosen for leaf in argument]


def _chosen_leaves(nested: Nested, count: int, argnums: ArgumentNumbers, name: str) -> Chosen:
    """The leaves of the arguments to differentiate by; all must be floating point."""
    children = nested.in_tree.children[0].children
    chosen: Chosen = []
    for number in (argnums,) if isinstance(argnums, int) else argnums:
        if not -count <= number < count:
            raise ValueError(f"{name}: argnums {number} for a call with {count} positional arguments")
        number %= count
        first = sum(child.size for child in children[:number])
        leaves = nested.arguments[first : first + children[number].size]
        for leaf in leaves:
            if not is_float(nested, leaf):
                kind = repr(leaf.value) if leaf.index < 0 else f"of dtype {nested.operands[leaf.index].type.dtype}"
                raise TypeError(f"{name}: derivatives are by floats or complex numbers; argument {number} is {kind}")
        chosen.append(leaves)
    return chosen


def _value_position(nested: Nested, has_aux: bool) -> int:
    """Which result of the program is the value to differentiate."""
    tree = nested.out_tree
    if has_aux and (tree.kind not in ("tuple", "list") or len(tree.children) != 2):
        raise TypeError("grad: with has_aux the function returns a pair (value, extra)")
    value_tree = tree.children[0] if has_aux else tree
    if value_tree.size != 1 or value_tree.kind != "leaf":
        raise TypeError(f"grad: the function must return one number, not {value_tree!r}; use tj.jacobian or tj.vjp")
    position = nested.results[0].index
    if position < 0:
        raise TypeError(f"grad: the function returned {nested.results[0].value!r}, which is no floating point number")
    type = nested.function.results[position].type
    if type.rank:
        raise TypeError(f"grad: the function must return one number, not an array of shape {type.dims}; sum it first")
    if type.dtype.kind not in "fV":
        raise TypeError(f"grad: the function must return a real number, not {type.dtype}")
    return position


def _object(value: Operand, leaf: Leaf) -> Any:
    """A value as the kind of object that a leaf is."""
    return as_leaf(Leaf(leaf.kind, 0, leaf.value), [value])


def _as_arguments(nested: Nested, chosen: Chosen, values: Sequence[Operand], argnums: ArgumentNumbers) -> Any:
    """Gradients in the structure of their arguments."""
    children = nested.in_tree.children[0].children
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    remaining = iter(values)
    made = [
        unflatten(children[number % len(children)], [_object(next(remaining), leaf) for leaf in leaves])
        for number, leaves in zip(numbers, chosen, strict=True)
    ]
    return made[0] if isinstance(argnums, int) else tuple(made)


# ------------------------------------------------------------------------------------------------------- vjp, jvp


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``fun(*primals)`` and its directional derivative along ``tangents``, which look like the primals.

    Example:
        >>> jvp(lambda x: x**2, (3.0,), (1.0,))
        (9.0, 6.0)
    """

    def inside(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        nested = _traced(fun, primals)
        given, tree = flatten(tuple(tangents))
        if tree != nested.in_tree.children[0]:
            raise TypeError(f"jvp: tangents are built like the primals; {tree!r} is not {nested.in_tree.children[0]!r}")
        active = [False] * len(nested.function.params)
        seeds = []
        for leaf, tangent in zip(nested.arguments, given, strict=True):
            if is_float(nested, leaf):
                active[leaf.index] = True
                seeds.append(_like(tangent, nested.operands[leaf.index], "jvp: a tangent"))
        program = jvp_function(pure_program(nested), active)
        values = emit_program(program, [*nested.operands, *seeds])
        return _with_tangents(nested, values)

    if active_trace() is not None:
        return inside(primals, tangents)
    compiled = compiled_once(inside, fun, ("jvp",), label_of("jvp", fun))
    result: tuple[Any, Any] = compiled(tuple(primals), tuple(tangents))
    return result


def _with_tangents(nested: Nested, values: Sequence[Operand]) -> tuple[Any, Any]:
    count = nested.result_count
    moved = iter(values[count:])
    by_position = [next(moved) if r.type.dtype.kind in "fcV" else None for r in nested.function.results[:count]]
    leaves = []
    for leaf in nested.results:
        tangent = None if leaf.index < 0 else by_position[leaf.index]
        leaves.append(None if tangent is None else _object(tangent, leaf))
    return nested.rebuild(values[:count]), unflatten(nested.out_tree, leaves)


def _like(value: Any, operand: Operand, what: str) -> Operand:
    """A value with the dtype and shape of an operand; shapes must agree, dtypes are converted."""
    given = operand_of(value)
    sizes = current_trace().sizes
    dims, wanted = given.type.dims, operand.type.dims
    if len(dims) != len(wanted) or not all(map(sizes.require_equal, dims, wanted)):
        shapes = [tuple(map(sizes.hint, shape)) for shape in (dims, wanted)]
        raise ValueError(f"{what} has shape {shapes[0]} where {shapes[1]} is needed")
    return broadcast_to(cast(given, operand.type.dtype), resolve_dims(wanted))


def vjp(fun: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``fun(*primals)`` and a function from a cotangent (built like the result) to one for each primal, as a tuple.

    Example:
        >>> value, pullback = vjp(lambda x, y: x * y, 3.0, 4.0)
        >>> pullback(1.0)
        (4.0, 3.0)
    """

    def values(*primals: Any) -> Any:
        nested = _traced(fun, primals)
        return nested.rebuild(emit_program(pure_program(nested), nested.operands))

    def inside(primals: Sequence[Any], cotangent: Any) -> Any:
        nested = _traced(fun, primals)
        given, tree = flatten(cotangent)
        if tree != nested.out_tree:
            raise TypeError(f"vjp: a cotangent is built like the result; {tree!r} is not {nested.out_tree!r}")
        wrt = [leaf.index for leaf in nested.arguments if is_float(nested, leaf)]
        program = vjp_function(pure_program(nested), wrt)
        seeds = []
        for value, leaf in zip(given, nested.results, strict=True):
            if leaf.index >= 0 and nested.function.results[leaf.index].type.dtype.kind in "fcV":
                seeds.append(_like(value, nested.function.results[leaf.index], "vjp: a cotangent"))
        found = iter(emit_program(program, [*nested.operands, *seeds])[nested.result_count :])
        leaves = [_object(next(found), leaf) if is_float(nested, leaf) else None for leaf in nested.arguments]
        return unflatten(nested.in_tree.children[0], leaves)

    if active_trace() is not None:
        return values(*primals), lambda cotangent: inside(primals, cotangent)
    kept = tuple(_copies(primal) for primal in primals)
    forward = compiled_once(values, fun, ("values",), label_of("vjp", fun))
    backward = compiled_once(inside, fun, ("vjp",), label_of("vjp", fun))
    return forward(*kept), lambda cotangent: backward(kept, cotangent)


def _copies(value: Any) -> Any:
    """The value, safe from later writes by the caller."""
    leaves, tree = flatten(value)
    return unflatten(tree, [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


def linearize(fun: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """``fun(*primals)`` and the linear function from tangents to the tangent of the result at that point.

    Example:
        >>> value, tangent = linearize(np.sin, 0.0)
        >>> tangent(2.0)
        np.float64(2.0)
    """
    kept = primals if active_trace() is not None else tuple(_copies(primal) for primal in primals)
    value, _ = vjp(fun, *kept)
    return value, lambda *tangents: jvp(fun, kept, tangents)[1]


# ------------------------------------------------------------------------------------------------------- jacobians


def jacrev(fun: Callable[..., Any], argnums: ArgumentNumbers = 0) -> Callable[..., Any]:
    """The Jacobian by reverse mode: for each result and argument an array of shape ``result.shape + argument.shape``.

    Example:
        >>> jacrev(lambda x: x**2)(np.array([1.0, 3.0]))
        array([[2., 0.],
               [0., 6.]])
    """

    def inside(*args: Any, **kwargs: Any) -> Any:
        nested = _traced(fun, args, kwargs)
        chosen = _chosen_leaves(nested, len(args), argnums, "jacobian")
        function = pure_program(nested)
        program = vjp_function(function, [leaf.index for leaf in _flat(chosen)])
        floats = [k for k, r in enumerate(function.results) if r.type.dtype.kind in "fcV"]
        rows: dict[int, list[Operand]] = {k: _rows(nested, program, floats, k) for k in floats}
        return _structured(nested, chosen, argnums, rows)

    return dual(inside, fun, ("jacrev", _key(argnums)), "jacobian")


jacobian = jacrev


def _rows(nested: Nested, program: Function, floats: Sequence[int], chosen: int) -> list[Operand]:
    """The derivatives of one result by every argument: one pull-back for each element of the result, as a batch."""
    results = nested.function.results[: nested.result_count]
    dims = resolve_dims(results[chosen].type.dims)
    size = product(dims)
    seeds = [
        _basis(results[k].type, size)
        if k == chosen
        else full(Literal(0, ArrayType(results[k].type.dtype)), results[k].type.dims)
        for k in floats
    ]
    batched = [False] * len(nested.operands) + [k == chosen for k in floats]
    rows = emit_program(vmap_function(program, batched, size), [*nested.operands, *seeds])[len(results) :]
    return [reshape(row, (*dims, *row.type.dims[1:])) for row in rows]


def _basis(type: ArrayType, size: Any) -> Operand:
    """All unit arrays of a type, along a new first axis."""
    index = [iota(np.dtype(np.int64), (size, size), axis) for axis in (0, 1)]
    return reshape(cast(emit("eq", *index), type.dtype), (size, *resolve_dims(type.dims)))


def _structured(nested: Nested, chosen: Chosen, argnums: ArgumentNumbers, rows: dict[int, list[Operand]]) -> Any:
    leaves = []
    for leaf in nested.results:
        if leaf.index not in rows:
            raise TypeError("jacobian: every result of the function must be floating point")
        leaves.append(_as_jacobian(nested, chosen, rows[leaf.index], argnums))
    return unflatten(nested.out_tree, leaves)


def _as_jacobian(nested: Nested, chosen: Chosen, values: Sequence[Operand], argnums: ArgumentNumbers) -> Any:
    children = nested.in_tree.children[0].children
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    remaining = iter(values)
    made = [
        unflatten(children[number % len(children)], [wrap(next(remaining)) for _ in leaves])
        for number, leaves in zip(numbers, chosen, strict=True)
    ]
    return made[0] if isinstance(argnums, int) else tuple(made)


def jacfwd(fun: Callable[..., Any], argnums: ArgumentNumbers = 0) -> Callable[..., Any]:
    """The Jacobian by forward mode: as :func:`jacrev`, better where arguments are smaller than results.

    Example:
        >>> jacfwd(lambda x: np.array([x, x**2]))(3.0)
        array([1., 6.])
    """

    def inside(*args: Any, **kwargs: Any) -> Any:
        nested = _traced(fun, args, kwargs)
        chosen = _chosen_leaves(nested, len(args), argnums, "jacobian")
        function = pure_program(nested)
        rows: dict[int, list[Operand]] = {}
        for leaf in _flat(chosen):
            for k, column in _columns(nested, function, leaf).items():
                rows.setdefault(k, []).append(column)
        return _structured(nested, chosen, argnums, rows)

    return dual(inside, fun, ("jacfwd", _key(argnums)), "jacobian")


def _columns(nested: Nested, function: Function, leaf: Leaf) -> dict[int, Operand]:
    """The derivatives of every float result by one argument: one push-forward for each of its elements, as a batch."""
    operand = nested.operands[leaf.index]
    dims = resolve_dims(operand.type.dims)
    size = product(dims)
    program = jvp_function(function, [k == leaf.index for k in range(len(function.params))])
    batched = [False] * len(nested.operands) + [True]
    seeds = [*nested.operands, _basis(operand.type, size)]
    values = emit_program(vmap_function(program, batched, size), seeds)[len(function.results) :]
    floats = [k for k, r in enumerate(function.results) if r.type.dtype.kind in "fcV"]
    found = {}
    for k, value in zip(floats, values, strict=True):
        wide = reshape(value, (*dims, *value.type.dims[1:]))
        rank = len(wide.type.dims)
        found[k] = transpose(wide, (*range(len(dims), rank), *range(len(dims))))
    return found


def hessian(fun: Callable[..., Any], argnums: ArgumentNumbers = 0) -> Callable[..., Any]:
    """The matrix of second derivatives of a function that returns one real number.

    Example:
        >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
        array([[4., 2.],
               [2., 0.]])
    """
    second = jacfwd(grad(fun, argnums), argnums)
    return dual(second, fun, ("hessian", _key(argnums)), "hessian")


def hvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of the Hessian with ``tangents``, without forming the Hessian: one entry for each primal.

    A single primal gives its entry itself, several give a tuple.

    Example:
        >>> hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
        array([6., 0.])
    """
    numbers: ArgumentNumbers = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(fun, numbers), primals, tangents)[1]


def stop_gradient(x: Any) -> Any:
    """The same value, through which no derivative flows. Takes pytrees.

    Example:
        >>> grad(lambda x: x * stop_gradient(x))(3.0)
        3.0
    """
    leaves, tree = flatten(x)
    return unflatten(tree, [_stopped(leaf) for leaf in leaves])


def _stopped(leaf: Any) -> Any:
    if not isinstance(leaf, Tracer):
        return leaf
    kind, _ = describe_input(leaf)
    if kind in (bool, int):
        return leaf
    return wrap(emit("stop_gradient", operand_of(leaf)))
