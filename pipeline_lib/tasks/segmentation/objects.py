"""Eddies as objects: connected cells of one class, matched one to one between prediction and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline_lib.data.grids import is_periodic
from pipeline_lib.errors import DataError
from pipeline_lib.tasks.segmentation.scoring_options import ObjectOptions

EARTH_RADIUS_M = 6_371_000.0
"""Mean radius of the Earth."""
POLARITIES = (1, 2)
"""Class codes of anticyclonic and cyclonic eddies."""


@dataclass(frozen=True)
class Grid:
    """A regular latitude-longitude grid: cell areas and the cells' places on the unit sphere."""

    area: NDArray[np.float64]
    """Area of the cells, m², shape (latitude, longitude)."""
    position: NDArray[np.float64]
    """Unit vectors from the Earth's centre, shape (3, latitude, longitude)."""
    periodic: bool
    """Whether the columns go all around the Earth."""

    @classmethod
    def of(cls, latitude: NDArray[np.floating], longitude: NDArray[np.floating]) -> Grid:
        """Return the grid with these cell centres, in degrees.

        Raises
        ------
        DataError
            If there are fewer than two rows or columns: such cells have no area.
        """
        if latitude.size < 2 or longitude.size < 2:
            raise DataError(
                f"a map of {latitude.size} x {longitude.size} cells has no cell areas",
                where="grid",
                fix="score a region of at least 2 x 2 cells",
            )
        lat, lon = np.radians(latitude.astype(float)), np.radians(longitude.astype(float))
        heights, widths = np.gradient(lat), np.gradient(lon)
        area = EARTH_RADIUS_M**2 * np.outer(heights * np.cos(lat), widths)
        position = np.stack(
            [
                np.outer(np.cos(lat), np.cos(lon)),
                np.outer(np.cos(lat), np.sin(lon)),
                np.outer(np.sin(lat), np.ones_like(lon)),
            ]
        )
        return cls(area=area, position=position, periodic=is_periodic(longitude))


@dataclass(frozen=True)
class Objects:
    """The objects of one map; ``cells`` holds 0 outside objects and i + 1 in object i."""

    cells: NDArray[np.int64]
    polarity: NDArray[np.int64]
    size: NDArray[np.int64]
    """Number of cells."""

    def radius_m(self, grid: Grid) -> NDArray[np.float64]:
        """Radius of the disc with the object's area, sqrt(area / pi), in m."""
        return np.asarray(np.sqrt(self._sums(grid.area) / np.pi))

    def centre(self, grid: Grid) -> NDArray[np.float64]:
        """Centres of area as unit vectors, shape (objects, 3); right across the date line too."""
        sums = np.stack([self._sums(grid.area * axis) for axis in grid.position], axis=1)
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))

    def _sums(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = self.cells > 0
        sums = np.bincount(self.cells[inside], weights=weights[inside], minlength=self.size.size + 1)
        return sums[1:].astype(float)


def find_objects(classes: NDArray[np.integer], options: ObjectOptions, *, periodic: bool) -> Objects:
    """Cut a class map into objects: connected cells of one class."""
    structure = ndimage.generate_binary_structure(2, 1 if options.connectivity == 4 else 2)
    cells = np.zeros(classes.shape, dtype=np.int64)
    found = 0
    for code in POLARITIES:
        part, count = ndimage.label(classes == code, structure)
        cells += np.where(part > 0, part + found, 0)
        found += count
    if periodic:
        cells = _joined_around(cells, classes, found, corners=options.connectivity == 8)
    sizes = np.bincount(cells.ravel(), minlength=found + 1)
    keep = sizes >= options.min_cells
    keep[0] = False
    renumber = np.where(keep, np.cumsum(keep), 0)
    cells = renumber[cells]
    polarity = np.zeros(int(keep.sum()) + 1, dtype=np.int64)
    polarity[cells] = np.where(cells > 0, classes, 0)
    return Objects(cells=cells, polarity=polarity[1:], size=sizes[keep])


def _joined_around(
    cells: NDArray[np.int64], classes: NDArray[np.integer], found: int, *, corners: bool
) -> NDArray[np.int64]:
    """Give objects that meet across the seam between the last and the first column one number."""
    root = np.arange(found + 1)
    rows = len(cells)
    for shift in (-1, 0, 1) if corners else (0,):
        for row in range(max(0, -shift), min(rows, rows - shift)):
            left, right = cells[row, -1], cells[row + shift, 0]
            if left and right and classes[row, -1] == classes[row + shift, 0]:
                a, b = sorted((root[left], root[right]))
                root[root == b] = a
    return np.asarray(root[cells])


@dataclass(frozen=True)
class Matching:
    """Pairs of the same eddy: positions among the predicted and among the true objects."""

    predicted: NDArray[np.int64]
    true: NDArray[np.int64]


def match(predicted: Objects, true: Objects, *, min_iou: float) -> Matching:
    """Match objects of one polarity one to one where their intersection over union reaches ``min_iou``.

    Above one half an object has at most one partner. At exactly one half two objects can share a partner, of which
    both are a half and neither can have another; the first is taken. So no other choice matches more eddies.
    """
    both = (predicted.cells > 0) & (true.cells > 0)
    columns = true.size.size
    pairs, overlap = np.unique((predicted.cells[both] - 1) * columns + true.cells[both] - 1, return_counts=True)
    p, t = np.divmod(pairs, max(columns, 1))
    iou = overlap / (predicted.size[p] + true.size[t] - overlap)
    good = (iou >= min_iou) & (predicted.polarity[p] == true.polarity[t])
    p, t = p[good], t[good]
    first_p = np.isin(np.arange(p.size), np.unique(p, return_index=True)[1])
    first_t = np.isin(np.arange(t.size), np.unique(t, return_index=True)[1])
    return Matching(predicted=p[first_p & first_t], true=t[first_p & first_t])


def distance_m(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Great-circle distance in m between unit vectors of shape (n, 3), exact for small distances too."""
    chord = np.linalg.norm(a - b, axis=1)
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.minimum(chord / 2, 1.0)))


OBJECT_COUNTS = (
    "objects_predicted",
    "objects_true",
    "objects_matched",
    "centre_error_m",
    "radius_error_m",
    "radius_difference_m",
)


def object_counts(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], grid: Grid, options: ObjectOptions
) -> NDArray[np.int64]:
    """Return :data:`OBJECT_COUNTS` of one date per polarity, shape (6, 2); distances are summed over matches.

    Sums are rounded to whole metres: integers keep sums over dates exact, whatever their order.
    """
    ours = find_objects(predicted, options, periodic=grid.periodic)
    truth = find_objects(labels, options, periodic=grid.periodic)
    pairs = match(ours, truth, min_iou=options.min_iou)
    centre = distance_m(ours.centre(grid)[pairs.predicted], truth.centre(grid)[pairs.true])
    radius = ours.radius_m(grid)[pairs.predicted] - truth.radius_m(grid)[pairs.true]
    counts = np.zeros((len(OBJECT_COUNTS), len(POLARITIES)), dtype=np.int64)
    for column, code in enumerate(POLARITIES):
        matched = truth.polarity[pairs.true] == code
        counts[:, column] = [
            np.sum(ours.polarity == code),
            np.sum(truth.polarity == code),
            np.sum(matched),
            round(float(centre[matched].sum())),
            round(float(np.abs(radius[matched]).sum())),
            round(float(radius[matched].sum())),
        ]
    return counts
