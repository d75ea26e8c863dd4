"""Programs with lists as stacks, queues and heaps: each gets an array (or a number of turns) of some size."""

from __future__ import annotations

import heapq
from collections import deque

import numpy as np

__all__ = ["PROGRAMS"]


def paren(s, n):
    stack = []
    match = np.full(len(s), -1)
    for i in range(len(s)):
        if s[i] > 0:
            stack.append(i)
        elif len(stack) > 0:
            j = stack.pop()
            match[i] = j
            match[j] = i
    return match, len(stack), stack


def dfs(adj, n):
    m = adj.shape[0]
    seen = np.zeros(m, dtype=bool)
    order = []
    stack = [0]
    while stack:
        v = stack.pop()
        if seen[v]:
            continue
        seen[v] = True
        order.append(v)
        for u in range(m - 1, -1, -1):
            if adj[v, u] and not seen[u]:
                stack.append(u)
    return np.array(order)


def bfs(adj, n):
    m = adj.shape[0]
    dist = np.full(m, -1)
    dist[0] = 0
    q = deque([0])
    while q:
        v = q.popleft()
        for u in range(m):
            if adj[v, u] and dist[u] < 0:
                dist[u] = dist[v] + 1
                q.append(u)
    return dist


def bfs_list(adj, n):
    m = adj.shape[0]
    dist = np.full(m, -1)
    dist[0] = 0
    q = [0]
    while len(q) > 0:
        v = q.pop(0)
        for u in np.nonzero(adj[v])[0]:
            if dist[u] < 0:
                dist[u] = dist[v] + 1
                q.append(u)
    return dist


def bfs_levels(adj, n):
    m = adj.shape[0]
    level = np.full(m, -1)
    level[0] = 0
    frontier = [0]
    d = 0
    while frontier:
        following = []
        d += 1
        for v in frontier:
            for u in range(m):
                if adj[v, u] and level[u] < 0:
                    level[u] = d
                    following.append(u)
        frontier = following
    return level, d


def flood(img, n):
    h, w = img.shape
    out = np.zeros((h, w), dtype=np.int64)
    label = 0
    for i in range(h):
        for j in range(w):
            if img[i, j] > 0 and out[i, j] == 0:
                label += 1
                stack = [(i, j)]
                out[i, j] = label
                while stack:
                    y, x = stack.pop()
                    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                        a, b = y + dy, x + dx
                        if 0 <= a < h and 0 <= b < w and img[a, b] > 0 and out[a, b] == 0:
                            out[a, b] = label
                            stack.append((a, b))
    return out, label


def dijkstra(w, n):
    m = w.shape[0]
    dist = np.full(m, np.inf)
    dist[0] = 0.0
    heap = [(0.0, 0)]
    while heap:
        d, v = heapq.heappop(heap)
        if d > dist[v]:
            continue
        for u in range(m):
            if w[v, u] > 0 and d + w[v, u] < dist[u]:
                dist[u] = d + w[v, u]
                heapq.heappush(heap, (dist[u], u))
    return dist


def heap_numbers(x, n):
    heap = []
    for v in x:
        heapq.heappush(heap, v)
    out = []
    while heap:
        out.append(heapq.heappop(heap))
    return np.array(out)


def smallest_k(x, n):
    heap = []
    for v in x:
        heapq.heappush(heap, -v)
        if len(heap) > n:
            heapq.heappop(heap)
    return sorted([-v for v in heap])


def enumerate_list(x, n):
    squares = [i * 0.5 for i in range(n)]
    total = 0.0
    for k, v in enumerate(squares):
        total += k * v
    for a, b in zip(squares, squares[1:], strict=False):  # noqa: RUF007
        total += a * b
    return total, len(squares)


