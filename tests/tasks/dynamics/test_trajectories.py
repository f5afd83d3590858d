"""Several trajectories in one source: nothing reaches from one into the next, wherever they are cut."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.data.trajectories import ages_of, followers, pieces, require_one
from pipeline_lib.errors import ConfigError, DataError, ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.assimilation import train as assimilation
from pipeline_lib.tasks.assimilation.options import TrainingOptions as AssimilationOptions
from pipeline_lib.tasks.dynamics.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.dynamics.predict import _ages_of_runs, _free_runs
from pipeline_lib.tasks.dynamics.runs import first_run
from pipeline_lib.tasks.dynamics.score import score_stores
from pipeline_lib.tasks.dynamics.train import _outcome
from pipeline_lib.tasks.dynamics.windows import Trajectory
from pipeline_lib.train.outcome import Outcome, learned_values
from pipeline_lib.train.windows import Windows
from tests.tasks.dynamics.stepping import Counting

START, STEP = np.datetime64("2000-01-01", "ns"), np.timedelta64(864, "s")


def source(lengths: list[int], first: int, cut: int) -> tuple[xr.Dataset, list[int]]:
    """Trajectories whose ages start at ``first``, without the first ``cut`` states, and each state's trajectory."""
    ages = [first + i for length in lengths for i in range(length)][cut:]
    owner = [number for number, length in enumerate(lengths) for _ in range(length)][cut:]
    values = np.stack([np.array(owner, float), np.array(ages, float)], axis=1)
    times = START + np.arange(len(ages)) * STEP
    variables = {"state": (("time", "component"), values, {"units": "1"}), "age": ("time", np.array(ages, float))}
    return xr.Dataset(variables, {"time": times, "component": ["owner", "age"]}), owner


sources = st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 3), st.integers(0, 8)).filter(
    lambda made: sum(made[0]) > made[2]
)


@given(sources, st.integers(1, 5), st.integers(0, 6))
def test_windows_are_all_those_within_a_trajectory_and_no_others(made, horizon, from_age):
    ds, owner = source(*made)
    ages = ages_of(ds)
    expected = [i for i in range(len(owner) - horizon) if owner[i] == owner[i + horizon] and ages[i] >= from_age]
    args = (ds.state.values, ds.time.values, horizon, (2,), ages, from_age)
    if not expected:
        with pytest.raises(DataError, match="give no window of 1"):
            Trajectory(*args)
        return
    trajectory = Trajectory(*args)
    assert trajectory.windows == len(expected)
    for seed in (None, 0):
        for batch in Windows(trajectory, 2, 2 * len(expected), seed):
            assert (batch.target[..., 0] == batch.inputs[:, None, 0]).all()
            steps = torch.arange(1, 1 + horizon)
            assert (batch.target[..., 1] == batch.inputs[:, None, 1] + steps).all()
            assert set(batch.samples[:, 0].tolist()) <= set(expected)
            assert batch.inputs[:, 1].min() >= from_age
    assert sorted(trajectory.spread().samples[:, 0].tolist()) == expected


@given(sources, st.integers(1, 12))
def test_free_runs_start_with_each_trajectory_and_end_with_it(made, every):
    ds, owner = source(*made)
    age = _ages_of_runs(ages_of(ds), every)
    for i, now in enumerate(age):
        new = i == 0 or owner[i] != owner[i - 1]
        assert now == 0 if new else now == (age[i - 1] + 1) % every
    found = _free_runs(Counting(), ds.state.values, age, torch.device("cpu"))
    np.testing.assert_array_equal(found[:, 0], owner)
    np.testing.assert_array_equal(found[:, 1], ds.state.values[:, 1])  # counting is what these states do


@given(sources, st.integers(1, 4))
def test_scores_are_those_of_a_loop_over_whole_forecasts(made, leads):
    ds, owner = source(*made)
    rng = np.random.default_rng(0)
    forecast = rng.standard_normal((len(owner), leads, 2))
    coords = {"time": ds.time, "lead": np.arange(1, 1 + leads), "component": ds.component}
    product = xr.Dataset({"forecast": (("time", "lead", "component"), forecast)}, coords)
    starts = [i for i in range(len(owner) - leads) if owner[i] == owner[i + leads]]
    if not starts:
        with pytest.raises(ScoreError, match="are too few for forecasts"):
            score_stores(product, None, ds, ScoringOptions(), where="model")
        return
    for i in set(range(len(owner))) - set(starts):
        product["forecast"][i] = np.nan  # of no matter
    counts, sample = score_stores(product, None, ds, ScoringOptions(), where="model")
    np.testing.assert_array_equal(counts.time, ds.time[starts])
    assert len(sample.times) == len(starts)
    for row, i in enumerate(starts):
        for lead in range(1, leads + 1):
            error = ((forecast[i, lead - 1] - ds.state.values[i + lead]) ** 2).sum()
            assert counts.squared_error.values[row, lead - 1] == pytest.approx(error, rel=1e-9)
            assert counts.persistence_error.values[row, lead - 1] == pytest.approx(lead**2)


def test_the_error_at_the_end_is_that_of_the_last_states():
    ds, _ = source([4, 4], 1, 0)
    age = _ages_of_runs(ages_of(ds), 4)
    free = ds.state.values + np.where(age == 3, 0.5, 0.1)[:, None]
    names = ("time", "component")
    product = xr.Dataset(
        {
            "forecast": (("time", "lead", "component"), ds.state.values[:, None]),
            "free_run": (names, free),
            "free_run_age": ("time", age, {"run_steps": 4}),
        },
        {"time": ds.time, "lead": [1], "component": ds.component},
    )
    counts, _ = score_stores(product, None, ds, ScoringOptions(), where="model")
    pooled = {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}
    assert pooled["runs"] == 2
    assert METRICS.get("end_rmse").from_counts(pooled)[0] == pytest.approx(0.5)


