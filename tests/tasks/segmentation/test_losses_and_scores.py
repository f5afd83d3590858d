"""Losses and scores against definitions written out with one-hot arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.tasks.segmentation.losses import IGNORED, cross_entropy, dice_loss, make_loss
from pipeline_lib.tasks.segmentation.scores import SegmentationScores
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions
from pipeline_lib.train.problem import Batch


def sample(seed, classes=3, ignored=0.2):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 7)), int(rng.integers(1, 7)))
    logits = rng.normal(size=(shape[0], classes, *shape[1:]))
    target = rng.integers(0, classes, size=shape)
    target[rng.random(shape) < ignored] = IGNORED
    return logits, target


def reference(logits, target, smooth, weights):
    """Soft Dice and cross-entropy from one-hot arrays."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = target != IGNORED
    loss, entropy = 1.0, 0.0
    for c, weight in enumerate(weights):
        one_hot = (target == c).astype(float)
        total = (p[:, c] * counts).sum() + one_hot.sum()
        loss -= weight * (2 * (p[:, c] * one_hot).sum() + smooth) / (total + smooth)
        entropy -= (np.log(p[:, c]) * one_hot).sum()
    return loss, entropy / max(counts.sum(), 1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-5, 1.0]), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=50)
def test_losses_equal_their_definition(seed, smooth, ignored):
    logits, target = sample(seed, ignored=ignored)
    weights = (0.1, 0.3, 0.6)
    x, t = torch.from_numpy(logits), torch.from_numpy(target.astype(np.int8))
    dice, entropy = reference(logits, target, smooth, weights)
    assert dice_loss(x, t, smooth=smooth, weights=weights).item() == pytest.approx(dice, abs=1e-5)
    assert cross_entropy(x, t).item() == pytest.approx(entropy, rel=1e-5, abs=1e-6)
    equal, _ = reference(logits, target, smooth, (1 / 3,) * 3)
    assert dice_loss(x, t, smooth=smooth).item() == pytest.approx(equal, abs=1e-5)


def test_dice_by_hand():
    # Two cells, certain and right: every D is (2 n + s) / (2 n + s) = 1. The third class is nowhere: s / s = 1.
    target = torch.tensor([[[0, 1]]])
    logits = torch.full((1, 3, 1, 2), -50.0)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 1] = 50.0
    assert dice_loss(logits, target, smooth=1e-5).item() == pytest.approx(0, abs=1e-6)
    # Both cells said to be class 0: D_0 = 2/3, D_1 = 0, D_2 = 1 (to s), so the loss is 1 - (5/3)/3 = 4/9.
    logits = torch.full((1, 3, 1, 2), -50.0)
    logits[0, 0] = 50.0
    assert dice_loss(logits, target, smooth=1e-5).item() == pytest.approx(4 / 9, abs=1e-4)


@pytest.mark.parametrize("name", ["dice", "weighted_dice", "cross_entropy", "dice_cross_entropy"])
def test_ignored_cells_count_as_background_or_not_at_all(name):
    logits, target = sample(3)
    x, t = torch.from_numpy(logits), torch.from_numpy(target)
    weights = (0.2, 0.3, 0.5)
    as_background = make_loss(TrainingOptions(loss=name), weights)
    left_out = make_loss(TrainingOptions(loss=name, land_as_background=False), weights)
    assert as_background(x, t) == as_background(x, t.clamp(min=0))
    changed = x.clone()
    changed[:, 2][t == IGNORED] += 3.0
    assert left_out(changed, t).item() == pytest.approx(left_out(x, t).item(), abs=1e-6)
    assert abs(as_background(changed, t) - as_background(x, t)) > 1e-3


def test_gradient_of_dice_is_that_of_finite_differences():
    logits, target = sample(11)
    t = torch.from_numpy(target)
    x = torch.from_numpy(logits).float().requires_grad_()
    dice_loss(x, t, smooth=1e-5).backward()
    flat, step = logits.reshape(-1), 1e-5
    for i in range(0, flat.size, 3):
        up, down = flat.copy(), flat.copy()
        up[i] += step
        down[i] -= step
        plus, _ = reference(up.reshape(logits.shape), target, 1e-5, (1 / 3,) * 3)
        minus, _ = reference(down.reshape(logits.shape), target, 1e-5, (1 / 3,) * 3)
        assert x.grad.reshape(-1)[i].item() == pytest.approx((plus - minus) / (2 * step), abs=1e-5)


def test_scores_are_pooled_over_batches_and_over_sea_only():
    loss = make_loss(TrainingOptions(land_as_background=False), None)
    scores = SegmentationScores(loss)
    said, true, losses, patches = [], [], [], []
    for seed in range(4):
        logits, target = sample(seed)
        x, t = torch.from_numpy(logits), torch.from_numpy(target.astype(np.int8))
        scores.update(x, Batch(x, t, torch.zeros(len(t), 4)))
        sea = target != IGNORED
        said.append(logits.argmax(axis=1)[sea])
        true.append(target[sea])
        losses.append(loss(x, t).item() * len(t))
        patches.append(len(t))
    said, true = np.concatenate(said), np.concatenate(true)
    dice = [2 * np.sum((said == c) & (true == c)) / (np.sum(said == c) + np.sum(true == c)) for c in range(3)]
    result = scores.result()
    assert [result[f"dice_{n}"] for n in ("none", "anticyclonic", "cyclonic")] == pytest.approx(dice)
    assert result["mean_dice"] == pytest.approx(np.mean(dice))
    assert result["accuracy"] == pytest.approx(np.mean(said == true))
    assert result["loss"] == pytest.approx(sum(losses) / sum(patches))
