"""Squared errors of analyses, where there are observations and where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import ScoreError
from pipeline_lib.score.bootstrap import summable
from pipeline_lib.score.gate import InvalidRunError, Sample
from pipeline_lib.tasks.assimilation import metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.assimilation.names import ANALYSIS, KNOWN_AT_START, POSITION, SPREAD, USED
from pipeline_lib.tasks.assimilation.options import ScoringOptions

Values = NDArray[np.float64]


def score_stores(
    product: xr.Dataset,
    labels: xr.Dataset | None,  # noqa: ARG001 - the truth is the dataset
    dataset: xr.Dataset,
    options: ScoringOptions,  # noqa: ARG001 - everything is counted
    *,
    where: str,
) -> tuple[xr.Dataset, Sample]:
    """Return squared errors for each time.

    Parameters
    ----------
    product
        Holds ``analysis`` and ``used`` (time, ...), ``window_position`` (time,), and maybe ``spread``.
    dataset
        Holds two variables of the same dimensions: states, and observations of them, which say how precise they are.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        With dimension (time,), summed over components: ``squared_error`` and ``values``, the number of terms, of all,
        and with ``_observed`` and ``_unobserved`` of those with and without an observation to use; ``variance``, of
        the members, and ``values_spread``, the number of its terms; ``squared_departure`` of the true states from their
        mean over all these times. Competitors that had other observations have
        another mask, and are not compared; nor are those that knew more, or less, at the start of a window.

    Raises
    ------
    ScoreError
        If product and dataset have other times or components.
    InvalidRunError
        If an analysis holds a value that is not finite, or so large a one that its square is not.
    """
    analysis = product[ANALYSIS].load()
    alike = [v.load() for v in dataset.data_vars.values() if v.dims == analysis.dims and v.shape == analysis.shape]
    if len(alike) != 2:
        raise ScoreError(f"analyses are {dict(analysis.sizes)}, as {len(alike)} variables of the dataset", where=where)
    truth = next(v for v in alike if "error_variance" not in v.attrs)
    found = analysis.values.astype(np.float64)
    times = analysis.time.values
    _require_finite(found, times, "analyses", where)
    true = truth.values.astype(np.float64)
    with np.errstate(over="ignore"):
        error = (found - true) ** 2
    _require_finite(error, times, "squared errors", where)
    seen = product[USED].values > 0
    spread = product[SPREAD].values.astype(np.float64) if SPREAD in product else None
    if spread is not None:
        with np.errstate(over="ignore"):
            _require_finite(spread**2, times, "squared spreads", where)
    counts = {
        name: ("time", summable(values.reshape(len(values), -1).sum(axis=1)))
        for name, values in _terms(error, seen, spread, (true - true.mean(axis=0)) ** 2).items()
    }
    method = {KNOWN_AT_START: product[POSITION].attrs.get(KNOWN_AT_START)}
    sample = Sample.of(truth, xr.ones_like(truth, dtype=bool), method=method)
    masks = Sample.of(truth, truth.copy(data=seen), method={}).masks
    return xr.Dataset(counts, {"time": truth.time}), replace(sample, masks=masks)


def _require_finite(values: Values, times: NDArray[np.datetime64], what: str, where: str) -> None:
    """Call a run invalid of which values (time, ...) are not finite."""
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if bad.size:
        raise InvalidRunError(
            f"{bad.size} of {len(values)} {what} are not finite, the first at {times[bad[0]]:.19}",
            where=where,
            fix="choose another inflation, model_error or length of steps, or train a better model",
        )


def _terms(error: Values, seen: NDArray[np.bool_], spread: Values | None, departure: Values) -> dict[str, Values]:
    """What is summed over components, from squared errors, observed entries, standard deviations, if any, and truth."""
    return {
        "squared_error": error,
        "squared_error_observed": np.where(seen, error, 0.0),
        "squared_error_unobserved": np.where(seen, 0.0, error),
        "values": np.ones_like(error),
        "values_observed": seen.astype(np.float64),
        "values_unobserved": (~seen).astype(np.float64),
        "variance": np.zeros_like(error) if spread is None else spread**2,
        "values_spread": np.full_like(error, float(spread is not None)),
        "squared_departure": departure,
    }
