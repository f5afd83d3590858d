"""Shallow water in a basin: loops over cells, what is conserved and when not, waves, balance, gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.shallow_water import BASINS, Basin, Forcing, Leapfrog, ShallowWater

SMALL = Basin(size=6, spacing=20e3, step=1800.0)
STILL = replace(SMALL, size=16, coriolis=0.0, beta=0.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def no_forcing(u, v, h, tau):
    return torch.stack((u, v), -3) * 0


def start(basin: Basin, speed: float = 0.1, height: float = 10.0) -> torch.Tensor:
    """Random u, v and h; still water on the walls; the filtered copies differ from the present fields."""
    state = noise(2, 3, basin.size, basin.size) * torch.tensor([speed, speed, height])[:, None, None]
    state[:, 0, :, -1] = 0
    state[:, 1, 0, :] = 0
    return state


def loops(state: np.ndarray, basin: Basin, steps: int) -> np.ndarray:
    """The equations cell by cell, one ghost ring of zeros around every field, the vorticity and the head too."""
    n, dx, dt, H, g = basin.size, basin.spacing, basin.step, basin.depth, basin.gravity
    y = [-n * dx / 2 + j * n * dx / (n - 1) for j in range(n)]
    ring = lambda field: np.pad(field, 1)  # noqa: E731
    now, fil = [ring(a) for a in state[0]], [ring(a) for a in state[1]]
    for _ in range(steps):
        u, v, h = now
        vit, vor = np.zeros_like(u), np.zeros_like(u)
        new = [np.zeros_like(u) for _ in range(3)]
        cells = [(j, i) for j in range(1, n + 1) for i in range(1, n + 1)]
        for j, i in cells:
            vit[j, i] = ((u[j, i - 1] + u[j, i]) ** 2 + (v[j, i] + v[j + 1, i]) ** 2) / 4 + g * h[j, i]
            f = basin.coriolis + basin.beta * y[j - 1]
            vor[j, i] = (v[j, i + 1] - v[j, i]) / dx - (u[j, i] - u[j - 1, i]) / dx + f
        for j, i in cells:
            four_v = v[j, i] + v[j, i + 1] + v[j + 1, i] + v[j + 1, i + 1]
            four_u = u[j, i] + u[j, i - 1] + u[j - 1, i] + u[j - 1, i - 1]
            du = (vor[j + 1, i] + vor[j, i]) * four_v / 8 - (vit[j, i + 1] - vit[j, i]) / dx
            dv = -(vor[j, i] + vor[j, i - 1]) * four_u / 8 - (vit[j, i] - vit[j - 1, i]) / dx
            tau = 0.15 * math.cos(2 * math.pi * y[j - 1] / (n * dx))
            du += tau / (1000 * (H + (h[j, i] + h[j, i + 1]) / 2)) - 2e-7 * u[j, i]
            dv += -2e-7 * v[j, i]
            du += basin.viscosity * (u[j, i + 1] + u[j, i - 1] + u[j + 1, i] + u[j - 1, i] - 4 * u[j, i]) / dx**2
            dv += basin.viscosity * (v[j, i + 1] + v[j, i - 1] + v[j + 1, i] + v[j - 1, i] - 4 * v[j, i]) / dx**2
            east, west = u[j, i] * (h[j, i] + h[j, i + 1]) / 2, u[j, i - 1] * (h[j, i] + h[j, i - 1]) / 2
            north, south = v[j + 1, i] * (h[j + 1, i] + h[j, i]) / 2, v[j, i] * (h[j, i] + h[j - 1, i]) / 2
            dh = -(H * (u[j, i] - u[j, i - 1] + v[j + 1, i] - v[j, i]) + east - west + north - south) / dx
            for k, slope in enumerate((0 if i == n else du, 0 if j == 1 else dv, dh)):
                new[k][j, i] = fil[k][j, i] + 2 * dt * slope
        fil = [a + 0.025 * (past - 2 * a + b) for a, past, b in zip(now, fil, new, strict=True)]
        now = new
    return np.array([[a[1:-1, 1:-1] for a in now], [a[1:-1, 1:-1] for a in fil]])


@pytest.mark.parametrize("basin", [SMALL, replace(SMALL, viscosity=100.0, size=5)])
def test_steps_are_those_of_loops_over_the_cells(basin):
    state = start(basin)
    found = integrate(ShallowWater(basin), state, dt=basin.step, steps=50, scheme=Leapfrog(), every=50)[-1]
    expected = loops(state.numpy(), basin, 50)
    assert np.abs(expected).max() > 5
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_the_constants_of_the_resolutions():
    assert {n: (b.size, b.spacing, b.viscosity, b.step) for n, b in BASINS.items()} == {
        40: (40, 40e3, 1.44, 3600.0),
        80: (80, 20e3, 0.72, 1800.0),
        320: (320, 5e3, 0.18, 450.0),
    }
    model = ShallowWater(BASINS[80])
    assert float(model.f[0]) == pytest.approx(3.5e-5 - 2.11e-11 * 800e3)
    assert float(model.tau[0, 0, 0]) == pytest.approx(-0.15)
    assert float(model.tau[0].max()) == pytest.approx(0.15, rel=1e-3)
    assert float(model.tau[1].abs().max()) == 0


def leaky(u, v, h, tau):
    return torch.full((2, *u.shape[-2:]), 1e-7, dtype=u.dtype)


@pytest.mark.parametrize(
    ("closed", "constant_mean", "lost"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_mass_stays_where_theta_is_0_on_walls_and_is_lost_where_not(closed, constant_mean, lost):
    """What makes a learned forcing run away: not its errors but the flow through the walls that it makes."""
    model = ShallowWater(SMALL, leaky, closed=closed, constant_mean=constant_mean)
    first = Leapfrog.from_rest(start(SMALL)[0])
    height = integrate(model, first, dt=SMALL.step, steps=200, scheme=Leapfrog())[..., 2, :, :].mean((-2, -1))
    drift = float((height - height[0]).abs().max())
    assert drift > 1e-2 if lost else drift < 1e-12


def test_rest_and_a_raised_level_stay():
    model = ShallowWater(SMALL, no_forcing)
    level = torch.zeros(3, 6, 6, dtype=torch.float64)
    level[2] = 12.5
    end = integrate(model, Leapfrog.from_rest(level), dt=SMALL.step, steps=20, scheme=Leapfrog())[-1]
    torch.testing.assert_close(end, Leapfrog.from_rest(level), rtol=0, atol=1e-13)


def test_a_uniform_current_in_geostrophic_balance_is_steady_away_from_the_walls():
    basin = replace(SMALL, size=10, beta=0.0)
    speed = 0.3
    u = torch.full((10, 10), speed, dtype=torch.float64)
    y = basin.spacing * torch.arange(10, dtype=torch.float64)[:, None]
    h = (-basin.coriolis * speed / basin.gravity * y).expand(10, 10)
    change = ShallowWater(basin, no_forcing)(torch.stack((u, 0 * u, h)), 0.0)
    assert float(change[:, 2:-2, 2:-2].abs().max()) < 1e-17
    unbalanced = ShallowWater(basin, no_forcing)(torch.stack((u, 0 * u, 0 * h)), 0.0)
    torch.testing.assert_close(unbalanced[1, 2:-2, 2:-2], -basin.coriolis * u[2:-2, 2:-2])


@pytest.mark.parametrize("axis", [0, 1])
def test_gravity_waves_travel_with_the_root_of_g_h(axis):
    """A standing wave in a basin that does not turn: period twice the width over sqrt(g H)."""
    basin = replace(STILL, step=600.0)
    phase = math.pi * (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    mode = torch.cos(phase).reshape((-1, 1) if axis == 0 else (1, -1)).expand(16, 16)
    still = torch.zeros(3, 16, 16, dtype=torch.float64)
    still[2] = 1e-4 * mode
    steps = 1000
    states = integrate(ShallowWater(basin, no_forcing), still, dt=basin.step, steps=steps)
    height = (states[:, 2] * mode).mean((-2, -1)).numpy()
    crossings = np.flatnonzero(height[1:] * height[:-1] < 0)
    # Zero crossings, between steps: half a period from one to the next.
    exact = crossings + height[crossings] / (height[crossings] - height[crossings + 1])
    half = np.diff(exact).mean() * basin.step
    speed = 16 * basin.spacing / half
    assert speed == pytest.approx(math.sqrt(basin.gravity * basin.depth), rel=2.5e-3)
    # The C-grid slows the wave down by the factor sin(k dx / 2) / (k dx / 2).
    grid = math.sin(math.pi / 32) / (math.pi / 32)
    assert speed == pytest.approx(grid * math.sqrt(basin.gravity * basin.depth), rel=1e-5)


def test_wind_spins_up_the_basin():
    basin = replace(BASINS[40], size=20, spacing=80e3)
    model = ShallowWater(basin)
    rest = torch.zeros(2, 3, 20, 20, dtype=torch.float64)
    days = integrate(model, rest, dt=basin.step, steps=24 * 30, scheme=Leapfrog(), every=24)
    energy = model.kinetic_energy(days[1:, 0])
    assert bool(torch.isfinite(energy).all())
    # Gravity waves make it swing; from ten days to ten days it grows.
    first, second, third = energy.reshape(3, 10).mean(-1).tolist()
    assert 0 < first < second < third
    assert float(days[:, 0, 2].mean((-2, -1)).abs().max()) < 1e-12
    assert float(days[-1, 0, 0].abs().max()) < 1


def test_a_restart_goes_on_as_if_nothing_had_been():
    model, first = ShallowWater(SMALL), start(SMALL)
    whole = integrate(model, first, dt=SMALL.step, steps=20, scheme=Leapfrog())
    again = integrate(model, whole[8], dt=SMALL.step, steps=12, scheme=Leapfrog())
    assert torch.equal(again, whole[8:])


def test_leapfrog_has_second_order_without_the_filter_and_runs_beside_other_schemes():
    model = ShallowWater(SMALL)
    first = start(SMALL)[0]

    def error(dt: float) -> float:
        # The filtered copy is the step before: taken backwards it starts the leapfrog with its own order.
        before = integrate(model, first, dt=-dt / 10, steps=10)[-1]
        steps = round(7200 / dt)
        end = integrate(model, torch.stack((first, before)), dt=dt, steps=steps, scheme=Leapfrog(0.0))[-1, 0]
        reference = integrate(model, first, dt=20.0, steps=360)[-1]
        return float((end - reference).abs().max())

    assert math.log2(error(240.0) / error(120.0)) == pytest.approx(2, abs=0.2)


def test_diagnostics_are_sums_over_cells():
    basin = SMALL
    model, state = ShallowWater(basin), start(basin)[0]
    u, v, h = (np.pad(a, 1) for a in state.numpy())
    kinetic = potential = vorticity = 0.0
    for j in range(1, 7):
        for i in range(1, 7):
            depth = 500 + h[j, i]
            kinetic += depth * (u[j, i] ** 2 + v[j, i] ** 2) / 2 / 36
            potential += 0.02 * depth**2 / 2 / 36
            zeta = (v[j, i + 1] - v[j, i] - u[j, i] + u[j - 1, i]) / 20e3
            vorticity += (zeta + 3.5e-5 + 2.11e-11 * (-60e3 + (j - 1) * 24e3)) / depth / 36
    assert float(model.kinetic_energy(state)) == pytest.approx(kinetic)
    assert float(model.potential_energy(state)) == pytest.approx(potential)
    assert float(model.potential_vorticity(state)) == pytest.approx(vorticity)


class Net(nn.Module):
    """A learned forcing: a network per component, of three fields."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Conv2d(3, 1, 3, padding=1) for _ in range(2))

    def forward(self, u, v, h, tau):
        parts = []
        for net, flow, wind in zip(self.nets, (u, v), tau, strict=True):
            parts.append(1e-7 * net(torch.stack((flow, h / 100, wind.expand_as(h)), -3)))
        return torch.cat(parts, -3)


