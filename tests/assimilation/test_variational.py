"""Variational methods against closed forms and normal equations, their gradients, and their minimisers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen

from pipeline_lib.assimilation.interpolation import interpolate
from pipeline_lib.assimilation.minimisation import gradient_descent, lbfgs
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.variational import (
    StrongConstraint,
    WeakConstraint,
    flow_prior,
    strong_constraint,
    three_d_var,
)
from pipeline_lib.solvers.lorenz63 import Lorenz63
from tests.assimilation.linear_gaussian import (
    COMPONENTS,
    DYNAMICS,
    MODEL_ERROR,
    PRIOR,
    PRIOR_MEAN,
    VARIANCE,
    forecast,
    kalman,
    problem,
)
from tests.assimilation.twins import observe, ode_forecast

MEAN, COVARIANCE = torch.from_numpy(PRIOR_MEAN), torch.from_numpy(PRIOR)
SHORT = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
"""Takes the second component's variance away."""


def windows(count: int) -> Observations:
    """Independent problems in one batch."""
    each = [problem(seed=seed) for seed in range(count)]
    stacked = [torch.stack(t) for t in zip(*[(o.values, o.errors, o.seen) for o in each], strict=True)]
    return Observations(stacked[0], stacked[1], torch.tensor(COMPONENTS), stacked[2])


# 4D-Var with an exact model.


def test_four_d_var_is_the_kalman_smoother():
    found, unfinished = strong_constraint(forecast, MEAN, COVARIANCE, windows(4))
    assert unfinished.tolist() == [False] * 4
    for seed in range(4):
        expected = kalman(problem(seed=seed), 0 * MODEL_ERROR)[1].means
        np.testing.assert_allclose(found[seed], expected, rtol=0, atol=1e-5)


