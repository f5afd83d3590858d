"""Digits that move straight on and bounce off the borders: the Moving MNIST of the ConvLSTM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline_lib.simulations.digit_images import DigitOptions, choose, images_of
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, Range, drawn, evenly, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

IMAGE = Described(("row", "column"), "1", "moving digits, share of the brightest value")
"""What the frames are."""


@SIMULATIONS.register("moving_digits")
class MovingDigits:
    """Sequences of digits that move at a constant speed and bounce; where they overlap the brighter one is seen.

    The protocol of Shi et al. (2015, arXiv 1506.04214), as recalled, after Srivastava et al. (2015, arXiv 1502.04681):
    two digits in frames of 64 x 64, start and direction at random, speed even in [3, 5) pixels per frame. Digits lie on
    whole pixels, by the rounding of where they are; that is ours.
    """

    class Options(DigitOptions):
        """Options of this simulation."""

        speed: Range = (3.0, 5.0)
        """Pixels per frame, between these bounds."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``image`` (time, row, column) from 0 to 1 and ``age`` (time,).

        Raises
        ------
        FetchError
            If there are no such images.
        """
        images = images_of(options, where="moving_digits")

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:
            chosen = choose(rng, number, options, images)
            span = options.side - options.size
            corners = bouncing(rng, len(chosen), options.length, speed=options.speed, span=span)
            return {"image": placed(chosen, corners, options.side)}

        return drawn(options, times, sequence, {"image": IMAGE})


def bouncing(
    rng: np.random.Generator, count: int, length: int, *, speed: tuple[float, float], span: float
) -> NDArray[np.float64]:
    """Return places (frame, digit, axis) in [0, span] of what moves straight on and bounces off the ends.

    Parameters
    ----------
    rng
        What start, direction and speed are drawn with.
    count
        Digits.
    length
        Frames.
    speed
        Bounds of the speed, way per frame.
    span
        Length of the way along an axis.
    """
    import numpy as np

    start = rng.random((count, 2)) * span
    return folded(start + np.arange(length)[:, None, None] * velocities(rng, count, speed), span)


def velocities(rng: np.random.Generator, count: int, speed: tuple[float, float]) -> NDArray[np.float64]:
    """Return ways per frame (digit, axis) in any direction, their lengths drawn evenly between bounds."""
    import numpy as np

    direction = rng.random(count) * 2 * math.pi
    return np.asarray(evenly(rng, speed, count)[:, None] * np.stack([np.sin(direction), np.cos(direction)], axis=1))


def placed(images: NDArray[np.float64], corners: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return frames (frame, side, side) of images (digit, size, size), the brightest value of each pixel.

    Parameters
    ----------
    images
        The digits.
    corners
        Row and column (frame, digit, 2) of the first pixel of each; they are rounded.
    side
        Rows and columns of a frame.
    """
    import numpy as np

    frames = np.zeros((len(corners), side, side))
    within = np.arange(images.shape[-1])
    frame = np.arange(len(corners))[:, None, None]
    for image, corner in zip(images, np.rint(corners).astype(int).transpose(1, 2, 0), strict=True):
        rows, columns = corner[0][:, None, None] + within[:, None], corner[1][:, None, None] + within
        frames[frame, rows, columns] = np.maximum(frames[frame, rows, columns], image)
    return frames
