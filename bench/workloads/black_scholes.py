"""Prices of European calls and puts: vector exp, log and erf in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from bench.registry import Function, workload

RATE = 0.03
HALF_ROOT = 0.7071067811865476


@workload("black_scholes", "calls and puts, float64", tolerance=1e-9)
def black_scholes(size: str) -> tuple[Any, ...]:
    """Spot, strike, time to expiry, volatility of 1e6 options."""
    generator = np.random.default_rng(0)
    count = 1_000_000 if size == "large" else 10_000
    ranges = ((50.0, 150.0), (50.0, 150.0), (0.1, 2.0), (0.1, 0.6))
    return tuple(generator.uniform(low, high, count) for low, high in ranges)


def formula(spot, strike, time, sigma, log, exp, sqrt, erf):
    """The formula over the elementary functions of any library."""
    root = sigma * sqrt(time)
    d1 = (log(spot / strike) + (RATE + 0.5 * sigma * sigma) * time) / root
    d2 = d1 - root
    n1 = 0.5 + 0.5 * erf(d1 * HALF_ROOT)
    n2 = 0.5 + 0.5 * erf(d2 * HALF_ROOT)
    discounted = strike * exp(-RATE * time)
    call = spot * n1 - discounted * n2
    return call, call - spot + discounted


@black_scholes.reference
def black_scholes_numpy(spot, strike, time, sigma):
    root = sigma * np.sqrt(time)
    d1 = (np.log(spot / strike) + (RATE + 0.5 * sigma * sigma) * time) / root
    d2 = d1 - root
    n1 = 0.5 + 0.5 * erf(d1 * HALF_ROOT)
    n2 = 0.5 + 0.5 * erf(d2 * HALF_ROOT)
    discounted = strike * np.exp(-RATE * time)
    call = spot * n1 - discounted * n2
    return call, call - spot + discounted


@black_scholes.peer("numba")
def black_scholes_numba() -> Function:
    import math

    import numba

    @numba.njit(parallel=True, fastmath=True)
    def run(spot, strike, time, sigma):
        call, put = np.empty_like(spot), np.empty_like(spot)
        for i in numba.prange(spot.size):
            root = sigma[i] * math.sqrt(time[i])
            d1 = (math.log(spot[i] / strike[i]) + (RATE + 0.5 * sigma[i] * sigma[i]) * time[i]) / root
            n1 = 0.5 + 0.5 * math.erf(d1 * HALF_ROOT)
            n2 = 0.5 + 0.5 * math.erf((d1 - root) * HALF_ROOT)
            discounted = strike[i] * math.exp(-RATE * time[i])
            call[i] = spot[i] * n1 - discounted * n2
            put[i] = call[i] - spot[i] + discounted
        return call, put

    return run


@black_scholes.peer("jax")
def black_scholes_jax() -> Function:
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda *options: formula(*options, jnp.log, jnp.exp, jnp.sqrt, jax.scipy.special.erf))


@black_scholes.peer("torch")
def black_scholes_torch() -> Function:
    import torch

    return torch.compile(lambda *options: formula(*options, torch.log, torch.exp, torch.sqrt, torch.erf))


@black_scholes.peer("pytensor")
def black_scholes_pytensor() -> Function:
    import pytensor
    import pytensor.tensor as pt

    options = [pt.dvector(name) for name in ("spot", "strike", "time", "sigma")]
    return pytensor.function(options, list(formula(*options, pt.log, pt.exp, pt.sqrt, pt.erf)), trust_input=True)


@black_scholes.peer("numexpr")
def black_scholes_numexpr() -> Function:
    """NumExpr has no erf: SciPy's between two expressions."""
    import numexpr

    def run(spot, strike, time, sigma):
        names = {"spot": spot, "strike": strike, "time": time, "sigma": sigma, "rate": RATE, "h": HALF_ROOT}
        d1 = numexpr.evaluate("(log(spot/strike) + (rate + 0.5*sigma*sigma)*time) / (sigma*sqrt(time)) * h", names)
        e2 = erf(numexpr.evaluate("d1 - sigma*sqrt(time)*h", names | {"d1": d1}))
        names |= {"e1": erf(d1), "e2": e2}
        call = numexpr.evaluate("spot*(0.5 + 0.5*e1) - strike*exp(-rate*time)*(0.5 + 0.5*e2)", names)
        return call, numexpr.evaluate("call - spot + strike*exp(-rate*time)", names | {"call": call})

    return run


@black_scholes.peer("drjit")
def black_scholes_drjit() -> Function:
    import drjit

    return lambda *options: formula(*options, drjit.log, drjit.exp, drjit.sqrt, drjit.erf)
