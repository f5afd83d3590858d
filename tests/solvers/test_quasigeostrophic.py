"""Quasi-geostrophic flow: invariants, exact solutions, a sum over triads, and what a closure may be."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline_lib.solvers import quasigeostrophic as qg
from pipeline_lib.solvers import spectral
from pipeline_lib.solvers.quasigeostrophic import DriftingForcing, QuasiGeostrophic, graham_ringler
from pipeline_lib.solvers.schemes import RK4, SSP3, integrate
from tests.solvers.orders import ORDER

SIZES = (16, 16)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def points(sizes: tuple[int, int], length: float = 2 * math.pi) -> list[torch.Tensor]:
    axes = [length / n * torch.arange(n, dtype=torch.float64) for n in sizes]
    return list(torch.meshgrid(*axes, indexing="ij"))


def jacobian_by_triads(q: np.ndarray, inverse_radius: float) -> np.ndarray:
    """J(psi, q) as the sum over all pairs of modes below Nyquist, in a box 2 pi wide."""
    hat = np.fft.fft2(q) / q.size
    limits = [(n - 1) // 2 for n in q.shape]
    modes = list(itertools.product(*(range(-m, m + 1) for m in limits)))
    total = np.zeros(q.shape, complex)
    for (y1, x1), (y2, x2) in itertools.product(modes, modes):
        y, x = y1 + y2, x1 + x2
        squared = x1**2 + y1**2 + inverse_radius**2
        if squared and abs(y) <= limits[0] and abs(x) <= limits[1]:
            psi = -hat[y1, x1] / squared
            total[y, x] += (x2 * y1 - x1 * y2) * psi * hat[y2, x2]
    return (np.fft.ifft2(total) * q.size).real


@pytest.mark.parametrize(("sizes", "radius"), [((8, 8), math.inf), ((7, 10), 0.7)])
def test_the_tendency_is_the_sum_over_triads(sizes, radius):
    q = noise(*sizes)
    found = QuasiGeostrophic(sizes, deformation_radius=radius)(q, 0.0)
    np.testing.assert_allclose(found, -jacobian_by_triads(q.numpy(), 1 / radius), atol=1e-12)


@given(ny=st.integers(2, 20), nx=st.integers(2, 20), seed=st.integers(0, 9), radius=st.sampled_from([math.inf, 0.5]))
@settings(max_examples=30, deadline=None)
def test_advection_makes_neither_energy_nor_enstrophy(ny, nx, seed, radius):
    model = QuasiGeostrophic((ny, nx), length=3.0, deformation_radius=radius)
    q = noise(ny, nx, seed=seed)
    change = model(q, 0.0)
    scale = float(change.abs().max() * q.abs().max()) + 1e-30
    for partner in (torch.ones_like(q), q, model.streamfunction(q)):
        assert abs(float((partner * change).mean())) <= 1e-13 * scale


@pytest.mark.parametrize("scheme", [RK4, SSP3])
def test_inviscid_flow_keeps_energy_and_enstrophy_to_the_order_of_the_scheme(scheme):
    model = QuasiGeostrophic(SIZES)
    start = model.random_state(lambda k: k**-3.0, torch.Generator().manual_seed(1))

    def drift(steps: int) -> list[float]:
        end = integrate(model, start, dt=0.8 / steps, steps=steps, scheme=scheme, every=steps)[-1]
        return [abs(float(measure(end) / measure(start)) - 1) for measure in (model.energy, model.enstrophy)]

    for coarse, fine in zip(drift(20), drift(40), strict=True):
        assert math.log2(coarse / fine) > ORDER[scheme] - 0.3
        assert fine < 1e-3


@pytest.mark.parametrize("order", [1, 2])
def test_a_taylor_green_vortex_decays_exactly(order):
    """An eigenfunction of the Laplacian: its advection vanishes."""
    y, x = points((8, 8))
    q = torch.cos(2 * x) * torch.sin(y)
    model = QuasiGeostrophic((8, 8), viscosity=0.02, order=order, drag=0.1)
    end = integrate(model, q, dt=0.05, steps=20)[-1]
    torch.testing.assert_close(end, q * math.exp(-(0.02 * 5**order + 0.1)), rtol=0, atol=1e-8)


@pytest.mark.parametrize("radius", [math.inf, 0.5])
@pytest.mark.parametrize("mode", [(3, 1), (-2, 4), (0, 2)])
def test_rossby_waves_travel_with_their_dispersion_relation(mode, radius):
    """Vallis 2017, chapter 6: omega = -beta k / (k^2 + l^2 + 1/Ld^2); a single wave is an exact solution."""
    y, x = points(SIZES)
    k, m = mode
    omega = -1.5 * k / (k**2 + m**2 + radius**-2)
    model = QuasiGeostrophic(SIZES, beta=1.5, deformation_radius=radius)
    end = integrate(model, torch.cos(k * x + m * y), dt=0.02, steps=50)[-1]
    torch.testing.assert_close(end, torch.cos(k * x + m * y - omega), rtol=0, atol=1e-8)


def test_the_box_may_have_another_length():
    """Vorticity scales with the inverse of the time, so a box twice as wide only damps less."""
    q = noise(*SIZES)
    advection = QuasiGeostrophic(SIZES)(q, 0.0)
    wide = QuasiGeostrophic(SIZES, length=4 * math.pi, beta=0.5)
    narrow = QuasiGeostrophic(SIZES, beta=1.0)
    torch.testing.assert_close(wide(q, 0.0), narrow(q, 0.0))
    wave = torch.cos(points(SIZES, 1.0)[1] * 2 * math.pi)
    damped = QuasiGeostrophic(SIZES, length=1.0, viscosity=1.0)(wave, 0.0)
    torch.testing.assert_close(damped, -4 * math.pi**2 * wave)
    assert float((narrow(q, 0.0) - advection).abs().max()) > 0.1


def test_velocity_is_the_turned_gradient_of_the_streamfunction():
    y, x = points(SIZES)
    model = QuasiGeostrophic(SIZES)
    q = -13 * torch.sin(2 * x + 3 * y)
    torch.testing.assert_close(model.streamfunction(q), torch.sin(2 * x + 3 * y))
    wave = torch.cos(2 * x + 3 * y)
    torch.testing.assert_close(model.velocity(q), torch.stack((-3 * wave, 2 * wave)))
    assert float(model.energy(q)) == pytest.approx(13 / 4)
    assert float(model.enstrophy(q)) == pytest.approx(169 / 4)


@given(shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)))
@settings(max_examples=15, deadline=None)
def test_a_shifted_flow_has_the_shifted_tendency(shift):
    model = QuasiGeostrophic((12, 15), beta=1.0, viscosity=0.1, drag=0.2, deformation_radius=2.0)
    q = noise(12, 15)
    torch.testing.assert_close(model(q.roll(shift, (-2, -1)), 0.0), model(q, 0.0).roll(shift, (-2, -1)))


def test_what_a_coarse_grid_resolves_is_the_projection_of_what_a_fine_one_does():
    fine, coarse = (QuasiGeostrophic(sizes, beta=1.0, viscosity=0.1) for sizes in ((24, 24), (11, 11)))
    q = coarse.random_state(lambda k: k**-1.0, torch.Generator().manual_seed(0))
    hat = spectral.resized(spectral.coefficients(q, 2), (11, 11), (24, 24))
    projected = spectral.cut_off(fine(spectral.values(hat, (24, 24)), 0.0), (11, 11))
    torch.testing.assert_close(projected, coarse(q, 0.0), rtol=0, atol=1e-12)


def test_random_flows_have_the_spectrum_and_come_from_the_generator():
    model = QuasiGeostrophic((24, 20), deformation_radius=0.4)
    make = lambda seed: model.random_state(lambda k: k**-3.0, torch.Generator().manual_seed(seed))  # noqa: E731
    q = make(0)
    found = model.energy_spectrum(q)
    wanted = torch.arange(1, 10, dtype=torch.float64) ** -3.0
    torch.testing.assert_close(found[1:10], wanted)
    torch.testing.assert_close(found.sum(-1), model.energy(q))
    torch.testing.assert_close(model.enstrophy_spectrum(q).sum(-1), model.enstrophy(q))
    assert torch.equal(q, make(0))
    assert not torch.allclose(q, make(1))


def test_a_batch_is_what_its_members_are_and_parameters_may_differ_within():
    viscosity = torch.tensor([0.0, 0.3], dtype=torch.float64)
    q = noise(2, *SIZES)
    together = QuasiGeostrophic(SIZES, viscosity=viscosity[:, None, None])(q, 0.0)
    for i in range(2):
        torch.testing.assert_close(together[i], QuasiGeostrophic(SIZES, viscosity=float(viscosity[i]))(q[i], 0.0))


class Net(nn.Module):
    """A closure that learns: periodic convolutions."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
        self.layers = nn.Sequential(first, nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1, padding_mode="circular"))

    def forward(self, q: torch.Tensor) -> torch.Tensor:
        return self.layers(q.unsqueeze(-3)).squeeze(-3)


