"""The true equations: the forcing of one scale may be that of another source."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.models.registry import MODELS
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import RK4, integrate

MODEL = MODELS.get("known_dynamics")


@pytest.mark.parametrize(("given", "used"), [({}, 8.0), ({"forcing": 10.0}, 10.0), ({"forcing": 0.0}, 0.0)])
def test_the_forcing_is_the_one_given_or_that_of_the_simulation(given, used):
    options = MODEL.Options(system="lorenz96", **given)
    network = MODEL.build(options, shape=(6,), step=0.05, mean=2.0, scale=3.0).double()
    states = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = integrate(Lorenz96(used), 3.0 * states + 2.0, dt=0.05, steps=1, scheme=RK4)[-1]
    torch.testing.assert_close(3.0 * network.advance(states, None)[0] + 2.0, expected)


@pytest.mark.parametrize("system", ["lorenz63", "shallow_water"])
def test_a_forcing_of_equations_without_one_is_refused(system):
    with pytest.raises(ValidationError, match=f"{system} has no forcing to choose; leave it out"):
        MODEL.Options(system=system, forcing=10.0)
