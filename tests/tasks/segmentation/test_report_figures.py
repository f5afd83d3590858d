"""What the figures of a segmentation show, against counting by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.report.context import ReportContext
from pipeline_lib.report.figures.over_time import daily_means
from pipeline_lib.report.gather import gather
from pipeline_lib.tasks.segmentation import report
from tests.report.artefacts import TWO, Built, Competitor, build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    competitors = (Competitor("eddynet", 0.1, seeds=(0, 1)), TWO[1])
    return build(tmp_path_factory.mktemp("figures"), competitors, days=8)


@pytest.fixture(scope="module")
def context(built: Built) -> ReportContext:
    kinds = ("models", "products", "labels", "datasets")
    lists = {kind: [read_manifest(path) for path in getattr(built, kind)] for kind in kinds}
    return gather(built.experiment.spec, leaderboard=read_manifest(built.leaderboard), **lists)


def maps_of(path: Path) -> xr.DataArray:
    return xr.open_zarr(path.with_suffix(".zarr"), consolidated=False).eddy_class.load()


def test_differences_cell_by_cell():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (2, 9, 11)).astype(float)
    codes[0, 3:5] = np.nan
    truth, predicted = (xr.DataArray(c, dims=("latitude", "longitude")) for c in codes)
    predicted = predicted.where(truth.notnull())
    found = report.difference(truth, predicted).values
    for index, label in np.ndenumerate(truth.values):
        says = predicted.values[index]
        if np.isnan(label):
            assert np.isnan(found[index])
        elif label == says:
            assert found[index] == (report.AGREE if label else report.QUIET)
        elif label and says:
            assert found[index] == report.WRONG_SIGN
        else:
            assert found[index] == (report.MISSED if label else report.FALSE_ALARM)


def test_daily_scores_are_those_of_the_maps(built: Built, context: ReportContext):
    sea = np.isfinite(xr.open_zarr(built.datasets[0].with_suffix(".zarr"), consolidated=False).adt.values)
    truth = maps_of(built.labels[0]).values
    for competitor in context.competitors:
        for run in competitor.runs:
            predicted = maps_of(run.products[0].path).values
            accuracy = [(truth[i] == predicted[i])[sea[i]].mean() for i in range(len(truth))]
            daily = context.daily(run, "accuracy")
            assert daily is not None
            np.testing.assert_allclose(daily.to_numpy(), accuracy, rtol=1e-12)


def test_best_median_and_worst_day(context: ReportContext):
    leader = context.valid[0]
    days = daily_means(context, leader, "mean_dice")
    assert days is not None
    chosen = report._ranked_days(context, leader)
    values = {words: days["mean"].loc[time] for words, time in chosen.items()}
    ordered = np.sort(days["mean"].to_numpy())
    assert values == {"Best": ordered[-1], "Median": ordered[len(ordered) // 2], "Worst": ordered[0]}


def test_confusion_adds_seeds_up(built: Built, context: ReportContext):
    sea = np.isfinite(xr.open_zarr(built.datasets[0].with_suffix(".zarr"), consolidated=False).adt.values)
    truth = maps_of(built.labels[0]).values[sea]
    leader = context.valid[0]
    expected = np.zeros((3, 3), int)
    for run in leader.runs:
        predicted = maps_of(run.products[0].path).values[sea]
        for label in range(3):
            for says in range(3):
                expected[label, says] += ((truth == label) & (predicted == says)).sum()
    np.testing.assert_array_equal(report._confusion(leader), expected)


def test_captions_name_the_day_and_the_seed(context: ReportContext):
    figures = {figure.name: figure for figure in report.figures(context)}
    assert "the day of the median score of EddyNet" in figures["maps"].caption
    assert "Maps of seed 0." in figures["maps"].caption
    assert "those of seed 0" in figures["best_and_worst"].caption
    assert "Shading spans the seeds." in figures["scores_over_time"].caption
