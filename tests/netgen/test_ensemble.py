"""Ensembles and their moments against closed forms; unknowns of the Burgers system from ensembles."""

from __future__ import annotations

import math

import pytest
import sympy as sp
import torch
from torch import nn

from pipeline_lib.errors import TrainingError
from pipeline_lib.netgen.calibration import least_squares
from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.ensemble import moments, perturbations
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.schemes import integrate
from tests.netgen.test_closures import TRUTH, states

POINTS = 241
DT = 0.002


def test_perturbations_have_the_correlation_asked_for():
    generator = torch.Generator().manual_seed(0)
    fields = perturbations(generator, (20_000,), 40, deviation=0.3, correlation_length=0.2, length=2.0)
    covariance = fields.T @ fields / len(fields)
    distance = torch.arange(40, dtype=torch.float64) * 0.05
    distance = torch.minimum(distance, 2 - distance)
    expected = 0.09 * torch.exp(-(distance**2) / 0.08)
    for i in (0, 17):
        torch.testing.assert_close(covariance[i].roll(-i), expected, rtol=0, atol=5 * 0.09 / math.sqrt(20_000))


def test_moments_of_waves_in_all_phases():
    """m + s sqrt(2) cos(2 pi k x + phase): variance s^2, and the slope of the error has the variance of the wave's."""
    x = torch.arange(32, dtype=torch.float64) / 32 * 3
    phase = 2 * math.pi * torch.arange(12, dtype=torch.float64)[:, None] / 12
    spread = 0.5 + 0.1 * torch.cos(2 * math.pi * x / 3)
    ensemble = torch.sin(2 * math.pi * x / 3) + spread * math.sqrt(2) * torch.cos(4 * math.pi * x / 3 + phase)
    mean, variance, nu = moments(ensemble, length=3.0)
    torch.testing.assert_close(mean, torch.sin(2 * math.pi * x / 3))
    torch.testing.assert_close(variance, spread**2)
    wavenumber = math.sin(4 * math.pi / 32) / (3 / 32)  # of a centred difference
    torch.testing.assert_close(nu, torch.full_like(nu, 1 / (2 * wavenumber**2)))


def test_the_local_length_is_that_of_the_correlation():
    generator = torch.Generator().manual_seed(1)
    ensemble = perturbations(generator, (4000,), 256, deviation=2.0, correlation_length=0.05)
    _, variance, nu = moments(ensemble)
    assert variance.mean().item() == pytest.approx(4, rel=0.02)
    assert nu.mean().item() == pytest.approx(0.05**2 / 2, rel=0.02)


def test_moments_have_a_batch_and_gradients():
    ensemble = torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(moments(ensemble)[1], moments(ensemble[1]))
    assert torch.autograd.gradcheck(moments, ensemble)


def test_exact_tendencies_give_the_unknowns_back():
    system, _ = read_system(find_system("burgers_uncertainty"))
    before = states(4, 48)
    with torch.no_grad():
        after = before + DT * build(system, (48,), **TRUTH)(before, 0.0)
    assert least_squares(build(system, (48,)), before, after, DT) == pytest.approx(TRUTH, abs=1e-8)


def test_unknowns_of_burgers_from_ensembles():
    """Case B at a hundredth of its size; the whole of it is benchmarks/burgers_uncertainty.py."""
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(POINTS, dtype=torch.float64) / POINTS
    around = 0.25 * (1 + torch.cos(2 * math.pi * (x - 0.25)))
    model = build(read_system(find_system("burgers"))[0], (POINTS,))
    ensemble = around + perturbations(generator, (300,), POINTS, deviation=0.005, correlation_length=0.02)
    with torch.no_grad():
        late = integrate(model, ensemble.unsqueeze(-2), dt=DT, steps=400, every=400)[-1]
        series = moments(integrate(model, late, dt=DT, steps=20).squeeze(-2))
    unknown = build(read_system(find_system("burgers_uncertainty"))[0], (POINTS,))
    found = least_squares(unknown, series[:-1], series[1:], DT)
    # The published values from 400 times as many ensembles are 0.93, 0.752, -1.80.
    assert found["a"] == pytest.approx(0.93, abs=0.15)
    assert found["b"] == pytest.approx(0.752, abs=0.03)
    assert found["c"] == pytest.approx(-1.80, abs=0.3)


def refused() -> dict:
    x, t, a, b = sp.symbols("x t a b")
    u = sp.Function("u")(t, x)

    def module(right, **trainable):
        symbols = {sp.Symbol(name): value for name, value in trainable.items()}
        return build(System("s", {x: 1.0}, [sp.Eq(sp.Derivative(u, t), right)], trainable=symbols), (5,))

    return {
        "not linear": (module(a**2 * u, a=1.0), "not linear in its unknowns"),
        "not apart": (module((a + b) * u, a=1.0, b=1.0), "cannot tell a, b apart"),
        "no effect": (module(a * (u - u) + u, a=1.0), "say nothing about a"),
        "not finite": (module(a * sp.log(u - 2), a=1.0), "not finite"),
        "no unknown": (module(u), "single numbers"),
        "a network": (nn.Linear(5, 5).double(), "single numbers"),
    }


@pytest.mark.parametrize("name", refused())
def test_what_least_squares_cannot_do_is_refused(name):
    module, message = refused()[name]
    before = 1 + torch.arange(5, dtype=torch.float64).reshape(1, 1, 5) / 10
    with pytest.raises(TrainingError, match=message):
        least_squares(module, before, before * 1.1, 0.1)
