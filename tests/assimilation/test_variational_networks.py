"""Learned priors and solvers: parameter counts, what the equations say, symmetry, gradients through unrolled steps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pipeline_lib.assimilation.minimisation import gradient_descent
from pipeline_lib.errors import ConfigError
from pipeline_lib.models.state_networks import LorenzEquations
from pipeline_lib.models.variational_networks import (
    DirectNetwork,
    FixedPoint,
    GradientNetwork,
    GradientSolver,
    Lorenz96Stencils,
    OdePrior,
    TwoScalePrior,
)
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import integrate

SITES, TIMES = 8, 12


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def lorenz96_solver(iterations: int = 3, *, dropout: float = 0.0) -> GradientSolver:
    network = GradientNetwork(SITES, hidden=5, dropout=dropout, ring=True)
    return GradientSolver(OdePrior(Lorenz96Stencils(2.0, 4.0), 0.05), network, iterations=iterations).double()


def solvers() -> dict[str, nn.Module]:
    """One of each kind, on components and on a ring."""
    made: dict[str, nn.Module] = {}
    for ring in (False, True):
        prior = TwoScalePrior(SITES, features=3, kernel=5, ring=ring)
        made[f"solver-{ring}"] = GradientSolver(prior, GradientNetwork(SITES, hidden=4, ring=ring), iterations=3)
        made[f"fixed-{ring}"] = FixedPoint(prior, iterations=3)
        made[f"direct-{ring}"] = DirectNetwork(SITES, features=4, kernel=5, ring=ring)
    return {"ode": lorenz96_solver(), **{name: model.double() for name, model in made.items()}}


def window(batch: int = 2, sites: int = SITES, times: int = TIMES):
    """First guess, values, mask."""
    generator = torch.Generator().manual_seed(3)
    start, values = torch.randn(2, batch, sites, times, dtype=torch.float64, generator=generator)
    return start, values, torch.rand(batch, sites, times, generator=generator) < 0.3


# Counts.


def test_the_published_count_of_the_lorenz96_solver():
    """1,117 values: cell 1,100, output 5, stencils and forcing 9, weights of two terms and of one channel 3."""
    solver = GradientSolver(
        OdePrior(Lorenz96Stencils(0.0, 1.0), 0.05), GradientNetwork(40, hidden=5, ring=True), iterations=20
    )
    assert parameters(solver) == 1117
    assert parameters(solver.prior) == 9


def test_the_count_of_the_lorenz63_cell():
    """Twenty-five hidden channels: 8,575 values."""
    assert parameters(GradientNetwork(3, hidden=25)) == 8575


def test_the_two_scale_prior_has_the_layers_it_says():
    branch = 3 * 60 * 11 + 60 * 30 + 3 * 30 * 30
    assert parameters(TwoScalePrior(3, features=30)) == (branch + 60 * 3) + (branch + 60 * 30 + 30 * 3 * 4)
    assert parameters(OdePrior(LorenzEquations((10.0, 28.0, 8 / 3), 0.0, 1.0), 0.01)) == 3


# Priors.


@pytest.mark.parametrize(
    ("system", "tendency", "size", "step"),
    [
        (Lorenz96(), Lorenz96Stencils(2.0, 4.0), 12, 0.05),
        (Lorenz63(), LorenzEquations((10.0, 28.0, 8 / 3), 2.0, 4.0), 3, 0.01),
    ],
)
def test_the_equations_are_a_fixed_point_of_their_own_prior(system, tendency, size, step):
    start = torch.randn(2, size, dtype=torch.float64)
    trajectory = (integrate(system, start, dt=step, steps=9).permute(1, 2, 0) - 2.0) / 4.0
    prior = OdePrior(tendency.double(), step)
    # Parameters are set in single precision.
    torch.testing.assert_close(prior(trajectory), trajectory, rtol=0, atol=1e-6)
    wrong = trajectory.clone()
    wrong[:, 0, 4] += 1.0
    assert (prior(wrong) - wrong)[:, 0, 4].abs().min() > 0.5
    assert (prior(wrong) - trajectory)[:, :, :5].abs().max() < 1e-6


@pytest.mark.parametrize("ring", [False, True])
def test_the_two_scale_prior_is_the_sum_of_its_branches(ring):
    """The layers by einsum and explicit windows, at one place."""
    prior = TwoScalePrior(SITES, features=3, kernel=3, ring=ring).double()
    x = torch.randn(1, SITES, 8, dtype=torch.float64)
    image = x.unsqueeze(1) if ring else x.unsqueeze(2)
    pooled = image.reshape(*image.shape[:3], 2, 4).mean(-1)

    def branch(module, field, site, time):
        rows = [(site + d) % field.shape[2] for d in (-1, 0, 1)] if ring else [0]
        padded = torch.cat((0 * field[..., :1], field, 0 * field[..., :1]), -1)[0][:, rows, time : time + 3]
        wide = torch.einsum("oirt,irt->o", module.wide.weight, padded).relu()
        mix = lambda layer, v: layer.weight[:, :, 0, 0] @ v  # noqa: E731
        inner = mix(module.narrow, wide)
        terms = torch.cat((mix(module.linear, inner), mix(module.left, inner) * mix(module.right, inner)))
        return mix(module.out, terms)

    site, time = (5, 6) if ring else (0, 6)
    coarse = torch.einsum("i,io->o", branch(prior.coarse, pooled, site, 1), prior.spread.weight[:, :, 0, 2])
    expected = branch(prior.fine, image, site, time) + coarse
    found = prior(x)[0, 5:6, 6] if ring else prior(x)[0, :, 6]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("times", [1, 2, 7, 30])
def test_the_coarse_branch_averages_over_what_is_left_at_the_end(times, ring):
    """Windows of any length: as if the last average over four times were that of the times there are."""
    prior = TwoScalePrior(SITES, features=3, kernel=3, ring=ring).double()
    x = torch.randn(2, SITES, times, dtype=torch.float64)
    missing = -times % 4
    left = x[..., times - times % 4 :].mean(-1, keepdim=True) if missing else x[..., :0]
    padded = torch.cat((x, left.expand(-1, -1, missing)), -1)
    image = lambda t: t.unsqueeze(1) if ring else t.unsqueeze(2)  # noqa: E731
    coarse = prior.spread(prior.coarse(image(padded.reshape(2, SITES, -1, 4).mean(-1))))[..., :times]
    expected = prior.fine(image(x)) + coarse
    torch.testing.assert_close(image(prior(x)), expected, rtol=0, atol=1e-12)


# The solver.


def recursion(solver, start, values, mask, rms=None):
    """The steps written out, with the gradient by torch's functional interface; ``rms`` may be given from outside."""
    size = SITES * start.shape[-1]
    state, memory = start, None
    for _ in range(solver.iterations):

        def cost(x):
            misfit = solver.observed_weight**2 * ((x - values)[mask] ** 2).sum()
            return solver.channel_weights**2 * (misfit + solver.prior_weight**2 * ((x - solver.prior(x)) ** 2).sum())

        gradient = torch.autograd.functional.jacobian(cost, state, create_graph=True).reshape(state.shape) / size
        if rms is None:
            rms = gradient.detach().pow(2).mean((1, 2), keepdim=True).sqrt()
        step, memory = solver.network(gradient / rms, memory)
        state = state - step / solver.iterations
    return state, rms


