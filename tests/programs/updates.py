"""Kernels that only change the arrays that they are given."""

import numpy as np

from tests.programs.catalogue import Program


def horizontal_diffusion(field, out, coefficient):
    """Fourth-order diffusion of levels with limited fluxes; out is the inner part."""
    lap = 4.0 * field[1:-1, 1:-1, :] - (
        field[2:, 1:-1, :] + field[:-2, 1:-1, :] + field[1:-1, 2:, :] + field[1:-1, :-2, :]
    )
    res = lap[1:, 1:-1, :] - lap[:-1, 1:-1, :]
    flx = np.where(res * (field[2:-1, 2:-2, :] - field[1:-2, 2:-2, :]) > 0, 0, res)
    res = lap[1:-1, 1:, :] - lap[1:-1, :-1, :]
    fly = np.where(res * (field[2:-2, 2:-1, :] - field[2:-2, 1:-2, :]) > 0, 0, res)
    out[:, :, :] = field[2:-2, 2:-2, :] - coefficient * (
        flx[1:, :, :] - flx[:-1, :, :] + fly[:, 1:, :] - fly[:, :-1, :]
    )


def recursive_smoother(image, alpha, out):
    """Recursive edge-preserving filter along the rows, forwards and backwards."""
    w = image.shape[1]
    k = (1.0 - np.exp(-alpha)) * (1.0 - np.exp(-alpha)) / (1.0 + alpha * np.exp(-alpha) - np.exp(2.0 * alpha))
    a1 = k
    a2 = k * np.exp(-alpha) * (alpha - 1.0)
    b1 = 2.0 ** (-alpha)
    b2 = -np.exp(-2.0 * alpha)
    y1 = np.empty_like(image)
    y1[:, 0] = a1 * image[:, 0]
    y1[:, 1] = a1 * image[:, 1] + a2 * image[:, 0] + b1 * y1[:, 0]
    for j in range(2, w):
        y1[:, j] = a1 * image[:, j] + a2 * image[:, j - 1] + b1 * y1[:, j - 1] + b2 * y1[:, j - 2]
    y2 = np.empty_like(image)
    y2[:, -1] = 0.0
    y2[:, -2] = a2 * image[:, -1]
    for j in range(w - 3, -1, -1):
        y2[:, j] = a2 * (image[:, j + 1] + image[:, j + 2]) + b1 * y2[:, j + 1] + b2 * y2[:, j + 2]
    out[:] = y1 + y2


def contract_last_axis(a, c):
    for r in range(a.shape[0]):
        for q in range(a.shape[1]):
            a[r, q, :] = a[r, q, :] @ c


def rank_two_update(alpha, beta, a, u1, v1, u2, v2, w, x, y, z):
    a += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * (y @ a) + z
    w += alpha * (a @ x)


def set_boundaries(u, periodic):
    """Ghost cells of a three-dimensional field."""
    if periodic:
        u[0, ...] = u[-2, ...]
        u[-1, ...] = u[1, ...]
    else:
        u[0, ...] = 2 * u[1, ...] - u[2, ...]
        u[-1, ...] = 2 * u[-2, ...] - u[-3, ...]
    u[:, 0] = u[:, -1] = 0
    u[..., 0] = u[..., 1]
    u[..., -1] = u[..., -2]


def push_particles(position, velocity, electric, magnetic, charge_mass, dt, box):
    """Boris' method in fields that are the same everywhere."""
    half = 0.5 * charge_mass * dt
    velocity += half * electric
    t = half * magnetic
    s = 2 * t / (1 + np.dot(t, t))
    rotated = velocity + np.cross(velocity, t)
    velocity += np.cross(rotated, s)
    velocity += half * electric
    position += velocity * dt
    position %= box


def heat_with_sources(temperature, conductivity, fixed, heated, steps):
    """Explicit diffusion; some cells keep their temperature, others are heated."""
    kept = temperature[fixed]
    inner = temperature[1:-1, 1:-1]
    for _ in range(steps):
        flux = (
            temperature[2:, 1:-1] + temperature[:-2, 1:-1] + temperature[1:-1, 2:] + temperature[1:-1, :-2] - 4 * inner
        )
        inner += conductivity[1:-1, 1:-1] * flux
        temperature[fixed] = kept
        temperature[heated] += 0.1


def prefix_sums(a):
    """Inclusive scan by doubling."""
    step = 1
    n = len(a)
    while step < n:
        a[step:] += a[:-step].copy()
        step *= 2


def checkerboard_relaxation(u, f, sweeps):
    for _ in range(sweeps):
        u[1:-1:2, 1:-1:2] = 0.25 * (u[2::2, 1:-1:2] + u[:-2:2, 1:-1:2] + u[1:-1:2, 2::2] + u[1:-1:2, :-2:2] + f)
        u[2:-1:2, 2:-1:2] = 0.25 * (u[3::2, 2:-1:2] + u[1:-2:2, 2:-1:2] + u[2:-1:2, 3::2] + u[2:-1:2, 1:-2:2] + f)


def symmetrise(a):
    """The lower triangle becomes the mirror of the upper one, the diagonal is scaled."""
    n = a.shape[0]
    for i in range(n):
        for j in range(i + 1, n):
            a[j][i] = a[i][j]
        a[i][i] *= 0.5


def normalise_columns(a, floor=1e-8):
    a -= a.mean(axis=0)
    norms = np.sqrt((a * a).sum(axis=0))
    norms[norms < floor] = 1.0
    a /= norms


