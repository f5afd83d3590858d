"""From options to an analysis: the methods agree where theory says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.tasks.assimilation.methods import Prior, analyse, forecast_operator
from pipeline_lib.tasks.assimilation.options import MethodOptions, TrainingOptions
from pipeline_lib.tasks.assimilation.predict import _joined
from tests.assimilation.twins import observe, ode_forecast


def rotation(angle=0.2, damping=0.98):
    c, s = damping * np.cos(angle), damping * np.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return lambda states: states @ turn.T


def twin(steps=24, windows=3, seed=0):
    """Windows of a linear system, its first component observed at every other time."""
    generator = torch.Generator().manual_seed(seed)
    forecast = rotation()
    states = [torch.randn(windows, 2, generator=generator, dtype=torch.float64)]
    for _ in range(steps - 1):
        states.append(forecast(states[-1]))
    truth = torch.stack(states, 1)
    values = truth + 0.3 * torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    values[:, 1::2] = torch.nan
    values[..., 1] = torch.nan
    return forecast, truth, Observations(values, 0.09, mask=values.isfinite())


def run(method, **options):
    forecast, truth, observations = twin()
    prior = Prior(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    many = {} if method.endswith("var") else {"members": 2000}
    chosen = MethodOptions(method=method, window=24, **many, **options)
    found, spread = analyse(forecast, observations, prior, chosen, torch.Generator().manual_seed(1))
    return found, spread, truth


def test_smoothers_and_variational_methods_agree_on_a_linear_gaussian_system():
    """With an exact linear model, strong 4D-Var gives the mean of the Kalman smoother."""
    expected, spread, truth = run("strong_4dvar")
    assert spread is None
    for method in ("enks", "enrts"):
        found, spread, _ = run(method)
        torch.testing.assert_close(found, expected, atol=0.06, rtol=0)
        assert spread is not None
        assert bool((spread > 0).all())
    stiff, _, _ = run("weak_4dvar", model_weight=1e4, iterations=2000)
    assert float((stiff - truth).square().mean()) < 0.2


@pytest.mark.parametrize("method", ["enkf", "etkf"])
def test_filters_end_where_the_smoother_ends(method):
    expected, _, _ = run("strong_4dvar")
    found, _, truth = run(method)
    torch.testing.assert_close(found[:, -1], expected[:, -1], atol=0.06, rtol=0)
    assert float((found - truth)[:, 0].square().mean()) > float((expected - truth)[:, 0].square().mean())


@pytest.mark.parametrize("method", ["enkf", "strong_4dvar", "weak_4dvar"])
def test_each_window_may_have_a_prior_of_its_own(method):
    forecast, truth, observations = twin()
    prior = Prior(truth[:, 0], 0.01)
    options = MethodOptions(method=method, window=24)
    found, _ = analyse(forecast, observations, prior, options, torch.Generator().manual_seed(0))
    assert found.shape == truth.shape
    assert float((found - truth).square().mean()) < 0.1


@pytest.mark.parametrize("factor", [0.2, 1.0])
def test_three_d_var_is_the_best_linear_estimate_with_the_covariance_of_any_time(factor):
    """Each analysis by least squares on state and observations, whitened; what is known of the start is not asked."""
    forecast, _, observations = twin()
    climatology = torch.tensor([[1.0, 0.4], [0.4, 0.5]], dtype=torch.float64)
    mean = torch.tensor([0.3, -0.2], dtype=torch.float64)
    options = MethodOptions(method="3dvar", window=24, background_factor=factor)
    found, spread = analyse(forecast, observations, Prior(mean, 1e-4, climatology), options, torch.Generator())
    assert spread is None
    white = np.linalg.inv(np.linalg.cholesky(factor * climatology.numpy()))
    for window, values in enumerate(observations.values.numpy()):
        state = mean.numpy()
        for time, (value, _) in enumerate(values):
            state = forecast(torch.from_numpy(state)).numpy() if time else state
            if np.isfinite(value):
                both = np.vstack([white, [[1 / 0.3, 0.0]]])
                state = np.linalg.lstsq(both, np.append(white @ state, value / 0.3), rcond=None)[0]
            np.testing.assert_allclose(found[window, time], state, rtol=0, atol=1e-12)
    start_alone, _ = analyse(forecast, observations, Prior(mean, climatology), options, torch.Generator())
    assert torch.equal(start_alone, found)


def test_the_factor_on_a_covariance_is_of_three_d_var_only():
    with pytest.raises(ValidationError, match="strong_4dvar has no covariance that stays the same"):
        MethodOptions(method="strong_4dvar", background_factor=0.5)


def test_enks_over_whole_periods_needs_a_lag_and_smoothers_are_not_localised():
    with pytest.raises(ValidationError, match="enks over whole periods needs a lag"):
        MethodOptions(method="enks")
    with pytest.raises(ValidationError, match="enrts is not localised"):
        MethodOptions(method="enrts", localisation=2.0)


USELESS = {
    "etkf": ["lag", "background_factor", "iterations", "minimiser", "descent_step", "model_weight"],
    "enkf": ["lag", "background_factor", "iterations", "minimiser", "descent_step", "model_weight"],
    "enks": ["background_factor", "iterations", "minimiser", "descent_step", "model_weight"],
    "enrts": ["lag", "localisation", "background_factor", "iterations", "minimiser", "descent_step", "model_weight"],
    "3dvar": [
        "members", "inflation", "localisation", "model_error", "lag", "iterations", "minimiser", "descent_step",
        "model_weight",
    ],
    "strong_4dvar": [
        "members", "inflation", "localisation", "model_error", "lag", "background_factor", "minimiser", "descent_step",
        "model_weight",
    ],
    "weak_4dvar": ["members", "inflation", "localisation", "model_error", "lag", "background_factor", "descent_step"],
}  # fmt: skip
OTHER = {
    "members": 50, "inflation": 1.1, "localisation": 2.0, "model_error": 0.1, "lag": 3, "background_factor": 0.5,
    "iterations": 1, "minimiser": "gradient_descent", "descent_step": 1.0, "model_weight": 2.0,
}  # fmt: skip
"""Values that are no defaults."""


@pytest.mark.parametrize("method", USELESS)
def test_each_option_changes_the_analysis_or_is_refused(method):
    forecast, _, observations = twin(steps=6, windows=1)
    prior = Prior(torch.ones(2, dtype=torch.float64), 1.0)
    ring = {"localisation"}  # of two components there is none

    def analysis(**options):
        chosen = MethodOptions(method=method, window=6, **options)
        return analyse(forecast, observations, prior, chosen, torch.Generator().manual_seed(0))[0]

    plain = analysis()
    for name, value in OTHER.items():
        if name in USELESS[method]:
            with pytest.raises(ValidationError, match=f"leave {name} out"):
                analysis(**{name: value})
        elif name not in ring:
            assert not torch.equal(analysis(**{name: value}), plain), name


def test_the_length_of_fixed_steps_is_theirs_alone():
    with pytest.raises(ValidationError, match="lbfgs takes steps of its own length: leave descent_step out"):
        MethodOptions(method="weak_4dvar", descent_step=1.0)
    assert MethodOptions(method="weak_4dvar", minimiser="gradient_descent", descent_step=1.0).descent_step == 1


def test_what_is_known_at_the_start_is_said_where_it_counts_only():
    with pytest.raises(ValidationError, match="there is no error around the true state: leave start_variance out"):
        MethodOptions(start_variance=0.2)
    with pytest.raises(
        ValidationError, match="3dvar takes the covariance of the training states: leave start_variance"
    ):
        MethodOptions(method="3dvar", start="truth", start_variance=0.2)
    with pytest.raises(ValidationError, match="weak_4dvar has no term for what is known at the start: leave start out"):
        MethodOptions(method="weak_4dvar", start="truth")
    assert MethodOptions(method="strong_4dvar", window=9, start="truth", start_variance=0.2).start_variance == 0.2


def test_windows_grow_for_strong_4dvar_alone_and_in_no_more_stages_than_they_are_long():
    with pytest.raises(ValidationError, match="weak_4dvar has no window that grows: leave stages out"):
        MethodOptions(method="weak_4dvar", stages=3)
    with pytest.raises(ValidationError, match="a window of 9 time steps grows in as many stages at most"):
        MethodOptions(method="strong_4dvar", window=9, stages=10)


def test_strong_4dvar_needs_windows():
    with pytest.raises(ValidationError, match=r"strong_4dvar over whole periods .*: set window"):
        MethodOptions(method="strong_4dvar")


@pytest.mark.parametrize("options", [{"free_run": 1.0}, {"forecast_steps": 3}])
def test_assimilation_makes_no_forecasts_to_store(options):
    (name,) = options
    with pytest.raises(ValidationError, match=f"stores no forecasts: leave {name} out"):
        TrainingOptions(**options)


def test_what_was_asked_for_is_valid_when_it_is_read_again():
    for method in USELESS:
        asked = MethodOptions(method=method, window=9)
        assert MethodOptions.model_validate(asked.model_dump(mode="json")) == asked


@pytest.mark.parametrize("options", [{"margin": 1}, {"margin": 5, "window": 10}])
def test_a_margin_leaves_something_of_a_window(options):
    with pytest.raises(ValidationError, match=r"margin \d: needs a window of more than \d+ time steps"):
        MethodOptions(**options)
    assert MethodOptions(margin=5, window=11).margin == 5


def test_steps_of_a_fixed_length_are_a_way_to_minimise_weak_4dvar_only():
    with pytest.raises(ValidationError, match="strong_4dvar is not minimised by gradient_descent"):
        MethodOptions(method="strong_4dvar", minimiser="gradient_descent")


def test_descent_gets_where_the_quasi_newton_method_is_at_once():
    expected, _, _ = run("weak_4dvar", iterations=400)
    errors = []
    for steps in (20, 200, 1500):
        found, _, _ = run("weak_4dvar", iterations=steps, minimiser="gradient_descent", descent_step=6.0)
        errors.append(float((found - expected).abs().max()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-3
    away, _, _ = run("weak_4dvar", iterations=400, minimiser="gradient_descent", descent_step=400.0)
    assert torch.isnan(away).all()


@pytest.mark.parametrize("method", ["strong_4dvar", "weak_4dvar"])
def test_windows_whose_cost_still_falls_are_counted_and_others_pass_in_silence(method, caplog):
    run(method, iterations=2)
    (said,) = caplog.messages
    assert said == (
        f"{method}: the cost of 3 of 3 windows was still falling after 2 iterations: raise"
        " training.assimilation.iterations"
    )
    caplog.clear()
    run(method, iterations=2000)
    assert not caplog.messages


def test_few_members_need_a_localised_smoother_on_a_ring():
    generator = torch.Generator().manual_seed(0)
    forecast = ode_forecast(Lorenz96(), dt=0.05)
    start = 8 + torch.randn(40, generator=generator, dtype=torch.float64)
    truth = integrate(Lorenz96(), start, dt=0.05, steps=600)[-120:]
    observations = observe(truth, every=2, variance=1.0, generator=generator)
    prior = Prior(truth[0], 1.0)
    error = {}
    for width in (None, 4.0):
        options = MethodOptions(method="enks", members=20, lag=8, inflation=1.04, localisation=width)
        found, _ = analyse(forecast, observations, prior, options, torch.Generator().manual_seed(1))
        error[width] = float((found - truth)[40:].square().mean().sqrt())
    assert error[4.0] < 0.5 < 1.5 < error[None]


def test_a_taper_wider_than_the_ring_is_told():
    forecast, _, observations = twin()
    prior = Prior(torch.zeros(2, dtype=torch.float64), 1.0)
    with pytest.raises(ConfigError, match=r"training.assimilation.localisation: half-width 5"):
        analyse(forecast, observations, prior, MethodOptions(localisation=5.0), torch.Generator())


def test_a_forecaster_takes_members_of_any_batch_and_must_have_no_memory():
    model = MODELS.get("known_dynamics")
    network = model.build(model.Options(), shape=(3,), step=0.01, mean=8.0, scale=14.0)
    states = torch.randn(2, 5, 3, dtype=torch.float64)
    one_by_one = torch.stack([network.advance(row, None)[0] for row in states])
    assert torch.equal(forecast_operator(network)(states), one_by_one)
    lstm = MODELS.get("recurrent")
    with pytest.raises(ConfigError, match="has a memory of its forecasts"):
        forecast_operator(lstm.build(lstm.Options(), shape=(3,), step=0.01, mean=0.0, scale=1.0))


def test_windows_are_put_together_and_the_last_gives_its_tail_only():
    windows = np.arange(9.0).reshape(3, 3, 1)
    np.testing.assert_array_equal(_joined(windows, [0, 3, 4])[:, 0], [0, 1, 2, 3, 4, 5, 8])
