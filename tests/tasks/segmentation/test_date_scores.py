"""Counts per date of class maps: against loops, land, missing values, patches, and a perfect prediction."""

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.bootstrap import pool
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.tasks.segmentation.pixels import patch_corner
from pipeline_lib.tasks.segmentation.score import date_scores, score_stores
from pipeline_lib.tasks.segmentation.scoring_options import PatchOptions, ScoringOptions
from tests.eddy_maps import label_maps, sea_of, spoilt
from tests.tasks.metrics_of import segmentation_metrics

OPTIONS = ScoringOptions(patches=PatchOptions(sets=4, size=16))
LABELS = label_maps(8)
SEA = sea_of(LABELS)
PREDICTED = spoilt(LABELS, 0.3, seed=1)


def changed(field: xr.DataArray, place: tuple[int, int, int], value: float) -> xr.DataArray:
    values = field.values.astype(float) if np.isnan(value) else field.values.copy()
    values[place] = value
    return field.copy(data=values)


def test_confusion_is_that_of_a_loop() -> None:
    counts = date_scores(PREDICTED, LABELS, SEA, OPTIONS)
    for t in range(8):
        sea, everywhere = np.zeros((3, 3)), np.zeros((3, 3))
        for y in range(20):
            for x in range(30):
                truth = LABELS.values[t, y, x] if SEA.values[t, y, x] else 0
                everywhere[truth, PREDICTED.values[t, y, x]] += 1
                if SEA.values[t, y, x]:
                    sea[truth, PREDICTED.values[t, y, x]] += 1
        np.testing.assert_array_equal(counts.confusion_sea.values[t], sea)
        np.testing.assert_array_equal(counts.confusion_all.values[t], everywhere)


def test_patches_are_cut_from_maps_whose_land_is_background() -> None:
    counts = date_scores(PREDICTED, LABELS, SEA, OPTIONS, first_day=5)
    truth = LABELS.where(SEA, 0).values
    for t in range(8):
        for w in range(4):
            y, x = patch_corner((20, 30), 16, patch_set=w, day=5 + t)
            window = (t, slice(y, y + 16), slice(x, x + 16))
            for a in range(3):
                for b in range(3):
                    expected = np.sum((truth[window] == a) & (PREDICTED.values[window] == b))
                    assert counts.confusion_patches.values[t, w, a, b] == expected


def test_the_perfect_prediction_is_perfect_by_every_metric() -> None:
    pooled = pool(date_scores(LABELS.where(SEA, 0), LABELS, SEA, OPTIONS))
    perfect = {"higher": 1.0, "lower": 0.0, "zero": 0.0}
    for name in segmentation_metrics():
        metric = METRICS.get(name)
        if metric.direction != "none":
            assert metric.from_counts(pooled)[0] == perfect[metric.direction], name


def test_swapped_classes_are_worst() -> None:
    swapped = LABELS.copy(data=np.array([1, 2, 0], dtype="int8")[LABELS.values])
    pooled = pool(date_scores(swapped, LABELS, SEA, OPTIONS))
    for name in ("mean_dice", "accuracy", "mean_iou", "dice_none", "object_f1", "object_recall", "object_precision"):
        assert METRICS.get(name).from_counts(pooled)[0] == 0.0, name


def test_what_a_product_holds_on_land_changes_only_the_scores_over_land() -> None:
    on_land = PREDICTED.copy(data=np.where(SEA.values, PREDICTED.values, -1))
    missing = PREDICTED.where(SEA)
    other = PREDICTED.copy(data=np.where(SEA.values, PREDICTED.values, 2))
    counts = [date_scores(field, LABELS, SEA, OPTIONS) for field in (PREDICTED, on_land, missing, other)]
    land_free = [c for c in counts[0].data_vars if c not in ("confusion_all", "confusion_patches")]
    for c in counts[1:]:
        xr.testing.assert_equal(c[land_free], counts[0][land_free])
    xr.testing.assert_equal(counts[1], counts[2])
    assert counts[3].confusion_all.values[:, 0, 2].sum() > counts[1].confusion_all.values[:, 0, 2].sum()


