"""Stopping a training ahead of its end: at a signal, or while there is still time to save."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Self

import pytorch_lightning as pl

from pipeline_lib.errors import Interrupted
from pipeline_lib.train.checkpoint import CheckpointFolder
from pipeline_lib.train.module import TrainingModule
from pipeline_lib.train.state import Record, capture

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What schedulers send some time before they kill: at a time limit, at preemption, before a requeue."""

RESERVE = 10.0
"""Seconds kept free at the end, to leave Python and Snakemake and for a slow file system."""

CAUTION = 1.5
"""How much longer the next step, validation or save may take than the longest so far."""


class Signals:
    """Remembers the first of :data:`SIGNALS` instead of dying of it, as long as the block runs."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {number: signal.getsignal(number) for number in SIGNALS}
            self.install()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Take the signals, also from whoever has taken them since."""
        for number in self._before:
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)


class Clock:
    """Knows when the job will be ended and how long steps, validation and saving took so far.

    Parameters
    ----------
    end
        Unix time at which the job will be ended, ``None`` if nobody ends it.
    """

    def __init__(self, end: float | None) -> None:
        # The clock of the day can be set while we run; the other cannot.
        self._end = float("inf") if end is None else time.monotonic() + end - time.time()
        self.step = self.validation = self.validation_batch = 0.0
        self.validated = False

    def allows(self, seconds: float) -> bool:
        """Return whether work that took so long before, and leaving, still fit."""
        return time.monotonic() + CAUTION * seconds + RESERVE < self._end


class StopInTime(pl.Callback):
    """Before each batch: is there time for it, and has nobody asked to stop? If not, save and end.

    Each sitting does at least one step, so that any time limit gets a training to its end at last.
    """

    def __init__(
        self,
        *,
        signals: Signals,
        end: float | None,
        record: Record,
        checkpoints: CheckpointFolder,
        run: Mapping[str, Any],
    ) -> None:
        self.signals, self.clock = signals, Clock(end)
        self.record, self.checkpoints, self.run = record, checkpoints, run
        self._held: dict[str, Any] | None = None
        """The state before the last batch of the epoch: what is saved if validation is interrupted."""
        self._began = self._validating = 0.0
        self._stepped = False

    def on_train_start(self, *_: object) -> None:
        """Take the signals back from Lightning, which would not save."""
        self.signals.install()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Stop here if the batch, or the validation that follows it, would not end in time."""
        module = _training(pl_module)
        now = time.monotonic()
        if batch_idx > 0:
            self.clock.step = max(self.clock.step, now - self._began)
        last = module.batch + 1 == module.problem.steps_per_epoch
        needed = self.clock.step + self.checkpoints.slowest_save
        if last:
            needed += self.clock.validation if self.clock.validated else self.clock.step * _validation_batches(trainer)
        reason = self._reason(needed)
        if module.share.any(reason is not None, module.device):
            if module.batch and self._stepped:
                self._save(module, capture(module, trainer.optimizers[0], self.record, self.run))
            told = [other for other in module.share.gather(reason) if other is not None]
            raise self._interrupted(module, told[0])
        if last and module.batch and self._stepped:
            self._held = capture(module, trainer.optimizers[0], self.record, self.run)
        self._began = time.monotonic()

    def on_train_batch_end(self, *_: object) -> None:
        """Know that this sitting got further; after the last batch validation begins."""
        self._stepped = True
        self._validating = time.monotonic()

    def on_validation_epoch_start(self, *_: object) -> None:
        """Start the clock of the first validation batch."""
        self._began = time.monotonic()

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Stop here if asked, leaving the state before the epoch's last step."""
        module = _training(pl_module)
        now = time.monotonic()
        self.clock.validation_batch = max(self.clock.validation_batch, now - self._began)
        self._began = now
        # The processes validate unequal numbers of batches; the first ends the others.
        reason = self._reason(self.clock.validation_batch + self.checkpoints.slowest_save)
        if reason is None or not module.share.first:
            return
        if self._held is not None:
            self._save(module, self._held)
        elif self.signals.received is None:
            return  # nothing could be saved that is not: stopping would gain less than trying
        raise self._interrupted(module, reason)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Learn how long validating and saving took."""
        self._held = None
        self.clock.validation = max(self.clock.validation, time.monotonic() - self._validating)
        self.clock.validated = True
        self._began = time.monotonic()

    def _reason(self, needed: float) -> str | None:
        if self.signals.received is not None:
            return f"stopped by {self.signals.received.name}"
        if not self._stepped or self.clock.allows(needed):
            return None
        return "stopped ahead of the time limit"

    def _save(self, module: TrainingModule, state: Mapping[str, Any]) -> None:
        if module.share.first:
            self.checkpoints.save(int(state["epoch"]), state, batch=int(state["batch"]))

    def _interrupted(self, module: TrainingModule, reason: str) -> Interrupted:
        where = f"in epoch {module.epoch + 1} of {module.loop_options.max_epochs}, after step {module.step}"
        return Interrupted(f"{reason} {where}; everything is saved", fix="run again: it goes on there")


def _validation_batches(trainer: pl.Trainer) -> float:
    return float(sum(trainer.num_val_batches))


def _training(module: pl.LightningModule) -> TrainingModule:
    if not isinstance(module, TrainingModule):
        raise TypeError("StopInTime belongs to a TrainingModule")
    return module
