"""Forecasts from several true states: all of them of one trajectory, and used by every model that takes part."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.data.trajectories import ages_of
from pipeline_lib.errors import ConfigError, DataError, ScoreError
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr
from pipeline_lib.learning.forecaster import Forecaster, Rollout
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.base import FittedModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.predict.stage import predict_period
from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.score.gate import check_same_sample
from pipeline_lib.score.stage import score_run
from pipeline_lib.tasks.dynamics import Dynamics
from pipeline_lib.tasks.dynamics.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.dynamics.predict import _ages_of_runs, _free_runs
from pipeline_lib.tasks.dynamics.report import draw_examples
from pipeline_lib.tasks.dynamics.score import score_stores
from pipeline_lib.tasks.dynamics.starts import starts_with
from pipeline_lib.tasks.dynamics.train import train
from pipeline_lib.tasks.dynamics.windows import Trajectory
from pipeline_lib.train.request import TrainingRequest
from tests.models.test_all_models import DYNAMICS, OPTIONS, SHAPES
from tests.tasks.dynamics.test_trajectories import source, sources

ROOT = Path(__file__).parents[3]
histories = st.integers(1, 5)


def network(name: str, *, history: int, **options: object) -> Forecaster:
    model = MODELS.get(name)
    shape = SHAPES.get(name, (3,))
    torch.manual_seed(0)
    options = {**OPTIONS.get(name, {}), **options}
    built = model.build(model.Options(**options), shape=shape, step=0.01, mean=0.0, scale=1.0, history=history).double()
    for value in built.parameters():
        torch.nn.init.normal_(value, std=0.3)  # outputs that start at zero hide what is seen
    return built


# ---- which states ----------------------------------------------------------------------------------------------


@given(sources, st.integers(1, 4), st.integers(0, 6), histories)
def test_windows_are_all_those_whose_past_and_future_are_of_one_trajectory(made, horizon, from_age, history):
    ds, owner = source(*made)
    args = (ds.state.values, ds.time.values, horizon, (2,), ages_of(ds), from_age, "train", history)
    expected = [
        i
        for i in range(history - 1, len(owner) - horizon)
        if owner[i - history + 1] == owner[i + horizon] and ds.age.values[i] >= from_age
    ]
    if not expected:
        with pytest.raises(DataError, match=f"give no window of {history} \\+ {horizon}"):
            Trajectory(*args)
        return
    batch = Trajectory(*args).spread()
    assert batch.samples[:, 0].tolist() == expected
    known = batch.inputs[:, None] if history == 1 else batch.inputs
    assert known.shape[1] == history
    for row, start in enumerate(expected):
        np.testing.assert_array_equal(known[row], ds.state.values[start - history + 1 : start + 1])
        np.testing.assert_array_equal(batch.target[row], ds.state.values[start + 1 : start + 1 + horizon])


class Extrapolating(Forecaster):
    """Goes on as between the last two states: right for steady motion, if both are of it."""

    def recall(self, past):
        """Return the last of them."""
        return past[:, -1]

    def advance(self, state, memory):
        """Return the next state, and the present one to remember."""
        return 2 * state - memory, state


@given(sources, st.integers(1, 9), st.integers(2, 5))
def test_free_runs_begin_where_the_history_of_a_trajectory_is_there(made, every, history):
    ds, owner = source(*made)
    lengths = [owner.count(number) for number in dict.fromkeys(owner)]
    if max(lengths) < history:
        with pytest.raises(DataError, match=f"no {history} of {len(owner)} states follow each other"):
            starts_with(history, ages_of(ds))
        return
    starts = starts_with(history, ages_of(ds))
    age = _ages_of_runs(ages_of(ds), every, history)
    assert age.tolist() == [i % every for length in lengths for i in range(length - history + 1)]
    known = ds.state.values[starts[:, None] + np.arange(1 - history, 1)]
    assert (known[..., 0] == np.array(owner)[starts, None]).all()
    found = _free_runs(Extrapolating(), known, age, torch.device("cpu"))
    np.testing.assert_allclose(found, ds.state.values[starts])  # these states move steadily


@given(sources, st.integers(1, 3), histories, st.integers(0, 20))
def test_scores_are_of_the_starts_that_a_product_holds_and_it_may_lack_no_others(made, leads, history, lost):
    ds, owner = source(*made)
    known = [i for i in range(len(owner)) if i >= history - 1 and owner[i - history + 1] == owner[i]]
    scored = [i for i in known if i + leads < len(owner) and owner[i] == owner[i + leads]]
    if not scored:
        return
    forecast = np.random.default_rng(0).standard_normal((len(known), leads, 2))
    coords = {"time": ds.time[known], "lead": np.arange(1, 1 + leads), "component": ds.component}
    attrs = {"forecast_of": "state", **({"history": history} if history > 1 else {})}
    product = xr.Dataset({"forecast": (("time", "lead", "component"), forecast, attrs)}, coords)
    counts, sample = score_stores(product, None, ds, ScoringOptions(), where="model")
    np.testing.assert_array_equal(counts.time, ds.time[scored])
    assert sample.method == {"leads": leads, **({"history": history} if history > 1 else {})}
    for row, i in enumerate(scored):
        truth = ds.state.values[i + 1 : i + 1 + leads]
        error = ((forecast[known.index(i)] - truth) ** 2).sum(axis=1)
        np.testing.assert_allclose(counts.squared_error[row], error, rtol=1e-9)
        np.testing.assert_allclose(counts.persistence_error[row], np.arange(1, 1 + leads) ** 2)
    first = lost % len(known)
    shorter = product.isel(time=[i for i in range(len(known)) if not first <= i < first + history])
    if len(known) - shorter.sizes["time"] == history and known[first + history - 1] == known[first] + history - 1:
        with pytest.raises(ScoreError, match="model: starts from other times than those of the dataset"):
            score_stores(shorter, None, ds, ScoringOptions(), where="model")


def test_a_competitor_that_knew_more_is_not_compared():
    ds, _ = source([12], 0, 0)
    samples = {}
    for history in (2, 3):
        coords = {"time": ds.time[history - 1 :], "lead": [1], "component": ds.component}
        values = (("time", "lead", "component"), ds.state.values[history - 1 :, None], {"history": history})
        samples[f"m{history}"] = score_stores(
            xr.Dataset({"forecast": values}, coords).isel(time=slice(3 - history, None)),
            None,
            ds,
            ScoringOptions(),
            where="model",
        )[1]
    with pytest.raises(ScoreError, match=r"m3: was scored with other scoring options than m2: .*'history': 3"):
        check_same_sample(samples)


def test_splits_are_apart_by_what_is_known_too():
    far = {"horizon": 4, "forecast_steps": 20, "step": 0.25}
    assert Dynamics.reach_days(TrainingOptions(**far)) == 5
    assert Dynamics.reach_days(TrainingOptions(**far, history=9)) == 7


# ---- what models make of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DYNAMICS)
def test_a_model_sees_true_past_states_or_refuses_them(name):
    model = MODELS.get(name)
    if not model.remembers:
        told = "training.history: is 4, and .* sees the present state alone; leave it out"
        with pytest.raises(ConfigError, match=told):
            network(name, history=4)
        return
    assert not issubclass(model, FittedModel)
    known = torch.randn(5, 4, 3, dtype=torch.float64)
    options = {"initial": "zero"} if name == "recurrent" else {}
    forecasts = Rollout(network(name, history=4, **options), 3)
    other = known.clone()
    other[:, 2] += 1.0
    assert not torch.allclose(forecasts(known), forecasts(other), atol=1e-3)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_cell_goes_through_true_states_before_its_own(cell):
    net = network("recurrent", history=4, cell=cell, initial="zero", residual=True)
    known = torch.randn(2, 4, 3, dtype=torch.float64)
    layer = (torch.nn.LSTM if cell == "lstm" else torch.nn.GRU)(3, 20, batch_first=True).double()
    layer.load_state_dict({f"{name}_l0": value for name, value in net.cell.state_dict().items()})
    hidden, memory = layer(known)
    first = known[:, -1] + net.out(hidden[:, -1])
    second = first + net.out(layer(first[:, None], memory)[0][:, -1])
    torch.testing.assert_close(Rollout(net, 2)(known), torch.stack([first, second], dim=1))


@pytest.mark.parametrize("window", [2, 4, 7])
def test_attention_is_over_true_states_and_then_forecasts(window):
    net = network("transformer", history=4, window=window)
    seen = torch.randn(2, 4, 3, dtype=torch.float64)
    forecasts = Rollout(net, 4)(seen)
    for _ in range(4):
        last = seen[:, -window:]
        seen = torch.cat([seen, last[:, -1:] + net.increments(last)[:, -1:]], dim=1)
    torch.testing.assert_close(forecasts, seen[:, 4:])


def test_a_leapfrog_step_needs_no_first_step_of_euler():
    net = network("multistep_ode", history=3, weight=1.0)
    known = torch.randn(2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(Rollout(net, 1)(known)[:, 0], known[:, 1] + 0.01 * net.tendency(known[:, 2]))


@pytest.mark.parametrize(("past", "sees"), [(None, 4), (1, 1), (3, 3)])
def test_a_perceptron_sees_delays(past, sees):
    net = network("perceptron", history=4, past=past)
    seen = torch.randn(2, 4, 3, dtype=torch.float64)
    forecasts = Rollout(net, 5)(seen)
    for _ in range(5):
        seen = torch.cat([seen, seen[:, -1:] + net.map(seen[:, -sees:].flatten(1))[:, None]], dim=1)
    torch.testing.assert_close(forecasts, seen[:, 4:])


def test_a_perceptron_of_one_state_is_as_it_was_and_one_of_too_many_is_refused():
    known = torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(
        Rollout(network("perceptron", history=1), 3)(known), Rollout(network("perceptron", history=1, past=1), 3)(known)
    )
    with pytest.raises(ConfigError, match=r"options.past: is 5, forecasts start from 4; set training.history to 5"):
        network("perceptron", history=4, past=5)


def test_the_networks_of_the_experiment_start_from_sixteen_values_of_x():
    loaded = load_experiment(ROOT / "config/experiments/lorenz63-partial-history.yaml")
    counts = {}
    for name in loaded.spec.names:
        history = loaded.training(name).history
        model = MODELS.get(loaded.spec.entry(name).model)
        sizes = {"shape": (1,), "step": 0.05, "mean": 0.0, "scale": 8.0, "history": history}
        built = model.build(loaded.model_options(name), **sizes)
        assert Rollout(built, 2)(torch.randn(3, 16, 1)).shape == (3, 2, 1)
        counts[name] = sum(value.numel() for value in built.parameters())
    assert counts == {"transformer": 17_697, "lstm": 9_841, "mlp_16": 5_313, "mlp_1": 4_353}


# ---- through the stages ------------------------------------------------------------------------------------------

CODE = "0" * 20
MONTHS = {"2000-01": 31, "2000-02": 29, "2000-03": 31}
TEST = date(2000, 2, 10), date(2000, 3, 20)
HISTORY, LEADS = 3, 8


@pytest.fixture(scope="module")
def swings(tmp_path_factory) -> Path:
    """Three months of the position of a pendulum, twice a day; its speed is not there."""
    folder = tmp_path_factory.mktemp("swings")
    times = np.datetime64("2000-01-01", "ns") + np.arange(2 * sum(MONTHS.values())) * np.timedelta64(12, "h")
    values = 2 + 3 * np.sin(0.7 * np.arange(len(times)))[:, None]
    whole = xr.Dataset({"state": (("time", "component"), values, {"units": "1"})}, {"time": times})
    for month in MONTHS:
        with Artefact(folder / f"{month}.json", kind="dataset", code=CODE) as out:
            write_zarr(whole.sel(time=month), out.payload(f"{month}.zarr"))
            out.options = {"preparation": "state_components"}
            out.content = {"period": month, "form": "states", "variables": {}, "grid_step": None}
    with Artefact(folder / "statistics.json", kind="statistics", code=CODE) as out:
        found = {"state": {"mean": 2.0, "std": float(values.std()), "units": "1"}}
        out.payload("statistics.values.json").write_text(json.dumps(found))
    return folder


def scored(swings: Path, folder: Path, past: int | None) -> tuple[xr.Dataset, list[xr.Dataset]]:
    """Counts and products of a perceptron that is trained on the first month."""
    model = MODELS.get("perceptron")
    fitted = {"optimizer": "levenberg_marquardt", "windows": None, "max_epochs": 30}
    training = TrainingOptions(step=0.5, horizon=1, history=HISTORY, forecast_steps=LEADS, free_run=5.0, **fitted)
    data = read_manifest(swings / "2000-01.json", kind="dataset")
    request = TrainingRequest(
        model="perceptron",
        model_options=model.Options(past=past, hidden=4, layers=1),
        training=training,
        inputs=("state",),
        train=(date(2000, 1, 1), date(2000, 1, 20)),
        validation=(date(2000, 1, 21), date(2000, 1, 31)),
        seed=0,
        manifests={"dataset": data, "statistics": read_manifest(swings / "statistics.json", kind="statistics")},
        folder=folder / "checkpoints",
        output=folder / "model.json",
        described={"seed": 0},
        device="cpu",
        devices=1,
        threads=1,
        end=None,
        code=CODE,
    )
    train(request)
    datasets, products = ([root / f"{month}.json" for month in list(MONTHS)[1:]] for root in (swings, folder))
    for dataset, output in zip(datasets, products, strict=True):
        predict_period(
            model=request.output, dataset=dataset, output=output, device="cpu", threads=1, code=CODE, before=[]
        )
    score = folder / "score.json"
    asked = {"task": "dynamics", "model": "perceptron", "seed": 0, "labels": [], "test": TEST, "code": CODE}
    options = ScoringOptions(metrics=["nrmse_4"])
    score_run(products=products, datasets=datasets, options=options, output=score, **asked)
    stores = [open_store(read_manifest(path, kind="product"), f"{path.stem}.zarr") for path in products]
    return read_counts(read_manifest(score, kind="score").file("counts.parquet")), stores


def test_forecasts_are_drawn_beside_the_truth_that_follows_their_own_start(swings, full):
    test = SimpleNamespace(start="2000-02-01", end="2000-02-29")
    run = Run(seed=0, products=(read_manifest(full[2] / "2000-02.json", kind="product"),))
    context = SimpleNamespace(
        valid=[Competitor("mlp", "MLP", "red", (run,), card={})],
        datasets=[read_manifest(swings / "2000-02.json", kind="dataset")],
        spec=SimpleNamespace(split=SimpleNamespace(test=test), inputs=["state"]),
    )
    drawn = draw_examples(context)
    assert "Each starts from 3 true states" in drawn.caption
    for ax in drawn.figure.axes:
        truth, forecast = (line.get_ydata() for line in ax.get_lines())
        np.testing.assert_allclose(forecast, truth[1:], atol=0.5)


def share_of_spread(counts: xr.Dataset, lead: int) -> float:
    pooled = {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}
    return float(METRICS.get(f"nrmse_{lead}").from_counts(pooled)[0])


@pytest.fixture(scope="module")
def full(swings, tmp_path_factory) -> tuple[xr.Dataset, list[xr.Dataset], Path]:
    """Counts and products of one that sees all of the history, and their folder."""
    folder = tmp_path_factory.mktemp("full")
    return (*scored(swings, folder, None), folder)


def test_the_past_stands_for_what_is_not_observed_from_training_to_score(swings, full, tmp_path):
    """Two positions of a pendulum tell where it goes, one does not."""
    counts, products, _ = full
    for product, days in zip(products, list(MONTHS.values())[1:], strict=True):
        assert product.sizes["time"] == 2 * days - (HISTORY - 1)
        assert product.forecast.attrs["history"] == HISTORY
        truth = 2 + 3 * np.sin(0.7 * (product.time.values - np.datetime64("2000-01-01")) / np.timedelta64(12, "h"))
        np.testing.assert_allclose(product.forecast[:-1, 0, 0], truth[1:], atol=0.05)
        starts = product.free_run_age.values == 0
        np.testing.assert_allclose(product.free_run[starts, 0], truth[starts], rtol=1e-12)
    # The second month of the test lacks its first two starts, the test the last eight.
    assert counts.sizes["time"] == 2 * 40 - (HISTORY - 1) - LEADS
    alone, _ = scored(swings, tmp_path, 1)
    np.testing.assert_array_equal(alone.time, counts.time)
    assert share_of_spread(counts, 4) < 0.1
    assert share_of_spread(alone, 4) > 10 * share_of_spread(counts, 4)


def test_errors_are_told_in_spreads_of_the_truth():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((500, 2)) * [1.0, 3.0] + [5.0, -2.0]
    times = np.datetime64("2000-01-01", "ns") + np.arange(500) * np.timedelta64(864, "s")
    ds = xr.Dataset({"state": (("time", "component"), states)}, {"time": times})
    guesses = {"mean": np.broadcast_to(states.mean(axis=0), (500, 3, 2)), "other": rng.permutation(states)[:, None]}
    found = {}
    for name, forecast in guesses.items():
        values = np.broadcast_to(forecast, (500, 3, 2))
        product = xr.Dataset({"forecast": (("time", "lead", "component"), values)}, {"time": times, "lead": [1, 2, 3]})
        counts, _ = score_stores(product, None, ds, ScoringOptions(), where="model")
        found[name] = share_of_spread(counts, 2)
        future, centre = states[2:499], states.mean(axis=0)
        wrong = ((values[:497, 1] - future) ** 2).sum() / ((future - centre) ** 2).sum()
        assert found[name] == pytest.approx(np.sqrt(wrong), rel=1e-9)
    assert found["mean"] == pytest.approx(1, rel=1e-9)
    assert found["other"] == pytest.approx(np.sqrt(2), rel=0.1)
