"""What is counted of free runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.dynamics.free_runs import count_free_runs


def runs(ages, seed=0):
    rng = np.random.default_rng(seed)
    truth = xr.DataArray(rng.standard_normal((len(ages), 4)), dims=("time", "site"))
    return truth.copy(deep=True), xr.DataArray(np.asarray(ages), dims="time"), truth


def pooled(counts):
    return {name: values.sum()[None] for name, values in counts.items()}


@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 1000))
def test_counts_are_those_of_a_loop_over_complete_runs(steps, cut, seed):
    """Two periods of two runs and a bit each; the first run of the test began before it."""
    period = [age for run in range(3) for age in range(steps)][: 2 * steps + 1]
    ages = (period + period)[cut:]
    free, age, truth = runs(ages, seed)
    rng = np.random.default_rng(seed + 1)
    free += 0.4 * rng.standard_normal(free.shape) * (age.values > 0)[:, None]
    counts = count_free_runs(free, age, truth)
    spread = np.sqrt(truth.values.var(axis=0).sum())
    expected = valid = 0
    for start, value in enumerate(ages):
        if value == 0 and ages[start : start + steps] == list(range(steps)):
            expected += 1
            for step in range(steps):
                if np.linalg.norm(free.values[start + step] - truth.values[start + step]) > 0.5 * spread:
                    break
                valid += 1
    assert counts["runs"].sum() == expected
    assert counts["steps_valid"].sum() == valid
    assert set(np.flatnonzero(counts["runs"])) <= {i for i, value in enumerate(ages) if value == 0}


def test_the_truth_is_valid_stable_and_of_its_own_energy():
    counts = pooled(count_free_runs(*runs([0, 1, 2, 3, 0, 1, 2, 3])))
    assert METRICS.get("valid_steps").from_counts(counts) == 4
    assert METRICS.get("stable_share").from_counts(counts) == 1
    assert METRICS.get("energy_drift").from_counts(counts) == 0
    assert METRICS.get("stable_steps").from_counts(counts) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -50.0])
def test_a_run_that_leaves_the_numbers_or_the_range_is_not_stable_and_has_no_energy(value):
    free, age, truth = runs([0, 1, 2, 3, 0, 1, 2, 3])
    free[2, 1] = value
    counts = count_free_runs(free, age, truth)
    assert counts["runs"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert counts["runs_stable"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert counts["steps_valid"][0] == counts["steps_stable"][0] == 2
    assert counts["steps_stable"][4] == 4
    assert counts["energy"][0] == counts["energy_truth"][0] == 0
    assert METRICS.get("energy_drift").from_counts(pooled(counts)) == 0


def test_energy_of_a_run_that_is_too_strong():
    free, age, truth = runs([0, 1, 2, 3])
    counts = pooled(count_free_runs(2**0.5 * free, age, truth))
    assert METRICS.get("energy_drift").from_counts(counts) == pytest.approx(1)


def test_diagnostics_count_over_the_second_half_of_stable_runs_as_do_their_departures():
    free, age, truth = runs([0, 1, 2, 3, 0, 1, 2, 3])
    free[2, 1] = np.nan
    height = np.array([1.0, 3.0, 99.0, np.nan, 1.0, 0.5, 1.25, 1.0])
    energy = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 8.0])
    counts = count_free_runs(
        free, age, truth, {"mean_height": (height, np.ones(8)), "kinetic_energy": (energy, np.full(8, 5.0))}
    )
    assert counts["mean_height_departure"].tolist() == [0, 0, 0, 0, 0.5, 0, 0, 0]
    assert counts["kinetic_energy"].tolist() == [0, 0, 0, 0, 14, 0, 0, 0]
    assert METRICS.get("mean_height_drift").from_counts(pooled(counts)) == 0.5
    assert METRICS.get("kinetic_energy_drift").from_counts(pooled(counts)) == pytest.approx(0.4)


def test_a_model_of_which_no_run_is_stable_has_no_drift():
    free, age, truth = runs([0, 1, 2, 3])
    free[1, 1] = np.nan
    counts = pooled(count_free_runs(free, age, truth, {"mean_height": (np.zeros(4), np.zeros(4))}))
    assert np.isnan(METRICS.get("mean_height_drift").from_counts(counts))


def test_metrics_of_free_runs_need_free_runs():
    with pytest.raises(ConfigError, match=r"scoring.metrics: needs free runs; set training.free_run"):
        METRICS.get("valid_steps").from_counts({"squared_error": np.ones((1, 3))})
    with pytest.raises(ConfigError, match=r"needs free runs of models that know their mean height; set training"):
        METRICS.get("mean_height_drift").from_counts(pooled(count_free_runs(*runs([0, 1]))))
