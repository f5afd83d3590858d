"""All closed contours of a gridded field at even levels: marching squares that follow each line once.

Positions are in *index space*: ``column`` 2.5 lies half way between the columns 2 and 3. On a periodic grid a
contour that crosses the seam keeps counting, so that it stays in one piece. Every crossing of a grid row is
remembered as integers; that makes "which cells are inside" an exact question of parity, not of geometry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.ocean.grid import Array
from pipeline_lib.ocean.jit import jit

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class Lines(NamedTuple):
    """Vertices of many lines, one after the other, in index space.

    A vertex on a grid row knows that row and the (unwrapped) column west of it; elsewhere ``cross_row``
    is -1.
    """

    column: Array
    row: Array
    cross_row: Int32
    cross_column: Int32


class Gap(NamedTuple):
    """The widest gap between the ends of a line that counts as closed, and the size of a cell in its unit."""

    widest: float
    column_size: float
    row_size: float


class Contours(NamedTuple):
    """Closed contours of one map, sorted by level.

    Attributes
    ----------
    lines
        Vertices; the first one of a contour is not repeated at its end.
    first
        Contour c owns the vertices ``first[c]:first[c + 1]``.
    cells
        Number of grid cells inside each contour.
    high_inside
        Whether the field just inside is above the level.
    box
        West, east, south, north end of each contour in index space, shape (contour, 4).
    level_first
        The contours of level number l are ``level_first[l]:level_first[l + 1]``.
    lowest
        Level number l has the value ``(lowest + l) * step``.
    """

    lines: Lines
    first: Int64
    cells: Int64
    high_inside: NDArray[np.bool_]
    box: Array
    level_first: Int64
    lowest: int


def closed_contours(
    field: Array, *, step: float, lowest: int, highest: int, periodic: bool, most_cells: int, gap: Gap
) -> Contours:
    """Find the closed contours of ``field`` (row, column; NaN: missing) at k * step, lowest <= k <= highest.

    A value equal to the level counts as below it. In a saddle the mean of the four corners decides. A square
    with one missing corner still carries the line through its other half. A line that ends at the coast or
    the border is closed if its ends almost touch. Contours around more than ``most_cells`` cells and lines
    that go around the Earth are left out.
    """
    lines, first, cells, high_inside, box, level_first = _trace(
        np.ascontiguousarray(field), step, lowest, highest, periodic, most_cells, gap
    )
    return Contours(lines, first, cells, high_inside, box, level_first, lowest)


@jit
def _level_range(a: float, b: float, step: float, lowest: int, highest: int) -> tuple[int, int]:
    """First and one past the last level number k with min(a, b) <= k * step < max(a, b); empty for NaN."""
    if not abs(a - b) > 0:
        return 0, 0
    low, high = min(a, b), max(a, b)
    k = int(np.ceil(low / step)) - 1
    while k * step < low:
        k += 1
    end = int(np.ceil(high / step)) - 1
    while end * step < high:
        end += 1
    k, end = max(k, lowest), min(end, highest + 1)
    return k, max(k, end)


@jit
def _sort_crossings(h: Array, step: float, lowest: int, highest: int, periodic: bool) -> tuple[Int64, Int32, int]:
    """Sort the crossed row edges (flat index of the western cell) by level; count all crossings."""
    ny, nx = h.shape
    edges = nx if periodic else nx - 1
    start = np.zeros(highest - lowest + 3, np.int64)
    total = 0
    for j in range(ny):
        for i in range(edges):
            k, end = _level_range(h[j, i], h[j, (i + 1) % nx], step, lowest, highest)
            total += end - k
            for level in range(k, end):
                start[level - lowest + 2] += 1
        if j + 1 < ny:
            for i in range(nx):
                k, end = _level_range(h[j, i], h[j + 1, i], step, lowest, highest)
                total += end - k
    for level in range(2, start.size):
        start[level] += start[level - 1]
    order = np.empty(start[-1], np.int32)
    for j in range(ny):
        for i in range(edges):
            k, end = _level_range(h[j, i], h[j, (i + 1) % nx], step, lowest, highest)
            for level in range(k, end):
                order[start[level - lowest + 1]] = j * nx + i
                start[level - lowest + 1] += 1
    return start[:-1], order, total


# Sides of a square of four cells.
_SOUTH, _EAST, _NORTH, _WEST, _NOWHERE = 0, 1, 2, 3, 4


@jit
def _exit_side(sw: float, se: float, ne: float, nw: float, level: float, entry: int) -> int:
    """Side by which the line that came in through side ``entry`` leaves the square; 4 if it ends there."""
    a_sw, a_se, a_ne, a_nw = sw > level, se > level, ne > level, nw > level
    south = a_sw != a_se and not np.isnan(sw - se)
    east = a_se != a_ne and not np.isnan(se - ne)
    north = a_ne != a_nw and not np.isnan(ne - nw)
    west = a_nw != a_sw and not np.isnan(nw - sw)
    if south and east and north and west:
        if a_sw == ((sw + se + ne + nw) / 4 > level):  # south-west and north-east are joined
            return (_EAST, _SOUTH, _WEST, _NORTH)[entry]
        return (_WEST, _NORTH, _EAST, _SOUTH)[entry]
    if south and entry != _SOUTH:
        return _SOUTH
    if east and entry != _EAST:
        return _EAST
    if north and entry != _NORTH:
        return _NORTH
    if west and entry != _WEST:
        return _WEST
    return _NOWHERE


@jit
def _put(lines: Lines, n: int, column: float, row: float, cross_row: int, cross_column: int) -> int:
    lines.column[n], lines.row[n] = column, row
    lines.cross_row[n], lines.cross_column[n] = cross_row, cross_column
    return n + 1


@jit
def _put_coast(h: Array, level: float, j: int, i: int, lines: Lines, n: int) -> int:
    """Write the vertex where a line meets the diagonal of a square with one missing corner, if it does."""
    nx = h.shape[1]
    w, e = i % nx, (i + 1) % nx
    sw, se, ne, nw = h[j, w], h[j, e], h[j + 1, e], h[j + 1, w]
    if (sw > level) != (ne > level) and not np.isnan(sw - ne):
        part = (level - sw) / (ne - sw)
        return _put(lines, n, i + part, j + part, -1, 0)
    if (se > level) != (nw > level) and not np.isnan(se - nw):
        part = (level - se) / (nw - se)
        return _put(lines, n, i + 1 - part, j + part, -1, 0)
    return n


_CLOSED, _OPEN, _AROUND = 0, 1, 2
_FEWEST_VERTICES = 4


@jit
def _walk(
    h: Array,
    level: float,
    stamp: int,
    seen: Int32,
    start: int,
    north: bool,
    periodic: bool,
    lines: Lines,
    n: int,
) -> tuple[int, int, int]:
    """Follow a line from a crossed row edge, northward or southward, and write what comes after that edge.

    Returns the position after the last vertex, the cells to the west of all row edges passed (northward minus
    southward: the number of cells inside, once closed), and how the line ended.
    """
    ny, nx = h.shape
    j, i, entry = (
        start // nx,
        start % nx,
        _SOUTH,
    )  # the square with south-west corner (j, i), the side of entry
    if not north:
        j, entry = j - 1, _NORTH
    area = 0
    while True:
        if j < 0 or j >= ny - 1 or (not periodic and (i < 0 or i >= nx - 1)):
            return n, area, _OPEN
        # Wrap by comparison: a division at each step would cost more than the step.
        w = i if 0 <= i < nx else i % nx
        e = w + 1 if w + 1 < nx else 0
        side = _exit_side(h[j, w], h[j, e], h[j + 1, e], h[j + 1, w], level, entry)
        if side == _NOWHERE:
            return _put_coast(h, level, j, i, lines, n), area, _OPEN
        if side in (_SOUTH, _NORTH):
            r = j if side == _SOUTH else j + 1
            if seen[r, w] == stamp:  # only the edge it started from can be met again
                return n, area, _CLOSED if i == start % nx else _AROUND
            seen[r, w] = stamp
            n = _put(lines, n, i + (level - h[r, w]) / (h[r, e] - h[r, w]), r, r, i)
            area += i + 1 if side == _NORTH else -(i + 1)
            j, entry = (j - 1, _NORTH) if side == _SOUTH else (j + 1, _SOUTH)
        else:
            c, wrapped = (i, w) if side == _WEST else (i + 1, e)
            below, above = h[j, wrapped], h[j + 1, wrapped]
            n = _put(lines, n, c, j + (level - below) / (above - below), -1, 0)
            i, entry = (i - 1, _EAST) if side == _WEST else (i + 1, _WEST)


@jit
def _join(h: Array, periodic: bool, lines: Lines, n: int, middle: int, end: int, gap: Gap) -> tuple[int, int]:
    """Close an open line whose ends almost touch: turn its second half around and append it to the first.

    Both halves start at the vertex ``n``: the first is ``n:middle``, the second ``n`` and ``middle:end``.
    Returns the position after the last vertex (``n`` if the gap is too wide) and the cells west of the gap.
    """
    last = end - 1 if end > middle else n
    x1, y1, x2, y2 = lines.column[middle - 1], lines.row[middle - 1], lines.column[last], lines.row[last]
    if not np.hypot((x2 - x1) * gap.column_size, (y2 - y1) * gap.row_size) <= gap.widest:
        return n, 0
    area = 0
    r = np.floor(max(y1, y2))
    if min(y1, y2) < r < max(y1, y2):  # the gap crosses a grid row: one more crossing to count
        x = x1 + (x2 - x1) * (r - y1) / (y2 - y1)
        west, nx = int(np.floor(x)), h.shape[1]
        if x == west and (periodic or west + 1 < nx) and not np.isnan(h[int(r), (west + 1) % nx]):
            west -= 1  # a cell on the gap itself is inside: here the missing cells are to its west
        end = _put(lines, end, x, r, int(r), west)
        area = west + 1 if y2 > y1 else -(west + 1)
    lines.column[middle:end] = lines.column[middle:end][::-1].copy()
    lines.row[middle:end] = lines.row[middle:end][::-1].copy()
    lines.cross_row[middle:end] = lines.cross_row[middle:end][::-1].copy()
    lines.cross_column[middle:end] = lines.cross_column[middle:end][::-1].copy()
    return end, area


@jit
def _follow(
    h: Array, level: float, stamp: int, seen: Int32, edge: int, periodic: bool, lines: Lines, n: int, gap: Gap
) -> tuple[int, int]:
    """Write the closed contour through a row edge; return its end (``n``: not closed) and signed cells."""
    nx = h.shape[1]
    j, i = edge // nx, edge % nx
    seen[j, i] = stamp
    west, east = h[j, i], h[j, (i + 1) % nx]
    middle = _put(lines, n, i + (level - west) / (east - west), j, j, i)
    middle, area, fate = _walk(h, level, stamp, seen, edge, True, periodic, lines, middle)
    area += i + 1
    if fate == _CLOSED:
        return middle, area
    if fate == _AROUND:
        return n, 0
    end, back, _ = _walk(h, level, stamp, seen, edge, False, periodic, lines, middle)
    end, under = _join(h, periodic, lines, n, middle, end, gap)
    return end, area - back + under


@jit
def _trace(
    h: Array, step: float, lowest: int, highest: int, periodic: bool, most_cells: int, gap: Gap
) -> tuple[Lines, Int64, Int64, NDArray[np.bool_], Array, Int64]:
    ny, nx = h.shape
    starts, order, total = _sort_crossings(h, step, lowest, highest, periodic)
    total += 3  # a line that meets the coast has two more vertices, and one in the gap between them
    lines = Lines(np.empty(total), np.empty(total), np.empty(total, np.int32), np.empty(total, np.int32))
    most = order.size
    first, cells = np.zeros(most + 1, np.int64), np.empty(most, np.int64)
    high, box = np.empty(most, np.bool_), np.empty((most, 4))
    level_first = np.zeros(highest - lowest + 2, np.int64)
    seen = np.full((ny, nx), -1, np.int32)
    n, count = 0, 0
    for number in range(highest - lowest + 1):
        level = (lowest + number) * step
        for edge in order[starts[number] : starts[number + 1]]:
            if seen[edge // nx, edge % nx] == number:
                continue
            end, area = _follow(h, level, number, seen, edge, periodic, lines, n, gap)
            if end - n < _FEWEST_VERTICES or area == 0 or abs(area) > most_cells:
                continue
            x, y = lines.column[n:end], lines.row[n:end]
            cells[count] = abs(area)
            high[count] = (h[edge // nx, edge % nx] > level) == (area > 0)
            box[count] = (x.min(), x.max(), y.min(), y.max())
            n, count = end, count + 1
            first[count] = n
        level_first[number + 1] = count
    lines = Lines(lines.column[:n], lines.row[:n], lines.cross_row[:n], lines.cross_column[:n])
    return lines, first[: count + 1], cells[:count], high[:count], box[:count], level_first
