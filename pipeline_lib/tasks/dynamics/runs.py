"""What a product holds of free runs; importing this loads no network."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.tasks.dynamics.names import AGE, FREE_RUN


def diagnosed(product: xr.Dataset) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the diagnostics (time,) that a product holds, of its free runs and of the true states, by name."""
    names = [name for name in map(str, product.data_vars) if f"{FREE_RUN}_{name}" in product]
    return {name: (product[f"{FREE_RUN}_{name}"].values, product[name].values) for name in names}


def first_run(product: xr.Dataset) -> slice | None:
    """Return the times of the first complete free run of a product, ``None`` if there is none."""
    age = product[AGE].values
    starts = np.flatnonzero(age == 0)
    if not len(starts):
        return None
    length = int(np.diff(starts).max(initial=0)) or len(age) - int(starts[0])
    # A day at which the test begins may cut a trajectory, and with it the first run.
    ends = [s + length for s in starts.tolist() if s + length <= len(age) and age[s + length - 1] == length - 1]
    return slice(ends[0] - length, ends[0]) if ends else None
