"""Options of the classification task."""

from __future__ import annotations

from pydantic import Field

from pipeline_lib.score.options import IntervalOptions, MetricOptions
from pipeline_lib.train.options import LoopOptions

_ONE_IMAGE = 1e-3
"""Days: shorter than the distance of two images, so that blocks are single images."""


class TrainingOptions(LoopOptions):
    """How a classifier of images is trained."""

    target: str = "label"
    """Dataset variable that holds the class of each image, counted from 0."""
    classes: int = Field(default=10, ge=2)
    """Number of classes."""
    batch_size: int = Field(default=64, gt=0)
    """Images per step; what is left over at the end of an epoch waits for another order."""


class ImageIntervals(IntervalOptions):
    """How intervals and ties are made."""

    block_days: float = Field(default=_ONE_IMAGE, gt=0)
    """Length of the blocks of images that are resampled together, in days. Images in random order are independent, so
    blocks are single images."""


class ScoringOptions(MetricOptions):
    """What is scored, and how."""

    metrics: list[str] = Field(default=["error_rate", "cross_entropy", "calibration_error"], min_length=1)
    """Registered metrics, in the order of the leaderboard."""
    intervals: ImageIntervals = ImageIntervals()
    """How intervals and ties are made. Images in random order are independent, so blocks are single images."""
