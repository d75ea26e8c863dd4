"""Minimisers, fits and searches."""

import numpy as np

from tests.programs.catalogue import Program


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


def gradient_descent(x, max_iter=20, c=1e-4):
    """Steepest descent with backtracking."""
    evaluations = 0
    for k in range(max_iter):
        g = rosenbrock_gradient(x)
        f = rosenbrock(x)
        step = 1.0
        while rosenbrock(x - step * g) > f - c * step * np.dot(g, g):
            step *= 0.5
            evaluations += 1
            if step < 1e-12:
                break
        x = x - step * g
        if np.linalg.norm(g) < 1e-6:
            return x, k, evaluations
    return x, max_iter, evaluations


def nelder_mead(start, iterations=40):
    n = len(start)
    simplex = np.zeros((n + 1, n), dtype=start.dtype)
    simplex[0] = start
    for i in range(n):
        simplex[i + 1] = start
        simplex[i + 1, i] += 0.5
    values = np.array([rosenbrock(p) for p in simplex])
    for _ in range(iterations):
        order = np.argsort(values)
        simplex = simplex[order]
        values = values[order]
        centroid = simplex[:-1].mean(axis=0)
        reflected = centroid + (centroid - simplex[-1])
        fr = rosenbrock(reflected)
        if fr < values[0]:
            expanded = centroid + 2 * (centroid - simplex[-1])
            fe = rosenbrock(expanded)
            if fe < fr:
                simplex[-1], values[-1] = expanded, fe
            else:
                simplex[-1], values[-1] = reflected, fr
        elif fr < values[-2]:
            simplex[-1], values[-1] = reflected, fr
        else:
            contracted = 0.5 * (centroid + simplex[-1])
            fc = rosenbrock(contracted)
            if fc < values[-1]:
                simplex[-1], values[-1] = contracted, fc
            else:
                simplex[1:] = simplex[0] + 0.5 * (simplex[1:] - simplex[0])
                for i in range(1, n + 1):
                    values[i] = rosenbrock(simplex[i])
    return simplex[np.argmin(values)], values.min()


def simulated_annealing(x, rng, steps, t0=1.0):
    current = rosenbrock(x)
    best_x, best = x.copy(), current
    for k in range(steps):
        temperature = t0 * (1 - k / steps)
        candidate = x + 0.1 * rng.standard_normal(len(x))
        value = rosenbrock(candidate)
        if value < current or rng.random() < np.exp(-(value - current) / temperature):
            x, current = candidate, value
            if value < best:
                best_x, best = x, value
    return best_x, best


def newton_system(x0, tol=1e-10, max_iter=20):
    """Broyden's tridiagonal function."""
    x = x0.copy()
    n = len(x)
    for iteration in range(max_iter):
        f = (3 - 2 * x) * x + 1
        f[1:] -= x[:-1]
        f[:-1] -= 2 * x[1:]
        if np.max(np.abs(f)) < tol:
            break
        jacobian = np.zeros((n, n))
        for i in range(n):
            jacobian[i, i] = 3 - 4 * x[i]
            if i > 0:
                jacobian[i, i - 1] = -1
            if i < n - 1:
                jacobian[i, i + 1] = -2
        x += np.linalg.solve(jacobian, -f)
    return x


def simplex_method(c, a, b):
    """Maximise c x subject to a x <= b, x >= 0; the tableau method."""
    m, n = a.shape
    tableau = np.zeros((m + 1, n + m + 1))
    tableau[:m, :n] = a
    tableau[:m, n : n + m] = np.eye(m)
    tableau[:m, -1] = b
    tableau[-1, :n] = -c
    basis = np.arange(n, n + m)
    pivots = 0
    while np.any(tableau[-1, :-1] < -1e-9):
        col = np.argmin(tableau[-1, :-1])
        best = np.inf
        row = -1
        for i in range(m):
            if tableau[i, col] > 1e-9:
                ratio = tableau[i, -1] / tableau[i, col]
                if ratio < best:
                    best = ratio
                    row = i
        if row < 0:
            raise ValueError("unbounded")
        tableau[row] /= tableau[row, col]
        for i in range(m + 1):
            if i != row:
                tableau[i] -= tableau[i, col] * tableau[row]
        basis[row] = col
        pivots += 1
    x = np.zeros(n + m)
    x[basis] = tableau[:m, -1]
    return x[:n], tableau[-1, -1], pivots


def golden_section(coefficients, low, high, tol=1e-6):
    f = lambda x: coefficients[0] + x * (coefficients[1] + x * coefficients[2])
    ratio = (np.sqrt(5.0) - 1) / 2
    c = high - ratio * (high - low)
    d = low + ratio * (high - low)
    fc, fd = f(c), f(d)
    while abs(high - low) > tol:
        if fc < fd:
            high, d, fd = d, c, fc
            c = high - ratio * (high - low)
            fc = f(c)
        else:
            low, c, fc = c, d, fd
            d = low + ratio * (high - low)
            fd = f(d)
    return 0.5 * (low + high)


