"""Run a training to its end, resuming after the last epoch that was checkpointed.

Lightning runs the batches (device, precision, hooks, several processes). Checkpointing and resuming are our own: every
epoch is a function of the state at its start, the seed and the epoch number, so restoring a few plain state dicts is
exact, where Lightning's ``ckpt_path`` would restore loop counters but no random state and swallows a folder it cannot
write. A training that is interrupted within an epoch leaves its random state as well and goes on with the next batch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError, Interrupted, TrainingError
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.precision import memory_advice, resolve_device, resolve_precision
from pipeline_lib.train.checkpoint import CheckpointFolder, require_same_run
from pipeline_lib.train.epochs import EpochEnd
from pipeline_lib.train.module import MAPS, TrainingModule
from pipeline_lib.train.options import LoopOptions
from pipeline_lib.train.problem import Problem
from pipeline_lib.train.processes import run_together
from pipeline_lib.train.progress import Progress
from pipeline_lib.train.share import Share
from pipeline_lib.train.state import Record, restore
from pipeline_lib.train.stopping import Signals, StopInTime

logger = logging.getLogger(__name__)
for _chatty in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)  # hardware lists and advertisements

_PRECISIONS: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float64": "64-true"}
"""In Lightning's words."""
_OUT_OF_MEMORY = "reduce batch_size (or patch, of maps), or set precision: bfloat16"


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training.

    Attributes
    ----------
    weights
        State dict of the best epoch.
    last
        The last checkpoint.
    history
        One row per epoch: epoch, step, learning_rate, train_loss, val_<score>.
    best_epoch, stopped_epoch
        Counted from 1.
    device, precision
        What ``auto`` became.
    """

    weights: Mapping[str, Tensor]
    last: Path
    history: pd.DataFrame
    best_epoch: int
    stopped_epoch: int
    device: str
    precision: str


@dataclass(frozen=True)
class Job:
    """All that a process needs to do its share of a training; it can be pickled."""

    network: nn.Module
    problem: Problem
    options: LoopOptions
    seed: int
    folder: Path
    device: str
    precision: str
    run: Mapping[str, Any]
    end: float | None


def run_training(
    *,
    network: nn.Module,
    problem: Problem,
    options: LoopOptions,
    seed: int,
    folder: Path,
    device: Device = "auto",
    devices: int = 1,
    end: float | None = None,
    run: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a network, from the start or from the last checkpoint in ``folder``.

    Parameters
    ----------
    network, problem, options
        A fresh network, changed in place; batches, loss and scores; options of the loop.
    seed
        Base seed, 0 or larger.
    folder
        Where checkpoints and ``history.csv`` go.
    device
        ``auto`` takes a GPU if there is one.
    devices
        Processes that train together, one per GPU; on a CPU they share the threads. Each takes its part of every
        batch, so that a step sees the same samples whatever their number; the gradients of the parts are averaged.
    end
        Unix time at which this job will be ended; the training stops in time before.
    run
        Plain values that define the run beyond ``options`` and ``seed``; a checkpoint with others is refused.

    Returns
    -------
    TrainingResult
        Bit-identical for equal arguments on the same hardware and thread count, however often it was interrupted.

    Raises
    ------
    Interrupted
        Stopped by a signal or ahead of the time limit; the same call goes on.
    TrainingError
        Missing device, unusable folder, foreign checkpoint, non-finite loss, too little memory, a process killed.
    ConfigError
        If the batch cannot be shared equally by the processes.
    """
    _require_equal_shares(options.batch_size, devices)
    target = resolve_device(device, devices)
    precision = resolve_precision(options.precision, target)
    defined = {**(run or {}), **_described(network, options), "seed": seed, "precision": precision, "devices": devices}
    job = Job(network, problem, options, seed, folder, target.type, precision, defined, end)
    record = _last_record(job)
    if not record.finished:
        _train(job, devices)
        record = _last_record(job)  # what is returned is what is on the disk
    return _result(job, record)


def _require_equal_shares(batch_size: int, devices: int) -> None:
    if batch_size % devices:
        raise ConfigError(
            f"is {batch_size}, which {devices} processes cannot share equally",
            where="training.batch_size",
            fix="take a multiple of devices",
        )


