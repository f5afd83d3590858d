"""The Gaussian of two numbers as a network's answer: mean, standard deviations, correlation.

With the covariance matrix S = [[su^2, rho su sv], [rho su sv, sv^2]], the negative logarithm of the density of y
around the mean m is ``log 2 pi + 1/2 log det S + 1/2 (y - m)' S^-1 (y - m)``. Networks answer with su and sv as
softplus and rho as tanh of what they compute (as in the design of Marcille et al. 2024, AIES 3; recalled).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

PARAMETERS = 5
"""Mean of u and v, standard deviations of u and v, correlation."""
_STEEPEST = 0.999
"""Largest correlation: at 1 there is no density."""
_NARROWEST = 1e-3
"""Smallest standard deviation, in units of the target's own."""


def parameters_of(output: Tensor) -> Tensor:
    """Return means, standard deviations and correlation (..., 5) of what a network computes (..., 5)."""
    spread = functional.softplus(output[..., 2:4]) + _NARROWEST
    return torch.cat([output[..., :2], spread, _STEEPEST * output[..., 4:].tanh()], dim=-1)


def negative_log_likelihood(parameters: Tensor, truth: Tensor) -> Tensor:
    """Return that of true values (..., 2) under parameters (..., 5), in nats."""
    mean, spread, correlation = parameters[..., :2], parameters[..., 2:4], parameters[..., 4]
    left = 1 - correlation.square()
    off = (truth - mean) / spread
    squared = (off.square().sum(-1) - 2 * correlation * off.prod(-1)) / left
    return math.log(2 * math.pi) + spread.log().sum(-1) + left.log() / 2 + squared / 2
