"""The trajectory of Lorenz 1963: exact to its tolerance, or exactly the scheme's; the same bytes each time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.lorenz63 import Lorenz63Simulation


def run(times: int, **options: object) -> np.ndarray:
    return Lorenz63Simulation.run(Lorenz63Simulation.Options(**options), times=times).state.values


def test_it_follows_the_equations():
    def tendency(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    moments = np.arange(500) * 0.01
    other = solve_ivp(tendency, (0, 4.99), [8, 0, 30], method="DOP853", t_eval=moments, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(run(500), other.y.T, atol=2e-6)


def test_spin_up_is_left_out():
    np.testing.assert_array_equal(run(50, spin_up=1.0, integrator="rk4"), run(150, integrator="rk4")[100:])


def test_runge_kutta_states_are_one_step_apart():
    states = run(20, integrator="rk4")

    def f(s):
        return np.array([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    for before, after in itertools.pairwise(states):
        k1 = f(before)
        k2 = f(before + 0.005 * k1)
        k3 = f(before + 0.005 * k2)
        k4 = f(before + 0.01 * k3)
        np.testing.assert_allclose(after, before + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4), rtol=1e-14)


def test_a_step_that_is_too_long_is_told():
    with pytest.raises(FetchError, match="leaves the numbers"):
        run(200, integrator="rk4", dt=1.0)
