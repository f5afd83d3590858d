"""The images that move in generated sequences of digits, and which of them a sequence may draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options
from pipeline_lib.simulations.sequences import SequenceOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BRIGHTEST = 255
"""Largest value of a pixel in a file."""
_BOX = 20 / 28
"""Share of an image's side that the digits of MNIST fill, as recalled; scikit-learn's fill all of theirs."""
_FAINT, _FULL = 0.4, 0.7
"""Values of an enlarged image that become 0 and 1, so that the blur of the enlargement becomes an outline."""


def _first_and_last(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the first image is {bounds[0]}, after the last one, {bounds[1]}")
    return bounds


_Number = Annotated[int, Field(ge=0)]
Subset = Annotated[tuple[_Number, _Number], AfterValidator(_first_and_last)]
"""First and last of the images that may be drawn, counted from 0."""


class HeldOut(Options):
    """Sequences of images that no earlier sequence holds."""

    sequence: int = Field(gt=0)
    """The first of them, counted from 0."""
    subset: Subset
    """Images they draw from."""
    digits: int | None = Field(None, gt=0)
    """Digits of each; as many as in the others if none is given."""


class DigitOptions(SequenceOptions):
    """Which digits there are."""

    digits: int = Field(2, gt=0)
    """Digits of a sequence."""
    size: int = Field(28, ge=8)
    """Rows and columns of an image; others are enlarged or reduced to it."""
    images: Path | None = None
    """An IDX file of images as MNIST has them, plain or gzip; without it, scikit-learn's digits."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of that file, so that equal options stand for equal images."""
    subset: Subset | None = None
    """Images that sequences draw from, all if none are given; those of MNIST and scikit-learn are in an order that has
    no classes."""
    held_out: HeldOut | None = None
    """Sequences at the end that draw from other images, for a test on digits never seen in training."""

    @model_validator(mode="after")
    def _fits(self) -> DigitOptions:
        if self.size >= self.side:
            raise ValueError(f"size is {self.size}: an image must be smaller than a frame, {self.side}")
        if (self.images is None) != (self.sha256 is None):
            raise ValueError("images and sha256 belong together: give both or neither")
        if self.held_out is not None:
            if self.subset is None:
                raise ValueError("held_out needs the subset of the other sequences: nothing is held out of all images")
            (first, last), (other_first, other_last) = self.subset, self.held_out.subset
            if first <= other_last and other_first <= last:
                raise ValueError(f"subset {first} to {last} and held_out.subset {other_first} to {other_last} overlap")
        return self


def images_of(options: DigitOptions, *, where: str) -> NDArray[np.float64]:
    """Return all images (image, size, size), from 0 to 1.

    Parameters
    ----------
    options
        Where they come from, and their size.
    where
        The simulation, for errors.

    Raises
    ------
    FetchError
        If there is no such file of square images, or a subset asks for images that are not there.
    """
    import numpy as np

    images = _scikit_learn(options.size) if options.images is None else _from_file(options)
    last = max(
        0 if options.subset is None else options.subset[1],
        0 if options.held_out is None else options.held_out.subset[1],
    )
    if last >= len(images):
        fix = f"choose images from 0 to {len(images) - 1}"
        raise FetchError(f"there are {len(images)} images, none of number {last}", where=where, fix=fix)
    return np.ascontiguousarray(images)


def choose(
    rng: np.random.Generator, number: int, options: DigitOptions, images: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the images (digit, size, size) of the sequence of that number, drawn with replacement."""
    held = options.held_out
    subset, digits = options.subset or (0, len(images) - 1), options.digits
    if held is not None and number >= held.sequence:
        subset, digits = held.subset, held.digits or digits
    return images[rng.integers(subset[0], subset[1] + 1, size=digits)]


def _scikit_learn(size: int) -> NDArray[np.float64]:
    import numpy as np

    from pipeline_lib.simulations.digits import scikit_learn_digits

    images, _ = scikit_learn_digits()
    inner = round(size * _BOX)
    before = (size - inner) // 2
    sharp = np.clip((_resized(images, inner) - _FAINT) / (_FULL - _FAINT), 0, 1)
    return np.pad(sharp, ((0, 0), *[(before, size - inner - before)] * 2))


def _from_file(options: DigitOptions) -> NDArray[np.float64]:
    from pipeline_lib.io.hashing import sha256_file
    from pipeline_lib.simulations.idx import read_idx

    path = (options.images or Path()).expanduser()
    images = read_idx(path)
    found = sha256_file(path)
    if found != options.sha256:
        fix = "correct fetch.options.options.sha256, or give the file it belongs to"
        raise FetchError(f"its SHA-256 is {found}, not {options.sha256}", where=str(path), fix=fix)
    rows, columns = images.shape[1:]
    if rows != columns:
        raise FetchError(f"its images are {rows} x {columns}, not square", where=str(path), fix="give square images")
    return _resized(images / _BRIGHTEST, options.size)


def _resized(images: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return images (image, size, size), by a cubic spline through pixels that are cells, dark beyond the border."""
    import numpy as np
    from scipy import ndimage

    pixels = images.shape[-1]
    if size == pixels:
        return images
    # Splines are linear and the same along both axes: one matrix does for all images.
    matrix = ndimage.zoom(np.eye(pixels), (size / pixels, 1), order=3, mode="grid-constant", grid_mode=True)
    return np.asarray(np.clip(matrix @ images @ matrix.T, 0, 1))
