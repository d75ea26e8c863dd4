"""Particles, fields and ordinary differential equations."""

from dataclasses import dataclass

import numpy as np

from tests.programs.catalogue import Program


def nbody_pairs(position, velocity, mass, dt, steps):
    n = mass.shape[0]
    for step in range(steps):
        for i in range(n):
            for j in range(i + 1, n):
                dx = position[i, 0] - position[j, 0]
                dy = position[i, 1] - position[j, 1]
                dz = position[i, 2] - position[j, 2]
                r2 = dx * dx + dy * dy + dz * dz + 0.01
                magnitude = dt / (r2 * np.sqrt(r2))
                velocity[i, 0] -= dx * mass[j] * magnitude
                velocity[i, 1] -= dy * mass[j] * magnitude
                velocity[i, 2] -= dz * mass[j] * magnitude
                velocity[j, 0] += dx * mass[i] * magnitude
                velocity[j, 1] += dy * mass[i] * magnitude
                velocity[j, 2] += dz * mass[i] * magnitude
        for i in range(n):
            for k in range(3):
                position[i, k] += dt * velocity[i, k]


def acceleration(pos, mass, G, softening):
    x = pos[:, 0:1]
    y = pos[:, 1:2]
    z = pos[:, 2:3]
    dx = x.T - x
    dy = y.T - y
    dz = z.T - z
    inv_r3 = dx**2 + dy**2 + dz**2 + softening**2
    inv_r3[inv_r3 > 0] = inv_r3[inv_r3 > 0] ** (-1.5)
    ax = G * (dx * inv_r3) @ mass
    ay = G * (dy * inv_r3) @ mass
    az = G * (dz * inv_r3) @ mass
    return np.hstack((ax, ay, az))


def energy(pos, vel, mass, G):
    kinetic = 0.5 * np.sum(np.sum(mass * vel**2))
    x = pos[:, 0:1]
    y = pos[:, 1:2]
    z = pos[:, 2:3]
    dx = x.T - x
    dy = y.T - y
    dz = z.T - z
    inv_r = np.sqrt(dx**2 + dy**2 + dz**2)
    inv_r[inv_r > 0] = 1.0 / inv_r[inv_r > 0]
    potential = G * np.sum(np.sum(np.triu(-(mass * mass.T) * inv_r, 1)))
    return kinetic, potential


def nbody_arrays(mass, pos, vel, n_steps, dt=0.01, G=1.0, softening=0.1):
    """Leapfrog with all pairs at once; energies at each step."""
    vel -= np.mean(mass * vel, axis=0) / np.mean(mass)
    acc = acceleration(pos, mass, G, softening)
    kinetic = np.zeros(n_steps + 1)
    potential = np.zeros(n_steps + 1)
    kinetic[0], potential[0] = energy(pos, vel, mass, G)
    for i in range(n_steps):
        vel += acc * dt / 2.0
        pos += vel * dt
        acc = acceleration(pos, mass, G, softening)
        vel += acc * dt / 2.0
        kinetic[i + 1], potential[i + 1] = energy(pos, vel, mass, G)
    return kinetic, potential


def lennard_jones_forces(r, box, cutoff):
    """Forces and energy with periodic boundaries."""
    n = len(r)
    forces = np.zeros_like(r)
    total = 0.0
    for i in range(n - 1):
        for j in range(i + 1, n):
            d = r[i] - r[j]
            d -= box * np.round(d / box)
            r2 = np.sum(d * d)
            if r2 > cutoff * cutoff:
                continue
            inv6 = 1.0 / (r2 * r2 * r2)
            f = 24.0 * inv6 * (2.0 * inv6 - 1.0) / r2 * d
            forces[i] += f
            forces[j] -= f
            total += 4.0 * inv6 * (inv6 - 1.0)
    return forces, total


def lattice_boltzmann(steps, f, obstacle, tau=0.6):
    """D2Q9 flow past an obstacle."""
    cxs = np.array([0, 0, 1, 1, 1, 0, -1, -1, -1])
    cys = np.array([0, 1, 1, 0, -1, -1, -1, 0, 1])
    weights = np.array([4 / 9, 1 / 9, 1 / 36, 1 / 9, 1 / 36, 1 / 9, 1 / 36, 1 / 9, 1 / 36])
    for it in range(steps):
        for i, cx, cy in zip(range(9), cxs, cys):
            f[:, :, i] = np.roll(f[:, :, i], cx, axis=1)
            f[:, :, i] = np.roll(f[:, :, i], cy, axis=0)
        bounced = f[obstacle, :]
        bounced = bounced[:, [0, 5, 6, 7, 8, 1, 2, 3, 4]]
        rho = np.sum(f, 2)
        ux = np.sum(f * cxs, 2) / rho
        uy = np.sum(f * cys, 2) / rho
        feq = np.zeros(f.shape)
        for i, cx, cy, w in zip(range(9), cxs, cys, weights):
            feq[:, :, i] = (
                rho * w * (1 + 3 * (cx * ux + cy * uy) + 9 * (cx * ux + cy * uy) ** 2 / 2 - 3 * (ux**2 + uy**2) / 2)
            )
        f += -(1.0 / tau) * (f - feq)
        f[obstacle, :] = bounced
    return rho, ux, uy


