"""Filters, histograms, colours and shapes in pictures."""

import numpy as np

from tests.programs.catalogue import Program


def box_blur(image, radius):
    h, w = image.shape
    padded = np.pad(image, radius, mode="edge")
    out = np.zeros((h, w), dtype=np.float64)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            out += padded[dy : dy + h, dx : dx + w]
    return out / (2 * radius + 1) ** 2


def sobel(image):
    gx = np.zeros_like(image)
    gy = np.zeros_like(image)
    gx[1:-1, 1:-1] = (
        image[:-2, 2:] + 2 * image[1:-1, 2:] + image[2:, 2:]
        - image[:-2, :-2] - 2 * image[1:-1, :-2] - image[2:, :-2]
    )  # fmt: skip
    gy[1:-1, 1:-1] = (
        image[2:, :-2] + 2 * image[2:, 1:-1] + image[2:, 2:]
        - image[:-2, :-2] - 2 * image[:-2, 1:-1] - image[:-2, 2:]
    )  # fmt: skip
    magnitude = np.sqrt(gx**2 + gy**2)
    angle = np.arctan2(gy, gx)
    return magnitude, angle


def gaussian_kernel(sigma, radius):
    kernel = np.array([np.exp(-(x * x) / (2 * sigma * sigma)) for x in range(-radius, radius + 1)])
    return kernel / kernel.sum()


def gaussian_filter(image, sigma=1.5):
    """Separable filter with reflected borders."""
    radius = int(3 * sigma)
    kernel = gaussian_kernel(sigma, radius)
    h, w = image.shape
    padded = np.pad(image, ((radius, radius), (0, 0)), mode="symmetric")
    rows = np.zeros((h, w))
    for k, weight in enumerate(kernel):
        rows += weight * padded[k : k + h, :]
    padded = np.pad(rows, ((0, 0), (radius, radius)), mode="symmetric")
    out = np.zeros((h, w))
    for k, weight in enumerate(kernel):
        out += weight * padded[:, k : k + w]
    return out


def median_filter(image):
    out = image.copy()
    h, w = image.shape
    for i in range(1, h - 1):
        for j in range(1, w - 1):
            window = image[i - 1 : i + 2, j - 1 : j + 2]
            out[i, j] = np.median(window)
    return out


def convolve(image, kernel):
    ih, iw = image.shape
    kh, kw = kernel.shape
    out = np.zeros((ih - kh + 1, iw - kw + 1), dtype=image.dtype)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = 0.0
            for i in range(kh):
                for j in range(kw):
                    total += image[y + i, x + j] * kernel[kh - 1 - i, kw - 1 - j]
            out[y, x] = total
    return out


def equalise_histogram(image):
    hist = np.zeros(256, dtype=np.int64)
    np.add.at(hist, image.ravel(), 1)
    cdf = np.cumsum(hist)
    cdf_min = cdf[cdf > 0].min()
    table = np.round((cdf - cdf_min) / max(image.size - cdf_min, 1) * 255)
    table = np.clip(table, 0, 255).astype(np.uint8)
    return table[image]


def otsu_threshold(image):
    hist = np.zeros(256)
    for value in image.flatten():
        hist[value] += 1
    total = image.size
    sum_all = 0.0
    for t in range(256):
        sum_all += t * hist[t]
    sum_back = 0.0
    weight_back = 0
    best = -1.0
    threshold = 0
    for t in range(256):
        weight_back += hist[t]
        if weight_back == 0:
            continue
        weight_fore = total - weight_back
        if weight_fore == 0:
            break
        sum_back += t * hist[t]
        mean_back = sum_back / weight_back
        mean_fore = (sum_all - sum_back) / weight_fore
        between = weight_back * weight_fore * (mean_back - mean_fore) ** 2
        if between > best:
            best = between
            threshold = t
    return threshold, image > threshold


def bilateral_filter(image, radius=2, sigma_space=1.5, sigma_range=0.2):
    h, w = image.shape
    out = np.empty_like(image)
    for y in range(h):
        for x in range(w):
            total = 0.0
            norm = 0.0
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    yy = min(max(y + dy, 0), h - 1)
                    xx = min(max(x + dx, 0), w - 1)
                    diff = image[yy, xx] - image[y, x]
                    weight = np.exp(-(dx * dx + dy * dy) / (2 * sigma_space**2) - diff * diff / (2 * sigma_range**2))
                    total += weight * image[yy, xx]
                    norm += weight
            out[y, x] = total / norm
    return out


def floyd_steinberg(image):
    """Dither to black and white, in place."""
    h, w = image.shape
    for y in range(h):
        for x in range(w):
            old = image[y, x]
            new = 1.0 if old > 0.5 else 0.0
            image[y, x] = new
            error = old - new
            if x + 1 < w:
                image[y, x + 1] += error * 7 / 16
            if y + 1 < h:
                if x > 0:
                    image[y + 1, x - 1] += error * 3 / 16
                image[y + 1, x] += error * 5 / 16
                if x + 1 < w:
                    image[y + 1, x + 1] += error * 1 / 16


def rgb_to_hsv(rgb):
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    maxc = np.max(rgb, axis=-1)
    minc = np.min(rgb, axis=-1)
    delta = maxc - minc
    hsv = np.zeros_like(rgb)
    hsv[..., 2] = maxc
    nonzero = maxc > 0
    hsv[nonzero, 1] = delta[nonzero] / maxc[nonzero]
    moving = delta > 0
    idx = (maxc == r) & moving
    hsv[idx, 0] = ((g[idx] - b[idx]) / delta[idx]) % 6
    idx = (maxc == g) & moving
    hsv[idx, 0] = (b[idx] - r[idx]) / delta[idx] + 2.0
    idx = (maxc == b) & moving
    hsv[idx, 0] = (r[idx] - g[idx]) / delta[idx] + 4.0
    hsv[..., 0] /= 6.0
    return hsv


