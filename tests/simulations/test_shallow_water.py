"""States of shallow water as they are stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.shallow_water import ShallowWaterSimulation
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.shallow_water import Basin, Leapfrog, ShallowWater


def run(times, **options):
    settings = {"size": 16, "spin_up": 0.2, "dt": 0.05} | options
    return ShallowWaterSimulation.run(ShallowWaterSimulation.Options(**settings), times=times)


def test_states_follow_a_spin_up_from_rest_under_the_wind():
    made = run(3)
    basin = Basin.of_size(16)
    rest = torch.zeros(2, 3, 16, 16, dtype=torch.float64)
    days = 200 * 0.2, 200 * 0.25, 200 * 0.3
    steps = [round(d * 86400 / 9000) for d in days]
    whole = integrate(ShallowWater(basin), rest, dt=basin.step, steps=steps[-1], scheme=Leapfrog())
    np.testing.assert_array_equal(made.state, whole[steps].flatten(1, 2))
    assert made.field.values.tolist() == ["u", "v", "h", "u_filtered", "v_filtered", "h_filtered"]
    assert np.ptp(made.state.sel(field="h").values) > 1
    assert not made.state.sel(field="u", x=16).any()
    assert not made.state.sel(field="v", y=1).any()


def test_a_run_goes_on_from_any_of_its_states():
    np.testing.assert_array_equal(run(6).state[3:], run(3, spin_up=0.35).state)


def test_a_time_between_states_that_is_no_whole_number_of_steps_is_refused():
    with pytest.raises(FetchError, match=r"0\.01 units of 200 days are 19\.2 steps of 9000 s; choose a whole number"):
        run(2, dt=0.01)
