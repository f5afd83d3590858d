"""The network of the U-Nets over frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.frame_layers import check_coarsest

if TYPE_CHECKING:
    from pipeline_lib.models.frame_options import UNetOptions
    from pipeline_lib.models.frames import Frames


def full_convolution(channels: int, width: int) -> nn.Module:
    """Return a 3x3 convolution that keeps the size."""
    return nn.Conv2d(channels, width, 3, padding=1)


def double_convolution(
    channels: int, middle: int, width: int, convolution: Callable[[int, int], nn.Module]
) -> nn.Sequential:
    """Return two convolutions, each with batch normalisation and ReLU.

    Parameters
    ----------
    channels, middle, width
        Channels that go in, those between the two, and those that come out.
    convolution
        Makes one of them, from its channels in and out; it keeps the size.
    """
    return nn.Sequential(
        convolution(channels, middle),
        nn.BatchNorm2d(middle),
        nn.ReLU(inplace=True),
        convolution(middle, width),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class UNetOverFrames(Nowcaster):
    """Frames as channels through a U-Net.

    Parameters
    ----------
    frames
        What it sees and forecasts.
    options
        Widths, link, residual.
    convolution
        Makes a convolution from its channels in and out.
    attention
        Makes from a number of channels what the maps of a level pass before they are a skip or, at the coarsest level,
        go up; what goes down does not pass it.
    """

    def __init__(
        self,
        frames: Frames,
        options: UNetOptions,
        convolution: Callable[[int, int], nn.Module] = full_convolution,
        attention: Callable[[int], nn.Module] = nn.Identity,
    ) -> None:
        super().__init__()
        widths = options.widths
        self.link = options.link  # type: ignore[misc] # of this network alone
        self.residual = options.residual
        self.multiple = 2 ** (len(widths) - 1)
        self.entry = double_convolution(frames.seen * frames.channels, widths[0], widths[0], convolution)
        self.down = nn.ModuleList(
            double_convolution(fine, coarse, coarse, convolution) for fine, coarse in pairwise(widths)
        )
        self.attention = nn.ModuleList(attention(width) for width in widths)
        # From the coarsest level on: what comes up and the skip, side by side.
        self.up = nn.ModuleList()
        below = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            joined = below + widths[level]
            below = widths[max(level - 1, 0)]
            self.up.append(double_convolution(joined, joined // 2, below, convolution))
        self.exit = nn.Conv2d(below, frames.leads, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width).

        Raises
        ------
        ConfigError
            In training, if the coarsest grid has a single cell and the batch a single window.
        """
        height, width = frames.shape[-2:]
        if self.training:
            check_coarsest(height, width, self.multiple, where="U-Net over frames", batch=len(frames))
        lacking = (-width % self.multiple, -height % self.multiple)
        maps = functional.pad(frames.flatten(1, 2), (0, lacking[0], 0, lacking[1]), mode="replicate")
        maps = maps.contiguous(memory_format=torch.channels_last)
        levels = [self.entry(maps)]
        for down in self.down:
            levels.append(down(functional.max_pool2d(levels[-1], 2)))
        skips = [attend(level) for attend, level in zip(self.attention, levels, strict=True)]
        found = skips.pop()
        for up in self.up:
            skip = skips.pop()
            raised = functional.interpolate(found, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            found = up(torch.cat([skip, raised], dim=1))
        output: Tensor = self.exit(found)[..., :height, :width]
        return output + frames[:, -1:, 0] if self.residual else output