def bubble_sort(x):
    n = len(x)
    for i in range(n):
        swapped = False
        for j in range(n - 1 - i):
            if x[j] > x[j + 1]:
                x[j], x[j + 1] = x[j + 1], x[j]
                swapped = True
        if not swapped:
            break


def insertion_sort_rows(table, key):
    for row in range(1, table.shape[0]):
        current = table[row].copy()
        k = row - 1
        while k >= 0 and table[k, key] > current[key]:
            table[k + 1] = table[k]
            k -= 1
        table[k + 1] = current


def deposit_charge(grid, positions, charges, dx):
    """Cloud in cell on a periodic line."""
    n = grid.shape[0]
    grid[:] = 0
    for p in range(len(positions)):
        x = positions[p] / dx
        i = int(np.floor(x))
        fraction = x - i
        grid[i % n] += charges[p] * (1 - fraction)
        grid[(i + 1) % n] += charges[p] * fraction


def delay_effect(left, right, buffer, feedback=0.4):
    """Ping-pong delay; the buffer is a ring."""
    size = buffer.shape[0]
    for i in range(len(left)):
        k = i % size
        old_left, old_right = buffer[k]
        buffer[k, 0] = right[i] + feedback * old_right
        buffer[k, 1] = left[i] + feedback * old_left
        left[i] += 0.5 * old_left
        right[i] += 0.5 * old_right


def mirror_halves(a):
    """Mean of an array and its mirror image, written to both halves."""
    n = a.shape[0] // 2
    first = a[:n]
    last = a[-n:][::-1]
    mean = 0.5 * (first + last)
    first[...] = mean
    last[...] = mean


def _levels(size, dtype, random):
    shape = (size + 4, size + 5, 6)
    field = random.random(shape).astype(dtype)
    return field, np.zeros((size, size + 1, 6), dtype), random.random((size, size + 1, 6)).astype(dtype)


def _picture(size, dtype, random):
    image = random.random((size + 1, size)).astype(dtype)
    return image, 0.25, np.zeros_like(image)


def _tensor(size, dtype, random):
    return random.random((size, size + 1, 8)).astype(dtype), random.random((8, 8)).astype(dtype)


def _vectors(size, dtype, random):
    a = random.random((size, size)).astype(dtype)
    return 1.5, 1.2, a, *random.random((8, size)).astype(dtype)


def _field(size, dtype, random):
    return random.random((size, size + 1, size + 2)).astype(dtype), size % 2 == 0


def _plasma(size, dtype, random):
    position, velocity = random.random((2, size, 3)).astype(dtype)
    return position, velocity, np.array([0.1, 0, 0], dtype), np.array([0, 0, 1], dtype), 1.0, 0.1, 1.0


def _plate(size, dtype, random):
    shape = (size, size + 1)
    kind = random.random(shape)
    temperature = random.random(shape).astype(dtype)
    return temperature, (0.2 * random.random(shape)).astype(dtype), kind < 0.1, kind > 0.95, 8


def _line(size, dtype, random):
    return (random.integers(0, 100, size).astype(dtype),)


def _odd_square(size, dtype, random):
    return random.random((2 * size + 1, 2 * size + 1)).astype(dtype), 0.1, 5


def _square(size, dtype, random):
    return (random.random((size, size)).astype(dtype),)


def _tall(size, dtype, random):
    a = random.random((3 * size, size)).astype(dtype)
    a[:, 0] = 1
    return (a,)


def _records(size, dtype, random):
    return random.integers(0, 50, (size, 4)).astype(dtype), 2


def _charges(size, dtype, random):
    positions = (10 * random.random(3 * size)).astype(dtype)
    return np.ones(size, dtype), positions, random.standard_normal(3 * size).astype(dtype), 10.0 / size


def _stereo(size, dtype, random):
    left, right = random.standard_normal((2, 8 * size)).astype(dtype)
    return left, right, np.zeros((size, 2), dtype)


PROGRAMS = (
    Program(horizontal_diffusion, _levels, (4, 1, 11), 64),
    Program(recursive_smoother, _picture, (6, 3, 17), 200, rounding=10, because="exp and powers"),
    Program(contract_last_axis, _tensor, (3, 1, 8), 40, rounding=20, because="products are summed in another order"),
    Program(rank_two_update, _vectors, (5, 1, 12), 300, rounding=100, because="products are summed in another order"),
    Program(set_boundaries, _field, (4, 7, 6, 12), 60, traces=2, why="one for each value of a flag"),
    Program(push_particles, _plasma, (5, 1, 12), 20_000, rounding=50, because="products of three"),
    Program(heat_with_sources, _plate, (5, 3, 16), 200),
    Program(prefix_sums, _line, (9, 1, 0, 40), 50_000, ("int64", "float32")),
    Program(checkerboard_relaxation, _odd_square, (3, 1, 9), 100),
    Program(symmetrise, _square, (5, 1, 12), 200, loops=True),
    Program(normalise_columns, _tall, (4, 1, 12), 100, rounding=100, because="sums in another order"),
    Program(bubble_sort, _line, (9, 1, 0, 40), 200, ("int64", "float64"), loops=True),
    Program(insertion_sort_rows, _records, (9, 1, 0, 40), 200, ("int64", "float64")),
    Program(deposit_charge, _charges, (5, 1, 12), 2_000, loops=True),
    Program(delay_effect, _stereo, (5, 1, 12), 500, loops=True),
    Program(mirror_halves, _square, (6, 2, 13), 500),
)
