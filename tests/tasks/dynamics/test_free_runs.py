"""What is counted of free runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.dynamics.free_runs import count_free_runs
from pipeline_lib.tasks.dynamics.runs import first_run


def runs(ages, seed=0, steps=None):
    """The truth as free runs of so many steps, by default up to the oldest."""
    rng = np.random.default_rng(seed)
    truth = xr.DataArray(rng.standard_normal((len(ages), 4)), dims=("time", "site"))
    attrs = {"run_steps": steps or max(ages) + 1}
    return truth.copy(deep=True), xr.DataArray(np.asarray(ages), dims="time", attrs=attrs), truth


def pooled(counts):
    return {name: values.sum()[None] for name, values in counts.items()}


@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 1000))
def test_counts_are_those_of_a_loop_over_complete_runs(steps, cut, seed):
    """Two periods of two runs and a bit each; the first run of the test began before it."""
    period = [age for run in range(3) for age in range(steps)][: 2 * steps + 1]
    ages = (period + period)[cut:]
    free, age, truth = runs(ages, seed, steps)
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


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([5, 6, 7, 0, 1, 2, 3], [3]),  # the test begins within a run and holds one start
        ([0, 1, 2], []),  # its end cuts the only run
        ([0, 1, 2, 0, 1, 2, 3], [3]),
        ([2, 3, 0, 1, 2, 0, 1], []),  # all are cut, and none is as long as the others say
        ([0, 1, 3, 0, 1, 2], []),  # a trajectory is cut and the next one begins later
    ],
)
def test_a_run_is_whole_when_it_has_the_steps_that_it_was_made_with(ages, expected):
    free, age, truth = runs(ages, steps=4)
    assert np.flatnonzero(count_free_runs(free, age, truth)["runs"]).tolist() == expected
    first = first_run(xr.Dataset({"free_run_age": age}))
    assert first == (slice(expected[0], expected[0] + 4) if expected else None)


def test_products_that_do_not_say_how_long_runs_are_have_no_count():
    free, age, truth = runs([0, 1, 0, 1])
    age.attrs.clear()
    told = r"free_run_age: does not say how long its free runs are \(run_steps\); predict again"
    with pytest.raises(DataError, match=told):
        count_free_runs(free, age, truth)
    with pytest.raises(DataError, match=told):
        first_run(xr.Dataset({"free_run_age": age}))


def fields(sizes=(1.0, 200.0), steps=4, seed=0):
    """Free runs, equal to the truth, of fields of other sizes along the second axis, and of other means."""
    rng = np.random.default_rng(seed)
    of_one = rng.standard_normal((2 * steps, len(sizes), 3, 5))
    scale = np.array(sizes)[:, None, None]
    truth = xr.DataArray(scale * (of_one + 4.0 * np.sign(scale)), dims=("time", "field", "y", "x"))
    age = xr.DataArray([*range(steps)] * 2, dims="time", attrs={"run_steps": steps})
    return truth.copy(deep=True), age, truth


@pytest.mark.parametrize("field", [0, 1])
def test_each_field_has_a_range_of_its_own(field):
    """Ten times the range of a velocity is nothing beside a height."""
    free, age, truth = fields()
    of_field = truth.isel(field=field)
    free[2, field, 1, 1] = of_field.mean() + 3.01 * abs(of_field - of_field.mean()).max()
    counts = count_free_runs(free, age, truth)
    assert counts["steps_stable"][[0, 4]].tolist() == [2, 4]
    free[2, field, 1, 1] = of_field.mean() + 2.99 * abs(of_field - of_field.mean()).max()
    assert count_free_runs(free, age, truth)["steps_stable"][[0, 4]].tolist() == [4, 4]


@given(st.integers(0, 100), st.floats(0.01, 1.5))
def test_a_run_loses_the_truth_in_each_field_by_its_own_spread(seed, noise):
    free, age, truth = fields(seed=seed)
    wrong = noise * np.random.default_rng(seed + 1).standard_normal(truth.shape) * np.array([1.0, 200.0])[:, None, None]
    free.values[:] += wrong * (age.values > 0)[:, None, None, None]
    expected = {0: 0, 4: 0}
    for start in expected:
        for step in range(4):
            shares = []
            for number in range(2):
                ours, theirs = (values.values[:, number].reshape(8, -1) for values in (free, truth))
                error = ((ours[start + step] - theirs[start + step]) ** 2).sum()
                shares.append(error / theirs.var(axis=0).sum())
            if np.sqrt(np.mean(shares)) > 0.5:
                break
            expected[start] += 1
    found = count_free_runs(free, age, truth)["steps_valid"]
    assert {start: found[start] for start in expected} == expected


def test_the_unit_of_a_field_is_of_no_matter_for_steps():
    free, age, truth = fields()
    free.values[2:4, 0] *= 30
    scale = xr.DataArray([1e6, 1e-3], dims="field")
    counts, others = count_free_runs(free, age, truth), count_free_runs(free * scale, age, truth * scale)
    assert counts["steps_stable"][0] == 2
    for name in ("steps_valid", "steps_stable"):
        np.testing.assert_array_equal(counts[name], others[name])


def test_an_axis_that_is_no_field_shares_one_range_unless_it_is_named():
    free, age, truth = (data.rename(field="height") if data.ndim > 1 else data for data in fields())
    free[2, 0, 1, 1] += 100
    assert count_free_runs(free, age, truth)["steps_stable"][0] == 4
    assert count_free_runs(free, age, truth, axis="height")["steps_stable"][0] == 2


def test_a_field_that_stays_the_same_is_neither_lost_nor_left_by_rounding():
    free, age, truth = fields()
    truth[:, 0], free[:, 0] = 0.3, np.nextafter(0.3, 1)
    counts = count_free_runs(free, age, truth)
    assert counts["steps_stable"][0] == counts["steps_valid"][0] == 4
    free[1, 0, 0, 0] = np.nan
    counts = count_free_runs(free, age, truth)
    assert counts["steps_stable"][0] == counts["steps_valid"][0] == 1


def test_metrics_of_free_runs_need_free_runs():
    with pytest.raises(ConfigError, match=r"scoring.metrics: needs free runs; set training.free_run"):
        METRICS.get("valid_steps").from_counts({"squared_error": np.ones((1, 3))})
    with pytest.raises(ConfigError, match=r"needs free runs of models that know their mean height; set training"):
        METRICS.get("mean_height_drift").from_counts(pooled(count_free_runs(*runs([0, 1]))))
