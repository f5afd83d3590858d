"""Run a training to its end, resuming after the last epoch that was checkpointed.

Lightning runs the batches (device, precision, hooks). Checkpointing and resuming are our own: every epoch is a
function of the state at its start, the seed and the epoch number, so restoring four plain state dicts is exact, where
Lightning's ``ckpt_path`` would restore loop counters but no random state and swallows a folder it cannot write.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from pipeline_lib.errors import TrainingError
from pipeline_lib.io.atomic import write_text
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.precision import memory_advice, resolve_device, resolve_precision
from pipeline_lib.train.checkpoint import CheckpointFolder, require_same_run
from pipeline_lib.train.module import TrainingModule
from pipeline_lib.train.options import LoopOptions
from pipeline_lib.train.problem import Problem
from pipeline_lib.train.progress import Progress

logger = logging.getLogger(__name__)
for _chatty in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)  # hardware lists and advertisements

_OUT_OF_MEMORY = "reduce batch_size or patch, or set precision: bfloat16"


@dataclass
class Record:
    """What is known of a training after some epochs; all plain values.

    Attributes
    ----------
    best_epoch, best_loss, best_weights
        The epoch (from 1) with the lowest validation loss so far, that loss, and the weights after it.
    waited
        Epochs since then.
    finished
        Whether training has ended, by its last epoch or by early stopping.
    history
        One row per epoch.
    """

    best_epoch: int = 0
    best_loss: float = float("inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    waited: int = 0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


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


class EpochEnd(pl.Callback):
    """After each epoch: history, best weights, early stopping, checkpoint."""

    def __init__(self, record: Record, checkpoints: CheckpointFolder, run: Mapping[str, Any]) -> None:
        self.record, self.checkpoints, self.run = record, checkpoints, run

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the epoch that has just been validated and write it down."""
        if not isinstance(pl_module, TrainingModule):
            raise TypeError("EpochEnd belongs to a TrainingModule")
        pl_module.close_epoch()
        record, options = self.record, pl_module.loop_options
        row = _row(pl_module, trainer.optimizers[0])
        record.history.append(row)
        # A validation loss that is not a number is never better, so early stopping ends such a run.
        if row["val_loss"] < record.best_loss:
            record.best_epoch, record.best_loss, record.waited = int(row["epoch"]), row["val_loss"], 0
            record.best_weights = _cpu_state(pl_module.result)
        else:
            record.waited += 1
        stopped = options.patience is not None and record.waited >= options.patience
        record.finished = stopped or row["epoch"] >= options.max_epochs
        trainer.should_stop = record.finished
        self.checkpoints.save(int(row["epoch"]), _state(pl_module, trainer.optimizers[0], record, self.run))
        _write_history(self.checkpoints.folder, record)


def run_training(
    *,
    network: nn.Module,
    problem: Problem,
    options: LoopOptions,
    seed: int,
    folder: Path,
    device: Device = "auto",
    run: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a network, from the start or from the last checkpoint in ``folder``.

    Parameters
    ----------
    network
        Freshly initialised network; changed in place.
    problem
        Batches, loss and scores.
    options
        Options of the loop.
    seed
        Base seed, 0 or larger.
    folder
        Where checkpoints and ``history.csv`` go.
    device
        ``auto`` takes a GPU if there is one.
    run
        Plain values that define the run beyond ``options`` and ``seed``; a checkpoint with others is refused.

    Returns
    -------
    TrainingResult
        Bit-identical for equal arguments on the same hardware and thread count, however often it was interrupted.

    Raises
    ------
    TrainingError
        Missing device, unusable folder, foreign checkpoint, non-finite loss, too little memory.
    """
    target = resolve_device(device)
    precision = resolve_precision(options.precision, target)
    defined = {
        **(run or {}),
        "training": options.model_dump(mode="json"),
        "seed": seed,
        "precision": precision,
        "weights": {name: list(value.shape) for name, value in network.state_dict().items()},
    }
    module = TrainingModule(network.to(memory_format=torch.channels_last), problem, options, seed)  # type: ignore[call-overload]
    checkpoints = CheckpointFolder(folder)
    record = _resume(module, checkpoints, defined)
    if not record.finished:
        checkpoints.require_writable()
        trainer = _trainer(module, EpochEnd(record, checkpoints, defined), target, precision, folder)
        with torch.random.fork_rng(), memory_advice(_OUT_OF_MEMORY, where=f"training on {target.type}"):
            _fit(trainer, module, record)
    if not record.best_weights:
        raise TrainingError("no epoch had a finite validation loss", where=str(folder), fix="lower the learning rate")
    return TrainingResult(
        weights=record.best_weights,
        last=checkpoints.path(module.epoch),
        history=pd.DataFrame(record.history),
        best_epoch=record.best_epoch,
        stopped_epoch=module.epoch,
        device=target.type,
        precision=precision,
    )


def _trainer(module: TrainingModule, end: EpochEnd, device: torch.device, precision: str, folder: Path) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        max_epochs=module.loop_options.max_epochs - module.epoch,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        # On the CPU all our operations are deterministic as they are; the switch would fill every new tensor.
        deterministic=device.type == "cuda",
        callbacks=[end, Progress(module)],
        # Inside a Slurm job Lightning would take itself for a task that srun started, and wait for the others.
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _fit(trainer: pl.Trainer, module: TrainingModule, record: Record) -> None:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")  # its own calls of deprecated torch
            trainer.fit(module)
    except SIGTERMException as error:
        raise TrainingError(
            f"stopped by a signal after epoch {len(record.history)}", fix="run again: it resumes there"
        ) from error
    if not record.finished:
        raise TrainingError(f"ended early, after epoch {len(record.history)}", fix="run again: it resumes there")


def _resume(module: TrainingModule, checkpoints: CheckpointFolder, run: Mapping[str, Any]) -> Record:
    found = checkpoints.latest()
    if found is None:
        return Record()
    path, state = found
    require_same_run(state.get("run", {}), run, where=path)
    module.network.load_state_dict(state["network"])
    if module.average is not None:
        module.average.load_state_dict(state["average"])
    module.saved_optimizer = state["optimizer"]
    module.epoch, module.step = state["epoch"], state["step"]
    logger.info("resuming after epoch %d of %s", module.epoch, path)
    return Record(**state["record"])


def _state(
    module: TrainingModule, optimizer: torch.optim.Optimizer, record: Record, run: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "run": dict(run),
        "epoch": module.epoch,
        "step": module.step,
        "network": _cpu_state(module.network),
        "average": None if module.average is None else _cpu_state(module.average),
        "optimizer": optimizer.state_dict(),
        "record": vars(record),
    }


def _cpu_state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _row(module: TrainingModule, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    scores = module.scores.result()
    return {
        "epoch": module.epoch,
        "step": module.step,
        "learning_rate": optimizer.param_groups[0]["lr"],
        "train_loss": module.train_loss,
        **{f"val_{name}": value for name, value in scores.items()},
    }


def _write_history(folder: Path, record: Record) -> None:
    write_text(folder / "history.csv", pd.DataFrame(record.history).to_csv(index=False))
