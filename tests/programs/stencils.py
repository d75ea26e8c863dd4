"""Finite differences on grids: sweeps, time steps, boundary conditions."""

import numpy as np

from tests.programs.catalogue import Program


def jacobi_1d(steps, a, b):
    for t in range(1, steps):
        b[1:-1] = 0.33333 * (a[:-2] + a[1:-1] + a[2:])
        a[1:-1] = 0.33333 * (b[:-2] + b[1:-1] + b[2:])


def jacobi_2d(grid, tol, max_iter=1000):
    """Five-point Jacobi iteration until the largest change is below tol."""
    new = grid.copy()
    for iteration in range(max_iter):
        new[1:-1, 1:-1] = 0.25 * (grid[1:-1, 2:] + grid[1:-1, :-2] + grid[2:, 1:-1] + grid[:-2, 1:-1])
        delta = np.abs(new - grid).max()
        grid, new = new, grid
        if delta < tol:
            break
    return grid, iteration


def heat_3d(steps, a, b):
    for t in range(steps):
        b[1:-1, 1:-1, 1:-1] = (
            0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[:-2, 1:-1, 1:-1])
            + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, :-2, 1:-1])
            + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * a[1:-1, 1:-1, 1:-1] + a[1:-1, 1:-1, :-2])
            + a[1:-1, 1:-1, 1:-1]
        )
        a[:] = b


def gauss_seidel(steps, u):
    n, m = u.shape
    for t in range(steps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] = (
                    u[i - 1, j - 1] + u[i - 1, j] + u[i - 1, j + 1]
                    + u[i, j - 1] + u[i, j] + u[i, j + 1]
                    + u[i + 1, j - 1] + u[i + 1, j] + u[i + 1, j + 1]
                ) / 9.0  # fmt: skip


def red_black_sor(phi, source, h, omega=1.5, tol=1e-3):
    """Successive over-relaxation of a Poisson problem, the red points first."""
    n = phi.shape[0]
    error = 2 * tol
    sweeps = 0
    while error > tol and sweeps < 200:
        error = 0.0
        for colour in range(2):
            for i in range(1, n - 1):
                for j in range(1 + (i + colour) % 2, n - 1, 2):
                    residual = (
                        phi[i + 1, j] + phi[i - 1, j] + phi[i, j + 1] + phi[i, j - 1] - 4 * phi[i, j]
                    ) - h * h * source[i, j]
                    phi[i, j] += omega * residual / 4
                    error = max(error, abs(residual))
        sweeps += 1
    return sweeps


def fdtd_2d(steps, ex, ey, hz, pulse):
    """Maxwell's equations on a staggered grid."""
    for t in range(steps):
        ey[0, :] = pulse[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


def wave_equation(u0, c, dx, dt, steps):
    """Leapfrog for a string with fixed ends."""
    n = len(u0)
    r2 = (c * dt / dx) ** 2
    u_prev = np.zeros_like(u0)
    u = np.zeros_like(u0)
    u_next = np.zeros_like(u0)
    u_prev[:] = u0
    for i in range(1, n - 1):
        u[i] = u_prev[i] + 0.5 * r2 * (u_prev[i + 1] - 2 * u_prev[i] + u_prev[i - 1])
    for step in range(steps):
        u_next[1:-1] = 2 * u[1:-1] - u_prev[1:-1] + r2 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u_next[0] = 0
        u_next[-1] = 0
        u_prev, u, u_next = u, u_next, u_prev
    return u


def advect_upwind(q, velocity, dx, dt, steps):
    for _ in range(steps):
        left = np.roll(q, 1)
        right = np.roll(q, -1)
        flux = np.where(velocity > 0, velocity * (q - left), velocity * (right - q))
        q = q - dt / dx * flux
    return q


def laplacian(z):
    return np.roll(z, 1, axis=0) + np.roll(z, -1, axis=0) + np.roll(z, 1, axis=1) + np.roll(z, -1, axis=1) - 4 * z


def gray_scott(u, v, steps, du=0.16, dv=0.08, feed=0.035, kill=0.065):
    for _ in range(steps):
        uvv = u * v * v
        u += du * laplacian(u) - uvv + feed * (1 - u)
        v += dv * laplacian(v) + uvv - (feed + kill) * v
    return u, v


def adi_step(u, a, b):
    """One alternating-direction step: a tridiagonal solve along the columns, then one along the rows."""
    n = u.shape[0]
    v = np.zeros_like(u)
    p = np.zeros_like(u)
    q = np.zeros_like(u)
    for i in range(1, n - 1):
        v[0, i] = 1.0
        p[i, 0] = 0.0
        q[i, 0] = v[0, i]
        for j in range(1, n - 1):
            p[i, j] = -a / (b * p[i, j - 1] + a)
            q[i, j] = (-a * u[j, i - 1] + (1.0 + 2.0 * a) * u[j, i] - b * u[j, i + 1] - b * q[i, j - 1]) / (
                b * p[i, j - 1] + a
            )
        v[n - 1, i] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, i] = p[i, j] * v[j + 1, i] + q[i, j]
    u[1:-1, 1:-1] = v[1:-1, 1:-1]


def build_source(b, rho, dt, u, v, dx, dy):
    b[1:-1, 1:-1] = rho * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, :-2]) / (2 * dx) + (v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, :-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, :-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * dy)) ** 2
    )


