"""Dataset and labels to a stored model: the same for every task and model."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.manifest import Artefact, Manifest, exclusive, read_manifest
from pipeline_lib.io.zarr_store import open_store
from pipeline_lib.learning.device import Device
from pipeline_lib.models.base import AlgorithmModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options
from pipeline_lib.tasks.registry import stage_module
from pipeline_lib.train.ranks import one_task
from pipeline_lib.train.request import Days, TrainingRequest

logger = logging.getLogger(__name__)

KIND = "model"
ALGORITHM = "algorithm.json"
"""Payload of a model without weights: its name and options."""

_TOO_LARGE = "choose smaller options of the model, or fewer days"


@dataclass(frozen=True)
class Definition:
    """What defines a training, besides data and code.

    Attributes
    ----------
    task, model
        Registered names.
    model_options, training
        Validated options of the model and of the task's training.
    inputs
        Dataset variables that the network sees, in order.
    train, validation
        First and last day of each split.
    seed
        Base seed.
    """

    task: str
    model: str
    model_options: Options
    training: Options
    inputs: tuple[str, ...]
    train: Days
    validation: Days
    seed: int

    @property
    def described(self) -> dict[str, Any]:
        """All of it as plain values, but for the task: a model's training options are those of its task."""
        return {
            "model": self.model,
            "model_options": self.model_options.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "inputs": list(self.inputs),
            "train": [day.isoformat() for day in self.train],
            "validation": [day.isoformat() for day in self.validation],
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Compute:
    """Where to compute, in how many processes, with how many CPU threads in all (``None``: all), and until when.

    ``end`` is the Unix time at which this job will be ended, if known; a training stops in time before.
    """

    device: Device
    devices: int
    threads: int | None
    end: float | None


def train_model(
    definition: Definition,
    *,
    datasets: Sequence[Path],
    labels: Sequence[Path],
    statistics: Path,
    output: Path,
    compute: Compute,
    code: str,
) -> None:
    """Train one model with one seed, or store the options of a model that needs no training.

    An interrupted training goes on from its last good checkpoint, which lies in ``checkpoints-<hash>`` beside the
    output; the hash covers all that defines the run, so that checkpoints of another run are never met.

    Parameters
    ----------
    definition
        What to train.
    datasets, labels
        Manifests of the periods that hold both splits.
    statistics
        Manifest of the training statistics.
    output
        Manifest to write.
    compute
        Where, and until when.
    code
        Fingerprint of the code.

    Raises
    ------
    Interrupted
        Stopped by a signal or ahead of the time limit; the same call goes on.
    TrainingError
        If the training cannot go on: missing device, non-finite loss, unusable folder, too little memory.
    DataError
        If datasets or statistics do not hold the inputs.
    ConfigError
        If the model does not take inputs of such sizes.
    """
    manifests = {
        **{f"dataset {m.content['period']}": m for m in _read(datasets, "dataset")},
        **{f"labels {m.content['period']}": m for m in _read(labels, "labels")},
        "statistics": read_manifest(statistics, kind="statistics", verify="deep"),
    }
    if issubclass(MODELS.get(definition.model), AlgorithmModel):
        _store_algorithm(definition, output, code)
        return
    folder = _checkpoints(definition, manifests, compute, output.parent, code)
    with exclusive(output.parent), one_task():
        _remove_others(folder)
        if compute.threads is not None:
            import torch

            torch.set_num_threads(compute.threads)
        request = _request(definition, manifests, compute, folder=folder, output=output, code=code)
        _require_inputs(request)
        from pipeline_lib.learning.precision import memory_advice  # loads torch, which an algorithm does without

        with memory_advice(_TOO_LARGE, where=definition.model):
            stage_module(definition.task, "train").train(request)
        shutil.rmtree(folder, ignore_errors=True)  # a fit in one go made none


def _require_inputs(request: TrainingRequest) -> None:
    """Refuse datasets and statistics that lack an input, which are of another experiment, or inputs of other sizes.

    A model that takes inputs apart by their sizes says in ``check_shapes``, as for planning, which ones it means: a
    catalog entry seldom tells them, and a network sees them all as one.
    """
    held = {str(request.manifests["statistics"].path): set(request.statistics)}
    opened = {}
    for data in request.of("dataset"):
        opened[str(data.path)] = open_store(data, f"{data.content['period']}.zarr", chunks={})
    held |= {where: {str(name) for name in ds} for where, ds in opened.items()}
    for where, names in held.items():
        absent = [name for name in request.inputs if name not in names]
        if absent:
            what = f"does not hold {absent[0]!r}, but {', '.join(sorted(names)) or 'nothing'}"
            raise DataError(what, where=where, fix="give what was made for this experiment")
    check = getattr(request.network_model, "check_shapes", None)
    if check is None:
        return
    for ds in opened.values():
        try:
            check(request.model_options, [ds[name].shape[1:] for name in request.inputs])
        except ConfigError as error:
            raise ConfigError(error.what, where=f"{request.model}: {error.where}", fix=error.fix) from error


def _checkpoints(
    definition: Definition, manifests: Mapping[str, Manifest], compute: Compute, parent: Path, code: str
) -> Path:
    """Return the folder for the checkpoints of this run alone."""
    made_of = {role: manifest.identity for role, manifest in manifests.items()}
    # Devices and threads belong to it: sums in another order would end in other weights.
    all_of_it = [definition.described, code, made_of, compute.device, compute.devices, compute.threads]
    return parent / f"checkpoints-{sha256_json(all_of_it)[:10]}"


def _request(
    definition: Definition,
    manifests: Mapping[str, Manifest],
    compute: Compute,
    *,
    folder: Path,
    output: Path,
    code: str,
) -> TrainingRequest:
    return TrainingRequest(
        model=definition.model,
        model_options=definition.model_options,
        training=definition.training,
        inputs=definition.inputs,
        train=definition.train,
        validation=definition.validation,
        seed=definition.seed,
        manifests=manifests,
        folder=folder,
        output=output,
        described=definition.described,
        device=compute.device,
        devices=compute.devices,
        threads=compute.threads,
        end=compute.end,
        code=code,
    )


def _read(paths: Sequence[Path], kind: str) -> list[Manifest]:
    return [read_manifest(path, kind=kind, verify="deep") for path in paths]


def _store_algorithm(definition: Definition, output: Path, code: str) -> None:
    options = definition.model_options.model_dump(mode="json")
    described: Mapping[str, object] = {"task": definition.task, "model": definition.model, "options": options}
    with Artefact(output, kind=KIND, code=code) as out:
        write_json(out.payload(ALGORITHM), described)
        out.options = described
        out.content = {"algorithm": described}
    logger.info("%s: %s needs no training", output, definition.model)


def _remove_others(folder: Path) -> None:
    """Remove checkpoints of runs that were defined otherwise: nobody will go on from them."""
    for other in folder.parent.glob("checkpoints-*"):
        if other != folder:
            logger.info("%s: left by a run with other options, removed", other)
            shutil.rmtree(other)
