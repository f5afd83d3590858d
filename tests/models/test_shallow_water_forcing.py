"""Shallow water with a forcing that is learned: the solver around it, what it conserves, its fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import functional_call

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.shallow_water_networks import channels
from pipeline_lib.simulations.shallow_water import ShallowWaterSimulation
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.shallow_water import UNIT, Basin, Leapfrog, ShallowWater

SIZE, STEP = 16, 0.05
MEAN, SCALE = 0.3, 40.0


@pytest.fixture(scope="module")
def states():
    """60 states of a coarse basin, ten days apart, in their own units (time, 6, y, x)."""
    options = ShallowWaterSimulation.Options(size=SIZE, spin_up=0.5, dt=STEP)
    return torch.from_numpy(ShallowWaterSimulation.run(options, times=60).state.values)


def flat(states):
    return (states.flatten(1) - MEAN) / SCALE


def build(name, **options):
    torch.manual_seed(0)
    model = MODELS.get(name)
    sizes = {"shape": (6, SIZE, SIZE), "step": STEP, "mean": MEAN, "scale": SCALE}
    return model, model.build(model.Options(**options), **sizes).double()


def random_forcing(states, constraint):
    """A network of random weights that forces about a tenth as strongly as the wind."""
    _, network = build("shallow_water_forcing", constraint=constraint)
    network.system.theta.measure("input", channels(*states[:, :3].unbind(1), network.system.tau))
    network.system.theta.target_scale.fill_(2e-8)
    return network


def test_the_known_equations_go_from_state_to_state_like_the_simulation(states):
    _, network = build("known_dynamics", system="shallow_water")
    found, _ = network.advance(flat(states[:-1]), None)
    torch.testing.assert_close(found, flat(states[1:]), rtol=0, atol=1e-12)


def test_a_step_is_the_solver_s_with_the_network_in_the_place_of_theta(states):
    network = random_forcing(states, "none")
    basin = Basin.of_size(SIZE)
    system = ShallowWater(basin, network.system.theta, closed=False)
    start = states[:2].unflatten(1, (2, 3))
    expected = integrate(system, start, dt=basin.step, steps=96, scheme=Leapfrog())[-1]
    found, _ = network.advance(flat(states[:2]), None)
    torch.testing.assert_close(found, flat(expected.flatten(1, 2)), rtol=0, atol=1e-12)
    other, _ = build("known_dynamics", system="shallow_water")[1].advance(flat(states[:2]), None)
    assert float((found - other).detach().abs().max()) > 1e-3


@pytest.mark.parametrize(("constraint", "kept"), [("none", False), ("mean", True), ("wall", True), ("both", True)])
def test_the_mean_height_is_kept_by_each_constraint_and_by_none_it_is_not(states, constraint, kept):
    network, state = random_forcing(states, constraint), flat(states[:1])
    heights = [network.diagnose(state)["mean_height"]]
    for _ in range(3):
        state, _ = network.advance(state, None)
        heights.append(network.diagnose(state)["mean_height"])
    drift = float((torch.cat(heights) - heights[0]).abs().max())
    assert drift < 1e-12 if kept else drift > 1e-2


def test_constraints_differ_in_where_water_flows(states):
    """With the mean removed water still goes through the walls; the network's own output there is not 0."""
    rest = flat(torch.zeros(1, 6, SIZE, SIZE, dtype=torch.float64))
    for constraint, flows in (("mean", True), ("wall", False), ("both", False)):
        end = random_forcing(states, constraint).advance(rest, None)[0]
        u, v = (end * SCALE + MEAN).unflatten(1, (6, SIZE, SIZE))[0, :2]
        assert (float(u[:, -1].abs().max()) > 1e-6) == flows
        assert (float(v[0].abs().max()) > 1e-6) == flows


def test_each_component_has_929_values_and_sees_nothing_of_the_other():
    model, network = build("shallow_water_forcing")
    parameters = list(network.parameters())
    assert sum(p.numel() for p in parameters) == model.card.parameters.total == 2 * 929
    u, v, h, tau = torch.randn(4, 2, SIZE, SIZE, dtype=torch.float64).unbind(0)
    u.requires_grad_()
    theta = network.system.theta(u, v, h, tau)
    assert theta.shape == (2, 2, SIZE, SIZE)
    (own,) = torch.autograd.grad(theta[:, 0].sum(), u, retain_graph=True)
    (other,) = torch.autograd.grad(theta[:, 1].sum(), u)
    assert own.any()
    assert not other.any()


def test_the_network_is_a_perceptron_at_each_cell(states):
    """Loops over cells in NumPy, on neighbours that are 0 beyond the basin after standardisation."""
    _, network = build("shallow_water_forcing", hidden=3)
    learned, tau = network.system.theta, network.system.tau
    u, v, h = states[:2, :3].unbind(1)
    learned.measure("input", channels(u, v, h, tau))
    found = learned(u, v, h, tau).detach().numpy()
    first, _, second = learned.layers
    for which, (flow, stress) in enumerate(((u, tau[0]), (v, tau[1]))):
        fields = np.stack([flow[1].numpy(), h[1].numpy(), stress.numpy()])
        fields[2] = stress
        means = np.array([flow.mean(), h.mean(), stress.mean()])
        spreads = np.array([flow.numpy().std(), h.numpy().std(), stress.numpy().std() or 1.0])
        padded = np.pad((fields - means[:, None, None]) / spreads[:, None, None], ((0, 0), (1, 1), (1, 1)))
        own = slice(3 * which, 3 * which + 3)
        weights, biases = first.weight[own].detach().numpy(), first.bias[own].detach().numpy()
        for j, i in ((0, 0), (5, 7), (SIZE - 1, SIZE - 1)):
            patch = padded[:, j : j + 3, i : i + 3]
            hidden = np.maximum((weights * patch).sum((1, 2, 3)) + biases, 0)
            out = hidden @ second.weight[which].detach().numpy().ravel() + float(second.bias[which])
            assert found[1, which, j, i] == pytest.approx(out, rel=1e-9)


