"""Fractals and cellular automata: masks, integers and neighbourhoods."""

import numpy as np

from tests.programs.catalogue import Program


def mandelbrot(xmin, xmax, ymin, ymax, width, height, max_iter):
    image = np.zeros((height, width), dtype=np.int32)
    dx = (xmax - xmin) / width
    dy = (ymax - ymin) / height
    for py in range(height):
        for px in range(width):
            cr = xmin + px * dx
            ci = ymin + py * dy
            zr = zi = 0.0
            n = 0
            while zr * zr + zi * zi <= 4.0 and n < max_iter:
                zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
                n += 1
            image[py, px] = n
    return image


def escape_time(c, max_iter=40):
    z = 0
    for n in range(max_iter):
        if abs(z) > 2:
            return n
        z = z * z + c
    return max_iter


def mandelbrot_complex(xs, ys):
    result = np.zeros((len(ys), len(xs)), dtype=int)
    for i in range(len(ys)):
        for j in range(len(xs)):
            result[i, j] = escape_time(complex(xs[j], ys[i]))
    return result


def mandelbrot_masks(xs, ys, maxiter, horizon=2.0):
    """Whole-array version: points that have escaped are left alone."""
    c = xs + ys[:, None] * 1j
    n = np.zeros(c.shape, dtype=np.int64)
    z = np.zeros_like(c)
    for k in range(maxiter):
        inside = np.abs(z) < horizon
        n[inside] = k
        z[inside] = z[inside] ** 2 + c[inside]
    n[n == maxiter - 1] = 0
    return z, n


def julia_set(x, y, c, max_iter=30):
    zx, zy = np.meshgrid(x, y)
    count = np.zeros(zx.shape, dtype=np.int32)
    alive = np.ones(zx.shape, dtype=bool)
    for _ in range(max_iter):
        zx2 = zx * zx
        zy2 = zy * zy
        alive &= zx2 + zy2 < 4.0
        count += alive
        zx, zy = np.where(alive, zx2 - zy2 + c.real, zx), np.where(alive, 2 * zx * zy + c.imag, zy)
    return count


def newton_fractal(x, y, max_iter=12, tol=1e-3):
    """Which cube root of one Newton's method finds from each point."""
    roots = np.array([1, -0.5 + 0.8660254j, -0.5 - 0.8660254j])
    z = x[np.newaxis, :] + 1j * y[:, np.newaxis]
    for _ in range(max_iter):
        z = z - (z**3 - 1) / (3 * z**2)
    basin = -np.ones(z.shape, dtype=int)
    for k, root in enumerate(roots):
        basin[np.abs(z - root) < tol] = k
    return basin


def game_of_life(board, steps):
    for _ in range(steps):
        neighbours = (
            board[:-2, :-2] + board[:-2, 1:-1] + board[:-2, 2:]
            + board[1:-1, :-2] + board[1:-1, 2:]
            + board[2:, :-2] + board[2:, 1:-1] + board[2:, 2:]
        )  # fmt: skip
        birth = (neighbours == 3) & (board[1:-1, 1:-1] == 0)
        survive = ((neighbours == 2) | (neighbours == 3)) & (board[1:-1, 1:-1] == 1)
        board[...] = 0
        board[1:-1, 1:-1][birth | survive] = 1
    return board


def life_torus(world, generations):
    n, m = world.shape
    for g in range(generations):
        new = np.zeros((n, m), dtype=world.dtype)
        for i in range(n):
            for j in range(m):
                total = 0
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        if di == 0 and dj == 0:
                            continue
                        total += world[(i + di) % n, (j + dj) % m]
                if total == 3 or (total == 2 and world[i, j]):
                    new[i, j] = 1
        world = new
    return world


def elementary_automaton(start, rule, steps):
    table = np.array([(rule >> k) & 1 for k in range(8)], dtype=np.uint8)
    history = np.zeros((steps + 1, start.size), dtype=np.uint8)
    history[0] = start
    for t in range(steps):
        row = history[t]
        pattern = 4 * np.roll(row, 1) + 2 * row + np.roll(row, -1)
        history[t + 1] = table[pattern]
    return history


