"""Classes of images, checked; importing this loads no network."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import DataError


def classes_of(ds: xr.Dataset, target: str, classes: int) -> NDArray[np.int64]:
    """Return the class of each image.

    Raises
    ------
    DataError
        If the variable is not there, or holds something else than one class from 0 to ``classes`` - 1 per image.
    """
    if target not in ds or ds[target].dims != ("time",):
        found = ", ".join(str(name) for name, values in ds.data_vars.items() if values.dims == ("time",)) or "none"
        raise DataError("is no variable with one value per image", where=f"target: {target}", fix=f"there is {found}")
    values = ds[target].values
    wrong = (values != np.round(values)) | (values < 0) | (values >= classes)
    if wrong.any():
        raise DataError(
            f"holds {values[wrong][0]:g}, not a class from 0 to {classes - 1}",
            where=f"target: {target}",
            fix="correct training.classes",
        )
    return values.astype(np.int64)