def bfgs(x, iterations=12):
    n = len(x)
    h = np.eye(n)
    g = rosenbrock_gradient(x)
    for _ in range(iterations):
        p = -h @ g
        alpha = 1.0
        fx = rosenbrock(x)
        while rosenbrock(x + alpha * p) > fx + 1e-4 * alpha * g.dot(p) and alpha > 1e-10:
            alpha /= 2
        s = alpha * p
        x = x + s
        g_new = rosenbrock_gradient(x)
        y = g_new - g
        g = g_new
        sy = s.dot(y)
        if sy > 1e-12:
            rho = 1.0 / sy
            v = np.eye(n) - rho * np.outer(s, y)
            h = v @ h @ v.T + rho * np.outer(s, s)
    return x


def gauss_newton(t, y, params, iterations=8):
    """Fit a exp(b t) + c."""
    p = np.array(params, dtype=float)
    for _ in range(iterations):
        a, b, c = p
        e = np.exp(b * t)
        residual = y - (a * e + c)
        jac = np.empty((t.size, 3))
        jac[:, 0] = e
        jac[:, 1] = a * t * e
        jac[:, 2] = 1
        p += np.linalg.solve(jac.T @ jac + 1e-6 * np.eye(3), jac.T @ residual)
    return p, np.sqrt(np.mean(residual**2))


def particle_swarm(particles, iterations, seed=3):
    np.random.seed(seed)
    n, d = particles.shape
    velocity = np.zeros((n, d))
    best = particles.copy()
    best_values = np.array([rosenbrock(p) for p in particles])
    leader = best[np.argmin(best_values)].copy()
    for _ in range(iterations):
        r1 = np.random.rand(n, d)
        r2 = np.random.rand(n, d)
        velocity = 0.7 * velocity + 1.5 * r1 * (best - particles) + 1.5 * r2 * (leader - particles)
        particles = particles + velocity
        for i in range(n):
            value = rosenbrock(particles[i])
            if value < best_values[i]:
                best_values[i] = value
                best[i] = particles[i]
        leader = best[np.argmin(best_values)].copy()
    return leader, best_values.min()


def soft_threshold(x, t):
    if x > t:
        return x - t
    elif x < -t:
        return x + t
    return 0.0


def lasso(x, y, penalty, sweeps=10):
    """Coordinate descent."""
    n, d = x.shape
    w = np.zeros(d, dtype=x.dtype)
    residual = y.copy()
    norms = (x**2).sum(axis=0)
    for _ in range(sweeps):
        for j in range(d):
            residual += x[:, j] * w[j]
            w[j] = soft_threshold(x[:, j] @ residual, penalty) / norms[j]
            residual -= x[:, j] * w[j]
    return w


def _point(size, dtype, random):
    return (random.random(size).astype(dtype),)


def _point_and_generator(size, dtype, random):
    return random.random(size).astype(dtype), random, 50


def _negative(size, dtype, random):
    return (-np.ones(size, dtype),)


def _linear_program(size, dtype, random):
    a = random.random((size + 1, size)).astype(dtype)
    return random.random(size).astype(dtype), a, (1 + random.random(size + 1)).astype(dtype)


def _parabola(size, dtype, random):
    return np.array([1.0, -2.0 * random.random(), 1.5], dtype), -1.0 * size, 1.0 * size


def _curve(size, dtype, random):
    t = np.linspace(0, 1, size)
    return t.astype(dtype), (2 * np.exp(-1.3 * t) + 0.5).astype(dtype), [1.5, -1.0, 0.3]


def _swarm(size, dtype, random):
    return random.standard_normal((size, 3)).astype(dtype), 10


def _sparse_regression(size, dtype, random):
    x = random.standard_normal((3 * size, size)).astype(dtype)
    return x, (x[:, 0] + 0.1 * random.standard_normal(3 * size)).astype(dtype), 0.5


SUMS = "sums in another order"

PROGRAMS = (
    Program(gradient_descent, _point, (4, 2, 9), 100, ("float64",), rounding=1e6, because=SUMS),
    Program(nelder_mead, _point, (4, 2, 5), 8, ("float64",), rounding=1e6, because=SUMS),
    Program(simulated_annealing, _point_and_generator, (4, 2, 9), 20, ("float64",), rounding=1e4, because=SUMS),
    Program(newton_system, _negative, (5, 1, 12), 60, ("float64",), rounding=1000, because="solver of another library"),
    Program(simplex_method, _linear_program, (4, 1, 9), 30, ("float64",)),
    Program(golden_section, _parabola, (2, 1, 9), 40, ("float64",), loops=True),
    Program(bfgs, _point, (4, 2, 9), 40, ("float64",), rounding=1e7, because=SUMS),
    Program(gauss_newton, _curve, (9, 4, 40), 2_000, ("float64",), rounding=1e6, because=SUMS),
    Program(particle_swarm, _swarm, (6, 1, 20), 60, ("float64",), rounding=1e4, because=SUMS),
    Program(lasso, _sparse_regression, (5, 1, 12), 40, rounding=1000, because=SUMS),
)
