"""Descriptive statistics, regressions and mixtures."""

import numpy as np

from tests.programs.catalogue import Program


def running_moments(x):
    """Welford's algorithm: mean, variance and third moment in one pass."""
    mean = 0.0
    m2 = 0.0
    m3 = 0.0
    n = 0
    for value in x:
        n += 1
        delta = value - mean
        delta_n = delta / n
        term = delta * delta_n * (n - 1)
        mean += delta_n
        m3 += term * delta_n * (n - 2) - 3 * delta_n * m2
        m2 += term
    if n < 2:
        return mean, 0.0, 0.0
    return mean, m2 / (n - 1), m3


def linear_regression(x, y):
    n = len(x)
    sx = np.sum(x)
    sy = np.sum(y)
    sxx = np.sum(x * x)
    sxy = np.sum(x * y)
    slope = (n * sxy - sx * sy) / (n * sxx - sx**2)
    intercept = (sy - slope * sx) / n
    residuals = y - (slope * x + intercept)
    r2 = 1 - np.sum(residuals**2) / np.sum((y - y.mean()) ** 2)
    return slope, intercept, r2


def correlation(data):
    n, m = data.shape
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(n) * stddev
    corr = np.eye(m, dtype=data.dtype)
    for i in range(m - 1):
        corr[i + 1 : m, i] = corr[i, i + 1 : m] = data[:, i] @ data[:, i + 1 : m]
    return corr


def covariance_loops(data):
    n, m = data.shape
    mean = np.zeros(m)
    for j in range(m):
        for i in range(n):
            mean[j] += data[i, j]
        mean[j] /= n
    cov = np.zeros((m, m))
    for i in range(m):
        for j in range(i, m):
            for k in range(n):
                cov[i, j] += (data[k, i] - mean[i]) * (data[k, j] - mean[j])
            cov[i, j] /= n - 1.0
            cov[j, i] = cov[i, j]
    return cov


def histogram(x, bins, low, high):
    counts = np.zeros(bins, dtype=int)
    outside = 0
    width = (high - low) / bins
    for v in x:
        if v < low or v >= high:
            outside += 1
            continue
        counts[int((v - low) / width)] += 1
    return counts, outside


def kernel_density(points, samples, bandwidth=0.3):
    u = (points[:, None] - samples[None, :]) / bandwidth
    k = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
    return k.sum(axis=1) / (len(samples) * bandwidth)


def logistic_newton(x, y, iterations=5, ridge=1e-2):
    n, d = x.shape
    w = np.zeros(d)
    for it in range(iterations):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        gradient = x.T @ (p - y) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(d)
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.max(np.abs(step)) < 1e-12:
            break
    return w


def rank(x):
    """Ranks from 1, ties sharing their mean rank."""
    order = np.argsort(x, kind="stable")
    ranks = np.empty(len(x))
    i = 0
    while i < len(x):
        j = i
        while j + 1 < len(x) and x[order[j + 1]] == x[order[i]]:
            j += 1
        for k in range(i, j + 1):
            ranks[order[k]] = (i + j) / 2 + 1
        i = j + 1
    return ranks


def spearman(x, y):
    rx = rank(x)
    ry = rank(y)
    rx -= rx.mean()
    ry -= ry.mean()
    return np.sum(rx * ry) / np.sqrt(np.sum(rx**2) * np.sum(ry**2))


def mixture_em(x, mu, sigma, weight, n_iter=10):
    """Gaussian mixture in one dimension; the parameters are updated in place."""
    k = len(mu)
    n = len(x)
    resp = np.zeros((n, k), dtype=x.dtype)
    log_likelihood = []
    for _ in range(n_iter):
        for j in range(k):
            resp[:, j] = weight[j] * np.exp(-0.5 * ((x - mu[j]) / sigma[j]) ** 2) / (np.sqrt(2 * np.pi) * sigma[j])
        total = resp.sum(axis=1)
        log_likelihood.append(np.log(total).sum())
        resp /= total[:, np.newaxis]
        nk = resp.sum(axis=0)
        for j in range(k):
            mu[j] = (resp[:, j] * x).sum() / nk[j]
            sigma[j] = np.sqrt((resp[:, j] * (x - mu[j]) ** 2).sum() / nk[j])
            weight[j] = nk[j] / n
    return np.array(log_likelihood)


