"""What metrics of forecast frames are made of, start by start and lead by lead: the task's part of the score stage."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import ConfigError, DataError, ScoreError
from pipeline_lib.rain import NOISE_BELOW, RainScale
from pipeline_lib.score.bootstrap import summable
from pipeline_lib.score.gate import InvalidRunError, Sample
from pipeline_lib.skill.balanced import balanced_errors, weight_bounds, without_noise
from pipeline_lib.skill.contingency import contingency
from pipeline_lib.skill.continuous import cross_entropy_sums, error_sums, moment_sums
from pipeline_lib.skill.neighbourhood import fraction_sums
from pipeline_lib.skill.regimes import BOX_CELLS, regime_cells
from pipeline_lib.skill.spectra import radial_spectrum
from pipeline_lib.tasks.nowcasting import metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.nowcasting.counted import Counted, counted_by, drawn_leads, suffix
from pipeline_lib.tasks.nowcasting.names import BOUND, KNOWN, RETRIEVED, VALID_TIME, VARIABLE
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from pipeline_lib.tasks.nowcasting.retrieved import BOUND_COUNTS, RETRIEVED_COUNTS
from pipeline_lib.tasks.nowcasting.sequences import Rows

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
_DIMS = {2: ("time", "lead"), 3: ("time", "drawn_lead", "ring")}
_BYTES = 2**28
"""Of the forecasts that are counted at once, so that they need not fit into memory; sums need a few times as much."""
_NYQUIST = 0.5
"""Cycles per cell; beyond it the rings of a spectrum are not complete."""
_ROUND_OFF = 1e-9


def score_stores(
    product: xr.Dataset,
    labels: xr.Dataset | None,  # noqa: ARG001 - the truth is the dataset
    dataset: xr.Dataset,
    options: ScoringOptions,
    *,
    where: str,
) -> tuple[xr.Dataset, Sample]:
    """Return the counts of each start of a forecast whose whole future is known.

    Parameters
    ----------
    product
        Holds ``forecast`` (time, lead, y, x) and, as ``known`` (y, x), which cells a frame should have; without it,
        those that one frame of the dataset has.
    dataset
        Holds the frames that are forecast, at the times that follow.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        With dimensions (time, lead) the sums of :mod:`pipeline_lib.skill` over the cells that have a true value, those
        of thresholds with the threshold in their name, and with the regime that the frames seen last tell if they are
        of its cells alone; with (time, drawn_lead, ring), as float32, the power spectra of forecast and truth, by whole
        waves across the shorter side, at the leads that are drawn. At all of 20 leads of 480 x 480 cells, in double
        precision, a year of starts every five minutes would be 8 GB; so it is 0.6 GB.

    Raises
    ------
    ScoreError
        If no start has its whole future in the dataset, a metric needs what the frames do not have, the part to score
        is not within them, a window or wavelength not within that part, or a rain rate beyond their scale.
    InvalidRunError
        If a forecast has no finite value where there is a true one.
    """
    forecast, truth = product[VARIABLE], _truth(product[VARIABLE], dataset, where)
    counted, scale = counted_by(options), _scale(truth)
    starts, places = _futures(product, dataset, counted.seen, where)
    _check_counted(counted, scale, *truth.shape[1:])
    rain = None if counted.retrieved is None else _retrieved(product, dataset, where)
    noise = float(truth.attrs.get(NOISE_BELOW, 0.0))
    times = product["time"].values[starts]
    told = {} if rain is None else {"retrieval": product[RETRIEVED].attrs["retrieval"]}
    method = {"leads": places.shape[1], NOISE_BELOW: noise, **counted.to_plain(), **told}
    parts, samples = [], []
    at_once = max(1, _BYTES // (8 * math.prod(forecast.shape[1:])))
    for part in np.array_split(np.arange(len(starts)), -(-len(starts) // at_once)):
        last = places[part, :1] - np.arange(counted.seen, 0, -1)
        needed = np.unique([*last.T, *places[part].T])
        near, at = truth.isel(time=needed).load(), np.searchsorted(needed, places[part])
        true = counted.cut(near.values[at])
        found = counted.cut(forecast.isel(time=starts[part]).values).astype(np.float64)
        valid = np.isfinite(true) & without_noise(true, noise)
        _require_finite(found, valid, times[part], where)
        seen = near.isel(time=xr.DataArray(np.searchsorted(needed, last), dims=("start", "seen")))
        parts.append(_counts(found, true, valid, seen, counted, scale))
        if rain is not None:
            true_rain = rain.isel(time=needed).values[at]
            bound = _bound(product, near["time"].values, where).values[at]
            parts[-1] |= _rain_counts(product.isel(time=starts[part]), true_rain, bound, valid, counted, where)
        first = near.isel(time=at[:, 0])[(slice(None), *options.interior.places)].assign_coords(time=times[part])
        samples.append(Sample.of(first, first.notnull(), method=method))
    counts = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    variables = {name: (_DIMS[values.ndim], _kept(values)) for name, values in counts.items()}
    leads = forecast["lead"].values
    axes = {"time": times, "lead": leads, "drawn_lead": leads[drawn_leads(len(leads))]}
    return xr.Dataset(variables, axes), Sample.joined(samples)


def _check_counted(counted: Counted, scale: RainScale | None, rows: int, columns: int) -> None:
    """Refuse what cannot be counted in frames of this size and scale."""
    try:
        counted.check(rows, columns)
        if scale is not None:
            pairs = (*counted.fractions, *counted.parted)
            for threshold in (*counted.thresholds, *(pair[0] for pair in pairs)):
                scale.require_rates([threshold], what=f"a score at {threshold:g}", where="scoring.metrics")
            if counted.balanced:
                weight_bounds(scale, what="b_mse or b_mae", where="scoring.metrics")
    except ConfigError as error:
        raise ScoreError(error.what, where=error.where, fix=error.fix) from error


def _counts(
    found: Values, true: NDArray[Any], valid: Mask, seen: xr.DataArray, counted: Counted, scale: RainScale | None
) -> dict[str, Values]:
    """Count what scores forecasts (start, lead, y, x) that saw the whole frames ``seen`` (start, seen, y, x) last.

    Where values stand for rain rates they end at 0 and 1, and so do all forecasts, whatever they are scored by: as in
    HKO-7 (Shi et al. 2017, arXiv:1706.03458).
    """
    if scale is not None:
        found = np.asarray(found.clip(0.0, 1.0))
    sums: dict[str, Values] = {**error_sums(found, true, valid), **moment_sums(found, true, valid)}
    sums["frames"] = np.asarray(valid.any(axis=(-2, -1)), np.float64)
    if counted.entropy:
        # Only a logistic link binds forecasts to what a cross entropy is of.
        sums["cross_entropy"] = cross_entropy_sums(found.clip(0.0, 1.0), true, valid)["cross_entropy"]
    if counted.balanced or counted.rates:
        sums |= _errors_of_rain(found, true, valid, counted, scale)
    if counted.temperature:
        span = TemperatureScale.of_attributes(seen.attrs, where="scoring.metrics").span
        sums["temperature_squared_error"] = span**2 * sums["squared_error"]
    for threshold in counted.thresholds:
        limit = _limit(threshold, scale, true)
        outcomes = contingency(found, true, [limit], valid)
        sums |= {name + suffix(threshold): values[..., 0] for name, values in outcomes.items()}
    for threshold in sorted({threshold for threshold, _ in counted.parted}):
        limit = _limit(threshold, scale, true)
        cells = regime_cells(seen.values, limit, box=int(seen.attrs.get(BOX_CELLS, 1)))
        for regime in (regime for at, regime in counted.parted if at == threshold):
            outcomes = contingency(found, true, [limit], valid & counted.cut(cells[regime])[:, None])
            sums |= {name + suffix(threshold, regime): values[..., 0] for name, values in outcomes.items()}
    for threshold, window in counted.fractions:
        limit = _limit(threshold, scale, true)
        fractions = fraction_sums(found, true, [limit], [window], valid)
        sums |= {name + suffix(threshold, window): values[..., 0, 0] for name, values in fractions.items()}
    for name, frames in (("forecast_power", found), ("true_power", np.where(valid, true, 0.0))):
        spectrum = radial_spectrum(frames, valid)
        complete = spectrum.wavenumber <= _NYQUIST
        sums[name] = spectrum.power[:, drawn_leads(frames.shape[1])][..., complete].astype(np.float32)
        for wavelength in counted.wavelengths:
            short = complete & (spectrum.wavenumber * wavelength >= 1 - _ROUND_OFF)
            sums[name + suffix(wavelength)] = (spectrum.power * spectrum.modes)[..., short].sum(-1)
    return sums


def _errors_of_rain(
    found: Values, true: NDArray[Any], valid: Mask, counted: Counted, scale: RainScale | None
) -> dict[str, Values]:
    """Count errors with the weights of rain rates, where they are asked for, and those of the rates themselves."""
    if scale is None:
        raise ScoreError("b_mse, b_mae and rain_mse need frames of rain", where="scoring.metrics")
    # In the forecast's precision: a perfect forecast would differ from its truth by the rounding of steep rates.
    rates = scale.to_rate(found), scale.to_rate(np.where(valid, true, 0.0).astype(np.float64))
    weighted = balanced_errors(found, true, scale, valid) if counted.balanced else {}
    return {**weighted, "rain_squared_error": error_sums(*rates, valid)["squared_error"]}


def _kept(values: Values) -> NDArray[Any]:
    """Return counts as they are stored; what is summable stays so when it is rounded to fewer digits."""
    found = summable(values)
    return found if values.ndim < len(_DIMS[3]) else found.astype(np.float32)


def _rain_counts(
    product: xr.Dataset, true: NDArray[Any], bound: NDArray[Any], valid: Mask, counted: Counted, where: str
) -> dict[str, Values]:
    """Count what rain retrieved from the forecast and from the true frames is scored by, against the true rain.

    Both count over the same cells: those with a true frame, as ``valid`` (start, lead, y, x) says, with a true rain,
    and with rain retrieved from the true frame, which is missing where the surface below is.
    """
    true, bound = counted.cut(true), counted.cut(bound).astype(np.float64)
    cells = valid & np.isfinite(true) & np.isfinite(bound)
    found = counted.cut(product[RETRIEVED].values).astype(np.float64)
    _require_finite(found, cells, product["time"].values, where)
    sums: dict[str, Values] = {}
    for start, values in ((RETRIEVED_COUNTS, found), (BOUND_COUNTS, bound)):
        counts = {**error_sums(values, true, cells), **moment_sums(values, true, cells)}
        for threshold in counted.retrieved or ():
            outcomes = contingency(values, true, [float(true.dtype.type(threshold))], cells)
            counts |= {name + suffix(threshold): outcome[..., 0] for name, outcome in outcomes.items()}
        sums |= {start + name: value for name, value in counts.items()}
    return sums


def _retrieved(product: xr.Dataset, dataset: xr.Dataset, where: str) -> xr.DataArray:
    """Return the dataset's variable that the product retrieves."""
    if RETRIEVED not in product:
        fix = "set training.retrieval and train again"
        raise ScoreError("retrieves nothing from its forecasts", where=where, fix=fix)
    return _truth(product[RETRIEVED], dataset, where)