def _described(network: nn.Module, options: LoopOptions) -> dict[str, Any]:
    """What tells this training from others, as plain values."""
    weights = {name: list(value.shape) for name, value in network.state_dict().items()}
    return {"training": options.model_dump(mode="json"), "weights": weights}


def _train(job: Job, devices: int) -> None:
    """Train to the end, in this process or in several."""
    CheckpointFolder(job.folder).require_writable()
    if devices == 1:
        _train_share(job, Share())
    else:
        run_together(_train_share, job, devices, backend="nccl" if job.device == "cuda" else "gloo")


def _result(job: Job, record: Record) -> TrainingResult:
    """Return what a training came to; raise TrainingError if it did not come to its end, or to no weights."""
    stopped_epoch = len(record.history)
    if not record.finished:
        raise TrainingError(f"ended early, after epoch {stopped_epoch}", fix="run again: it resumes there")
    if not record.best_weights:
        fix = "lower the learning rate"
        raise TrainingError("no epoch had a finite validation loss", where=str(job.folder), fix=fix)
    return TrainingResult(
        weights=record.best_weights,
        last=CheckpointFolder(job.folder).path(stopped_epoch),
        history=pd.DataFrame(record.history),
        best_epoch=record.best_epoch,
        stopped_epoch=stopped_epoch,
        device=job.device,
        precision=job.precision,
    )


def _train_share(job: Job, share: Share) -> None:
    """Train to the end in this process, alone or as one of several."""
    network = _laid_out(job.network, job.device)
    module = TrainingModule(network, job.problem, job.options, job.seed, share)
    checkpoints = CheckpointFolder(job.folder)
    found = checkpoints.latest()
    record = Record() if found is None else restore(module, found[1])
    if found is not None:
        logger.info("resuming after epoch %d, step %d, of %s", module.epoch, module.step, found[0])
    with Signals() as signals:
        callbacks: list[pl.Callback] = [
            EpochEnd(record, checkpoints, job.run),
            StopInTime(signals=signals, end=job.end, record=record, checkpoints=checkpoints, run=job.run),
        ]
        if share.first:
            callbacks.append(Progress(module))
        with torch.random.fork_rng(), memory_advice(_OUT_OF_MEMORY, where=f"training on {job.device}"):
            _fit(job, module, callbacks)


def _laid_out(network: nn.Module, device: str) -> nn.Module:
    """Return the network with its weights in channels-last order, unless they are of boxes or it is slower then."""
    known = all(value.ndim <= MAPS for value in network.parameters())
    if not known or (device == "cpu" and not getattr(network, "channels_last", True)):
        return network
    ordered: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ordered


def _trainer(job: Job, module: TrainingModule, callbacks: list[pl.Callback]) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if job.device == "cuda" else "cpu",
        devices=module.share.count,
        strategy=_strategy() if module.share.count > 1 else "auto",
        precision=_PRECISIONS[job.precision],
        max_epochs=job.options.max_epochs - module.epoch,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        # On the CPU all our operations are deterministic as they are; the switch would fill every new tensor.
        deterministic=job.device == "cuda",
        callbacks=callbacks,
        inference_mode=False,  # a network may take gradients inside: a learned solver does
        # Inside a Slurm job Lightning would take itself for a task that srun started, and wait for the others.
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=job.folder,
    )


def _strategy() -> DDPStrategy:
    return DDPStrategy(
        # Otherwise the gradients are packed anew after the first step of each sitting, and with three processes or
        # more the order of summation, hence the last bits, would depend on where a training was interrupted.
        find_unused_parameters=True,
        # Running statistics are averaged once an epoch, in TrainingModule.
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )


def _fit(job: Job, module: TrainingModule, callbacks: list[pl.Callback]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The `srun` command is available")
            warnings.filterwarnings("ignore", module="pytorch_lightning")  # its own calls of deprecated torch
            warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
            _trainer(job, module, callbacks).fit(module)
    except SIGTERMException as error:  # between Lightning's taking of the signal and our taking it back
        raise Interrupted(
            f"stopped by SIGTERM after epoch {module.epoch}", fix="run again: it goes on there"
        ) from error


def _last_record(job: Job) -> Record:
    found = CheckpointFolder(job.folder).latest()
    if found is None:
        return Record()
    require_same_run(found[1].get("run", {}), job.run, where=found[0])
    return Record(**found[1]["record"])