def test_four_d_var_starts_where_it_is_told_and_a_convex_cost_does_not_mind():
    start = torch.randn(4, len(MEAN), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, _ = strong_constraint(forecast, MEAN, COVARIANCE, windows(4), start=start)
    expected, _ = strong_constraint(forecast, MEAN, COVARIANCE, windows(4))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    unmoved, _ = strong_constraint(forecast, MEAN, COVARIANCE, windows(4), start=start, iterations=0)
    torch.testing.assert_close(unmoved[:, 0], start)


def test_a_window_that_grows_ends_in_the_minimum_of_the_truth_and_a_long_one_in_another():
    """Lorenz 1963 over 1.8 units of time, its first component seen every 0.09 with a variance of 2."""
    dynamics = ode_forecast(Lorenz63(), dt=0.03)
    states = [torch.tensor([[5.8457, 8.7752, 18.8368]], dtype=torch.float64)]
    for _ in range(59):
        states.append(dynamics(states[-1]))
    truth = torch.stack(states, -2)
    seen = observe(truth, every=3, variance=2.0, components=[0], generator=torch.Generator().manual_seed(1))
    climate = torch.tensor([0.0, 0.0, 23.5], dtype=torch.float64)
    spread = torch.tensor([[63.0, 63.0, 0.0], [63.0, 80.0, 0.0], [0.0, 0.0, 72.0]], dtype=torch.float64)
    start = interpolate(seen, 3, fill=climate)[..., 0, :]

    def error(stages: int) -> float:
        found, _ = strong_constraint(dynamics, climate, spread, seen, start=start, iterations=40, stages=stages)
        return float((found - truth).square().mean())

    assert error(1) > 10
    assert error(3) < 2


def test_a_convex_cost_does_not_mind_how_its_window_grows():
    expected, _ = strong_constraint(forecast, MEAN, COVARIANCE, windows(4))
    found, unfinished = strong_constraint(forecast, MEAN, COVARIANCE, windows(4), stages=3)
    assert not unfinished.any()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def lorenz_cost(window: int = 16, *, batch: int = 1) -> StrongConstraint:
    generator = torch.Generator().manual_seed(0)
    values = 5 * torch.randn(batch, window, 1, dtype=torch.float64, generator=generator)
    background = torch.tensor([8.0, 0.0, 30.0], dtype=torch.float64).expand(batch, -1)
    observations = Observations(values, 2.0, torch.tensor([0]))
    root = 2**0.5 * torch.eye(3, dtype=torch.float64)
    return StrongConstraint(ode_forecast(Lorenz63(), dt=0.01), background, root, observations)


def test_the_adjoint_of_autograd_is_the_slope_of_the_cost():
    cost = lorenz_cost()
    control = torch.tensor([[0.3, -0.2, 0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cost, control)
    assert torch.autograd.gradgradcheck(cost, control)


def test_the_cost_is_the_formula():
    cost, control = lorenz_cost(), torch.tensor([[0.3, -0.2, 0.5]], dtype=torch.float64)
    states = cost.trajectory(control)[0].numpy()
    np.testing.assert_allclose(states[0], np.array([8.0, 0.0, 30.0]) + np.sqrt(2) * control[0].numpy())
    misfit = ((cost.observations.values[0, :, 0].numpy() - states[:, 0]) ** 2).sum() / 2
    assert float(cost(control)) == pytest.approx(0.5 * float((control**2).sum()) + 0.5 * misfit, rel=1e-14)


def test_four_d_var_of_lorenz_finds_what_scipy_finds():
    cost = lorenz_cost()
    found, _ = lbfgs(cost, torch.zeros(1, 3, dtype=torch.float64), iterations=100, tolerance=1e-9)
    reference = minimize(lambda v: float(cost(torch.from_numpy(v[None]))), np.zeros(3), method="BFGS", tol=1e-9)
    np.testing.assert_allclose(found[0], reference.x, rtol=0, atol=1e-5)


# 3D-Var.


@pytest.mark.parametrize("seed", range(4))
def test_three_d_var_is_the_kalman_analysis_with_one_covariance(seed):
    observations = problem(seed=seed)
    background = PRIOR + 0.2  # the observed components must know of each other
    found = three_d_var(forecast, MEAN, observations, torch.from_numpy(background))
    state = PRIOR_MEAN
    for time in range(observations.steps):
        state = DYNAMICS @ state if time else state
        seen = observations.seen[time].numpy()
        operator, error = np.eye(3)[COMPONENTS][seen], np.diag(observations.errors[time].numpy()[seen])
        gain = background @ operator.T @ np.linalg.inv(operator @ background @ operator.T + error)
        state = state + gain @ (observations.values[time].numpy()[seen] - operator @ state)
        np.testing.assert_allclose(found[time], state, rtol=0, atol=1e-12)


def test_three_d_var_minimises_its_cost():
    seen = Observations(torch.tensor([[0.4, -1.0]], dtype=torch.float64), VARIANCE, torch.tensor(COMPONENTS))
    analysis = three_d_var(forecast, MEAN, seen, COVARIANCE)
    found, _ = strong_constraint(forecast, MEAN, COVARIANCE, seen)
    torch.testing.assert_close(analysis, found, rtol=0, atol=1e-6)


def test_three_d_var_over_a_batch():
    found = three_d_var(forecast, MEAN, windows(3), COVARIANCE)
    for seed in range(3):
        torch.testing.assert_close(found[seed], three_d_var(forecast, MEAN, problem(seed=seed), COVARIANCE))


# 4D-Var with a model that may err.

OBSERVED, TRUSTED = 0.7, 1.3


def weak(observations: Observations) -> WeakConstraint:
    values, mask = observations.on_state(3)
    return WeakConstraint(values, mask, flow_prior(forecast), OBSERVED, TRUSTED)


def normal_equations(observations: Observations) -> np.ndarray:
    """The minimum of the quadratic cost as one least squares problem; the smallest among equals is never needed."""
    steps = observations.steps
    mask = np.zeros((steps, 3))
    values = np.zeros((steps, 3))
    mask[:, COMPONENTS] = observations.seen.numpy()
    values[:, COMPONENTS] = np.where(observations.seen, observations.values, 0.0)
    misfit = OBSERVED * np.diag(mask.ravel())
    model = np.eye(3 * steps)
    for time in range(1, steps):
        model[3 * time : 3 * time + 3, 3 * time - 3 : 3 * time] = -DYNAMICS
    model[:3] = 0.0
    matrix = np.vstack([misfit, TRUSTED * model])
    right = np.concatenate([misfit @ values.ravel(), np.zeros(3 * steps)])
    solution, _, rank, _ = np.linalg.lstsq(matrix, right, rcond=None)
    assert rank == 3 * steps
    return solution.reshape(steps, 3)


def test_the_minimum_of_weak_four_d_var_solves_the_normal_equations():
    cost = weak(windows(3))
    start = torch.zeros(3, 6, 3, dtype=torch.float64)
    found, unfinished = lbfgs(cost, start, iterations=300, tolerance=1e-10)
    assert not unfinished.any()
    for seed in range(3):
        np.testing.assert_allclose(found[seed], normal_equations(problem(seed=seed)), rtol=0, atol=1e-6)


def test_descent_with_a_fixed_step_gets_there_slowly():
    cost, start = weak(windows(2)), torch.zeros(2, 6, 3, dtype=torch.float64)
    expected = np.stack([normal_equations(problem(seed=seed)) for seed in range(2)])
    errors = [
        float((gradient_descent(cost, start, step=2.0, iterations=n) - torch.from_numpy(expected)).abs().max())
        for n in (10, 100, 2000)
    ]
    assert errors[0] > 2 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-4


def test_the_weak_cost_is_the_formula():
    cost = weak(problem())
    states = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, (y, mask) = states.numpy(), (t.numpy() for t in problem().on_state(3))
    expected = np.vstack([x[:1], x[:-1] @ DYNAMICS.T])
    by_hand = (OBSERVED**2 * ((x - y) * mask) ** 2 + TRUSTED**2 * (x - expected) ** 2).sum() / 18
    assert float(cost(states)) == pytest.approx(by_hand, rel=1e-13)


def test_what_is_not_observed_does_not_matter_to_the_weak_cost():
    values, mask = problem().on_state(3)
    states = torch.ones(6, 3, dtype=torch.float64, requires_grad=True)
    costs = [
        WeakConstraint(torch.where(mask, values, hole), mask, flow_prior(forecast))(states)
        for hole in (0.0, 1e30, torch.nan)
    ]
    assert costs[0] == costs[1] == costs[2]
    (gradient,) = torch.autograd.grad(costs[2], states)
    assert torch.isfinite(gradient).all()


def test_gradients_of_the_weak_cost_reach_weights():
    inputs = [torch.rand(4, 3, dtype=torch.float64), *(torch.tensor(w, dtype=torch.float64) for w in (0.7, 1.3))]
    values, mask = problem(4).on_state(3)
    work = lambda x, a, b: WeakConstraint(values, mask, flow_prior(forecast), a, b)(x)  # noqa: E731
    assert torch.autograd.gradcheck(work, [t.requires_grad_() for t in inputs])


# Minimisers.


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def starts(count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 2 * torch.rand(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).to(dtype) - 0.5


def test_the_valley_of_rosenbrock():
    """In at most twice the steps of scipy."""
    reference = [minimize(rosen, x, method="L-BFGS-B", tol=1e-9).nit for x in starts(6).numpy()]
    found, unfinished = lbfgs(rosenbrock, starts(6), iterations=2 * max(reference) - 1, tolerance=1e-9)
    assert not unfinished.any()
    torch.testing.assert_close(found, torch.ones(6, 4, dtype=torch.float64), rtol=0, atol=1e-6)


def test_problems_of_a_batch_know_nothing_of_each_other():
    together, _ = lbfgs(rosenbrock, starts(5), iterations=25)
    alone = [lbfgs(rosenbrock, start, iterations=25)[0] for start in starts(5)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-9)


def test_a_problem_at_its_minimum_stays_while_others_move():
    start = torch.stack([torch.ones(4, dtype=torch.float64), starts(1)[0]])
    found, unfinished = lbfgs(rosenbrock, start, iterations=200)
    assert torch.equal(found[0], start[0])
    assert not unfinished.any()


def test_too_few_iterations_are_told_of_those_that_need_more():
    start = torch.stack([torch.ones(4, dtype=torch.float64), *starts(2)])
    assert lbfgs(rosenbrock, start, iterations=3)[1].tolist() == [False, True, True]


def test_no_model_is_run_once_more_for_what_is_known():
    """Once for the shape, and once for each step."""
    runs = []

    def counted(x):
        runs.append(1)
        return (x**2).sum(-1)

    gradient_descent(counted, torch.ones(2, 3), step=0.1, iterations=5)
    assert len(runs) == 6
    runs.clear()
    lbfgs(counted, torch.zeros(2, 3), iterations=5)  # at rest: cost and gradient are asked for once
    assert len(runs) == 2


def test_single_precision_stops_where_nothing_is_gained():
    found, unfinished = lbfgs(rosenbrock, starts(4, torch.float32), iterations=499, tolerance=0.0)
    assert not unfinished.any()
    torch.testing.assert_close(found, torch.ones(4, 4), rtol=0, atol=1e-2)


def test_a_cost_that_curves_the_wrong_way_is_still_minimised():
    """A well in a plain: outside of it, curvature is negative."""
    well = lambda x: -torch.exp(-(x**2).sum(-1) / 2)  # noqa: E731
    found, _ = lbfgs(well, torch.tensor([[2.5, 1.0], [0.1, -3.0]], dtype=torch.float64), iterations=100)
    torch.testing.assert_close(found, torch.zeros(2, 2, dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_cost_that_becomes_infinite_is_backed_away_from():
    found, _ = lbfgs(lambda x: (x - torch.log(x)).sum(-1), torch.full((1, 1), 5.0).double(), iterations=50)
    assert float(found) == pytest.approx(1.0, abs=1e-6)


def test_a_problem_that_starts_without_a_cost_is_given_up_and_the_others_go_on():
    start = starts(5)
    start[1], start[3] = torch.nan, 1e200  # the second has an infinite cost
    found, unfinished = lbfgs(rosenbrock, start, iterations=200, tolerance=1e-9)
    assert not unfinished.any()
    assert torch.isnan(found).all(-1).tolist() == [False, True, False, True, False]
    for i in (0, 2, 4):
        alone, _ = lbfgs(rosenbrock, start[i], iterations=200, tolerance=1e-9)
        torch.testing.assert_close(found[i], alone, rtol=0, atol=1e-6)


def test_no_cost_sees_a_problem_that_was_given_up():
    """Some models refuse what is not finite."""

    def picky(x):
        if not torch.isfinite(x).all():
            raise ValueError("not a state")
        return torch.where(x[..., 0] > 5, torch.inf, 1.0) * (x**2).sum(-1)

    found, _ = lbfgs(picky, torch.tensor([[9.0, 1.0], [2.0, 1.0]]).double(), iterations=50)
    assert torch.isnan(found[0]).all()
    torch.testing.assert_close(found[1], torch.zeros(2, dtype=torch.float64), atol=1e-8, rtol=0)


def test_descent_with_a_fixed_step_that_runs_away_is_nan_and_stays_alone():
    cost = lambda x: (x**4).sum(-1)  # noqa: E731
    found = gradient_descent(cost, torch.tensor([[40.0], [0.5]]).double(), step=0.1, iterations=40)
    assert torch.isnan(found[0]).all()
    assert 0 < float(found[1]) < 0.5


def test_a_window_whose_model_blows_up_leaves_the_others_alone():
    """A start at which the trajectory overflows: strong 4D-Var of the other windows is what it is without it."""

    def explosive(states):
        return torch.where(states[..., :1].abs() > 100, torch.inf, 1.0) * forecast(states)

    start = MEAN.repeat(3, 1)
    start[1] = 1e4
    found, unfinished = strong_constraint(explosive, MEAN, COVARIANCE, windows(3), start=start)
    assert torch.isnan(found[1]).all()
    assert not unfinished.any()
    expected, _ = strong_constraint(forecast, MEAN, COVARIANCE, windows(3))
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: strong_constraint(forecast, MEAN, COVARIANCE * SHORT, problem(), start=MEAN), "is singular"),
        (lambda: lbfgs(lambda x: x.sum(0), torch.ones(2, 3), iterations=1), "costs of shape"),
        (lambda: three_d_var(forecast, MEAN, problem(), torch.ones(2)), "covariance of shape"),
        (lambda: strong_constraint(lambda x: x, MEAN[:2], 1.0, problem()), "0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
