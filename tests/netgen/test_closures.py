"""Unknowns are found again from data that a system with known ones has made."""

from __future__ import annotations

import math

import pytest
import sympy as sp
import torch
from torch import nn

from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.schemes import RK4

DT = 0.002
TRUTH = {"a": 0.9, "b": 0.7, "c": -1.6}


def states(count: int, size: int) -> torch.Tensor:
    """Smooth positive variances and lengths of the size that Burgers forecasts have, shape (count, 3, size)."""
    generator = torch.Generator().manual_seed(1)
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    waves = torch.stack([torch.cos(n * angle) for n in (1, 2, 3)] + [torch.sin(n * angle) for n in (1, 2, 3)])
    weights = torch.randn(count, 3, 6, dtype=torch.float64, generator=generator) / 4
    u, log_variance, log_nu = (weights @ waves).unbind(1)
    return torch.stack((0.25 + u / 4, 2.5e-5 * log_variance.exp(), 2e-3 * log_nu.exp()), 1)


def trained(module: nn.Module, start: torch.Tensor, after: torch.Tensor) -> nn.Module:
    """Fit one step, every field by its own scale: variances are a millionth of velocities."""
    scale = (after - start).pow(2).mean((0, 2), keepdim=True).sqrt()
    optimiser = torch.optim.LBFGS(module.parameters(), max_iter=100, tolerance_change=0, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = ((RK4(module, start, 0.0, DT) - after) / scale).pow(2).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return module


@pytest.fixture(scope="module")
def pairs():
    system, _ = read_system(find_system("burgers_uncertainty"))
    start = states(16, 48)
    with torch.no_grad():
        return start, RK4(build(system, (48,), **TRUTH), start, 0.0, DT)


@pytest.mark.parametrize("seed", [0, 1])
def test_unknown_numbers(pairs, seed):
    system, _ = read_system(find_system("burgers_uncertainty"))
    first = torch.randn(3, generator=torch.Generator().manual_seed(seed)).tolist()
    module = trained(build(system, (48,), **dict(zip("abc", first, strict=True))), *pairs)
    found = {name: value.item() for name, value in module.named_parameters()}
    assert found == pytest.approx(TRUTH, abs=1e-6)


def test_an_unknown_function(pairs):
    """The same moment as a network of three weights that sees nu and its derivatives."""
    known, _ = read_system(find_system("burgers_uncertainty"))
    (x,), D = known.axes, sp.Derivative
    nu, kappa, moment = known.fields[2], *known.constants, sp.Function("moment")
    call = moment(D(nu, x, 2) / nu**2, 1 / nu**2, D(nu, x) ** 2 / nu**3)
    closed = dict.fromkeys(known.trainable, 0)
    last = known.equations[2].rhs.subs(closed) + 4 * kappa * nu**2 * call
    equations = [*known.equations[:2], sp.Eq(known.equations[2].lhs, last)]
    system = System("closed", known.coordinates, equations, constants=known.constants, closures=[moment])
    torch.manual_seed(0)
    module = build(system, (48,), moment=nn.Conv1d(3, 1, 1, bias=False).double())
    weights = trained(module, *pairs).moment.weight.flatten().tolist()
    assert weights == pytest.approx(list(TRUTH.values()), abs=1e-6)
