"""Forecasters as integration schemes: with the true equations, the error of a step shows the order of the scheme."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from pipeline_lib.config.validation import validate
from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.state_networks import MultistepStep, OdeStep
from pipeline_lib.tasks.assimilation.methods import forecast_operator

STEPS = (0.02, 0.01, 0.005, 0.0025)
MEAN, SCALE = 8.25, 13.5
BETA = float(np.float32(8 / 3))
"""As the network holds it."""


def after(states: np.ndarray, dt: float) -> np.ndarray:
    """The equations of Lorenz (1963), followed by another integrator to round-off."""

    def tendency(_, s):
        x, y, z = s.reshape(3, -1)
        return np.concatenate([10 * (y - x), x * (28 - z) - y, x * y - BETA * z])

    solved = solve_ivp(tendency, (0, dt), states.T.ravel(), method="DOP853", rtol=1e-13, atol=1e-13)
    return solved.y[:, -1].reshape(3, -1).T


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """States of the attractor."""
    rng = np.random.default_rng(0)
    return after(rng.standard_normal((30, 3)) + np.array([0, 0, 25]), 6.0)


def true_network(step: float, scheme: str = "rk4") -> nn.Module:
    model = MODELS.get("lorenz63_ode")
    options = model.Options(initial=(10.0, 28.0, 8 / 3), scheme=scheme)
    return model.build(options, shape=(3,), step=step, mean=MEAN, scale=SCALE).double()


def slope(errors: list[float]) -> float:
    return float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


ORDERS = [("euler", 2), ("backward_euler", 2), ("midpoint", 3), ("heun", 3), ("rk4", 5)]


@pytest.mark.parametrize(("scheme", "expected"), ORDERS)
def test_the_error_of_one_step_has_the_slope_of_its_scheme(scheme, expected, states):
    errors = []
    for step in STEPS:
        found = Rollout(true_network(step, scheme), 1)(torch.from_numpy((states - MEAN) / SCALE))[:, 0]
        forecast = found.detach().numpy() * SCALE + MEAN
        errors.append(float(np.sqrt(((forecast - after(states, step)) ** 2).mean())))
    assert slope(errors) == pytest.approx(expected, abs=0.1)


THREE_EIGHTHS = {
    "stages": [[1 / 3], [-1 / 3, 1.0], [1.0, -1.0, 1.0]],
    "weights": [1 / 8, 3 / 8, 3 / 8, 1 / 8],
}
"""Of Kutta (1901)."""


@pytest.mark.parametrize(("name", "shape"), [("bilinear", (3,)), ("bilinear_stencil", (8,)), ("ode_network", (3,))])
def test_a_tableau_of_one_s_own_is_a_scheme_whose_stages_share_the_network(name, shape):
    model = MODELS.get(name)
    made = []
    for chosen in ({"scheme": "rk38"}, {"tableau": THREE_EIGHTHS}):
        torch.manual_seed(0)
        options = model.Options.model_validate(chosen)
        assert model.Options.model_validate(options.model_dump(mode="json")) == options
        made.append(model.build(options, shape=shape, step=0.05, mean=MEAN, scale=SCALE).double())
    x = torch.randn(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    named, own = (Rollout(network, 5)(x) for network in made)
    assert torch.equal(own, named)
    assert sum(p.numel() for p in made[1].parameters()) == sum(p.numel() for p in made[0].parameters())


@pytest.mark.parametrize(
    ("tableau", "message"),
    [
        ({"stages": [[0.5, 0.5]], "weights": [0.5, 0.5]}, "row i of stages has i numbers"),
        ({"stages": [[0.5]], "weights": [0.5, 0.6]}, "weights sum to 1.1, not to 1"),
    ],
)
def test_a_tableau_that_is_none_is_told(tableau, message):
    with pytest.raises(ConfigError) as caught:
        validate(MODELS.get("bilinear").Options, {"tableau": tableau}, where="models.binn.options")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("k", "expected"), [(-0.4, 2), (0.5, 2), (1.0, 3)])
def test_a_multistep_forecast_follows_its_own_equation_and_leapfrog_one_order_further(k, expected, states):
    """From two exact states; the tendency is (1 + k) times that of the equations."""
    errors = []
    for step in STEPS:
        equations = true_network(step).tendency
        network = MultistepStep(lambda x, f=equations: (1 + k) * f(x), step).double()
        with torch.no_grad():
            network.k.fill_(k)
        before, now, then = ((s - MEAN) / SCALE for s in (states, after(states, step), after(states, 2 * step)))
        found, memory = network.advance(torch.from_numpy(now), (torch.from_numpy(before),))
        assert torch.equal(memory[0], torch.from_numpy(now))
        errors.append(float(np.sqrt(((found.detach().numpy() - then) ** 2).mean())))
    assert slope(errors) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("k", [-0.4, 0.5])
def test_the_first_step_is_of_euler_whatever_k(k, states):
    equations = true_network(0.01).tendency
    network = MultistepStep(lambda x: (1 + k) * equations(x), 0.01).double()
    with torch.no_grad():
        network.k.fill_(k)
    x = torch.from_numpy((states - MEAN) / SCALE)
    euler = OdeStep(equations, "euler", 0.01)
    torch.testing.assert_close(network.advance(x, network.begin(x))[0], euler.advance(x, None)[0])


def test_without_k_a_multistep_forecast_is_euler_s(states):
    model = MODELS.get("multistep_ode")
    torch.manual_seed(0)
    network = model.build(model.Options(), shape=(3,), step=0.01, mean=MEAN, scale=SCALE)
    x = torch.from_numpy((states - MEAN) / SCALE).float()
    euler = OdeStep(network.tendency, "euler", 0.01)
    torch.testing.assert_close(Rollout(network, 5)(x), Rollout(euler, 5)(x), rtol=0, atol=1e-6)


def test_leapfrog_is_undone_by_the_same_network_with_time_reversed(states):
    """The reversible network: what it made of two states, the same steps backwards take to them again."""
    model = MODELS.get("multistep_ode")
    torch.manual_seed(0)
    network = model.build(model.Options(weight=1.0), shape=(3,), step=0.05, mean=MEAN, scale=SCALE).double()
    assert "k" not in dict(network.named_parameters())
    x = torch.from_numpy((states - MEAN) / SCALE)
    path, memory = [x], network.begin(x)
    for _ in range(20):
        following, memory = network.advance(path[-1], memory)
        path.append(following)
    backwards = MultistepStep(network.tendency, -0.05, 1.0).double()
    state, memory = path[-2], (path[-1],)
    for expected in path[-3::-1]:
        state, memory = backwards.advance(state, memory)
        torch.testing.assert_close(state, expected, rtol=0, atol=1e-12)
    assert float((path[-1] - x).detach().abs().max()) > 0.1


def test_assimilation_refuses_a_scheme_that_remembers():
    network = MultistepStep(nn.Identity(), 0.01)
    with pytest.raises(ConfigError, match="has a memory of its forecasts"):
        forecast_operator(network)