@pytest.mark.parametrize("value", [np.nan, -1, 3])
def test_a_value_missing_at_sea_makes_the_run_invalid(value: float) -> None:
    with pytest.raises(InvalidRunError, match=r"unet: 1 of 4160 .* 2005-06-03 at 30\.5N -4\.875E"):
        date_scores(changed(PREDICTED, (2, 4, 9), value), LABELS, SEA, OPTIONS, where="unet")


def test_a_sea_cell_without_label_is_not_the_competitor_s_fault() -> None:
    with pytest.raises(ScoreError, match="labels: a sea cell has no label") as caught:
        date_scores(PREDICTED, changed(LABELS, (2, 4, 9), -1), SEA, OPTIONS)
    assert not isinstance(caught.value, InvalidRunError)


def test_maps_smaller_than_a_patch_are_refused_with_advice() -> None:
    with pytest.raises(ScoreError, match=r"20 x 30 cells are smaller than a patch of 128 x 128.*patches\.sets to 0"):
        date_scores(PREDICTED, LABELS, SEA, ScoringOptions())
    counts = date_scores(PREDICTED, LABELS, SEA, ScoringOptions(patches=PatchOptions(sets=0)))
    assert "confusion_patches" not in counts


def stores(predicted: xr.DataArray = PREDICTED) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    adt = LABELS.copy(data=np.where(SEA.values, 0.1, np.nan)).rename("adt").assign_attrs(units="m")
    return predicted.to_dataset(name="eddy_class"), LABELS.to_dataset(), adt.to_dataset()


def test_stores_in_blocks_give_the_counts_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_lib.tasks.segmentation.score._DATES_AT_ONCE", 3)
    counts, sample = score_stores(*stores(), OPTIONS, where="unet")
    xr.testing.assert_equal(counts, date_scores(PREDICTED, LABELS, SEA, OPTIONS))
    assert sample.cells == (520,) * 8


def test_a_probability_that_is_not_finite_makes_the_run_invalid() -> None:
    product, labels, dataset = stores()
    probability = np.full((3, *LABELS.shape), 1 / 3)
    probability[:, ~SEA.values] = np.nan
    dims = ("class", *LABELS.dims)
    score_stores(product.assign(eddy_probability=(dims, probability)), labels, dataset, OPTIONS, where="unet")
    probability[1, 6, 3, 20] = np.inf
    with pytest.raises(InvalidRunError, match=r"unet: 1 of .* 2005-06-07"):
        score_stores(product.assign(eddy_probability=(dims, probability)), labels, dataset, OPTIONS, where="unet")


def test_a_missing_variable_is_named() -> None:
    product, labels, dataset = stores()
    with pytest.raises(ScoreError, match=r"unet: has no variable 'eddy_class'"):
        score_stores(product.rename(eddy_class="classes"), labels, dataset, OPTIONS, where="unet")
    with pytest.raises(ScoreError, match=r"dataset: has no variable 'adt'"):
        score_stores(product, labels, dataset.rename(adt="sla"), OPTIONS, where="unet")


def test_the_order_of_dates_does_not_change_a_pooled_metric() -> None:
    options = ScoringOptions(patches=PatchOptions(sets=0))
    order = np.random.default_rng(0).permutation(8)
    times = LABELS.time.values
    shuffled = [field[order].assign_coords(time=times) for field in (PREDICTED, LABELS, SEA)]
    first, second = pool(date_scores(PREDICTED, LABELS, SEA, options)), pool(date_scores(*shuffled, options))
    for name in segmentation_metrics():
        if "patches" not in name:
            np.testing.assert_array_equal(METRICS.get(name).from_counts(first), METRICS.get(name).from_counts(second))
