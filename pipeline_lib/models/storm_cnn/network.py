"""The layers of 3D-SCN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.dropout import Dropout

if TYPE_CHECKING:
    from pipeline_lib.models.frames import Frames
    from pipeline_lib.models.storm_cnn import StormCNN

_KERNEL = 3
"""Cells along a side of a kernel, and its levels while there are so many."""


class StormNetwork(Nowcaster):
    """Volumes through 3-D convolutions, for the window around each cell.

    Parameters
    ----------
    frames
        What it sees and forecasts.
    options
        Layout of the channels, sizes of the layers.

    Raises
    ------
    ConfigError
        If the channels are no such volumes and maps.
    """

    link = "logistic"

    def __init__(self, frames: Frames, options: StormCNN.Options) -> None:
        super().__init__()
        self.levels, self.volumes = options.levels, options.volumes
        there = _variables(frames.channels, options)
        self.seen_variables = [number - 1 for number in options.variables or range(1, there + 1)]
        if max(self.seen_variables) >= there:
            raise ConfigError(
                f"variable {max(self.seen_variables) + 1} is to be seen, there are {there} after the first",
                where="storm_cnn",
                fix="number them from 1 in options.variables, in the order of inputs",
            )
        self.before, self.after = (options.window - 1) // 2, options.window // 2
        layers: list[nn.Module] = []
        below, depth = frames.seen * len(self.seen_variables), options.levels
        for width in options.widths:
            across = min(_KERNEL, depth)
            layers += [nn.Conv3d(below, width, (across, _KERNEL, _KERNEL)), nn.ReLU(inplace=True)]
            below, depth = width, depth - across + 1
        # Over all that is left of the window: the same as a dense layer on the flattened rest.
        left = options.window - (_KERNEL - 1) * len(options.widths)
        layers += [nn.Conv3d(below, options.hidden, (depth, left, left)), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.dropout = Dropout(options.dropout)
        self.exit = nn.Conv2d(options.hidden, frames.leads, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits (batch, leads, height, width)."""
        ring = (self.before, self.after, self.before, self.after, 0, 0)
        found = self.layers(functional.pad(self._volumes(frames), ring, mode="replicate"))
        output: Tensor = self.exit(self.dropout(found[:, :, 0]))
        return output

    def _volumes(self, frames: Tensor) -> Tensor:
        """Return what is seen as volumes (batch, seen * variables, level, height, width)."""
        ends = 1 + self.volumes * self.levels
        batch, seen, _, height, width = frames.shape
        volumes = frames[:, :, 1:ends].reshape(batch, seen, self.volumes, self.levels, height, width)
        maps = frames[:, :, ends:, None].expand(-1, -1, -1, self.levels, -1, -1)
        return torch.cat([volumes, maps], dim=2)[:, :, self.seen_variables].flatten(1, 2)


def _variables(channels: int, options: StormCNN.Options) -> int:
    """Return how many variables follow the one that is forecast."""
    maps = channels - 1 - options.volumes * options.levels
    if maps < 0 or options.volumes + maps == 0:
        raise ConfigError(
            f"{channels} channels are not one to forecast and {options.volumes} volumes of {options.levels} levels",
            where="storm_cnn",
            fix="correct inputs, or options.levels and options.volumes",
        )
    return options.volumes + maps
