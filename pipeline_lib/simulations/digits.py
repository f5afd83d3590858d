"""Handwritten digits that come with scikit-learn, in a random order that is always the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

_SIDE = 8
"""Rows and columns of an image."""
_BRIGHTEST = 16
"""Largest value of a pixel: images hold shares of it."""
_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
"""Of all pixels and then all labels as bytes, in the order of scikit-learn 1.9.1."""


@SIMULATIONS.register("digits")
class Digits:
    """Images of handwritten digits, 8 x 8 pixels, with their classes; nothing is simulated."""

    class Options(BaseOptions):
        """Options of this source."""

        seed: int = Field(0, ge=0)
        """Of the order of the images."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the first images of the order: ``image`` (time, row, column) from 0 to 1 and ``label`` (time).

        Raises
        ------
        FetchError
            If more images are asked for than there are, or scikit-learn holds others than it did.
        """
        import xarray as xr

        images, labels = scikit_learn_digits()
        if times > len(labels):
            raise FetchError(f"has {len(labels)} images, not {times}", where="digits", fix="choose an earlier time.end")
        order = stratified_order(labels, options.seed)[:times]
        return xr.Dataset(
            {
                "image": (
                    ("time", "row", "column"),
                    images[order],
                    {"units": "1", "long_name": "handwritten digit, share of the brightest value"},
                ),
                "label": ("time", labels[order].astype(float), {"units": "1", "long_name": "the digit written"}),
            }
        )


def scikit_learn_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all images (image, row, column), from 0 to 1, and their classes (image,).

    Raises
    ------
    FetchError
        If scikit-learn holds others than it did.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    found = hashlib.sha256(pixels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if found != _SHA256:
        raise FetchError(
            "this scikit-learn holds other images than 1.9.1", where="digits", fix="install the version pinned"
        )
    return pixels.reshape(-1, _SIDE, _SIDE) / _BRIGHTEST, labels


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a random order in which each class is spread evenly.

    The members of a class, in random order, are put into as many equal parts of the whole, each at a random place of
    its part, so that every stretch holds about as much of each class as it should, and a class seldom follows itself.

    Parameters
    ----------
    labels
        Class of each sample.
    seed
        Of the order.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")
