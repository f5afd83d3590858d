"""Ensembles on a periodic line, and what a parametric Kalman filter knows of them: mean, variance, local length.

As in case B of PDE-NetGen (Pannekoucke & Fablet 2020, Geosci. Model Dev. 13, 3373-3382).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perturbations(
    generator: torch.Generator,
    batch: Sequence[int],
    points: int,
    *,
    deviation: float,
    correlation_length: float,
    length: float = 1.0,
) -> Tensor:
    """Draw Gaussian fields on a periodic line, with the correlation exp(-d^2 / (2 l^2)) at the distance d.

    Parameters
    ----------
    generator
        Source of randomness; its device is that of the result.
    batch
        Leading dimensions.
    points
        Number of points n.
    deviation
        Standard deviation, in the unit of the field.
    correlation_length
        l, in the unit of ``length``; short against the period, or the correlation is that of the nearest valid one.
    length
        Period.

    Returns
    -------
    Tensor
        Shape ``(*batch, n)``, float64.
    """
    shift = torch.arange(points, dtype=torch.float64, device=generator.device)
    distance = torch.minimum(shift, points - shift) * (length / points)
    spectrum = torch.fft.rfft(torch.exp(-(distance**2) / (2 * correlation_length**2))).real.clamp(min=0)
    noise = torch.randn((*batch, points), generator=generator, dtype=torch.float64, device=generator.device)
    fields: Tensor = torch.fft.irfft(torch.fft.rfft(noise) * spectrum.sqrt(), points)
    return deviation * fields


def moments(ensemble: Tensor, length: float = 1.0) -> Tensor:
    """Return mean, variance and nu = 1 / (2 E[(d eps / dx)^2]) of ensembles, eps being errors over their deviation.

    nu is half the square of the local length scale of the correlation; slopes are centred differences.

    Parameters
    ----------
    ensemble
        Members on a periodic line, shape ``(..., members, n)``, at least two of them.
    length
        Period.

    Returns
    -------
    Tensor
        Shape ``(..., 3, n)``. Infinite or not a number where all members are equal.
    """
    mean = ensemble.mean(-2)
    anomaly = ensemble - mean.unsqueeze(-2)
    variance = anomaly.square().mean(-2)
    error = anomaly / variance.sqrt().unsqueeze(-2)
    slope = (error.roll(-1, -1) - error.roll(1, -1)) * (ensemble.shape[-1] / (2 * length))
    return torch.stack((mean, variance, 1 / (2 * slope.square().mean(-2))), -2)
