"""Lorenz 1996: against loops over sites, conservation, symmetry, truncation errors, coupling, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pipeline_lib.solvers.lorenz96 import Lorenz96, TwoScaleLorenz96, advection
from pipeline_lib.solvers.schemes import integrate

DOUBLE = torch.float64


def plain(x, forcing):
    """One scale, site by site; negative indices of Python close the ring."""
    n = len(x)
    return np.array([(x[(j + 1) % n] - x[j - 2]) * x[j - 1] - x[j] + forcing for j in range(n)])


def plain_two_scales(state, sites, per_site, f, h, b, c):
    """Equations 2 and 3 of the paper, term by term."""
    x, y = state[:sites], state[sites:]
    n = sites * per_site
    slow = [
        -x[k - 1] * (x[k - 2] - x[(k + 1) % sites]) - x[k] + f - h * c / b * sum(y[k * per_site : (k + 1) * per_site])
        for k in range(sites)
    ]
    fast = [
        -c * b * y[(i + 1) % n] * (y[(i + 2) % n] - y[i - 1]) - c * y[i] + h * c / b * x[i // per_site]
        for i in range(n)
    ]
    return np.array(slow + fast)


def states(size, seed, batch=()):
    return 3 * torch.randn(*batch, size, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@given(size=st.integers(4, 12), seed=st.integers(0, 1000), forcing=st.floats(-10, 10))
@settings(max_examples=30, deadline=None)
def test_one_scale_is_what_a_loop_over_sites_gives(size, seed, forcing):
    state = states(size, seed)
    np.testing.assert_allclose(Lorenz96(forcing)(state, 0.0), plain(state.numpy(), forcing), rtol=0, atol=1e-11)


@given(sites=st.integers(4, 7), per_site=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_two_scales_are_what_a_loop_over_sites_gives(sites, per_site, seed):
    f, h, b, c = 10.0, 0.9, 8.0, 7.0
    state = states(sites * (1 + per_site), seed)
    expected = plain_two_scales(state.numpy(), sites, per_site, f, h, b, c)
    np.testing.assert_allclose(TwoScaleLorenz96(sites, f, h, b, c)(state, 0.0), expected, rtol=1e-12, atol=1e-10)


@given(size=st.integers(4, 40), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_advection_neither_makes_nor_destroys_energy(size, seed):
    state = states(size, seed)
    assert abs(float((state * advection(state)).sum())) < 1e-12 * float(state.abs().pow(3).sum())


def test_energy_along_a_trajectory_of_advection_alone():
    start = states(40, 0, (5,))
    found = integrate(lambda x, t: advection(x), start, dt=0.001, steps=200)
    energy = found.square().sum(-1)
    torch.testing.assert_close(energy, energy[:1].expand_as(energy), rtol=1e-8, atol=0)
    assert float((found[-1] - start).abs().max()) > 1


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_what_one_scale_gives_the_other_receives(seed):
    """Without forcing, energy falls by damping alone: x^2 at rate 1, y^2 at rate c."""
    state, c = states(6 * 5, seed), 10.0
    system = TwoScaleLorenz96(6, forcing=0.0, speed=c)
    slow, fast = system.split(state)
    power = float((state * system(state, 0.0)).sum())
    assert power == pytest.approx(-float(slow.square().sum()) - c * float(fast.square().sum()), rel=1e-10)


def test_the_equilibrium_is_the_forcing():
    state = torch.full((3, 40), 8.0, dtype=DOUBLE)
    assert Lorenz96()(state, 0.0).eq(0).all()


@given(size=st.integers(4, 20), shift=st.integers(-20, 20), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_no_site_is_special(size, shift, seed):
    state = states(size, seed)
    assert torch.equal(Lorenz96()(state.roll(shift), 0.0), Lorenz96()(state, 0.0).roll(shift))


@given(shift=st.integers(-6, 6), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_no_sector_is_special(shift, seed):
    system, state = TwoScaleLorenz96(6), states(6 * 5, seed)

    def turned(values):
        slow, fast = system.split(values)
        return torch.cat((slow.roll(shift, -1), fast.roll(shift, -2).flatten(-2)), -1)

    torch.testing.assert_close(system(turned(state), 0.0), turned(system(state, 0.0)), rtol=0, atol=1e-11)


def test_truncation_errors_after_1_4_and_8_steps():
    """Root mean squares at F = 8, 40 sites, steps of 0.05, against a reference of order 8 at 1e-11."""
    start = np.full(40, 8.0)
    start[20] += 0.01
    times = 5 + 0.05 * np.arange(1009)
    run = solve_ivp(lambda t, x: Lorenz96()(torch.from_numpy(x), t).numpy(), (0, times[-1]), start, method="DOP853",
                    rtol=1e-11, atol=1e-11, t_eval=times)  # fmt: skip
    truth = torch.tensor(run.y.T.copy())
    found = integrate(Lorenz96(), truth[:1000], dt=0.05, steps=8)
    errors = [float((found[k] - truth[k : 1000 + k]).square().mean().sqrt()) for k in (1, 4, 8)]
    assert errors == pytest.approx((6.5e-4, 2.1e-3, 3.6e-3), rel=0.2)


def test_two_scales_against_another_integrator():
    start = states(4 * 4, 3) * torch.tensor([1.0] * 4 + [0.1] * 12, dtype=DOUBLE)  # fast sites are small
    plain_run = solve_ivp(lambda t, x: plain_two_scales(x, 4, 3, 10, 1, 10, 10), (0, 0.5), start.numpy(),
                          method="DOP853", rtol=1e-11, atol=1e-11)  # fmt: skip
    found = integrate(TwoScaleLorenz96(4), start, dt=0.001, steps=500)[-1]
    np.testing.assert_allclose(found, plain_run.y[:, -1], rtol=0, atol=1e-7)


@pytest.mark.parametrize(("system", "size"), [(Lorenz96(), 40), (TwoScaleLorenz96(8), 32)])
def test_precision_and_device_are_those_of_the_state(system, size):
    double = states(size, 1, (3,))
    single = system(double.float(), 0.0)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), system(double, 0.0), rtol=1e-4, atol=1e-3)
    assert system(torch.empty(3, size, device="meta"), 0.0).device.type == "meta"


def test_gradients_with_respect_to_state_and_parameters():
    forcing = torch.tensor([[8.0], [9.0]], dtype=DOUBLE, requires_grad=True)
    start = states(5, 1, (2,)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, f: integrate(Lorenz96(f), x, dt=0.01, steps=2)[-1], (start, forcing))
    parameters = [torch.tensor([value], dtype=DOUBLE, requires_grad=True) for value in (10.0, 1.0, 10.0, 10.0)]
    pair = states(4 * 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, *p: integrate(TwoScaleLorenz96(4, *p), x, dt=0.001, steps=2)[-1], (pair, *parameters)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lorenz96()(torch.ones(3), 0.0), "3 sites"),
        (lambda: TwoScaleLorenz96(3), "3 slow sites"),
        (lambda: TwoScaleLorenz96(4)(torch.ones(4), 0.0), "equal sectors"),
        (lambda: TwoScaleLorenz96(4)(torch.ones(11), 0.0), "equal sectors"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
