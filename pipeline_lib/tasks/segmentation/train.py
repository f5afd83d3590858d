"""Training of a segmentation network on patches of maps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.grids import is_periodic
from pipeline_lib.data.periods import overlaps
from pipeline_lib.errors import ConfigError, TrainingError
from pipeline_lib.io.atomic import write_bytes
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, dataset_facts, save_model
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.options import Options
from pipeline_lib.tasks.segmentation.arrays import Normalisation, TrainingArrays
from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.losses import make_loss
from pipeline_lib.tasks.segmentation.patches import CoverPatches, PatchSource, RandomPatches
from pipeline_lib.tasks.segmentation.scores import SegmentationScores
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions
from pipeline_lib.train.loop import run_training
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.seeds import torch_seed
from pipeline_lib.train.share import Share


@dataclass(frozen=True)
class FitResult:
    """A trained network and how it came about.

    Attributes
    ----------
    best
        ``best.pt``: the state dict of the epoch with the lowest validation loss.
    last
        The last checkpoint.
    network
        The network with the best weights, on the CPU, in evaluation mode.
    history
        One row per epoch; see :class:`~pipeline_lib.train.loop.TrainingResult`.
    best_epoch, stopped_epoch
        Counted from 1.
    device, precision
        What ``auto`` became.
    """

    best: Path
    last: Path
    network: nn.Module
    history: pd.DataFrame
    best_epoch: int
    stopped_epoch: int
    device: str
    precision: str


class SegmentationProblem:
    """Patches, loss and scores of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    def __init__(
        self,
        options: TrainingOptions,
        train: TrainingArrays,
        validation: TrainingArrays,
        *,
        seed: int,
        classes: int = len(CLASSES),
    ) -> None:
        self._options, self._seed, self._classes = options, seed, classes
        self._train = PatchSource(train, options.patch, options.augmentation)
        self._validation = PatchSource(validation, options.patch)
        self._loss = make_loss(options, _weights(options, train, classes))
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
        return SegmentationScores(self._loss, self._classes)

    def describe(self, samples: Tensor) -> str:
        """Name training patches by date and corner."""
        return self._train.describe(samples)


