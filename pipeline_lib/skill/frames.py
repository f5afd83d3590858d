"""What all scores of frames share: the cells that count, sums over a frame, sums over frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import ScoreError

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Sums = dict[str, Values]
"""Sums by name; the first axes are those of the frames in front of rows and columns."""


def compared(forecast: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> tuple[Values, Values, Mask]:
    """Return the forecast and the truth, with 0 in the cells that do not count, and the cells that do.

    Parameters
    ----------
    forecast, truth
        Frames (..., rows, columns), in any unit.
    valid
        The cells that count, boolean, of a shape that broadcasts to that of the frames; all if ``None``.

    Raises
    ------
    ScoreError
        If the shapes differ, the mask is not boolean, or a cell that counts has no finite value.
    """
    predicted = np.asarray(forecast, np.float64)
    true = np.asarray(truth, np.float64)
    if predicted.shape != true.shape:
        raise ScoreError(
            f"forecast frames {predicted.shape} and true frames {true.shape} differ in shape",
            fix="give one forecast frame per true frame",
        )
    counted = counted_cells(true.shape, valid)
    return (
        filled(predicted, counted, where="forecast frames"),
        filled(true, counted, where="true frames"),
        counted,
    )


def counted_cells(shape: tuple[int, ...], valid: ArrayLike | None) -> Mask:
    """Return the mask of the cells that count, of the shape of the frames.

    Raises
    ------
    ScoreError
        If these are no frames, or the mask is not boolean or does not fit them.
    """
    if len(shape) < 2:
        raise ScoreError(f"an array of shape {shape} holds no frames", fix="give rows and columns as its last axes")
    mask = np.asarray(True if valid is None else valid)
    if mask.dtype != np.bool_:
        raise ScoreError(f"the mask of valid cells holds {mask.dtype}", fix="give a boolean mask")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError as error:
        raise ScoreError(
            f"a mask {mask.shape} does not fit frames {shape}", fix="give it the frames' rows and columns"
        ) from error


def frame_sums(values: NDArray[Any]) -> Values:
    """Return the sums over rows and columns."""
    return np.asarray(values.sum(axis=(-2, -1)), np.float64)


def filled(values: Values, counted: Mask, *, where: str) -> Values:
    """Return values with 0 in the cells that do not count; ``where`` names them in messages.

    Raises
    ------
    ScoreError
        If a cell that counts has no finite value.
    """
    # A missing value compares as below every threshold: it would pass for a forecast of no rain.
    missing = int((counted & ~np.isfinite(values)).sum())
    if missing:
        raise ScoreError(
            f"{missing} valid cells have no finite value", where=where, fix="fill them or leave them out of the mask"
        )
    return np.where(counted, values, 0.0)