def test_a_network_closes_the_equation_and_learns_through_the_solver():
    torch.manual_seed(0)
    net = Net().double()
    model = QuasiGeostrophic(SIZES, viscosity=0.01, closure=net)
    q = noise(3, *SIZES)
    torch.testing.assert_close(model(q, 0.0), QuasiGeostrophic(SIZES, viscosity=0.01)(q, 0.0) + net(q))
    assert {id(p) for p in model.parameters()} == {id(p) for p in net.parameters()}
    integrate(model, q, dt=0.01, steps=3)[-1].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in net.parameters())


def test_gradients_with_respect_to_state_and_parameters():
    q = noise(2, 5, 6).requires_grad_()
    numbers = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.1, 0.2, 0.3)]

    def step(q, beta, viscosity, drag):
        return RK4(QuasiGeostrophic((5, 6), beta=beta, viscosity=viscosity, drag=drag), q, 0.0, 0.1)

    assert torch.autograd.gradcheck(step, (q, *numbers))


def test_single_precision_and_other_devices():
    model = graham_ringler((12, 12))
    q = noise(12, 12)
    single = graham_ringler((12, 12)).float()(q.float(), 0.5)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), model(q, 0.5), rtol=1e-4, atol=1e-4)
    assert model.to("meta")(q.to("meta"), 0.5).device.type == "meta"


