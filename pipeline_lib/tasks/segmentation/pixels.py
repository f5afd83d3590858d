"""Confusion counts of class maps: over sea, over all cells, and over the published random patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = 3
"""None, anticyclonic, cyclonic."""
_PUBLISHED_SEED = 555

Codes = NDArray[np.int64]


def pair_codes(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> Codes:
    """Return ``3 * label + prediction`` of each cell; both must hold 0, 1 and 2 only."""
    return CLASSES * labels.astype(np.int64) + predicted


def confusion(codes: Codes) -> NDArray[np.int64]:
    """Count pairs: shape (3, 3), row = label, column = prediction."""
    return np.bincount(codes.ravel(), minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def patch_corner(shape: tuple[int, int], size: int, *, patch_set: int, day: int) -> tuple[int, int]:
    """Return the first row and column of the patch of one date in one patch set.

    As in the published test, the generator of set ``w`` on day ``d`` (counted from 0) has the seed ``w (555 + d)``, so
    that in set 0 all dates of maps that are as high as a patch share one column. The published maps are cut to the
    height of a patch and only the column is drawn; on higher maps the row is drawn too, after the column. The paper's
    generator is not known, so its very columns are not reproduced.
    """
    rows, columns = shape
    generator = np.random.default_rng(patch_set * (_PUBLISHED_SEED + day))
    column = int(generator.integers(columns - size + 1))
    row = int(generator.integers(rows - size + 1)) if rows > size else 0
    return row, column


def patch_confusion(codes: Codes, *, sets: int, size: int, day: int) -> NDArray[np.int64]:
    """Count pairs in the patch of this date in each patch set: shape (sets, 3, 3)."""
    counts = np.empty((sets, CLASSES, CLASSES), dtype=np.int64)
    for w in range(sets):
        row, column = patch_corner((codes.shape[0], codes.shape[1]), size, patch_set=w, day=day)
        counts[w] = confusion(codes[row : row + size, column : column + size])
    return counts