def _bound(product: xr.Dataset, times: NDArray[np.datetime64], where: str) -> xr.DataArray:
    """Return what the product retrieves from the true frames of some times."""
    if VALID_TIME not in product.dims or not np.isin(times, product[VALID_TIME].values).all():
        raise ScoreError("lacks rain retrieved from true frames of the test", where=where, fix="predict again")
    return product[BOUND].sel({VALID_TIME: times})


def _limit(threshold: float, scale: RainScale | None, true: NDArray[Any]) -> float:
    """Return a threshold in the values of frames, rounded as these are: what is at it counts as at it."""
    return float(true.dtype.type(threshold if scale is None else scale.to_share(threshold)))


def _futures(
    product: xr.Dataset, dataset: xr.Dataset, seen: int, where: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts all of whose frames lie in the test, and the place (start, lead) of each future frame.

    ``seen`` frames are needed up to the start, or as many as the model sees.
    """
    told = product[VARIABLE].attrs
    seen = max(seen, told["seen"])
    name, step = told["forecast_of"], told["step_minutes"]
    known = {name: product[KNOWN].values.astype(np.bool_)} if KNOWN in product.coords else None
    rows = Rows.of(dataset, [name], step_minutes=step, missing=told["missing"], known=known)
    rows.require_step(step, where=name)
    places = np.searchsorted(dataset["time"].values, product["time"].values).clip(max=dataset.sizes["time"] - 1)
    if not np.array_equal(dataset["time"].values[places], product["time"].values):
        raise ScoreError("starts from times that the dataset does not hold", where=where, fix="predict again")
    leads = product.sizes["lead"]
    # What is seen lies in the test as well: frames of another split may have been learned from.
    starts = np.flatnonzero((rows.after[places] >= leads) & (rows.before[places] >= seen - 1))
    logger.info("%s: %s; %d forecasts, %d of them scored", where, rows.told(), len(places), len(starts))
    if not starts.size:
        raise ScoreError(
            f"no forecast of {leads} frames from {seen} lies in the test with all of them"
            f" ({rows.told()}, {len(places)} forecasts)",
            where=where,
            fix="choose another test, or other limits in training.missing and training.step_minutes",
        )
    return starts, places[starts, None] + np.arange(1, leads + 1)


def _scale(truth: xr.DataArray) -> RainScale | None:
    attributes: Mapping[str, object] = {str(key): value for key, value in truth.attrs.items()}
    try:
        return RainScale.of_attributes(attributes)
    except DataError:
        return None


def _require_finite(found: Values, valid: Mask, times: NDArray[np.datetime64], where: str) -> None:
    bad = np.argwhere((~np.isfinite(found) & valid).any(axis=(-2, -1)))
    if bad.size:
        start, lead = (int(i) for i in bad[0])
        raise InvalidRunError(
            f"a forecast from {times[start]:.19} has no value {lead + 1} steps later, where the truth has one",
            where=where,
            fix="train a stable model",
        )


def _truth(forecast: xr.DataArray, dataset: xr.Dataset, where: str) -> xr.DataArray:
    """Return the dataset's variable that a forecast is of."""
    name = str(forecast.attrs["forecast_of"])
    if name not in dataset or dataset[name].shape[1:] != forecast.shape[2:]:
        raise ScoreError(f"forecasts {name!r}, which the dataset does not hold on that grid", where=where)
    return dataset[name]