def test_the_solver_takes_the_steps_it_says():
    solver = lorenz96_solver(3).eval()
    torch.testing.assert_close(solver(*window()), recursion(solver, *window())[0], rtol=0, atol=1e-11)


def test_the_cell_is_that_of_an_lstm():
    """With the kernel's other taps zero, each place has torch's own cell to itself."""
    network = GradientNetwork(SITES, hidden=5, ring=True).double().eval()
    cell = nn.LSTMCell(1, 5).double()
    order = [0, 1, 3, 2]  # torch: input, forget, content, output
    arranged = lambda t: torch.cat([t.chunk(4)[i] for i in order])  # noqa: E731
    with torch.no_grad():
        centre = network.gates.weight[:, :, 1, 1].clone()
        network.gates.weight.zero_()
        network.gates.weight[:, :, 1, 1] = centre
        cell.weight_ih.copy_(arranged(centre[:, :1]))
        cell.weight_hh.copy_(arranged(centre[:, 1:]))
        cell.bias_ih.copy_(arranged(network.gates.bias))
        cell.bias_hh.zero_()
    memory = reference = None
    for _ in range(3):
        gradient = torch.randn(2, SITES, TIMES, dtype=torch.float64)
        step, memory = network(gradient, memory)
        reference = cell(gradient.reshape(-1, 1), reference)
        expected = (reference[0] @ network.out.weight[0, :, 0, 0]).reshape(gradient.shape)
        torch.testing.assert_close(step, expected, rtol=0, atol=1e-12)


