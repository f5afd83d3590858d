"""Squared errors by lead, against a loop over starts, and the metrics made of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError, ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.gate import InvalidRunError, check_same_sample
from pipeline_lib.tasks.dynamics.options import ScoringOptions
from pipeline_lib.tasks.dynamics.score import score_stores

LEADS = 28
TIMES = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(864, "s")


def stores(seed: int = 0, noise: float = 0.3) -> tuple[xr.Dataset, xr.Dataset]:
    """Forecasts and truth of a random walk."""
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((60, 3)).cumsum(axis=0).astype("float32")
    forecast = np.full((60, LEADS, 3), 7.0, "float32")
    for start in range(60):
        for lead in range(1, LEADS + 1):
            if start + lead < 60:
                forecast[start, lead - 1] = states[start + lead] + noise * rng.standard_normal(3)
    dataset = xr.Dataset({"state": (("time", "component"), states)}, {"time": TIMES, "component": list("xyz")})
    coords = {"time": TIMES, "lead": np.arange(1, LEADS + 1), "component": list("xyz")}
    return xr.Dataset({"forecast": (("time", "lead", "component"), forecast)}, coords), dataset


def counts_of(product: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    return score_stores(product, None, dataset, ScoringOptions(), where="model")[0]


@given(seed=st.integers(0, 1000))
def test_metrics_are_those_of_a_loop(seed):
    product, dataset = stores(seed)
    counts = counts_of(product, dataset)
    pooled = {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}
    states, forecast = dataset.state.values.astype(float), product.forecast.values.astype(float)
    for lead in (1, 28):
        wrong = against = terms = 0.0
        for start in range(60 - LEADS):  # every lead from the same starts
            for c in range(3):
                wrong += (forecast[start, lead - 1, c] - states[start + lead, c]) ** 2
                against += (states[start, c] - states[start + lead, c]) ** 2
                terms += 1
        found = METRICS.get(f"explained_variance_{lead}").from_counts(pooled)[0]
        assert found == pytest.approx(1 - wrong / against, rel=1e-9)
        assert METRICS.get(f"rmse_{lead}").from_counts(pooled)[0] == pytest.approx(np.sqrt(wrong / terms), rel=1e-9)


def test_the_truth_explains_all_and_persistence_nothing():
    product, dataset = stores(noise=0.0)
    pooled = {str(n): v.sum("time").values[None] for n, v in counts_of(product, dataset).data_vars.items()}
    assert METRICS.get("explained_variance_10").from_counts(pooled)[0] == 1
    still = product.copy(deep=True)
    still["forecast"][:] = dataset.state.values[:, None]
    pooled = {str(n): v.sum("time").values[None] for n, v in counts_of(still, dataset).data_vars.items()}
    assert METRICS.get("explained_variance_10").from_counts(pooled)[0] == 0


def test_fields_that_are_given_are_not_scored():
    """A field that is known would make errors small and persistence bad."""
    (product, dataset), (other, given) = stores(0), stores(1, noise=0.0)
    both = xr.concat([product, other], "field").transpose("time", "lead", "field", "component")
    states = xr.concat([dataset, given], "field").transpose("time", "field", "component")
    counts, _ = score_stores(both, None, states, ScoringOptions(fields=[0]), where="model")
    xr.testing.assert_equal(counts, counts_of(product, dataset))
    with pytest.raises(ScoreError, match=r"have no field 2; correct scoring.fields"):
        score_stores(both, None, states, ScoringOptions(fields=[0, 2]), where="model")
    with pytest.raises(ScoreError, match=r"have no field 0"):
        score_stores(product, None, dataset, ScoringOptions(fields=[0]), where="model")


def test_sums_do_not_depend_on_the_order():
    counts = counts_of(*stores())
    values = counts.squared_error.values[:, 0]
    assert values.sum() == values[::-1].sum() == sum(values.tolist())


def test_forecasts_that_end_beyond_the_test_do_not_count():
    product, dataset = stores()
    before = counts_of(product, dataset)
    product["forecast"][60 - LEADS :] = np.nan
    xr.testing.assert_identical(counts_of(product, dataset), before)


def test_a_forecast_that_blows_up_makes_the_run_invalid():
    product, dataset = stores()
    product["forecast"][3, 5, 1] = np.inf
    with pytest.raises(
        InvalidRunError, match=r"1 of 896 forecasts are not finite, the first 6 steps after 2000-01-01T00:43"
    ):
        counts_of(product, dataset)


def test_other_times_and_too_few_states_are_refused():
    product, dataset = stores()
    with pytest.raises(ScoreError, match="starts from other times"):
        counts_of(product.assign_coords(time=TIMES + np.timedelta64(1, "s")), dataset)
    with pytest.raises(ScoreError, match="20 test states are too few for forecasts of 28 steps"):
        counts_of(product.isel(time=slice(20)), dataset.isel(time=slice(20)))


def test_a_lead_that_was_not_forecast_is_told():
    product, dataset = stores()
    pooled = {str(n): v.sum("time").values[None] for n, v in counts_of(product.isel(lead=slice(5)), dataset).items()}
    with pytest.raises(ConfigError, match="needs forecasts of 10 steps, there are 5"):
        METRICS.get("explained_variance_10").from_counts(pooled)


def with_runs(product, dataset, steps):
    """The truth as free runs of so many states."""
    age = xr.Variable("time", np.arange(60) % steps, {"run_steps": steps})
    return product.assign(free_run=dataset.state, free_run_age=age)


def test_free_runs_of_different_lengths_are_not_compared():
    """The longer a run, the harder it is to stay with the truth."""
    product, dataset = stores()
    samples = {
        f"{steps}": score_stores(with_runs(product, dataset, steps), None, dataset, ScoringOptions(), where="model")[1]
        for steps in (20, 30)
    }
    check_same_sample({"one": samples["20"], "two": samples["20"]})
    with pytest.raises(ScoreError, match=r"30: was scored with other scoring options than 20: .*'run_steps': 30"):
        check_same_sample(samples)


@pytest.mark.parametrize(("steps", "told"), [(60, False), (61, True)])
def test_a_test_without_a_whole_free_run_is_told(steps, told, caplog):
    product, dataset = stores()
    counts, _ = score_stores(with_runs(product, dataset, steps), None, dataset, ScoringOptions(), where="model")
    assert bool(counts.runs.sum()) is not told
    assert ("model: the test holds no whole free run of 61 states" in caplog.text) is told


@pytest.mark.parametrize("value", [1e200, -1e160])
def test_a_forecast_whose_square_is_no_number_makes_the_run_invalid(value):
    """It would take the counts of all other dates with it."""
    product, dataset = stores()
    product["forecast"] = product.forecast.astype("float64")
    product["forecast"][3, 5, 1] = value
    with pytest.raises(InvalidRunError, match=r"1 of 896 squared errors are not finite, the first 6 steps after 2000"):
        counts_of(product, dataset)


def test_the_truth_is_the_variable_that_was_forecast():
    """Observations have the shape of the states that they are of."""
    product, dataset = stores()
    before = counts_of(product, dataset)
    seen = dataset.assign(observation=dataset.state + 1)
    with pytest.raises(ScoreError, match="of which the dataset holds 2 variables"):
        counts_of(product, seen)
    product["forecast"].attrs["forecast_of"] = "state"
    xr.testing.assert_identical(counts_of(product, seen), before)
    product["forecast"].attrs["forecast_of"] = "observation"
    assert not np.allclose(counts_of(product, seen).squared_error, before.squared_error)
