"""Closures in a box: what they keep, what they do not depend on, what they take, and what is found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.turbulence_closure.published import InvariantNetwork, ScalarNetwork
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.turbulence import Turbulence
from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares
from pipeline_lib.tasks.dynamics.windows import Trajectory

SIZE, STEP, MEAN, SCALE = 6, 0.02, 0.1, 1.3
LOCAL = ("smagorinsky", "linear", "linear_stencil", "network")
PUBLISHED = ("scalar_network", "invariant_network")
SMALL = {"network": {"hidden": 4, "layers": 1}}
SEEDS = st.integers(0, 10**6)


def build(closure, *, size=SIZE, weights=0.3, **options):
    """A network in double precision with random weights of that size."""
    model = MODELS.get("turbulence_closure")
    torch.manual_seed(3)
    options = model.Options(closure=closure, **{**SMALL.get(closure, {}), **options})
    network = model.build(options, shape=(4, size, size, size), step=STEP, mean=MEAN, scale=SCALE).double().eval()
    with torch.no_grad():
        for value in network.parameters():
            value += weights * torch.randn_like(value)
    return network


def flow(seed, size=SIZE):
    """A velocity without divergence and a scalar, of order one."""
    spectrum = lambda k: k**-1.0  # noqa: E731
    generator = torch.Generator().manual_seed(seed)
    return Turbulence(size, viscosity=0.0).random_state(spectrum, generator, scalars=[spectrum])


def flows(count, seed):
    """So many of them."""
    return torch.stack([flow(count * seed + number) for number in range(count)])


def normalised(state):
    return ((state - MEAN) / SCALE).flatten(-4)


# ---- the term --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closure", LOCAL + PUBLISHED)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_nothing_is_made_and_the_flow_gets_no_divergence(closure, seed):
    """Of any state, also one that has a divergence, means and Nyquist modes."""
    state = (
        torch.randn(2, 4, SIZE, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.5
    )
    network = build(closure)
    term = network.system.closure(state).detach()
    size = 1 + float(term.abs().max())
    assert float(term.sum((-3, -2, -1)).abs().max()) < 1e-12 * SIZE**3 * size
    assert float(network.system.divergence(term).abs().max()) < 1e-12 * size
    assert bool((term[:, 3].abs().amax((-3, -2, -1)) > 1e-4).all())
    assert bool(term[:, :3].any()) == (closure in LOCAL)


@pytest.mark.parametrize("closure", LOCAL + PUBLISHED)
@given(seed=SEEDS, shift=st.tuples(*[st.integers(0, SIZE - 1)] * 3))
@settings(max_examples=8)
def test_a_closure_is_the_same_everywhere(closure, seed, shift):
    term, state = build(closure).system.closure, flow(seed)
    turned = term(state.roll(shift, (-3, -2, -1)))
    torch.testing.assert_close(turned, term(state).roll(shift, (-3, -2, -1)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("closure", [*LOCAL, "invariant_network"])
@given(seed=SEEDS)
@settings(max_examples=8)
def test_a_moving_observer_finds_the_same_term(closure, seed):
    term, state = build(closure).system.closure, flow(seed)
    wind = torch.tensor([0.7, -1.1, 0.4, 0.0], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(term(state + wind), term(state), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("closure", ["smagorinsky", "linear", "invariant_network"])
def test_the_term_of_the_scalar_is_linear_in_it(closure):
    term, state, other = build(closure).system.closure, flow(0), flow(1)
    both = torch.cat((state[:3], 2 * state[3:] - 3 * other[3:]))
    mixed = torch.cat((state[:3], other[3:]))
    torch.testing.assert_close(term(both)[3], 2 * term(state)[3] - 3 * term(mixed)[3], rtol=1e-9, atol=1e-9)


def test_a_linear_stencil_is_linear_in_the_state_and_other_closures_are_not():
    for closure in LOCAL:
        term, state, other = build(closure).system.closure, flow(0), flow(1)
        linear = torch.allclose(term(2 * state - 3 * other), 2 * term(state) - 3 * term(other), rtol=1e-9, atol=1e-9)
        assert linear == (closure == "linear_stencil")


@pytest.mark.parametrize("closure", ["smagorinsky", "linear"])
def test_turned_axes_turn_the_term(closure):
    """A quarter of a turn from x to y: u'(x, y) = -v(y, -x), v'(x, y) = u(y, -x)."""

    def turn(state):
        u, v, w, c = state.rot90(1, (-1, -2)).unbind(-4)
        return torch.stack((-v, u, w, c), -4)

    size = 5  # a turn of an even grid is not one around a point of it
    system, term, state = Turbulence(size, viscosity=0.1), build(closure, size=size).system.closure, flow(2, size)
    torch.testing.assert_close(system(turn(state), 0.0), turn(system(state, 0.0)))  # the turn is one
    torch.testing.assert_close(term(turn(state)), turn(term(state)))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_smagorinsky_takes_energy_and_variance(seed):
    state = flows(3, seed)
    gained = (state * build("smagorinsky").system.closure(state)).mean((-3, -2, -1))
    assert bool((gained[:, :3].sum(-1) < 0).all())
    assert bool((gained[:, 3] < 0).all())


def test_smagorinsky_is_its_formula():
    """In numpy and in the units of the flow: gradients by FFT, the strain in loops over its entries."""
    network, size = build("smagorinsky", weights=0.0, size=5), 5
    state = flow(3, size).numpy()
    modes = np.fft.fftfreq(size, 1 / size)
    k = [modes[None, None, :], modes[None, :, None], modes[:, None, None]]

    def slope(field, axis):
        return np.fft.ifftn(1j * k[axis] * np.fft.fftn(field)).real

    strain = np.array([[(slope(state[i], j) + slope(state[j], i)) / 2 for j in range(3)] for i in range(3)])
    viscosity = (0.17 * 2 * np.pi / size) ** 2 * np.sqrt(2 * (strain**2).sum((0, 1)))
    force = np.array([sum(slope(2 * viscosity * strain[i, j], j) for j in range(3)) for i in range(3)])
    mixing = sum(slope(viscosity * slope(state[3], j), j) for j in range(3))
    found = network.system.closure(torch.tensor(state)).detach()
    np.testing.assert_allclose(found[3], mixing, atol=1e-6)  # the constant starts in single precision
    projected = network.system.projected(torch.tensor(force))
    np.testing.assert_allclose(found[:3], projected, atol=1e-6)


def test_products_of_gradients_hold_smagorinsky_and_the_gradient_model():
    """-2 C^2 |S| S, and (dx^2 / 12) grad u_i . grad u_j with the flux of the scalar alike."""
    state, linear, eddy = flow(4), build("linear", weights=0.0), build("smagorinsky", weights=0.0)
    square = float(eddy.system.closure.flux.constants[0].detach()) ** 2
    flux = linear.system.closure.flux
    with torch.no_grad():
        flux.stress[0], flux.flux[0] = -2 * square, -square
        torch.testing.assert_close(linear.system.closure(state), eddy.system.closure(state))
        flux.stress.copy_(torch.tensor([0.0, 1.0, -1.0, -1.0]) / 12)
        flux.flux.copy_(torch.tensor([0.0, 1.0, 1.0]) / 12)
        found = linear.system.closure(state)
    gradients = linear.system.gradients(state)
    products = torch.einsum("ikzyx,jkzyx->ijzyx", gradients, gradients[:3])
    expected = linear.system.convergence(products * (2 * math.pi / SIZE) ** 2 / 12)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_only_the_eddy_viscosity_is_there_before_training():
    for closure in LOCAL + PUBLISHED:
        assert bool(build(closure, weights=0.0).system.closure(flow(0)).any()) == (closure == "smagorinsky")


@pytest.mark.parametrize(
    ("closure", "options", "count"),
    [
        ("none", {}, 0),
        ("smagorinsky", {}, 2),
        ("linear", {}, 7),
        ("linear_stencil", {}, 12 * 27 * 9),
        ("linear_stencil", {"layers": 2}, 12 * 125 * 9),
        ("network", {"hidden": 16, "layers": 2}, 12 * 27 * 16 + 16 + 16 * 27 * 16 + 16 + 16 * 16 + 16 + 16 * 9),
        ("network", {"hidden": 8, "layers": 1, "width": 1}, 12 * 8 + 8 + 8 * 8 + 8 + 8 * 9),
        ("scalar_network", {}, 295_248),
        ("invariant_network", {}, 338_936),
    ],
)
def test_numbers_of_values(closure, options, count):
    assert sum(value.numel() for value in build(closure, **options).parameters()) == count


@pytest.mark.parametrize(
    ("kind", "field", "reach"), [(ScalarNetwork, 0, 5), (ScalarNetwork, 3, 5), (InvariantNetwork, 3, 3)]
)
def test_how_far_the_published_networks_see(kind, field, reach):
    """Five convolutions of three points each, one of seven for the scalar of the other network."""
    torch.manual_seed(1)
    network = kind().double().eval()
    torch.nn.init.normal_(network.last.weight)
    fields = torch.randn(1, 4, 12, 3, 3, dtype=torch.float64)
    other = fields.clone()
    other[:, field, 0] += 0.5
    with torch.no_grad():
        change = (network(other) - network(fields)).abs().amax((0, 1, 3, 4))
    felt = [True] * (reach + 1) + [False] * (11 - 2 * reach) + [True] * reach
    assert (change > 1e-9).tolist() == felt


# ---- the step --------------------------------------------------------------------------------------------------


def test_without_closure_a_step_is_the_solver_s():
    state = flows(2, 5)
    system = Turbulence(SIZE, viscosity=0.02, diffusivity=0.02, forcing=1 / 3, gradient=1.0)
    expected = integrate(system, state, dt=STEP / 2, steps=6, every=2)[1:]
    found = Rollout(build("none", substeps=2), 3)(normalised(state)) * SCALE + MEAN
    torch.testing.assert_close(found.unflatten(-1, state.shape[1:]).movedim(1, 0), expected, rtol=1e-11, atol=1e-11)


def test_what_a_box_tells_of_itself():
    state = flows(2, 5)
    told = build("none").diagnose(normalised(state))
    fields = state.numpy()
    np.testing.assert_allclose(told["kinetic_energy"], (fields[:, :3] ** 2).sum(1).mean((1, 2, 3)) / 2)
    np.testing.assert_allclose(told["scalar_variance"], fields[:, 3].var((1, 2, 3)))


def test_waves_of_all_velocities_are_in_their_shells_of_the_energy():
    """A wave of amplitude a has the mean square a^2 / 2."""
    x = 2 * math.pi / SIZE * torch.arange(SIZE, dtype=torch.float64)
    along = {"z": x[:, None, None], "y": x[:, None], "x": x}
    waves = [3.0 * torch.cos(2 * along["y"]), 2.0 * torch.sin(2 * along["z"]), torch.cos(along["x"] + along["y"])]
    state = torch.stack([wave + torch.zeros(SIZE, SIZE, SIZE) for wave in (*waves, 5.0 + 4.0 * torch.cos(along["z"]))])
    told = build("none").spectrum(normalised(state)[None])
    assert {name: tuple(values.shape) for name, values in told.items()} == dict.fromkeys(told, (1, SIZE // 2 + 1))
    expected = torch.zeros(1, SIZE // 2 + 1, dtype=torch.float64)
    expected[0, 2], expected[0, 1] = (9 + 4) / 4, 1 / 4  # the diagonal wave is at a distance of 1.41
    torch.testing.assert_close(told["energy_spectrum"], expected, rtol=1e-10, atol=1e-12)
    expected[0, :3] = torch.tensor([25 / 2, 16 / 4, 0.0])
    torch.testing.assert_close(told["scalar_spectrum"], expected, rtol=1e-10, atol=1e-12)


def test_a_shifted_state_has_a_shifted_future_without_divergence():
    network, state = build("network", weights=0.1), flow(6)
    ahead = Rollout(network, 3)
    later = (ahead(normalised(state)[None]) * SCALE + MEAN).unflatten(-1, state.shape)
    turned = ahead(normalised(state.roll((1, 4, 2), (-3, -2, -1)))[None]) * SCALE + MEAN
    torch.testing.assert_close(turned.unflatten(-1, state.shape), later.roll((1, 4, 2), (-3, -2, -1)))
    assert float(network.system.divergence(later.detach()).abs().max()) < 1e-12


@pytest.mark.parametrize("closure", LOCAL)
def test_gradients_through_two_steps_are_exact(closure):
    network = build(closure, size=4 if closure == "network" else SIZE)
    names, values = zip(*network.named_parameters(), strict=True)
    state = normalised(flow(7, 4 if closure == "network" else SIZE))[None]

    def forecast(state, *values):
        given = dict(zip((f"forecaster.{name}" for name in names), values, strict=True))
        return torch.func.functional_call(Rollout(network, 2), given, (state,))

    inputs = (state.requires_grad_(), *(value.detach().requires_grad_() for value in values))
    assert torch.autograd.gradcheck(forecast, inputs, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("closure", ["none", *LOCAL, *PUBLISHED])
def test_single_precision_is_enough_to_compute_and_devices_do_not_matter(closure):
    network, state = build(closure, weights=0.05), normalised(flows(2, 8))
    with torch.no_grad():
        exact = Rollout(network, 3)(state)
        found = Rollout(network.float(), 3)(state.float())
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-3)
        assert Rollout(network.to("meta"), 2)(state.float().to("meta")).device.type == "meta"


@pytest.mark.parametrize("shape", [(3,), (4, 8, 8), (3, 6, 6, 6), (4, 6, 6, 5), (4, 3, 3, 3)])
def test_other_states_are_refused(shape):
    model = MODELS.get("turbulence_closure")
    with pytest.raises(ConfigError, match="are not 4 fields on a cubic grid of 4 points a side or more; take a"):
        model.build(model.Options(), shape=shape, step=STEP, mean=MEAN, scale=SCALE)


# ---- what is found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closure", ["smagorinsky", "linear"])
def test_a_known_closure_is_found_from_states(closure):
    true = build(closure, weights=0.02)
    start = normalised(flow(9))[None]
    with torch.no_grad():
        states = torch.cat([start, Rollout(true, 8)(start)[0]]).numpy()
    data = Trajectory(states, np.arange(len(states)).astype("datetime64[s]"), 1).spread()
    found = build(closure, weights=0.0)
    fit_least_squares(Rollout(found, 1), data, data, iterations=30, scale=1.0)
    for value, expected in zip(found.parameters(), true.parameters(), strict=True):
        torch.testing.assert_close(value.abs(), expected.abs(), rtol=1e-6, atol=1e-8)
