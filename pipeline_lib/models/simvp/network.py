"""Layers of SimVP with gated spatio-temporal attention (Tan et al. 2022, arXiv:2211.12509)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.frame_layers import check_coarsest

if TYPE_CHECKING:
    from pipeline_lib.models.frames import Frames
    from pipeline_lib.models.simvp import SimVp

_GROUPS = 2
"""Of the group normalisation in encoder and decoder."""
_SLOPE = 0.2
"""Of the leaky ReLU there."""
_NEAR, _FAR, _DILATION = 5, 7, 3
"""Kernels of a convolution of 21 x 21 cells in two steps, the second one dilated."""
_SMALL = 1e-2
"""What a block adds to its input at first."""


class Convolution(nn.Module):
    """A convolution that may halve or double the grid, normalisation, leaky ReLU."""

    def __init__(self, channels: int, width: int, *, down: bool = False, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.convolution = nn.Conv2d(channels, 4 * width if up else width, 3, stride=2 if down else 1, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of as many cells, or a quarter or four times of them."""
        found = self.convolution(maps)
        if self.up:
            found = functional.pixel_shuffle(found, 2)
        return functional.leaky_relu(self.norm(found), _SLOPE)


class GatedAttention(nn.Module):
    """Each cell times a gate that a wide neighbourhood sets."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 1)
        self.near = nn.Conv2d(width, width, _NEAR, padding=_NEAR // 2, groups=width)
        self.far = nn.Conv2d(width, width, _FAR, padding=_FAR // 2 * _DILATION, groups=width, dilation=_DILATION)
        self.gate = nn.Conv2d(width, 2 * width, 1)
        self.leave = nn.Conv2d(width, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        entered = functional.gelu(self.enter(maps))
        values, gate = self.gate(self.far(self.near(entered))).chunk(2, dim=1)
        left: Tensor = self.leave(torch.sigmoid(gate) * values) + maps
        return left


class Block(nn.Module):
    """Gated attention and a perceptron with a depthwise convolution, each beside a skip."""

    def __init__(self, width: int, out: int, expansion: float) -> None:
        super().__init__()
        middle = int(width * expansion)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.scales = nn.ParameterList(nn.Parameter(torch.full((width, 1, 1), _SMALL)) for _ in range(2))
        self.attention = GatedAttention(width)
        self.perceptron = nn.Sequential(
            nn.Conv2d(width, middle, 1),
            nn.Conv2d(middle, middle, 3, padding=1, groups=middle),
            nn.GELU(),
            nn.Conv2d(middle, width, 1),
        )
        self.change = nn.Conv2d(width, out, 1) if out != width else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (batch, out, height, width)."""
        maps = maps + self.scales[0] * self.attention(self.norms[0](maps))
        maps = maps + self.scales[1] * self.perceptron(self.norms[1](maps))
        changed: Tensor = self.change(maps)
        return changed


class SimVpNetwork(Nowcaster):
    """Encoder of frames, translator, decoder of frames.

    Parameters
    ----------
    frames
        What it sees and forecasts.
    options
        Sizes.
    """

    def __init__(self, frames: Frames, options: SimVp.Options) -> None:
        super().__init__()
        self.link = options.link  # type: ignore[misc] # of this network alone
        width, halved = options.width, [level % 2 == 1 for level in range(options.layers)]
        self.multiple = 2 ** sum(halved)
        channels = [frames.channels, *[width] * (options.layers - 1)]
        self.encoder = nn.ModuleList(Convolution(c, width, down=down) for c, down in zip(channels, halved, strict=True))
        self.decoder = nn.ModuleList(Convolution(width, width, up=up) for up in reversed(halved))
        inner = [options.hidden] * (options.blocks - 1)
        sizes = [frames.seen * width, *inner, frames.leads * width]
        self.translator = nn.Sequential(*(Block(a, b, options.expansion) for a, b in pairwise(sizes)))
        self.readout = nn.Conv2d(width, 1, 1)
        self.seen, self.leads = frames.seen, frames.leads
        # The skip of the frame of the same number; of the last one where there are more leads than frames seen.
        numbers = torch.arange(frames.leads).clamp(max=frames.seen - 1)
        self.register_buffer("skips", numbers, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width).

        Raises
        ------
        ConfigError
            In training, if the coarsest grid has a single cell and the batch a single window.
        """
        batch, _, _, height, width = frames.shape
        if self.training:
            check_coarsest(height, width, self.multiple, where="simvp", batch=batch)
        lacking = (-width % self.multiple, -height % self.multiple)
        maps = functional.pad(frames.flatten(0, 1), (0, lacking[0], 0, lacking[1]), mode="replicate")
        first = self.encoder[0](maps)
        found = first
        for layer in self.encoder[1:]:
            found = layer(found)
        mixed = self.translator(found.unflatten(0, (batch, self.seen)).flatten(1, 2))
        found = mixed.unflatten(1, (self.leads, -1)).flatten(0, 1)
        for layer in self.decoder[:-1]:
            found = layer(found)
        skip = first.unflatten(0, (batch, self.seen))[:, self.skips].flatten(0, 1)
        output: Tensor = self.readout(self.decoder[-1](found + skip))
        return output.reshape(batch, self.leads, *output.shape[-2:])[..., :height, :width]
