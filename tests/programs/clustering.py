"""Distances, neighbours and clusters."""

import numpy as np

from tests.programs.catalogue import Program


def kmeans(points, centres, iterations=8):
    k = centres.shape[0]
    for _ in range(iterations):
        distances = np.sqrt(((points[:, np.newaxis, :] - centres[np.newaxis, :, :]) ** 2).sum(axis=2))
        labels = np.argmin(distances, axis=1)
        moved = centres.copy()
        for j in range(k):
            members = points[labels == j]
            if len(members) > 0:
                moved[j] = members.mean(axis=0)
        if np.allclose(moved, centres):
            break
        centres = moved
    return labels, centres


def kmeans_loops(points, centres, labels, iterations=5):
    """Labels and centres are updated in place."""
    n, d = points.shape
    k = centres.shape[0]
    for it in range(iterations):
        for i in range(n):
            best = np.inf
            for c in range(k):
                dist = 0.0
                for f in range(d):
                    diff = points[i, f] - centres[c, f]
                    dist += diff * diff
                if dist < best:
                    best = dist
                    labels[i] = c
        counts = np.zeros(k)
        sums = np.zeros((k, d))
        for i in range(n):
            counts[labels[i]] += 1
            for f in range(d):
                sums[labels[i], f] += points[i, f]
        for c in range(k):
            if counts[c] > 0:
                centres[c, :] = sums[c, :] / counts[c]


def pairwise_distances(x, y):
    n, m = len(x), len(y)
    d = np.empty((n, m), dtype=x.dtype)
    for i in range(n):
        for j in range(m):
            s = 0.0
            for k in range(x.shape[1]):
                tmp = x[i, k] - y[j, k]
                s += tmp * tmp
            d[i, j] = np.sqrt(s)
    return d


def squared_distances(x):
    norms = (x**2).sum(axis=1)
    d2 = norms[:, None] + norms[None, :] - 2 * x @ x.T
    np.fill_diagonal(d2, 0)
    return np.maximum(d2, 0)


def dbscan(points, eps, min_points):
    """Density clusters; noise is -1."""
    n = len(points)
    labels = np.full(n, -2)
    cluster = 0
    for i in range(n):
        if labels[i] != -2:
            continue
        neighbours = np.where(np.sqrt(((points - points[i]) ** 2).sum(axis=1)) <= eps)[0]
        if len(neighbours) < min_points:
            labels[i] = -1
            continue
        labels[i] = cluster
        seeds = list(neighbours)
        while seeds:
            j = seeds.pop(0)
            if labels[j] == -1:
                labels[j] = cluster
            if labels[j] != -2:
                continue
            labels[j] = cluster
            around = np.where(np.sqrt(((points - points[j]) ** 2).sum(axis=1)) <= eps)[0]
            if len(around) >= min_points:
                seeds.extend(around)
        cluster += 1
    return labels, cluster


def mean_shift(points, bandwidth, iterations=5):
    shifted = points.copy()
    for _ in range(iterations):
        for i in range(len(points)):
            d2 = np.sum((points - shifted[i]) ** 2, axis=1)
            weights = np.exp(-d2 / (2 * bandwidth**2))
            shifted[i] = (weights[:, None] * points).sum(axis=0) / weights.sum()
    return shifted


def single_linkage(distance):
    """Merge heights of agglomerative clustering; the matrix is used up."""
    n = distance.shape[0]
    active = np.ones(n, dtype=bool)
    heights = np.zeros(n - 1)
    for step in range(n - 1):
        best = np.inf
        a = b = -1
        for i in range(n):
            if not active[i]:
                continue
            for j in range(i + 1, n):
                if active[j] and distance[i, j] < best:
                    best = distance[i, j]
                    a, b = i, j
        heights[step] = best
        active[b] = False
        distance[a, :] = np.minimum(distance[a, :], distance[b, :])
        distance[:, a] = distance[a, :]
    return heights


