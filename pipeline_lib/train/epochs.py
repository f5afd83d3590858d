"""What happens between two epochs: history, best weights, early stopping, checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch

from pipeline_lib.io.atomic import write_text
from pipeline_lib.train.checkpoint import CheckpointFolder
from pipeline_lib.train.module import TrainingModule
from pipeline_lib.train.state import Record, capture, cpu_state


class EpochEnd(pl.Callback):
    """After each epoch: history, best weights, early stopping, checkpoint.

    All processes of a training judge alike, since they see the same scores; the first one writes.
    """

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
            record.best_weights = cpu_state(pl_module.result)
        else:
            record.waited += 1
        stopped = options.patience is not None and record.waited >= options.patience
        record.finished = stopped or row["epoch"] >= options.max_epochs
        trainer.should_stop = record.finished
        if pl_module.share.first:
            self.checkpoints.save(int(row["epoch"]), capture(pl_module, trainer.optimizers[0], record, self.run))
            _write_history(self.checkpoints.folder, record)


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
