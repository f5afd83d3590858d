"""Training on observed states through the train stage's door, and what it refuses before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.tasks.assimilation.predict import product
from pipeline_lib.tasks.assimilation.train import train
from pipeline_lib.train.share import Share
from tests.assimilation.twins import ode_forecast
from tests.tasks.assimilation.projects import DAYS, STEP, circling, request, trained

WINDOW = {"assimilation": {"window": 24}}
TINY = {"windows": 8, "batch_size": 4, "max_epochs": 1}


def test_components_that_nobody_sees_are_filled_with_their_own_means(tmp_path):
    """The mean of all components together is none of theirs."""
    ds = circling()
    model = trained(tmp_path, ds, "time_interpolation", **WINDOW)
    test = ds.isel(time=slice(200, 300))
    found = product(model, test, device="cpu", threads=None)
    means = ds.state.sel(time=str(DAYS[0])).mean("time").values
    np.testing.assert_allclose(found.analysis.values[:, 1:], np.broadcast_to(means[1:], (100, 2)), rtol=1e-12)
    assert abs(means[1] - means[2]) > 1
    seen = np.isfinite(test.observation.values)
    np.testing.assert_allclose(found.analysis.values[seen], test.observation.values[seen], rtol=1e-12)
    np.testing.assert_array_equal(found.used.values > 0, seen)


@pytest.mark.parametrize("start", ["climatology", "truth"])
def test_three_d_var_takes_the_covariance_of_the_training_states(tmp_path, start):
    """By the gain of Kalman in physical units, wherever a window starts."""
    ds = circling()
    method = {"method": "3dvar", "window": 20, "start": start, "background_factor": 0.5}
    model = trained(tmp_path, ds, "known_dynamics", assimilation=method)
    test = ds.isel(time=slice(200, 240))
    found = product(model, test, device="cpu", threads=None)
    assert "spread" not in found
    past = ds.state.sel(time=str(DAYS[0])).values
    covariance = 0.5 * np.cov(past.T)
    gain = covariance[:, 0] / (covariance[0, 0] + 0.01)
    step = ode_forecast(Lorenz63(), dt=STEP)
    state = past.mean(axis=0)
    for time, value in enumerate(test.observation.values[:, 0]):
        if time % 20:
            state = step(torch.from_numpy(state)).numpy()
        else:
            state = past.mean(axis=0) if start == "climatology" else test.state.values[time]
        if np.isfinite(value):
            state = state + gain * (value - state[0])
        np.testing.assert_allclose(found.analysis.values[time], state, rtol=1e-9)


class Stopped(Exception):
    """Raised in place of a training."""


@pytest.fixture
def no_training(monkeypatch):
    """What would be trained, in place of trainings."""
    met = []

    def stop(asked, network, problem, *rest, **options):
        met.append(problem)
        raise Stopped

    for place in ("pipeline_lib.tasks.assimilation.train", "pipeline_lib.tasks.dynamics.train"):
        monkeypatch.setattr(f"{place}.descend", stop)
    return met


@pytest.mark.parametrize(("precision", "dtype"), [("float64", "torch.float64"), ("float32", "torch.float32")])
def test_windows_are_as_exact_as_the_training(tmp_path, no_training, precision, dtype):
    ds = circling()
    with pytest.raises(Stopped):
        train(request(tmp_path, ds, "direct_network", precision=precision, **WINDOW, **TINY))
    batch = next(iter(no_training[0].training_batches(0, Share())))
    assert {str(batch.inputs.dtype), str(batch.target.dtype)} == {dtype}
    start = int(batch.samples[0])
    first = ds.state.sel(time=str(DAYS[0]))
    expected = (first.values[start : start + 24].T - float(first.mean())) / float(first.std())
    error = float(np.abs(batch.target[0].double().numpy() - expected).max())
    assert error < 1e-14 if precision == "float64" else 1e-9 < error < 1e-6


def test_a_network_that_fills_windows_is_trained_and_used_with_margins(tmp_path):
    ds = circling()
    options = {"features": 3, "kernel": 3}
    model = trained(tmp_path, ds, "direct_network", options=options, assimilation={"window": 24, "margin": 6}, **TINY)
    test = ds.isel(time=slice(200, 300))
    used = product(model, test, device="cpu", threads=None).used.values[:, 0]
    seen = np.flatnonzero(np.isfinite(test.observation.values[:, 0]))
    # Windows from 0, 24, 48, 72 on, and one from 76 on, of which the last four times count.
    expected = [t for t in seen if (6 <= t % 24 < 18 if t < 96 else 82 <= t < 94)]
    assert np.flatnonzero(used).tolist() == expected
    assert 0 < len(expected) < len(seen)
    assert load_model(model.path).spec.sizes["shape"] == [3]


REFUSED = {
    "another step": ("direct_network", {"step": 0.02, **WINDOW}, r"^training.step: is 0.02, the states are 0.01 apart"),
    "no length": ("direct_network", {}, r"^training.assimilation.window: direct_network fills windows"),
    "a scale of another loss": (
        "direct_network",
        {"loss_scale": 10.0, **WINDOW},
        r"^training.loss_scale: direct_network has a loss of its own; leave it out",
    ),
    "least squares": (
        "direct_network",
        {"optimizer": "levenberg_marquardt", **WINDOW},
        r"^training.optimizer: fits models that make forecasts; choose adam",
    ),
    "a method beside networks": (
        "direct_network",
        {"assimilation": {"window": 24, "method": "etkf"}},
        r"^training.assimilation.method: direct_network fills windows by itself; leave it out",
    ),
    "members of no ensemble": (
        "time_interpolation",
        {"assimilation": {"window": 24, "members": 7}},
        r"^training.assimilation.members: time_interpolation fills windows by itself; leave it out",
    ),
    "a start that no network knows": (
        "fourdvarnet",
        {"assimilation": {"window": 24, "start": "truth"}},
        r"^training.assimilation.start: fourdvarnet fills windows by itself; leave it out",
    ),
    "the loss of a prior that is none": (
        "direct_network",
        {"prior_loss": 0.3, **WINDOW},
        r"^training.prior_loss: direct_network has no prior; leave it out",
    ),
    "the loss of a prior beside a forecaster": (
        "bilinear",
        {"prior_loss": 0.3},
        r"^training.prior_loss: bilinear has no prior; leave it out",
    ),
    "a memory": ("recurrent", {}, r"^models: has a memory of its forecasts"),
    "a wide taper": (
        "bilinear",
        {"assimilation": {"localisation": 2.0}},
        r"^training.assimilation.localisation: half-width 2.0: .* choose a smaller one",
    ),
    "an even kernel": ("direct_network", {"options": {"kernel": 4}, **WINDOW}, "^kernel: is 4, but must be odd"),
    "a small ring": (
        "direct_network",
        {"options": {"kernel": 5, "ring": True}, **WINDOW},
        r"^kernel: is 5, .* no wider than a ring \(the states have 3 components\)",
    ),
    "an even kernel of a prior": ("fixed_point_network", {"options": {"kernel": 4}, **WINDOW}, "^kernel: is 4"),
    "a ring smaller than a prior's kernel": ("fourdvarnet", {"options": {"ring": True}, **WINDOW}, "^kernel: is 11"),
    "too few sites": (
        "fourdvarnet",
        {"options": {"prior": "lorenz96"}, **WINDOW},
        "^prior: lorenz96 has 4 or more components, the states have 3; choose another prior",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_before_it_is_trained(tmp_path, no_training, name):
    model, asked, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        train(request(tmp_path, circling(), model, **asked))
    assert not no_training


def test_the_equations_of_lorenz_63_are_no_prior_of_other_states(tmp_path, no_training):
    with pytest.raises(ConfigError, match=r"^prior: lorenz63 has 3 components, the states have 4"):
        train(request(tmp_path, circling(components=4), "fourdvarnet", options={"prior": "lorenz63"}, **WINDOW))


def test_a_constant_component_has_no_strong_4dvar(tmp_path, no_training):
    ds = circling()
    ds.state[:, 1] = 5.0
    with pytest.raises(DataError, match=r"^states of the training days: the covariance is singular: .*constant"):
        train(request(tmp_path, ds, "bilinear", assimilation={"method": "strong_4dvar", "window": 24}))
    with pytest.raises(Stopped):
        train(request(tmp_path / "b", ds, "bilinear", assimilation={"method": "enkf"}))


def test_the_loss_of_a_prior_is_weighed_where_there_is_one(tmp_path, no_training):
    for name in ("fourdvarnet", "fixed_point_network"):
        with pytest.raises(Stopped):
            train(request(tmp_path / name, circling(), name, prior_loss=0.3, **WINDOW))


SWAPPED = {
    "a network": ("direct_network", WINDOW),
    "a forecaster": ("known_dynamics", {}),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_inputs_in_the_other_order_are_told(tmp_path, no_training, name):
    model, options = SWAPPED[name]
    asked = request(tmp_path, circling(), model, **options)
    other = replace(asked, inputs=asked.inputs[::-1])
    with pytest.raises(ConfigError, match=r"^inputs: observation is missing at times, .*; name the states first"):
        train(other)
    assert not no_training


def test_observations_that_do_not_say_how_precise_they_are_are_told(tmp_path):
    ds = circling()
    del ds.observation.attrs["error_variance"]
    with pytest.raises(ConfigError, match=r"^inputs: observation does not say how precise it is \(error_variance\)"):
        train(request(tmp_path, ds, "known_dynamics"))


@pytest.mark.parametrize("model", ["direct_network", "known_dynamics"])
def test_several_trajectories_are_refused_before_training_and_in_a_product(tmp_path, no_training, model):
    ds = circling()
    ages = xr.DataArray(np.arange(ds.sizes["time"]) % 60, dims="time", attrs={"units": "1"})
    with pytest.raises(DataError, match=r"^assimilation: takes one trajectory, here are 2; take a source of one"):
        train(request(tmp_path, ds.assign(age=ages), model, **WINDOW))
    assert not no_training
    made = trained(tmp_path / "one", ds, "time_interpolation", **WINDOW)
    test = ds.assign(age=ages).isel(time=slice(200, 300))
    with pytest.raises(DataError, match=r"^assimilation: takes one trajectory, here are 2"):
        product(made, test, device="cpu", threads=None)


def test_states_unlike_those_of_the_training_have_no_analysis(tmp_path):
    ds = circling().assign_coords(component=["x", "y", "z"])
    made = trained(tmp_path, ds, "time_interpolation", **WINDOW)
    test = ds.isel(time=slice(200, 300))
    for wrong, line in (
        (test.isel(time=slice(None, None, 2)), r"^time: states are 0\.02 days apart, the model was trained on 0\.01"),
        (test.drop_isel(time=10), r"^time: 2000-01-03T02:09:36 is not followed by a state after 0\.01 days"),
        (test.isel(component=[2, 1, 0]), r"^state: component holds 'z' at place 0, in training 'x'"),
        (test.isel(component=[0, 1]), r"^state: states are \(2,\), the model was"),
    ):
        with pytest.raises(DataError, match=line):
            product(made, wrong, device="cpu", threads=None)


def test_a_split_that_holds_no_window_is_named(tmp_path):
    ds = circling(days=2).isel(time=slice(None, 120))  # twenty states for the validation
    for model, options in (("direct_network", {"assimilation": {"window": 24}}), ("bilinear", {"horizon": 24})):
        with pytest.raises(DataError, match=r"^split.validation: 20 states give no window of"):
            train(request(tmp_path / model, ds, model, **options, **TINY))


def test_a_period_shorter_than_a_window_is_told(tmp_path):
    ds = circling()
    model = trained(tmp_path, ds, "time_interpolation", assimilation={"window": 30})
    with pytest.raises(
        DataError, match=r"^training.assimilation.window: is 30 time steps, the period from 2000-01-03 on"
    ):
        product(model, ds.isel(time=slice(200, 213)), device="cpu", threads=None)


def test_a_window_of_any_length_is_filled(tmp_path):
    """Here no multiple of the prior's pooling."""
    ds = circling()
    options = {"features": 2, "kernel": 3, "hidden": 2, "iterations": 2}
    model = trained(tmp_path, ds, "fourdvarnet", options=options, assimilation={"window": 13}, **TINY)
    found = product(model, ds.isel(time=slice(200, 213)), device="cpu", threads=None)
    assert found.analysis.shape == (13, 3)
    assert np.isfinite(found.analysis).all()
    assert found.window_position.values.tolist() == list(range(13))