def nearest_neighbours(train, labels, queries, k=3):
    predictions = np.zeros(len(queries), dtype=labels.dtype)
    for i, q in enumerate(queries):
        d = np.sum((train - q) ** 2, axis=1)
        nearest = np.argsort(d)[:k]
        votes = np.bincount(labels[nearest], minlength=4)
        predictions[i] = np.argmax(votes)
    return predictions


def fuzzy_c_means(x, u, m=2.0, iterations=6):
    n, c = u.shape
    for _ in range(iterations):
        um = u**m
        centres = (um.T @ x) / um.sum(axis=0)[:, None]
        dist = np.zeros((n, c))
        for k in range(c):
            dist[:, k] = np.linalg.norm(x - centres[k], axis=1)
        dist = np.fmax(dist, 1e-10)
        inv = dist ** (-2.0 / (m - 1))
        u = inv / inv.sum(axis=1, keepdims=True)
    return u, centres


def self_organising_map(weights, samples, rate=0.5, radius=2.0):
    rows, cols, _ = weights.shape
    gy, gx = np.mgrid[0:rows, 0:cols]
    steps = len(samples)
    for t, sample in enumerate(samples):
        d = ((weights - sample) ** 2).sum(axis=-1)
        by, bx = np.unravel_index(np.argmin(d), d.shape)
        decay = np.exp(-t / steps)
        influence = np.exp(-((gy - by) ** 2 + (gx - bx) ** 2) / (2 * (radius * decay) ** 2))
        weights += rate * decay * influence[..., None] * (sample - weights)
    return weights


def _clouds(size, random):
    centres = np.array([[0, 0], [3, 3], [0, 4]])
    return centres[random.integers(0, 3, size)] + 0.5 * random.standard_normal((size, 2))


def _points_and_centres(size, dtype, random):
    points = _clouds(size, random).astype(dtype)
    return points, points[: 3 if size > 3 else 1].copy()


def _kmeans_loops(size, dtype, random):
    points, centres = _points_and_centres(size, dtype, random)
    return points, centres, np.zeros(size, np.int64)


def _two_sets(size, dtype, random):
    return random.random((size, 3)).astype(dtype), random.random((size + 1, 3)).astype(dtype)


def _one_set(size, dtype, random):
    return (random.random((size, 4)).astype(dtype),)


def _density(size, dtype, random):
    return _clouds(size, random).astype(dtype), 0.6, 3


def _shift(size, dtype, random):
    return _clouds(size, random).astype(dtype), 0.8


def _distances(size, dtype, random):
    x = _clouds(size, random)
    return (np.sqrt(((x[:, None] - x) ** 2).sum(-1)).astype(dtype),)


def _classified(size, dtype, random):
    return _clouds(size, random).astype(dtype), random.integers(0, 4, size), _clouds(size, random).astype(dtype)


def _memberships(size, dtype, random):
    u = random.random((size, 3))
    return _clouds(size, random).astype(dtype), (u / u.sum(axis=1, keepdims=True)).astype(dtype)


def _map(size, dtype, random):
    return random.random((5, 6, 3)).astype(dtype), random.random((size, 3)).astype(dtype)


SUMS = "sums in another order"

PROGRAMS = (
    Program(kmeans, _points_and_centres, (20, 5, 57), 5_000, rounding=50, because=SUMS),
    Program(kmeans_loops, _kmeans_loops, (20, 5, 57), 1_000, loops=True),
    Program(pairwise_distances, _two_sets, (6, 1, 0, 17), 150, loops=True),
    Program(squared_distances, _one_set, (6, 1, 17), 500, rounding=50, because=SUMS),
    Program(dbscan, _density, (20, 1, 57), 300),
    Program(mean_shift, _shift, (9, 1, 40), 200, rounding=100, because=SUMS),
    Program(single_linkage, _distances, (9, 1, 30), 60, loops=True),
    Program(nearest_neighbours, _classified, (9, 1, 40), 400),
    Program(fuzzy_c_means, _memberships, (9, 3, 40), 5_000, rounding=300, because=SUMS),
    Program(self_organising_map, _map, (9, 1, 40), 300, rounding=100, because="exp"),
)
