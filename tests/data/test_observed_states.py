"""Observations of states: a function of the time alone."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.preparations.observed_states import OBSERVATION, ObservedStates

STEP = np.timedelta64(864, "s")


def states(count=200, size=6):
    values = np.random.default_rng(0).standard_normal((count, size))
    time = np.datetime64("2000-01-01", "ns") + np.arange(count) * STEP
    attrs = {"units": "1", "long_name": "state"}
    return xr.Dataset({"state": (("time", "site"), values, attrs)}, {"time": time})


def prepared(ds, **options):
    return ObservedStates.prepare(ds, ObservedStates.Options(variable="state", **options))


@given(st.integers(2, 190), st.integers(1, 9), st.integers(1, 6))
def test_a_period_that_starts_later_holds_the_same_observations(cut, every, sites):
    whole = prepared(states(), every=every, sites=sites, variance=2.0)[OBSERVATION]
    part = prepared(states().isel(time=slice(cut, None)), every=every, sites=sites, variance=2.0)[OBSERVATION]
    np.testing.assert_array_equal(whole.isel(time=slice(cut, None)), part)
    seen = np.isfinite(whole.values).sum(axis=1)
    assert set(seen[seen > 0]) == {sites}
    assert (seen > 0).sum() in {200 // every, 200 // every + 1}


def test_errors_have_the_variance_and_another_seed_gives_others():
    ds = states(4000)
    one, two = (prepared(ds, variance=2.0, seed=seed)[OBSERVATION] - ds.state for seed in (0, 1))
    assert float(one.var()) == pytest.approx(2.0, rel=0.05)
    assert abs(float((one * two).mean())) < 0.1
    assert abs(float(one.mean())) < 0.05


def test_only_the_asked_components_are_observed():
    found = prepared(states(), components=[1, 4], every=8, variance=1.0)[OBSERVATION].values
    assert np.isfinite(found).any(axis=0).tolist() == [False, True, False, False, True, False]


def test_a_share_of_all_entries_is_observed_each_by_itself_at_any_time():
    ds = states(4000)
    one, two = (prepared(ds, share=1 / 8, variance=2.0, seed=seed)[OBSERVATION] for seed in (0, 1))
    seen = np.isfinite(one.values)
    assert seen.mean() == pytest.approx(1 / 8, rel=0.05)
    np.testing.assert_allclose(seen.mean(axis=0), 1 / 8, rtol=0.15)  # no component is preferred
    counts = np.bincount(seen.sum(axis=1), minlength=3)
    expected = [4000 * comb(6, k) * 0.125**k * 0.875 ** (6 - k) for k in range(3)]  # a binomial number at a time
    np.testing.assert_allclose(counts[:3], expected, rtol=0.15)
    errors = (one - ds.state).values[seen]
    assert errors.var() == pytest.approx(2.0, rel=0.1)
    assert (seen & np.isfinite(two.values)).mean() == pytest.approx(1 / 64, rel=0.2)


def test_a_share_is_of_the_asked_components_at_the_asked_times_and_knows_nothing_of_earlier_periods():
    whole = prepared(states(), share=0.5, components=[1, 4], every=4, variance=1.0)[OBSERVATION]
    part = prepared(states().isel(time=slice(30, None)), share=0.5, components=[1, 4], every=4, variance=1.0)
    np.testing.assert_array_equal(whole.isel(time=slice(30, None)), part[OBSERVATION])
    seen = np.isfinite(whole.values)
    assert set(np.flatnonzero(seen.any(axis=0))) == {1, 4}
    assert set(np.flatnonzero(seen.any(axis=1)) % 4) == {int(np.flatnonzero(seen.any(axis=1))[0] % 4)}


def test_a_number_of_sites_and_a_share_of_them_exclude_each_other():
    with pytest.raises(ValidationError, match="sites and share both say how many components are observed"):
        ObservedStates.Options(variable="state", variance=1.0, sites=3, share=0.5)


@pytest.mark.parametrize("options", [{"components": [6]}, {"components": [0, 1], "sites": 3}])
def test_components_that_the_states_lack_are_told(options):
    with pytest.raises(DataError, match=r"preparation.options: the states have 6 components, asked for are"):
        prepared(states(), variance=1.0, **options)


def several(lengths=(50, 50, 100)):
    ages = np.concatenate([np.arange(n) for n in lengths]).astype(float)
    return states().assign(age=("time", ages, {"units": "1"}))


def test_ages_of_several_trajectories_are_kept():
    """Without them, windows would run from one into the next."""
    ds = several()
    found = prepared(ds, variance=1.0)
    xr.testing.assert_identical(found["age"], ds["age"])
    xr.testing.assert_identical(found.drop_vars("age"), prepared(ds.drop_vars("age"), variance=1.0))
    options = ObservedStates.Options(variable="state", variance=1.0)
    assert ObservedStates.narrowed(options, ("state",), ("age", "state"))[1] == ("state", "age")


def test_states_before_1970_are_observed_as_others_are():
    """A function of the time alone there, too."""
    ds = states()
    ds = ds.assign_coords(time=np.datetime64("1969-12-31", "ns") + np.arange(200) * STEP)
    whole = prepared(ds, every=3, sites=2, variance=1.0)[OBSERVATION]
    part = prepared(ds.isel(time=slice(40, None)), every=3, sites=2, variance=1.0)[OBSERVATION]
    np.testing.assert_array_equal(whole.isel(time=slice(40, None)), part)
    seen = np.isfinite(whole.values)
    assert set(np.diff(np.flatnonzero(seen.any(axis=1)))) == {3}
    assert seen[seen.any(axis=1)].sum(axis=1).tolist() == [2] * int(seen.any(axis=1).sum())
    errors = (whole - ds.state).values[seen]
    assert len(np.unique(errors)) == errors.size  # no time has the errors of another
