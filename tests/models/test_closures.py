"""Closures: fluxes that keep the sum, the same everywhere, zero before training, found again from states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from xarray import Dataset

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.registry import MODELS
from pipeline_lib.simulations.burgers import FREQUENCIES, BurgersSimulation
from pipeline_lib.solvers.burgers import FiniteVolumeBurgers, RandomForcing, centres
from pipeline_lib.solvers.quasigeostrophic import QuasiGeostrophic
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares
from pipeline_lib.tasks.dynamics.predict import _diagnosed
from pipeline_lib.tasks.dynamics.runs import diagnosed, spectra
from pipeline_lib.tasks.dynamics.windows import Trajectory

STEP, MEAN, SCALE = 0.02, 0.1, 1.3
BURGERS = ("smagorinsky", "linear", "network")
TURBULENCE = ("smagorinsky", "leith", "linear", "network")
EVERY = [("burgers_closure", c) for c in BURGERS] + [("quasigeostrophic_closure", c) for c in TURBULENCE]
SHAPES = {"burgers_closure": (2, 16), "quasigeostrophic_closure": (16, 16)}


def build(name, closure, *, shape=None, step=STEP, weights=0.3, **options):
    """A network in double precision with random weights of that size."""
    model = MODELS.get(name)
    options = model.Options(closure=closure, **options)
    torch.manual_seed(3)
    network = model.build(options, shape=shape or SHAPES[name], step=step, mean=MEAN, scale=SCALE).double()
    with torch.no_grad():
        for value in network.parameters():
            value += weights * torch.randn_like(value)
    return network


def closure_of(network):
    return network.closure if hasattr(network, "closure") else network.system.closure


def fields(name, seed, batch=()):
    """Velocities or vorticities: random, with a mean."""
    shape = SHAPES[name][1:] if name == "burgers_closure" else SHAPES[name]
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + 2 * torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)


# ---- the term --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "closure"), EVERY)
@given(seed=st.integers(0, 10**6))
def test_no_closure_makes_or_loses_anything(name, closure, seed):
    term = closure_of(build(name, closure))(fields(name, seed, (3,)))
    dims = tuple(range(1, term.ndim))
    assert bool((term.sum(dims).abs() <= 1e-12 * (1 + term.abs().sum(dims))).all())
    assert bool((term.abs().amax(dims) > 1e-3).all())


@pytest.mark.parametrize(("name", "closure"), EVERY)
@given(seed=st.integers(0, 10**6), shift=st.tuples(st.integers(0, 15), st.integers(0, 15)))
def test_a_closure_is_the_same_everywhere(name, closure, seed, shift):
    term, states = closure_of(build(name, closure)), fields(name, seed)
    axes = tuple(range(states.ndim))
    turned = term(states.roll(shift[: states.ndim], axes))
    torch.testing.assert_close(turned, term(states).roll(shift[: states.ndim], axes), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shift", [1, 5, 15])
def test_a_shifted_state_of_burgers_has_a_shifted_future(shift):
    network = build("burgers_closure", "network")
    states = torch.randn(4, 2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    later = Rollout(network, 3)(states.flatten(1)).unflatten(-1, (2, 16))
    turned = Rollout(network, 3)(states.roll(shift, -1).flatten(1)).unflatten(-1, (2, 16))
    torch.testing.assert_close(turned, later.roll(shift, -1))


def test_only_the_eddy_viscosities_are_there_before_training():
    for name, closure in EVERY:
        term = closure_of(build(name, closure, weights=0.0))(fields(name, 0))
        assert bool(term.any()) == (closure in ("smagorinsky", "leith"))


def test_eddy_viscosity_takes_energy_and_enstrophy_everywhere_on_the_whole():
    velocity = fields("burgers_closure", 1)
    assert (velocity * closure_of(build("burgers_closure", "smagorinsky"))(velocity)).sum() < 0
    vorticity = fields("quasigeostrophic_closure", 1)
    for closure in ("smagorinsky", "leith"):
        term = closure_of(build("quasigeostrophic_closure", closure))(vorticity)
        assert (vorticity * term).sum() < 0


def test_eddy_viscosities_are_those_of_their_formulas():
    """In units of the system, by loops of numpy; the network computes them in units of the flow."""
    network = build("burgers_closure", "smagorinsky", weights=0.0)
    u, dx = fields("burgers_closure", 2).numpy(), 2 * math.pi / 16
    slope = (np.roll(u, -1) - u) / dx
    constant = float(network.closure.flux.constant.detach())
    flux = -((constant * dx) ** 2) * np.abs(slope) * slope
    np.testing.assert_allclose(network.closure(torch.tensor(u)).detach(), (np.roll(flux, 1) - flux) / dx, rtol=1e-12)

    network = build("quasigeostrophic_closure", "leith", weights=0.0)
    q = fields("quasigeostrophic_closure", 2).numpy()
    constant = float(network.system.closure.flux.constant.detach())
    gradient = [(np.roll(q, -1, a) - np.roll(q, 1, a)) / (2 * dx) for a in (0, 1)]
    nu = (constant * dx) ** 3 * np.hypot(*gradient)
    expected = np.zeros_like(q)
    for j in range(16):
        for i in range(16):
            for dj, di in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                other = (j + dj) % 16, (i + di) % 16
                expected[j, i] += (nu[j, i] + nu[other]) / 2 * (q[other] - q[j, i]) / dx**2
    np.testing.assert_allclose(network.system.closure(torch.tensor(q)).detach(), expected, rtol=1e-9, atol=1e-9)


def test_the_strain_is_that_of_a_known_flow():
    """psi = sin x sin y, so that psi_xy = cos x cos y and psi_xx = psi_yy: |S| = 2 |cos x cos y|."""
    network = build("quasigeostrophic_closure", "smagorinsky", shape=(64, 64), weights=0.0)
    x = 2 * math.pi / 64 * torch.arange(64, dtype=torch.float64)
    q = -2 * x.sin()[:, None] * x.sin()
    constant = float(network.system.closure.flux.constant.detach())
    nu = (constant * 2 * math.pi / 64) ** 2 * 2 * (x.cos()[:, None] * x.cos()).abs()
    system = QuasiGeostrophic((64, 64))
    k_y, k_x = (1j * system.wavenumber_y, 1j * system.wavenumber_x)
    hat = torch.fft.rfft2(q)
    slopes = [torch.fft.irfft2(k * hat) for k in (k_y, k_x)]
    expected = sum(torch.fft.irfft2(k * torch.fft.rfft2(nu * s)) for k, s in zip((k_y, k_x), slopes, strict=True))
    found = network.system.closure(q)
    inside = nu > 0.3 * nu.max()  # the absolute value has corners where it is 0
    assert float((found - expected)[inside].abs().max()) < 0.02 * float(expected.abs().max())


# ---- the step --------------------------------------------------------------------------------------------------


def test_without_closure_a_step_is_the_solver_s_and_knows_its_force():
    count, start = 24, 0.7
    phase = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    waves = RandomForcing(
        torch.full((4,), 0.8, dtype=torch.float64),
        torch.tensor(FREQUENCIES, dtype=torch.float64),
        torch.arange(1, 5, dtype=torch.float64),
        phase,
    )
    velocity, x = torch.sin(centres(count, 2 * math.pi)), centres(count, 2 * math.pi)
    system = FiniteVolumeBurgers(0.04, 2 * math.pi, forcing=lambda x, time: waves(x, start + time))
    expected = integrate(system, velocity, dt=STEP, steps=5)[1:]
    network = build("burgers_closure", "none", shape=(2, count))
    state = ((torch.stack([velocity, waves(x, start)]) - MEAN) / SCALE).reshape(1, -1)
    found = (Rollout(network, 5)(state)[0] * SCALE + MEAN).unflatten(-1, (2, count))
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-12, atol=1e-12)
    later = torch.stack([waves(x, start + STEP * (step + 1)) for step in range(5)])
    torch.testing.assert_close(found[:, 1], later, rtol=1e-12, atol=1e-12)


def test_without_closure_a_step_is_the_spectral_solver_s():
    q = fields("quasigeostrophic_closure", 4)
    x = 2 * math.pi / 16 * torch.arange(16, dtype=torch.float64)
    pattern = math.sqrt(6.0) * (torch.cos(4 * x)[:, None] - torch.cos(4 * x))
    system = QuasiGeostrophic((16, 16), viscosity=1e-3, drag=0.1, forcing=lambda _: pattern)
    expected = integrate(system, q, dt=STEP / 2, steps=6, every=2)[1:]
    network = build("quasigeostrophic_closure", "none", substeps=2)
    found = Rollout(network, 3)(((q - MEAN) / SCALE).reshape(1, -1))[0] * SCALE + MEAN
    torch.testing.assert_close(found.unflatten(-1, (16, 16)), expected, rtol=1e-11, atol=1e-11)
    # By other words: sum over modes of |q|^2 / (2 k^2).
    power = torch.fft.fft2(q, norm="forward").abs() ** 2
    wavenumber = torch.fft.fftfreq(16, 1 / 16).double()
    squared = wavenumber[:, None] ** 2 + wavenumber**2
    energy = (power / torch.where(squared == 0, math.inf, 2 * squared)).sum()
    diagnosed = network.diagnose(((q - MEAN) / SCALE).reshape(1, -1))["kinetic_energy"]
    torch.testing.assert_close(diagnosed, energy[None], rtol=1e-10, atol=0)


def test_a_wave_of_vorticity_is_in_its_shell_of_energy_and_enstrophy():
    """Of amplitude a and wavenumber k: enstrophy a^2 / 4, energy a^2 / (4 k^2)."""
    x = 2 * math.pi / 16 * torch.arange(16, dtype=torch.float64)
    q = 6.0 * torch.cos(5 * x) + torch.zeros(16, 1) + 2.0 * torch.sin(3 * x)[:, None]
    told = build("quasigeostrophic_closure", "none").spectrum(((q - MEAN) / SCALE).reshape(1, -1))
    enstrophy = torch.zeros(1, 9, dtype=torch.float64)
    enstrophy[0, 5], enstrophy[0, 3] = 36 / 4, 4 / 4
    torch.testing.assert_close(told["enstrophy_spectrum"], enstrophy, rtol=1e-10, atol=1e-12)
    energy = enstrophy / torch.arange(9).clamp_min(1) ** 2
    torch.testing.assert_close(told["energy_spectrum"], energy, rtol=1e-10, atol=1e-12)


def test_products_hold_spectra_of_free_runs_and_of_true_states():
    network = build("quasigeostrophic_closure", "none")
    free, truth = torch.randn(2, 4, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).numpy()
    told = Dataset(_diagnosed(network, truth, free, torch.device("cpu")))
    assert set(spectra(told)) == {"energy_spectrum", "enstrophy_spectrum"}
    assert set(diagnosed(told)) == {"kinetic_energy"}  # counted, and drawn against time
    for states, values in zip((free, truth), spectra(told)["energy_spectrum"], strict=True):
        assert values.dims == ("time", "shell")
        np.testing.assert_allclose(values, network.spectrum(torch.tensor(states))["energy_spectrum"])


@pytest.mark.parametrize(
    ("name", "closure", "shape", "options"),
    [
        ("burgers_closure", "network", (2, 6), {"hidden": 2, "frequencies": (0.3,)}),
        ("burgers_closure", "smagorinsky", (2, 6), {"frequencies": (0.3,)}),
        ("quasigeostrophic_closure", "network", (8, 8), {"hidden": 2, "layers": 1}),
        ("quasigeostrophic_closure", "smagorinsky", (8, 8), {}),
    ],
)
def test_gradients_through_two_steps_are_exact(name, closure, shape, options):
    network = build(name, closure, shape=shape, **options)
    names, values = zip(*network.named_parameters(), strict=True)
    state = torch.randn(1, math.prod(shape), dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def forecast(state, *values):
        given = dict(zip((f"forecaster.{name}" for name in names), values, strict=True))
        return torch.func.functional_call(Rollout(network, 2), given, (state,))

    inputs = (state.requires_grad_(), *(value.detach().requires_grad_() for value in values))
    assert torch.autograd.gradcheck(forecast, inputs, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize(("name", "closure"), EVERY)
def test_single_precision_is_enough_to_compute(name, closure):
    network = build(name, closure)
    states = torch.randn(2, math.prod(SHAPES[name]), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = Rollout(network, 3)(states)
    found = Rollout(network.float(), 3)(states.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(3,), (2, 8), (16, 17), (2, 16, 16)])
def test_other_states_are_refused(name, shape):
    with pytest.raises(ConfigError, match=f"{name}: states .* are not .*; take a source of the simulation"):
        build(name, "none", shape=shape)


# ---- what is found ---------------------------------------------------------------------------------------------


def states_of(network, start, steps):
    """Consecutive states that a network makes, as windows of one step."""
    with torch.no_grad():
        later = Rollout(network, steps)(start.reshape(1, -1))[0]
    states = torch.cat([start.reshape(1, -1), later]).numpy()
    return Trajectory(states, np.arange(len(states)).astype("datetime64[s]"), 1)


@pytest.mark.parametrize(
    ("name", "closure"),
    [
        ("burgers_closure", "smagorinsky"),
        ("burgers_closure", "linear"),
        ("quasigeostrophic_closure", "smagorinsky"),
        ("quasigeostrophic_closure", "leith"),
    ],
)
def test_a_known_closure_is_found_from_states(name, closure):
    true = build(name, closure, weights=0.02)
    start = torch.randn(SHAPES[name], dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    data = states_of(true, start, 30).spread()
    found = build(name, closure, weights=0.0)
    fit_least_squares(Rollout(found, 1), data, data, iterations=30, scale=1.0)
    for value, expected in zip(found.parameters(), true.parameters(), strict=True):
        if value.ndim == 0:  # of which only the square matters
            value, expected = value.abs(), expected.abs()
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-8)


def test_a_network_that_learned_one_step_follows_the_filtered_flow_better_than_the_coarse_solver():
    """From 15 units of time, in 250 steps along gradients; more of either makes the difference larger."""
    made = BurgersSimulation.run(BurgersSimulation.Options(refinement=6, substeps=6), times=400).state.values
    scale = float(made.std())
    states = made.reshape(len(made), -1) / scale
    times = np.arange(len(states)).astype("datetime64[s]")
    train, test = Trajectory(states[:300], times[:300], 1), torch.tensor(states[310:])
    errors = {}
    for closure in ("none", "smagorinsky", "network"):
        model = MODELS.get("burgers_closure")
        torch.manual_seed(0)
        network = model.build(model.Options(closure=closure), shape=(2, 32), step=0.05, mean=0.0, scale=scale).double()
        if closure == "smagorinsky":
            fit_least_squares(Rollout(network, 1), train.spread(100), train.spread(100), iterations=20, scale=1.0)
        if closure == "network":
            _descend(Rollout(network, 1), train, steps=250)
        with torch.no_grad():
            ahead = Rollout(network, 28)(test[:-28])[:, -1]
        errors[closure] = float((ahead - test[28:]).square().mean().sqrt())
    assert errors["smagorinsky"] < 0.8 * errors["none"]
    assert errors["network"] < 0.4 * errors["smagorinsky"]


def _descend(network, train, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        batch = train.cut(rng.integers(0, train.windows, 24))
        optimizer.zero_grad()
        (1000 * (network(batch.inputs) - batch.target).square().mean()).backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(("options", "fewest"), [({"width": 7, "layers": 5}, 15), ({}, 8)])
def test_a_stencil_wider_than_the_grid_is_told(options, fewest):
    name = "quasigeostrophic_closure"
    with pytest.raises(ConfigError, match=f"a square grid of at least {fewest} points a side; take a source"):
        build(name, "network", shape=(fewest - 1, fewest - 1), **options)
    network = build(name, "network", shape=(fewest, fewest), **options)
    assert network.term(torch.randn(1, fewest**2, dtype=torch.float64)).shape == (1, fewest, fewest)
