"""Self-organising feature maps, fitted in batches.

Kohonen (2013), Essentials of the self-organizing map, Neural Networks 37, 52-65: in each epoch every sample belongs to
the unit whose weights are nearest, and the new weights of a unit are the mean of all samples, weighted by a function of
the distance on the map between the unit and the one that the sample belongs to. The map starts on the plane of the two
largest principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Index = NDArray[np.int64]

_LAST_RADIUS = 0.5
"""Standard deviation of the neighbourhood in the last epoch, in units of the map; ours."""
_SHARE = 0.5
"""That of the first epoch as a share of the longer side of the map; ours."""
_SPREAD = 2.0
"""Standard deviations along a principal component from the middle of the first map to its border; ours."""
_AT_ONCE = 2**14
"""Samples whose distances to all units are in memory at once."""


def fit_map(samples: Values, *, rows: int, columns: int, epochs: int) -> Values:
    """Return the weights (unit, feature) of a map, row by row.

    Parameters
    ----------
    samples
        (sample, feature), standardised: all features count alike.
    rows, columns
        Units of the map.
    epochs
        How often all samples are shown; meanwhile the neighbourhood shrinks, by the same factor each time.
    """
    weights = first_map(samples, rows, columns)
    for radius in radii(rows, columns, epochs):
        weights = next_map(weights, samples, neighbourhood(rows, columns, radius))
    return weights


def first_map(samples: Values, rows: int, columns: int) -> Values:
    """Return weights on the plane of the first two principal components of the samples."""
    middle = samples.mean(axis=0)
    off = samples - middle
    # Sums in this order do not depend on the number of threads.
    variance, axes = np.linalg.eigh(np.einsum("ni,nj->ij", off, off) / len(samples))
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))] < 0, -1.0, 1.0)
    down, across = (
        _SPREAD * np.sqrt(max(variance[-k], 0.0)) * _evenly(n)[:, None] * axes[:, -k]
        for k, n in ((1, rows), (2, columns))
    )
    weights: Values = (middle + down[:, None] + across[None]).reshape(rows * columns, -1)
    return weights


def _evenly(count: int) -> Values:
    return np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)


def radii(rows: int, columns: int, epochs: int) -> Values:
    """Return the standard deviation of the neighbourhood in each epoch, in units of the map."""
    return np.geomspace(max(_SHARE * max(rows, columns), _LAST_RADIUS), _LAST_RADIUS, epochs)


def map_distance(rows: int, columns: int) -> tuple[Index, Index]:
    """Return how many rows and how many columns of the map lie between any two units (unit, unit)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return abs(row[:, None] - row), abs(column[:, None] - column)


def neighbourhood(rows: int, columns: int, radius: float) -> Values:
    """Return by how much each unit (unit, unit) learns from the samples of each other."""
    down, across = map_distance(rows, columns)
    return np.asarray(np.exp(-(down**2 + across**2) / (2 * radius**2)))


def next_map(weights: Values, samples: Values, shared: Values) -> Values:
    """Return the weights after one epoch with a neighbourhood (unit, unit)."""
    nearest = nearest_units(weights, samples)
    count = np.bincount(nearest, minlength=len(weights)).astype(np.float64)
    sums = np.stack([np.bincount(nearest, column, minlength=len(weights)) for column in samples.T], axis=1)
    share = np.einsum("uv,v->u", shared, count)
    # A unit that is too far from all samples for its share to be told from zero stays where it is.
    moved = np.einsum("uv,vf->uf", shared, sums) / np.where(share > 0, share, 1.0)[:, None]
    return np.where(share[:, None] > 0, moved, weights)


def nearest_units(weights: Values, samples: Values) -> Index:
    """Return the unit (sample,) nearest to each sample; of two as near, the first."""
    half = np.einsum("uf,uf->u", weights, weights) / 2
    found = np.empty(len(samples), np.int64)
    for first in range(0, len(samples), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        found[part] = (half - samples[part] @ weights.T).argmin(axis=1)
    return found
