"""Scores of analyses: observed and unobserved entries, and which competitors are compared."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.bootstrap import pool
from pipeline_lib.score.gate import InvalidRunError, check_same_sample
from pipeline_lib.tasks.assimilation.options import ScoringOptions
from pipeline_lib.tasks.assimilation.predict import product
from pipeline_lib.tasks.assimilation.score import score_stores
from tests.tasks.assimilation.projects import circling, trained


def scored(found, ds):
    return score_stores(found, None, ds, ScoringOptions(), where="model")


@pytest.fixture(scope="module")
def analyses(tmp_path_factory):
    """Interpolations with and without margins, and the dataset."""
    ds, found = circling(), {}
    for margin in (0, 5):
        folder, method = tmp_path_factory.mktemp("model"), {"window": 24, "margin": margin}
        model = trained(folder, ds, "time_interpolation", assimilation=method)
        found[margin] = product(model, ds.isel(time=slice(200, 300)), device="cpu", threads=None)
    return found, ds.isel(time=slice(200, 300))


def test_entries_count_as_observed_where_the_analysis_could_see_them(analyses):
    found, ds = analyses
    error = (found[5].analysis.values - ds.state.values) ** 2
    used = found[5].used.values > 0
    counts, _ = scored(found[5], ds)
    np.testing.assert_allclose(counts.squared_error_observed.sum(), error[used].sum())
    np.testing.assert_allclose(counts.squared_error_unobserved.sum(), error[~used].sum())
    assert int(counts.values_observed.sum()) == used.sum() < np.isfinite(ds.observation.values).sum()
    assert not counts.values_spread.any()


def test_errors_over_the_variance_of_the_truth_do_not_know_its_unit_nor_the_means_of_components(analyses):
    found, ds = analyses
    states = ds.state.values
    values = []
    for mean, unit in ((0.0, 1.0), (np.array([0.0, 1e3, -50.0]), 7.0)):
        moved = ds.assign(state=unit * ds.state + mean, observation=ds.observation)
        moved["observation"].attrs = ds.observation.attrs
        shifted = found[5].assign(analysis=unit * found[5].analysis + mean)
        counts, _ = scored(shifted, moved)
        values.append(float(METRICS.get("analysis_nmse").from_counts(pool(counts))[0]))
    expected = ((found[5].analysis.values - states) ** 2).mean() / states.var(axis=0).mean()
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    counts["squared_departure"][:] = 0.0
    assert np.isnan(METRICS.get("analysis_nmse").from_counts(pool(counts))[0])


def test_competitors_that_saw_other_observations_are_not_compared(analyses):
    found, ds = analyses
    samples = {f"margin {margin}": scored(analysis, ds)[1] for margin, analysis in found.items()}
    check_same_sample({"one": samples["margin 0"], "two": samples["margin 0"]})
    with pytest.raises(ScoreError, match="margin 5: was scored with another mask than margin 0"):
        check_same_sample(samples)


def test_an_analysis_that_is_not_finite_makes_the_run_invalid(analyses):
    found, ds = analyses
    broken = found[0].copy(deep=True)
    broken.analysis[7, 1] = np.nan
    with pytest.raises(InvalidRunError, match="1 of 100 analyses are not finite, the first at 2000-01-03T01:40"):
        scored(broken, ds)


def test_competitors_that_knew_the_true_start_are_not_compared_with_others(tmp_path):
    ds, samples = circling(), {}
    test = ds.isel(time=slice(200, 240))
    for start in ("climatology", "truth"):
        method = {"method": "3dvar", "window": 20, "start": start}
        model = trained(tmp_path / start, ds, "known_dynamics", assimilation=method)
        samples[start] = scored(product(model, test, device="cpu", threads=None), test)[1]
    check_same_sample({"one": samples["truth"], "two": samples["truth"]})
    with pytest.raises(ScoreError, match=r"truth: was scored with other scoring options than climatology"):
        check_same_sample(samples)


@pytest.mark.parametrize("name", ["analysis", "spread"])
def test_an_analysis_whose_square_is_no_number_makes_the_run_invalid(analyses, name):
    found, ds = analyses
    broken = found[0].copy(deep=True)
    if name == "spread":
        broken["spread"] = xr.full_like(broken.analysis, 0.1)
    broken[name][7, 1] = 1e200
    with pytest.raises(InvalidRunError, match=r"1 of 100 squared (errors|spreads) are not finite, the first at 2000"):
        scored(broken, ds)
