"""The layers that make the U-Net over frames a SmaAt-UNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeparableConvolution(nn.Sequential):
    """A 3x3 convolution of each channel by itself, then a mixture of channels at each place.

    Parameters
    ----------
    channels, width
        Channels in and out.
    kernels
        Kernels for each channel in.
    """

    def __init__(self, channels: int, width: int, kernels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, kernels * channels, 3, padding=1, groups=channels),
            nn.Conv2d(kernels * channels, width, 1),
        )


class Attention(nn.Module):
    """CBAM (Woo et al. 2018, arXiv:1807.06521, equations 1 to 3): weights of channels, then weights of places.

    With the mean and the maximum over places of each channel, and a perceptron with one hidden layer that both pass:
    ``x' = x * logistic(perceptron(mean) + perceptron(maximum))``. With the mean and the maximum over the channels at
    each place: ``x'' = x' * logistic(normalised convolution(mean, maximum))``.

    Parameters
    ----------
    channels
        Channels in and out.
    reduction
        Channels over hidden values.
    kernel
        Side of the convolution's kernel; odd.
    """

    def __init__(self, channels: int, reduction: int, kernel: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.channels = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.places = nn.Sequential(nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return weighted maps (batch, channels, height, width)."""
        weights = self.channels(maps.mean(dim=(2, 3))) + self.channels(maps.amax(dim=(2, 3)))
        maps = maps * weights.sigmoid()[..., None, None]
        seen = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        weighted: Tensor = maps * self.places(seen).sigmoid()
        return weighted
