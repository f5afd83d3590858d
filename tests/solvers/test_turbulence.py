"""The turbulence box: exact solutions, budgets, invariances, a sum over triads and the subgrid term."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.solvers import spectral
from pipeline_lib.solvers.schemes import RK4, SSP3, integrate
from pipeline_lib.solvers.turbulence import Turbulence, subgrid_term
from tests.solvers.orders import ORDER


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def flow(model: Turbulence, scalars: int = 1, seed: int = 0) -> torch.Tensor:
    spectra = [lambda k: k**-2.0] * scalars
    return model.random_state(lambda k: k**-2.0, torch.Generator().manual_seed(seed), scalars=spectra)


def points(size: int) -> list[torch.Tensor]:
    """Coordinates z, y, x of a box 2 pi wide."""
    axis = 2 * math.pi / size * torch.arange(size, dtype=torch.float64)
    return list(torch.meshgrid(axis, axis, axis, indexing="ij"))


def tendency_by_triads(state: np.ndarray) -> np.ndarray:
    """Advection without viscosity as the sum over all pairs of modes below Nyquist, then the pressure."""
    n = state.shape[-1]
    hat = np.fft.fftn(state, axes=(1, 2, 3)) / n**3
    limit = (n - 1) // 2
    modes = list(itertools.product(range(-limit, limit + 1), repeat=3))  # along z, y, x
    total = np.zeros_like(hat)
    for first, second in itertools.product(modes, modes):
        third = tuple(np.add(first, second))
        if max(map(abs, third)) <= limit:
            # (u . grad) c, with u of the first mode and c of the second
            total[(slice(None), *third)] -= 1j * np.dot(hat[(slice(0, 3), *first)], second[::-1]) * hat[:, *second]
    for mode in modes:
        k = np.array(mode[::-1])
        if k.any():
            total[(slice(0, 3), *mode)] -= k * (k @ total[(slice(0, 3), *mode)]) / (k @ k)
    return (np.fft.ifftn(total, axes=(1, 2, 3)) * n**3).real


@pytest.mark.parametrize("size", [4, 5])
def test_the_tendency_is_the_sum_over_triads(size):
    model = Turbulence(size, viscosity=0.0)
    state = flow(model) + torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)[:, None, None, None]
    np.testing.assert_allclose(model(state, 0.0), tendency_by_triads(state.numpy()), atol=1e-12)


@given(size=st.integers(2, 9), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_the_flow_has_no_divergence_and_gets_none(size, seed):
    model = Turbulence(size, viscosity=0.1, forcing=0.3)
    state = flow(model, seed=seed)
    assert float(model.divergence(state).abs().max()) < 1e-11
    assert float(model.divergence(model(state, 0.0)).abs().max()) < 1e-9


@given(size=st.integers(2, 9))
@settings(max_examples=8, deadline=None)
def test_projection_takes_divergence_away_and_leaves_what_has_none(size):
    model = Turbulence(size, viscosity=0.0)
    once = model.projected(noise(3, size, size, size))
    assert float(model.divergence(once).abs().max()) < 1e-11
    torch.testing.assert_close(model.projected(once), once)


def test_the_energy_budget_closes():
    """<u du/dt> = -nu <|grad u|^2> + 2 A E, and mean momentum stays."""
    model = Turbulence(12, viscosity=0.05, forcing=0.7, diffusivity=0.03)
    state = flow(model, scalars=2)
    change = model(state, 0.0)
    gained = (state * change)[:3].sum(0).mean()
    torch.testing.assert_close(gained, 2 * 0.7 * model.energy(state) - model.dissipation(state))
    modes = np.meshgrid(*(np.fft.fftfreq(12, 1 / 12),) * 3)
    power = np.abs(np.fft.fftn(state.numpy(), axes=(1, 2, 3)) / 12**3) ** 2 * sum(m**2 for m in modes)
    gradients = power.sum((1, 2, 3))
    assert float(model.dissipation(state)) == pytest.approx(0.05 * gradients[:3].sum())
    np.testing.assert_allclose((state * change)[3:].mean((1, 2, 3)), -0.03 * gradients[3:])
    assert float(change.mean((1, 2, 3)).abs().max()) < 1e-13


@pytest.mark.parametrize("scheme", [RK4, SSP3])
def test_without_viscosity_energy_and_variance_stay_to_the_order_of_the_scheme(scheme):
    model = Turbulence(8, viscosity=0.0)
    start = flow(model)

    def drift(steps: int) -> list[float]:
        end = integrate(model, start, dt=0.4 / steps, steps=steps, scheme=scheme, every=steps)[-1]
        energy = abs(float(model.energy(end) / model.energy(start)) - 1)
        return [energy, abs(float(end[3].square().mean() / start[3].square().mean()) - 1)]

    for coarse, fine in zip(drift(8), drift(16), strict=True):
        assert math.log2(coarse / fine) > ORDER[scheme] - 0.3
        assert fine < 1e-3


def test_a_decaying_flow_loses_what_is_dissipated():
    """Simpson's rule over the dissipation along the way, of the order of the scheme."""
    model = Turbulence(8, viscosity=0.05)
    states = integrate(model, flow(model, scalars=0), dt=0.01, steps=20)
    rate = model.dissipation(states)
    lost = 0.01 / 3 * (rate[0] + 4 * rate[1:-1:2].sum() + 2 * rate[2:-1:2].sum() + rate[-1])
    energy = model.energy(states)
    assert float(energy[0] - energy[-1]) == pytest.approx(float(lost), rel=1e-6)
    assert bool((energy[1:] < energy[:-1]).all())


