"""Graphs as matrices, edge lists and compressed rows."""

import numpy as np

from tests.programs.catalogue import Program


def floyd_warshall(dist):
    n = dist.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if dist[i, k] + dist[k, j] < dist[i, j]:
                    dist[i, j] = dist[i, k] + dist[k, j]


def shortest_paths(weights):
    """Floyd-Warshall with whole rows, and the successor of each vertex on its path."""
    n = len(weights)
    dist = weights.copy()
    succ = np.zeros((n, n), dtype=np.int64)
    succ[:, :] = np.arange(n)
    for k in range(n):
        through = dist[:, k, np.newaxis] + dist[k, :]
        better = through < dist
        dist = np.where(better, through, dist)
        succ = np.where(better, succ[:, k : k + 1], succ)
    return dist, succ


def bellman_ford(source, target, weight, start, n):
    dist = np.full(n, np.inf, dtype=weight.dtype)
    dist[start] = 0
    for round in range(n - 1):
        changed = False
        for e in range(len(source)):
            candidate = dist[source[e]] + weight[e]
            if candidate < dist[target[e]]:
                dist[target[e]] = candidate
                changed = True
        if not changed:
            break
    return dist


def dijkstra(graph, start=0):
    n = graph.shape[0]
    dist = np.full(n, np.inf)
    dist[start] = 0.0
    visited = np.zeros(n, dtype=bool)
    parent = -np.ones(n, dtype=int)
    for _ in range(n):
        masked = np.where(visited, np.inf, dist)
        u = np.argmin(masked)
        if np.isinf(masked[u]):
            break
        visited[u] = True
        for v in range(n):
            if graph[u, v] > 0 and not visited[v]:
                alt = dist[u] + graph[u, v]
                if alt < dist[v]:
                    dist[v] = alt
                    parent[v] = u
    return dist, parent


def pagerank(source, target, n, damping=0.85, tol=1e-5):
    degree = np.zeros(n)
    np.add.at(degree, source, 1)
    rank = np.ones(n) / n
    iterations = 0
    while True:
        new = np.zeros(n)
        np.add.at(new, target, rank[source] / degree[source])
        dangling = rank[degree == 0].sum()
        new = (1 - damping) / n + damping * (new + dangling / n)
        iterations += 1
        if np.abs(new - rank).sum() < tol:
            return new, iterations
        rank = new


def connected_components(n, u, v):
    labels = np.arange(n)
    while True:
        old = labels.copy()
        np.minimum.at(labels, u, labels[v])
        np.minimum.at(labels, v, labels[u])
        if np.all(labels == old):
            break
    return labels, len(np.unique(labels))


def prim(weights):
    """Weight of the minimum spanning tree of a complete graph, and its edges."""
    n = weights.shape[0]
    in_tree = np.zeros(n, dtype=np.bool_)
    best = np.full(n, 1e9, dtype=weights.dtype)
    parent = np.full(n, -1)
    best[0] = 0
    total = 0.0
    for _ in range(n):
        u = -1
        for i in range(n):
            if not in_tree[i] and (u == -1 or best[i] < best[u]):
                u = i
        in_tree[u] = True
        total += best[u]
        for i in range(n):
            if weights[u, i] < best[i] and not in_tree[i]:
                best[i] = weights[u, i]
                parent[i] = u
    return total, parent


def breadth_first(indptr, indices, start):
    n = indptr.shape[0] - 1
    level = np.full(n, -1, dtype=np.int64)
    queue = np.empty(n, dtype=np.int64)
    level[start] = 0
    queue[0] = start
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for k in range(indptr[node], indptr[node + 1]):
            neighbour = indices[k]
            if level[neighbour] < 0:
                level[neighbour] = level[node] + 1
                queue[tail] = neighbour
                tail += 1
    return level


def count_triangles(adjacency):
    n = adjacency.shape[0]
    count = 0
    for i in range(n):
        for j in range(i + 1, n):
            if not adjacency[i, j]:
                continue
            for k in range(j + 1, n):
                if adjacency[i, k] and adjacency[j, k]:
                    count += 1
    return count


def transitive_closure(reach):
    n = reach.shape[0]
    for k in range(n):
        reach |= reach[:, k][:, None] & reach[k]
    return reach


def find(parent, x):
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


def kruskal(u, v, w, n):
    """Minimum spanning forest with union-find."""
    order = np.argsort(w, kind="stable")
    parent = np.arange(n)
    rank = np.zeros(n, dtype=int)
    total = 0.0
    edges = 0
    for e in order:
        a, b = find(parent, u[e]), find(parent, v[e])
        if a == b:
            continue
        if rank[a] < rank[b]:
            a, b = b, a
        parent[b] = a
        if rank[a] == rank[b]:
            rank[a] += 1
        total += w[e]
        edges += 1
        if edges == n - 1:
            break
    return total, edges


def _weights(size, dtype, random):
    weights = random.integers(1, 20, (size, size)).astype(dtype)
    np.fill_diagonal(weights, 0)
    return (weights,)


def _sparse_weights(size, dtype, random):
    (weights,) = _weights(size, dtype, random)
    return (weights * (random.random((size, size)) < 0.4),)


def _edges(size, random):
    return random.integers(0, size, 3 * size), random.integers(0, size, 3 * size)


def _weighted_edges(size, dtype, random):
    return *_edges(size, random), random.integers(1, 20, 3 * size).astype(dtype), size // 2, size


def _links(size, dtype, random):
    return *_edges(size, random), size


def _pairs(size, dtype, random):
    return size, random.integers(0, size, size // 2), random.integers(0, size, size // 2)


def _rows(size, dtype, random):
    indptr = np.concatenate(([0], np.cumsum(random.integers(0, 4, size))))
    return indptr, random.integers(0, size, indptr[-1]), size // 2


def _adjacency(size, dtype, random):
    return (random.random((size, size)).astype(dtype) < 0.3,)


def _few_links(size, dtype, random):
    return (random.random((size, size)) < 1.0 / size,)


def _spanning(size, dtype, random):
    return *_edges(size, random), random.random(3 * size).astype(dtype), size


BOOLS = ("bool",)
WHOLE = ("float64", "float32", "int64")

PROGRAMS = (
    Program(floyd_warshall, _weights, (5, 1, 2, 13), 80, WHOLE, loops=True),
    Program(shortest_paths, _weights, (5, 1, 2, 13), 150, WHOLE),
    Program(bellman_ford, _weighted_edges, (6, 1, 20), 300, WHOLE[:2], loops=True),
    Program(dijkstra, _sparse_weights, (6, 1, 20), 300, WHOLE),
    Program(pagerank, _links, (6, 1, 30), 3_000, ("int64",), rounding=20, because="sums in another order"),
    Program(connected_components, _pairs, (8, 2, 30), 3_000, ("int64",)),
    Program(prim, _weights, (5, 1, 16), 250, WHOLE, loops=True),
    Program(breadth_first, _rows, (8, 1, 40), 5_000, ("int64",), loops=True),
    Program(count_triangles, _adjacency, (7, 1, 20), 100, ("float64",), loops=True),
    Program(transitive_closure, _few_links, (7, 1, 20), 150, BOOLS),
    Program(kruskal, _spanning, (7, 2, 30), 500),
)
