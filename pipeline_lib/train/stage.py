"""Dataset and labels to a stored model: the same for every task and model."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.manifest import Artefact, Manifest, exclusive, read_manifest
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


def train_model(
    *,
    task: str,
    model: str,
    model_options: Options,
    training: Options,
    inputs: Sequence[str],
    train: Days,
    validation: Days,
    seed: int,
    datasets: Sequence[Path],
    labels: Sequence[Path],
    statistics: Path,
    output: Path,
    device: Device,
    devices: int,
    threads: int | None,
    end: float | None,
    code: str,
) -> None:
    """Train one model with one seed, or store the options of a model that needs no training.

    An interrupted training goes on from its last good checkpoint, which lies in ``checkpoints-<hash>`` beside the
    output; the hash covers all that defines the run, so that checkpoints of another run are never met.

    Parameters
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
    datasets, labels
        Manifests of the periods that hold both splits.
    statistics
        Manifest of the training statistics.
    output
        Manifest to write.
    device, devices, threads
        Where to compute, in how many processes, and with how many CPU threads in all (``None``: all).
    end
        Unix time at which this job will be ended; the training stops in time before.

    Raises
    ------
    Interrupted
        Stopped by a signal or ahead of the time limit; the same call goes on.
    TrainingError
        If the training cannot go on: missing device, non-finite loss, unusable folder.
    """
    manifests = {
        **{f"dataset {m.content['period']}": m for m in _read(datasets, "dataset")},
        **{f"labels {m.content['period']}": m for m in _read(labels, "labels")},
        "statistics": read_manifest(statistics, kind="statistics", verify="deep"),
    }
    entry = MODELS.get(model)
    if issubclass(entry, AlgorithmModel):
        _store_algorithm(task, model, model_options, output, code)
        return
    described = {
        "model": model,
        "model_options": model_options.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "inputs": list(inputs),
        "train": [day.isoformat() for day in train],
        "validation": [day.isoformat() for day in validation],
        "seed": seed,
    }
    made_of = {role: manifest.identity for role, manifest in manifests.items()}
    # Devices and threads belong to it: sums in another order would end in other weights.
    folder = output.parent / f"checkpoints-{sha256_json([described, code, made_of, device, devices, threads])[:10]}"
    with exclusive(output.parent), one_task():
        _remove_others(folder)
        request = TrainingRequest(
            model=model,
            model_options=model_options,
            training=training,
            inputs=tuple(inputs),
            train=train,
            validation=validation,
            seed=seed,
            manifests=manifests,
            folder=folder,
            output=output,
            described=described,
            device=device,
            devices=devices,
            threads=threads,
            end=end,
            code=code,
        )
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        stage_module(task, "train").train(request)
        shutil.rmtree(folder, ignore_errors=True)  # a fit in one go made none


def _read(paths: Sequence[Path], kind: str) -> list[Manifest]:
    return [read_manifest(path, kind=kind, verify="deep") for path in paths]


def _store_algorithm(task: str, model: str, options: Options, output: Path, code: str) -> None:
    described: Mapping[str, object] = {"task": task, "model": model, "options": options.model_dump(mode="json")}
    with Artefact(output, kind=KIND, code=code) as out:
        write_json(out.payload(ALGORITHM), described)
        out.options = described
        out.content = {"algorithm": described}
    logger.info("%s: %s needs no training", output, model)


def _remove_others(folder: Path) -> None:
    """Remove checkpoints of runs that were defined otherwise: nobody will go on from them."""
    for other in folder.parent.glob("checkpoints-*"):
        if other != folder:
            logger.info("%s: left by a run with other options, removed", other)
            shutil.rmtree(other)
