"""A residual network for images, put together of blocks that are steps of a scheme."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

from torch import Tensor, nn

from pipeline_lib.models.scheme_resnet.blocks import (
    Block,
    Implicit,
    Leapfrog,
    Multistep,
    Plain,
    Reversible,
    RungeKuttaBlock,
    SecondOrderPolynomial,
)


class NetworkOptions(Protocol):
    """What the network needs to know."""

    block: Any
    blocks: int
    widths: tuple[int, ...]
    normalisation: Any
    groups: int
    iterations: int


class SchemeResNet(nn.Module):
    """Stem, stages of blocks, normalisation, mean over the image, linear map to logits.

    Between two stages one block halves the image and changes the number of channels: an Euler step with a shortcut of
    its own (none where the blocks have none), which takes the place of the stage's first block and leaves no past.

    Parameters
    ----------
    in_channels, classes
        Channels of the input and number of logits.
    options
        Kind, number and width of the blocks.
    """

    def __init__(self, in_channels: int, classes: int, options: NetworkOptions) -> None:
        super().__init__()
        widths = options.widths
        self.stem = _convolution(in_channels, widths[0])
        self.stages = nn.ModuleList([Stage(_blocks(widths[0], options.blocks, options))])
        self.transitions = nn.ModuleList()
        for fine, coarse in pairwise(widths):
            self.transitions.append(Transition(fine, coarse, options))
            self.stages.append(Stage(_blocks(coarse, options.blocks - 1, options)))
        self.head = nn.Sequential(
            # Used once for each image, so that batch statistics mix nothing. Group normalisation here takes from each
            # image what the mean over it could tell: trainings start late, or never.
            nn.Identity() if options.normalisation == "none" else nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to logits (batch, classes)."""
        x = self.stages[0](self.stem(x))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(transition(x))
        logits: Tensor = self.head(x)
        return logits


class Stage(nn.ModuleList):
    """Blocks of one width, each of which may look at the state before its own; the first one has no past."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the state after all blocks."""
        previous: Tensor | None = None
        for block in self:
            x, previous = block(x, previous), x
        return x


class Transition(nn.Module):
    """To half the height and width and another number of channels."""

    def __init__(self, fine: int, coarse: int, options: NetworkOptions) -> None:
        super().__init__()
        self.branch = _branch(fine, options, out=coarse, stride=2)
        self.shortcut: nn.Module | None = None
        if options.block != "plain":
            self.shortcut = nn.Sequential(
                _normalisation(fine, options), nn.ReLU(), nn.Conv2d(fine, coarse, 1, stride=2, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the first state of the coarser stage."""
        change: Tensor = self.branch(x)
        return change if self.shortcut is None else self.shortcut(x) + change


def _blocks(width: int, count: int, options: NetworkOptions) -> list[Block]:
    return [_block(width, options) for _ in range(count)]


def _block(width: int, options: NetworkOptions) -> Block:
    if options.block == "reversible":
        return Reversible(_branch(width // 2, options), _branch(width // 2, options))
    branch = _branch(width, options)
    if options.block == "implicit":
        return Implicit(branch, options.iterations)
    others: dict[str, Callable[[nn.Module], Block]] = {
        "plain": Plain,
        "multistep": Multistep,
        "leapfrog": Leapfrog,
        "poly2": SecondOrderPolynomial,
    }
    if options.block in others:
        return others[options.block](branch)
    return RungeKuttaBlock(branch, options.block)


def _branch(width: int, options: NetworkOptions, *, out: int | None = None, stride: int = 1) -> nn.Sequential:
    """Return F, the two convolutions of a pre-activation block (He et al. 2016, arXiv 1603.05027)."""
    out = out or width
    return nn.Sequential(
        _normalisation(width, options),
        nn.ReLU(),
        _convolution(width, out, stride),
        _normalisation(out, options),
        nn.ReLU(),
        _convolution(out, out),
    )


def _convolution(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel_size=3, stride=stride, padding=1, bias=False)


def _normalisation(channels: int, options: NetworkOptions) -> nn.Module:
    if options.normalisation == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(options.groups, channels) if options.normalisation == "group" else nn.Identity()
