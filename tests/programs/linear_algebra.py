"""Factorisations, solvers and products, by hand and with slices."""

import numpy as np

from tests.programs.catalogue import Program


def matmul(a, b):
    n, k = a.shape
    m = b.shape[1]
    c = np.zeros((n, m), dtype=a.dtype)
    for i in range(n):
        for j in range(m):
            for l in range(k):
                c[i, j] += a[i, l] * b[l, j]
    return c


def lu_in_place(a):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[k, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            for k in range(i):
                a[i, j] -= a[i, k] * a[k, j]


def lu_slices(a):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]


def cholesky(a):
    """Lower factor of a symmetric positive definite matrix."""
    n = a.shape[0]
    lower = np.zeros_like(a)
    for i in range(n):
        for j in range(i + 1):
            s = a[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, j] = np.sqrt(s)
            else:
                lower[i, j] = s / lower[j, j]
    return lower


def gram_schmidt(a):
    m, n = a.shape
    q = np.zeros_like(a)
    r = np.zeros((n, n), dtype=a.dtype)
    for k in range(n):
        nrm = np.dot(a[:, k], a[:, k])
        r[k, k] = np.sqrt(nrm)
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = np.dot(q[:, k], a[:, j])
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


def householder_qr(a):
    m, n = a.shape
    q = np.eye(m, dtype=a.dtype)
    r = a.copy()
    for k in range(min(m - 1, n)):
        x = r[k:, k]
        alpha = -np.sign(x[0]) * np.linalg.norm(x)
        v = x.copy()
        v[0] -= alpha
        v /= np.linalg.norm(v)
        r[k:, k:] -= 2.0 * np.outer(v, v @ r[k:, k:])
        q[:, k:] -= 2.0 * np.outer(q[:, k:] @ v, v)
    return q, r


def gaussian_elimination(a, b):
    """Solve with partial pivoting; returns None for a singular matrix."""
    a = a.copy()
    x = b.copy()
    n = len(x)
    for k in range(n):
        pivot = k + np.argmax(np.abs(a[k:, k]))
        if a[pivot, k] == 0:
            return None
        if pivot != k:
            a[[k, pivot]] = a[[pivot, k]]
            x[k], x[pivot] = x[pivot], x[k]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            x[i] -= factor * x[k]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            x[i] -= a[i, j] * x[j]
        x[i] /= a[i, i]
    return x


def thomas(a, b, c, d):
    """Tridiagonal system: a below, b on, c above the diagonal."""
    n = len(d)
    cp = np.zeros(n, dtype=d.dtype)
    dp = np.zeros(n, dtype=d.dtype)
    x = np.zeros(n, dtype=d.dtype)
    cp[0] = c[0] / b[0]
    dp[0] = d[0] / b[0]
    for i in range(1, n):
        w = b[i] - a[i] * cp[i - 1]
        cp[i] = c[i] / w
        dp[i] = (d[i] - a[i] * dp[i - 1]) / w
    x[-1] = dp[-1]
    for i in range(n - 2, -1, -1):
        x[i] = dp[i] - cp[i] * x[i + 1]
    return x


def conjugate_gradient(a, b, tol=1e-4, max_iter=None):
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rs = r @ r
    if max_iter is None:
        max_iter = 2 * len(b)
    it = 0
    while np.sqrt(rs) > tol and it < max_iter:
        ap = a @ p
        alpha = rs / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        rs_new = r @ r
        p = r + (rs_new / rs) * p
        rs = rs_new
        it += 1
    return x


def power_iteration(a, num_iter=200, tol=1e-5):
    v = np.ones(a.shape[0], dtype=a.dtype)
    v /= np.sqrt(np.sum(v**2))
    old = 0.0
    for _ in range(num_iter):
        w = np.dot(a, v)
        value = np.dot(v, w)
        v = w / np.sqrt(np.sum(w**2))
        if np.abs(value - old) < tol * np.abs(value):
            break
        old = value
    return value, v


def jacobi_eigenvalues(a, sweeps=6):
    """Cyclic Jacobi rotations of a symmetric matrix."""
    a = a.copy()
    n = a.shape[0]
    for sweep in range(sweeps):
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(a[p, q]) < 1e-7:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
                if theta < 0:
                    t = -t
                c = 1.0 / np.sqrt(t * t + 1.0)
                s = t * c
                for k in range(n):
                    akp, akq = a[k, p], a[k, q]
                    a[k, p] = c * akp - s * akq
                    a[k, q] = s * akp + c * akq
                for k in range(n):
                    apk, aqk = a[p, k], a[q, k]
                    a[p, k] = c * apk - s * aqk
                    a[q, k] = s * apk + c * aqk
    return np.sort(np.diag(a))


