"""Training options of the segmentation task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline_lib.train.options import LoopOptions

Augmentation = Literal["north_south", "east_west", "polarity"]


class TrainingOptions(LoopOptions):
    """How a segmentation network is trained; the defaults are the published protocol of EddyNet."""

    patch: int = Field(default=128, gt=0)
    """Height and width of a training patch in cells."""
    batch_size: int = Field(default=16, gt=0)
    """Patches per step."""
    steps_per_epoch: int | None = Field(default=None, gt=0)
    """Steps per epoch; null takes one random patch of every training map."""
    validation_patches: int = Field(default=1020, gt=0)
    """Validation patches at most, spread evenly over a regular cover of the validation maps."""
    loss: Literal["dice", "weighted_dice", "cross_entropy", "dice_cross_entropy"] = "dice"
    """``dice_cross_entropy`` is the mean of both."""
    smooth: float = Field(default=1e-5, gt=0)
    """Constant added to both parts of the Dice quotient."""
    class_weights: tuple[float, ...] | None = None
    """Weights of the classes in ``weighted_dice``; null takes inverse class frequency in the training set."""
    land_as_background: bool = True
    """Whether cells without data count as class 0 in the loss; otherwise they do not count."""
    normalisation: Literal["none", "standard"] = "none"
    """``standard`` scales each input by mean and standard deviation over the training set."""
    augmentation: tuple[Augmentation, ...] = ()
    """Mirror images (vector components change sign) and reversal of polarity (the two eddy classes swap)."""