def test_a_taylor_green_vortex_decays_exactly():
    """Taylor & Green (1937): two-dimensional, an exact solution of the Navier-Stokes equations."""
    z, y, x = points(8)
    zero = torch.zeros_like(z)
    for velocity in ((torch.sin(x) * torch.cos(y), -torch.cos(x) * torch.sin(y), zero),
                     (zero, torch.sin(y) * torch.cos(z), -torch.cos(y) * torch.sin(z))):  # fmt: skip
        start = torch.stack(velocity)
        end = integrate(Turbulence(8, viscosity=0.1), start, dt=0.05, steps=10)[-1]
        torch.testing.assert_close(end, start * math.exp(-2 * 0.1 * 0.5), rtol=0, atol=1e-9)


def test_a_beltrami_flow_decays_exactly_and_forcing_can_hold_it():
    """Arnold-Beltrami-Childress: vorticity along velocity, so advection is a gradient; fully three-dimensional."""
    z, y, x = points(8)
    u, v, w = torch.sin(z) + torch.cos(y), torch.sin(x) + torch.cos(z), torch.sin(y) + torch.cos(x)
    start = torch.stack((u, v, w))
    end = integrate(Turbulence(8, viscosity=0.2), start, dt=0.05, steps=10)[-1]
    torch.testing.assert_close(end, start * math.exp(-0.1), rtol=0, atol=1e-8)
    assert float(Turbulence(8, viscosity=0.2, forcing=0.2)(start, 0.0).abs().max()) < 1e-13


def test_a_moving_observer_sees_the_same_flow():
    """Galilean invariance, in the tendency: what a mean flow adds is being carried along."""
    model = Turbulence(9, viscosity=0.1, diffusivity=0.2, forcing=0.3)
    state, mean = flow(model), (0.7, -1.1, 0.4)
    moving = state + torch.tensor([*mean, 0.0], dtype=torch.float64)[:, None, None, None]
    modes = np.fft.fftfreq(9, 1 / 9)
    along = mean[0] * modes + mean[1] * modes[:, None] + mean[2] * modes[:, None, None]
    carried = np.fft.ifftn(1j * along * np.fft.fftn(state.numpy(), axes=(1, 2, 3)), axes=(1, 2, 3)).real
    np.testing.assert_allclose(model(moving, 0.0), model(state, 0.0).numpy() - carried, atol=1e-12)


