"""Burgers: against the transform of Hopf and Cole, conservation, decay of energy, orders of convergence, symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive

from pipeline_lib.solvers.burgers import (
    FiniteVolumeBurgers,
    RandomForcing,
    SpectralBurgers,
    box_filtered,
    centres,
    n_wave,
    points,
)
from pipeline_lib.solvers.schemes import RK4, SSP3, integrate
from tests.solvers.orders import ORDER

DOUBLE = torch.float64
CIRCLE = 2 * math.pi


def noise(count, seed, batch=()):
    return torch.randn(*batch, count, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def from_sine(x, time, viscosity):
    """The solution that starts as sin x: u = -2 nu phi_x / phi, phi = exp(cos x / (2 nu)) under the heat equation.

    Its Fourier coefficients are modified Bessel functions, as Cole (1951) and Benton & Platzman (1972) have it.
    """
    k = np.arange(1, 80)[:, None]
    size = 2 * ive(k, 1 / (2 * viscosity)) * np.exp(-viscosity * k**2 * time)
    phi = ive(0, 1 / (2 * viscosity)) + (size * np.cos(k * x)).sum(0)
    return 2 * viscosity * (size * k * np.sin(k * x)).sum(0) / phi


def averages_from_sine(cells, time, viscosity):
    """Averages of that solution over cells by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(6)
    x = centres(cells, CIRCLE).numpy()[:, None] + nodes * math.pi / cells
    return from_sine(x.ravel(), time, viscosity).reshape(x.shape) @ weights / 2


def spectral_error(count, viscosity=0.2):
    start = points(count, CIRCLE).sin()
    end = integrate(SpectralBurgers(viscosity, CIRCLE), start, dt=1 / 250, steps=250)[-1]
    return np.abs(end.numpy() - from_sine(points(count, CIRCLE).numpy(), 1.0, viscosity)).max()


def volume_error(cells, viscosity=0.2):
    start = torch.from_numpy(averages_from_sine(cells, 0.0, viscosity))
    end = integrate(FiniteVolumeBurgers(viscosity, CIRCLE), start, dt=1 / 250, steps=250)[-1]
    return np.sqrt(np.mean((end.numpy() - averages_from_sine(cells, 1.0, viscosity)) ** 2))


def test_modes_converge_faster_than_any_power():
    errors = [spectral_error(count) for count in (16, 32, 64)]
    assert errors[1] < errors[0] / 30
    assert errors[2] < 1e-9


def test_volumes_converge_at_second_order():
    coarse, fine = volume_error(64), volume_error(128)
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)
    assert fine < 1e-3


@pytest.mark.parametrize("system", [SpectralBurgers(0.1, CIRCLE), FiniteVolumeBurgers(0.1, CIRCLE)])
@pytest.mark.parametrize("scheme", [RK4, SSP3])
def test_the_order_in_time_is_that_of_the_scheme(system, scheme):
    start = points(32, CIRCLE).sin()
    ends = [integrate(system, start, dt=1 / steps, steps=steps, scheme=scheme)[-1] for steps in (16, 32, 256)]
    coarse, fine = (float((end - ends[2]).abs().max()) for end in ends[:2])
    assert math.log2(coarse / fine) == pytest.approx(ORDER[scheme], abs=0.4)


def test_both_solvers_agree_on_a_smooth_case():
    """With the second-order error taken out by extrapolation from two grids."""
    viscosity, fine = 0.2, 512
    steps = {"dt": 1.25e-3, "steps": 200}
    x = points(128, CIRCLE)
    modes = integrate(SpectralBurgers(viscosity, CIRCLE), x.sin() + 0.5 * (2 * x).cos(), **steps)[-1]

    def averaged(cells):
        y = centres(fine, CIRCLE)
        start = box_filtered(y.sin() + 0.5 * (2 * y).cos(), cells)
        return box_filtered(integrate(FiniteVolumeBurgers(viscosity, CIRCLE), start, **steps)[-1], 64)

    # Averages over 64 cells of the trigonometric interpolant of the modes.
    k = torch.fft.rfftfreq(128, 1 / 128).to(DOUBLE)
    shift = torch.exp(1j * k * math.pi / 64) * torch.sinc(k / 64)
    expected = torch.fft.irfft(torch.fft.rfft(modes) * shift, 128)[::2]
    extrapolated = (4 * averaged(256) - averaged(128)) / 3
    assert float((averaged(128) - expected).abs().max()) < 5e-3
    torch.testing.assert_close(extrapolated, expected, rtol=0, atol=3e-4)