def clean_outliers(x, limit=2.0):
    """Replace missing values by the mean and clip what is too far out."""
    missing = np.isnan(x)
    mean = x[~missing].mean()
    std = x[~missing].std()
    x[missing] = mean
    z = (x - mean) / std
    x[z > limit] = mean + limit * std
    x[z < -limit] = mean - limit * std
    return missing.sum(), x


def kolmogorov_smirnov(a, b):
    a = np.sort(a)
    b = np.sort(b)
    i = j = 0
    d = 0.0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            i += 1
        else:
            j += 1
        d = max(d, abs(i / len(a) - j / len(b)))
    return d


def principal_components(x, k=2, iterations=30):
    """Leading components by power iteration with deflation."""
    x = x - x.mean(axis=0)
    cov = x.T @ x / (len(x) - 1)
    components = np.zeros((k, x.shape[1]))
    variances = np.zeros(k)
    for c in range(k):
        v = np.ones(x.shape[1])
        for _ in range(iterations):
            v = cov @ v
            v /= np.linalg.norm(v)
        variances[c] = v @ cov @ v
        components[c] = v
        cov -= variances[c] * np.outer(v, v)
    return components, variances


def group_means(keys, values):
    groups = np.unique(keys)
    means = np.empty(len(groups))
    for i, g in enumerate(groups):
        means[i] = values[keys == g].mean()
    return groups, means


def _sample(size, dtype, random):
    return (random.standard_normal(size).astype(dtype),)


def _line(size, dtype, random):
    x = random.random(size)
    return x.astype(dtype), (2 * x + 0.1 * random.standard_normal(size)).astype(dtype)


def _table(size, dtype, random):
    return (random.random((3 * size, size)).astype(dtype),)


def _sample_and_bins(size, dtype, random):
    return random.standard_normal(size).astype(dtype), 10, -1.5, 1.5


def _two_samples(size, dtype, random):
    return random.standard_normal(size).astype(dtype), random.standard_normal(2 * size).astype(dtype)


def _labelled(size, dtype, random):
    x = random.standard_normal((size, 3)).astype(dtype)
    return x, (x[:, 0] + random.standard_normal(size) > 0).astype(dtype)


def _tied(size, dtype, random):
    return random.integers(0, size, size).astype(dtype), random.integers(0, size, size).astype(dtype)


def _mixture(size, dtype, random):
    x = np.concatenate((random.standard_normal(size) - 2, random.standard_normal(size) + 2))
    return x.astype(dtype), np.array([-1, 1.0], dtype), np.ones(2, dtype), np.full(2, 0.5, dtype)


def _missing(size, dtype, random):
    x = random.standard_normal(size).astype(dtype)
    x[random.random(size) < 0.2] = np.nan
    x[0] = 30
    return (x,)


def _grouped(size, dtype, random):
    return random.integers(0, 5, size), random.random(size).astype(dtype)


SUMS = "sums in another order"

JOINED = "the number before the first turn stays where no turn replaces it"

PROGRAMS = (
    Program(running_moments, _sample, (9, 2, 40, 1), 20_000, loops=True, joined=JOINED),
    Program(linear_regression, _line, (9, 2, 40), 50_000, rounding=5000, because=SUMS),
    Program(correlation, _table, (5, 2, 13), 100, rounding=100, because=SUMS),
    Program(covariance_loops, _table, (5, 1, 13), 30, loops=True),
    Program(histogram, _sample_and_bins, (9, 1, 0, 40), 10_000, loops=True),
    Program(kernel_density, _two_samples, (9, 1, 40), 500, rounding=20, because=SUMS),
    Program(logistic_newton, _labelled, (20, 5, 57), 5_000, rounding=1000, because=SUMS),
    Program(spearman, _tied, (9, 2, 40), 3_000, rounding=20, because=SUMS, loops=True),
    Program(mixture_em, _mixture, (20, 5, 57), 5_000, rounding=500, because=SUMS),
    Program(clean_outliers, _missing, (20, 5, 57), 50_000, rounding=20, because=SUMS),
    Program(kolmogorov_smirnov, _two_samples, (9, 1, 40), 3_000, loops=True),
    Program(principal_components, _table, (5, 3, 13), 60, rounding=3000, because=SUMS),
    Program(group_means, _grouped, (20, 3, 57), 30_000, rounding=20, because=SUMS),
)
