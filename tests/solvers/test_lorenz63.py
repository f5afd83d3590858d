"""Lorenz 1963: fixed points, contraction, chaos, truncation errors against an independent integrator, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.schemes import EULER, RK4, integrate

LORENZ = Lorenz63()


def plain(time, state):
    x, y, z = state
    return [10 * (y - x), x * (28 - z) - y, x * y - 8 * z / 3]


@pytest.fixture(scope="module")
def attractor():
    """A trajectory on the attractor, every 0.01."""
    times = 30 + 0.01 * np.arange(3009)
    found = solve_ivp(plain, (0, times[-1]), [-3, 5, 20], method="DOP853", rtol=1e-12, atol=1e-12, t_eval=times)
    return torch.tensor(found.y.T.copy())


numbers = st.floats(-40, 40)


@given(state=st.tuples(numbers, numbers, numbers))
@settings(max_examples=30, deadline=None)
def test_the_tendency_is_that_of_a_plain_function(state):
    found = LORENZ(torch.tensor(state, dtype=torch.float64), 0.0)
    np.testing.assert_allclose(found.numpy(), plain(0, state), rtol=1e-13, atol=1e-11)


@given(sigma=st.floats(1, 20), rho=st.floats(1.01, 50), beta=st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_nothing_moves_at_equilibrium_and_volumes_shrink_everywhere(sigma, rho, beta):
    system = Lorenz63(sigma, rho, beta)
    speed, height = math.sqrt(beta * (rho - 1)), rho - 1
    rest = [[0, 0, 0], [speed, speed, height], [-speed, -speed, height]]
    states = torch.tensor(rest, dtype=torch.float64)
    torch.testing.assert_close(system(states, 0.0), torch.zeros_like(states), rtol=0, atol=1e-11)
    for state in states:
        jacobian = torch.autograd.functional.jacobian(lambda y: system(y, 0.0), state)
        assert float(jacobian.trace()) == pytest.approx(-(sigma + 1 + beta))


def test_a_batch_of_parameters_is_what_its_members_are():
    rho = torch.tensor([10.0, 20.0, 28.0], dtype=torch.float64)
    start = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    together = integrate(Lorenz63(rho=rho), start.expand(3, 3), dt=0.01, steps=50)
    for i in range(3):
        torch.testing.assert_close(together[:, i], integrate(Lorenz63(rho=float(rho[i])), start, dt=0.01, steps=50))


def test_the_largest_lyapunov_exponent(attractor):
    """0.9056 (Sprott 2003, Chaos and Time-Series Analysis): growth between a thousand pairs of neighbours, brought
    together again and again. Over so many trajectories and ten units of time it is known to about 1 %."""
    dt, steps, distance = 0.01, 10, 1e-6
    apart = attractor[:3000:3] + torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    state = integrate(LORENZ, apart, dt=dt, steps=1000, every=1000)[-1]  # each on a path of its own
    offset = torch.full_like(state, distance)
    growth = []
    for _ in range(200):
        state, neighbour = integrate(LORENZ, torch.stack((state, state + offset)), dt=dt, steps=steps, every=steps)[-1]
        gap = torch.linalg.vector_norm(neighbour - state, dim=-1, keepdim=True)
        offset = (neighbour - state) * (distance / gap)
        growth.append((gap / distance).log().mean() / (dt * steps))
    # The offset along the flow neither grows nor shrinks; its share falls only as the rest outgrows it.
    exponent = float(torch.stack(growth[100:]).mean())
    assert exponent == pytest.approx(0.9056, rel=0.05)


@pytest.mark.parametrize(
    ("scheme", "expected"), [(RK4, (3.7e-6, 1.4e-5, 2.6e-5)), (EULER, (4.4e-2, 0.18, 0.36))], ids=["rk4", "euler"]
)
def test_truncation_errors_after_1_4_and_8_steps(attractor, scheme, expected):
    """Root mean squares over starts on the attractor, against a reference of order 8 at 1e-12."""
    found = integrate(LORENZ, attractor[:3000:3], dt=0.01, steps=8, scheme=scheme)
    errors = [float((found[k] - attractor[k : 3000 + k : 3]).square().mean().sqrt()) for k in (1, 4, 8)]
    assert errors == pytest.approx(expected, rel=0.2)


def test_single_precision_stays_single_and_follows_double(attractor):
    start = attractor[:50]
    double, single = (integrate(LORENZ, start.to(kind), dt=0.01, steps=100) for kind in (torch.float64, torch.float32))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-3)


def test_every_operation_runs_where_the_state_lies():
    assert LORENZ(torch.empty(4, 3, device="meta"), 0.0).device.type == "meta"


def test_gradients_with_respect_to_state_and_parameters():
    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (10.0, 28.0, 8 / 3)]
    start = torch.tensor([[1.0, 2.0, 20.0], [-3.0, 5.0, 20.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda y, *p: integrate(Lorenz63(*p), y, dt=0.01, steps=3)[-1], (start, *parameters)
    )


def test_below_the_onset_of_convection_everything_comes_to_rest():
    end = integrate(Lorenz63(rho=0.5), torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64), dt=0.02, steps=1500)[-1]
    assert math.isclose(float(end.abs().max()), 0, abs_tol=1e-4)