@given(cells=st.integers(3, 50), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_what_leaves_a_cell_enters_its_neighbour(cells, seed):
    change = FiniteVolumeBurgers(0.01)(noise(cells, seed), 0.0)
    assert abs(float(change.mean())) < 1e-13 * float(change.abs().max())


def test_the_mean_along_a_trajectory():
    start = noise(64, 0, (3,)) + 0.3
    end = integrate(FiniteVolumeBurgers(0.01), start, dt=1e-3, steps=300)[-1]
    torch.testing.assert_close(end.mean(-1), start.mean(-1), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "make",
    [SpectralBurgers, FiniteVolumeBurgers, lambda viscosity: FiniteVolumeBurgers(viscosity, boundary="wall")],
    ids=["spectral", "volumes", "wall"],
)
@given(count=st.integers(4, 41), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_advection_keeps_energy_and_viscosity_takes_it(make, count, seed):
    """For any state, a rough one too: an aliased product or a one-sided flux would not pass."""
    state = noise(count, seed)
    ideal, viscous = make(0.0)(state, 0.0), make(0.01)(state, 0.0)
    assert abs(float((state * ideal).sum())) < 1e-12 * float((state * ideal).abs().sum())
    assert float((state * (viscous - ideal)).sum()) < 0


@pytest.mark.parametrize("count", [9, 16, 17, 32])
def test_products_of_modes_are_those_of_the_untruncated_series(count):
    """Against the sum over pairs of coefficients, cut at the modes that the grid resolves."""
    state = noise(count, 1)
    c = {k: complex(v) for k, v in zip(np.fft.fftfreq(count, 1 / count), np.fft.fft(state) / count, strict=True)}
    resolved = [k for k in c if 2 * abs(k) < count]
    x = points(count, CIRCLE).numpy()
    expected = np.zeros(count)
    for m in resolved:
        pairs = sum(c[k] * c[m - k] for k in resolved if m - k in resolved)
        expected += (-0.5j * m * pairs * np.exp(1j * m * x)).real
    np.testing.assert_allclose(SpectralBurgers(0.0, CIRCLE)(state, 0.0), expected, rtol=0, atol=1e-11)


def test_the_n_wave_solves_the_equation():
    """u_t + u u_x = u_xx / Re by automatic differentiation in x, and differences in time."""
    reynolds, time, delta = 60.0, 0.4, 1e-5
    x = torch.linspace(0, 1, 41, dtype=DOUBLE, requires_grad=True)
    u = n_wave(x, reynolds, time)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    change = (n_wave(x, reynolds, time + delta) - n_wave(x, reynolds, time - delta)) / (2 * delta)
    torch.testing.assert_close(change + u * slope, curvature / reynolds, rtol=0, atol=1e-7)


def test_the_n_wave_starts_as_the_course_has_it():
    x = points(50)
    t0 = math.exp(100 / 8)
    expected = x / (1 + math.sqrt(1 / t0) * torch.exp(100 * x**2 / 4))
    torch.testing.assert_close(n_wave(x, 100.0), expected)
    family = n_wave(x.float(), torch.arange(100.0, 1000.0, 100.0)[:, None])
    assert family.shape == (9, 50)
    assert family.isfinite().all()
    assert float(family[:, -1].abs().max()) < 1e-7


def test_volumes_between_walls_follow_the_n_wave_at_second_order():
    reynolds, time = 300.0, 0.4

    def error(cells):
        start, expected = (box_filtered(n_wave(centres(16 * cells), reynolds, t), cells) for t in (0.0, time))
        system = FiniteVolumeBurgers(1 / reynolds, boundary="wall")
        end = integrate(system, start, dt=time / 800, steps=800, every=800)[-1]
        return float((end - expected).square().mean().sqrt())

    coarse, fine = error(100), error(200)
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.15)
    assert fine < 1e-3


@given(cells=st.integers(2, 30), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_walls_are_mirrors_of_a_periodic_domain_twice_as_long(cells, seed):
    state = noise(cells, seed)
    mirrored = torch.cat((state, -state.flip(-1)), -1)
    walls = FiniteVolumeBurgers(0.02, boundary="wall")(state, 0.0)
    torch.testing.assert_close(walls, FiniteVolumeBurgers(0.02, length=2.0)(mirrored, 0.0)[:cells], rtol=1e-12, atol=0)


def test_coarse_averages_of_a_forcing_are_box_filtered_ones():
    forcing = RandomForcing.draw(torch.Generator().manual_seed(0), (3,))
    fine = forcing.averaged(512)(centres(512, CIRCLE), 1.7)
    coarse = forcing.averaged(32)(centres(32, CIRCLE), 1.7)
    assert coarse.shape == (3, 32)
    torch.testing.assert_close(box_filtered(fine, 32), coarse, rtol=0, atol=1e-13)
    assert float((forcing(centres(32, CIRCLE), 1.7) - coarse).abs().max()) > 1e-3


def test_forcings_are_drawn_within_bounds_and_again_the_same():
    first, again = (RandomForcing.draw(torch.Generator().manual_seed(1), (50,)) for _ in range(2))
    assert torch.equal(first(centres(8, CIRCLE), 0.5), again(centres(8, CIRCLE), 0.5))
    assert first.amplitude.shape == (50, 20)
    for values, bound in ((first.amplitude, 0.5), (first.frequency, 0.4)):
        assert float(values.min()) < -0.9 * bound
        assert 0.9 * bound < float(values.max()) < bound
    assert 0 <= float(first.phase.min()) < float(first.phase.max()) < CIRCLE
    assert first.wavenumber.unique().tolist() == [-3, -2, -1, 1, 2, 3]
    waves = torch.stack((first.amplitude, first.frequency, first.wavenumber, first.phase), -1)[0].tolist()
    by_hand = sum(a * math.sin(w * 0.5 + k * 0.3 + p) for a, w, k, p in waves)
    assert float(first(torch.tensor([0.3], dtype=DOUBLE), 0.5)[0, 0]) == pytest.approx(by_hand)


@pytest.mark.parametrize("kind", [SpectralBurgers, FiniteVolumeBurgers])
def test_a_forcing_is_added_at_its_place_and_time(kind):
    where = points if kind is SpectralBurgers else centres
    system = kind(0.1, CIRCLE, forcing=lambda x, t: t * x)
    torch.testing.assert_close(system(torch.zeros(8, dtype=DOUBLE), 2.0), 2 * where(8, CIRCLE))


@pytest.mark.parametrize("kind", [SpectralBurgers, FiniteVolumeBurgers])
def test_precision_device_and_batch(kind):
    forcing = RandomForcing.draw(torch.Generator().manual_seed(2), (3,))
    viscosity = torch.tensor([[0.04], [0.1], [0.2]], dtype=DOUBLE)
    state = noise(24, 5, (3,))
    together = kind(viscosity, CIRCLE, forcing=forcing)(state, 0.5)
    for i in range(3):
        alone = RandomForcing(
            *(v[i] for v in (forcing.amplitude, forcing.frequency, forcing.wavenumber, forcing.phase))
        )
        torch.testing.assert_close(kind(float(viscosity[i]), CIRCLE, forcing=alone)(state[i], 0.5), together[i])
    single = kind(0.1, forcing=forcing.to(state.float()))(state.float(), 0.5)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), kind(0.1, forcing=forcing)(state, 0.5), rtol=1e-3, atol=1e-2)
    meta = torch.empty(3, 24, device="meta")
    assert kind(0.1, forcing=forcing.to(meta))(meta, 0.5).device.type == "meta"


@pytest.mark.parametrize("kind", [SpectralBurgers, FiniteVolumeBurgers])
def test_gradients_with_respect_to_state_viscosity_and_forcing(kind):
    state = noise(6, 0, (2,)).requires_grad_()
    viscosity = torch.tensor([[0.1], [0.2]], dtype=DOUBLE, requires_grad=True)
    force = noise(6, 1).requires_grad_()

    def end(u, nu, f):
        return integrate(kind(nu, CIRCLE, forcing=lambda x, t: f), u, dt=0.01, steps=2)[-1]

    assert torch.autograd.gradcheck(end, (state, viscosity, force))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: box_filtered(torch.ones(10), 4), "do not divide"),
        (lambda: box_filtered(torch.ones(10), 0), "do not divide"),
        (lambda: FiniteVolumeBurgers(0.1, boundary="open"), "known are periodic, wall"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