def test_a_moving_observer_sees_the_same_flow_later():
    model = Turbulence(8, viscosity=0.1)
    state = flow(model)
    speed = 2 * math.pi / 8 / 0.4
    moving = torch.cat((state[:1] + speed, state[1:]))
    later, seen = (integrate(model, start, dt=0.01, steps=40)[-1] for start in (state, moving))
    torch.testing.assert_close(seen[1:], later[1:].roll(1, -1), rtol=0, atol=1e-5)


def test_scalars_are_passive_and_enter_linearly():
    model = Turbulence(8, viscosity=0.1, diffusivity=0.05)
    state = flow(model, scalars=2)
    mixed = torch.cat((state[:3], 2 * state[3:4] - 3 * state[4:5]))
    later, alone = (integrate(model, start, dt=0.02, steps=5)[-1] for start in (state, mixed))
    torch.testing.assert_close(alone[:3], later[:3], rtol=0, atol=1e-13)
    torch.testing.assert_close(alone[3], 2 * later[3] - 3 * later[4], rtol=0, atol=1e-12)


def test_random_flows_have_the_spectrum_and_come_from_the_generator():
    model = Turbulence(12, viscosity=0.1)
    make = lambda seed: model.random_state(  # noqa: E731
        lambda k: k**-2.0, torch.Generator().manual_seed(seed), scalars=[lambda k: 3 / k, torch.exp]
    )
    state = make(0)
    assert state.shape == (5, 12, 12, 12)
    k = torch.arange(1, 6, dtype=torch.float64)
    found = model.energy_spectrum(state)
    torch.testing.assert_close(found[1:6], k**-2)
    torch.testing.assert_close(found.sum(-1), model.energy(state))
    for channel, wanted in ((3, 3 / k), (4, torch.exp(k))):
        torch.testing.assert_close(spectral.spectrum(state[channel], 3)[1:6], wanted)
    assert torch.equal(state, make(0))
    assert not torch.allclose(state, make(1))


def test_the_subgrid_term_of_two_waves_that_the_coarse_grid_does_not_see():
    """sin(5 y) cos(5 y + x) = (sin(10 y + x) - sin(x)) / 2, of which a coarse grid sees - sin(x) / 2."""
    fine, coarse = Turbulence(24, viscosity=0.1), Turbulence(8, viscosity=0.1)
    _, y, x = points(24)
    zero = torch.zeros_like(x)
    found = subgrid_term(fine, coarse, torch.stack((torch.sin(5 * y), zero, zero, torch.cos(5 * y + x))))
    expected = torch.zeros_like(found)
    expected[3] = torch.cos(points(8)[2]) / 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_batch_is_what_its_members_are_and_parameters_may_differ_within():
    states = torch.stack([flow(Turbulence(6, viscosity=0.0), seed=seed) for seed in range(2)])
    viscosity = torch.tensor([0.0, 0.3], dtype=torch.float64)
    model = Turbulence(6, viscosity=viscosity[:, None, None, None, None], diffusivity=0.1)
    together = model(states, 0.0)
    for i in range(2):
        single = Turbulence(6, viscosity=float(viscosity[i]), diffusivity=0.1)
        torch.testing.assert_close(together[i], single(states[i], 0.0))
        torch.testing.assert_close(model.dissipation(states)[i], single.dissipation(states[i]))


def test_gradients_with_respect_to_state_and_parameters():
    state = noise(4, 3, 3, 3).requires_grad_()
    numbers = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.1, 0.2, 0.3)]

    def step(state, viscosity, diffusivity, forcing):
        return Turbulence(3, viscosity=viscosity, diffusivity=diffusivity, forcing=forcing)(state, 0.0)

    assert torch.autograd.gradcheck(step, (state, *numbers))


def test_single_precision_and_other_devices():
    model = Turbulence(6, viscosity=0.1, diffusivity=0.1, forcing=0.1)
    state = flow(model)
    single = Turbulence(6, viscosity=0.1, diffusivity=0.1, forcing=0.1).float()(state.float(), 0.0)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), model(state, 0.0), rtol=1e-4, atol=1e-4)
    assert model.to("meta")(state.to("meta"), 0.0).device.type == "meta"