def pressure_poisson(p, dx, dy, b, sweeps):
    pn = np.empty_like(p)
    for _ in range(sweeps):
        pn[:] = p
        p[1:-1, 1:-1] = ((pn[1:-1, 2:] + pn[1:-1, :-2]) * dy**2 + (pn[2:, 1:-1] + pn[:-2, 1:-1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


def cavity_flow(steps, sweeps, u, v, p, dt, rho, nu):
    """Lid-driven cavity: velocities and pressure are updated in place."""
    ny, nx = u.shape
    dx = 2.0 / (nx - 1)
    dy = 2.0 / (ny - 1)
    b = np.zeros((ny, nx), dtype=u.dtype)
    for n in range(steps):
        un = u.copy()
        vn = v.copy()
        build_source(b, rho, dt, u, v, dx, dy)
        pressure_poisson(p, dx, dy, b, sweeps)
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, :-2])
            - vn[1:-1, 1:-1] * dt / dy * (un[1:-1, 1:-1] - un[:-2, 1:-1])
            - dt / (2 * rho * dx) * (p[1:-1, 2:] - p[1:-1, :-2])
            + nu * (dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, :-2]))
            + nu * (dt / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[:-2, 1:-1]))
        )
        v[1:-1, 1:-1] = vn[1:-1, 1:-1] - dt / (2 * rho * dy) * (p[2:, 1:-1] - p[:-2, 1:-1])
        u[0, :] = 0
        u[:, 0] = 0
        u[:, -1] = 0
        u[-1, :] = 1  # the lid
        v[0, :] = v[-1, :] = 0
        v[:, 0] = v[:, -1] = 0


def vertical_advection(w, q, dt):
    """Implicit vertical advection, column solver over levels with whole planes."""
    ni, nj, nk = q.shape
    c = np.empty((ni, nj, nk), dtype=q.dtype)
    d = np.empty((ni, nj, nk), dtype=q.dtype)
    for k in range(nk):
        if k == 0:
            up = 0.25 * w[:, :, k + 1]
            c[:, :, k] = up / (1.0 / dt + up)
            d[:, :, k] = q[:, :, k] / dt / (1.0 / dt + up)
        elif k < nk - 1:
            down = -0.25 * w[:, :, k]
            up = 0.25 * w[:, :, k + 1]
            divided = 1.0 / (1.0 / dt + up + down - c[:, :, k - 1] * down)
            c[:, :, k] = up * divided
            d[:, :, k] = (q[:, :, k] / dt - d[:, :, k - 1] * down) * divided
        else:
            down = -0.25 * w[:, :, k]
            d[:, :, k] = (q[:, :, k] / dt - d[:, :, k - 1] * down) / (1.0 / dt + down - c[:, :, k - 1] * down)
    out = np.empty_like(q)
    out[:, :, -1] = d[:, :, -1]
    for k in range(nk - 2, -1, -1):
        out[:, :, k] = d[:, :, k] - c[:, :, k] * out[:, :, k + 1]
    return out


def _line(size, dtype, random):
    return 4 + size % 3, random.random(size).astype(dtype), random.random(size).astype(dtype)


def _hot_edge(size, dtype, random):
    grid = np.zeros((size, size), dtype)
    grid[0, :] = 1.0
    grid[:, -1] = random.random(size)
    return grid, 1e-3, 60


def _blocks(size, dtype, random):
    shape = (size, size + 1, size + 2)
    return 3, random.random(shape).astype(dtype), random.random(shape).astype(dtype)


def _plate(size, dtype, random):
    return 3, random.random((size, size + 1)).astype(dtype)


def _charges(size, dtype, random):
    return np.zeros((size, size), dtype), random.standard_normal((size, size)).astype(dtype), 1.0 / size


def _fields(size, dtype, random):
    ex, ey, hz = random.random((3, size, size + 2)).astype(dtype)
    return 6, ex, ey, hz, np.arange(6, dtype=dtype)


def _string(size, dtype, random):
    x = np.linspace(0, 1, size)
    return np.exp(-100 * (x - 0.5) ** 2).astype(dtype), 1.0, 1.0 / size, 0.5 / size, 10 + size % 7


def _flow(size, dtype, random):
    return random.random(size).astype(dtype), random.standard_normal(size).astype(dtype), 1.0 / size, 0.2 / size, 12


def _reaction(size, dtype, random):
    u = np.ones((size, size), dtype)
    v = 0.2 * random.random((size, size)).astype(dtype)
    return u, v, 10


def _square(size, dtype, random):
    return random.random((size, size)).astype(dtype), -0.4, -0.3


def _cavity(size, dtype, random):
    u, v, p = np.zeros((3, size, size + 1), dtype)
    return 4, 5, u, v, p, 0.001, 1.0, 0.1


def _columns(size, dtype, random):
    shape = (size, size + 1, 6 + size % 3)
    return random.random(shape).astype(dtype), random.random(shape).astype(dtype), 0.3


PROGRAMS = (
    Program(jacobi_1d, _line, (7, 3, 64, 2), 20_000),
    Program(jacobi_2d, _hot_edge, (6, 3, 17), 200),
    Program(heat_3d, _blocks, (4, 3, 9), 48),
    Program(gauss_seidel, _plate, (6, 2, 3, 17), 150, loops=True),
    Program(red_black_sor, _charges, (6, 3, 12), 40, loops=True),
    Program(fdtd_2d, _fields, (5, 2, 16), 400),
    Program(wave_equation, _string, (20, 3, 65), 2_000),
    Program(advect_upwind, _flow, (9, 1, 2, 100), 20_000),
    Program(gray_scott, _reaction, (6, 2, 21), 200),
    Program(adi_step, _square, (6, 3, 19), 150, loops=True),
    Program(cavity_flow, _cavity, (6, 4, 21), 81),
    Program(vertical_advection, _columns, (3, 2, 9), 64),
)