def test_gradients_through_the_unrolled_solver():
    """Those of the solver are those of the recursion, and those are right by finite differences.

    The scale of the first gradient is a constant to the solver, and so it is here.
    """
    solver = lorenz96_solver(2).eval()
    start, values, mask = window(1, times=4)
    inputs = [start.requires_grad_(), values.requires_grad_(), *solver.parameters()]
    written, rms = recursion(solver, start, values, mask)
    found, expected = (torch.autograd.grad(x.pow(3).sum(), inputs) for x in (solver(start, values, mask), written))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
    assert all(g.abs().max() > 1e-8 for g in found)
    names = [name for name, _ in solver.named_parameters()]

    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.solver = solver

        def forward(self, start, values):
            return recursion(self.solver, start, values, mask, rms)[0]

    def work(start, values, *weights):
        changed = {f"solver.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return torch.func.functional_call(Written(), changed, (start, values))

    assert torch.autograd.gradcheck(work, inputs, fast_mode=True)


def test_without_gradients_it_gives_the_same_and_keeps_nothing():
    solver, given = lorenz96_solver().eval(), window()
    with torch.no_grad():
        found = solver(*given)
    assert not found.requires_grad
    expected = solver(*given)
    assert expected.requires_grad
    assert torch.equal(found, expected)


def test_inference_mode_is_refused_in_one_line():
    solver, given = lorenz96_solver().eval(), window()
    with torch.inference_mode():
        made_there = window()
        with pytest.raises(RuntimeError, match="no_grad"):
            solver(*given)
    with pytest.raises(RuntimeError, match="no_grad"):
        solver(*made_there)


def test_the_scale_of_the_cost_does_not_matter():
    """The first gradient is divided by its own size: ten times the cost, the same answer."""
    solver, given = lorenz96_solver().eval(), window()
    expected = solver(*given)
    with torch.no_grad():
        solver.observed_weight.mul_(10**0.5)
        solver.prior_weight.mul_(10**0.5)
    torch.testing.assert_close(solver(*given), expected, rtol=0, atol=1e-12)


def test_at_the_minimum_nothing_becomes_nan():
    solver = lorenz96_solver().eval()
    rest = torch.full((1, SITES, TIMES), (8.0 - 2.0) / 4.0, dtype=torch.float64)
    assert torch.isfinite(solver(rest, rest, torch.ones_like(rest) > 0)).all()


def test_dropout_works_in_training_only():
    solver, given = lorenz96_solver(dropout=0.5), window()
    assert not torch.equal(solver.train()(*given), solver(*given))
    assert torch.equal(solver.eval()(*given), solver(*given))


def test_training_lowers_the_error():
    """The least to ask of a learned solver: to beat descent with as many steps, on what it was trained on."""
    solver = lorenz96_solver(5)
    start, values, mask = window(4)
    truth = values
    optimiser = torch.optim.Adam(solver.parameters(), lr=2e-2)
    errors = []
    for _ in range(40):
        loss = (solver(start, values, mask) - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in solver.parameters())
        optimiser.step()
        errors.append(float(loss.detach()))
    cost = lorenz96_solver().cost(values, mask)
    plain = gradient_descent(cost, start, step=10.0, iterations=5)
    assert errors[-1] < 0.8 * errors[0]
    assert errors[-1] < float((plain - truth).square().mean())


def lorenz96_windows(count: int, *, seed: int):
    """True windows of the Lorenz 1996 system, and first guess, values and mask where three in ten are observed."""
    generator = torch.Generator().manual_seed(seed)
    start = 8 + torch.randn(count, SITES, dtype=torch.float64, generator=generator)
    states = integrate(Lorenz96(), start, dt=0.05, steps=100 + TIMES)[-TIMES:]
    truth = (states.permute(1, 2, 0) - 2.0) / 4.0
    mask = torch.rand(truth.shape, generator=generator) < 0.3
    values = truth + 0.1 * torch.randn(truth.shape, dtype=torch.float64, generator=generator)
    return truth, (torch.where(mask, values, 0.0), values, mask)


def along_the_way(solver: GradientSolver, truth, given) -> tuple[list[float], list[float]]:
    """Mean cost and mean squared error of windows before each step of a solver and after the last."""
    states = []
    hook = solver.prior.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0].detach()))
    with torch.no_grad():
        last = solver.eval()(*given)
        hook.remove()
        cost = solver.cost(*given[1:])
        pairs = [(float(cost(x).mean()), float((x - truth).square().mean())) for x in (*states, last)]
    costs, errors = zip(*pairs, strict=True)
    assert len(costs) == solver.iterations + 1
    return list(costs), list(errors)