def rk4_step(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def lorenz(y0, n, h=0.01, sigma=10.0, rho=28.0, beta=8.0 / 3.0):
    def f(t, y):
        return np.array([sigma * (y[1] - y[0]), y[0] * (rho - y[2]) - y[1], y[0] * y[1] - beta * y[2]])

    ys = np.empty((n + 1, 3))
    ys[0] = y0
    t = 0.0
    for i in range(n):
        ys[i + 1] = rk4_step(f, t, ys[i], h)
        t += h
    return ys


def swing(theta0, omega0, length, dt, t_end, g=9.81):
    """Angle at the end of a pendulum's swing, symplectic Euler."""
    theta, omega = theta0, omega0
    t = 0.0
    while t < t_end:
        omega -= g / length * np.sin(theta) * dt
        theta += omega * dt
        t += dt
    return theta


def shooting(target, dt, tol=1e-6):
    """Initial speed that brings a pendulum to the target, by bisection; -1 where there is none."""
    low, high = 0.0, 5.0
    f_low = swing(0.0, low, 1.0, dt, 0.5) - target
    f_high = swing(0.0, high, 1.0, dt, 0.5) - target
    if f_low * f_high > 0:
        return -1.0
    while high - low > tol:
        mid = (low + high) / 2
        f_mid = swing(0.0, mid, 1.0, dt, 0.5) - target
        if f_mid == 0:
            return mid
        if f_low * f_mid < 0:
            high = mid
        else:
            low, f_low = mid, f_mid
    return (low + high) / 2


@dataclass
class Springs:
    """Masses on springs in the plane."""

    position: np.ndarray
    velocity: np.ndarray
    edges: np.ndarray
    rest: np.ndarray
    stiffness: float = 10.0
    damping: float = 0.1


def spring_forces(net):
    force = -net.damping * net.velocity
    i, j = net.edges[:, 0], net.edges[:, 1]
    delta = net.position[j] - net.position[i]
    length = np.sqrt((delta**2).sum(axis=1))
    pull = (net.stiffness * (length - net.rest) / length)[:, None] * delta
    np.add.at(force, i, pull)
    np.subtract.at(force, j, pull)
    return force


def relax_springs(net, steps, dt=0.01):
    for _ in range(steps):
        net.velocity += dt * spring_forces(net)
        net.position += dt * net.velocity
    return net.position


class ShallowWater:
    """Linear shallow water on a staggered grid."""

    def __init__(self, eta, depth, dx, dt):
        self.eta = eta
        self.u = np.zeros((eta.shape[0] + 1, eta.shape[1]), dtype=eta.dtype)
        self.v = np.zeros((eta.shape[0], eta.shape[1] + 1), dtype=eta.dtype)
        self.depth = depth
        self.dx = dx
        self.dt = dt
        self.g = 9.81

    def momentum(self):
        self.u[1:-1, :] -= self.g * self.dt / self.dx * (self.eta[1:, :] - self.eta[:-1, :])
        self.v[:, 1:-1] -= self.g * self.dt / self.dx * (self.eta[:, 1:] - self.eta[:, :-1])

    def continuity(self):
        divergence = (self.u[1:, :] - self.u[:-1, :]) + (self.v[:, 1:] - self.v[:, :-1])
        self.eta -= self.dt * self.depth / self.dx * divergence

    def step(self):
        self.momentum()
        self.continuity()


def run_shallow_water(model, steps):
    for _ in range(steps):
        model.step()
    return model.eta.max()


def split_step(psi, potential, k, dt, steps):
    """Schroedinger's equation by Fourier transforms."""
    half = np.exp(-0.5j * potential * dt)
    kinetic = np.exp(-0.5j * k**2 * dt)
    for _ in range(steps):
        psi = half * psi
        psi = np.fft.ifft(kinetic * np.fft.fft(psi))
        psi = half * psi
    return psi, np.sum(np.abs(psi) ** 2)


def crank_nicolson(u, alpha, steps):
    n = u.shape[0]
    a = np.zeros((n, n))
    b = np.zeros((n, n))
    for i in range(n):
        a[i, i] = 1 + alpha
        b[i, i] = 1 - alpha
        if i > 0:
            a[i, i - 1] = -alpha / 2
            b[i, i - 1] = alpha / 2
        if i < n - 1:
            a[i, i + 1] = -alpha / 2
            b[i, i + 1] = alpha / 2
    for _ in range(steps):
        u = np.linalg.solve(a, b @ u)
    return u


def ising_sweeps(spins, beta, uniform):
    """Metropolis sweeps in order; uniform: a number for each spin and sweep."""
    n, m = spins.shape
    accepted = 0
    for sweep in range(uniform.shape[0]):
        for i in range(n):
            for j in range(m):
                s = spins[i, j]
                nb = spins[(i + 1) % n, j] + spins[i, (j + 1) % m] + spins[i - 1, j] + spins[i, j - 1]
                cost = 2 * s * nb
                if cost < 0 or uniform[sweep, i, j] < np.exp(-cost * beta):
                    spins[i, j] = -s
                    accepted += 1
    return accepted


def radial_distribution(positions, box, bins=10):
    n = positions.shape[0]
    counts = np.zeros(bins)
    width = box / 2 / bins
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            d2 = 0.0
            for k in range(3):
                d = positions[i, k] - positions[j, k]
                if d > box / 2:
                    d -= box
                elif d < -box / 2:
                    d += box
                d2 += d * d
            b = int(np.sqrt(d2) / width)
            if b < bins:
                counts[b] += 1
    edges = np.arange(bins + 1) * width
    shells = 4.0 / 3.0 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    return counts / (shells * n)


def _bodies(size, dtype, random):
    position, velocity = random.standard_normal((2, size, 3)).astype(dtype)
    return position, velocity, random.random(size).astype(dtype), 0.01, 3


def _masses(size, dtype, random):
    position, velocity = random.standard_normal((2, size, 3)).astype(dtype)
    return (20 * np.ones((size, 1)) / size).astype(dtype), position, velocity, 5


def _liquid(size, dtype, random):
    side = max(1, int(np.ceil(size ** (1 / 3))))
    grid = np.array([(i, j, k) for i in range(side) for j in range(side) for k in range(side)][:size], float)
    return (grid + 0.1 * random.random(grid.shape)).astype(dtype), float(side), 2.5


def _channel(size, dtype, random):
    f = np.ones((size, size + 3, 9)) + 0.01 * random.standard_normal((size, size + 3, 9))
    f[:, :, 3] += 2.0
    obstacle = np.zeros((size, size + 3), bool)
    obstacle[size // 3 : size // 2 + 1, 1:3] = True
    return 4, f.astype(dtype), obstacle


def _start(size, dtype, random):
    return np.array([1.0, 1.0, 1.0], dtype), size


def _pendulum(size, dtype, random):
    return 0.3, 1.0 / (10 * size)


def _net(size, dtype, random):
    edges = random.integers(0, size, (3 * size, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    position = random.random((size, 2)).astype(dtype)
    return Springs(position, np.zeros_like(position), edges, random.random(len(edges)).astype(dtype)), 5


def _water(size, dtype, random):
    return ShallowWater(random.random((size, size + 1)).astype(dtype), 10.0, 1.0, 0.01), 6


def _packet(size, dtype, random):
    x = np.linspace(-5, 5, size)
    psi = np.exp(-(x**2) + 1j * x)
    return psi, 0.5 * x**2, 2 * np.pi * np.fft.fftfreq(size, 10 / size), 0.01, 5


def _rod(size, dtype, random):
    return random.random(size).astype(dtype), 0.4, 5


def _spins(size, dtype, random):
    spins = 2 * random.integers(0, 2, (size, size + 1)) - 1
    return spins.astype(dtype), 0.44, random.random((3, size, size + 1))


def _gas(size, dtype, random):
    return (5 * random.random((size, 3))).astype(dtype), 5.0


FFT = "Fourier transforms and solvers of another library"

JOINED = "the number before the first turn stays where no turn replaces it"

PROGRAMS = (
    Program(nbody_pairs, _bodies, (5, 1, 12), 60, loops=True),
    Program(nbody_arrays, _masses, (5, 2, 12), 100, rounding=500, because="powers, and products in another order"),
    Program(
        lennard_jones_forces,
        _liquid,
        (8, 1, 20),
        60,
        rounding=100,
        because="sums of three in another order",
        joined=JOINED,
    ),
    Program(lattice_boltzmann, _channel, (6, 3, 14), 60, ("float64",), rounding=50, because="sums in another order"),
    Program(lorenz, _start, (20, 1, 0, 33), 2_000, ("float64",)),
    Program(shooting, _pendulum, (3, 1, 9), 20, ("float64",), rounding=100, because="sines", loops=True),
    Program(relax_springs, _net, (6, 2, 30), 3_000, rounding=50, because="sums in another order"),
    Program(run_shallow_water, _water, (6, 2, 20), 200),
    Program(split_step, _packet, (8, 5, 33), 1024, ("float64",), rounding=100, because=FFT),
    Program(crank_nicolson, _rod, (6, 1, 20), 120, rounding=200, because=FFT),
    Program(ising_sweeps, _spins, (5, 1, 12), 60, ("int64", "int8"), loops=True),
    Program(radial_distribution, _gas, (6, 1, 15), 60, loops=True),
)
