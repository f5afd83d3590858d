"""A linear Gaussian problem and its answer in closed form, in plain numpy: the filter of Kalman (1960), the smoother of
Rauch, Tung & Striebel (1965), written for full matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline_lib.assimilation.cycle import Estimate, assimilate
from pipeline_lib.assimilation.observations import Observations

DYNAMICS = np.array([[0.9, 0.3, 0.0], [-0.3, 0.9, 0.1], [0.0, -0.1, 0.95]])
PRIOR_MEAN = np.array([1.0, -0.5, 0.3])
PRIOR = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 0.6]])
MODEL_ERROR = np.diag([0.05, 0.1, 0.02])
COMPONENTS = [0, 2]
VARIANCE = 0.4


def forecast(states: torch.Tensor) -> torch.Tensor:
    return states @ torch.from_numpy(DYNAMICS.T).to(states)


def problem(steps: int = 6, seed: int = 0) -> Observations:
    """Two of three components, with gaps: single ones, and one time without any."""
    rng = np.random.default_rng(seed)
    mask = rng.random((steps, len(COMPONENTS))) < 0.7
    mask[2] = False
    mask[3] = True
    values = np.where(mask, rng.normal(size=mask.shape), np.nan)
    variance = rng.uniform(0.5, 1.5, size=mask.shape) * VARIANCE
    return Observations(*map(torch.from_numpy, (values, variance)), torch.tensor(COMPONENTS), torch.from_numpy(mask))


@dataclass
class Answer:
    """Means (T, n) and covariances (T, n, n)."""

    means: np.ndarray
    covariances: np.ndarray


def kalman(observations: Observations, model_error: np.ndarray) -> tuple[Answer, Answer]:
    """The filter's answer and the smoother's."""
    filtered, predicted = [], []
    mean, covariance = PRIOR_MEAN, PRIOR
    for time in range(observations.steps):
        if time:
            mean, covariance = DYNAMICS @ mean, DYNAMICS @ covariance @ DYNAMICS.T + model_error
        predicted.append((mean, covariance))
        seen = observations.seen[time].numpy()
        operator = np.eye(3)[COMPONENTS][seen]
        error = np.diag(observations.errors[time].numpy()[seen])
        gain = covariance @ operator.T @ np.linalg.inv(operator @ covariance @ operator.T + error)
        mean = mean + gain @ (observations.values[time].numpy()[seen] - operator @ mean)
        covariance = (np.eye(3) - gain @ operator) @ covariance
        filtered.append((mean, covariance))
    smoothed = [filtered[-1]]
    for (mean, covariance), (ahead, spread) in zip(filtered[-2::-1], predicted[:0:-1], strict=True):
        gain = covariance @ DYNAMICS.T @ np.linalg.inv(spread)
        later_mean, later = smoothed[-1]
        smoothed.append((mean + gain @ (later_mean - ahead), covariance + gain @ (later - spread) @ gain.T))
    return answer(filtered), answer(smoothed[::-1])


def answer(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Answer:
    means, covariances = zip(*pairs, strict=True)
    return Answer(np.array(means), np.array(covariances))


def ensemble(count: int, seed: int = 0, *, exact: bool = False) -> torch.Tensor:
    """Members drawn from the prior; ``exact``: with its mean and covariance to round-off."""
    members = np.random.default_rng(seed).normal(size=(count, 3))
    if exact:
        members -= members.mean(0)
        members = members @ np.linalg.inv(np.linalg.cholesky(np.cov(members.T))).T
    return torch.from_numpy(PRIOR_MEAN + members @ np.linalg.cholesky(PRIOR).T)


def moments(ensembles: torch.Tensor) -> Answer:
    """Means and covariances of ensembles (T, N, n)."""
    return Answer(ensembles.mean(-2).numpy(), np.array([np.cov(e.numpy().T) for e in ensembles]))


def generator(seed: int = 0) -> torch.Generator:
    """Return a source of random numbers."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return normal numbers, in any format the same up to rounding."""
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def run(analysis, members, observations, **options) -> Estimate:
    """Assimilate with the forecast of this problem; ensembles are kept."""
    return assimilate(analysis, forecast, members, observations, generator=generator(1), keep=True, **options)
