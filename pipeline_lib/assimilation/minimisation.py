"""Minimisers for many independent problems at once: each has its own steps and stops on its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Cost = Callable[[Tensor], Tensor]
"""Takes states ``(*batch, ...)`` to one number each, ``batch``; a problem's number depends on its own state only."""

SUFFICIENT = 1e-4
"""Share of the decrease expected from the slope that a step must bring (Nocedal & Wright 2006, section 3.1)."""
HALVINGS = 30
"""A step shorter than 1e-9 of the proposed one changes nothing that counts."""
PAIRS = 10
"""Steps that L-BFGS remembers: between the 3 and 20 that Nocedal & Wright (2006, section 7.2) recommend."""


class _Problems:
    """Costs and gradients of problems with states laid out as rows."""

    def __init__(self, cost: Cost, start: Tensor) -> None:
        self._cost, self._shape = cost, start.shape
        with torch.no_grad():
            self.batch = cost(start).shape
        if start.shape[: len(self.batch)] != self.batch:
            raise ValueError(f"costs of shape {tuple(self.batch)} for states of shape {tuple(start.shape)}")

    def rows(self, state: Tensor) -> Tensor:
        return state.detach().reshape(self.batch.numel(), -1)

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return costs ``(problems,)`` and gradients ``(problems, numbers)``."""
        with torch.enable_grad():
            state = rows.detach().reshape(self._shape).requires_grad_()
            cost = self._cost(state)
            (gradient,) = torch.autograd.grad(cost.sum(), state)
        return cost.detach().reshape(-1), self.rows(gradient)

    def found(self, rows: Tensor, value: Tensor) -> Tensor:
        """Return the states in the shape of the start; NaN where they or the last cost that is known are not finite."""
        finite = torch.isfinite(value).unsqueeze(-1) & torch.isfinite(rows).all(-1, keepdim=True)
        return torch.where(finite, rows, torch.nan).reshape(self._shape)


def gradient_descent(cost: Cost, start: Tensor, *, step: float, iterations: int) -> Tensor:
    """Minimise by steps of one fixed length times the gradient.

    Parameters
    ----------
    cost
        What to minimise.
    start
        First states.
    step
        Factor on the gradient.
    iterations
        Number of steps, all of which are taken; 1 or more.

    Returns
    -------
    Tensor
        The states, in the shape of the start, detached; NaN of problems that ran away.
    """
    problems = _Problems(cost, start)
    rows = problems.rows(start)
    for _ in range(iterations):
        value, gradient = problems(rows)
        rows = rows - step * gradient
    return problems.found(rows, value)


def lbfgs(cost: Cost, start: Tensor, *, iterations: int, tolerance: float = 1e-8) -> tuple[Tensor, Tensor]:
    """Minimise by the limited-memory method of Broyden, Fletcher, Goldfarb and Shanno.

    Liu & Nocedal (1989, Mathematical Programming 45), with steps halved until they bring enough. Unlike
    ``torch.optim.LBFGS`` on the sum of the costs, each problem has its own curvature and its own step: the answer of
    one does not depend on the others in the batch. One whose cost or gradient is not finite at the start is given up.

    Parameters
    ----------
    cost
        What to minimise.
    start
        First states.
    iterations
        Most steps.
    tolerance
        A problem stops where its slope has fallen to this share of that at the start, or where no step brings anything.

    Returns
    -------
    state
        The states, in the shape of the start, detached; NaN of problems that were given up.
    unfinished
        Of each problem, whether it was still on its way down when the steps ended.

    Raises
    ------
    ValueError
        If the costs are not one number for each state.
    """
    problems = _Problems(cost, start)
    rows = problems.rows(start)
    value, gradient = problems(rows)
    slope = gradient.abs().amax(-1)
    bound = tolerance * slope
    active = torch.isfinite(value) & torch.isfinite(slope) & (slope > bound)
    past: list[_Pair] = []
    for _ in range(iterations):
        if not bool(active.any()):
            break
        # Before any curvature is known, a step of length one at most.
        first = 1 / gradient.abs().sum(-1, keepdim=True).clamp(min=1.0) if not past else 1.0
        # A problem that rests stays where its cost is known: what is not finite must not reach the model.
        direction = torch.where(active.unsqueeze(-1), _direction(gradient, past) * first, 0.0)
        moved, new_value, new_gradient, active = _halved(problems, rows, value, gradient, direction, active)
        past = [*past, _pair(moved - rows, new_gradient - gradient)][-PAIRS:]
        rows, value, gradient = moved, new_value, new_gradient
        active = active & (gradient.abs().amax(-1) > bound)
    return problems.found(rows, torch.where(torch.isfinite(slope), value, torch.nan)), active.reshape(problems.batch)


_Pair = tuple[Tensor, Tensor, Tensor, Tensor]
"""A step, the change of the gradient along it, the inverse of their product, the scale of the inverse curvature."""


def _pair(step: Tensor, change: Tensor) -> _Pair:
    product, square = (step * change).sum(-1, keepdim=True), (change * change).sum(-1, keepdim=True)
    # Without positive curvature, or without a step, a pair says nothing: its weight is 0.
    useful = product > torch.finfo(step.dtype).eps * square
    inverse = torch.where(useful, 1 / torch.where(useful, product, 1.0), 0.0)
    return step, change, inverse, torch.where(useful, product / torch.where(useful, square, 1.0), 0.0)


def _direction(gradient: Tensor, past: list[_Pair]) -> Tensor:
    """Return minus the inverse Hessian times the gradient, by two loops (Nocedal & Wright 2006, algorithm 7.4)."""
    weights = []
    direction = -gradient
    for step, change, inverse, _ in reversed(past):
        weight = inverse * (step * direction).sum(-1, keepdim=True)
        direction = direction - weight * change
        weights.append(weight)
    scale = torch.ones_like(gradient[:, :1])
    for _, _, _, curvature in past:
        scale = torch.where(curvature > 0, curvature, scale)
    direction = direction * scale
    for (step, change, inverse, _), weight in zip(past, reversed(weights), strict=True):
        direction = direction + step * (weight - inverse * (change * direction).sum(-1, keepdim=True))
    return direction


def _halved(
    problems: _Problems, rows: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return states, costs and gradients after a step, and which problems took one; the others stay where they are."""
    expected = SUFFICIENT * (direction * gradient).sum(-1)
    length = torch.ones_like(value)
    waiting, taken = active, torch.zeros_like(active)
    moved, new_value, new_gradient = rows, value, gradient
    for _ in range(HALVINGS):
        trial = rows + length.unsqueeze(-1) * direction
        trial_value, trial_gradient = problems(trial)
        good = waiting & (trial_value <= value + length * expected) & torch.isfinite(trial_gradient).all(-1)
        moved = torch.where(good.unsqueeze(-1), trial, moved)
        new_value = torch.where(good, trial_value, new_value)
        new_gradient = torch.where(good.unsqueeze(-1), trial_gradient, new_gradient)
        waiting, taken = waiting & ~good, taken | good
        if not bool(waiting.any()):
            break
        length = torch.where(waiting, length / 2, length)
    return moved, new_value, new_gradient, taken
