"""Where one trajectory of a source ends and the next begins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import DataError

AGE_OF_STATE = "age"
"""Variable (time,) of a source of several trajectories: time steps since the start of the state's own. It is right
even when days or periods cut a trajectory."""

_SECOND = 1 / 86400
"""Days; times from files are rounded to seconds."""
_ROUNDING = 1e-6

Ages = NDArray[np.int64]


def ages_of(ds: xr.Dataset) -> Ages:
    """Return the age (time,) of each state in time steps; without ``age`` in the dataset, all are of one trajectory.

    Raises
    ------
    DataError
        If ages are no whole numbers from 0 on.
    """
    if AGE_OF_STATE not in ds:
        return np.arange(ds.sizes["time"])
    values = ds[AGE_OF_STATE].values
    if ds[AGE_OF_STATE].dims != ("time",) or not (np.isfinite(values) & (values >= 0) & (values % 1 == 0)).all():
        fix = "count time steps since the start of the trajectory, or call the variable otherwise"
        raise DataError("holds no ages of states", where=AGE_OF_STATE, fix=fix)
    return np.asarray(values, dtype=np.int64)


def pieces(ages: Ages) -> list[slice]:
    """Return the stretches of time that hold one trajectory each, or what is there of it."""
    edges = [0, *(np.flatnonzero(np.diff(ages) != 1) + 1).tolist(), len(ages)]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]


def require_step(times: NDArray[np.datetime64], ages: Ages, step: float) -> None:
    """Refuse states of a trajectory that are not one time step apart; between trajectories any time may pass.

    Parameters
    ----------
    times, ages
        Of the states (time,).
    step
        Days between two of them, those of the training.

    Raises
    ------
    DataError
        If all are another step apart, or some are: a state is missing between them.
    """
    apart = np.diff(times)[np.diff(ages) == 1] / np.timedelta64(1, "D")
    wrong = np.abs(apart - step) > max(_ROUNDING * step, min(_SECOND, step / 4))
    if not wrong.any():
        return
    if wrong.all():
        what = f"states are {np.median(apart):g} days apart, the model was trained on {step:g}"
        raise DataError(what, where="time", fix="give states of that step, or train a model on these")
    first = np.flatnonzero(np.diff(ages) == 1)[int(np.argmax(wrong))]
    what = f"{np.datetime_as_string(times[first], unit='s')} is not followed by a state after {step:g} days"
    fix = f"of states nothing may be missing; where one trajectory ends and the next begins, tell by {AGE_OF_STATE!r}"
    raise DataError(what, where="time", fix=fix)


def followers(ages: Ages) -> Ages:
    """Return how many states of its own trajectory follow each state."""
    left = [np.arange(piece.stop - piece.start)[::-1] for piece in pieces(ages)]
    return np.concatenate(left) if left else np.zeros(0, dtype=np.int64)


def require_one(ages: Ages | None, *, where: str) -> None:
    """Refuse several trajectories; no ages mean one.

    Raises
    ------
    DataError
        If there is more than one; ``where`` names what takes one alone.
    """
    count = 1 if ages is None else len(pieces(ages))
    if count > 1:
        raise DataError(f"takes one trajectory, here are {count}", where=where, fix="take a source of one trajectory")
