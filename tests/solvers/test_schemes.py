"""Schemes: their order on problems with known solutions, their gradients, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pipeline_lib.solvers.schemes import (
    DORMAND_PRINCE,
    RK4,
    SCHEMES,
    AdamsBashforth,
    BackwardEuler,
    RungeKutta,
    integrate,
)
from tests.solvers.orders import ORDER


def nonlinear(state: torch.Tensor, time: float) -> torch.Tensor:
    """y' = -2 t y^2, y(0) = 1: y = 1 / (1 + t^2)."""
    return -2 * time * state**2


def error(name: str, steps: int) -> float:
    end = integrate(nonlinear, torch.ones(1, dtype=torch.float64), dt=1 / steps, steps=steps, scheme=SCHEMES[name])[-1]
    return abs(float(end) - 0.5)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_error_falls_with_the_order(name):
    slope = math.log2(error(name, 40) / error(name, 80))
    assert slope == pytest.approx(ORDER[SCHEMES[name]], abs=0.25)


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if isinstance(scheme, RungeKutta)])
@given(rate=st.complex_numbers(max_magnitude=1.5, allow_nan=False, allow_infinity=False))
def test_one_step_of_a_linear_system_is_the_truncated_exponential(name, rate):
    """The order conditions of linear problems: the stability function agrees with exp up to the order."""
    step = torch.tensor([1.0 + 0j], dtype=torch.complex128)
    found = complex(SCHEMES[name].start()(lambda y, t: rate * y, step, 0.0, 1.0))
    order = ORDER[SCHEMES[name]]
    expected = sum(rate**k / math.factorial(k) for k in range(order + 1))
    # A scheme with more stages than its order has terms beyond it.
    assert abs(found - expected) <= 1e-10 + abs(rate) ** (order + 1) / math.factorial(order)


@given(rate=st.complex_numbers(max_magnitude=0.9, allow_nan=False, allow_infinity=False), count=st.integers(1, 30))
def test_the_implicit_step_of_a_linear_system_is_a_truncated_neumann_series(rate, count):
    step = torch.tensor([1.0 + 0j], dtype=torch.complex128)
    found = complex(BackwardEuler(count)(lambda y, t: rate * y, step, 0.0, 1.0))
    assert abs(found - sum(rate**k for k in range(count + 2))) < 1e-12
    assert abs(found - 1 / (1 - rate)) <= abs(rate) ** (count + 2) / abs(1 - rate) + 1e-12


def test_the_implicit_scheme_damps_what_the_explicit_one_lets_grow():
    """A circle has no damping: |1 + ih| > 1 > 1 / |1 - ih|."""
    turn = lambda y, t: torch.stack((y[1], -y[0]))  # noqa: E731
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for name, expected in (("euler", abs(1 + 0.1j) ** 50), ("backward_euler", abs(1 - 0.1j) ** -50)):
        end = integrate(turn, start, dt=0.1, steps=50, scheme=SCHEMES[name])[-1]
        assert float(end.norm()) == pytest.approx(expected, rel=1e-8)


def test_a_batch_is_what_its_members_are():
    start = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = integrate(nonlinear, start, dt=0.1, steps=10)
    for i in range(5):
        torch.testing.assert_close(together[:, i], integrate(nonlinear, start[i], dt=0.1, steps=10), rtol=0, atol=0)


def test_every_second_state_is_kept_and_the_first_is_the_initial_one():
    start = torch.ones(2, dtype=torch.float64)
    whole = integrate(nonlinear, start, dt=0.1, steps=10)
    assert whole.shape == (11, 2)
    assert torch.equal(whole[::2], integrate(nonlinear, start, dt=0.1, steps=10, every=2))


def test_against_scipy_on_a_forced_oscillator():
    def forced(state, time):
        position, speed = state
        return np.stack([speed, math.cos(1.7 * time) - position])

    reference = solve_ivp(lambda t, y: forced(y, t), (0, 5), [1.0, 0.0], method="DOP853", rtol=1e-12, atol=1e-12)
    tendency = lambda y, t: torch.stack([y[1], math.cos(1.7 * t) - y[0]])  # noqa: E731
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    end = integrate(tendency, start, dt=0.01, steps=500, scheme=DORMAND_PRINCE)[-1]
    np.testing.assert_allclose(end.numpy(), reference.y[:, -1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["rk4", "ab3", "backward_euler"])
def test_gradients_are_those_of_the_discrete_scheme(name):
    start = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: integrate(nonlinear, y, dt=0.1, steps=5, scheme=SCHEMES[name])[-1], start)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RungeKutta(((1.0, 0.0),), (0.5, 0.5)), "row i of stages"),
        (lambda: RungeKutta(((1.0,),), (0.5, 0.6)), "sum to 1.1, not to 1"),
        (lambda: BackwardEuler(0), "without one it is the explicit"),
        (lambda: AdamsBashforth(7), "known are 1, 2, 3, 4"),
        (lambda: integrate(nonlinear, torch.ones(1), dt=0.1, steps=5, every=2), "multiple"),
        (lambda: integrate(nonlinear, torch.ones(1), dt=0.1, steps=-1), "multiple"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_step_gives_the_start():
    assert integrate(nonlinear, torch.ones(1), dt=0.1, steps=0, scheme=RK4).shape == (1, 1)
