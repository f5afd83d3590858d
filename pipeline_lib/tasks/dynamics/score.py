"""Squared errors of forecasts, lead by lead, beside those of persistence: the task's part of the score stage."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import ages_of, followers
from pipeline_lib.errors import ScoreError
from pipeline_lib.score.bootstrap import summable
from pipeline_lib.score.gate import InvalidRunError, Sample
from pipeline_lib.tasks.dynamics import metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.dynamics.free_runs import count_free_runs
from pipeline_lib.tasks.dynamics.names import AGE, FIELD, FORECAST_OF, FREE_RUN, HISTORY, RUN_STEPS, SUBGRID, VARIABLE
from pipeline_lib.tasks.dynamics.options import ScoringOptions
from pipeline_lib.tasks.dynamics.runs import diagnosed
from pipeline_lib.tasks.dynamics.starts import places_of
from pipeline_lib.tasks.dynamics.subgrid import count_terms

LOG = logging.getLogger(__name__)

T = TypeVar("T", xr.Dataset, xr.DataArray)
_AXES_OF_A_VECTOR = 2
"""Time and one axis: a state without fields."""


def score_stores(
    product: xr.Dataset,
    labels: xr.Dataset | None,  # noqa: ARG001 - the truth is the dataset
    dataset: xr.Dataset,
    options: ScoringOptions,
    *,
    where: str,
) -> tuple[xr.Dataset, Sample]:
    """Return, for each state that forecasts start from, squared errors by lead.

    Parameters
    ----------
    product
        Holds ``forecast`` (time, lead, ...), whose attribute ``forecast_of`` names the states.
    dataset
        Holds the states, at the same times, and their ages if they are of several trajectories. The last states of
        each, whose future is not all there, are the start of no forecast; nor are the first ones, which the product
        lacks, where forecasts start from more than one true state.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        With dimensions (time, lead), in the square of the states' unit, summed over components: ``squared_error`` of
        the forecasts, ``persistence_error`` of the state that they start from, ``climatology_error`` of the mean of the
        test's states; ``values``, the number of terms. If
        there are free runs also (time,) what :func:`~pipeline_lib.tasks.dynamics.free_runs.count_free_runs` counts,
        and if the dataset holds exact answers of a closure what
        :func:`~pipeline_lib.tasks.dynamics.subgrid.count_terms` does.

    Raises
    ------
    ScoreError
        If product and dataset have other times or components, or all of the test is shorter than a forecast.
    InvalidRunError
        If a forecast, or an answer of a closure, holds a value that is not finite, or so large a one that its square is
        not.
    DataError
        If there are free runs and the product does not say how long they are.
    """
    truth, exact = _state(product, dataset, where), dataset.get(SUBGRID)
    if options.fields is not None:
        if exact is not None and truth.dims[1] in exact.dims:
            exact = _chosen(exact, truth, options.fields, where)
        product, truth = _chosen(product, truth, options.fields, where), _chosen(truth, truth, options.fields, where)
    forecast = product[VARIABLE]
    leads, times = forecast.sizes["lead"], truth.sizes["time"]
    places = places_of(product, dataset, where=where)
    starts = np.flatnonzero(followers(ages_of(dataset))[places] >= leads)
    if not starts.size:
        raise ScoreError(f"{times} test states are too few for forecasts of {leads} steps", where=where)
    states = truth.values.reshape(times, -1).astype("float64")
    found = forecast.isel(time=starts).values.reshape(starts.size, leads, -1).astype("float64")
    begun = places[starts]
    _require_finite(found, truth.time.values[begun], where)
    ahead = begun[:, None] + np.arange(1, 1 + leads)
    future = states[ahead]
    with np.errstate(over="ignore"):
        wrong = ((found - future) ** 2).sum(axis=-1)
    _require_finite(wrong[..., None], truth.time.values[begun], where, "squared errors")
    by_lead = {
        "squared_error": summable(wrong),
        "persistence_error": summable(((states[begun, None] - future) ** 2).sum(axis=-1)),
        "climatology_error": summable(((states - states.mean(axis=0)) ** 2).sum(axis=-1)[ahead]),
        "values": np.full((starts.size, leads), float(states.shape[1])),
    }
    counts: dict[str, xr.Variable] = {n: xr.Variable(("time", "lead"), values) for n, values in by_lead.items()}
    if FREE_RUN in product:
        axis = FIELD if options.fields is None else str(truth.dims[1])
        at = truth.isel(time=places)
        runs = count_free_runs(product[FREE_RUN].load(), product[AGE].load(), at, diagnosed(product), axis=axis)
        _tell_runs(int(runs["runs"].sum()), int(product[AGE].attrs[RUN_STEPS]), where)
        counts |= {name: xr.Variable("time", summable(_on_dates(values, starts))) for name, values in runs.items()}
    if exact is not None:
        answers = product[SUBGRID].isel(time=starts) if SUBGRID in product else None
        terms = count_terms(answers, exact.isel(time=begun), where=where)
        counts |= {name: xr.Variable("time", summable(values)) for name, values in terms.items()}
    scored = truth.isel(time=begun)
    sample = Sample.of(scored, xr.ones_like(scored, dtype=bool), method=_method(product, leads))
    coords = {"time": scored.time, "lead": forecast.lead}
    return xr.Dataset(counts, coords), sample


def _method(product: xr.Dataset, leads: int) -> Mapping[str, Any]:
    """What competitors must have in common: forecasts of one length from as many true states, free runs of one length.

    A single state and no free runs are left out.
    """
    attrs = product[VARIABLE].attrs
    known = {HISTORY: int(attrs[HISTORY])} if HISTORY in attrs else {}
    runs = {RUN_STEPS: int(product[AGE].attrs[RUN_STEPS])} if FREE_RUN in product else {}
    return {"leads": leads, **known, **runs}


def _tell_runs(runs: int, steps: int, where: str) -> None:
    """Say why metrics of free runs are undefined where no run goes through to its end."""
    if not runs:
        LOG.warning(
            "%s: the test holds no whole free run of %d states, so that its metrics are undefined: periods,"
            " trajectories or the test end before; shorten training.free_run",
            where,
            steps,
        )


def _on_dates(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts (time,) of free runs at the states that forecasts start from, the dates that all competitors share.

    Forecasts may be longer than runs: the last run of a trajectory then starts where no forecast does. It counts at the
    last of those states before it, or at the first.
    """
    counted = np.flatnonzero(values)
    date = np.maximum(np.searchsorted(starts, counted, side="right") - 1, 0)
    return np.bincount(date, weights=values[counted], minlength=starts.size).astype(np.float64)


