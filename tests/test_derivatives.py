"""Derivatives and batching as users call them: against finite differences, closed forms, and loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.testing import check_grads

random = np.random.default_rng(0)
VECTOR = random.uniform(0.5, 2.0, 5)
MATRIX = random.normal(size=(4, 5))


def in_place(x: Any, y: Any) -> Any:
    x = x.copy()
    x += MATRIX[:, :].T @ (MATRIX @ y)
    x[1:] *= x[:-1]
    return (x**2).sum()


def written_argument(x: Any, y: Any) -> Any:
    x += 2 * y
    x[0] = x[1] * x[2]
    return (x**2).sum()


def unrolled(x: Any, y: Any) -> Any:
    for k in range(4):
        x = np.tanh(x * y) + k
    return x.mean()


def masked(x: Any, y: Any) -> Any:
    z = np.where(x > 1.0, x * y, y / x)
    z[z > 1.5] = 0.0
    return z.sum()


def softmax_loss(x: Any, y: Any) -> Any:
    z = MATRIX @ x
    p = np.exp(z) / np.exp(z).sum()
    return -np.log(p[1]) + (y**2).sum()


def gathered(x: Any, y: Any) -> Any:
    index = np.array([0, 3, 3, -1])
    return (x[index] * np.sort(y[index]) if False else x[index] * y[index]).sum() + x.max() * y.min()


def shaped(x: Any, y: Any) -> Any:
    table = np.concatenate([x[None], np.flip(y)[None], np.outer(x, y)])
    return np.einsum("ij,j->i", table, x).std() + np.cumsum(y)[2] + np.prod(x)


PROGRAMS = [in_place, unrolled, masked, softmax_loss, gathered, shaped]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_gradients_to_second_order(program: Callable[..., Any]) -> None:
    check_grads(program, (VECTOR, VECTOR[::-1].copy()), order=2)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_transforms_agree_with_each_other(program: Callable[..., Any]) -> None:
    x, y = VECTOR, VECTOR[::-1].copy()
    slope = tj.grad(program)(x, y)
    np.testing.assert_allclose(tj.jacfwd(program)(x, y), slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tj.jit(tj.grad(program))(x, y), slope, rtol=1e-12)
    np.testing.assert_allclose(tj.grad(tj.jit(program))(x, y), slope, rtol=1e-12)
    value, pullback = tj.vjp(program, x, y)
    np.testing.assert_allclose(value, program(x.copy(), y), rtol=1e-12)
    np.testing.assert_allclose(pullback(2.0)[0], 2 * slope, rtol=1e-12)
    _, tangent = tj.jvp(program, (x, y), (np.ones(5), np.zeros(5)))
    np.testing.assert_allclose(tangent, slope.sum(), rtol=1e-9)
    _, along = tj.linearize(program, x, y)
    np.testing.assert_allclose(along(np.ones(5), np.zeros(5)), slope.sum(), rtol=1e-9)
    second = tj.hessian(program)(x, y)
    np.testing.assert_allclose(second, second.T, rtol=1e-8, atol=1e-10)
    product = tj.hvp(lambda x: program(x, y), (x,), (np.ones(5),))
    np.testing.assert_allclose(product, second @ np.ones(5), rtol=1e-8, atol=1e-10)


def test_gradient_of_a_function_that_writes_into_its_argument() -> None:
    """``x += A @ y`` on a parameter: the derivative is right, and the caller's array is not touched."""
    x, y = VECTOR.copy(), VECTOR[::-1].copy()
    slopes = tj.grad(written_argument, (0, 1))(x, y)
    np.testing.assert_array_equal(x, VECTOR)
    check_grads(lambda x, y: written_argument(x.copy(), y), (x, y), order=2)
    z = x + 2 * y
    expected = 2 * z
    expected[0] = 0.0
    expected[1] += 2 * z[1] * z[2] ** 2
    expected[2] += 2 * z[1] ** 2 * z[2]
    np.testing.assert_allclose(slopes[0], expected)
    np.testing.assert_allclose(slopes[1], 2 * expected)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_vmap_is_a_loop(program: Callable[..., Any]) -> None:
    xs = random.uniform(0.5, 2.0, (3, 5))
    y = VECTOR
    expected = [program(x.copy(), y) for x in xs]
    np.testing.assert_allclose(tj.vmap(program, in_axes=(0, None))(xs, y), expected, rtol=1e-12)
    np.testing.assert_allclose(tj.vmap(program, in_axes=(1, None))(xs.T.copy(), y), expected, rtol=1e-12)
    slopes = [tj.grad(program)(x, y) for x in xs]
    np.testing.assert_allclose(tj.vmap(tj.grad(program), in_axes=(0, None))(xs, y), slopes, rtol=1e-9, atol=1e-12)


