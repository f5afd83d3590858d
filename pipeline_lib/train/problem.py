"""What the loop needs to know of a task: batches, a loss, validation scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from pipeline_lib.train.share import Share


class Batch(NamedTuple):
    """One batch.

    Attributes
    ----------
    inputs
        float32 (batch, channels, height, width) of maps, (batch, ...) of anything else.
    target
        What the task's loss compares the output with.
    samples
        int64 (batch, n): numbers by which :meth:`Problem.describe` names each sample.
    """

    inputs: Tensor
    target: Tensor
    samples: Tensor


class Batches(Protocol):
    """Batches in a fixed order."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[Batch]:
        """Give one after the other, the same at every call."""


class Scores(Protocol):
    """Validation scores gathered over batches.

    Attributes
    ----------
    sums
        Sums over batches that the scores are made of: float64, one axis, the same length always, on the CPU. Those of
        several processes may be added and put in place of the own ones.
    """

    sums: Tensor

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""

    def result(self) -> Mapping[str, float]:
        """Return the scores; ``loss`` is the one that early stopping watches."""


class Problem(Protocol):
    """A task with its data; it can be pickled, so that several processes can train it together."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches that :meth:`training_batches` gives."""

    def training_batches(self, epoch: int, share: Share) -> Batches:
        """Return the batches of an epoch, a function of seed and epoch alone; of each batch this share of samples."""

    def validation_batches(self, share: Share) -> Batches:
        """Return the validation batches, the same at every call; of several shares each batch is in one."""

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the scalar loss of a batch."""

    def new_scores(self) -> Scores:
        """Return empty validation scores."""

    def describe(self, samples: Tensor) -> str:
        """Name samples in words that a user can look up: dates and corners."""
