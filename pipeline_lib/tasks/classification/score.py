"""Right and wrong answers, image by image: the task's part of the score stage."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import ScoreError
from pipeline_lib.score.bootstrap import summable
from pipeline_lib.score.gate import InvalidRunError, Sample
from pipeline_lib.tasks.classification import metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.classification.classes import classes_of
from pipeline_lib.tasks.classification.names import TARGET, VARIABLE
from pipeline_lib.tasks.classification.options import ScoringOptions

BINS = 15
"""Bins of equal width into which the probability of the answer falls, as Guo et al. (2017, arXiv 1706.04599) took."""
_ROUNDING = 1e-4
"""What the probabilities of an image may sum to besides 1, in single precision."""


def score_stores(
    product: xr.Dataset,
    labels: xr.Dataset | None,  # noqa: ARG001 - the truth is a variable of the dataset
    dataset: xr.Dataset,
    options: ScoringOptions,  # noqa: ARG001 - the same is counted for all metrics
    *,
    where: str,
) -> tuple[xr.Dataset, Sample]:
    """Return the counts of each image.

    Parameters
    ----------
    product
        Holds ``log_probability`` (time, class).
    dataset
        Holds the true classes, at the same times, in the variable that the product names.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        ``images``, 1 each; ``wrong``, 1 where the most probable class is not the true one; ``cross_entropy``, minus the
        logarithm of the true class's probability; and with a dimension ``bin``, by the probability of the answer, that
        probability (``confidence``) and whether the answer is right (``right``).

    Raises
    ------
    ScoreError
        If product and dataset have other times, there is no truth, or probabilities do not sum to 1.
    InvalidRunError
        If a probability is not finite.
    DataError
        If the truth holds something else than the classes that the model knows.
    """
    name = product[VARIABLE].attrs.get(TARGET, "")
    if name not in dataset or dataset[name].dims != ("time",):
        raise ScoreError(f"was trained for {name!r}, of which the dataset holds no classes", where=where)
    truth = dataset[name].load()
    if not np.array_equal(product.time.values, truth.time.values):
        raise ScoreError("has other times than the dataset", where=where, fix="predict again")
    logs = product[VARIABLE].transpose("time", "class").values.astype("float64")
    _check(logs, truth, where)
    classes = classes_of(dataset, name, logs.shape[1])
    answer = logs.argmax(axis=1)
    right = (answer == classes).astype(float)
    confidence = np.minimum(np.exp(logs.max(axis=1)), 1.0)
    counts = {
        "images": np.ones(len(classes)),
        "wrong": 1 - right,
        "cross_entropy": summable(np.maximum(-logs[np.arange(len(classes)), classes], 0.0)),
    }
    variables = {count: ("time", values) for count, values in counts.items()} | {
        "confidence": (("time", "bin"), summable(_in_bins(confidence, confidence))),
        "right": (("time", "bin"), _in_bins(right, confidence)),
    }
    sample = Sample.of(truth, xr.ones_like(truth, dtype=bool), method={"bins": BINS})
    return xr.Dataset(variables, {"time": truth.time, "bin": np.arange(BINS)}), sample


def _check(logs: NDArray[np.float64], truth: xr.DataArray, where: str) -> None:
    bad = np.asarray(~np.isfinite(logs).all(axis=1))
    if bad.any():
        raise InvalidRunError(
            f"{int(bad.sum())} of {len(bad)} images have a probability that is not finite, the first on"
            f" {truth.time.values[bad][0]:.19}",
            where=where,
            fix="train a stable model",
        )
    off = np.abs(np.exp(logs).sum(axis=1) - 1) > _ROUNDING
    if off.any():
        raise ScoreError(f"probabilities do not sum to 1 on {truth.time.values[off][0]:.19}", where=where)


def _in_bins(values: NDArray[np.float64], confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (time, bin): each value in the bin of its confidence, (b / BINS, (b + 1) / BINS]; 0 in the others."""
    chosen = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return np.where(np.arange(BINS) == chosen[:, None], values[:, None], 0.0)