def test_a_network_may_take_the_place_of_theta_and_learn_through_the_model():
    torch.manual_seed(0)
    net = Net().double()
    model = ShallowWater(SMALL, net)
    states = torch.stack((start(SMALL), start(SMALL, speed=0.2)))
    end = integrate(model, states, dt=SMALL.step, steps=5, scheme=Leapfrog())[-1]
    assert end.shape == states.shape
    alone = integrate(model, states[1], dt=SMALL.step, steps=5, scheme=Leapfrog())[-1]
    torch.testing.assert_close(end[1], alone)
    end.square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in net.parameters())


def test_the_default_theta_is_what_the_model_adds():
    state = start(SMALL)[0]
    forcing = Forcing(SMALL)
    bare, whole = ShallowWater(SMALL, no_forcing), ShallowWater(SMALL)
    theta = forcing(*state, whole.tau)
    added = whole(state, 0.0) - bare(state, 0.0)
    torch.testing.assert_close(added[:2], theta * whole.inside, rtol=0, atol=1e-18)
    assert float(added[2].abs().max()) == 0
    # On the walls too theta is defined, with h = 0 beyond them; the model leaves it out there.
    still = forcing(0 * state[0], 0 * state[1], state[2], whole.tau.flip(0))
    torch.testing.assert_close(still[1, 0], whole.tau[0, 0] / (1000 * (500 + state[2, 0] / 2)))
    still = forcing(0 * state[0], 0 * state[1], state[2], whole.tau)
    torch.testing.assert_close(still[0, :, -1], whole.tau[0, :, -1] / (1000 * (500 + state[2, :, -1] / 2)))