def sandpile(grid):
    topples = 0
    while np.any(grid > 3):
        over = grid > 3
        topples += np.sum(over)
        grid[over] -= 4
        grid[1:, :] += over[:-1, :]
        grid[:-1, :] += over[1:, :]
        grid[:, 1:] += over[:, :-1]
        grid[:, :-1] += over[:, 1:]
    return grid, topples


def langton_ant(n, steps):
    grid = np.zeros((n, n), dtype=np.int8)
    x = y = n // 2
    direction = 0
    for _ in range(steps):
        if grid[y, x] == 0:
            direction = (direction + 1) % 4
            grid[y, x] = 1
        else:
            direction = (direction - 1) % 4
            grid[y, x] = 0
        if direction == 0:
            y -= 1
        elif direction == 1:
            x += 1
        elif direction == 2:
            y += 1
        else:
            x -= 1
        x %= n
        y %= n
    return grid


def forest_fire(n, steps, growth=0.1, lightning=0.01, seed=7):
    """0 empty, 1 tree, 2 burning."""
    np.random.seed(seed)
    forest = (np.random.rand(n, n) < 0.5).astype(np.int8)
    for _ in range(steps):
        burning = forest == 2
        near = np.zeros_like(burning)
        near[1:] |= burning[:-1]
        near[:-1] |= burning[1:]
        near[:, 1:] |= burning[:, :-1]
        near[:, :-1] |= burning[:, 1:]
        trees = forest == 1
        forest[burning] = 0
        forest[trees & near] = 2
        forest[trees & ~near & (np.random.rand(n, n) < lightning)] = 2
        forest[~trees & ~burning & (np.random.rand(n, n) < growth)] = 1
    return forest


def _window(size, dtype, random):
    return -2.0, 0.5, -1.25, 1.25, size + 1, size, 50


def _axes(size, dtype, random):
    return np.linspace(-2, 0.5, size + 1).astype(dtype), np.linspace(-1.25, 1.25, size).astype(dtype)


def _axes_and_limit(size, dtype, random):
    return *_axes(size, dtype, random), 20


def _julia(size, dtype, random):
    return *_axes(size, dtype, random), -0.7 + 0.27j


def _shifted(size, dtype, random):
    x, y = _axes(size, dtype, random)
    return x + 0.1, y + 0.05


def _cells(size, dtype, random):
    return (random.random((size, size + 1)) < 0.4).astype(dtype), 5


def _row(size, dtype, random):
    return random.integers(0, 2, size).astype(dtype), 110, 10 + size % 3


def _sand(size, dtype, random):
    return (random.integers(0, 7, (size, size)).astype(dtype),)


def _ant(size, dtype, random):
    return size, 40 * size


def _forest(size, dtype, random):
    return size, 10


JOINED = "the number before the first turn stays where no turn replaces it"

PROGRAMS = (
    Program(mandelbrot, _window, (6, 1, 13), 60, ("float64",), loops=True),
    Program(mandelbrot_complex, _axes, (6, 1, 13), 50, ("float64",), loops=True),
    Program(mandelbrot_masks, _axes_and_limit, (6, 1, 13), 200, rounding=1e5, because="squares of complex numbers"),
    Program(julia_set, _julia, (6, 1, 13), 300),
    Program(newton_fractal, _shifted, (6, 2, 13), 150, ("float64",), rounding=50, because="powers of complex numbers"),
    Program(game_of_life, _cells, (6, 3, 20), 300, ("int64", "uint8")),
    Program(life_torus, _cells, (6, 1, 11), 40, ("int64", "uint8"), loops=True),
    Program(elementary_automaton, _row, (9, 1, 40), 5_000, ("uint8", "int64")),
    Program(sandpile, _sand, (6, 1, 12), 60, ("int64", "int32"), joined=JOINED),
    Program(langton_ant, _ant, (6, 1, 15), 200, ("int64",), loops=True),
    Program(forest_fire, _forest, (6, 1, 15), 100, ("int64",)),
)
