"""Training of a segmentation network on patches of maps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from torch import Tensor

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.grids import is_periodic
from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.segmentation.arrays import Normalisation, TrainingArrays
from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.losses import make_loss
from pipeline_lib.tasks.segmentation.patches import CoverPatches, PatchSource, RandomPatches
from pipeline_lib.tasks.segmentation.scores import SegmentationScores
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions
from pipeline_lib.train.outcome import descend, fresh_network, keep
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.share import Share


class SegmentationProblem:
    """Patches, loss and scores of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    def __init__(
        self,
        options: TrainingOptions,
        train: TrainingArrays,
        validation: TrainingArrays,
        *,
        seed: int,
    ) -> None:
        self._options, self._seed = options, seed
        self._train = PatchSource(train, options.patch, options.augmentation)
        self._validation = PatchSource(validation, options.patch)
        self._loss = make_loss(options, _weights(options, train))
        self.steps_per_epoch = options.steps_per_epoch or -(-len(train.times) // options.batch_size)

    def training_batches(self, epoch: int, share: Share) -> RandomPatches:
        """Return the random patches of an epoch."""
        return RandomPatches(self._train, self._options.batch_size, self.steps_per_epoch, self._seed, epoch, share)

    def validation_batches(self, share: Share) -> CoverPatches:
        """Return patches that cover the validation maps."""
        return CoverPatches(self._validation, self._options.batch_size, self._options.validation_patches, share)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss that the options name."""
        return self._loss(output, batch.target)

    def new_scores(self) -> SegmentationScores:
        """Return empty scores."""
        return SegmentationScores(self._loss)

    def describe(self, samples: Tensor) -> str:
        """Name training patches by date and corner."""
        return self._train.describe(samples)


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    ConfigError, DataError
        If class weights do not suit the classes, or datasets, labels and statistics do not fit together.
    """
    training, inputs = request.training_as(TrainingOptions), request.inputs
    standard = training.normalisation == "standard"
    normalisation = (
        Normalisation.from_statistics(request.statistics, inputs) if standard else Normalisation.identity(inputs)
    )
    train, validation = (_arrays(request, *days, normalisation) for days in (request.train, request.validation))
    sizes = {"in_channels": len(inputs), "classes": len(CLASSES)}
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    problem = SegmentationProblem(training, train, validation, seed=request.seed)
    data = {"variables": list(inputs), "train data": train.identity, "validation data": validation.identity}
    outcome = descend(request, network, problem, training, data=data)
    scaling = dict(zip(inputs, zip(normalisation.mean, normalisation.scale, strict=True), strict=True))
    keep(request, network, outcome, task="segmentation", sizes=sizes, scaling=scaling, classes=CLASSES)


def _arrays(request: TrainingRequest, start: date, end: date, normalisation: Normalisation) -> TrainingArrays:
    """Arrays of the days from ``start`` to ``end``, read from the periods that hold them."""
    opened = {kind: open_days(request.of(kind), start, end) for kind in ("dataset", "labels")}
    return TrainingArrays.from_dataset(
        opened["dataset"],
        opened["labels"]["eddy_class"],
        normalisation,
        periodic=is_periodic(opened["dataset"].longitude.values),
    )


def _weights(options: TrainingOptions, train: TrainingArrays) -> Sequence[float] | None:
    if options.loss != "weighted_dice":
        return None
    if options.class_weights is None:
        return train.class_weights()
    weights, classes = len(options.class_weights), len(CLASSES)
    if weights != classes:
        raise ConfigError(f"{weights} weights for {classes} classes", where="training.class_weights")
    total = sum(options.class_weights)
    return [weight / total for weight in options.class_weights]
