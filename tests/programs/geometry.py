"""Points, polygons, rays and curves."""

from dataclasses import dataclass

import numpy as np

from tests.programs.catalogue import Program


def convex_hull(points):
    """Andrew's monotone chain: indices of the corners, counter-clockwise."""
    order = np.lexsort((points[:, 1], points[:, 0]))

    def cross(o, a, b):
        return (points[a, 0] - points[o, 0]) * (points[b, 1] - points[o, 1]) - (points[a, 1] - points[o, 1]) * (
            points[b, 0] - points[o, 0]
        )

    def half(indices):
        chain = []
        for p in indices:
            while len(chain) >= 2 and cross(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain

    lower = half(order)
    upper = half(order[::-1])
    return np.array(lower[:-1] + upper[:-1])


def points_in_polygon(points, polygon):
    n = len(points)
    m = len(polygon)
    inside = np.zeros(n, dtype=bool)
    for i in range(n):
        x, y = points[i]
        j = m - 1
        for k in range(m):
            xk, yk = polygon[k, 0], polygon[k, 1]
            xj, yj = polygon[j, 0], polygon[j, 1]
            if (yk > y) != (yj > y) and x < (xj - xk) * (y - yk) / (yj - yk) + xk:
                inside[i] = not inside[i]
            j = k
    return inside


def polygon_properties(vertices):
    x, y = vertices.T
    x1 = np.roll(x, -1)
    y1 = np.roll(y, -1)
    cross = x * y1 - x1 * y
    area = 0.5 * np.sum(cross)
    cx = np.sum((x + x1) * cross) / (6 * area)
    cy = np.sum((y + y1) * cross) / (6 * area)
    perimeter = np.sum(np.hypot(x1 - x, y1 - y))
    return area, (cx, cy), perimeter


def closest_pair(points):
    n = points.shape[0]
    best = np.inf
    pair = (0, 0)
    for i in range(n):
        for j in range(i + 1, n):
            d = (points[i, 0] - points[j, 0]) ** 2 + (points[i, 1] - points[j, 1]) ** 2
            if d < best:
                best = d
                pair = (i, j)
    return np.sqrt(best), pair


def bezier_curve(control, n):
    """De Casteljau's algorithm at n parameters."""
    curve = np.zeros((n, control.shape[1]))
    for k, t in enumerate(np.linspace(0, 1, n)):
        work = control.copy()
        for level in range(len(control) - 1, 0, -1):
            work[:level] = (1 - t) * work[:level] + t * work[1 : level + 1]
        curve[k] = work[0]
    return curve


@dataclass
class Camera:
    """A pinhole camera."""

    position: np.ndarray
    yaw: float
    pitch: float
    focal: float = 1.5


def rotation(yaw, pitch):
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rx = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return rx @ ry


def project(camera, points):
    """Image coordinates, NaN behind the camera."""
    local = (points - camera.position) @ rotation(camera.yaw, camera.pitch).T
    image = np.full((len(points), 2), np.nan)
    front = local[:, 2] > 0
    image[front] = camera.focal * local[front, :2] / local[front, 2:3]
    return image


def trace_spheres(width, height, centres, radii, light):
    """Shaded picture of spheres seen from the origin."""
    image = np.zeros((height, width))
    xs = np.linspace(-1, 1, width)
    ys = np.linspace(-1, 1, height)
    for iy, y in enumerate(ys):
        for ix, x in enumerate(xs):
            direction = np.array([x, y, 1.0])
            direction /= np.linalg.norm(direction)
            nearest = np.inf
            hit = None
            for s in range(len(centres)):
                b = np.dot(direction, centres[s])
                c = np.dot(centres[s], centres[s]) - radii[s] ** 2
                disc = b * b - c
                if disc < 0:
                    continue
                t = b - np.sqrt(disc)
                if 0 < t < nearest:
                    nearest, hit = t, s
            if hit is not None:
                point = nearest * direction
                normal = (point - centres[hit]) / radii[hit]
                image[iy, ix] = max(np.dot(normal, light), 0.1)
    return image


def haversine_matrix(lat, lon, radius=6371.0):
    lat = np.radians(lat)
    lon = np.radians(lon)
    dlat = lat[:, None] - lat
    dlon = lon[:, None] - lon
    a = np.sin(dlat / 2) ** 2 + np.cos(lat[:, None]) * np.cos(lat) * np.sin(dlon / 2) ** 2
    return 2 * radius * np.arcsin(np.sqrt(a))


def distance_transform(mask):
    """City-block distance to the nearest False, in two sweeps."""
    h, w = mask.shape
    big = h + w
    d = np.where(mask, big, 0)
    for i in range(h):
        for j in range(w):
            if i > 0:
                d[i, j] = min(d[i, j], d[i - 1, j] + 1)
            if j > 0:
                d[i, j] = min(d[i, j], d[i, j - 1] + 1)
    for i in range(h - 1, -1, -1):
        for j in range(w - 1, -1, -1):
            if i < h - 1:
                d[i, j] = min(d[i, j], d[i + 1, j] + 1)
            if j < w - 1:
                d[i, j] = min(d[i, j], d[i, j + 1] + 1)
    return d


def voronoi_labels(h, w, seeds):
    yy, xx = np.mgrid[:h, :w]
    d2 = (yy[..., None] - seeds[:, 0]) ** 2 + (xx[..., None] - seeds[:, 1]) ** 2
    labels = d2.argmin(axis=-1)
    borders = np.zeros((h, w), dtype=bool)
    borders[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    borders[1:, :] |= labels[1:, :] != labels[:-1, :]
    return labels, borders


def simplify_line(points, tolerance):
    """Douglas-Peucker with an explicit stack: which points stay."""
    n = len(points)
    keep = np.zeros(n, dtype=bool)
    keep[0] = keep[-1] = True
    stack = [(0, n - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        a, b = points[first], points[last]
        along = b - a
        length = np.sqrt(along @ along)
        rel = points[first + 1 : last] - a
        d = np.abs(along[0] * rel[:, 1] - along[1] * rel[:, 0]) / length
        k = np.argmax(d)
        if d[k] > tolerance:
            middle = first + 1 + k
            keep[middle] = True
            stack.append((first, middle))
            stack.append((middle, last))
    return keep


def _plane(size, dtype, random):
    return (random.random((size, 2)).astype(dtype),)


def _polygon_points(size, dtype, random):
    angle = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    polygon = np.column_stack((np.cos(angle), np.sin(angle))) * (0.5 + random.random((7, 1)))
    return (2 * random.random((size, 2)) - 1).astype(dtype), polygon.astype(dtype)


def _star(size, dtype, random):
    angle = np.linspace(0, 2 * np.pi, size, endpoint=False)
    return ((np.column_stack((np.cos(angle), np.sin(angle))) * (1 + random.random((size, 1)))).astype(dtype),)


def _control(size, dtype, random):
    return random.random((5, 2)).astype(dtype), size


def _view(size, dtype, random):
    camera = Camera(np.array([0.1, 0.2, -3.0], dtype), 0.4, -0.2)
    return camera, (4 * random.standard_normal((size, 3))).astype(dtype)


def _scene(size, dtype, random):
    centres = random.random((4, 3)) * 2 + [-1, -1, 3]
    return size + 1, size, centres.astype(dtype), np.full(4, 0.6, dtype), np.array([0.5, -0.5, -0.7], dtype)


def _places(size, dtype, random):
    return (180 * random.random(size) - 90).astype(dtype), (360 * random.random(size)).astype(dtype)


def _mask(size, dtype, random):
    return (random.random((size, size + 2)) < 0.9,)


def _seeds(size, dtype, random):
    return size, size + 3, (size * random.random((6, 2))).astype(dtype)


def _track(size, dtype, random):
    return np.cumsum(random.standard_normal((size, 2)), axis=0).astype(dtype), 0.8


PROGRAMS = (
    Program(convex_hull, _plane, (9, 3, 40), 500),
    Program(points_in_polygon, _polygon_points, (9, 1, 0, 40), 1_000, loops=True),
    Program(polygon_properties, _star, (9, 3, 40), 30_000, rounding=50, because="sums in another order"),
    Program(closest_pair, _plane, (9, 2, 40), 200, loops=True),
    Program(bezier_curve, _control, (9, 1, 40), 500, traces=2, why="linspace of one number"),
    Program(project, _view, (9, 1, 40), 30_000, rounding=20, because="sines and products of three"),
    Program(
        trace_spheres,
        _scene,
        (6, 1, 13),
        30,
        ("float64",),
        rounding=500,
        because="products of three",
        traces=2,
        why="linspace of one number",
    ),
    Program(haversine_matrix, _places, (9, 1, 40), 300, rounding=50, because="trigonometry"),
    Program(distance_transform, _mask, (6, 1, 13), 100, ("bool",), loops=True),
    Program(voronoi_labels, _seeds, (6, 1, 13), 150),
    Program(simplify_line, _track, (9, 2, 40), 1_000),
)
