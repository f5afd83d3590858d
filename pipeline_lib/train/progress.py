"""Progress of a training: a bar on a terminal, one plain line per epoch in a log."""

from __future__ import annotations

import logging
import sys
import time

import pytorch_lightning as pl
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from pipeline_lib.train.module import TrainingModule

logger = logging.getLogger(__name__)


class Progress(pl.Callback):
    """Show where the training of ``module`` stands."""

    def __init__(self, module: TrainingModule) -> None:
        self._module = module
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._start = 0.0

    def on_train_start(self, *_: object) -> None:
        """Open the bar if somebody sits at a terminal."""
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, transient=True)
            self._task = self._bar.add_task("training")
            self._bar.start()

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the epoch's clock and bar."""
        self._start = time.monotonic()
        if self._bar is not None:
            text = f"epoch {self._module.epoch + 1}/{self._module.loop_options.max_epochs}"
            self._bar.reset(self._task, description=text, total=self._module.problem.steps_per_epoch)
            self._bar.update(self._task, completed=self._module.batch)

    def on_train_batch_end(self, *_: object) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_train_epoch_end(self, *_: object) -> None:
        """Log the epoch's numbers."""
        scores = "  ".join(f"{name} {value:.4f}" for name, value in self._module.scores.result().items())
        seconds = time.monotonic() - self._start
        logger.info(
            "epoch %d/%d: train loss %.4f, validation %s (%.1f s)",
            *(self._module.epoch, self._module.loop_options.max_epochs, self._module.train_loss, scores, seconds),
        )

    def on_train_end(self, *_: object) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, *_: object) -> None:
        """Close the bar before the error is shown."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
