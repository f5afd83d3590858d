"""Ensembles over many trajectories: those of netgen's ensemble, each by itself, in units of their start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.errors import FetchError
from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.ensemble import moments, perturbations
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.simulations.burgers_uncertainty import BurgersUncertaintySimulation
from pipeline_lib.solvers.schemes import integrate

SMALL = {"points": 41, "members": 12, "last_step": 25, "correlation_length": 0.1, "dt": 0.004}


def run(times, **options):
    return BurgersUncertaintySimulation.run(BurgersUncertaintySimulation.Options(**{**SMALL, **options}), times=times)


def test_equal_options_give_equal_bytes_and_another_seed_others():
    ds, again, other = run(60), run(60), run(60, seed=1)
    assert ds.state.values.tobytes() == again.state.values.tobytes()
    assert ds.state.dtype == np.float64
    assert dict(ds.state.sizes) == {"time": 60, "field": 3, "x": 41}
    assert ds.field.values.tolist() == ["u", "V", "nu"]
    assert abs(ds.state - other.state).max() > 1e-3
    assert ds.age.values.tolist() == [*range(1, 26), *range(1, 26), *range(1, 11)]
    for variable in (ds.state, ds.age):
        assert set(variable.attrs) == {"units", "long_name"}


def test_a_trajectory_does_not_depend_on_how_many_follow_or_what_is_left_out():
    ds = run(60)
    assert run(25).state.equals(ds.state[:25])
    late = run(20, first_step=16)
    np.testing.assert_array_equal(late.state, ds.state[[*range(15, 25), *range(40, 50)]])
    assert late.age.values.tolist() == [*range(16, 26)] * 2
    np.testing.assert_array_equal(run(1, first_step=0).state[0, 0] * 0.5, run(26, first_step=0).state[0, 0] * 0.5)


def test_states_are_the_moments_of_ensembles_around_their_backgrounds():
    generator = torch.Generator().manual_seed(0)
    errors = {"deviation": 0.005, "correlation_length": 0.1}
    system = build(read_system(find_system("burgers"))[0], (41,))
    x = torch.arange(41, dtype=torch.float64) / 41
    found = torch.from_numpy(run(52, first_step=0).state.values).reshape(2, 26, 3, 41)
    for trajectory in found:
        background = 0.25 * (1 + torch.cos(2 * torch.pi * (x - 0.25))) + perturbations(generator, (), 41, **errors)
        members = background + perturbations(generator, (12,), 41, **errors)
        along = integrate(system, members.unsqueeze(-2), dt=0.004, steps=25).squeeze(-2)
        scales = torch.tensor([0.5, 0.005**2, 0.1**2 / 2], dtype=torch.float64).unsqueeze(-1)
        torch.testing.assert_close(trajectory, moments(along) / scales, rtol=1e-12, atol=1e-12)


def test_what_cannot_be_run_is_told():
    with pytest.raises(ValidationError, match="last_step is 3, before first_step, 4"):
        BurgersUncertaintySimulation.Options(first_step=4, last_step=3)
    with pytest.raises(FetchError, match="burgers_uncertainty: the ensemble leaves the numbers; take a smaller dt"):
        run(200, dt=1.0, last_step=200)
