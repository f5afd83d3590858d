"""Digits that move, turn, grow, shrink and change their light: the MovingMNIST++ of the TrajGRU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.simulations.digit_images import DigitOptions, choose, images_of
from pipeline_lib.simulations.moving_digits import IMAGE, bouncing
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import PositiveRange, Range, drawn, evenly, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray


@SIMULATIONS.register("moving_digits_plus")
class MovingDigitsPlus:
    """Sequences of digits that bounce, rotate, scale and fade; where they overlap the brighter one is seen.

    The protocol of Shi et al. (2017, arXiv 1706.03458) and its public code, as recalled. A digit's factors of scale
    and light work once per frame and become their inverse every five frames. At the start both are 1 and the digit is
    upright; that is ours.
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
        """Factor of the brightness from one frame to the next, between these bounds; up to 1."""
        rotation: float = Field(30.0, ge=0)
        """Degrees per frame, this much at most, either way."""
        flip_every: int = Field(5, gt=0)
        """Frames after which the factors become their inverse."""
        inner: Range = (10.0, 54.0)
        """Rows and columns between which the centres bounce."""

        @model_validator(mode="after")
        def _inside(self) -> MovingDigitsPlus.Options:
            if self.light[1] > 1:
                raise ValueError(
                    f"light goes up to {self.light[1]:g}: above 1, pixels leave the share of the brightest"
                )
            if not self.inner[0] < self.inner[1] <= self.side:
                raise ValueError(f"inner is {self.inner}, not a stretch of the {self.side} rows")
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``image`` (time, row, column) from 0 to 1 and ``age`` (time,).

        Raises
        ------
        FetchError
            If there are no such images.
        """
        import numpy as np

        images = images_of(options, where="moving_digits_plus")

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:
            chosen = choose(rng, number, options, images)
            first, last = options.inner
            centres = first + bouncing(rng, len(chosen), options.length, speed=options.speed, span=last - first)
            scale, light = evenly(rng, options.scale, len(chosen)), evenly(rng, options.light, len(chosen))
            turn = np.radians(evenly(rng, (-options.rotation, options.rotation), len(chosen)))
            frame = np.arange(options.length, dtype=float)[:, None]
            applied = folded(frame, options.flip_every)
            seen = transformed(chosen, centres, frame * turn, scale**applied, options.side)
            return {"image": (seen * (light**applied)[..., None, None]).max(axis=1)}

        return drawn(options, times, sequence, {"image": IMAGE})


def transformed(
    images: NDArray[np.float64],
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
    centres
        Row and column (frame, digit, 2) where the middle of the image comes to lie; pixel i covers [i, i + 1].
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
    middle = wide / 2 - 0.5
    row = np.clip(cos * down - sin * across + middle, 0, wide - 1)
    column = np.clip(sin * down + cos * across + middle, 0, wide - 1)
    top, left = np.minimum(row.astype(int), wide - 2), np.minimum(column.astype(int), wide - 2)
    row -= top
    column -= left
    corner = (np.arange(len(images))[:, None, None] * wide + top) * wide + left
    upper = flat[corner] * (1 - column) + flat[corner + 1] * column
    lower = flat[corner + wide] * (1 - column) + flat[corner + wide + 1] * column
    return np.asarray(upper * (1 - row) + lower * row)
