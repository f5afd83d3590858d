"""States that a forecast can start from: those before which enough others of their trajectory are known."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import Ages, ages_of, pieces
from pipeline_lib.errors import DataError, ScoreError
from pipeline_lib.tasks.dynamics.names import HISTORY, VARIABLE


def preceding(ages: Ages) -> Ages:
    """Return how many states of its own trajectory precede each state, of those that are there."""
    found = [np.arange(piece.stop - piece.start) for piece in pieces(ages)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def starts_with(history: int, ages: Ages) -> NDArray[np.int64]:
    """Return the states that end a row of ``history`` ones of a trajectory.

    Raises
    ------
    DataError
        If there is none.
    """
    starts = np.flatnonzero(preceding(ages) >= history - 1)
    if not starts.size:
        fix = "give more states, or train with a shorter training.history"
        raise DataError(f"no {history} of {len(ages)} states follow each other in a trajectory", where="time", fix=fix)
    return starts


def places_of(product: xr.Dataset, dataset: xr.Dataset, *, where: str) -> NDArray[np.int64]:
    """Return where in a dataset the states (time,) lie that the forecasts of a product start from.

    All do, but those whose history is not there: the first ones of each trajectory, and of each period, which knows
    nothing of the one before.

    Raises
    ------
    ScoreError
        If the product has times that the dataset does not have, or lacks others.
    """
    history = int(product[VARIABLE].attrs.get(HISTORY, 1))
    here = np.isin(dataset["time"].values, product["time"].values)
    lacking = ~here & (preceding(ages_of(dataset)) >= history - 1)
    in_a_row = np.diff(np.flatnonzero(np.concatenate([[True], ~lacking, [True]]))) - 1
    if here.sum() != product.sizes["time"] or in_a_row.max() >= history:
        raise ScoreError("starts from other times than those of the dataset", where=where, fix="predict again")
    return np.flatnonzero(here)
