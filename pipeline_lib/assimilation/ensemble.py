"""Analysis steps of ensemble Kalman filters: what an ensemble becomes when it meets observations.

Members lie on the last but one dimension: ``(..., N, n)``; what comes before is a batch of independent runs. An
analysis moves any set of components along: past states too, for a smoother, in blocks of n one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline_lib.assimilation.linear_algebra import solve_positive, symmetric_root
from pipeline_lib.assimilation.observations import Observed


class Analysis(Protocol):
    """One way to bring observations into an ensemble."""

    def __call__(
        self, states: Tensor, equivalents: Tensor, observed: Observed, generator: torch.Generator | None
    ) -> Tensor:
        """Return the ensemble after the observations.

        Parameters
        ----------
        states
            Members ``(..., N, k n)``: k blocks of n components each.
        equivalents
            What the members say of the observed values, ``(..., N, m)``.
        observed
            The observations.
        generator
            Where random numbers come from, if any are drawn.
        """
        ...


@dataclass(frozen=True)
class EnKF:
    """The stochastic ensemble Kalman filter of Evensen (1994, J. Geophys. Res. 99), with perturbed observations.

    Each member sees the observations under its own random errors (Burgers et al. 1998, Mon. Weather Rev. 126). The
    errors are centred over the members, so that the mean sees the observations themselves, and scaled by
    sqrt(N / (N - 1)), which keeps their variance.

    Parameters
    ----------
    taper
        Localisation: factors on the sample covariances between components (Schur product; Houtekamer & Mitchell
        2001, Mon. Weather Rev. 129), shape ``(n, n)``; ``None`` for none.
    """

    taper: Tensor | None = None

    def __call__(
        self, states: Tensor, equivalents: Tensor, observed: Observed, generator: torch.Generator | None
    ) -> Tensor:
        """Return the ensemble after the observations."""
        count = states.shape[-2]
        seen = (equivalents - equivalents.mean(-2, keepdim=True)) * observed.mask.unsqueeze(-2)
        between = (states - states.mean(-2, keepdim=True)).mT @ seen / (count - 1)
        among = seen.mT @ seen / (count - 1)
        if self.taper is not None:
            rows = _rows(self.taper, states, observed)
            between = between * rows.repeat(states.shape[-1] // len(rows), 1)
            among = among * observed.of(rows.mT)
        noise = torch.randn(equivalents.shape, generator=generator, dtype=equivalents.dtype, device=equivalents.device)
        noise = (noise - noise.mean(-2, keepdim=True)) * math.sqrt(count / (count - 1))
        perturbed = observed.values.unsqueeze(-2) + noise * observed.variance.sqrt().unsqueeze(-2)
        innovation = (perturbed - equivalents) * observed.mask.unsqueeze(-2)
        weights = solve_positive(among + torch.diag_embed(observed.variance), innovation.mT)
        return states + (between @ weights).mT


@dataclass(frozen=True)
class ETKF:
    """The ensemble transform Kalman filter with the symmetric square root; local with a taper.

    Deterministic (Bishop et al. 2001, Mon. Weather Rev. 129; the symmetric root and the local analysis, LETKF, after
    Hunt et al. 2007, Physica D 230). The algebra is done in the smaller of the spaces of members and observations.

    Parameters
    ----------
    taper
        Localisation: each component has its own analysis, in which the inverse error variances of the observations are
        multiplied by these factors (Hunt et al. 2007, section 3), shape ``(n, n)``; ``None`` for one analysis of all.
    """

    taper: Tensor | None = None

    def __call__(
        self, states: Tensor, equivalents: Tensor, observed: Observed, generator: torch.Generator | None
    ) -> Tensor:
        """Return the ensemble after the observations; draws no random number."""
        count = states.shape[-2]
        mean, expected = states.mean(-2, keepdim=True), equivalents.mean(-2, keepdim=True)
        precision = observed.mask * observed.variance.rsqrt()
        innovation = (observed.values.unsqueeze(-2) - expected) * precision.unsqueeze(-2)
        scaled = (equivalents - expected) * precision.unsqueeze(-2) / math.sqrt(count - 1)
        if self.taper is None:
            return mean + _transformed(states - mean, scaled, innovation)
        rows = _rows(self.taper, states, observed)
        # Each component's own observations: those with a weight.
        weights, near = rows.topk(max(1, int((rows > 0).sum(-1).max())), dim=-1)
        scaled = scaled[..., near].movedim(-3, -2) * weights.sqrt().unsqueeze(-2)
        innovation = innovation[..., near].movedim(-3, -2) * weights.sqrt().unsqueeze(-2)
        blocks = (states - mean).reshape(*states.shape[:-1], -1, len(rows))  # (..., N, k, n)
        moved = _transformed(blocks.movedim(-1, -3), scaled, innovation)
        return mean + moved.movedim(-3, -1).flatten(-2)


def _rows(taper: Tensor, states: Tensor, observed: Observed) -> Tensor:
    """Return the factors between components and observed ones, ``(n, m)``, or say that the taper does not fit."""
    size = len(taper)
    if taper.shape != (size, size) or states.shape[-1] % size:
        raise ValueError(f"taper of shape {tuple(taper.shape)} for states of {states.shape[-1]} components")
    return observed.of(taper.to(states))


def _transformed(anomalies: Tensor, scaled: Tensor, innovation: Tensor) -> Tensor:
    """Return the analysis ensemble less the mean of the forecast.

    Parameters
    ----------
    anomalies
        Deviations of the members from their mean, ``(..., N, p)``.
    scaled
        Those of what they say of the observed values, over the error and sqrt(N - 1): A', ``(..., N, m)``.
    innovation
        Observation less mean forecast, over the error, ``(..., 1, m)``.
    """
    count, observed = scaled.shape[-2:]
    unit = torch.eye(min(count, observed), dtype=scaled.dtype, device=scaled.device)
    if observed < count:
        # (I + A'A)^(-1/2) = I - A' (S + S^(1/2))^(-1) A with S = I + A A', as one sees from singular values.
        inner = unit + scaled.mT @ scaled
        between = anomalies.mT @ scaled
        shift = between @ solve_positive(inner, innovation.mT) / math.sqrt(count - 1)
        taken = between @ solve_positive(inner + symmetric_root(inner), scaled.mT)
        return anomalies + (shift - taken).mT
    inner = unit + scaled @ scaled.mT
    shift = solve_positive(inner, scaled @ innovation.mT).mT @ anomalies / math.sqrt(count - 1)
    return solve_positive(symmetric_root(inner), anomalies) + shift
