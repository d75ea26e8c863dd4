"""Dynamic programming over strings, paths and tables."""

import numpy as np

from tests.programs.catalogue import Program


def smith_waterman(a, b, match=3, mismatch=-3, gap=2):
    """Best local alignment of two sequences."""
    n, m = len(a), len(b)
    h = np.zeros((n + 1, m + 1), dtype=np.int64)
    best = 0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            diagonal = h[i - 1, j - 1] + (match if a[i - 1] == b[j - 1] else mismatch)
            score = max(0, diagonal, h[i - 1, j] - gap, h[i, j - 1] - gap)
            h[i, j] = score
            if score > best:
                best = score
    return h, best


def needleman_wunsch(a, b, similarity, gap):
    """Global alignment: the score table and the path through it, as pairs of positions with -1 for gaps."""
    n = len(a)
    m = len(b)
    f = np.zeros((n + 1, m + 1), dtype=similarity.dtype)
    f[:, 0] = gap * np.arange(n + 1)
    f[0, :] = gap * np.arange(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            f[i, j] = max(f[i - 1, j - 1] + similarity[a[i - 1], b[j - 1]], f[i - 1, j] + gap, f[i, j - 1] + gap)
    path = np.full((n + m, 2), -1)
    k = 0
    i, j = n, m
    while i > 0 or j > 0:
        if i > 0 and j > 0 and f[i, j] == f[i - 1, j - 1] + similarity[a[i - 1], b[j - 1]]:
            i -= 1
            j -= 1
            path[k] = i, j
        elif i > 0 and f[i, j] == f[i - 1, j] + gap:
            i -= 1
            path[k, 0] = i
        else:
            j -= 1
            path[k, 1] = j
        k += 1
    return f[n, m], path, k


def edit_distance(s, t):
    previous = np.arange(len(t) + 1)
    current = np.empty_like(previous)
    for i in range(len(s)):
        current[0] = i + 1
        for j in range(len(t)):
            cost = 0 if s[i] == t[j] else 1
            current[j + 1] = min(previous[j + 1] + 1, current[j] + 1, previous[j] + cost)
        previous, current = current, previous
    return previous[-1]


def longest_common_subsequence(x, y):
    m, n = x.shape[0], y.shape[0]
    table = np.zeros((m + 1, n + 1), dtype=np.int32)
    for i in range(m):
        for j in range(n):
            if x[i] == y[j]:
                table[i + 1, j + 1] = table[i, j] + 1
            else:
                table[i + 1, j + 1] = max(table[i, j + 1], table[i + 1, j])
    return table[m, n]


def knapsack(values, weights, capacity):
    best = np.zeros(capacity + 1, dtype=values.dtype)
    for i in range(len(values)):
        for c in range(capacity, weights[i] - 1, -1):
            best[c] = max(best[c], best[c - weights[i]] + values[i])
    return best[capacity]


def pairs_match(b1, b2):
    if b1 + b2 == 3:
        return 1
    return 0


def nussinov(seq):
    """Most base pairs of an RNA sequence."""
    n = len(seq)
    table = np.zeros((n, n), dtype=np.int64)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < n:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < n:
                if i < j - 1:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1] + pairs_match(seq[i], seq[j]))
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table


def viterbi(observed, initial, transition, emission):
    """Most likely states of a hidden Markov model."""
    n_states = len(initial)
    n_steps = len(observed)
    log_t = np.log(transition)
    log_e = np.log(emission)
    score = np.zeros((n_steps, n_states))
    back = np.zeros((n_steps, n_states), dtype=int)
    score[0] = np.log(initial) + log_e[:, observed[0]]
    for t in range(1, n_steps):
        for s in range(n_states):
            candidates = score[t - 1] + log_t[:, s]
            back[t, s] = np.argmax(candidates)
            score[t, s] = candidates[back[t, s]] + log_e[s, observed[t]]
    states = np.zeros(n_steps, dtype=int)
    states[-1] = np.argmax(score[-1])
    for t in range(n_steps - 2, -1, -1):
        states[t] = back[t + 1, states[t + 1]]
    return states, score[-1].max()


def longest_increasing(x):
    n = x.size
    length = np.ones(n, dtype=int)
    for i in range(1, n):
        for j in range(i):
            if x[j] < x[i] and length[j] + 1 > length[i]:
                length[i] = length[j] + 1
    return length.max()


