"""Prices, risks and indicators."""

import math

import numpy as np

from tests.programs.catalogue import Program


def normal_cdf(x):
    """Abramowitz and Stegun's polynomial."""
    a1, a2, a3, a4, a5 = 0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429
    l = np.abs(x)
    k = 1.0 / (1.0 + 0.2316419 * l)
    w = 1.0 - 1.0 / np.sqrt(2 * np.pi) * np.exp(-l * l / 2.0) * (
        a1 * k + a2 * k * k + a3 * k**3 + a4 * k**4 + a5 * k**5
    )
    return np.where(x < 0, 1.0 - w, w)


def black_scholes_prices(spot, strike, maturity, rate=0.02, volatility=0.3):
    sqrt_t = np.sqrt(maturity)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * maturity) / (volatility * sqrt_t)
    d2 = d1 - volatility * sqrt_t
    discount = strike * np.exp(-rate * maturity)
    call = spot * normal_cdf(d1) - discount * normal_cdf(d2)
    put = discount * normal_cdf(-d2) - spot * normal_cdf(-d1)
    return call, put


def american_put(spot, strike, rate, sigma, maturity, n):
    """Binomial tree, backwards in time."""
    dt = maturity / n
    u = np.exp(sigma * np.sqrt(dt))
    d = 1.0 / u
    p = (np.exp(rate * dt) - d) / (u - d)
    disc = np.exp(-rate * dt)
    values = np.zeros(n + 1)
    for i in range(n + 1):
        values[i] = max(strike - spot * u**i * d ** (n - i), 0.0)
    for step in range(n - 1, -1, -1):
        for i in range(step + 1):
            hold = disc * (p * values[i + 1] + (1 - p) * values[i])
            exercise = strike - spot * u**i * d ** (step - i)
            values[i] = max(hold, exercise)
    return values[0]


def binomial_slices(s, k, r, sigma, t, n):
    dt = t / n
    u = math.exp(sigma * math.sqrt(dt))
    p = (math.exp(r * dt) - 1 / u) / (u - 1 / u)
    prices = s * u ** (2 * np.arange(n + 1) - n)
    option = np.maximum(prices - k, 0)
    for step in range(n):
        option = math.exp(-r * dt) * (p * option[1:] + (1 - p) * option[:-1])
    return option[0]


def asian_option(normals, spot=100.0, strike=100.0, rate=0.05, sigma=0.2, maturity=1.0):
    paths, steps = normals.shape
    dt = maturity / steps
    payoff = np.zeros(paths)
    for i in range(paths):
        price = spot
        total = 0.0
        for j in range(steps):
            price *= np.exp((rate - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * normals[i, j])
            total += price
        payoff[i] = max(total / steps - strike, 0)
    return np.exp(-rate * maturity) * payoff.mean(), payoff.std() / np.sqrt(paths)


def garch_likelihood(returns, omega, alpha, beta):
    n = len(returns)
    sigma2 = np.empty(n)
    sigma2[0] = np.var(returns)
    for t in range(1, n):
        sigma2[t] = omega + alpha * returns[t - 1] ** 2 + beta * sigma2[t - 1]
    log_likelihood = -0.5 * np.sum(np.log(2 * np.pi) + np.log(sigma2) + returns**2 / sigma2)
    return log_likelihood, sigma2


def max_drawdown(prices):
    peak = prices[0]
    worst = 0.0
    start = end = peak_day = 0
    for day, price in enumerate(prices):
        if price > peak:
            peak = price
            peak_day = day
        drawdown = (peak - price) / peak
        if drawdown > worst:
            worst = drawdown
            start, end = peak_day, day
    return worst, start, end


def efficient_frontier(mean, cov, targets):
    n = len(mean)
    system = np.zeros((n + 2, n + 2))
    system[:n, :n] = 2 * cov
    system[:n, n] = system[n, :n] = mean
    system[:n, n + 1] = system[n + 1, :n] = 1.0
    risks = np.empty(len(targets))
    weights = np.empty((len(targets), n))
    for i, target in enumerate(targets):
        rhs = np.zeros(n + 2)
        rhs[n] = target
        rhs[n + 1] = 1.0
        weights[i] = np.linalg.solve(system, rhs)[:n]
        risks[i] = np.sqrt(weights[i] @ cov @ weights[i])
    return risks, weights


def vasicek_paths(r0, a, b, sigma, dt, shocks):
    n_steps, n_paths = shocks.shape
    rates = np.zeros((n_steps + 1, n_paths))
    rates[0] = r0
    for t in range(n_steps):
        rates[t + 1] = rates[t] + a * (b - rates[t]) * dt + sigma * np.sqrt(dt) * shocks[t]
    bonds = np.exp(-dt * rates[:-1].sum(axis=0))
    return rates, bonds.mean()


def implied_volatility(prices, spot, strikes, maturity, rate=0.01):
    """Newton's method for all quotes at once; NaN where it did not arrive."""
    sigma = np.full(prices.shape, 0.3)
    active = np.ones(prices.shape, dtype=bool)
    for _ in range(20):
        if not active.any():
            break
        root = sigma * np.sqrt(maturity)
        d1 = (np.log(spot / strikes) + (rate + sigma**2 / 2) * maturity) / root
        price = spot * normal_cdf(d1) - strikes * np.exp(-rate * maturity) * normal_cdf(d1 - root)
        vega = spot * np.sqrt(maturity) * np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi)
        diff = price - prices
        active = np.abs(diff) > 1e-6
        sigma[active] -= (diff / vega)[active]
        sigma = np.clip(sigma, 0.01, 3.0)
    sigma[active] = np.nan
    return sigma


