"""Options that models of frames share."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline_lib.options import Options


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a kernel has a cell in its middle only if its size is odd, not {value}")
    return value


OddSize = Annotated[int, Field(gt=0), AfterValidator(_odd)]
"""Cells along a side of a kernel that has one in its middle."""
Width = Annotated[int, Field(gt=0)]
"""Channels of a layer."""


class UNetOptions(Options):
    """Options of the U-Nets over frames; by default the published widths."""

    widths: tuple[Width, ...] = Field((64, 128, 256, 512, 512), min_length=2, max_length=7)
    """Channels of each level, finest first."""
    link: Literal["identity", "logistic"] = "identity"
    """``logistic`` for values from 0 to 1, such as cloud masks."""
    residual: bool = False
    """Whether the last frame is added to each forecast; only without a logistic function."""

    @model_validator(mode="after")
    def _adds_to_values(self) -> Self:
        if self.residual and self.link == "logistic":
            raise ValueError("residual adds the last frame to values, and link: logistic has none: choose one")
        return self


class Resampling(Options):
    """A convolution with a stride, or its transpose."""

    kernel: int = Field(gt=0)
    """Cells along a side of the kernel."""
    stride: int = Field(gt=0)
    """By how much it divides height and width, or multiplies them."""
    padding: int = Field(default=1, ge=0)
    """Cells on each side that the convolution adds, or its transpose takes off."""


def _steps(*sizes: tuple[int, int]) -> tuple[Resampling, ...]:
    return tuple(Resampling(kernel=kernel, stride=stride) for kernel, stride in sizes)


class LadderOptions(Options):
    """Options of the recurrent encoder-forecasters on several levels; by default that of MovingMNIST++.

    That of HKO-7, for 480 x 480 cells: ``stem`` 8, ``widths`` 64, 192, 192, ``down`` with kernels 7, 5, 3 and strides
    5, 3, 2, ``up`` with kernels 7, 5, 4 and the same strides.
    """

    stem: Width = 16
    """Channels of the first convolution, and of the last but one."""
    widths: tuple[Width, ...] = Field((64, 96, 96), min_length=1)
    """Channels of the recurrent layers, the nearest to the frames first."""
    down: tuple[Resampling, ...] = _steps((3, 1), (3, 2), (3, 2))
    """Convolutions before the encoder's layers; frames that their strides do not divide are padded."""
    up: tuple[Resampling, ...] = _steps((3, 1), (4, 2), (4, 2))
    """Transposed convolutions after the forecaster's layers of the same level."""
    kernel_input: OddSize = 3
    """Side of the kernels on a recurrent layer's input."""
    coordinates: bool = True
    """Whether the network sees where it is: x and y between -1 and 1, and a plane of ones."""
    leak: float = Field(0.2, ge=0, lt=1)
    """Slope of the activations below zero, that of the recurrent candidate too."""

    @model_validator(mode="after")
    def _goes_down_and_up_again(self) -> Self:
        if not len(self.down) == len(self.up) == len(self.widths):
            raise ValueError("down, up and widths must have one entry for each level")
        for level, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            if not 0 < down.kernel - 2 * down.padding <= down.stride:
                raise ValueError(f"down[{level}] does not divide by its stride: 0 < kernel - 2 padding <= stride")
            if up.kernel - 2 * up.padding != up.stride or up.stride != down.stride:
                raise ValueError(f"up[{level}] does not undo down[{level}]: kernel - 2 padding = stride, that of down")
        return self

    def check_levels(self, **given: tuple[int, ...]) -> None:
        """Raise ``ValueError`` if an option does not have one value for each level."""
        for name, values in given.items():
            if len(values) != len(self.widths):
                raise ValueError(f"{name} has {len(values)} values, widths has {len(self.widths)}: one for each level")