def _require_finite(
    forecasts: NDArray[np.float64], times: NDArray[np.datetime64], where: str, what: str = "forecasts"
) -> None:
    """Call a run invalid of which a forecast (time, lead, component), or what is made of it, is not finite."""
    bad = np.argwhere(~np.isfinite(forecasts).all(axis=-1))
    if bad.size:
        start, lead = (int(i) for i in bad[0])
        raise InvalidRunError(
            f"{len(bad)} of {forecasts[..., 0].size} {what} are not finite, the first {lead + 1} steps after "
            f"{times[start]:.19}",
            where=where,
            fix="forecast fewer steps, or train a stable model",
        )


def _chosen(data: T, truth: xr.DataArray, fields: list[int], where: str) -> T:
    """Return these entries of the first axis of the states."""
    axis = truth.dims[1]
    if truth.ndim == _AXES_OF_A_VECTOR or max(fields) >= truth.sizes[axis]:
        raise ScoreError(
            f"states {dict(truth.sizes)} have no field {max(fields)}", where=where, fix="correct scoring.fields"
        )
    return data.isel({axis: fields})


def _state(product: xr.Dataset, dataset: xr.Dataset, where: str) -> xr.DataArray:
    """Return the dataset's variable that the product forecasts, loaded."""
    shape = _but_times(product[VARIABLE])
    name = product[VARIABLE].attrs.get(FORECAST_OF)
    # Observations have the shape of the states.
    others = dataset.drop_vars(SUBGRID, errors="ignore").data_vars.values() if name not in dataset else [dataset[name]]
    fitting = [v for v in others if "time" in v.dims and _but_times(v) == shape]
    if len(fitting) != 1:
        raise ScoreError(f"forecasts {dict(shape)}, of which the dataset holds {len(fitting)} variables", where=where)
    return fitting[0].load()


def _but_times(data: xr.DataArray) -> list[tuple[str, int]]:
    """Names and sizes of the axes of a state."""
    return [(str(dim), size) for dim, size in data.sizes.items() if dim not in {"time", "lead"}]
