"""Power spectra of frames by distance in wavenumber: what a blurred forecast has lost, and at which scales."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline_lib.metrics import ratio
from pipeline_lib.skill.frames import Values, counted_cells, filled, frame_sums


class RadialSpectrum(NamedTuple):
    """Variance of frames by wavenumber; that of forecasts is summed over dates before it is divided by the truth's."""

    wavenumber: Values
    """Centres of the rings [cycles per cell], one ring per cycle along the shorter side; the first holds only the mean,
    which is taken off, and waves at least twice as long as that side."""
    power: Values
    """Mean of the modes of each ring (..., rings), in squares of the unit of the frames."""
    modes: Values
    """Modes of each ring; the sum of ``power * modes`` is the variance of the (windowed) frame."""


def radial_spectrum(frames: ArrayLike, valid: ArrayLike | None = None) -> RadialSpectrum:
    """Average the power of each frame over rings of equal wavenumber, whatever the direction.

    The mean of a frame's valid cells is taken off; cells that are not valid then count as the mean. A frame fades to
    its borders by a Hann window, scaled so that the power of noise stays what it is: without it the jump from one
    border to the opposite one shows at all wavenumbers.

    Parameters
    ----------
    frames
        (..., rows, columns), with cells as wide as they are high.
    valid
        The cells that count, boolean; all if ``None``. Compare only spectra of frames with one mask.

    Returns
    -------
    RadialSpectrum
        Rings as far as the corners of the plane of wavenumbers; beyond 0.5 cycles per cell they are not complete.

    Raises
    ------
    ScoreError
        If a valid cell has no finite value, or the mask does not fit.
    """
    values = np.asarray(frames, np.float64)
    counted = counted_cells(values.shape, valid)
    values = filled(values, counted, where="frames")
    mean = ratio(frame_sums(values), frame_sums(counted))[..., None, None]
    rows, columns = values.shape[-2:]
    taper = np.outer(_hann(rows), _hann(columns))
    return rings(np.where(counted, values - mean, 0.0) * taper / np.sqrt((taper**2).mean()))


def rings(anomaly: Values) -> RadialSpectrum:
    """Average the power of anomalies (..., rows, columns) over rings of equal wavenumber, as of periodic frames."""
    rows, columns = anomaly.shape[-2:]
    power = np.abs(np.fft.fft2(anomaly, norm="forward")) ** 2
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns))
    ring = np.rint(k * min(rows, columns)).astype(np.int64).ravel()
    modes = np.bincount(ring).astype(np.float64)
    sums = np.stack([np.bincount(ring, weights=frame) for frame in power.reshape(-1, rows * columns)])
    return RadialSpectrum(
        np.arange(modes.size) / min(rows, columns),
        ratio(sums, modes).reshape(*anomaly.shape[:-2], modes.size),
        modes,
    )


def _hann(size: int) -> Values:
    """Return a Hann window of cells, 0 half a cell outside the first and the last."""
    return np.asarray(np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2)
