"""Cutting a map into overlapping tiles and blending what a network says about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Maps (batch, channel, height, width) to (batch, class, height, width)."""


@dataclass(frozen=True)
class Tiling:
    """How a map is cut for prediction. A map that fits into one tile is predicted whole."""

    tile: int = 256
    """Height and width of a tile in cells."""
    overlap: int = 64
    """Cells that neighbouring tiles share."""
    margin: int = 16
    """Outermost cells of a tile, next to another tile, that are computed and not used."""
    batch_size: int = 8
    """Tiles that go through the network together."""


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis: their first cells, their common length, and a weight per cell of each.

    Attributes
    ----------
    starts
        First cell of each tile, multiples of the network's size multiple.
    length
        Cells of a tile.
    padded
        Cells of the axis after padding.
    weights
        float32 (tile, length): one where a tile is alone, falling to zero towards its neighbours.
    """

    starts: tuple[int, ...]
    length: int
    padded: int
    weights: NDArray[np.float32]


def plan_axis(cells: int, tiling: Tiling, multiple: int) -> Axis:
    """Place tiles along an axis of ``cells`` cells.

    First cells are multiples of ``multiple``, so that a network that pools sees each tile as it sees the whole map.

    Raises
    ------
    ConfigError
        If tile, overlap and margin do not fit each other or the network.
    """
    padded = -(-cells // multiple) * multiple
    if tiling.tile % multiple or tiling.overlap % multiple:
        raise ConfigError(
            f"tile {tiling.tile} and overlap {tiling.overlap} must be multiples of {multiple}", where="tiles"
        )
    if not 2 * tiling.margin < tiling.overlap < tiling.tile:
        raise ConfigError(
            f"twice the margin ({tiling.margin}) must be less than the overlap ({tiling.overlap}), and that less"
            f" than the tile ({tiling.tile})",
            where="tiles",
        )
    if padded <= tiling.tile:
        return Axis((0,), padded, padded, np.ones((1, padded), np.float32))
    step = tiling.tile - tiling.overlap
    count = 1 + -(-(padded - tiling.tile) // step)
    ideal = np.linspace(0, padded - tiling.tile, count)
    starts = tuple(int(s) for s in (np.round(ideal / multiple) * multiple).astype(int))
    weights = np.stack([_ramps(starts, i, tiling) for i in range(count)])
    return Axis(starts, tiling.tile, padded, weights)


def _ramps(starts: tuple[int, ...], i: int, tiling: Tiling) -> NDArray[np.float32]:
    """Weights along tile ``i``: a squared sine over the cells shared with each neighbour, within the margins."""
    cell = np.arange(tiling.tile, dtype=np.float64) + 0.5
    weight = np.ones(tiling.tile, np.float64)
    if i > 0:
        weight *= _rise(cell, starts[i - 1] + tiling.tile - starts[i], tiling.margin)
    if i < len(starts) - 1:
        weight *= _rise(tiling.tile - cell, starts[i] + tiling.tile - starts[i + 1], tiling.margin)
    return weight.astype(np.float32)


def _rise(distance: NDArray[np.floating], shared: int, margin: int) -> NDArray[np.floating]:
    phase = np.clip((distance - margin) / (shared - 2 * margin), 0.0, 1.0)
    return np.asarray(np.sin(0.5 * np.pi * phase) ** 2)


def predict_map(
    field: NDArray[np.float32], predict: Predict, tiling: Tiling, *, multiple: int, periodic: bool
) -> NDArray[np.float32]:
    """Predict one map by overlapping tiles.

    Parameters
    ----------
    field
        float32 (channel, latitude, longitude) without NaN.
    predict
        The network as a function on batches.
    tiling
        How it is cut.
    multiple
        Number of which tile sizes must be multiples.
    periodic
        Whether the last longitude is the neighbour of the first; the map then goes on by half a tile's overlap or
        more beyond both ends.

    Returns
    -------
    numpy.ndarray
        float32 (class, latitude, longitude), the weighted mean of the tiles.
    """
    height, width = field.shape[1:]
    halo = min(tiling.overlap, width) if periodic else 0
    if halo:
        field = np.concatenate([field[..., -halo:], field, field[..., :halo]], axis=-1)
    rows, columns = plan_axis(height, tiling, multiple), plan_axis(width + 2 * halo, tiling, multiple)
    padding = ((0, 0), (0, rows.padded - height), (0, columns.padded - width - 2 * halo))
    field = np.pad(field, padding)
    total: NDArray[np.float32] | None = None
    weight = np.zeros((rows.padded, columns.padded), np.float32)
    for places in _batches(rows, columns, tiling.batch_size):
        tiles = np.stack([field[:, _part(rows, i), _part(columns, j)] for i, j in places])
        for (i, j), answer in zip(places, predict(tiles), strict=True):
            if total is None:
                total = np.zeros((answer.shape[0], *weight.shape), np.float32)
            w = rows.weights[i][:, None] * columns.weights[j]
            total[:, _part(rows, i), _part(columns, j)] += answer * w
            weight[_part(rows, i), _part(columns, j)] += w
    if total is None:
        raise RuntimeError("a map without tiles")
    return (total / weight)[:, :height, halo : halo + width]


def _part(axis: Axis, i: int) -> slice:
    return slice(axis.starts[i], axis.starts[i] + axis.length)


def _batches(rows: Axis, columns: Axis, size: int) -> Iterator[list[tuple[int, int]]]:
    places = [(i, j) for i in range(len(rows.starts)) for j in range(len(columns.starts))]
    for start in range(0, len(places), size):
        yield places[start : start + size]
