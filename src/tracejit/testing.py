"""Checks for users' own tests: derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.differentiation import jvp, vjp
from tracejit.trace.pytree import flatten, unflatten

__all__ = ["check_grads"]


def check_grads(
    fun: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    seed: int = 0,
) -> None:
    """Compare the derivatives of a function with finite differences along one random direction, up to an order.

    args: pytrees of float64 arrays or floats. eps: the step of the central difference; the tolerances are relative and
    absolute, multiplied by 100 for each further order.
    Raises AssertionError where they differ, naming mode and order; ValueError for unknown modes.

    Example:
        >>> check_grads(lambda x: np.sin(x).sum(), (np.array([0.3, 2.0]),), order=2)
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', not {sorted(unknown)}")
    random = np.random.default_rng(seed)
    args = tuple(args)
    direction = _random_like(args, random)
    numeric = _difference(fun, args, direction, eps)
    if "fwd" in modes:
        _, tangent = jvp(fun, args, direction)
        _compare(tangent, numeric, rtol, atol, f"forward mode, {order} more order(s) to go")
    if "rev" in modes:
        value, pullback = vjp(fun, *args)
        cotangent = _random_like(value, random)
        left, right = _inner(pullback(cotangent), direction), _inner(cotangent, numeric)
        _compare(left, right, rtol, atol, f"reverse mode, {order} more order(s) to go")
    if order > 1:
        further = {"order": order - 1, "modes": modes, "rtol": 100 * rtol, "atol": 100 * atol, "seed": seed + 1}
        if "fwd" in modes:
            check_grads(lambda *primals: jvp(fun, primals, direction)[1], args, eps=10 * eps, **further)  # type: ignore[arg-type]
        if "rev" in modes:
            check_grads(lambda *primals: vjp(fun, *primals)[1](cotangent), args, eps=10 * eps, **further)  # type: ignore[arg-type]


def _random_like(value: Any, random: np.random.Generator) -> Any:
    leaves, tree = flatten(value)
    return unflatten(tree, [_random_leaf(leaf, random) for leaf in leaves])


def _random_leaf(leaf: Any, random: np.random.Generator) -> Any:
    array = np.asarray(leaf)
    if array.dtype.kind not in "fc":
        return leaf
    made = random.normal(size=array.shape).astype(array.dtype)
    if array.dtype.kind == "c":
        made = made + 1j * random.normal(size=array.shape).astype(array.dtype)
    return made if isinstance(leaf, np.ndarray) else made.item()


def _difference(fun: Callable[..., Any], args: Any, direction: Any, eps: float) -> Any:
    """The central difference along a direction, in the structure of the result."""
    moved = [fun(*_axpy(step, direction, args)) for step in (eps, -eps)]
    plus, tree = flatten(moved[0])
    minus, _ = flatten(moved[1])
    return unflatten(tree, [(np.asarray(p) - np.asarray(m)) / (2 * eps) for p, m in zip(plus, minus, strict=True)])


def _axpy(step: float, direction: Any, args: Any) -> Any:
    leaves, tree = flatten(args)
    moves, _ = flatten(direction)
    return unflatten(
        tree,
        [
            leaf + step * move if np.asarray(leaf).dtype.kind in "fc" else leaf
            for leaf, move in zip(leaves, moves, strict=True)
        ],
    )


def _inner(a: Any, b: Any) -> Any:
    """The real part of the bilinear product, which is what reverse mode keeps of real and complex numbers alike."""
    total = 0.0
    for x, y in zip(flatten(a)[0], flatten(b)[0], strict=True):
        if np.asarray(x).dtype.kind in "fc":
            total = total + np.real(np.sum(np.asarray(x) * np.asarray(y)))
    return total


def _compare(got: Any, wanted: Any, rtol: float, atol: float, what: str) -> None:
    for x, y in zip(flatten(got)[0], flatten(wanted)[0], strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol, err_msg=what)
