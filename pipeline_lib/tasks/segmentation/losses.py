"""Losses of segmentation: soft Dice over the whole batch, weighted Dice, cross-entropy.

Targets are class codes; -1 marks a cell that does not count. No one-hot array is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from pipeline_lib.tasks.segmentation.training_options import TrainingOptions

Loss = Callable[[Tensor, Tensor], Tensor]

IGNORED = -1
"""Target of a cell that does not count."""


def dice_loss(logits: Tensor, target: Tensor, *, smooth: float, weights: Sequence[float] | None = None) -> Tensor:
    """Return one minus the weighted mean of the soft Dice coefficients of the classes.

    ``D_c = (2 sum p_c t_c + s) / (sum p_c + sum t_c + s)`` with sums over all cells of the batch that count
    (Lguensat et al. 2017, arXiv 1711.03954); the loss is ``1 - sum_c w_c D_c``.

    Parameters
    ----------
    logits
        (batch, classes, height, width), any floating type; computed in float32.
    target
        Integer class codes (batch, height, width).
    smooth
        The constant s.
    weights
        One weight per class, sum 1; equal weights if ``None``.
    """
    classes = logits.shape[1]
    probability = torch.softmax(logits.float(), dim=1)
    weights = weights or [1 / classes] * classes
    # The target is one for all classes, so its ignored cells are looked for once.
    counted = target != IGNORED
    everything = bool(counted.all())
    loss = torch.ones((), device=logits.device)
    for c, weight in enumerate(weights):
        truth = target == c
        p = probability[:, c]
        both = (p * truth).sum()
        total = (p if everything else p * counted).sum() + truth.sum()
        loss = loss - weight * (2 * both + smooth) / (total + smooth)
    return loss


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the unweighted mean cross-entropy over the cells that count, 0 if there are none.

    Shapes as in :func:`dice_loss`.
    """
    # Gathered by hand: the library's loss has no deterministic kernel for maps on a GPU.
    counts = target != IGNORED
    index = torch.where(counts, target, 0).long().unsqueeze(1)
    picked = torch.log_softmax(logits.float(), dim=1).gather(1, index).squeeze(1)
    return -torch.where(counts, picked, 0.0).sum() / counts.sum().clamp(min=1)


def make_loss(options: TrainingOptions, weights: Sequence[float] | None) -> Loss:
    """Return the loss that the options name, of (logits, target); it can be pickled.

    Parameters
    ----------
    options
        Loss, smoothing and treatment of land.
    weights
        Class weights for ``weighted_dice``, sum 1.
    """
    return partial(_loss, options=options, weights=weights)


def _loss(logits: Tensor, target: Tensor, *, options: TrainingOptions, weights: Sequence[float] | None) -> Tensor:
    if options.land_as_background:
        target = target.clamp(min=0)
    if options.loss == "cross_entropy":
        return cross_entropy(logits, target)
    dice = dice_loss(
        logits, target, smooth=options.smooth, weights=weights if options.loss == "weighted_dice" else None
    )
    if options.loss == "dice_cross_entropy":
        return 0.5 * (dice + cross_entropy(logits, target))
    return dice
