"""The trajectory of two-scale Lorenz 1996."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.lorenz96 import Lorenz96Simulation
from pipeline_lib.simulations.lorenz96_two_scale import TwoScaleLorenz96Simulation

SITES, PLACES, F, H, B, C = 5, 3, 8.0, 0.9, 6.0, 4.0
SMALL = {"sites": SITES, "per_site": PLACES, "forcing": F, "coupling": H, "ratio": B, "speed": C, "pushed_site": 2}


def run(times: int, **options: object):
    return TwoScaleLorenz96Simulation.run(TwoScaleLorenz96Simulation.Options(**options), times=times)


def tendency(_, state):
    x, y = state[:SITES], state[SITES:]
    count = SITES * PLACES
    slow = [
        (x[(k + 1) % SITES] - x[k - 2]) * x[k - 1] - x[k] + F - H * C / B * sum(y[k * PLACES : (k + 1) * PLACES])
        for k in range(SITES)
    ]
    fast = [
        C * B * (y[i - 1] - y[(i + 2) % count]) * y[(i + 1) % count] - C * y[i] + H * C / B * x[i // PLACES]
        for i in range(count)
    ]
    return slow + fast


def test_it_follows_the_equations_from_a_pushed_site():
    start = [F] * SITES + [0.0] * SITES * PLACES
    start[1] += 0.5
    moments = np.arange(10, 31) * 0.05
    other = solve_ivp(tendency, (0, moments[-1]), start, method="DOP853", t_eval=moments, rtol=1e-12, atol=1e-12).y.T
    found = run(21, push=0.5, spin_up=0.5, substeps=120, **SMALL)
    np.testing.assert_allclose(found.state, other[:, :SITES], atol=1e-5)
    np.testing.assert_allclose(found.small, other[:, SITES:].reshape(21, SITES, PLACES), atol=1e-5)
    assert np.ptp(found.state.values[-1]) > 1


def test_without_coupling_the_slow_sites_are_those_of_one_scale():
    options = {"sites": 8, "forcing": 10.0, "pushed_site": 3, "push": 0.1, "dt": 0.05, "spin_up": 0.0}
    alone = Lorenz96Simulation.run(Lorenz96Simulation.Options(**options), times=20).state
    np.testing.assert_allclose(run(20, coupling=0.0, per_site=2, **options).state, alone, atol=1e-4)


def test_scales_differ_as_the_constants_say_and_states_are_named():
    found = run(60)
    assert dict(found.sizes) == {"time": 60, "site": 36, "place": 10}
    assert found.site.values[[0, -1]].tolist() == [1, 36]
    assert found.place.values[[0, -1]].tolist() == [1, 10]
    assert all({"units", "long_name"} <= set(found[name].attrs) for name in ("state", "small"))
    # After the spin-up no site is as the next, and fast ones are about b = 10 times as small.
    assert 5 < float(found.state.std() / found.small.std()) < 20
    # A tenth of a unit is long for the fast scale, and short for the slow one.
    slow, fast = (float((found[name].diff("time", 2)).std() / found[name].std()) for name in ("state", "small"))
    assert fast > 2 * slow


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="pushed_site is 20, the ring has 8 sites"):
        TwoScaleLorenz96Simulation.Options(sites=8)
    with pytest.raises(FetchError, match="leaves the numbers; take more substeps"):
        run(200, substeps=1, **SMALL | {"speed": 200.0})
