"""The trajectory of Lorenz 1996."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from pipeline_lib.simulations.lorenz96 import Lorenz96Simulation


def run(times: int, **options: object) -> np.ndarray:
    return Lorenz96Simulation.run(Lorenz96Simulation.Options(**options), times=times).state.values


def test_it_follows_the_equations_from_a_pushed_site():
    sites = 12

    def tendency(_, x):
        return [(x[(j + 1) % sites] - x[j - 2]) * x[j - 1] - x[j] + 8 for j in range(sites)]

    start = [8.0] * sites
    start[4] = 8.5
    moments = np.arange(60) * 0.05
    other = solve_ivp(tendency, (0, moments[-1]), start, method="DOP853", t_eval=moments, rtol=1e-12, atol=1e-12)
    found = run(60, sites=sites, pushed_site=5, push=0.5, dt=0.05)
    np.testing.assert_allclose(found, other.y.T, atol=2e-5)
    assert np.ptp(found[-1]) > 1


def test_without_a_push_it_rests():
    np.testing.assert_allclose(run(20, push=0.0, dt=0.05), 8.0, rtol=1e-12)


def test_sites_are_counted_from_one_and_the_pushed_one_lies_on_the_ring():
    made = Lorenz96Simulation.run(Lorenz96Simulation.Options(), times=2)
    assert made.site.values.tolist() == list(range(1, 41))
    assert made.state.values[0].argmax() == 19
    with pytest.raises(ValidationError, match="pushed_site is 20, the ring has 8 sites"):
        Lorenz96Simulation.Options(sites=8)
