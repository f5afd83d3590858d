"""The layers of the U-Net over frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.learning.nowcaster import Nowcaster

if TYPE_CHECKING:
    from pipeline_lib.models.frame_unet import FrameUNet
    from pipeline_lib.models.frames import Frames


def double_convolution(channels: int, width: int, middle: int | None = None) -> nn.Sequential:
    """Return two 3x3 convolutions, each with batch normalisation and ReLU."""
    middle = middle or width
    return nn.Sequential(
        nn.Conv2d(channels, middle, 3, padding=1),
        nn.BatchNorm2d(middle),
        nn.ReLU(inplace=True),
        nn.Conv2d(middle, width, 3, padding=1),
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
    """

    def __init__(self, frames: Frames, options: FrameUNet.Options) -> None:
        super().__init__()
        widths = options.widths
        self.link = options.link  # type: ignore[misc] # of this network alone
        self.residual = options.residual and options.link == "identity"
        self.multiple = 2 ** (len(widths) - 1)
        self.entry = double_convolution(frames.seen * frames.channels, widths[0])
        self.down = nn.ModuleList(double_convolution(coarse, fine) for coarse, fine in pairwise(widths))
        # From the coarsest level on: what comes up and the skip, side by side.
        self.up = nn.ModuleList()
        below = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            joined = below + widths[level]
            below = widths[max(level - 1, 0)]
            self.up.append(double_convolution(joined, below, joined // 2))
        self.exit = nn.Conv2d(below, frames.leads, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width)."""
        height, width = frames.shape[-2:]
        lacking = (-width % self.multiple, -height % self.multiple)
        maps = functional.pad(frames.flatten(1, 2), (0, lacking[0], 0, lacking[1]), mode="replicate")
        maps = maps.contiguous(memory_format=torch.channels_last)
        skips = [self.entry(maps)]
        for down in self.down:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        found = skips.pop()
        for up in self.up:
            skip = skips.pop()
            raised = functional.interpolate(found, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            found = up(torch.cat([skip, raised], dim=1))
        output: Tensor = self.exit(found)[..., :height, :width]
        return output + frames[:, -1:, 0] if self.residual else output
