"""Scores that watch a training: pooled hard Dice and accuracy over sea cells.

They guide early stopping and the log; published scores come from the score stage.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.losses import IGNORED, Loss
from pipeline_lib.train.problem import Batch

_COUNT = len(CLASSES)


class SegmentationScores:
    """Loss (mean over patches), hard Dice per class, their mean, and accuracy, pooled over all batches."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self.sums = torch.zeros(2 + _COUNT**2, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in: its summed loss, its size, and how many cells of each class got which."""
        size = len(batch.target)
        loss = float(self._loss(output, batch.target)) * size
        sea = batch.target != IGNORED
        pair = batch.target[sea].long() * _COUNT + output.argmax(dim=1)[sea]
        counts = torch.bincount(pair, minlength=_COUNT**2)
        self.sums += torch.cat([torch.tensor([loss, size], dtype=torch.float64), counts.cpu().double()])

    def result(self) -> dict[str, float]:
        """Return loss, mean_dice, accuracy and dice_<class>; a class that never occurs has Dice 0."""
        loss, patches = self.sums[:2].tolist()
        confusion = self.sums[2:].reshape(_COUNT, _COUNT)
        hits = confusion.diagonal()
        dice = 2 * hits / (confusion.sum(dim=0) + confusion.sum(dim=1)).clamp(min=1)
        return {
            "loss": loss / max(patches, 1),
            "mean_dice": float(dice.mean()),
            "accuracy": float(hits.sum() / confusion.sum().clamp(min=1)),
            **{f"dice_{name}": float(value) for name, value in zip(CLASSES, dice, strict=True)},
        }