def syrk(alpha, beta, c, a):
    for i in range(a.shape[0]):
        c[i, : i + 1] *= beta
        for k in range(a.shape[1]):
            c[i, : i + 1] += alpha * a[i, k] * a[: i + 1, k]


def trisolv(lower, x, b):
    for i in range(lower.shape[0]):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]


def durbin(r):
    """Levinson-Durbin recursion for a Toeplitz system."""
    y = np.empty_like(r)
    alpha = -r[0]
    beta = 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


def matrix_power(a, n):
    result = np.eye(len(a), dtype=a.dtype)
    base = a
    while n > 0:
        if n & 1:
            result = result @ base
        base = base @ base
        n >>= 1
    return result


def csr_matvec(indptr, indices, data, x):
    n = len(indptr) - 1
    y = np.empty(n, dtype=x.dtype)
    for i in range(n):
        cols = indices[indptr[i] : indptr[i + 1]]
        vals = data[indptr[i] : indptr[i + 1]]
        y[i] = vals @ x[cols]
    return y


def _two(size, dtype, random):
    return random.random((size, size + 1)).astype(dtype), random.random((size + 1, size + 2)).astype(dtype)


def _matrix(size, dtype, random):
    return ((random.random((size, size)) + size * np.eye(size)).astype(dtype),)


def _positive(size, dtype, random):
    a = random.random((size, size))
    return ((a @ a.T + size * np.eye(size)).astype(dtype),)


def _tall(size, dtype, random):
    return (random.random((size + 2, size)).astype(dtype),)


def _system(size, dtype, random):
    return random.random((size, size)).astype(dtype), random.random(size).astype(dtype)


def _tridiagonal(size, dtype, random):
    a, c, d = random.random((3, size)).astype(dtype)
    return a, (2 + random.random(size)).astype(dtype), c, d


def _positive_system(size, dtype, random):
    return *_positive(size, dtype, random), random.random(size).astype(dtype)


def _syrk(size, dtype, random):
    return 1.5, 1.2, random.random((size, size)).astype(dtype), random.random((size, size + 2)).astype(dtype)


def _triangular(size, dtype, random):
    lower = np.tril(random.random((size, size))) + size * np.eye(size)
    return lower.astype(dtype), np.zeros(size, dtype), random.random(size).astype(dtype)


def _toeplitz(size, dtype, random):
    return ((random.random(size) / size).astype(dtype),)


def _power(size, dtype, random):
    return (random.random((size, size)) / size).astype(dtype), 13


def _sparse(size, dtype, random):
    counts = random.integers(0, 5, size)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    indices = random.integers(0, size, indptr[-1])
    return indptr, indices, random.random(indptr[-1]).astype(dtype), random.random(size).astype(dtype)


BLAS = "products are summed in another order"

PROGRAMS = (
    Program(matmul, _two, (4, 1, 0, 9), 60, loops=True),
    Program(lu_in_place, _matrix, (5, 1, 12), 60, loops=True),
    Program(lu_slices, _matrix, (5, 1, 12), 120, rounding=50, because=BLAS),
    Program(cholesky, _positive, (5, 1, 12), 60, loops=True),
    Program(gram_schmidt, _tall, (4, 1, 11), 80, rounding=3000, because=BLAS),
    Program(householder_qr, _tall, (4, 2, 11), 80, rounding=300, because=BLAS),
    Program(gaussian_elimination, _system, (5, 1, 12), 100),
    Program(thomas, _tridiagonal, (6, 1, 40), 5_000, loops=True),
    Program(conjugate_gradient, _positive_system, (6, 1, 20), 300, rounding=1000, because=BLAS),
    Program(power_iteration, _positive, (6, 1, 20), 300, rounding=1000, because=BLAS),
    Program(jacobi_eigenvalues, _positive, (5, 1, 9), 16, loops=True),
    Program(syrk, _syrk, (5, 1, 12), 80),
    Program(trisolv, _triangular, (6, 1, 20), 1000, rounding=50, because=BLAS),
    Program(durbin, _toeplitz, (6, 1, 20), 1000, rounding=200, because=BLAS),
    Program(matrix_power, _power, (5, 1, 12), 150, rounding=100, because=BLAS),
    Program(csr_matvec, _sparse, (6, 1, 30), 2_000, rounding=20, because=BLAS),
)
