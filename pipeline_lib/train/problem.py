"""What the loop needs to know of a task: batches, a loss, validation scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """One batch.

    Attributes
    ----------
    inputs
        float32 (batch, channels, height, width).
    target
        What the task's loss compares the output with.
    samples
        int64 (batch, n): numbers by which :meth:`Problem.describe` names each sample.
    """

    inputs: Tensor
    target: Tensor
    samples: Tensor


class Scores(Protocol):
    """Validation scores gathered over batches."""

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""

    def result(self) -> Mapping[str, float]:
        """Return the scores; ``loss`` is the one that early stopping watches."""


class Problem(Protocol):
    """A task with its data."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches that :meth:`training_batches` gives."""

    def training_batches(self, epoch: int) -> Iterable[Batch]:
        """Return the batches of an epoch, a function of seed and epoch alone; sized and iterable once or more."""

    def validation_batches(self) -> Iterable[Batch]:
        """Return the validation batches, the same at every call."""

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the scalar loss of a batch."""

    def new_scores(self) -> Scores:
        """Return empty validation scores."""

    def describe(self, samples: Tensor) -> str:
        """Name samples in words that a user can look up: dates and corners."""
