"""Counts per date of class maps against labels: the task's part of the score stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import DIMS
from pipeline_lib.errors import ScoreError
from pipeline_lib.score.gate import Sample, check_aligned, check_complete
from pipeline_lib.tasks.segmentation import metrics, object_metrics  # noqa: F401 - counted in the stage's fingerprint
from pipeline_lib.tasks.segmentation.objects import OBJECT_COUNTS, POLARITIES, Grid, object_counts
from pipeline_lib.tasks.segmentation.pixels import CLASSES, confusion, pair_codes, patch_confusion
from pipeline_lib.tasks.segmentation.scoring_options import ScoringOptions

CLASS_VARIABLE = "eddy_class"
PROBABILITY_VARIABLE = "eddy_probability"
_DATES_AT_ONCE = 32
"""Dates in memory at a time."""

_PAIR = ("label", "predicted")


def date_scores(
    prediction: xr.DataArray,
    labels: xr.DataArray,
    sea: xr.DataArray,
    options: ScoringOptions,
    *,
    first_day: int = 0,
    where: str = "prediction",
) -> xr.Dataset:
    """Count, date by date, what the metrics of this task are made of.

    Parameters
    ----------
    prediction, labels
        Class codes 0, 1, 2 with dimensions (time, latitude, longitude). On land, other codes and NaN count as 0.
    sea
        Where there is sea, boolean, same dimensions.
    options
        Scoring options.
    first_day
        Number of the first date in the test period, from 0: the published patches are drawn from it.
    where
        Name of the competitor, for messages.

    Returns
    -------
    xarray.Dataset
        Integer counts with dimensions time and: (label, predicted) ``confusion_sea``, ``confusion_all``; (patch_set,
        label, predicted) ``confusion_patches``; (polarity) the object counts and the sums of distances, in m.

    Raises
    ------
    ScoreError
        If dates or cells differ, the labels are incomplete, or a map is smaller than a patch.
    InvalidRunError
        If a prediction is missing on a sea cell.
    """
    check_aligned(prediction, labels, where=where)
    check_aligned(sea, labels, where="sea mask", same_unit=False)
    if not _has_class(labels.values)[sea.values].all():
        raise ScoreError("a sea cell has no label", where="labels", fix="label the dates again")
    check_complete(_has_class(prediction.values), sea, where=where)
    _check_patch(labels, options)
    truth = np.where(sea.values, labels.values, 0).astype(np.int64)
    everywhere = np.where(_has_class(prediction.values), prediction.values, 0).astype(np.int64)
    grid = Grid.of(labels.latitude.values, labels.longitude.values)
    rows = [
        _counts_of_date(truth[i], everywhere[i], sea.values[i], grid, options, day=first_day + i)
        for i in range(len(truth))
    ]
    return _table(rows, labels.time.values, options.patches.sets)


def _table(rows: list[dict[str, NDArray[np.int64]]], times: NDArray[Any], patch_sets: int) -> xr.Dataset:
    """Put the counts of dates one below the other."""
    dims = {"confusion_sea": _PAIR, "confusion_all": _PAIR, "confusion_patches": ("patch_set", *_PAIR)}
    counts = {
        name: (("time", *dims.get(name, ("polarity",))), np.stack([row[name] for row in rows])) for name in rows[0]
    }
    coords: dict[str, Any] = {
        "time": times,
        "label": np.arange(CLASSES),
        "predicted": np.arange(CLASSES),
        "polarity": list(POLARITIES),
    }
    if patch_sets:
        coords["patch_set"] = np.arange(patch_sets)
    return xr.Dataset(counts, coords)


def _has_class(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isin(values, range(CLASSES))


def _check_patch(labels: xr.DataArray, options: ScoringOptions) -> None:
    rows, columns = labels.shape[1:]
    size = options.patches.size
    if options.patches.sets and min(rows, columns) < size:
        raise ScoreError(
            f"maps of {rows} x {columns} cells are smaller than a patch of {size} x {size}",
            where="scoring.patches",
            fix="set scoring.patches.sets to 0 or choose a smaller size",
        )


def _counts_of_date(
    truth: NDArray[np.int64],
    everywhere: NDArray[np.int64],
    sea: NDArray[np.bool_],
    grid: Grid,
    options: ScoringOptions,
    *,
    day: int,
) -> dict[str, NDArray[np.int64]]:
    codes = pair_codes(truth, everywhere)
    counts = {"confusion_sea": confusion(codes[sea]), "confusion_all": confusion(codes)}
    if options.patches.sets:
        patches = options.patches
        counts["confusion_patches"] = patch_confusion(codes, sets=patches.sets, size=patches.size, day=day)
    objects = object_counts(truth, np.where(sea, everywhere, 0), grid, options.objects)
    return counts | dict(zip(OBJECT_COUNTS, objects, strict=True))


def score_stores(
    product: xr.Dataset, labels: xr.Dataset | None, dataset: xr.Dataset, options: ScoringOptions, *, where: str
) -> tuple[xr.Dataset, Sample]:
    """Return the counts per date of a product and the sample they were made on, a few dates in memory at a time.

    Parameters
    ----------
    product
        Holds ``eddy_class`` and, if the model gives probabilities, ``eddy_probability``.
    labels
        Holds ``eddy_class``.
    dataset
        Holds the variable that marks the sea.
    options
        Scoring options.
    where
        Name of the competitor, for messages.

    Raises
    ------
    ScoreError, InvalidRunError
        As :func:`date_scores`; also if a variable is missing or a sea cell has a probability that is not finite.
    """
    if labels is None:
        raise ScoreError("needs labels", where=where, fix="name their manifests")
    truth = _variable(labels, CLASS_VARIABLE, "labels")
    predicted = _variable(product, CLASS_VARIABLE, where)
    marker = _variable(dataset, options.sea_variable, "dataset")
    check_aligned(predicted, truth, where=where)
    check_aligned(marker, truth, where="dataset", same_unit=False)
    method = options.model_dump(mode="json", include={"sea_variable", "objects", "patches"})
    counts, samples = [], []
    for start in range(0, truth.sizes["time"], _DATES_AT_ONCE):
        dates = slice(start, start + _DATES_AT_ONCE)
        block = truth.isel(time=dates).load()
        sea = block.copy(data=np.isfinite(marker.isel(time=dates).values))
        if PROBABILITY_VARIABLE in product:
            probability = product[PROBABILITY_VARIABLE].isel(time=dates).transpose("class", *DIMS)
            check_complete(np.isfinite(probability.values).all(axis=0), sea, where=where)
        counts.append(date_scores(predicted.isel(time=dates).load(), block, sea, options, first_day=start, where=where))
        samples.append(Sample.of(block, sea, method=method))
    return xr.concat(counts, "time"), Sample.joined(samples)


def _variable(ds: xr.Dataset, name: str, where: str) -> xr.DataArray:
    if name not in ds:
        raise ScoreError(f"has no variable {name!r}", where=where, fix=f"it holds {', '.join(map(str, ds.data_vars))}")
    return ds[name]