def resize_bilinear(image, new_h, new_w):
    h, w = image.shape[:2]
    y = np.linspace(0, h - 1, new_h)
    x = np.linspace(0, w - 1, new_w)
    y0 = np.floor(y).astype(int)
    x0 = np.floor(x).astype(int)
    y1 = np.minimum(y0 + 1, h - 1)
    x1 = np.minimum(x0 + 1, w - 1)
    wy = (y - y0)[:, None]
    wx = (x - x0)[None, :]
    top = image[y0][:, x0] * (1 - wx) + image[y0][:, x1] * wx
    bottom = image[y1][:, x0] * (1 - wx) + image[y1][:, x1] * wx
    return top * (1 - wy) + bottom * wy


def erode(image, structure):
    h, w = image.shape
    r = structure.shape[0] // 2
    out = np.zeros_like(image)
    for i in range(r, h - r):
        for j in range(r, w - r):
            region = image[i - r : i + r + 1, j - r : j + r + 1]
            out[i, j] = np.all(region[structure])
    return out


def flood_fill(image, row, col, new):
    """Fill the region of equal value around a point; the number of points filled."""
    old = image[row, col]
    if old == new:
        return 0
    h, w = image.shape
    stack = np.empty((h * w * 4 + 1, 2), dtype=np.int64)
    stack[0] = row, col
    top = 1
    filled = 0
    while top > 0:
        top -= 1
        r, c = stack[top]
        if r < 0 or r >= h or c < 0 or c >= w or image[r, c] != old:
            continue
        image[r, c] = new
        filled += 1
        for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            stack[top, 0] = r + dr
            stack[top, 1] = c + dc
            top += 1
    return filled


def hough_lines(edges, n_theta=30):
    h, w = edges.shape
    diagonal = int(np.ceil(np.sqrt(h * h + w * w)))
    thetas = np.linspace(-np.pi / 2, np.pi / 2, n_theta)
    accumulator = np.zeros((2 * diagonal + 1, n_theta), dtype=np.int64)
    ys, xs = np.nonzero(edges)
    for k in range(n_theta):
        rhos = np.round(xs * np.cos(thetas[k]) + ys * np.sin(thetas[k])).astype(int) + diagonal
        np.add.at(accumulator[:, k], rhos, 1)
    return accumulator


def integral_mean(image, radius):
    """Mean over squares by a summed-area table."""
    h, w = image.shape
    table = np.zeros((h + 1, w + 1))
    table[1:, 1:] = np.cumsum(np.cumsum(image, axis=0), axis=1)
    out = np.empty((h, w))
    for i in range(h):
        top, bottom = max(i - radius, 0), min(i + radius + 1, h)
        for j in range(w):
            left, right = max(j - radius, 0), min(j + radius + 1, w)
            area = (bottom - top) * (right - left)
            out[i, j] = (table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]) / area
    return out


def _grey(size, dtype, random):
    return (random.random((size, size + 2)).astype(dtype),)


def _grey_and_radius(size, dtype, random):
    return *_grey(size, dtype, random), 2


def _grey_and_kernel(size, dtype, random):
    return *_grey(size, dtype, random), random.random((3, 3)).astype(dtype)


def _bytes(size, dtype, random):
    return (random.integers(20, 200, (size, size + 1)).astype(dtype),)


def _colours(size, dtype, random):
    rgb = random.random((size, size + 1, 3))
    rgb[: size // 3] = rgb[: size // 3, :, :1]
    return (rgb.astype(dtype),)


def _picture_and_sizes(size, dtype, random):
    return *_grey(size, dtype, random), size + 5, 2 * size + 1


def _binary(size, dtype, random):
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    return random.random((size, size + 1)) < 0.8, cross


def _regions(size, dtype, random):
    return (random.random((size, size + 1)) < 0.4).astype(dtype), size // 2, size // 2, 7


def _edges(size, dtype, random):
    return (random.random((size, size + 3)) < 0.1,)


PROGRAMS = (
    Program(box_blur, _grey_and_radius, (6, 1, 13), 300, traces=2, why="one row has no order of axes"),
    Program(sobel, _grey, (6, 1, 13), 400, rounding=4, because="arctan2", traces=2, why="fewer rows than the stencil"),
    Program(gaussian_filter, _grey, (6, 4, 13), 300, rounding=4, because="exp"),
    Program(median_filter, _grey, (6, 1, 13), 60),
    Program(convolve, _grey_and_kernel, (6, 3, 13), 60, loops=True),
    Program(equalise_histogram, _bytes, (6, 1, 40), 400, ("uint8", "int64")),
    Program(otsu_threshold, _bytes, (6, 1, 40), 150, ("uint8", "int64"), loops=True),
    Program(bilateral_filter, _grey, (6, 1, 9), 32, rounding=10, because="exp", loops=True),
    Program(floyd_steinberg, _grey, (6, 1, 13), 150, loops=True),
    Program(rgb_to_hsv, _colours, (6, 1, 13), 200),
    Program(resize_bilinear, _picture_and_sizes, (6, 1, 13), 200),
    Program(erode, _binary, (6, 2, 13), 60, ("bool",)),
    Program(flood_fill, _regions, (6, 1, 13), 60, ("int64", "float64"), loops=True),
    Program(hough_lines, _edges, (6, 1, 20), 150, ("bool",)),
    Program(integral_mean, _grey_and_radius, (6, 1, 13), 80, rounding=4, because="running sums in another order"),
)
