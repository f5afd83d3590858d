"""Digits that move, turn, grow, shrink and change their light: the MovingMNIST++ of the TrajGRU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.simulations.digit_images import DigitOptions, choose, images_of
from pipeline_lib.simulations.moving_digits import velocities
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, PositiveRange, Range, drawn, evenly, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray


IMAGE = Described(("row", "column"), "1", "moving digits, 1 is the brightest value of their images")
"""What the frames are."""
_MIDDLE = 0.5
"""OpenCV, which draws the published sequences, counts from the middle of the first pixel; we count from its border."""


@SIMULATIONS.register("moving_digits_plus")
class MovingDigitsPlus:
    """Sequences of digits that bounce, rotate, scale and fade; where they overlap the brighter one is seen.

    The protocol of Shi et al. (2017, arXiv 1706.03458). Its public code is followed also where it says more than a
    description does, or other things:

    - What is dark around a digit is cut off, and its middle is that of the rest. It starts upright, as large and bright
      as its image, anywhere as long as all of it is in the frame, also beyond the inner box.
    - A middle beyond the inner box is put back on its border, and moves on the other way from there.
    - Each digit has a factor of size and a rotation of its own; all digits of a sequence share one factor of light.
    - The factor of light works once per frame and its inverse from frame ``flip_every`` on, each for so many frames in
      turn; that of size works where the inverse of light does. Powers of light are 0 1 2 3 4 3 2 1 0 -1 0 1 and so on,
      those of size their negatives. So one frame in ten is brighter than the images, and no value is cut off at 1.
    - Digits turn and grow about a point half a pixel below and right of their middle: where OpenCV has the latter.
    """

    class Options(DigitOptions):
        """Options of this simulation."""

        digits: int = Field(3, gt=0)
        """Digits of a sequence."""
        speed: Range = (0.0, 3.6)
        """Pixels per frame, between these bounds."""
        scale: PositiveRange = (1 / 1.1, 1.1)
        """Factor of the size from one frame to the next, between these bounds."""
        light: PositiveRange = (0.6, 1.0)
        """Factor of the brightness from one frame to the next, between these bounds."""
        rotation: float = Field(30.0, ge=0)
        """Degrees per frame, this much at most, either way."""
        flip_every: int = Field(5, gt=0)
        """Frames after which the factors become their inverse."""
        inner: Range = (10.0, 54.0)
        """Rows and columns between which the middles of digits bounce."""

        @model_validator(mode="after")
        def _inside(self) -> MovingDigitsPlus.Options:
            if not self.inner[0] < self.inner[1] <= self.side:
                raise ValueError(f"inner is {self.inner}, not a stretch of the {self.side} rows")
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``image`` (time, row, column), from 0 to the largest power of light, and ``age`` (time,).

        Raises
        ------
        FetchError
            If there are no such images.
        """
        import numpy as np

        images = images_of(options, where="moving_digits_plus")
        applied = folded(np.arange(1.0, options.length + 1), options.flip_every) - 1

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:
            chosen = choose(rng, number, options, images)
            middles, extents = outlines(chosen)
            start = extents / 2 + rng.random(extents.shape) * (options.side - extents)
            velocity = velocities(rng, len(chosen), options.speed)
            centres = turned_back(start, velocity, options.length, options.inner)
            scale, light = evenly(rng, options.scale, len(chosen)), evenly(rng, options.light, 1)
            turn = np.radians(evenly(rng, (-options.rotation, options.rotation), len(chosen)))
            angles, scales = np.arange(float(options.length))[:, None] * turn, scale ** -applied[:, None]
            seen = transformed(chosen, middles + _MIDDLE, centres + _MIDDLE, angles, scales, options.side)
            return {"image": seen.max(axis=1) * (light**applied)[:, None, None]}

        return drawn(options, times, sequence, {"image": IMAGE})


def outlines(images: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return middle and size, rows and columns (digit, 2) each, of what is not dark in images (digit, size, size).

    Pixel i covers [i, i + 1]. Of an image that is all dark they are those of the image.
    """
    import numpy as np

    lit = np.stack([(images > 0).any(axis=2), (images > 0).any(axis=1)], axis=1)
    first, last = lit.argmax(axis=2), lit.shape[2] - lit[..., ::-1].argmax(axis=2)
    return (first + last) / 2, (last - first).astype(float)


def turned_back(
    start: NDArray[np.float64], velocity: NDArray[np.float64], length: int, inner: tuple[float, float]
) -> NDArray[np.float64]:
    """Return places (frame, digit, axis) of what moves straight on and, along an axis, turns round beyond its bounds.

    Parameters
    ----------
    start
        Of the digits (digit, axis), within the bounds or not.
    velocity
        Way per frame (digit, axis).
    length
        Frames.
    inner
        Bounds of both axes; who is beyond one of them after a step is put on it.
    """
    import numpy as np

    places = [start]
    for _ in range(length - 1):
        gone = places[-1] + velocity
        places.append(np.clip(gone, *inner))
        velocity = np.where(gone == places[-1], velocity, -velocity)
    return np.stack(places)


def transformed(
    images: NDArray[np.float64],
    middles: NDArray[np.float64],
    centres: NDArray[np.float64],
    angles: NDArray[np.float64],
    scales: NDArray[np.float64],
    side: int,
) -> NDArray[np.float64]:
    """Return frames (frame, digit, side, side), each with one image rotated, scaled and moved, by bilinear values.

    Parameters
    ----------
    images
        (digit, size, size); beyond their border all is dark.
    middles
        Row and column (digit, 2) of the image about which it is rotated and scaled; pixel i covers [i, i + 1].
    centres
        Row and column (frame, digit, 2) where that point comes to lie.
    angles
        Radians (frame, digit), from the axis of columns towards that of rows.
    scales
        Factors of the size (frame, digit).
    side
        Rows and columns of a frame.
    """
    import numpy as np

    size = images.shape[-1]
    # A dark pixel around each image, where all places beyond it are sent.
    flat = np.pad(images, ((0, 0), (1, 1), (1, 1))).ravel()
    wide = size + 2
    pixel = np.arange(side) + 0.5
    down = (pixel - centres[..., 0, None])[..., :, None] / scales[..., None, None]
    across = (pixel - centres[..., 1, None])[..., None, :] / scales[..., None, None]
    cos, sin = np.cos(angles)[..., None, None], np.sin(angles)[..., None, None]
    middle = (middles + 0.5)[..., None, None]
    row = np.clip(cos * down - sin * across + middle[:, 0], 0, wide - 1)
    column = np.clip(sin * down + cos * across + middle[:, 1], 0, wide - 1)
    top, left = np.minimum(row.astype(int), wide - 2), np.minimum(column.astype(int), wide - 2)
    row -= top
    column -= left
    corner = (np.arange(len(images))[:, None, None] * wide + top) * wide + left
    upper = flat[corner] * (1 - column) + flat[corner + 1] * column
    lower = flat[corner + wide] * (1 - column) + flat[corner + wide + 1] * column
    return np.asarray(upper * (1 - row) + lower * row)
