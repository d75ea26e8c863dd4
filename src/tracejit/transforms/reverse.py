"""Reverse differentiation: the linear equations of the forward walk, transposed in one backward walk.

Values and gradients are one function, so that whatever the gradients need again is simply used again. Complex numbers
follow the convention without conjugation: the gradient of a real function of z = x + iy is df/dx - i df/dy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value
from tracejit.ir.ops.common import Tangent, op, zeros
from tracejit.ir.primitive import Unknown
from tracejit.transforms.common import differentiable, finished, tangent_values
from tracejit.transforms.jvp import Push
from tracejit.transforms.ranges import Ranges

__all__ = ["Pull", "drop_linear", "linear_equations", "value_and_grad", "vjp_function"]


def linear_equations(eqns: Sequence[Eqn], seeds: Sequence[Operand]) -> list[Eqn]:
    """The equations that depend on any of the seeds."""
    linear: set[Operand] = set(seeds)
    found = []
    for eqn in eqns:
        if not linear.isdisjoint(eqn.operands):
            linear.update(eqn.results)
            found.append(eqn)
    return found


def drop_linear(builder: Builder, seeds: Sequence[Operand | None]) -> None:
    """Drop equations that depend on seeds. A loop of tangents computes values again, which may fail or call Python."""
    linear = set(linear_equations(builder.eqns, [s for s in seeds if s is not None]))
    builder.eqns = [eqn for eqn in builder.eqns if eqn not in linear]


class Pull:
    """The backward walk: cotangents of results become cotangents of the values that they were computed from.

    linear: the values whose cotangents are wanted, and everything that depends on them.
    known: what stands for other values where the cotangents are emitted.
    """

    def __init__(self, builder: Builder, eqns: Sequence[Eqn], seeds: Sequence[Operand]) -> None:
        self.builder = builder
        self.eqns = linear_equations(eqns, seeds)
        self.linear: set[Operand] = set(seeds)
        for eqn in self.eqns:
            self.linear.update(eqn.results)
        self.cotangents: dict[Operand, Operand] = {}

    def add(self, value: Operand, cotangent: Tangent) -> None:
        """Add to the cotangent of a value, if it is one that has one."""
        if cotangent is None or value not in self.linear:
            return
        earlier = self.cotangents.get(value)
        self.cotangents[value] = cotangent if earlier is None else self._sum(earlier, cotangent)

    def run(self, known: Mapping[Operand, Operand]) -> None:
        """Walk the linear equations backwards."""
        linear, cotangents = self.linear, self.cotangents
        for eqn in reversed(self.eqns):
            if cotangents.keys().isdisjoint(eqn.results):
                continue
            incoming = [cotangents.pop(r, None) for r in eqn.results]
            self.builder.loc = eqn.loc
            operands = [Unknown(o.type) if o in linear else known.get(o, o) for o in eqn.operands]
            rule = TRANSPOSES.get(eqn.op.name) or eqn.op.transpose
            if rule is None:
                raise UnsupportedError(f"{eqn.op.name} cannot be differentiated in reverse; use jvp")
            for operand, cotangent in zip(eqn.operands, rule(eqn, incoming, operands), strict=True):
                if cotangent is not None:
                    self.add(operand, cotangent)

    def _sum(self, earlier: Operand, new: Operand) -> Operand:
        """The sum of two cotangents; a new one that is zero but for a part is added to that part only.

        Otherwise each read of one element of an array in a loop would cost as much as the whole array.
        """
        last = self.builder.eqns[-1]
        if last.op.name in ("scatter_add", "update_slice") and last.results[0] is new:
            rest, part, *indices = last.operands
            if rest == zeros(new.type):
                result: Operand
                if last.op.name == "scatter_add":
                    result = last.op(earlier, part, *indices, **last.attrs)
                else:
                    sizes = part.type.dims
                    there = op("slice", earlier, starts=last.attrs["starts"], sizes=sizes, steps=last.attrs["steps"])
                    result = last.op(earlier, op("add", there, part), **last.attrs)
                return result
        total: Operand = op("add", earlier, new)
        return total


TRANSPOSES: dict[str, Callable[..., list[Tangent]]] = {}
"""Rules of operations with regions."""


def _differentiated(function: Function, wrt: Sequence[int]) -> tuple[Builder, Push, list[Value | None]]:
    """A builder with the params, and the known and linear equations emitted."""
    builder = Builder()
    with builder:
        push = Push(builder, split=True, ranges=Ranges(frozenset(function.sizes)))
        params = [builder.param(p.type, p.loc) for p in function.params]
        seeds = tangent_values(params, [k in wrt for k in range(len(params))])
        push.bind(function.params, params, seeds)
        push.run(function.eqns)
    return builder, push, seeds


def _check_wrt(function: Function, wrt: Sequence[int]) -> None:
    for k in wrt:
        if not differentiable(function.params[k].type):
            raise TypeError(f"gradients are of floats or complex numbers; argument {k} is {function.params[k].type}")


def vjp_function(function: Function, wrt: Sequence[int]) -> Function:
    """Values and vector-Jacobian products: (params, cotangents of the float results) to (results, gradients).

    There is one gradient for each param of ``wrt``, in that order and of that param's type.

    Example:
        >>> from tracejit.ir.types import scalar
        >>> with Builder() as b:
        ...     x, y = b.param(scalar("f64")), b.param(scalar("f64"))
        ...     product = b.finish([x * y], name="product")
        >>> [len(vjp_function(product, (0, 1)).params), len(vjp_function(product, (0, 1)).results)]
        [3, 3]
    """
    _check_wrt(function, wrt)
    builder, push, seeds = _differentiated(function, wrt)
    with builder:
        results, tangents = push.outcome(function.results)
        cotangents = [builder.param(r.type) if differentiable(r.type) else None for r in function.results]
        gradients = _pull_back(builder, tangents, cotangents, seeds)
        return finished(builder, [*results, *[gradients[k] for k in wrt]], function, "vjp")


def value_and_grad(function: Function, wrt: Sequence[int], result: int = 0) -> Function:
    """Values and gradients of one scalar result: params to (all results, a gradient for each param of ``wrt``).

    Example:
        >>> from tracejit.ir.types import scalar
        >>> with Builder() as b:
        ...     x = b.param(scalar("f64"))
        ...     cube = b.finish([x * x * x], name="cube")
        >>> len(value_and_grad(cube, (0,)).results)
        2
    """
    _check_wrt(function, wrt)
    type = function.results[result].type
    if type.rank or type.dtype.kind not in "fV":
        raise TypeError(f"gradients are of one real number, but the result is {type}")
    builder, push, seeds = _differentiated(function, wrt)
    with builder:
        results, tangents = push.outcome(function.results)
        cotangents: list[Tangent] = [None] * len(results)
        cotangents[result] = Literal(1, type)
        gradients = _pull_back(builder, tangents, cotangents, seeds)
        return finished(builder, [*results, *[gradients[k] for k in wrt]], function, "grad")


def _pull_back(
    builder: Builder, tangents: Sequence[Tangent], cotangents: Sequence[Tangent], seeds: Sequence[Value | None]
) -> list[Operand]:
    """The cotangents of the seeds, with zeros where nothing depends on them."""
    pull = Pull(builder, tuple(builder.eqns), [s for s in seeds if s is not None])
    for tangent, cotangent in zip(tangents, cotangents, strict=True):
        if tangent is not None:
            pull.add(tangent, cotangent)
    pull.run({})
    drop_linear(builder, seeds)
    gradients: list[Operand] = []
    for seed in seeds:
        if seed is None:
            gradients.append(Literal(0))
            continue
        gradient = pull.cotangents.get(seed)
        gradients.append(zeros(seed.type) if gradient is None else gradient)
    return gradients
