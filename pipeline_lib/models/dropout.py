"""Dropout and alpha dropout, with masks that cost little on a CPU.

Torch draws one Bernoulli number after another on a CPU, a quarter of a training step of EddyNet. Here four mask
entries are cut from each 64-bit random word of torch's own generator, which is some eight times as fast; the drop
share is rounded to a multiple of 1/65536.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16
_PER_WORD = 4
_INT64_MIN = -(1 << 63)

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Constants of the scaled exponential linear unit (Klambauer et al. 2017, arXiv 1706.02515)."""


def keep_mask(like: Tensor, share: float) -> Tensor:
    """Return a boolean tensor in the shape and layout of ``like``, ``False`` with probability ``share``."""
    if like.device.type != "cpu":
        return torch.empty_like(like, dtype=torch.float32).uniform_() >= share
    words = torch.empty(-(-like.numel() // _PER_WORD), dtype=torch.int64).random_(_INT64_MIN, None)
    entries = words.view(torch.int16)[: like.numel()]
    mask = entries >= round(share * _LEVELS) - _LEVELS // 2
    return mask.as_strided(like.shape, torch.empty_like(like, device="meta").stride())


class Dropout(nn.Module):
    """Set a share of the values to zero while training and scale up the others.

    Parameters
    ----------
    share
        Probability that a value is dropped.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with values dropped; ``x`` itself when not training."""
        if not self.training or self.share == 0.0:
            return x
        return x * keep_mask(x, self.share).to(x.dtype).mul_(1 / (1 - self.share))

    def extra_repr(self) -> str:
        """Return the options as torch prints them."""
        return f"share={self.share}"


class AlphaDropout(Dropout):
    """Dropout for SELU networks (Klambauer et al. 2017): mean 0 and variance 1 stay so.

    A dropped value becomes alpha' = -scale * alpha; then ``a x + b`` restores the moments, with
    ``a = ((1 - p)(1 + p alpha'^2))^(-1/2)`` and ``b = -a p alpha'``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with values dropped; ``x`` itself when not training."""
        if not self.training or self.share == 0.0:
            return x
        low = -_SELU_SCALE * _SELU_ALPHA
        a = ((1 - self.share) * (1 + self.share * low**2)) ** -0.5
        b = -a * self.share * low
        return torch.where(keep_mask(x, self.share), a * x + b, a * low + b)