def relative_strength(prices, window=14):
    deltas = np.diff(prices)
    up = deltas[:window][deltas[:window] > 0].sum() / window
    down = -deltas[:window][deltas[:window] < 0].sum() / window
    rsi = np.zeros_like(prices)
    rsi[:window] = 50.0
    for i in range(window, len(prices)):
        delta = deltas[i - 1]
        if delta > 0:
            gain, loss = delta, 0.0
        else:
            gain, loss = 0.0, -delta
        up = (up * (window - 1) + gain) / window
        down = (down * (window - 1) + loss) / window
        rsi[i] = 100.0 - 100.0 / (1.0 + up / down)
    return rsi


def bond_yield(price, cashflows, times, tol=1e-8):
    low, high = -0.5, 1.0
    while high - low > tol:
        y = 0.5 * (low + high)
        value = 0.0
        for c, t in zip(cashflows, times):
            value += c / (1 + y) ** t
        if value > price:
            low = y
        else:
            high = y
    return 0.5 * (low + high)


def loan_schedule(principal, annual_rate, months):
    rate = annual_rate / 12
    payment = principal * rate / (1 - (1 + rate) ** -months)
    interest = np.zeros(months)
    balance = np.zeros(months)
    remaining = principal
    for m in range(months):
        interest[m] = remaining * rate
        remaining -= payment - interest[m]
        balance[m] = remaining
    return payment, interest, balance


def _quotes(size, dtype, random):
    spot, maturity = random.random((2, size))
    return (80 + 40 * spot).astype(dtype), np.full(size, 100.0, dtype), (0.1 + maturity).astype(dtype)


def _tree(size, dtype, random):
    return 100.0, 105.0, 0.05, 0.25, 1.0, size


def _normals(size, dtype, random):
    return (random.standard_normal((size, 12)).astype(dtype),)


def _returns(size, dtype, random):
    return (0.01 * random.standard_normal(size)).astype(dtype), 1e-6, 0.08, 0.9


def _walk(size, dtype, random):
    return ((100 * np.exp(np.cumsum(0.02 * random.standard_normal(size)))).astype(dtype),)


def _assets(size, dtype, random):
    a = random.standard_normal((size, 2 * size))
    return random.random(size).astype(dtype), (a @ a.T / size).astype(dtype), np.linspace(0.2, 0.8, 7)


def _rates(size, dtype, random):
    return 0.03, 0.5, 0.04, 0.01, 1.0 / 12, random.standard_normal((24, size)).astype(dtype)


def _smile(size, dtype, random):
    strikes = np.linspace(90, 110, size)
    return (11 - 0.4 * (strikes - 95) + random.random(size)).clip(2).astype(dtype), 100.0, strikes.astype(dtype), 0.5


def _bond(size, dtype, random):
    flows = np.full(size, 5.0, dtype)
    flows[-1] += 100
    return 95.0, flows, np.arange(1, size + 1)


def _loan(size, dtype, random):
    return 250_000.0, 0.045, 12 * size


EXP = "exp, log and powers"

JOINED = "the number before the first turn stays where no turn replaces it"

PROGRAMS = (
    Program(black_scholes_prices, _quotes, (9, 1, 0, 40), 20_000, rounding=100, because="differences of larger prices"),
    Program(american_put, _tree, (6, 1, 17), 100, ("float64",), rounding=100, because=EXP, loops=True),
    Program(binomial_slices, _tree, (6, 1, 17), 500, ("float64",), rounding=100, because=EXP),
    Program(asian_option, _normals, (9, 1, 40), 1_000, rounding=100, because=EXP, loops=True),
    Program(garch_likelihood, _returns, (9, 2, 40), 5_000, rounding=100, because=EXP),
    Program(max_drawdown, _walk, (9, 1, 40), 10_000, loops=True, joined=JOINED),
    Program(efficient_frontier, _assets, (4, 2, 9), 40, rounding=1000, because="solver of another library"),
    Program(vasicek_paths, _rates, (9, 1, 40), 3_000, rounding=20, because=EXP),
    Program(implied_volatility, _smile, (9, 2, 40), 3_000, ("float64",), rounding=1000, because=EXP),
    Program(relative_strength, _walk, (30, 15, 80), 5_000, rounding=20, because="sums in another order", loops=True),
    Program(bond_yield, _bond, (5, 1, 12), 40, rounding=20, because="powers", loops=True),
    Program(loan_schedule, _loan, (2, 1, 10), 30, ("float64",), rounding=20, because="powers", loops=True),
)
