"""Filters, transforms and detectors of sampled signals."""

import numpy as np

from tests.programs.catalogue import Program


def fir_filter(x, taps):
    n = len(x)
    m = len(taps)
    y = np.zeros(n, dtype=x.dtype)
    for i in range(n):
        for k in range(min(m, i + 1)):
            y[i] += taps[k] * x[i - k]
    return y


def biquad(x, b, a):
    """Second-order section, direct form two transposed."""
    y = np.empty_like(x)
    z1 = z2 = 0.0
    for i, sample in enumerate(x):
        out = b[0] * sample + z1
        z1 = b[1] * sample - a[1] * out + z2
        z2 = b[2] * sample - a[2] * out
        y[i] = out
    return y


def moving_average(x, window=5):
    total = np.cumsum(np.insert(x, 0, 0))
    return (total[window:] - total[:-window]) / window


def dft_loops(x):
    n = x.shape[0]
    out = np.zeros(n, dtype=np.complex128)
    for k in range(n):
        for t in range(n):
            out[k] += x[t] * np.exp(-2j * np.pi * k * t / n)
    return out


def fft_radix2(signal):
    """Iterative Cooley-Tukey transform of a power of two samples."""
    n = len(signal)
    x = signal.astype(complex)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            x[i], x[j] = x[j], x[i]
    length = 2
    while length <= n:
        step = np.exp(-2j * np.pi / length)
        for start in range(0, n, length):
            w = 1.0 + 0j
            for k in range(length // 2):
                u = x[start + k]
                v = x[start + k + length // 2] * w
                x[start + k] = u + v
                x[start + k + length // 2] = u - v
                w *= step
        length *= 2
    return x


def stockham_radix2(x):
    """Whole-array transform of a power of two samples by reshaping."""
    n = x.shape[0]
    y = x.reshape(n, 1).astype(np.complex128)
    while y.shape[0] > 1:
        half = y.shape[0] // 2
        even, odd = y[:half], y[half:]
        factor = np.exp(-1j * np.pi * np.arange(y.shape[1]) / y.shape[1])
        y = np.hstack((even + factor * odd, even - factor * odd))
    return y.ravel()


def autocorrelation(x, max_lag):
    x = x - x.mean()
    variance = np.dot(x, x)
    acf = np.empty(max_lag + 1)
    for lag in range(max_lag + 1):
        acf[lag] = np.dot(x[: len(x) - lag], x[lag:]) / variance
    return acf


def haar_transform(signal):
    out = signal.copy()
    n = len(out)
    while n > 1:
        half = n // 2
        approx = (out[0:n:2] + out[1:n:2]) / np.sqrt(2.0)
        detail = (out[0:n:2] - out[1:n:2]) / np.sqrt(2.0)
        out[:half] = approx
        out[half:n] = detail
        n = half
    return out


def kalman_track(measurements, dt=1.0, process=0.01, noise=0.5):
    """Position and velocity from noisy positions."""
    f = np.array([[1.0, dt], [0.0, 1.0]])
    h = np.array([[1.0, 0.0]])
    q = process * np.eye(2)
    r = np.array([[noise]])
    x = np.zeros(2)
    p = np.eye(2) * 100.0
    estimates = np.zeros((len(measurements), 2))
    for k in range(len(measurements)):
        x = f @ x
        p = f @ p @ f.T + q
        innovation = measurements[k] - h @ x
        s = h @ p @ h.T + r
        gain = p @ h.T @ np.linalg.inv(s)
        x = x + gain @ innovation
        p = (np.eye(2) - gain @ h) @ p
        estimates[k] = x
    return estimates


def goertzel(samples, target, rate):
    n = samples.size
    k = int(0.5 + n * target / rate)
    omega = 2.0 * np.pi * k / n
    coeff = 2.0 * np.cos(omega)
    s_prev = 0.0
    s_prev2 = 0.0
    for sample in samples:
        s = sample + coeff * s_prev - s_prev2
        s_prev2 = s_prev
        s_prev = s
    return s_prev2**2 + s_prev**2 - coeff * s_prev * s_prev2


def find_peaks(x, height, distance):
    peaks = []
    last = -distance
    for i in range(1, len(x) - 1):
        if x[i] < height:
            continue
        if x[i] > x[i - 1] and x[i] >= x[i + 1] and i - last >= distance:
            peaks.append(i)
            last = i
    return np.array(peaks)


def lms_filter(x, desired, order, mu):
    n = len(x)
    w = np.zeros(order, dtype=x.dtype)
    y = np.zeros(n, dtype=x.dtype)
    e = np.zeros(n, dtype=x.dtype)
    for i in range(order, n):
        recent = x[i - order : i][::-1]
        y[i] = np.dot(w, recent)
        e[i] = desired[i] - y[i]
        w += mu * e[i] * recent
    return y, e, w


def short_time_power(x, frame=16, hop=8):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    n_frames = 1 + (len(x) - frame) // hop
    spectrogram = np.empty((n_frames, frame // 2 + 1))
    for k in range(n_frames):
        segment = x[k * hop : k * hop + frame] * window
        spectrogram[k] = np.abs(np.fft.rfft(segment)) ** 2
    return 10 * np.log10(spectrogram + 1e-12)


def zero_crossings(x):
    signs = np.sign(x)
    signs[signs == 0] = 1
    return np.where(np.diff(signs))[0]


def resample_linear(t_new, t, x):
    """Linear interpolation at new times; outside, the nearest value."""
    out = np.zeros(len(t_new))
    j = 0
    for i in range(len(t_new)):
        if t_new[i] <= t[0]:
            out[i] = x[0]
            continue
        if t_new[i] >= t[-1]:
            out[i] = x[-1]
            continue
        while t[j + 1] < t_new[i]:
            j += 1
        fraction = (t_new[i] - t[j]) / (t[j + 1] - t[j])
        out[i] = x[j] + fraction * (x[j + 1] - x[j])
    return out


def _signal(size, dtype, random):
    return (random.standard_normal(size).astype(dtype),)


def _signal_and_taps(size, dtype, random):
    return random.standard_normal(size).astype(dtype), random.standard_normal(7).astype(dtype)


def _section(size, dtype, random):
    b = np.array([0.2, 0.4, 0.2], dtype)
    return random.standard_normal(size).astype(dtype), b, np.array([1.0, -0.5, 0.25], dtype)


def _power_of_two(size, dtype, random):
    return (random.standard_normal(2**size).astype(dtype),)


def _signal_and_lag(size, dtype, random):
    return random.standard_normal(size).astype(dtype), 4


def _tone(size, dtype, random):
    return np.sin(0.3 * np.arange(size)).astype(dtype), 50.0, 1000.0


def _bumps(size, dtype, random):
    return random.standard_normal(size).astype(dtype), 0.3, 3


def _adaptive(size, dtype, random):
    x = random.standard_normal(size).astype(dtype)
    return x, np.convolve(x, [0.5, 0.3, -0.2])[:size].astype(dtype), 4, 0.05


def _times(size, dtype, random):
    t = np.cumsum(0.1 + random.random(size)).astype(dtype)
    return np.linspace(0, t[-1] + 1, 2 * size), t, random.random(size).astype(dtype)


SUMS = "sums in another order"

PROGRAMS = (
    Program(fir_filter, _signal_and_taps, (9, 1, 0, 40), 5_000, loops=True),
    Program(biquad, _section, (9, 1, 0, 40), 20_000, loops=True),
    Program(moving_average, _signal, (9, 5, 40), 50_000),
    Program(dft_loops, _signal, (6, 1, 17), 60, ("float64",), rounding=20, because="complex exponentials", loops=True),
    Program(fft_radix2, _power_of_two, (3, 0, 5), 10, rounding=20, because="complex exponentials", loops=True),
    Program(stockham_radix2, _power_of_two, (3, 0, 5), 12, rounding=20, because="complex exponentials"),
    Program(autocorrelation, _signal_and_lag, (9, 5, 40), 20_000, rounding=100, because=SUMS),
    Program(haar_transform, _power_of_two, (3, 0, 6), 14),
    Program(kalman_track, _signal, (9, 1, 0, 40), 300, rounding=1000, because=SUMS),
    Program(goertzel, _tone, (20, 1, 57), 10_000, rounding=1000, because="cosine of the recurrence", loops=True),
    Program(find_peaks, _bumps, (20, 1, 57), 10_000, loops=True, traces=2, why="no turn: the list stays empty"),
    Program(lms_filter, _adaptive, (9, 4, 40), 2_000, rounding=500, because=SUMS),
    Program(short_time_power, _signal, (40, 16, 100), 8_000, ("float64",), rounding=100, because="Fourier transforms"),
    Program(zero_crossings, _signal, (9, 1, 40), 50_000),
    Program(resample_linear, _times, (9, 2, 40), 3_000, loops=True),
)