def test_a_mean_gradient_carries_the_scalars_along_with_the_flow():
    model, other = (Turbulence(6, viscosity=0.1, diffusivity=0.1, gradient=g) for g in (0.7, 0.0))
    state = flow(model, scalars=2)
    change = model(state, 0.0) - other(state, 0.0)
    torch.testing.assert_close(change[3:], -0.7 * state[:1].expand(2, 6, 6, 6))
    torch.testing.assert_close(change[:3], torch.zeros_like(change[:3]))


def test_a_closure_is_added_to_the_tendency():
    plain = Turbulence(5, viscosity=0.1)
    closed = Turbulence(5, viscosity=0.1, closure=lambda state: 0.5 * state)
    state = flow(plain)
    torch.testing.assert_close(closed(state, 0.0), plain(state, 0.0) + 0.5 * state)


def test_gradients_are_those_of_known_waves():
    """Channels u = sin(2 x) cos(y), v = cos(3 z), w = 1 and c = sin(y + z), in a box 2 pi wide."""
    z, y, x = points(8)
    state = torch.stack((torch.sin(2 * x) * torch.cos(y), torch.cos(3 * z), torch.ones_like(x), torch.sin(y + z)))
    zero, along = torch.zeros_like(x), torch.cos(y + z)
    expected = torch.stack(
        (
            torch.stack((2 * torch.cos(2 * x) * torch.cos(y), -torch.sin(2 * x) * torch.sin(y), zero)),
            torch.stack((zero, zero, -3 * torch.sin(3 * z))),
            torch.stack((zero, zero, zero)),
            torch.stack((zero, along, along)),
        )
    )
    found = Turbulence(8, viscosity=0.0).gradients(state)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [5, 6])
def test_the_convergence_of_fluxes_mode_by_mode(size):
    """By loops over the modes below Nyquist: minus the divergence, without the part along the wavenumber."""
    model, flux = Turbulence(size, viscosity=0.0), noise(2, 4, 3, size, size, size)
    hat = np.fft.fftn(flux.numpy(), axes=(3, 4, 5)) / size**3
    expected = np.zeros((2, 4, size, size, size), dtype=complex)
    limit = (size - 1) // 2
    for mode in itertools.product(range(-limit, limit + 1), repeat=3):
        k = np.array(mode[::-1])
        change = -1j * np.einsum("bfj,j->bf", hat[(..., *mode)], k)
        if k.any():
            change[:, :3] -= np.outer(change[:, :3] @ k, k) / (k @ k)
        expected[(..., *mode)] = change
    found = model.convergence(flux)
    np.testing.assert_allclose(found, (np.fft.ifftn(expected, axes=(2, 3, 4)) * size**3).real, atol=1e-12)
    assert float(model.divergence(found).abs().max()) < 1e-12
    assert float(found.mean((2, 3, 4)).abs().max()) < 1e-14


@pytest.mark.parametrize(("size", "points"), [(12, 6), (12, 5), (6, 6)])
def test_with_the_subgrid_term_the_coarse_box_is_the_filtered_fine_one(size, points):
    fine, coarse = (Turbulence(n, viscosity=0.1, diffusivity=0.05, forcing=0.3, gradient=0.5) for n in (size, points))
    state = flow(fine)
    missing = subgrid_term(fine, coarse, state)
    filtered, tendency = (spectral.truncated(field, coarse.sizes) for field in (state, fine(state, 0.0)))
    torch.testing.assert_close(coarse(filtered, 0.0) + missing, tendency, rtol=0, atol=1e-12)
    assert float(missing.mean((1, 2, 3)).abs().max()) < 1e-13
    assert float(coarse.divergence(filtered).abs().max()) < 1e-12
    assert float(coarse.divergence(missing).abs().max()) < 1e-12
    assert bool((missing.abs().amax((1, 2, 3)) > 0.1).all()) == (size > points)
