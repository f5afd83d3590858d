"""What a product holds of free runs; importing this loads no network."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.dynamics.names import AGE, FREE_RUN, RUN_STEPS, SHELL


def diagnosed(product: xr.Dataset) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the diagnostics (time,) that a product holds, of its free runs and of the true states, by name."""
    return {name: (free.values, true.values) for name, (free, true) in _told(product).items() if true.ndim == 1}


def spectra(product: xr.Dataset) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Return the spectra (time, shell) that a product holds, of its free runs and of the true states, by name."""
    return {name: both for name, both in _told(product).items() if SHELL in both[1].dims}


def _told(product: xr.Dataset) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """What it holds of free runs and of true states alike, by its name for the latter."""
    names = [name for name in map(str, product.data_vars) if f"{FREE_RUN}_{name}" in product]
    return {name: (product[f"{FREE_RUN}_{name}"], product[name]) for name in names}


def whole_runs(age: xr.DataArray) -> list[slice]:
    """Return the times of each free run that neither a period, nor a trajectory, nor the test cuts short.

    Parameters
    ----------
    age
        Time steps since the start of the run (time,), with the attribute ``run_steps``, the states of a whole run. Gaps
        between starts do not tell their number: there may be a single one.

    Raises
    ------
    DataError
        If it has no such attribute.
    """
    if RUN_STEPS not in age.attrs:
        raise DataError(f"does not say how long its free runs are ({RUN_STEPS})", where=AGE, fix="predict again")
    ages, steps = age.values, int(age.attrs[RUN_STEPS])
    found = [slice(start, start + steps) for start in np.flatnonzero(ages == 0).tolist()]
    return [window for window in found if np.array_equal(ages[window], np.arange(steps))]


def first_run(product: xr.Dataset) -> slice | None:
    """Return the times of the first whole free run of a product, ``None`` if there is none; else as `whole_runs`."""
    return next(iter(whole_runs(product[AGE])), None)