def test_after_a_short_training_steps_lower_cost_and_error_of_windows_never_seen():
    """The loss is the error of the last state alone: that the cost falls on the way there is what it has learned."""
    solver = lorenz96_solver(5)
    fresh = lorenz96_windows(16, seed=2)
    costs, _ = along_the_way(solver, *fresh)
    assert costs[-1] > 0.7 * costs[0]
    truth, given = lorenz96_windows(8, seed=1)
    optimiser = torch.optim.Adam(solver.train().parameters(), lr=2e-2)
    for _ in range(30):
        optimiser.zero_grad()
        (solver(*given) - truth).square().mean().backward()
        optimiser.step()
    costs, errors = along_the_way(solver, *fresh)
    assert costs[-1] < 0.5 * costs[0]
    assert costs[0] > costs[1] > costs[2] > costs[3]
    assert all(later < earlier for earlier, later in pairwise(errors))


# All kinds.


@pytest.mark.parametrize("name", solvers())
def test_a_window_does_not_depend_on_its_batch(name):
    model, given = solvers()[name].eval(), window(3)
    together = model(*given)
    assert together.shape == given[0].shape
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], model(*(t[i : i + 1] for t in given)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["ode", "solver-True", "fixed-True", "direct-True"])
def test_a_ring_has_no_first_site(name):
    model, given = solvers()[name].eval(), window()
    found = model(*(t.roll(3, 1) for t in given))
    torch.testing.assert_close(found, model(*given).roll(3, 1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["solver-False", "fixed-False", "direct-False"])
def test_components_are_told_apart(name):
    model, given = solvers()[name].eval(), window()
    assert (model(*(t.roll(3, 1) for t in given)) - model(*given).roll(3, 1)).abs().max() > 1e-6


@pytest.mark.parametrize("name", solvers())
def test_what_is_not_observed_may_hold_anything(name):
    model, (start, values, mask) = solvers()[name].eval(), window()
    expected = model(start, values, mask)
    for hole in (1e6, torch.nan):
        assert torch.equal(model(start, torch.where(mask, values, hole), mask), expected)
    assert (model(start, values + 1.0, mask) - expected).abs().max() > 1e-4


@pytest.mark.parametrize("name", solvers())
def test_single_precision(name):
    model, (start, values, mask) = solvers()[name].eval(), window()
    expected = model(start, values, mask)
    found = model.float()(start.float(), values.float(), mask)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)


def test_the_fixed_point_is_the_prior_on_what_is_known():
    prior = TwoScalePrior(SITES, features=3, kernel=5).double()
    start, values, mask = window()
    first = prior(torch.where(mask, values, start))
    torch.testing.assert_close(FixedPoint(prior, iterations=1)(start, values, mask), first)
    second = prior(torch.where(mask, values, first))
    torch.testing.assert_close(FixedPoint(prior, iterations=2)(start, values, mask), second)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwoScalePrior(3, features=2, kernel=4), "must be odd"),
        (lambda: TwoScalePrior(5, features=2, kernel=11, ring=True), "no wider than a ring .*5 components"),
        (lambda: DirectNetwork(3, features=2, kernel=4), "must be odd"),
        (lambda: DirectNetwork(5, features=2, kernel=7, ring=True), "no wider than a ring"),
        (lambda: GradientNetwork(2, hidden=2, ring=True), "no wider than a ring"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
