"""Scores that watch a training: pooled hard Dice and accuracy over sea cells.

They guide early stopping and the log; published scores come from the score stage.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.losses import IGNORED, Loss
from pipeline_lib.train.problem import Batch


class SegmentationScores:
    """Loss (mean over patches), hard Dice per class, their mean, and accuracy, pooled over all batches."""

    def __init__(self, loss: Loss, classes: int) -> None:
        self._loss, self._classes = loss, classes
        self._loss_sum, self._patches = 0.0, 0
        self._confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        size = len(batch.target)
        self._loss_sum += float(self._loss(output, batch.target)) * size
        self._patches += size
        sea = batch.target != IGNORED
        pair = batch.target[sea].long() * self._classes + output.argmax(dim=1)[sea]
        counts = torch.bincount(pair, minlength=self._classes**2)
        self._confusion += counts.reshape(self._classes, self._classes).cpu()

    def totals(self) -> Tensor:
        """Return summed loss, number of patches and confusion counts, float64 (exact up to 2^53 cells)."""
        first = torch.tensor([self._loss_sum, self._patches], dtype=torch.float64)
        return torch.cat([first, self._confusion.flatten().double()])

    def replace(self, totals: Tensor) -> None:
        """Take such sums in place of the own ones."""
        self._loss_sum, self._patches = float(totals[0]), int(totals[1])
        self._confusion = totals[2:].to(torch.int64).reshape(self._classes, self._classes)

    def result(self) -> dict[str, float]:
        """Return loss, mean_dice, accuracy and dice_<class>; a class that never occurs has Dice 0."""
        hits = self._confusion.diagonal().double()
        both = self._confusion.sum(dim=0) + self._confusion.sum(dim=1)
        dice = 2 * hits / both.clamp(min=1)
        names = CLASSES if self._classes == len(CLASSES) else tuple(str(c) for c in range(self._classes))
        return {
            "loss": self._loss_sum / max(self._patches, 1),
            "mean_dice": float(dice.mean()),
            "accuracy": float(hits.sum() / self._confusion.sum().clamp(min=1)),
            **{f"dice_{name}": float(value) for name, value in zip(names, dice, strict=True)},
        }
