"""Recurrent networks that see a small part of each frame: the surroundings of a pixel, or a patch.

The layers are those of the plain LSTM, with W one linear map of input and hidden values together::

    i, f, o = sigmoid(W [x, h] + b)      g = tanh(W [x, h] + b)      c' = f c + i g      h' = o tanh(c')

or of the simple recurrent network, h' = tanh(W [x, h] + b). The same network goes to all parts of a frame, and knows
nothing of where they are; its answers, put together, are the next frame, from which it goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline_lib.learning.nowcaster import Nowcaster

Kind = Literal["lstm", "rnn"]
States = list[tuple[Tensor, ...]]
"""Of each layer: hidden values and cells of an LSTM, hidden values of a simple network."""

_GATES = 4
"""i, f, o and g."""


class Layer(nn.Module):
    """A layer of units.

    Parameters
    ----------
    inputs
        Values that it sees.
    width
        Units.
    kind
        LSTM cells or simple units.
    """

    def __init__(self, inputs: int, width: int, kind: Kind) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        self.map = nn.Linear(inputs + width, width * (_GATES if kind == "lstm" else 1))

    def forward(self, seen: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """Return the state after a step, the hidden values (sample, width) first; ``None`` before it is all zeros."""
        state = state or 2 * (seen.new_zeros(len(seen), self.width),)
        mapped = self.map(torch.cat([seen, state[0]], dim=1))
        if self.kind == "rnn":
            return (mapped.tanh(),)
        enter, keep, leave, candidate = mapped.chunk(_GATES, dim=1)
        cell = keep.sigmoid() * state[1] + enter.sigmoid() * candidate.tanh()
        return leave.sigmoid() * cell.tanh(), cell


class LocalRecurrent(Nowcaster):
    """Layers that see the squares of a frame and answer with the middle of each in the next frame.

    Parameters
    ----------
    channels
        Variables of a frame.
    leads
        Frames to forecast.
    size
        Side of the squares that are seen, in cells.
    step
        Side of the squares that are answered with: 1 for the pixel in the middle, ``size`` for all of it.
    widths
        Units of the layers.
    kind
        Of the layers.
    residual
        Whether the last frame is added to the answer.
    recompute
        Whether values within a step are computed again when gradients are, instead of being kept.
    """

    def __init__(
        self,
        *,
        channels: int,
        leads: int,
        size: int,
        step: int,
        widths: Sequence[int],
        kind: Kind,
        residual: bool,
        recompute: bool,
    ) -> None:
        super().__init__()
        self.leads, self.size, self.step = leads, size, step
        self.residual, self.recompute = residual, recompute
        inputs = [channels * size**2, *widths[:-1]]
        self.layers = nn.ModuleList(Layer(seen, width, kind) for seen, width in zip(inputs, widths, strict=True))
        self.out = nn.Linear(widths[-1], step**2)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (batch, leads, height, width).

        Variables besides the first stay as they were seen last.
        """
        states: States = []
        for frame in frames.unbind(1):
            answer, states = self._next(frame, states)
        made = [answer]
        for _ in range(self.leads - 1):
            frame = torch.cat([made[-1], frames[:, -1, 1:]], dim=1)
            answer, states = self._next(frame, states)
            made.append(answer)
        return torch.cat(made, dim=1)

    def _next(self, frame: Tensor, states: States) -> tuple[Tensor, States]:
        """Return the frame (batch, 1, height, width) after one (batch, channel, height, width), and the states."""
        if self.recompute and torch.is_grad_enabled():
            found: tuple[Tensor, States] = checkpoint(self._answer, frame, states, use_reentrant=False)
            return found
        return self._answer(frame, states)

    def _answer(self, frame: Tensor, states: States) -> tuple[Tensor, States]:
        height, width = frame.shape[-2:]
        rows, columns = -(-height // self.step), -(-width // self.step)
        margin = (self.size - self.step) // 2
        below, right = rows * self.step - height, columns * self.step - width
        # What is beyond the border nobody knows; it is taken to be as at the border.
        padded = nn.functional.pad(frame, (margin, margin + right, margin, margin + below), mode="replicate")
        squares = nn.functional.unfold(padded, self.size, stride=self.step)
        hidden = squares.transpose(1, 2).flatten(0, 1)
        after: States = []
        for number, layer in enumerate(self.layers):
            after.append(layer(hidden, states[number] if states else None))
            hidden = after[-1][0]
        answers = self.out(hidden).unflatten(0, (len(frame), -1)).transpose(1, 2)
        size = (rows * self.step, columns * self.step)
        made = nn.functional.fold(answers, size, self.step, stride=self.step)[..., :height, :width]
        return (made + frame[:, :1] if self.residual else made), after
