"""Programs with comprehensions, lists and dicts that are filled by index, and dicts and sets with computed keys."""

from __future__ import annotations

import collections

import numpy as np

__all__ = ["PROGRAMS"]


def comp_range(x, n):
    return np.array([i * i for i in range(n)])


def comp_list(x, n):
    return [x[i % len(x)] * 2 for i in range(n)]


def comp_if(x, n):
    return np.array([v for v in x if v > 0])


def comp_nested(x, n):
    return np.array([[x[i] * j for j in range(n)] for i in range(len(x))])


def comp_rows(a, n):
    return np.array([row.sum() for row in a]), [row.max() for row in a]


def comp_two(x, n):
    return [i * j for i in range(n) for j in range(i)]


def gen_sum(x, n):
    return sum(v * v for v in x), sum(i for i in range(n)), max(v for v in x), min(abs(v) for v in x)


def gen_any(x, n):
    return any(v > 1.5 for v in x), all(v > -10 for v in x)


def is_prime_all(x, n):
    return [p for p in range(2, n + 2) if all(p % d for d in range(2, int(p**0.5) + 1))]


def comp_tuple(x, n):
    return [(i, x[i % len(x)]) for i in range(n)]


def fib_dp(x, n):
    f = [0] * (n + 2)
    f[1] = 1
    for i in range(2, n + 1):
        f[i] = (f[i - 1] + f[i - 2]) % 1000007
    return f[n]


def coins(x, n):
    ways = [0] * (n + 1)
    ways[0] = 1
    for c in (1, 2, 5):
        for i in range(c, n + 1):
            ways[i] += ways[i - c]
    return ways


def lcs(x, n):
    m = len(x)
    t = [[0] * (m + 1) for _ in range(m + 1)]
    for i in range(1, m + 1):
        for j in range(1, m + 1):
            if (x[i - 1] > 0) == (x[m - j] > 0):
                t[i][j] = t[i - 1][j - 1] + 1
            else:
                t[i][j] = max(t[i - 1][j], t[i][j - 1])
    return t[m][m]


def knap(x, n):
    best = [0.0] * (n + 1)
    for v in x:
        for c in range(n, 1, -1):
            cand = best[c - 2] + abs(v)
            if cand > best[c]:
                best[c] = cand
    return best[n], np.array(best)


def fill_none(x, n):
    out = [None] * n
    for i in range(n):
        out[i] = x[i % len(x)] + i
    return np.array(out)


def dict_turn(x, n):
    h = {}
    h[-1] = np.zeros(3)
    for t in range(n):
        h[t] = np.tanh(h[t - 1] * 0.5 + x[t % len(x)])
    total = np.zeros(3)
    for t in reversed(range(n)):
        total += h[t] * h[t - 1]
    return total


def cache_tuple(x, n):
    cache = []
    h = np.zeros(3)
    for t in range(n):
        hn = np.tanh(h + x[t % len(x)])
        cache.append((h, hn))
        h = hn
    g = np.zeros(3)
    for a, b in reversed(cache):
        g = g * 0.9 + a * b
    return g


def hist_dict(x, n):
    counts = {}
    for v in x:
        k = int(abs(v) * 3)
        if k in counts:
            counts[k] += 1
        else:
            counts[k] = 1
    return sum(counts.values())


def tolist(x, n):
    x = abs(x)
    ys = x.tolist()
    zs = list(x)
    total = 0.0
    for a, b in zip(ys, zs, strict=True):
        total += a * b
    return total, len(ys), max(ys)


def convolve(x, n):
    out = [0.0] * (len(x) + 2)
    k = [0.25, 0.5, 0.25]
    for i in range(len(x)):
        for j in range(3):
            out[i + j] += x[i] * k[j]
    return out


def trapz_gen(x, n):
    return sum((x[i] + x[i + 1]) * 0.5 for i in range(len(x) - 1))


def np_array_rows(a, n):
    return np.array([np.cumsum(r) for r in a]), np.array([[v * 2 for v in r] for r in a])


def histogram_list(x, n):
    bins = [0] * 6
    for v in x:
        k = min(5, int(abs(v) * 2))
        bins[k] += 1
    return bins


def swap_list(x, n):
    p = list(range(n))
    for i in range(n):
        j = (i * 7 + 3) % n
        p[i], p[j] = p[j], p[i]
    return p