def test_the_forcing_keeps_its_strength_while_its_phases_drift():
    forcing = DriftingForcing((32, 24))
    y, x = points((32, 24))
    for time in (0.0, 0.7, 13.0):
        field = forcing(time)
        assert float((field**2).mean() / 2) == pytest.approx(1.75e-18 * 1.2e6**3)
        spectrum = spectral.spectrum(field, 2)
        assert float(spectrum[4] / spectrum.sum()) == pytest.approx(1.0)
    phase_x, phase_y = math.pi * math.sin(1.44 * 0.7), math.pi * math.sin(1.44 * math.pi / 3 * 0.7)
    expected = torch.cos(4 * y + phase_y) - torch.cos(4 * x + phase_x)
    torch.testing.assert_close(forcing(0.7) / forcing.amplitude, expected)


def test_the_set_up_of_graham_and_ringler():
    """Drag 1.25e-8 m-1, viscosity 1.375 m2 s-1, units 5040 km / pi and 1.2e6 s, dt 600 s."""
    model = graham_ringler((16, 16))
    assert pytest.approx(0.0200535, rel=1e-5) == qg.GRAHAM_RINGLER_DRAG
    assert pytest.approx(6.41095e-7, rel=1e-5) == qg.GRAHAM_RINGLER_VISCOSITY
    assert pytest.approx(5e-4) == qg.GRAHAM_RINGLER_STEP
    rest = torch.zeros(16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(rest, 0.3), DriftingForcing((16, 16))(0.3))
    states = integrate(model, rest, dt=0.01, steps=100, every=50)
    assert 0 < float(model.energy(states[1])) < float(model.energy(states[2])) < math.inf


def test_viscosity_has_an_order():
    with pytest.raises(ValueError, match="at least 1"):
        QuasiGeostrophic(SIZES, order=0)