def test_steps_have_gradients_with_respect_to_state_and_weights():
    torch.manual_seed(0)
    model, two_steps = MODELS.get("shallow_water_forcing"), 2 * Basin.of_size(4).step / UNIT
    network = model.build(model.Options(hidden=2), shape=(6, 4, 4), step=two_steps, mean=0.0, scale=1.0).double()
    network.system.theta.target_scale.fill_(1e-6)
    names, values = zip(*((n, p.detach().requires_grad_()) for n, p in network.named_parameters()), strict=True)
    state = torch.randn(1, 96, dtype=torch.float64, requires_grad=True)

    def step(state, *values):
        given = {f"forecaster.{name}": value for name, value in zip(names, values, strict=True)}
        return functional_call(Rollout(network, 1), given, (state,))

    assert torch.autograd.gradcheck(step, (state, *values))


def test_single_precision_follows_double(states):
    double, single = random_forcing(states, "wall"), random_forcing(states, "wall").float()
    found, _ = single.advance(flat(states[:2]).float(), None)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), double.advance(flat(states[:2]), None)[0], rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def fitted(states):
    model, network = build("shallow_water_forcing", epochs=12, constraint="none")
    history = model.fit(network, flat(states[:50]), flat(states[50:]), horizon=1)
    return network, history


def test_the_fit_comes_near_the_true_forcing_in_its_own_unit(fitted, states):
    network, history = fitted
    assert history["val_loss"].min() < 0.1 * history["val_loss"].iloc[0]
    assert history["correlation_u"].iloc[-1] > 0.95
    truth = ShallowWater(Basin.of_size(SIZE))
    u, v, h = states[50:, :3].unbind(1)
    target = truth.inside * truth.theta(u, v, h, truth.tau)
    found = network.system.theta(u, v, h, truth.tau).detach()
    error = ((found - target).square().mean((0, 2, 3)) / target.var((0, 2, 3))).mean()
    assert float(error) == pytest.approx(history["val_loss"].min(), rel=0.2)


def test_equal_arguments_give_equal_values(states):
    found = []
    for _ in range(2):
        model, network = build("shallow_water_forcing", epochs=2)
        model.fit(network, flat(states[:9]), flat(states[50:]), horizon=1)
        found.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(*found)


def test_a_penalty_takes_the_mean_flow_through_the_walls_out_of_the_fit(states):
    leaks = []
    for penalty in (0.0, 100.0):
        model, network = build("shallow_water_forcing", epochs=8, penalty=penalty)
        model.fit(network, flat(states[:50]), flat(states[50:]), horizon=1)
        u, v, h = states[50:, :3].unbind(1)
        theta = network.system.theta(u, v, h, network.system.tau).detach()
        outwards = theta[:, 0, :, -1].mean(-1) - theta[:, 1, 0, :].mean(-1)
        leaks.append(float(outwards.square().mean().sqrt()))
    assert leaks[1] < 0.3 * leaks[0]


def test_diagnostics_are_those_of_the_present_fields(states):
    _, network = build("known_dynamics", system="shallow_water")
    found = network.diagnose(flat(states))
    u, v, h = states[:, :3].numpy().transpose(1, 0, 2, 3)
    np.testing.assert_allclose(found["kinetic_energy"], ((500 + h) * (u**2 + v**2)).mean((1, 2)) / 2, rtol=1e-9)
    np.testing.assert_allclose(found["mean_height"], h.mean((1, 2)), atol=1e-12)
    np.testing.assert_allclose(found["potential_energy"], 0.02 / 2 * ((500 + h) ** 2).mean((1, 2)), rtol=1e-9)
    # Beyond the walls there is no flow; f0 + beta y from wall to wall.
    around_u, around_v = (np.pad(field, ((0, 0), (1, 1), (1, 1))) for field in (u, v))
    size = h.shape[-1]
    shear = around_v[:, 1:-1, 2:] - around_v[:, 1:-1, 1:-1] - around_u[:, 1:-1, 1:-1] + around_u[:, :-2, 1:-1]
    f = 3.5e-5 + 2.11e-11 * np.linspace(-8e5, 8e5, size)[:, None]
    vorticity = ((shear * size / 1.6e6 + f) / (500 + h)).mean((1, 2))
    np.testing.assert_allclose(found["potential_vorticity"], vorticity, rtol=1e-9)
    assert set(found) == set(network.diagnostics)
    model = MODELS.get("known_dynamics")
    assert model.diagnosed(model.Options(system="shallow_water")) == set(found)
    assert model.diagnosed(model.Options()) == frozenset()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"shape": (3,)}, r"have the shape \(6, n, n\), these \(3,\)"), ({"step": 0.0001}, "training.step: .* steps of")],
)
def test_other_states_are_refused(sizes, message):
    model = MODELS.get("shallow_water_forcing")
    given = {"shape": (6, SIZE, SIZE), "step": STEP, "mean": MEAN, "scale": SCALE} | sizes
    with pytest.raises(ConfigError, match=message):
        model.build(model.Options(), **given)
