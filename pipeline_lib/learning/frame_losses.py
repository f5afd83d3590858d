"""Losses of networks that continue sequences of frames.

All take frames (batch, leads, rows, columns) and a boolean mask of the cells that count; what the others hold, NaN
included, reaches neither the loss nor its gradient. They compute in float32 at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline_lib.rain import RainScale
from pipeline_lib.skill.balanced import WEIGHTS, weight_bounds

BALANCED_FACTOR = 1e-5
"""Of the weighted loss (Shi et al. 2017, arXiv:1706.03458)."""
UNBALANCED_FACTOR = 5e-5
"""Of the loss without weights, "nobal" (Shi et al. 2017)."""
WEIGHTED = ("balanced", "balanced_off")
"""Kinds of losses that must know what values stand for."""


@dataclass(frozen=True)
class FrameLoss:
    """The loss of a network's output against true frames, of which cells may be missing.

    Attributes
    ----------
    kind
        ``squared``, ``absolute``, ``cross_entropy``, ``balanced`` or ``balanced_off``, as the option
        ``training.loss`` of nowcasting has them.
    logistic
        Whether the logistic function turns the output into values.
    scale
        What the values stand for; the last two kinds need it.
    """

    kind: str
    logistic: bool
    scale: RainScale | None = None

    def values(self, output: Tensor) -> Tensor:
        """Return the forecast frames that an output stands for."""
        return output.sigmoid() if self.logistic else output

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of outputs (batch, leads, rows, columns) over the cells where the target is finite."""
        valid = target.isfinite()
        if self.kind == "cross_entropy":
            return soft_cross_entropy(output, target, valid)
        forecast = self.values(output.float())
        if self.kind in WEIGHTED:
            if self.scale is None:
                raise TypeError("no scale of rain")
            return balanced_loss(forecast, target, self.scale, valid, balanced=self.kind == "balanced")
        error = torch.where(valid, forecast - target, 0.0)
        cost = error.square() if self.kind == "squared" else error.abs()
        return cost.sum() / valid.sum().clamp(min=1)


def balanced_loss(
    forecast: Tensor, truth: Tensor, scale: RainScale, valid: Tensor | None = None, *, balanced: bool = True
) -> Tensor:
    """Return the mean over sequences and leads of (B-MSE + B-MAE), times 1e-5.

    B-MSE and B-MAE are sums over the cells of a frame, as in :mod:`pipeline_lib.skill.balanced` (Shi et al. 2017,
    arXiv:1706.03458).

    Parameters
    ----------
    forecast, truth
        Shares (batch, leads, rows, columns).
    scale
        What the shares stand for.
    valid
        The cells that count, boolean, of a shape that broadcasts to that of the frames; all if ``None``.
    balanced
        Whether cells are weighted by their true rain; if not, the factor is 5e-5.

    Raises
    ------
    ConfigError
        If there are weights, and as :func:`pipeline_lib.skill.balanced.weight_bounds`.
    """
    predicted, true, _ = _counted(forecast, truth, valid)
    error = (predicted - true).abs()
    cost = error + error**2
    if balanced:
        cost = _rain_weights(true, scale) * cost
    frames: Tensor = cost.sum(dim=(-2, -1))
    return frames.mean() * (BALANCED_FACTOR if balanced else UNBALANCED_FACTOR)


def soft_cross_entropy(output: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the cross entropy summed over the frames of a sequence, averaged over sequences [nat].

    As Shi et al. (2015, arXiv:1506.04214) train: the true values need not be 0 or 1, so its lowest value is not 0.

    Parameters
    ----------
    output
        What the logistic function turns into forecast values, (batch, leads, rows, columns).
    truth
        True values from 0 to 1.
    valid
        The cells that count, boolean, of a shape that broadcasts to that of the frames; all if ``None``.
    """
    logits, true, counted = _counted(output, truth, valid)
    entropy = binary_cross_entropy_with_logits(logits, true, reduction="none")
    sequences: Tensor = torch.where(counted, entropy, 0.0).sum(dim=(1, 2, 3))
    return sequences.mean()


def _counted(forecast: Tensor, truth: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    counted = torch.ones((), dtype=torch.bool, device=truth.device) if valid is None else valid
    dtype = torch.promote_types(forecast.dtype, torch.float32)
    # Zeros before the loss, not weights of 0 after it: 0 times NaN is NaN, in the gradient as well.
    return torch.where(counted, forecast.to(dtype), 0.0), torch.where(counted, truth.to(dtype), 0.0), counted


def _rain_weights(truth: Tensor, scale: RainScale) -> Tensor:
    bounds = truth.new_tensor(weight_bounds(scale))
    return truth.new_tensor(WEIGHTS)[torch.bucketize(truth, bounds, right=True)]
