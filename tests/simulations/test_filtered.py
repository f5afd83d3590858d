"""Fine simulations seen through a coarse grid: equal bytes each time, and a subgrid term that closes the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.burgers import FREQUENCIES, BurgersSimulation
from pipeline_lib.simulations.quasigeostrophic import QuasiGeostrophicSimulation
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.turbulence import TurbulenceSimulation
from pipeline_lib.solvers import burgers, quasigeostrophic, turbulence
from pipeline_lib.solvers.schemes import RK4
from pipeline_lib.solvers.spectral import cut_off, truncated

SMALL = {
    "burgers": {"refinement": 4, "substeps": 4, "spin_up": 2.0},
    "quasigeostrophic": {"points": 16, "refinement": 2, "substeps": 1, "spin_up": 1.0},
    "turbulence": {"points": 5, "refinement": 2, "substeps": 1, "spin_up": 0.4},
}


def run(name, times, **options):
    simulation = SIMULATIONS.get(name)
    return simulation.run(simulation.Options(**{**SMALL[name], **options}), times=times)


@pytest.fixture(scope="module", params=SMALL)
def made(request):
    return request.param, run(request.param, 40)


def test_equal_options_give_equal_bytes_and_another_seed_another_flow(made):
    name, ds = made
    again = run(name, 40)
    for variable in ("state", "subgrid"):
        assert ds[variable].dtype == np.float64
        assert ds[variable].values.tobytes() == again[variable].values.tobytes()
        assert set(ds[variable].attrs) == {"units", "long_name"}
    other = run(name, 40, seed=1)
    assert abs(other.state - ds.state).max() > 0.1


def test_spin_up_is_left_out(made):
    name, ds = made
    dt = SIMULATIONS.get(name).Options(**SMALL[name]).dt
    later = run(name, 10, spin_up=SMALL[name]["spin_up"] + 30 * dt)
    np.testing.assert_allclose(later.state, ds.state[30:], rtol=1e-9, atol=1e-9)


def test_nothing_is_made_below_the_grid(made):
    _, ds = made
    total = ds.subgrid.sum(ds.subgrid.dims[1:])
    assert float(abs(total).max()) < 1e-11 * float(abs(ds.subgrid).sum())
    assert float(abs(ds.subgrid).max()) > 0.1


def test_the_force_of_burgers_is_the_average_of_its_waves():
    """Averages over a cell by many points of it; the seed decides phases alone, the same for all grids."""
    coarse, fine = run("burgers", 3), run("burgers", 3, cells=64, refinement=2)
    np.testing.assert_allclose(fine.state[:, 1].values.reshape(3, 32, 2).mean(-1), coarse.state[:, 1], atol=1e-12)
    hat = np.fft.rfft(coarse.state[:, 1].values, axis=1) / 32
    turned = np.angle(hat[1, 1:5] / hat[0, 1:5])
    np.testing.assert_allclose(turned, 0.05 * np.array(FREQUENCIES), rtol=1e-9)
    sizes = 0.3 * np.sinc(np.arange(1, 5) / 32)
    np.testing.assert_allclose(np.abs(hat[:, 1:5]), np.broadcast_to(sizes, (3, 4)), rtol=1e-9)
    np.testing.assert_allclose(hat[:, 5:], 0, atol=1e-12)


def test_the_subgrid_term_of_burgers_is_the_difference_of_two_fluxes():
    """Of the fine flux at the faces of coarse cells and of the coarse flux, written in numpy."""
    u = np.random.default_rng(0).standard_normal(64)

    def flux(cells):
        right, dx = np.roll(cells, -1), 2 * np.pi / len(cells)
        return (cells**2 + cells * right + right**2) / 6 - 0.04 * (right - cells) / dx

    missing = flux(u)[3::4] - flux(u.reshape(16, 4).mean(1))
    expected = -(missing - np.roll(missing, 1)) * 16 / (2 * np.pi)
    grids = [burgers.FiniteVolumeBurgers(0.04, 2 * math.pi)] * 2
    np.testing.assert_allclose(burgers.subgrid_term(*grids, torch.tensor(u), 16), expected, rtol=1e-11, atol=1e-11)


def test_a_flow_that_the_coarse_grid_holds_and_that_does_not_advect_itself_has_no_subgrid_term():
    """q = cos 5x + cos 5y, on 12 points; what advects itself has one."""
    x = 2 * math.pi / 24 * torch.arange(24, dtype=torch.float64)
    q = torch.cos(5 * x)[:, None] + torch.cos(5 * x)
    fine, coarse = (quasigeostrophic.steadily_forced((n, n), viscosity=0.1, drag=0.2, strength=3.0) for n in (24, 12))
    missing = quasigeostrophic.subgrid_term(fine, coarse, q)
    torch.testing.assert_close(missing, torch.zeros_like(missing), rtol=0, atol=1e-12)
    noise = fine.random_state(lambda k: 1 / k, torch.Generator().manual_seed(0))
    assert quasigeostrophic.subgrid_term(fine, coarse, noise).abs().max() > 0.1


@pytest.mark.parametrize("name", SMALL)
def test_with_the_exact_term_a_coarse_step_ends_where_the_filtered_fine_one_does(name):
    """The term is held over the step, so that the error falls with the square of its length."""
    if name == "burgers":
        fine = coarse = burgers.FiniteVolumeBurgers(0.04, 2 * math.pi)
        x = burgers.centres(64, 2 * math.pi)
        state = torch.sin(x) + torch.cos(2 * x + 1) + 0.3 * torch.sin(9 * x)

        def bar(field):
            return burgers.box_filtered(field, 16)

        term = burgers.subgrid_term(fine, coarse, state, 16)
    elif name == "turbulence":
        fine, coarse = (turbulence.Turbulence(n, viscosity=0.02, diffusivity=0.02, forcing=0.3) for n in (12, 6))
        spectrum = lambda k: k**-1.0  # noqa: E731
        state = fine.random_state(spectrum, torch.Generator().manual_seed(0), scalars=[spectrum])

        def bar(field):
            return truncated(field, (6, 6, 6))

        term = turbulence.subgrid_term(fine, coarse, state)
    else:
        fine, coarse = (
            quasigeostrophic.steadily_forced((n, n), viscosity=1e-3, drag=0.1, strength=3.0) for n in (32, 16)
        )
        state = fine.random_state(lambda k: k**-3.0, torch.Generator().manual_seed(0))

        def bar(field):
            return cut_off(field, (16, 16))

        term = quasigeostrophic.subgrid_term(fine, coarse, state)

    def error(dt, closed):
        end = RK4(lambda u, t: coarse(u, t) + closed * term, bar(state), 0.0, dt)
        return float((end - bar(RK4(fine, state, 0.0, dt))).abs().max())

    assert error(1e-3, 1.0) < 0.05 * error(1e-3, 0.0)
    assert error(1e-3, 1.0) / error(5e-4, 1.0) == pytest.approx(4, rel=0.1)
    assert error(1e-3, 0.0) / error(5e-4, 0.0) == pytest.approx(2, rel=0.1)


def test_what_cannot_be_simulated_is_told():
    with pytest.raises(FetchError, match="burgers: the velocity leaves the numbers; take more substeps"):
        BurgersSimulation.run(BurgersSimulation.Options(substeps=1), times=200)
    with pytest.raises(FetchError, match=r"burgers.frequencies: 8 cells do not hold 4 waves"):
        BurgersSimulation.run(BurgersSimulation.Options(cells=8), times=2)
    with pytest.raises(FetchError, match="turbulence: the velocity leaves the numbers; take more substeps"):
        TurbulenceSimulation.run(TurbulenceSimulation.Options(points=5, refinement=1, dt=2.0, substeps=1), times=20)
    with pytest.raises(FetchError, match="quasigeostrophic: the vorticity leaves the numbers; take more substeps"):
        QuasiGeostrophicSimulation.run(
            QuasiGeostrophicSimulation.Options(points=16, refinement=2, dt=2.0, substeps=1), times=60
        )