def test_pytrees_and_several_arguments() -> None:
    def loss(params: Any, scale: float) -> Any:
        return scale * sum((leaf**2).sum() for leaf in (params["w"], params["b"][0]))

    params = {"w": VECTOR, "b": (MATRIX,)}
    value, (slopes, by_scale) = tj.value_and_grad(loss, argnums=(0, 1))(params, 0.5)
    np.testing.assert_allclose(slopes["w"], VECTOR)
    np.testing.assert_allclose(slopes["b"][0], MATRIX)
    np.testing.assert_allclose(by_scale, 2 * value)
    assert isinstance(slopes["b"], tuple)


def test_has_aux_gives_the_extra_value() -> None:
    gradient, extra = tj.grad(lambda x: ((x**2).sum(), x + 1), has_aux=True)(VECTOR)
    np.testing.assert_allclose(gradient, 2 * VECTOR)
    np.testing.assert_array_equal(extra, VECTOR + 1)


def test_jacobians_of_arrays() -> None:
    expected = MATRIX * np.cos(MATRIX @ VECTOR)[:, None]
    for jacobian in (tj.jacrev, tj.jacfwd, tj.jacobian):
        np.testing.assert_allclose(jacobian(lambda x: np.sin(MATRIX @ x))(VECTOR), expected)


def test_stop_gradient_stops() -> None:
    np.testing.assert_allclose(tj.grad(lambda x: (x * tj.stop_gradient(x)).sum())(VECTOR), VECTOR)


def test_derivatives_of_float32_stay_float32() -> None:
    assert tj.grad(lambda x: np.exp(x).sum())(VECTOR.astype(np.float32)).dtype == np.float32


def test_gradients_for_many_sizes_compile_once() -> None:
    gradient = tj.jit(lambda x: tj.grad(lambda x: np.log1p(np.exp(x)).sum())(x))
    for size in range(1, 30):
        x = np.linspace(-3, 3, size)
        np.testing.assert_allclose(gradient(x), 1 / (1 + np.exp(-x)), rtol=1e-12)
    assert gradient.cache_info().traces == 1


def test_stable_forms_have_stable_derivatives() -> None:
    """``log(1 + exp(x))`` overflows at 800; its derivative as written is inf / inf."""
    assert tj.grad(lambda x: np.log(1 + np.exp(x)))(800.0) == 1.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tj.grad(lambda x: x * 2.0)(VECTOR), TypeError, "not an array"),
        (lambda: tj.grad(lambda x: x.sum())(np.arange(3)), TypeError, "derivatives are by floats"),
        (lambda: tj.grad(lambda x: x)(3), TypeError, "derivatives are by floats"),
        (lambda: tj.grad(lambda x: x.sum(), argnums=1)(VECTOR), ValueError, "argnums 1"),
        (lambda: tj.grad(lambda x: (x, x))(2.0), TypeError, "must return one number"),
        (lambda: tj.jvp(np.sin, (VECTOR,), (np.ones(3),)), ValueError, "a tangent has shape"),
        (lambda: tj.vmap(np.sin)(1.0), ValueError, "in_axes"),
        (lambda: tj.vmap(np.add)(np.ones(3), np.ones(4)), ValueError, "different sizes, 3 and 4"),
        (lambda: tj.vmap(np.add, in_axes=(0,))(np.ones(3), np.ones(3)), ValueError, "1 entries for 2 arguments"),
    ],
)
def test_mistakes_are_named(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
