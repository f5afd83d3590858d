"""Gaps in frames that were seen: what stands in them for methods that learned nothing, which take any number as it is.

A network learns with zeros in gaps what they are worth. Persistence and flows cannot: a zero in a field of 285 K, or in
one of shares, is forecast as it stands, and its border is read as motion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.data.rows import Mask

Frames = NDArray[np.float32]


def carried_on(frames: Frames) -> Frames:
    """Return frames (batch, seen, channel, y, x) without gaps, which are NaN.

    A cell that is missing has the value of the last frame before that has it; where none has, that of the nearest cell
    of its own frame that has one by then; 0 where nothing is known.
    """
    if not np.isnan(frames).any():
        return frames
    filled = frames.copy()
    for before, now in zip(range(filled.shape[1] - 1), range(1, filled.shape[1]), strict=True):
        np.copyto(filled[:, now], filled[:, before], where=np.isnan(filled[:, now]))
    planes = filled.reshape(-1, *filled.shape[-2:])
    left = np.isnan(planes)
    last: Mask | None = None
    for plane, gaps in zip(planes, left, strict=True):
        if not gaps.any():
            continue
        if gaps.all():
            plane[...] = 0
            continue
        if last is None or not np.array_equal(gaps, last):  # most gaps stay where they are
            last, nearest = gaps, _nearest(gaps)
        plane[...] = plane[tuple(nearest)]
    return filled


def _nearest(gaps: Mask) -> NDArray[np.int32]:
    """Return row and column (2, y, x) of the nearest cell without a gap; of a cell that has none, its own."""
    from scipy.ndimage import distance_transform_edt

    found: NDArray[np.int32] = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return found
