"""Encoder-forecasters of LSTM cells with peepholes: over maps (ConvLSTM) and over vectors (FC-LSTM).

Shi et al. (2015), arXiv:1506.04214. The cell, with * a convolution (a matrix product in FC-LSTM) and o a product value
by value::

    i = sigmoid(Wxi * X + Whi * H + wci o C + bi)      C' = f o C + i o tanh(Wxg * X + Whg * H + bg)
    f = sigmoid(Wxf * X + Whf * H + wcf o C + bf)      H' = o o tanh(C')
    o = sigmoid(Wxo * X + Who * H + wco o C' + bo)

The weights w of the peepholes are one number per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.models.frame_layers import by_lead, over_time, pad_to_multiple, rest

State = tuple[Tensor, Tensor]
"""Hidden values H and cells C."""

_GATES, _PEEPHOLES = 4, 3
"""i, f, o and g share one map; the candidate g does not look at the cells."""


class LstmLayer(nn.Module):
    """A layer of cells.

    Parameters
    ----------
    from_input
        Maps an input to the four gates, (batch, 4 width, ...); ``None`` if the layer has no input.
    from_state
        Maps hidden values (batch, width, ...) to the gates.
    width
        Channels of the hidden values.
    axes
        Axes after the channels.
    """

    def __init__(self, from_input: nn.Module | None, from_state: nn.Module, width: int, *, axes: int) -> None:
        super().__init__()
        self.from_input, self.from_state, self.width = from_input, from_state, width
        self.peephole = nn.Parameter(torch.zeros(_PEEPHOLES, width, *(axes * [1])))

    def forward(self, inputs: Sequence[Tensor] | None, state: State, steps: int) -> tuple[list[Tensor], State]:
        """Return the hidden values (batch, width, ...) of each step, and the state after the last.

        Parameters
        ----------
        inputs
            One tensor (batch, channels, ...) per step; ``None`` if the layer has no input.
        state
            Before the first step.
        steps
            To take.
        """
        answers: list[Tensor] = []
        given = over_time(self.from_input, inputs) if self.from_input and inputs else repeat(None, steps)
        for seen in given:
            state = self._step(seen, *state)
            answers.append(state[0])
        return answers, state

    def _step(self, seen: Tensor | None, hidden: Tensor, cell: Tensor) -> State:
        gates = self.from_state(hidden)
        if seen is not None:
            gates += seen
        # Input and forget gate look at the cells before this step, the output gate at those after it.
        two = gates[:, : 2 * self.width].reshape(len(cell), 2, *cell.shape[1:])
        enter, keep = torch.addcmul(two, self.peephole[:2], cell.unsqueeze(1)).sigmoid_().unbind(1)
        leave, candidate = gates[:, 2 * self.width :].chunk(2, 1)
        cell = torch.addcmul(keep * cell, enter, candidate.tanh())
        hidden = torch.addcmul(leave, self.peephole[2], cell).sigmoid_() * cell.tanh()
        return hidden, cell


def conv_layer(inputs: int | None, width: int, kernel_input: int, kernel_state: int) -> LstmLayer:
    """Return a layer over maps, with convolutions of kernels of these sides; without input if it has no channels."""
    out = _GATES * width
    return LstmLayer(
        nn.Conv2d(inputs, out, kernel_input, padding=kernel_input // 2) if inputs else None,
        nn.Conv2d(width, out, kernel_state, padding=kernel_state // 2, bias=not inputs),
        width,
        axes=2,
    )


def dense_layer(inputs: int | None, units: int) -> LstmLayer:
    """Return a layer over vectors; without input if it has no values."""
    out = _GATES * units
    return LstmLayer(nn.Linear(inputs, out) if inputs else None, nn.Linear(units, out, bias=not inputs), units, axes=0)


class LstmNowcaster(Nowcaster):
    """Layers that read the frames, and as many that go on from the states of the first without any input.

    Parameters
    ----------
    layer
        Makes a layer from its channels of input (``None`` if it has none) and its width.
    inputs
        Channels of a frame.
    widths
        Of the layers, the nearest to the frames first.
    leads
        Frames to forecast.
    """

    link: ClassVar[Literal["identity", "logistic"]] = "logistic"
    channels_last = False  # a tenth slower

    def __init__(
        self, layer: Callable[[int | None, int], LstmLayer], inputs: int, widths: Sequence[int], leads: int
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(map(layer, [inputs, *widths[:-1]], widths))
        self.forecaster = nn.ModuleList(map(layer, [None, *widths[:-1]], widths))
        self.widths, self.leads = widths, leads

    def unroll(self, seen: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return the hidden values at each lead, for each layer of the forecaster."""
        states = []
        for layer, width in zip(self.encoder, self.widths, strict=True):
            zeros = rest(seen[0], width)
            seen, state = layer(seen, (zeros, zeros), len(seen))
            states.append(state)
        hidden: list[list[Tensor]] = []
        for layer, state in zip(self.forecaster, states, strict=True):
            hidden.append(layer(hidden[-1] if hidden else None, state, self.leads)[0])
        return hidden


class ConvLstm(LstmNowcaster):
    """ConvLSTM over patches of frames; all layers together give the forecast.

    Parameters
    ----------
    channels
        Variables of a frame.
    leads
        Frames to forecast.
    patch
        Side of the squares of cells that become channels of one cell.
    kernel_input, kernel_state
        Sides of the kernels on a layer's input and on its own hidden values.
    widths
        Channels of the layers.
    """

    def __init__(
        self, *, channels: int, leads: int, patch: int, kernel_input: int, kernel_state: int, widths: Sequence[int]
    ) -> None:
        def layer(inputs: int | None, width: int) -> LstmLayer:
            return conv_layer(inputs, width, kernel_input, kernel_state)

        super().__init__(layer, channels * patch**2, widths, leads)
        self.out = nn.Conv2d(sum(widths), patch**2, 1)
        self.patch = patch

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits (batch, leads, height, width)."""
        patches = nn.functional.pixel_unshuffle(pad_to_multiple(frames, self.patch), self.patch)
        hidden = self.unroll(patches.unbind(1))
        logits = self.out(torch.cat([torch.cat(steps) for steps in hidden], 1))
        return by_lead(nn.functional.pixel_shuffle(logits, self.patch), self.leads, frames)


class FcLstm(LstmNowcaster):
    """FC-LSTM over frames as vectors; the last layer gives the forecast.

    Parameters
    ----------
    channels, height, width
        Of a frame.
    leads
        Frames to forecast.
    widths
        Units of the layers.
    """

    def __init__(self, *, channels: int, height: int, width: int, leads: int, widths: Sequence[int]) -> None:
        super().__init__(dense_layer, channels * height * width, widths, leads)
        self.out = nn.Linear(widths[-1], height * width)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits (batch, leads, height, width)."""
        hidden = self.unroll(frames.flatten(2).unbind(1))
        logits: Tensor = self.out(torch.stack(hidden[-1], 1))
        return logits.reshape(*logits.shape[:2], *frames.shape[-2:])