def test_gradients_with_respect_to_state_and_parameters():
    basin = replace(SMALL, size=4, spacing=2.0, depth=1.0, step=0.1, gravity=1.0, coriolis=0.5, beta=0.1)
    state = (start(basin, 0.1, 0.1)).requires_grad_()
    numbers = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.1, 0.2)]

    def step(state, friction, viscosity):
        model = ShallowWater(basin, constant_mean=True)
        model.theta.friction, model.theta.viscosity = friction, viscosity
        return Leapfrog()(model, state, 0.0, basin.step)

    assert torch.autograd.gradcheck(step, (state, *numbers))


def test_single_precision_and_other_devices():
    model, state = ShallowWater(SMALL), start(SMALL)
    single = integrate(ShallowWater(SMALL).float(), state.float(), dt=1800.0, steps=10, scheme=Leapfrog())
    assert single.dtype == torch.float32
    double = integrate(model, state, dt=1800.0, steps=10, scheme=Leapfrog())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)
    far = integrate(model.to("meta"), state.to("meta"), dt=1800.0, steps=1, scheme=Leapfrog())
    assert far.device.type == "meta"


def test_the_gradient_of_the_kinetic_energy_counts_twice_as_in_the_published_code():
    """Where there is nothing but u = a x, advection would be -u u_x."""
    model = ShallowWater(STILL, theta=no_forcing)
    rate, x = 1e-6, STILL.spacing * torch.arange(1, STILL.size + 1, dtype=torch.float64)
    state = torch.zeros(3, STILL.size, STILL.size, dtype=torch.float64)
    state[0] = rate * x
    found = model(state, 0.0)[0, :, :-1]  # the last column is a wall
    torch.testing.assert_close(found, (-2 * state[0] * rate)[:, :-1], rtol=1e-12, atol=0)
