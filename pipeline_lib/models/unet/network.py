"""A residual U-Net that spends its parameters at coarse levels, where they are cheap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class UNetwork(nn.Module):
    """Residual blocks at every level, strided convolutions down, bilinear up-sampling, skips added.

    Parameters
    ----------
    in_channels, classes
        Channels of the input and of the logits.
    widths
        Channels of each level, finest first.
    """

    def __init__(self, in_channels: int, classes: int, *, widths: Sequence[int]) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        self.stem = nn.Conv2d(in_channels, widths[0], kernel_size=3, padding=1)
        self.encoders = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, kernel_size=2, stride=2) for fine, coarse in steps)
        self.centre = Residual(widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, kernel_size=1) for fine, coarse in reversed(steps))
        self.decoders = nn.ModuleList(Residual(width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(widths[0], classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w), h and w multiples of 2^(levels - 1), to logits (batch, classes, h, w)."""
        x = self.stem(x)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.centre(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            # The 1x1 convolution comes first: up-sampling commutes with it and costs less on fewer channels.
            x = nn.functional.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = decoder(x + skips.pop())
        logits: Tensor = self.head(x)
        return logits


class Residual(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation, around which the input is led."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        # The block starts as the identity, so that a fresh network is shallow.
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, width, h, w) to the same shape."""
        inner = nn.functional.silu(self.first_norm(self.first(x)))
        return nn.functional.silu(x + self.second_norm(self.second(inner)))
