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
        self.sums = torch.zeros(2 + classes**2, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in: its summed loss, its size, and how many cells of each class got which."""
        size = len(batch.target)
        loss = float(self._loss(output, batch.target)) * size
        sea = batch.target != IGNORED
        pair = batch.target[sea].long() * self._classes + output.argmax(dim=1)[sea]
        counts = torch.bincount(pair, minlength=self._classes**2)
        self.sums += torch.cat([torch.tensor([loss, size], dtype=torch.float64), counts.cpu().double()])

    def result(self) -> dict[str, float]:
        """Return loss, mean_dice, accuracy and dice_<class>; a class that never occurs has Dice 0."""
        loss, patches = self.sums[:2].tolist()
        confusion = self.sums[2:].reshape(self._classes, self._classes)
        hits = confusion.diagonal()
        dice = 2 * hits / (confusion.sum(dim=0) + confusion.sum(dim=1)).clamp(min=1)
        names = CLASSES if self._classes == len(CLASSES) else tuple(str(c) for c in range(self._classes))
        return {
            "loss": loss / max(patches, 1),
            "mean_dice": float(dice.mean()),
            "accuracy": float(hits.sum() / confusion.sum().clamp(min=1)),
            **{f"dice_{name}": float(value) for name, value in zip(names, dice, strict=True)},
        }
