"""Training of a classifier of images."""

from __future__ import annotations

import sys
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError
from pipeline_lib.tasks.classification.classes import classes_of
from pipeline_lib.tasks.classification.images import Images, pixels_of
from pipeline_lib.tasks.classification.options import TrainingOptions
from pipeline_lib.train.outcome import descend, fresh_network, keep, standard_scaling
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.windows import WindowProblem


class ClassificationScores:
    """Mean cross entropy and share of wrong answers: validation scores."""

    def __init__(self) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        entropy = nn.functional.cross_entropy(output.double(), batch.target, reduction="sum")
        wrong = (output.argmax(dim=1) != batch.target).sum()
        self.sums += torch.tensor([float(entropy), float(wrong), len(batch.target)], dtype=torch.float64)

    def result(self) -> dict[str, float]:
        """Return the cross entropy, which is the loss, and the error rate."""
        entropy, wrong, count = self.sums.tolist()
        return {"loss": entropy / max(count, 1), "error_rate": wrong / max(count, 1)}


class ClassificationProblem(WindowProblem):
    """Batches and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    validation_windows = sys.maxsize

    def __init__(self, options: TrainingOptions, train: Images, validation: Images, *, seed: int) -> None:
        if train.windows < options.batch_size:
            raise DataError(
                f"{train.windows} training images fill no batch of {options.batch_size}",
                where="training.batch_size",
                fix="reduce it, or choose more training days",
            )
        super().__init__(train, validation, batch_size=options.batch_size, windows=None, seed=seed)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross entropy."""
        return nn.functional.cross_entropy(output, batch.target)

    def new_scores(self) -> ClassificationScores:
        """Return empty scores."""
        return ClassificationScores()


def train(request: TrainingRequest) -> None:
    """Train a classifier on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    DataError
        If the dataset holds no images or no classes, or too few.
    """
    training = request.training_as(TrainingOptions)
    images = _images(request, training, "train"), _images(request, training, "validation")
    sizes = {"in_channels": images[0].pixels.shape[1], "classes": training.classes}
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    problem = ClassificationProblem(training, *images, seed=request.seed)
    data = {"train data": images[0].identity, "validation data": images[1].identity}
    outcome = descend(request, network, problem, training, data=data)
    keep(
        request,
        network,
        outcome,
        task="classification",
        sizes=sizes,
        scaling=standard_scaling(request.statistics, request.inputs),
        classes=tuple(map(str, range(training.classes))),
        facts={"target": training.target},
    )


def _images(request: TrainingRequest, training: TrainingOptions, split: Literal["train", "validation"]) -> Images:
    """Images of the days of a split, normalised, with their classes."""
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    dtype = np.float64 if training.precision == "float64" else np.float32
    pixels = pixels_of(ds, request.inputs, request.statistics, dtype)
    return Images(pixels, classes_of(ds, training.target, training.classes), ds["time"].values)
