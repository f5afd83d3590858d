"""What a pixel and its neighbours look like, in a few numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

WINDOWS = (3, 5)
"""Sides, in pixels, of the squares that mean and standard deviation are taken over (PERSIANN; recalled)."""


def features_of(frames: ArrayLike, surface: ArrayLike | None = None) -> Values:
    """Return the features of each pixel.

    Parameters
    ----------
    frames
        (..., rows, columns), in any unit; NaN where a value is missing.
    surface
        What lies below the pixels, of a shape that broadcasts to that of the frames.

    Returns
    -------
    numpy.ndarray
        (..., rows, columns, feature): the value; mean and standard deviation, with divisor n, of the values there are
        in 3 x 3 and in 5 x 5 pixels around, cut at the borders; the surface if it is given. All are NaN where the value
        or the surface is missing.
    """
    values = np.asarray(frames, np.float64)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    layers = [values]
    for window in WINDOWS:
        count = np.maximum(_sums(known.astype(np.float64), window), 1.0)
        mean = _sums(filled, window) / count
        # Rounding may leave a variance below zero where all values are equal.
        layers += [mean, np.sqrt(np.maximum(_sums(filled**2, window) / count - mean**2, 0.0))]
    if surface is not None:
        layers.append(np.broadcast_to(np.asarray(surface, np.float64), values.shape))
        known = known & np.isfinite(layers[-1])
    found: Values = np.stack(layers, axis=-1)
    found[~known] = np.nan
    return found


def _sums(values: Values, window: int) -> Values:
    """Return the sums over squares around each pixel; beyond the borders there is nothing."""
    from scipy.ndimage import convolve1d

    along = convolve1d(values, np.ones(window), axis=-2, mode="constant")
    return np.asarray(convolve1d(along, np.ones(window), axis=-1, mode="constant"))
