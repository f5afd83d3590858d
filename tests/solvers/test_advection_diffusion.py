"""Advection and diffusion: exact modes, conservation, dissipation, extremes, orders, step limits, loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.solvers.advection_diffusion import STABLE, AdvectionDiffusion
from pipeline_lib.solvers.schemes import DORMAND_PRINCE, EULER, HEUN, RK4, SSP3, integrate
from tests.solvers.orders import ORDER

DOUBLE = torch.float64
seeds = st.integers(0, 10_000)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def line(diffusivity=0.0, velocity=0.0, length=1.0):
    return AdvectionDiffusion((diffusivity,), (velocity,), (length,))


def tensors(ny, nx, seed):
    """Random positive definite tensors, cell by cell, rough."""
    root = noise(2, 2, ny, nx, seed=seed)
    return (
        root[0, 0] ** 2 + root[1, 0] ** 2,
        (root[0, 0] * root[0, 1] + root[1, 0] * root[1, 1]),
        root[:, 1].pow(2).sum(0),
    )


def exact_mode(amplitude, k, cells, time, diffusivity, velocity):
    """cos(2 pi k (x - v t)) exp(-kappa (2 pi k)^2 t) at the centres of cells."""
    x = (np.arange(cells) + 0.5) / cells
    return (
        amplitude * np.cos(2 * np.pi * k * (x - velocity * time)) * np.exp(-diffusivity * (2 * np.pi * k) ** 2 * time)
    )


@given(k=st.integers(0, 7), diffusivity=st.floats(0, 0.1), velocity=st.floats(-2, 2), time=st.floats(0, 2))
@settings(max_examples=30, deadline=None)
def test_modes_decay_and_travel_exactly(k, diffusivity, velocity, time):
    start, end = (exact_mode(2.0, k, 16, t, diffusivity, velocity) for t in (0, time))
    found = line(diffusivity, velocity).exact(torch.from_numpy(start), time)
    np.testing.assert_allclose(found, end, rtol=0, atol=1e-12)


def test_a_plane_wave_decays_and_travels_exactly_in_a_sheared_tensor():
    size, time, (k_xx, k_xy, k_yy), (u, v) = (2.0, 3.0), 0.7, (0.03, -0.01, 0.02), (0.5, -1.2)
    x, y = (np.arange(20) + 0.5) / 20 * size[0], (np.arange(30)[:, None] + 0.5) / 30 * size[1]
    p, q = 2 * np.pi * 3 / size[0], 2 * np.pi * -2 / size[1]
    decay = k_xx * p**2 + 2 * k_xy * p * q + k_yy * q**2
    system = AdvectionDiffusion((k_xx, k_xy, k_yy), (u, v), size)
    found = system.exact(torch.from_numpy(np.sin(p * x + q * y)), time)
    expected = np.sin(p * (x - u * time) + q * (y - v * time)) * np.exp(-decay * time)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_the_spatial_operator_has_its_known_eigenvalues():
    """-4 kappa sin^2(theta / 2) / dx^2 - i v sin(theta) / dx on each mode of a line."""
    cells, diffusivity, velocity = 12, 0.3, 0.8
    theta = 2 * np.pi * np.fft.fftfreq(cells)
    change = line(diffusivity, velocity)(torch.eye(cells, dtype=DOUBLE)[0], 0.0)
    expected = -4 * diffusivity * np.sin(theta / 2) ** 2 * cells**2 - 1j * velocity * np.sin(theta) * cells
    np.testing.assert_allclose(np.fft.fft(change.numpy()), expected, rtol=0, atol=1e-10)


def test_a_rectangle_is_what_a_loop_over_faces_and_corners_gives():
    ny, nx, (lx, ly) = 4, 5, (1.0, 2.0)
    dx, dy = lx / nx, ly / ny
    k_xx, k_xy, k_yy = (k.numpy() for k in tensors(ny, nx, 3))
    u, v = noise(2, ny, nx, seed=4).numpy()
    state = noise(ny, nx, seed=5).numpy()
    change = np.zeros((ny, nx))

    def corner(k, j, i):
        return sum(k[(j + b) % ny, (i + a) % nx] for a in (0, 1) for b in (0, 1)) / 4

    for j in range(ny):
        for i in range(nx):
            e, n = (i + 1) % nx, (j + 1) % ny
            east = (u[j, i] + u[j, e]) / 2 * (state[j, i] + state[j, e]) / 2
            north = (v[j, i] + v[n, i]) / 2 * (state[j, i] + state[n, i]) / 2
            for b in (j, j - 1):  # corners above and below the eastern face
                east -= corner(k_xx, b, i) / 2 * (state[j, e] - state[j, i]) / dx
                up = state[(b + 1) % ny, [i, e]].sum() - state[b, [i, e]].sum()
                east -= corner(k_xy, b, i) / 2 * up / 2 / dy
            for a in (i, i - 1):
                north -= corner(k_yy, j, a) / 2 * (state[n, i] - state[j, i]) / dy
                right = state[[j, n], (a + 1) % nx].sum() - state[[j, n], a].sum()
                north -= corner(k_xy, j, a) / 2 * right / 2 / dx
            change[j, i] -= east / dx + north / dy
            change[j, e] += east / dx
            change[n, i] += north / dy
    system = AdvectionDiffusion(tensors(ny, nx, 3), tuple(noise(2, ny, nx, seed=4)), (lx, ly))
    np.testing.assert_allclose(system(torch.from_numpy(state), 0.0), change, rtol=1e-12, atol=1e-11)


@given(seed=seeds, nx=st.integers(3, 12), ny=st.integers(3, 12))
@settings(max_examples=30, deadline=None)
def test_the_mean_stays_and_diffusion_takes_energy_from_any_state(seed, nx, ny):
    """The tensor is rough, of any anisotropy, and the state is noise."""
    system = AdvectionDiffusion(tensors(ny, nx, seed), tuple(noise(2, ny, nx, seed=seed + 1)), (1.0, 1.0))
    state = noise(ny, nx, seed=seed + 2)
    change = system(state, 0.0)
    assert abs(float(change.mean())) < 1e-13 * float(change.abs().max())
    still = AdvectionDiffusion(tensors(ny, nx, seed), (0.0, 0.0), (1.0, 1.0))(state, 0.0)
    assert float((state * still).sum()) < 0


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_the_mean_along_a_trajectory(seed):
    start = noise(3, 32, seed=seed) + 1
    system = line(noise(32, seed=seed).square() * 1e-3, noise(32, seed=seed + 1))
    end = integrate(system, start, dt=system.largest_step(start.shape) / 2, steps=50)[-1]
    # Where velocities run together a state may grow by a factor of 10,000.
    torch.testing.assert_close(end.mean(-1), start.mean(-1), rtol=0, atol=1e-14 * float(end.abs().max()))


@pytest.mark.parametrize("scheme", [EULER, HEUN, SSP3])
@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_diffusion_makes_no_new_extremes_up_to_the_limit_of_euler(scheme, seed):
    rough = noise(2, 9, 8, seed=seed).square()
    for system, start in (
        (line(rough[0, 0]), noise(8, seed=seed + 1)),
        (AdvectionDiffusion((rough[0], 0.0, rough[1]), (0.0, 0.0), (1.0, 2.0)), noise(9, 8, seed=seed + 1)),
    ):
        found = integrate(system, start, dt=system.largest_step(start.shape, EULER), steps=20, scheme=scheme)
        assert float(found.max()) <= float(start.max()) + 1e-12
        assert float(found.min()) >= float(start.min()) - 1e-12
        assert float((found[-1] - start.mean()).abs().max()) < float((start - start.mean()).abs().max())


def test_beyond_that_limit_extremes_appear():
    system, spike = line(1.0), torch.eye(8, dtype=DOUBLE)[0]
    found = integrate(system, spike, dt=1.05 * system.largest_step((8,), EULER), steps=1, scheme=EULER)
    assert float(found.min()) < 0


@pytest.mark.parametrize("scheme", STABLE)
def test_the_limits_are_those_of_the_stability_function(scheme):
    def growth(z):
        return abs(sum(z**k / math.factorial(k) for k in range(ORDER[scheme] + 1)))

    real, imaginary = STABLE[scheme]
    assert growth(-real) == pytest.approx(1, abs=1e-12)
    assert growth(-1.001 * real) > 1
    assert growth(1.001j * (imaginary or 0.1)) > 1
    inside = [(a, b) for a in np.linspace(0, 1, 51) for b in np.linspace(0, 1, 51) if a + b <= 1]
    assert max(growth(complex(-a * real, b * imaginary)) for a, b in inside) <= 1 + 1e-12


@pytest.mark.parametrize("scheme", STABLE)
@pytest.mark.parametrize("direction", ["line", "rectangle"])
def test_the_step_limit_of_diffusion_is_sharp(scheme, direction):
    """The fastest mode, plus and minus one in turn, neither grows below it nor stays above it."""
    checkers = (-1.0) ** torch.arange(8, dtype=DOUBLE)
    if direction == "line":
        system, start = line(0.2), checkers
    else:
        system, start = AdvectionDiffusion((0.2, 0.1, 0.07), (0.0, 0.0), (1.0, 3.0)), checkers * checkers[:, None]
    limit = system.largest_step(start.shape, scheme)
    assert size_after(system, start, 0.999 * limit, scheme) < 1
    assert size_after(system, start, 1.1 * limit, scheme) > 10


@pytest.mark.parametrize("scheme", [SSP3, RK4])
def test_the_step_limit_of_advection_is_sharp(scheme):
    start = torch.cos(math.pi / 2 * torch.arange(8, dtype=DOUBLE))  # the mode of the largest frequency
    system = line(velocity=-0.7)
    limit = system.largest_step((8,), scheme)
    assert size_after(system, start, 0.999 * limit, scheme) < 1.5
    assert size_after(system, start, 1.1 * limit, scheme) > 10


def size_after(system, start, dt, scheme, steps=60):
    return float(integrate(system, start, dt=dt, steps=steps, scheme=scheme)[-1].abs().max())


@pytest.mark.parametrize("scheme", [SSP3, RK4])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_no_mode_of_a_constant_tensor_and_velocity_grows_at_the_limit(scheme, seed):
    k = [float(part) for part in tensors(1, 1, seed)]
    system = AdvectionDiffusion(tuple(k), tuple((30 * noise(2, seed=seed + 1)).tolist()), (1.0, 1.7))
    shape = (8, 9)
    symbol = torch.fft.fft2(system(torch.eye(72, dtype=DOUBLE)[0].reshape(shape), 0.0))
    z = symbol * system.largest_step(shape, scheme)
    growth = sum(z**n / math.factorial(n) for n in range(ORDER[scheme] + 1)).abs()
    assert float(growth.max()) <= 1 + 1e-12


def test_nothing_that_moves_has_no_limit():
    assert line().largest_step((8,)) == math.inf


def error_on_a_line(cells):
    system = line(0.01, 0.9)
    start = torch.from_numpy(exact_mode(1.0, 2, cells, 0, 0.01, 0.9))
    end = integrate(system, start, dt=1e-3, steps=200)[-1]
    return float((end - system.exact(start, 0.2)).abs().max())


def error_in_a_varying_tensor(cells):
    """The spatial operator alone, on fields with known derivatives: u = sin x cos y on [0, 2 pi)^2."""
    x = torch.arange(cells, dtype=DOUBLE) * (2 * math.pi / cells)
    y = x[:, None]
    u, sx, cx, sy, cy = x.sin() * y.cos(), x.sin(), x.cos(), y.sin(), y.cos()
    k_xx, k_xy, k_yy = 2 + cx * sy, 0.5 * sx * cy, 2 + sx * sy
    vx, vy = 1 + sx * sy, cx * cy + 0.5
    u_x, u_y, u_xy, u_xx = cx * cy, -sx * sy, -cx * sy, -u
    diffusion = (-sx * sy) * u_x + 2 * k_xy * u_xy + 0.5 * cx * cy * u_y - 0.5 * sx * sy * u_x
    diffusion = diffusion + sx * cy * u_y + (k_xx + k_yy) * u_xx
    advection = cx * sy * u + vx * u_x - cx * sy * u + vy * u_y
    system = AdvectionDiffusion((k_xx, k_xy, k_yy), (vx, vy), (2 * math.pi, 2 * math.pi))
    return float((system(u, 0.0) - diffusion + advection).abs().max())


@pytest.mark.parametrize("error", [error_on_a_line, error_in_a_varying_tensor])
def test_errors_fall_with_the_square_of_the_spacing(error):
    coarse, fine = error(48), error(96)
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)
    assert fine < 0.02


def test_the_scheme_in_a_rectangle_approaches_the_exact_solution():
    system = AdvectionDiffusion((0.02, 0.008, 0.01), (0.3, -0.4), (1.0, 1.0))
    errors = []
    for n in (24, 48):
        x = torch.arange(n, dtype=DOUBLE) * (2 * math.pi / n)
        start = (x + x[:, None]).sin() + (2 * x - x[:, None]).cos()
        end = integrate(system, start, dt=0.005, steps=60, scheme=DORMAND_PRINCE)[-1]
        errors.append(float((end - system.exact(start, 0.3)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_a_rectangle_without_variation_in_y_is_a_line():
    state, k, v = noise(3, 10, seed=1)
    flat = AdvectionDiffusion((k.square(), 0.0, 0.3), (v, 0.2), (1.0, 2.0))(state.expand(6, 10), 0.0)
    torch.testing.assert_close(flat, line(k.square(), v)(state, 0.0).expand(6, 10))


def test_precision_device_and_batch():
    k = [part[None] * torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)[:, None, None] for part in tensors(6, 7, 2)]
    state = noise(3, 6, 7, seed=3)
    together = AdvectionDiffusion(tuple(k), (0.3, noise(6, 1, seed=4)), (1.0, 1.0))
    change = together(state, 0.0)
    for i in range(3):
        alone = AdvectionDiffusion(tuple(part[i] for part in k), together.velocity, (1.0, 1.0))
        torch.testing.assert_close(alone(state[i], 0.0), change[i])
    simple = AdvectionDiffusion((0.1, 0.0, 0.1), (0.3, 0.1), (1.0, 1.0))
    for result in (simple(state.float(), 0.0), simple.exact(state.float(), 0.1)):
        assert result.dtype == torch.float32
        assert result.shape == state.shape
    torch.testing.assert_close(simple(state.float(), 0.0).double(), simple(state, 0.0), rtol=1e-4, atol=1e-3)
    meta = torch.empty(3, 6, 7, device="meta")
    assert simple(meta, 0.0).device.type == simple.exact(meta, 0.1).device.type == "meta"
    assert line(0.1, 0.2)(state[0, 0], 0.0).shape == (7,)


def test_gradients_with_respect_to_state_diffusivity_and_velocity():
    state, *k = (part.requires_grad_() for part in (noise(3, 4), *tensors(3, 4, 1)))
    velocity = [part.requires_grad_() for part in (noise(3, 4, seed=5), torch.tensor(0.3, dtype=DOUBLE))]

    def end(u, k_xx, k_xy, k_yy, v_x, v_y):
        return integrate(AdvectionDiffusion((k_xx, k_xy, k_yy), (v_x, v_y), (1.0, 1.0)), u, dt=1e-3, steps=2)[-1]

    assert torch.autograd.gradcheck(end, (state, *k, *velocity))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdvectionDiffusion((0.1, 0.1), (1.0, 1.0), (1.0, 1.0)), "a line has 1, 1, 1"),
        (lambda: AdvectionDiffusion((0.1,), (1.0,), (1.0, 1.0)), "2 lengths"),
        (lambda: line(0.1).largest_step((8,), DORMAND_PRINCE), "known for"),
        (lambda: line(0.1, 1.0).largest_step((8,), EULER), "no limit for advection"),
        (lambda: line(torch.ones(8)).exact(torch.ones(8), 1.0), "constant in space"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
