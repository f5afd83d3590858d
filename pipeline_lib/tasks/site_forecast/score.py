"""What metrics of forecasts at a site are made of, start by start and lead by lead: part of the score stage."""

from __future__ import annotations

import json
import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import ScoreError
from pipeline_lib.score.bootstrap import summable
from pipeline_lib.score.gate import InvalidRunError, Sample
from pipeline_lib.tasks.site_forecast import metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.site_forecast.columns import Columns, starts_of
from pipeline_lib.tasks.site_forecast.names import ASKED, DISTRIBUTION, VARIABLE
from pipeline_lib.tasks.site_forecast.options import ScoringOptions, TrainingOptions

Values = NDArray[np.float64]
Index = NDArray[np.int64]


def score_stores(
    product: xr.Dataset,
    labels: xr.Dataset | None,  # noqa: ARG001 - the truth is the dataset
    dataset: xr.Dataset,
    options: ScoringOptions,  # noqa: ARG001 - the same is counted for all metrics
    *,
    where: str,
) -> tuple[xr.Dataset, Sample]:
    """Return the counts of each start of a forecast that lies in the test with all that it sees and forecasts.

    Parameters
    ----------
    product
        Holds ``forecast`` (time, lead, target), perhaps ``distribution`` (time, lead, parameter).
    dataset
        Holds what is forecast, at the times that follow, and what was seen.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        With dimensions (time, lead) the number of true ``values`` (times at which all targets are there) and the sums
        of ``squared_error``, ``absolute_error`` and ``error`` over targets; of a prediction at the nearest grid point
        ``nwp_values``, ``nwp_squared_error`` and the forecast's own ``squared_error_where_nwp``; ``log_loss``, the
        negative logarithm of the density, over ``densities`` values. What is missing is counted in ``missing``.

    Raises
    ------
    ScoreError
        If no start lies in the test.
    InvalidRunError
        If a forecast has no finite value where there is a true one.
    """
    told = product[VARIABLE].attrs
    inputs, rules = json.loads(told["inputs"]), TrainingOptions.model_validate(json.loads(told["rules"]))
    columns = Columns.of(dataset, inputs, rules, dict.fromkeys(inputs, np.nan))  # no field is read but at a point
    columns.past.require_step(rules.step_minutes, where=inputs[0])
    starts, steps = _starts(product, columns, rules, where), product["lead"].values.astype(np.int64)
    truth, times = columns.targets[starts[:, None] + steps].astype(np.float64), columns.times[starts]
    chosen = product.sel(time=times)
    found = chosen[VARIABLE].values.astype(np.float64)
    valid = np.isfinite(truth).all(axis=-1)
    _require_finite(found, valid, times, steps, where)
    counts = _errors(found, truth, valid)
    if rules.nwp:
        foretold = columns.nearest[starts[:, None] + steps].astype(np.float64)
        counts |= _beside_prediction(found, foretold, truth, valid, rules)
    if DISTRIBUTION in product:
        parameters = chosen[DISTRIBUTION].values.astype(np.float64)
        counts["log_loss"] = np.where(valid, _log_loss(parameters, np.where(valid[..., None], truth, 0.0)), 0.0)
        counts["densities"] = valid.astype(np.float64)
    dims = ("time", "lead", "target")
    true = xr.DataArray(truth, dims=dims, coords={"time": times, "lead": steps}, name=inputs[0])
    true.attrs = {"units": dataset[inputs[0]].attrs.get("units", "1")}
    method = {name: value for name, value in rules.model_dump(mode="json").items() if name in ASKED}
    sample = Sample.of(true, true.notnull(), method=method)
    variables = {name: (("time", "lead"), summable(values)) for name, values in counts.items()}
    return xr.Dataset(variables, {"time": times, "lead": steps}), sample


def _errors(found: Values, truth: Values, valid: NDArray[np.bool_]) -> dict[str, Values]:
    """Count what forecasts (start, lead, target) are off."""
    error = np.where(valid[..., None], found - np.where(valid[..., None], truth, 0.0), 0.0)
    return {
        "values": valid.astype(np.float64),
        "missing": (~valid).astype(np.float64),
        "squared_error": (error**2).sum(axis=-1),
        "absolute_error": np.sqrt((error**2).sum(axis=-1)),
        "error": error.sum(axis=-1),
    }


def _beside_prediction(
    found: Values, foretold: Values, truth: Values, valid: NDArray[np.bool_], rules: TrainingOptions
) -> dict[str, Values]:
    """Count what forecasts, and channels (start, lead, channel) of a prediction, are off where both say something."""
    said = np.hypot(foretold[..., :1], foretold[..., 1:2]) if rules.speed else foretold[..., : rules.targets]
    both = valid & np.isfinite(said).all(axis=-1)
    compared = (("nwp_squared_error", said), ("squared_error_where_nwp", found))
    counts = {name: _errors(values, truth, both)["squared_error"] for name, values in compared}
    return {**counts, "nwp_values": both.astype(np.float64)}


def _log_loss(parameters: Values, truth: Values) -> Values:
    """Return the negative logarithm of a bivariate Gaussian's density, in nats; see learning.bivariate_gaussian."""
    off = (truth - parameters[..., :2]) / parameters[..., 2:4]
    correlation = parameters[..., 4]
    left = 1 - correlation**2
    squared = ((off**2).sum(axis=-1) - 2 * correlation * off.prod(axis=-1)) / left
    spread = np.log(parameters[..., 2:4]).sum(axis=-1)
    return np.asarray(math.log(2 * math.pi) + spread + np.log(left) / 2 + squared / 2)


def _starts(product: xr.Dataset, columns: Columns, rules: TrainingOptions, where: str) -> Index:
    """Return the starts of the product that lie in the test with all that they see and forecast."""
    if not np.isin(product["time"].values, columns.times).all():
        raise ScoreError("starts from times that the dataset does not hold", where=where, fix="predict again")
    # What is seen lies in the test as well: values of another split may have been learned from.
    fitting = starts_of(columns, rules, whole_future=True)
    starts = fitting[np.isin(columns.times[fitting], product["time"].values)]
    if not starts.size:
        raise ScoreError(f"no forecast from {rules.seen} times lies in the test with all of them", where=where)
    return starts


def _require_finite(
    found: Values, valid: NDArray[np.bool_], times: NDArray[np.datetime64], steps: Index, where: str
) -> None:
    bad = np.argwhere(~np.isfinite(found).all(axis=-1) & valid)
    if bad.size:
        start, lead = (int(i) for i in bad[0])
        raise InvalidRunError(
            f"a forecast from {times[start]:.19} has no value {steps[lead]} steps later, where the truth has one",
            where=where,
            fix="train a stable model",
        )
