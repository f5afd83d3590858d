"""An encoder-decoder of convolutions over frames, 2D or 3D."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.frame_layers import check_coarsest, pad_to_multiple
from pipeline_lib.models.frames import Frames

if TYPE_CHECKING:
    from pipeline_lib.models.frame_cnn import FrameCNN

Axis = tuple[int, int, int]
"""Kernel, stride and padding along an axis."""

_HALVE: Axis = (4, 2, 1)
_STILL: Axis = (1, 1, 0)
_SMOOTH: Axis = (3, 1, 1)
_ENTRANCE: dict[int, list[Axis]] = {2: [_HALVE], 15: [(7, 5, 1), (4, 3, 1)]}
_EXIT: dict[int, list[Axis]] = {2: [_HALVE], 15: [(5, 3, 1), (7, 5, 1), _SMOOTH]}
"""Spatial axes of the layers without normalisation, by coarsening."""
_EXIT_MAPS = 8
"""Maps for each forecast before the last layer, with a coarsening of 15."""
_MIDDLE = (2, 3, 4)
"""Times the width: the layers that halve. Those that double have 4, 2 and 1."""
_WIDEST = 8
"""Times the width: between the two."""
_SHORTENED_FROM = {2: [10], 15: [12, 10]}
"""Frames from which on a layer of the entrance halves time, by coarsening."""


class FullPrecision(nn.ConvTranspose3d):
    """A transposed convolution that a CPU computes in the format of its weights, whatever autocast says.

    Where it makes two steps of two, in bfloat16, torch 2.13 leaves a part of the weights' gradient as the memory was
    (measured, on a CPU with AVX512-BF16): other numbers in each run, or none.
    """

    def forward(self, steps: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the longer steps (batch, channels, time, height, width)."""
        if steps.device.type != "cpu":
            return super().forward(steps, output_size)
        with torch.autocast("cpu", enabled=False):
            return super().forward(steps.to(self.weight.dtype), output_size)


class FrameConvolutions(Nowcaster):
    """The network.

    Parameters
    ----------
    options
        Of the model.
    frames
        What it sees and forecasts.

    Raises
    ------
    ConfigError
        If frames are too few cells, or too many of them are seen or to be forecast.
    """

    def __init__(self, options: FrameCNN.Options, frames: Frames) -> None:
        super().__init__()
        self.multiple = options.coarsening * 2 ** len(_MIDDLE)
        check_coarsest(frames.height, frames.width, self.multiple, where="frame_cnn")
        self.leads, self._deep = frames.leads, options.kind == "3d"
        self.layers = nn.Sequential(*self._encoder(options, frames), *self._decoder(options, frames.leads))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the forecast (batch, leads, height, width)."""
        height, width = frames.shape[-2:]
        whole = pad_to_multiple(frames, self.multiple)
        found: Tensor = self.layers(whole.transpose(1, 2) if self._deep else whole.flatten(1, 2))
        steps = found[:, 0] if self._deep else found
        return steps[:, : self.leads, :height, :width]

    def _encoder(self, options: FrameCNN.Options, frames: Frames) -> list[nn.Module]:
        n, leak = options.width, options.leak
        axes = _ENTRANCE[options.coarsening] + len(_MIDDLE) * [_HALVE]
        times = shortening(frames.seen, options.coarsening) if self._deep else len(axes) * [_STILL]
        widths = [n] * len(_ENTRANCE[options.coarsening]) + [k * n for k in _MIDDLE]
        below = frames.channels * (1 if self._deep else frames.seen)
        layers: list[nn.Module] = []
        for number, (space, time, width) in enumerate(zip(axes, times, widths, strict=True)):
            norm = number >= len(_ENTRANCE[options.coarsening])
            layers += self._layer(below, width, space, time, norm=norm, leak=leak)
            below = width
        return layers

    def _decoder(self, options: FrameCNN.Options, leads: int) -> list[nn.Module]:
        n, leak = options.width, options.leak
        at_once = 1 if self._deep else leads
        layers = self._layer(_MIDDLE[-1] * n, _WIDEST * n, _STILL, (2, 1, 0), up=True, leak=leak)
        below, steps = _WIDEST * n, 2
        for k, padding in zip((4, 2, 1), stretching(leads) if self._deep else (1, 1, 1), strict=True):
            exact = (steps, padding) == (2, 2)
            layers += self._layer(below, k * n, _HALVE, (4, 2, padding), up=True, norm=True, leak=leak, exact=exact)
            below, steps = k * n, 2 * (steps + 1 - padding)
        axes = _EXIT[options.coarsening]
        for number, space in enumerate(axes, 1):
            maps = at_once * (_EXIT_MAPS if number < len(axes) else 1)
            layers += self._layer(below, maps, space, _SMOOTH, up=True)
            below = maps
        return layers

    def _layer(
        self,
        below: int,
        width: int,
        space: Axis,
        time: Axis,
        *,
        up: bool = False,
        norm: bool = False,
        leak: float = 1,
        exact: bool = False,
    ) -> list[nn.Module]:
        """Convolution or its transpose, normalisation if asked for, activation unless its slope is 1.

        ``exact`` takes a :class:`FullPrecision` for the transpose in 3D.
        """
        sizes: list[Any] = [(t, s, s) if self._deep else s for t, s in zip(time, space, strict=True)]
        kernel, stride, padding = sizes
        lengthen = FullPrecision if exact else nn.ConvTranspose3d
        kinds = (nn.Conv3d, lengthen) if self._deep else (nn.Conv2d, nn.ConvTranspose2d)
        layers: list[nn.Module] = [kinds[up](below, width, kernel, stride, padding, bias=not norm)]
        if norm:
            layers.append(nn.BatchNorm3d(width) if self._deep else nn.BatchNorm2d(width))
        if leak < 1:
            layers.append(nn.LeakyReLU(leak, inplace=True))
        return layers


def shortening(seen: int, coarsening: int) -> list[Axis]:
    """Return how each layer of the encoder shortens time: to one step, by halves, in the last layers.

    Raises
    ------
    ConfigError
        If more than one step would be left.
    """
    times = [_HALVE if seen >= least else _STILL for least in _SHORTENED_FROM[coarsening]] + len(_MIDDLE) * [_HALVE]
    left = seen
    for number, (kernel, stride, padding) in enumerate(times):
        if kernel > left + 2 * padding:  # one step is left, of which one remains
            times[number] = (kernel, stride, 2)
        left = max(left // stride, 1)
    if left > 1:
        most = 2 ** (len(times) + 1) - 1
        raise ConfigError(
            f"{seen} frames are more than the {most} that can be seen", where="frame_cnn", fix="see fewer, or take 2d"
        )
    return times


def stretching(leads: int) -> tuple[int, ...]:
    """Return the padding in time of each layer that doubles, from two steps to the number of leads or little more.

    A padding of 1 doubles exactly, one of 0 adds two steps and one of 2 takes off two.

    Raises
    ------
    ConfigError
        If they cannot become so many.
    """
    ways = {}
    for paddings in product((1, 0, 2), repeat=len(_MIDDLE)):
        steps = 2
        for padding in paddings:
            steps = 2 * (steps + 1 - padding)
        if steps >= leads:
            ways[paddings] = (steps, [padding != 1 for padding in paddings])
    if not ways:
        raise ConfigError(f"{leads} frames are too many to forecast", where="frame_cnn", fix="take 30 at most, or 2d")
    return min(ways, key=lambda way: ways[way])