def matrix_lists(x, n):
    m = 4 + n % 2
    a = [[float(i * j + 1) for j in range(m)] for i in range(m)]
    c = [[0.0] * m for _ in range(m)]
    for i in range(m):
        for j in range(m):
            s = 0.0
            for k in range(m):
                s += a[i][k] * a[k][j]
            c[i][j] = s
    return c[1][2], sum(c[0])


def edit_distance(x, n):
    m = len(x)
    prev = list(range(m + 1))
    for i in range(1, m + 1):
        cur = [i] + [0] * m
        for j in range(1, m + 1):
            cost = 0 if (x[i - 1] > 0) == (x[j - 1] > 0.3) else 1
            cur[j] = min(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + cost)
        prev = cur
    return prev[m]


def set_of(x, n):
    s = set()
    for v in x:
        s.add(int(v))
    return len(s)


def dict_comp(x, n):
    d = {i: x[i % len(x)] for i in range(n)}
    t = 0.0
    for i in range(n):
        t += d[i]
    return t


def rnn_like(x, n):
    xs, hs = {}, {}
    hs[-1] = np.zeros(3)
    loss = 0
    for t in range(n):
        xs[t] = np.zeros(3)
        xs[t][t % 3] = 1
        prev = hs[t - 1]
        hs[t] = np.tanh(prev * 0.5 + xs[t] + x[0])
        loss += -np.log(np.abs(hs[t][0]) + 1 + prev[1])
    d = np.zeros_like(hs[0])
    for t in reversed(range(n)):
        g = np.copy(hs[t])
        g[t % 3] -= 1
        d += g * hs[t - 1] + xs[t]
    return loss, d, hs[n - 1], len(hs)


def memo_dict(x, n):
    f = {0: 1, 1: 1}
    for i in range(2, n):
        f[i] = (f[i - 1] + f[i - 2]) % 1009
    return f[n - 1], (n in f), (3 in f), len(f)


def swap_rows(x, n):
    t = [[float(i * 3 + j) for j in range(4)] for i in range(n)]
    for i in range(n - 1):
        if x[i % len(x)] > 0:
            t[i], t[i + 1] = t[i + 1], t[i]
    return t[0][1], t[n - 1][2], np.array(t)


def hist_items(x, n):
    counts = {}
    for v in x:
        k = int(v * 2)
        counts[k] = counts.get(k, 0) + 1
    best = max(counts.values())
    total = 0
    for k, c in counts.items():
        total += k * c
    return counts, best, total, sorted(counts.keys())


def default_counts(x, n):
    d = collections.defaultdict(int)
    for v in x:
        d[int(v)] += 1
    e = collections.defaultdict(float)
    for i in range(n):
        e[i % 3] += x[i % len(x)]
    return d, e[1], len(e)


def seen_pairs(x, n):
    seen = set()
    steps = 0
    a, b = 1, n
    while (a, b) not in seen:
        seen.add((a, b))
        a, b = b, (a + b) % 11
        steps += 1
    return steps, len(seen)


def counter(x, n):
    c = collections.Counter()
    for i in range(n * 3):
        c[(i * i) % 7] += 1
    return c


def returned_squares(x, n):
    d = {}
    for i in range(n):
        d[i] = i * i
    return d


def memo_collatz(x, n):
    lengths = {1: 0}
    longest = 0
    for i in range(2, n + 20):
        k = i
        steps = 0
        while k not in lengths:
            k = k // 2 if k % 2 == 0 else 3 * k + 1
            steps += 1
        lengths[i] = steps + lengths[k]
        longest = max(longest, lengths[i])
    return longest


def two_sum(x, n):
    where = {}
    found = (-1, -1)
    for i in range(n * 2):
        v = (i * 7) % 31
        if 40 - v in where:
            found = (where[40 - v], i)
            break
        where[v] = i
    return found


PROGRAMS = [
    comp_range, comp_list, comp_if, comp_nested, comp_rows, comp_two, gen_sum, gen_any, is_prime_all, comp_tuple,
    fib_dp, coins, lcs, knap, fill_none, dict_turn, cache_tuple, hist_dict, tolist, convolve, trapz_gen,
    np_array_rows, histogram_list, swap_list, matrix_lists, edit_distance, set_of, dict_comp, rnn_like, memo_dict,
    swap_rows, hist_items, default_counts, seen_pairs, counter, returned_squares, memo_collatz, two_sum,
]  # fmt: skip