def matrix_chain(p):
    n = len(p) - 1
    cost = np.zeros((n, n))
    split = np.zeros((n, n), dtype=int)
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            cost[i, j] = np.inf
            for k in range(i, j):
                q = cost[i, k] + cost[k + 1, j] + p[i] * p[k + 1] * p[j + 1]
                if q < cost[i, j]:
                    cost[i, j] = q
                    split[i, j] = k
    return cost[0, n - 1], split


def dynamic_time_warping(s, t, window):
    n, m = len(s), len(t)
    w = max(window, abs(n - m))
    d = np.full((n + 1, m + 1), np.inf)
    d[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(max(1, i - w), min(m, i + w) + 1):
            cost = abs(s[i - 1] - t[j - 1])
            d[i, j] = cost + min(d[i - 1, j], d[i, j - 1], d[i - 1, j - 1])
    return d[n, m]


def max_subarray(x):
    """Kadane: the largest sum of consecutive elements and where it is."""
    best_sum = x[0]
    best_start = best_end = 0
    current_sum = x[0]
    current_start = 0
    for end in range(1, len(x)):
        if current_sum < 0:
            current_sum = x[end]
            current_start = end
        else:
            current_sum += x[end]
        if current_sum > best_sum:
            best_sum = current_sum
            best_start, best_end = current_start, end
    return best_sum, best_start, best_end


def forward_backward(observed, pi, a, b):
    n, k = len(observed), len(pi)
    alpha = np.zeros((n, k))
    beta = np.ones((n, k))
    scale = np.zeros(n)
    alpha[0] = pi * b[:, observed[0]]
    scale[0] = alpha[0].sum()
    alpha[0] /= scale[0]
    for t in range(1, n):
        alpha[t] = (alpha[t - 1] @ a) * b[:, observed[t]]
        scale[t] = alpha[t].sum()
        alpha[t] /= scale[t]
    for t in reversed(range(n - 1)):
        beta[t] = (a @ (b[:, observed[t + 1]] * beta[t + 1])) / scale[t + 1]
    gamma = alpha * beta
    gamma /= gamma.sum(axis=1, keepdims=True)
    return gamma, np.log(scale).sum()


def _two_strings(size, dtype, random):
    return random.integers(0, 4, size).astype(dtype), random.integers(0, 4, size + 3).astype(dtype)


def _alignment(size, dtype, random):
    a, b = _two_strings(size, np.dtype("int64"), random)
    return a, b, (2 * np.eye(4) - 1).astype(dtype), -2


def _items(size, dtype, random):
    return random.integers(1, 50, size).astype(dtype), random.integers(1, 10, size), 4 * size


def _bases(size, dtype, random):
    return (random.integers(0, 4, size),)


def _stochastic(random, *shape):
    a = random.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def _hidden(size, dtype, random):
    observed = random.integers(0, 5, size)
    k = 3 + size % 2
    tables = _stochastic(random, k), _stochastic(random, k, k), _stochastic(random, k, 5)
    return observed, *(table.astype(dtype) for table in tables)


def _numbers(size, dtype, random):
    return (random.standard_normal(size).astype(dtype),)


def _dimensions(size, dtype, random):
    return (random.integers(1, 30, size + 1).astype(dtype),)


def _two_signals(size, dtype, random):
    return random.random(size).astype(dtype), random.random(size + 2).astype(dtype), 5


JOINED = "the number before the first turn stays where no turn replaces it"

PROGRAMS = (
    Program(smith_waterman, _two_strings, (6, 1, 0, 17), 150, ("int64", "int8"), loops=True, joined=JOINED),
    Program(needleman_wunsch, _alignment, (6, 1, 17), 150, ("int64", "float64"), loops=True),
    Program(edit_distance, _two_strings, (6, 1, 0, 17), 200, ("int64", "uint8"), loops=True),
    Program(longest_common_subsequence, _two_strings, (6, 1, 0, 17), 200, ("int64",), loops=True),
    Program(knapsack, _items, (5, 1, 12), 100, ("int64", "float64"), loops=True),
    Program(nussinov, _bases, (6, 1, 2, 14), 60, ("int64",), loops=True),
    Program(viterbi, _hidden, (6, 1, 25), 500, rounding=20, because="logarithms"),
    Program(longest_increasing, _numbers, (7, 1, 30), 400, ("float64", "float32"), loops=True),
    Program(matrix_chain, _dimensions, (5, 1, 12), 50, ("int64", "float64"), loops=True),
    Program(dynamic_time_warping, _two_signals, (6, 1, 25), 200, loops=True),
    Program(max_subarray, _numbers, (7, 1, 30), 20_000, loops=True),
    Program(forward_backward, _hidden, (6, 2, 25), 1_000, rounding=200, because="products are summed in another order"),
)
