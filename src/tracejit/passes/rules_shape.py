"""Views of views: one operation where several move elements one after another."""

from __future__ import annotations

from typing import Any

import tracejit.ir.ops  # noqa: F401  (declares the primitives)
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.pattern import Rule, attr, rule, rules, var
from tracejit.ir.primitive import PRIMITIVES as P

__all__ = ["SHAPE"]

x = var("x")
dims, axes, perm = attr("dims"), attr("axes"), attr("perm")
inner_dims, inner_axes, inner_perm = attr("inner_dims"), attr("inner_axes"), attr("inner_perm")
starts, sizes, steps = attr("starts"), attr("sizes"), attr("steps")
inner_starts, inner_sizes, inner_steps = attr("inner_starts"), attr("inner_sizes"), attr("inner_steps")

Dims = tuple[DimLike, ...]


def _unreshaped(x: Operand, inner_dims: Dims, dims: Dims, axes: tuple[int, ...]) -> Any:
    """A broadcast of an operand to which only axes of size 1 were added (what ``keepdims=True`` leaves)."""
    own = [axis for axis, dim in zip(axes, inner_dims, strict=True) if dim != 1]
    if x.dims != tuple(dim for dim in inner_dims if dim != 1):
        return None
    return P["broadcast"](x, dims=dims, axes=tuple(own))


def _broadcast_twice(
    x: Operand, inner_dims: Dims, inner_axes: tuple[int, ...], dims: Dims, axes: tuple[int, ...]
) -> Any:
    return P["broadcast"](x, dims=dims, axes=tuple(axes[axis] for axis in inner_axes))


def _slice_twice(x: Operand, inner_starts: Dims, inner_steps: Dims, starts: Dims, sizes: Dims, steps: Dims) -> Any:
    return P["slice"](
        x,
        starts=tuple(s + t * d for s, t, d in zip(inner_starts, starts, inner_steps, strict=True)),
        sizes=sizes,
        steps=tuple(a * b for a, b in zip(inner_steps, steps, strict=True)),
    )


def _whole_slice(x: Operand, starts: Dims, sizes: Dims, steps: Dims) -> Any:
    whole = all(s == 0 for s in starts) and all(s == 1 for s in steps) and sizes == x.dims
    return x if whole else None


def _extreme_of_one(x: Operand, axes: tuple[int, ...]) -> Any:
    """Taking the extreme over axes of size 1 only removes them (a sum would make 0.0 of -0.0)."""
    if any(x.dims[axis] != 1 for axis in axes):
        return None
    return P["reshape"](x, dims=tuple(dim for axis, dim in enumerate(x.dims) if axis not in axes))


UNARY = "exp expm1 log log1p log2 log10 sqrt tanh sin cos sigmoid softplus neg abs reciprocal isfinite isnan".split()


def _before_broadcast(name: str) -> Rule:
    """Compute on the few elements, then repeat them."""
    return rule(
        f"{name}_of_broadcast",
        P[name](P["broadcast"](x, dims=dims, axes=axes)),
        lambda x, dims, axes: P["broadcast"](P[name](x), dims=dims, axes=axes),
    )


SHAPE = rules(
    *(_before_broadcast(name) for name in UNARY if name in P),
    rule("reshape_to_own", P["reshape"](x, dims=dims), lambda x, dims: x if x.dims == dims else None),
    rule(
        "reshape_twice",
        P["reshape"](P["reshape"](x, dims=inner_dims), dims=dims),
        lambda x, dims: P["reshape"](x, dims=dims),
    ),
    rule("broadcast_to_own", P["broadcast"](x, dims=dims, axes=axes), lambda x, dims: x if x.dims == dims else None),
    rule(
        "broadcast_twice",
        P["broadcast"](P["broadcast"](x, dims=inner_dims, axes=inner_axes), dims=dims, axes=axes),
        _broadcast_twice,
    ),
    rule(
        "broadcast_of_kept_dims",
        P["broadcast"](P["reshape"](x, dims=inner_dims), dims=dims, axes=axes),
        _unreshaped,
    ),
    rule(
        "transpose_twice",
        P["transpose"](P["transpose"](x, perm=inner_perm), perm=perm),
        lambda x, inner_perm, perm: P["transpose"](x, perm=tuple(inner_perm[axis] for axis in perm)),
    ),
    rule(
        "transpose_to_own",
        P["transpose"](x, perm=perm),
        lambda x, perm: x if perm == tuple(range(len(perm))) else None,
    ),
    rule("slice_of_all", P["slice"](x, starts=starts, sizes=sizes, steps=steps), _whole_slice),
    rule(
        "slice_twice",
        P["slice"](
            P["slice"](x, starts=inner_starts, sizes=inner_sizes, steps=inner_steps),
            starts=starts,
            sizes=sizes,
            steps=steps,
        ),
        _slice_twice,
    ),
    rule("maximum_of_size_one", P["reduce_max"](x, axes=axes), _extreme_of_one),
    rule("minimum_of_size_one", P["reduce_min"](x, axes=axes), _extreme_of_one),
)