def running_median(x, n):
    out = []
    window = []
    for v in x:
        window.append(v)
        if len(window) > 5:
            window.pop(0)
        s = sorted(window)
        out.append(s[len(s) // 2])
    return np.array(out)


def moving_deque(x, n):
    q = deque()
    s = 0.0
    out = []
    for v in x:
        q.append(v)
        s += v
        if len(q) > 3:
            s -= q.popleft()
        out.append(s / len(q))
    return np.array(out)


def maxlen_deque(x, n):
    q = deque(maxlen=4)
    out = []
    for v in x:
        q.append(v)
        out.append(sum(q) / len(q))
    return np.array(out)


def monotone(x, n):
    res = np.full(len(x), -1)
    st = []
    for i in range(len(x)):
        while st and x[st[-1]] < x[i]:
            res[st.pop()] = i
        st.append(i)
    return res


def rpn(x, n):
    stack = []
    for i in range(n):
        if i % 3 != 2:
            stack.append(float(i))
        else:
            b = stack.pop()
            a = stack.pop()
            stack.append(a - b * 0.5)
    return stack[-1] if stack else 0.0


def insert_front(x, n):
    out = []
    for i in range(n):
        out.insert(0, i * 2)
    return out


def contains(x, n):
    seen = []
    for v in x:
        k = int(v * 2)
        if k not in seen:
            seen.append(k)
    return seen


def index_count(x, n):
    xs = [i % 3 for i in range(n)]
    return xs.index(2), xs.count(1), xs.copy()[1:], max(xs), min(xs), sum(xs)


def sort_in_place(x, n):
    xs = [v for v in x]
    xs.sort()
    ys = [v for v in x]
    ys.sort(reverse=True)
    zs = sorted(x, key=lambda v: abs(v))
    ys.reverse()
    return xs, ys, zs


def sort_tuples(x, n):
    pairs = [(int(v * 2), v) for v in x]
    pairs.sort()
    return np.array([p[1] for p in pairs]), pairs[0][0]


def sort_pair(x, n):
    s = 0.0
    for i in range(len(x) - 1):
        a, b = sorted([x[i], x[i + 1]])
        s += b - a
    return s


def list_mean(x, n):
    xs = []
    for v in x:
        if v > 0:
            xs.append(v)
    return np.mean(xs), np.std(xs), np.sum(xs), np.max(xs), float(len(xs))


def list_concat(x, n):
    a = [i for i in range(n)]
    b = [i * 2 for i in range(n)]
    return a + b, (a + b)[3:5], [0] + a  # noqa: RUF005


def quick_partition(x, n):
    stack = [(0, len(x) - 1)]
    a = x.copy()
    while stack:
        lo, hi = stack.pop()
        if lo >= hi:
            continue
        p = a[hi]
        i = lo
        for j in range(lo, hi):
            if a[j] < p:
                t = a[i]
                a[i] = a[j]
                a[j] = t
                i += 1
        t = a[i]
        a[i] = a[hi]
        a[hi] = t
        stack.append((lo, i - 1))
        stack.append((i + 1, hi))
    return a


def topo(adj, n):
    m = adj.shape[0]
    up = np.triu(adj, 1)
    indeg = up.sum(axis=0)
    ready = [i for i in range(m) if indeg[i] == 0]
    order = []
    while ready:
        v = ready.pop()
        order.append(v)
        for u in range(m):
            if up[v, u]:
                indeg[u] -= 1
                if indeg[u] == 0:
                    ready.append(u)
    return np.array(order), len(order) == m


def union_find(adj, n):
    m = adj.shape[0]
    parent = list(range(m))

    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    groups = m
    for i in range(m):
        for j in range(i):
            if adj[i, j]:
                a = find(i)
                b = find(j)
                if a != b:
                    parent[a] = b
                    groups -= 1
    return groups


def path_back(w, n):
    m = w.shape[0]
    prev = [-1] * m
    for i in range(1, m):
        prev[i] = int(np.argmax(w[i, :i]))
    path = []
    v = m - 1
    while v != -1:
        path.append(v)
        v = prev[v]
    path.reverse()
    return path


def primes(x, n):
    found = []
    k = 2
    while len(found) < n:
        good = True
        for p in found:
            if p * p > k:
                break
            if k % p == 0:
                good = False
                break
        if good:
            found.append(k)
        k += 1
    return found


def merge(x, n):
    h = len(x) // 2
    a, b = np.sort(x[:h]), np.sort(x[h:])
    out = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            out.append(a[i])
            i += 1
        else:
            out.append(b[j])
            j += 1
    while i < len(a):
        out.append(a[i])
        i += 1
    while j < len(b):
        out.append(b[j])
        j += 1
    return np.array(out)


def run_lengths(x, n):
    runs = []
    count = 1
    for i in range(1, len(x)):
        if (x[i] > 0) == (x[i - 1] > 0):
            count += 1
        else:
            runs.append(count)
            count = 1
    runs.append(count)
    return runs


def digits(x, n):
    ds = []
    k = n * 7919 + 1
    while k:
        ds.append(k % 10)
        k //= 10
    return ds[::-1], sum(ds)


def intervals(x, n):
    iv = [(min(v, v * v), max(v, v * v)) for v in x]
    iv.sort(key=lambda p: p[0])
    merged = []
    for lo, hi in iv:
        if merged and lo <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(hi, merged[-1][1]))
        else:
            merged.append((lo, hi))
    return len(merged), np.array(merged)


def pop_del(x, n):
    s = [i for i in range(n)]
    t = 0
    while len(s) > 2:
        t += s[-1]
        del s[-1]
        if len(s) > 2:
            t -= s.pop(1)
    return s, t


def extend_list(x, n):
    out = []
    for i in range(n):
        out.extend([i, i * 2])
        out += [7]
    return out


def extend_late(x, n):
    out = [0]
    for i in range(n):
        if len(out) < 50:
            out.extend(range(i))
    return sum(out), len(out)


def lis(x, n):
    tails = []
    for v in x:
        lo, hi = 0, len(tails)
        while lo < hi:
            mid = (lo + hi) // 2
            if tails[mid] < v:
                lo = mid + 1
            else:
                hi = mid
        if lo == len(tails):
            tails.append(v)
        else:
            tails[lo] = v
    return len(tails), np.array(tails)


def branch_append(x, n):
    names = []
    if x[0] > 0:
        names.append(1)
    else:
        names.append(2)
        names.append(3)
    return np.array(names), len(names)


def alias(x, n):
    a = [0]
    for i in range(n):
        a.append(i)
    b = a
    for i in range(n):
        a.append(i * 2)
    return len(b), b[-1], sum(b)


def helper_push(x, n):
    def push(s, v):
        s.append(v)
        s.append(v + 1)

    st = []
    for i in range(n):
        push(st, i)
    return st


def to_callee(x, n):
    def fill(out):
        for i in range(n):
            out.append(i)

    res = []
    fill(res)
    return np.array(res)


def stack_of_arrays(x, n):
    st = [x]
    total = 0.0
    for _ in range(n):
        st.append(st[-1] * 0.5)
    while st:
        v = st.pop()
        total += v.sum()
    return total


PROGRAMS = [
    paren, dfs, bfs, bfs_list, bfs_levels, flood, dijkstra, heap_numbers, smallest_k, enumerate_list,
    running_median, moving_deque, maxlen_deque, monotone, rpn, insert_front, contains, index_count, sort_in_place,
    sort_tuples, sort_pair, list_mean, list_concat, quick_partition, topo, union_find, path_back, primes, merge,
    run_lengths, digits, intervals, pop_del, extend_list, extend_late, lis, branch_append, alias, helper_push,
    to_callee, stack_of_arrays,
]  # fmt: skip
