"""Generated modules: orders of accuracy, the solvers of the same schemes, what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch

from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.advection_diffusion import AdvectionDiffusion
from pipeline_lib.solvers.burgers import FiniteVolumeBurgers
from pipeline_lib.solvers.schemes import integrate
from tests.netgen.test_source import D, f, k, line, p, random, t, u, x, y


@pytest.mark.parametrize("order", [2, 4])
def test_the_error_falls_with_the_order_in_space(order):
    right = -u * D(u, x) + k * D(u, x, 2)
    exact = sp.lambdify(x, right.subs(u, sp.sin(sp.pi * x)).doit().subs(k, 0.3), "numpy")
    errors = []
    for size in (32, 64):
        points = np.arange(size) * 2.0 / size
        found = build(line(u=right), (size,), order=order)(torch.from_numpy(np.sin(np.pi * points))[None], 0.0)
        errors.append(np.abs(found.numpy()[0] - exact(points)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def steady(order: int, size: int, force: np.ndarray, wall: tuple[float | None, float | None]) -> np.ndarray:
    """The solution of u_xx - u + f = 0 between walls at 0 and 1."""
    right = D(u, x, 2) - u + f
    system = System("steady", {x: 1.0}, [sp.Eq(D(u, t), right)], exogenous=[f], walls={x: {"u": wall}})
    module = build(system, (size,), order=order, f=torch.from_numpy(force))
    nothing = torch.zeros(1, size, dtype=torch.float64)
    matrix = torch.autograd.functional.jacobian(lambda state: module(state, 0.0), nothing).reshape(size, size)
    return torch.linalg.solve(matrix, -module(nothing, 0.0)[0]).numpy()


@pytest.mark.parametrize(
    ("order", "wall", "exact", "expected"),
    [
        (2, (1.0, 4.0), (1 + x) ** 2, 2),
        (4, (1.0, 4.0), (1 + x) ** 2, 2),
        (4, (2.0, 2.0), 2 + sp.sin(2 * sp.pi * x), 4),
        (4, (None, None), sp.cos(sp.pi * x), 4),
        (6, (None, -0.5), sp.cos(sp.pi * x / 2) - sp.Rational(1, 2), 6),
    ],
)
def test_the_order_of_solutions_between_walls(order, wall, exact, expected):
    """That of the stencils for a solution with the symmetry of the walls, and the second for any other."""
    solution, force = (sp.lambdify(x, term, "numpy") for term in (exact, exact - exact.diff(x, 2)))
    errors = []
    for size in (20, 40):
        points = (np.arange(size) + 0.5) / size
        errors.append(np.abs(steady(order, size, force(points), wall) - solution(points)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(expected, abs=0.25)


def test_the_error_falls_with_the_fourth_power_of_the_step():
    system, _ = read_system(find_system("burgers"))
    module = build(system, (40,))
    start = 0.25 * (1 + torch.cos(2 * torch.pi * torch.arange(40, dtype=torch.float64) / 40))[None]
    with torch.no_grad():
        exact, coarse, fine = (integrate(module, start, dt=1 / n, steps=n)[-1] for n in (400, 20, 40))
    ratio = float((coarse - exact).abs().max() / (fine - exact).abs().max())
    assert np.log2(ratio) == pytest.approx(4, abs=0.2)


def test_against_the_solver_of_advection_and_diffusion():
    constants = dict(zip(sp.symbols("a b k_xx k_xy k_yy"), (0.3, -0.7, 0.11, 0.04, 0.05), strict=True))
    a, b, k_xx, k_xy, k_yy = constants
    right = -a * D(p, x) - b * D(p, y) + k_xx * D(p, x, 2) + 2 * k_xy * D(p, x, y) + k_yy * D(p, y, 2)
    system = System("tracer", {y: 2.0, x: 3.0}, [sp.Eq(D(p, t), right)], constants=constants)
    state = random(2, 1, 12, 10)
    solver = AdvectionDiffusion((0.11, 0.04, 0.05), (0.3, -0.7), (3.0, 2.0))
    torch.testing.assert_close(build(system, (12, 10))(state, 0.0), solver(state, 0.0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "wall"])
def test_against_the_finite_volumes_of_burgers(boundary):
    """Its flux is a mean of both forms of the advection: a third of u u_x and two of (u^2 / 2)_x."""
    right = k * D(u, x, 2) - (D(u**2, x) + u * D(u, x)) / 3
    walls = {x: {"u": (0.0, 0.0)}} if boundary == "wall" else {}
    system = System("burgers", {x: 2.0}, [sp.Eq(D(u, t), right)], constants={k: 0.3}, walls=walls)
    state = random(3, 1, 20)
    found = build(system, (20,))(state, 0.0)
    solver = FiniteVolumeBurgers(0.3, length=2.0, boundary=boundary)
    torch.testing.assert_close(found, solver(state, 0.0), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("order", [2, 4])
def test_shallow_water_keeps_its_mass_and_without_rotation_and_drag_its_momentum_along_the_walls(order):
    system, _ = read_system(find_system("shallow_water"))
    state = random(3, 12, 14)
    trend = build(system, (12, 14), order=order, f=0.0, r=0.0)(state, 0.0)
    assert float(trend[:2].abs().mean()) > 1e-7
    assert float(trend[:2].mean((-2, -1)).abs().max()) < 1e-18
