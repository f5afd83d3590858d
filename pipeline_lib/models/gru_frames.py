"""Encoder-forecasters of recurrent layers on several levels: ConvGRU and TrajGRU.

Shi et al. (2017), arXiv:1706.03458. Both cells, with * a convolution and o a product value by value::

    Z = sigmoid(Wxz * X + P_z)    R = sigmoid(Wxr * X + P_r)    H' = leaky(Wxh * X + R o P_h)
    H <- (1 - Z) o H' + Z o H

In ConvGRU the past P is a convolution of H. In TrajGRU it is a 1x1 convolution of H as seen from L places that a small
network chooses for every cell, out of X and H.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.frame_layers import by_lead, over_time, pad_to_multiple, rest
from pipeline_lib.models.frame_options import LadderOptions
from pipeline_lib.models.frame_warp import Places

_GATES = 3
"""Z, R and the candidate H' share one map."""
_PLANES = 3
"""x, y and ones."""
_KERNEL_HEAD = 3
"""Of the convolution before the last (Shi et al. 2017)."""


def _same(inputs: int, out: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, out, kernel, padding=kernel // 2 * dilation, dilation=dilation)


class Gru(nn.Module):
    """A layer of cells; what they see of the past is left to the classes below.

    Parameters
    ----------
    inputs
        Channels of the input; ``None`` if there is none.
    width
        Channels of the hidden values.
    kernel
        Side of the kernels on the input.
    leak
        Slope of the candidate below zero.
    """

    def __init__(self, inputs: int | None, width: int, *, kernel: int, leak: float) -> None:
        super().__init__()
        self.from_input = _same(inputs, _GATES * width, kernel) if inputs else None
        self.width, self.leak = width, leak

    @abstractmethod
    def look_back(self, hidden: Tensor, aid: Any) -> Tensor:  # noqa: ANN401 - what `aids` yields
        """Return the past (batch, 3 width, height, width) of hidden values (batch, width, height, width)."""

    def aids(self, inputs: Sequence[Tensor] | None, hidden: Tensor, steps: int) -> Iterable[Any]:
        """Yield, for each step, what looking back needs beside the hidden values."""
        return repeat(None, steps)

    def forward(self, inputs: Sequence[Tensor] | None, hidden: Tensor, steps: int) -> list[Tensor]:
        """Return the hidden values of each step.

        Parameters
        ----------
        inputs
            One tensor (batch, channels, height, width) per step; ``None`` if the layer has no input.
        hidden
            Before the first step (batch, width, height, width).
        steps
            To take.
        """
        answers = []
        given = over_time(self.from_input, inputs) if self.from_input and inputs else repeat(None, steps)
        for seen, aid in zip(given, self.aids(inputs, hidden, steps), strict=True):
            hidden = self._step(seen, hidden, aid)
            answers.append(hidden)
        return answers

    def _step(self, seen: Tensor | None, hidden: Tensor, aid: Any) -> Tensor:  # noqa: ANN401
        past, two = self.look_back(hidden, aid), 2 * self.width
        gates = past[:, :two] if seen is None else past[:, :two] + seen[:, :two]
        keep, reset = gates.sigmoid().chunk(2, 1)
        candidate = reset * past[:, two:] if seen is None else torch.addcmul(seen[:, two:], reset, past[:, two:])
        candidate = nn.functional.leaky_relu(candidate, self.leak, inplace=True)
        # Where gates are computed in few digits, the memory is not.
        return torch.lerp(candidate.to(hidden.dtype), hidden, keep.to(hidden.dtype))


class ConvGru(Gru):
    """Cells that see the past of the cells around them.

    Parameters
    ----------
    kernel_state, dilation
        Side of the kernels on the hidden values, and the distance of their cells.
    inputs, width, kernel, leak
        As of :class:`Gru`.
    """

    def __init__(
        self, inputs: int | None, width: int, *, kernel: int, leak: float, kernel_state: int, dilation: int
    ) -> None:
        super().__init__(inputs, width, kernel=kernel, leak=leak)
        self.from_state = _same(width, _GATES * width, kernel_state, dilation)

    def look_back(self, hidden: Tensor, aid: None) -> Tensor:
        """Return the past."""
        past: Tensor = self.from_state(hidden)
        return past


class TrajGru(Gru):
    """Cells that choose where they look back to.

    Parameters
    ----------
    links
        Places that each cell looks to.
    flow_hidden, flow_kernel
        Channels and kernels of the network that chooses them.
    inputs, width, kernel, leak
        As of :class:`Gru`.
    """

    def __init__(
        self,
        inputs: int | None,
        width: int,
        *,
        kernel: int,
        leak: float,
        links: int,
        flow_hidden: int,
        flow_kernel: int,
    ) -> None:
        super().__init__(inputs, width, kernel=kernel, leak=leak)
        self.flow_input = _same(inputs, flow_hidden, flow_kernel) if inputs else None
        self.flow_state = _same(width, flow_hidden, flow_kernel)
        self.flow = _same(flow_hidden, 2 * links, flow_kernel)
        self.mix = nn.Conv2d(links * width, _GATES * width, 1)

    def aids(self, inputs: Sequence[Tensor] | None, hidden: Tensor, steps: int) -> Iterable[Any]:
        """Yield what the input adds to the choice, and where the cells are."""
        hints = over_time(self.flow_input, inputs) if self.flow_input and inputs else repeat(None, steps)
        return zip(hints, repeat(Places(hidden), steps), strict=True)

    def look_back(self, hidden: Tensor, aid: tuple[Tensor | None, Places]) -> Tensor:
        """Return the past."""
        hint, places = aid
        features = self.flow_state(hidden)
        if hint is not None:
            features += hint
        flow = self.flow(nn.functional.leaky_relu(features, self.leak, inplace=True))
        past: Tensor = self.mix(places.warp(hidden, flow))
        return past


class LadderNowcaster(Nowcaster):
    """Recurrent layers with convolutions between them, down for the frames that were seen, up for those to come.

    Parameters
    ----------
    options
        Of the levels.
    channels
        Variables of a frame.
    leads
        Frames to forecast.
    cell
        Makes a recurrent layer from its level, its channels of input (``None`` if it has none) and its width.
    channels_last
        As of :class:`~pipeline_lib.learning.nowcaster.Nowcaster`: with cells of TrajGRU it is a fifth slower.
    """

    def __init__(
        self,
        options: LadderOptions,
        *,
        channels: int,
        leads: int,
        cell: Callable[[int, int | None, int], Gru],
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.options, self.leads, leak = options, leads, options.leak
        widths, stem = options.widths, options.stem
        inputs, levels = channels + _PLANES * options.coordinates, range(len(widths))
        into = [stem, *widths[1:]]
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, step.kernel, step.stride, step.padding), nn.LeakyReLU(leak, inplace=True))
            for a, b, step in zip([inputs, *widths], into, options.down, strict=False)
        )
        self.encoder = nn.ModuleList(map(cell, levels, into, widths))
        self.forecaster = nn.ModuleList(map(cell, levels, [*widths[1:], None], widths))
        ups = [
            nn.Sequential(
                nn.ConvTranspose2d(a, b, step.kernel, step.stride, step.padding, bias=False),
                nn.LeakyReLU(leak, inplace=True),
            )
            for a, b, step in zip(widths, into, options.up, strict=True)
        ]
        self.up = nn.ModuleList(ups[1:])
        self.head = nn.Sequential(
            ups[0], _same(stem, stem, _KERNEL_HEAD), nn.LeakyReLU(leak, inplace=True), nn.Conv2d(stem, 1, 1)
        )
        _initialise(self, leak)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the forecast (batch, leads, height, width)."""
        steps: Sequence[Tensor] = self._inputs(frames).unbind(1)
        states = []
        for down, cell, width in zip(self.down, self.encoder, self.options.widths, strict=True):
            steps = over_time(down, steps)
            steps = cell(steps, rest(steps[0], width), len(steps))
            states.append(steps[-1])
        steps = self.forecaster[-1](None, states.pop(), self.leads)
        for up, cell in zip(reversed(self.up), reversed(self.forecaster[:-1]), strict=True):
            steps = cell(over_time(up, steps), states.pop(), self.leads)
        return by_lead(self.head(torch.cat(list(steps))), self.leads, frames)

    def _inputs(self, frames: Tensor) -> Tensor:
        """Frames with the planes of coordinates, as large as the strides ask; ones end where the frame does."""
        if self.options.coordinates:
            xy = Places(frames).xy
            planes = torch.cat([xy, torch.ones_like(xy[:1])])
            frames = torch.cat([frames, planes.expand(*frames.shape[:2], -1, -1, -1)], 2)
        return pad_to_multiple(frames, prod(step.stride for step in self.options.down))


def _initialise(network: nn.Module, leak: float) -> None:
    """Draw weights normally, as He et al. (2015, arXiv:1502.01852) do for leaky units; flows start at zero.

    Their n is here the mean of the inputs and the outputs of a layer, each times the cells of the kernel, whatever the
    stride: what MXNet's ``MSRAPrelu`` counts by default, which the public code of Shi et al. (2017) draws with.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        count = (layer.in_channels + layer.out_channels) / 2 * prod(layer.kernel_size)
        nn.init.normal_(layer.weight, std=(2 / ((1 + leak**2) * count)) ** 0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if name.endswith(".flow"):
            nn.init.zeros_(layer.weight)