def test_runs_count_however_long_forecasts_are():
    """No forecast is scored from the start of the last run of a trajectory whose end it would pass."""
    ds, _ = source([9, 9], 1, 0)
    age = _ages_of_runs(ages_of(ds), 3)
    names = ("time", "component")
    free = ds.state.values + 0.1 * np.arange(18)[:, None] * (age == 2)[:, None]
    variables = {"free_run": (names, free), "free_run_age": ("time", age, {"run_steps": 3})}
    found = {}
    for leads in (2, 3, 8):
        forecast = np.repeat(ds.state.values[:, None], leads, axis=1)
        coords = {"time": ds.time, "lead": np.arange(1, 1 + leads), "component": ds.component}
        product = xr.Dataset({"forecast": (("time", "lead", "component"), forecast), **variables}, coords)
        counts, sample = score_stores(product, None, ds, ScoringOptions(), where="model")
        assert len(sample.times) == counts.sizes["time"] == 2 * (9 - leads)
        found[leads] = {n: float(v.sum()) for n, v in counts.data_vars.items() if v.dims == ("time",)}
        assert counts.runs.values[-1] == {2: 1, 3: 1, 8: 3}[leads]
    assert found[2]["runs"] == 6
    assert found[2]["end_error"] == pytest.approx(sum(0.01 * i**2 for i in range(2, 18, 3)))
    assert found[2] == found[3] == found[8]


def test_the_first_free_run_is_a_complete_one():
    product = xr.Dataset({"free_run_age": ("time", [0, 1, 0, 1, 2, 0, 1, 2, 0], {"run_steps": 3})})
    assert first_run(product) == slice(2, 5)
    assert first_run(product.isel(time=slice(4, 8))) == slice(1, 4)
    assert first_run(product.isel(time=[2, 3])) is None  # cut by the end of the test
    assert first_run(product.isel(time=[1])) is None


def test_without_ages_there_is_one_trajectory():
    ds, _ = source([5, 5], 1, 0)
    assert pieces(ages_of(ds.drop_vars("age"))) == [slice(0, 10)]
    assert followers(ages_of(ds)).tolist() == [4, 3, 2, 1, 0, 4, 3, 2, 1, 0]
    require_one(ages_of(ds.isel(time=slice(5))), where="analogs")
    require_one(None, where="analogs")
    with pytest.raises(DataError, match="analogs: takes one trajectory, here are 2; take a source of one trajectory"):
        require_one(ages_of(ds), where="analogs")


@pytest.mark.parametrize("wrong", [[0.5, 1.5], [-1.0, 0.0], [np.nan, 1.0]])
def test_ages_that_count_nothing_are_refused(wrong):
    with pytest.raises(DataError, match="age: holds no ages of states; count time steps"):
        ages_of(xr.Dataset({"age": ("time", wrong)}))


def two_trajectories() -> Trajectory:
    ds, _ = source([6, 6], 1, 0)
    return Trajectory(ds.state.values, ds.time.values, 1, (2,), ages_of(ds))


def test_a_fit_in_one_go_takes_one_trajectory():
    request = SimpleNamespace(network_model=MODELS.get("analog"))
    with pytest.raises(DataError, match=r"Analog.*: takes one trajectory, here are 2"):
        _outcome(request, TrainingOptions(), Counting(), two_trajectories(), two_trajectories())
    with pytest.raises(ConfigError, match=r"from_age: Analog.* learns from states of all ages; leave it out"):
        _outcome(request, TrainingOptions(from_age=3), Counting(), two_trajectories(), two_trajectories())


def test_assimilation_takes_one_trajectory_and_filled_windows_know_no_age(monkeypatch):
    monkeypatch.setattr(assimilation, "read_states", lambda *_: two_trajectories())
    monkeypatch.setattr(assimilation, "_check_inputs", lambda _: None)  # it opens the stored dataset
    request = SimpleNamespace(
        training_as=lambda _: AssimilationOptions(),
        inputs=("state", "observation"),
        network_model=MODELS.get("ode_network"),
        model="ode_network",
    )
    with pytest.raises(DataError, match="assimilation: takes one trajectory, here are 2"):
        assimilation.train(request)
    request.training_as = lambda _: AssimilationOptions(from_age=3, assimilation={"window": 8})
    request.network_model, request.model = MODELS.get("fourdvarnet"), "fourdvarnet"
    with pytest.raises(
        ConfigError, match=r"training.from_age: fourdvarnet learns from windows of all ages; leave it out"
    ):
        assimilation.train(request)


def test_few_learned_values_are_told_by_the_last_part_of_their_names():
    def told(network: torch.nn.Module) -> dict[str, object]:
        return learned_values(network, Outcome(network.state_dict()))

    line = torch.nn.Sequential(torch.nn.Linear(2, 1))
    with torch.no_grad():
        line[0].weight.copy_(torch.tensor([[1.0, 2.0]])), line[0].bias.fill_(3.0)
    assert told(line) == {"learned": {"weight": [1.0, 2.0], "bias": 3.0}}
    assert told(torch.nn.Linear(16, 2)) == {}  # too many
    assert told(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))) == {}  # two of a name
    assert told(Counting()) == {}
