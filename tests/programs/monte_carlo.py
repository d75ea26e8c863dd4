"""Random numbers drawn inside, passed in, or made by hand."""

import numpy as np

from tests.programs.catalogue import Program


def estimate_pi(n, seed=42):
    np.random.seed(seed)
    x = np.random.uniform(-1, 1, n)
    y = np.random.uniform(-1, 1, n)
    inside = x**2 + y**2 <= 1
    return 4 * np.sum(inside) / n


def log_density(x):
    return -0.5 * x * x + np.log(1 + np.sin(3 * x) ** 2)


def metropolis(rng, n, step=1.0):
    """A chain of samples of an unnormalised density, and the share of accepted moves."""
    samples = np.zeros(n)
    x = 0.0
    accepted = 0
    for i in range(n):
        proposal = x + step * rng.normal()
        if np.log(rng.uniform()) < log_density(proposal) - log_density(x):
            x = proposal
            accepted += 1
        samples[i] = x
    return samples, accepted / n


def random_walks(uniform):
    """Paths of walkers on a lattice: final squared distance and returns to the origin."""
    steps, walkers = uniform.shape
    moves = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    choice = (uniform * 4).astype(int)
    paths = np.cumsum(moves[choice], axis=0)
    distance = (paths[-1] ** 2).sum(axis=1)
    returns = np.sum(np.all(paths == 0, axis=2), axis=0)
    return distance.mean(), returns


def ising_simulation(n, steps, beta, seed=1):
    np.random.seed(seed)
    lattice = np.random.choice([-1, 1], size=(n, n))
    energies = np.zeros(steps)
    for t in range(steps):
        for _ in range(n * n):
            i = np.random.randint(n)
            j = np.random.randint(n)
            neighbours = (
                lattice[(i + 1) % n, j] + lattice[(i - 1) % n, j] + lattice[i, (j + 1) % n] + lattice[i, (j - 1) % n]
            )
            change = 2 * lattice[i, j] * neighbours
            if change <= 0 or np.random.rand() < np.exp(-beta * change):
                lattice[i, j] *= -1
        energies[t] = -np.sum(lattice * (np.roll(lattice, 1, 0) + np.roll(lattice, 1, 1)))
    return lattice, energies


def gibbs_normal(rng, n, rho):
    """Samples of a pair of correlated normal numbers."""
    samples = np.empty((n, 2))
    x = y = 0.0
    spread = np.sqrt(1 - rho**2)
    for k in range(n):
        x = rng.normal(rho * y, spread)
        y = rng.normal(rho * x, spread)
        samples[k, 0] = x
        samples[k, 1] = y
    return samples


def bootstrap_interval(data, rng, repeats=50):
    n = len(data)
    means = np.empty(repeats)
    for i in range(repeats):
        means[i] = data[rng.integers(0, n, n)].mean()
    means.sort()
    return means[int(0.025 * repeats)], means[int(0.975 * repeats)]


def congruential_pi(n):
    """Pi from a linear congruential generator written by hand."""
    state = 12345
    hits = 0
    for _ in range(n):
        state = (1103515245 * state + 12345) % 2147483648
        x = state / 2147483648
        state = (1103515245 * state + 12345) % 2147483648
        y = state / 2147483648
        if x * x + y * y < 1.0:
            hits += 1
    return 4.0 * hits / n


def birth_death(uniform, birth, death, start, t_end):
    """Gillespie's algorithm with given random numbers: event times and population."""
    times = np.zeros(len(uniform) + 1)
    population = np.zeros(len(uniform) + 1, dtype=int)
    population[0] = start
    count = 0
    for k in range(len(uniform)):
        n = population[k]
        rate = (birth + death) * n
        if rate == 0:
            break
        times[k + 1] = times[k] - np.log(uniform[k, 0]) / rate
        if times[k + 1] > t_end:
            break
        population[k + 1] = n + 1 if uniform[k, 1] * (birth + death) < birth else n - 1
        count += 1
    return times[: count + 1], population[: count + 1]


def resample_particles(particles, weights, offset):
    """Systematic resampling."""
    n = len(particles)
    positions = (np.arange(n) + offset) / n
    cumulative = np.cumsum(weights / weights.sum())
    cumulative[-1] = 1.0
    indices = np.zeros(n, dtype=int)
    i = j = 0
    while i < n:
        if positions[i] < cumulative[j]:
            indices[i] = j
            i += 1
        else:
            j += 1
    return particles[indices]


def integrate_ball(rng, dimension, n):
    """Volume of the unit ball by blocks of points; mean and standard error."""
    blocks = 10
    estimates = np.zeros(blocks)
    for b in range(blocks):
        points = rng.uniform(-1, 1, size=(n, dimension))
        inside = np.count_nonzero((points * points).sum(axis=1) < 1)
        estimates[b] = 2**dimension * inside / n
    return estimates.mean(), estimates.std(ddof=1) / np.sqrt(blocks)


def _count(size, dtype, random):
    return (size,)


def _chain(size, dtype, random):
    return random, size


def _pair_chain(size, dtype, random):
    return random, size, 0.8


def _uniform(size, dtype, random):
    return (random.random((size, size + 2)).astype(dtype),)


def _lattice(size, dtype, random):
    return size, 4, 0.4


def _bootstrap(size, dtype, random):
    return random.standard_normal(size).astype(dtype), random


def _events(size, dtype, random):
    return random.random((size, 2)).astype(dtype), 1.0, 0.8, 10, 2.0


def _particles(size, dtype, random):
    return random.standard_normal((size, 3)).astype(dtype), random.random(size).astype(dtype), 0.5


def _ball(size, dtype, random):
    return random, 4, size


PROGRAMS = (
    Program(estimate_pi, _count, (20, 1, 100), 50_000, ("float64",)),
    Program(metropolis, _chain, (20, 1, 57), 2_000, ("float64",), rounding=20, because="log and sin"),
    Program(random_walks, _uniform, (9, 1, 30), 150),
    Program(ising_simulation, _lattice, (4, 1, 9), 16, ("float64",)),
    Program(gibbs_normal, _pair_chain, (20, 1, 57), 2_000, ("float64",)),
    Program(bootstrap_interval, _bootstrap, (20, 1, 57), 5_000, rounding=50, because="sums in another order"),
    Program(congruential_pi, _count, (20, 1, 100), 10_000, ("int64",), loops=True),
    Program(birth_death, _events, (20, 1, 57), 2_000, rounding=20, because="log"),
    Program(resample_particles, _particles, (9, 1, 40), 3_000, rounding=20, because="sums in another order"),
    Program(integrate_ball, _ball, (20, 1, 57), 5_000, ("float64",)),
)
