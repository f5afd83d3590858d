"""Batches of images: all of them, in an order of seed and epoch; and what is no image or no class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.classification.classes import classes_of
from pipeline_lib.tasks.classification.images import Images, pixels_of
from pipeline_lib.tasks.classification.options import TrainingOptions
from pipeline_lib.tasks.classification.train import ClassificationProblem, ClassificationScores
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.share import Share
from tests.tasks.classification.stores import stores, times


def images(count: int = 50) -> Images:
    pixels = np.arange(count, dtype="float32")[:, None, None, None] * np.ones((1, 1, 2, 2), "float32")
    return Images(pixels, np.arange(count) % 10, times(count))


def numbers(batches):
    return [batch.samples[:, 0].tolist() for batch in batches]


def together(batches):
    return [number for batch in numbers(batches) for number in batch]


def problem(seed: int = 3) -> ClassificationProblem:
    return ClassificationProblem(TrainingOptions(batch_size=8), images(), images(), seed=seed)


def test_an_epoch_holds_each_image_at_most_once_in_an_order_of_its_own():
    batches = numbers(problem().training_batches(0, Share()))
    assert [len(batch) for batch in batches] == [8] * problem().steps_per_epoch == [8] * 6
    assert len(set(together(problem().training_batches(0, Share())))) == 48
    assert numbers(problem().training_batches(0, Share())) == batches
    assert [len(part) for part in numbers(problem().training_batches(0, Share(1, 2)))] == [4] * 6
    for other, epoch in ((problem(), 1), (problem(seed=4), 0)):
        assert numbers(other.training_batches(epoch, Share())) != batches


def test_images_keep_their_classes():
    for batch in problem().training_batches(0, Share()):
        assert torch.equal(batch.inputs[:, 0, 0, 0].long(), batch.samples[:, 0])
        assert torch.equal(batch.target, batch.samples[:, 0] % 10)


def test_validation_holds_all_images_in_order_however_many():
    assert together(problem().validation_batches(Share())) == list(range(50))
    many = ClassificationProblem(TrainingOptions(batch_size=500), images(600), images(2345), seed=0)
    assert together(many.validation_batches(Share())) == list(range(2345))


@pytest.mark.parametrize("made", [lambda s: problem().training_batches(0, s), problem().validation_batches])
def test_shares_together_are_the_whole(made):
    shares, whole = [made(Share(i, 2)) for i in range(2)], made(Share())
    assert sorted(n for share in shares for n in together(share)) == sorted(together(whole))


def test_channels_are_normalised_each_by_its_own():
    _, ds = stores()
    ds["colours"] = xr.concat([ds.image, 2 * ds.image], "channel").transpose("time", "channel", "row", "column")
    statistics = {"image": {"mean": 0.5, "std": 2.0}, "colours": {"mean": 0.0, "std": 0.5}}
    found = pixels_of(ds, ["image", "colours"], statistics, np.float64)
    assert found.shape == (60, 3, 3, 3)
    image = ds.image.values.astype(float)
    np.testing.assert_array_equal(found, np.stack([(image - 0.5) / 2, image / 0.5, 2 * image / 0.5], axis=1))
    with pytest.raises(DataError, match="label: has dimensions"):
        pixels_of(ds, ["label"], {"label": {"mean": 0.0, "std": 1.0}}, np.float32)


def test_what_is_no_class_is_refused():
    _, ds = stores()
    assert classes_of(ds, "label", 4).dtype == np.int64
    with pytest.raises(DataError, match=r"target: label: holds 3, not a class from 0 to 2; correct training.classes"):
        classes_of(ds, "label", 3)
    with pytest.raises(DataError, match=r"holds 0\.5, not a class"):
        classes_of(ds.assign(label=ds.label * 0 + 0.5), "label", 4)
    with pytest.raises(DataError, match="target: digit: is no variable with one value per image; there is label"):
        classes_of(ds, "digit", 4)
    with pytest.raises(DataError, match="target: image: is no variable"):
        classes_of(ds, "image", 4)


def test_too_few_images_for_a_batch_are_told():
    with pytest.raises(DataError, match=r"training.batch_size: 50 training images fill no batch of 64"):
        ClassificationProblem(TrainingOptions(), images(), images(), seed=0)


def test_validation_scores_are_means_over_images_however_they_are_batched():
    torch.manual_seed(0)
    logits, target = torch.randn(30, 5), torch.randint(0, 5, (30,))
    scores, parts = ClassificationScores(), [ClassificationScores(), ClassificationScores()]
    scores.update(logits, Batch(logits, target, target[:, None]))
    for part, cut in zip(parts, (slice(0, 7), slice(7, None)), strict=True):
        part.update(logits[cut], Batch(logits[cut], target[cut], target[cut, None]))
    joined = ClassificationScores()
    joined.sums = parts[0].sums + parts[1].sums
    assert joined.result() == pytest.approx(scores.result(), rel=1e-12)
    probability = logits.softmax(dim=1)[torch.arange(30), target]
    assert scores.result()["loss"] == pytest.approx(float(-probability.log().mean()), rel=1e-5)
    wrong = [int(row.argmax()) != int(label) for row, label in zip(logits, target, strict=True)]
    assert scores.result()["error_rate"] == sum(wrong) / 30
    loss = problem().loss(logits, Batch(logits, target, target[:, None]))
    torch.testing.assert_close(loss, nn.functional.nll_loss(logits.log_softmax(dim=1), target))
    assert problem().describe(torch.tensor([[0], [2]])) == "2001-02-01T00:00:00; 2001-02-01T00:45:00"