def fit(
    *,
    model: type[NetworkModel],
    options: Options,
    training: TrainingOptions,
    train: TrainingArrays,
    validation: TrainingArrays,
    seed: int,
    folder: Path,
    device: Device = "auto",
    devices: int = 1,
    end: float | None = None,
    classes: int = len(CLASSES),
) -> FitResult:
    """Train a model, or go on where an interrupted training of the same run stopped.

    Parameters
    ----------
    model, options
        Registered model and an instance of its ``Options``.
    training
        Training options.
    train, validation
        Arrays of the two splits, normalised alike.
    seed
        Base seed, 0 or larger: initial weights, patches, dropout.
    folder
        Receives ``best.pt``, ``history.csv`` and the last checkpoints.
    device
        ``auto`` takes a GPU if there is one.
    devices, end
        Processes that train together, and the Unix time at which the job will be ended; see
        :func:`~pipeline_lib.train.loop.run_training`.
    classes
        Number of classes.

    Returns
    -------
    FitResult
        Bit-identical for equal arguments on the same hardware and thread count, however often it was interrupted.

    Raises
    ------
    Interrupted
        Stopped by a signal or ahead of the time limit; the same call goes on.
    TrainingError
        Missing device, unusable folder, checkpoint of another run, non-finite loss, too little memory.
    ConfigError
        If the patch does not suit the network, class weights the classes, or the batch the number of processes.
    """
    if training.patch % model.size_multiple:
        raise ConfigError(
            f"is {training.patch}, not a multiple of {model.size_multiple}",
            where="training.patch",
            fix=f"{model.card.title} halves its input several times: take 64, 128 or 256",
        )
    if training.batch_size % devices:
        raise ConfigError(
            f"is {training.batch_size}, which {devices} processes cannot share equally",
            where="training.batch_size",
            fix="take a multiple of devices",
        )
    if train.variables != validation.variables:
        raise TrainingError(
            f"validation has inputs {validation.variables}, training has {train.variables}", where="validation arrays"
        )
    network = build_network(model, options, in_channels=len(train.variables), classes=classes, seed=seed)
    result = run_training(
        network=network,
        problem=SegmentationProblem(training, train, validation, seed=seed, classes=classes),
        options=training,
        seed=seed,
        folder=folder,
        device=device,
        devices=devices,
        end=end,
        run={
            "model": f"{model.__module__}.{model.__qualname__}",
            "options": options.model_dump(mode="json"),
            "variables": list(train.variables),
            "train data": train.identity,
            "validation data": validation.identity,
        },
    )
    best = folder / "best.pt"
    write_bytes(best, state_bytes(result.weights))
    network.load_state_dict(result.weights)
    return FitResult(
        best=best,
        last=result.last,
        network=network.cpu().eval(),
        history=result.history,
        best_epoch=result.best_epoch,
        stopped_epoch=result.stopped_epoch,
        device=result.device,
        precision=result.precision,
    )


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError, ConfigError, DataError
        As :func:`fit`; also if datasets, labels and statistics do not fit together.
    """
    training, inputs = request.training, request.inputs
    if not isinstance(training, TrainingOptions):
        raise TypeError("training must be TrainingOptions")
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    values = request.statistics
    standard = training.normalisation == "standard"
    normalisation = Normalisation.from_statistics(values, inputs) if standard else Normalisation.identity(inputs)
    result = fit(
        model=request.network_model,
        options=request.model_options,
        training=training,
        train=_arrays(request, *request.train, normalisation),
        validation=_arrays(request, *request.validation, normalisation),
        seed=request.seed,
        folder=request.folder,
        device=request.device,
        devices=request.devices,
        end=request.end,
    )
    spec = ModelSpec(
        model=request.model,
        options=request.model_options.model_dump(mode="json"),
        task="segmentation",
        inputs=tuple(
            InputVariable(name=name, units=values[name]["units"], mean=mean, scale=scale)
            for name, mean, scale in zip(inputs, normalisation.mean, normalisation.scale, strict=True)
        ),
        classes=CLASSES,
        sizes={"in_channels": len(inputs), "classes": len(CLASSES)},
        parameters=sum(p.numel() for p in result.network.parameters()),
    )
    save_model(
        request.output,
        spec=spec,
        weights=result.network.state_dict(),
        history=result.history,
        last=result.last,
        inputs=request.manifests,
        training=request.described,
        code=request.code,
        extra={
            "best_epoch": result.best_epoch,
            "stopped_epoch": result.stopped_epoch,
            "device": result.device,
            "devices": request.devices,
            "precision": result.precision,
            **dataset_facts(request.manifests),
        },
    )


def _arrays(request: TrainingRequest, start: date, end: date, normalisation: Normalisation) -> TrainingArrays:
    """Arrays of the days from ``start`` to ``end``, read from the periods that hold them."""
    opened = {
        kind: open_days([m for m in request.of(kind) if overlaps(m.content["period"], start, end)], start, end)
        for kind in ("dataset", "labels")
    }
    return TrainingArrays.from_dataset(
        opened["dataset"],
        opened["labels"]["eddy_class"],
        normalisation,
        periodic=is_periodic(opened["dataset"].longitude.values),
    )


def build_network(
    model: type[NetworkModel], options: Options, *, in_channels: int, classes: int, seed: int
) -> nn.Module:
    """Return a network whose initial weights are a function of ``seed``; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights"))
        return model.build(options, in_channels=in_channels, classes=classes)


def state_bytes(weights: object) -> bytes:
    """Return a state dict as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def _weights(options: TrainingOptions, train: TrainingArrays, classes: int) -> Sequence[float] | None:
    if options.loss != "weighted_dice":
        return None
    if options.class_weights is None:
        return train.class_weights(classes)
    if len(options.class_weights) != classes:
        raise ConfigError(f"{len(options.class_weights)} weights for {classes} classes", where="training.class_weights")
    total = sum(options.class_weights)
    return [weight / total for weight in options.class_weights]
