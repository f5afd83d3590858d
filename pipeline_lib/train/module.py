"""The Lightning module: one network, one problem, everything that happens within an epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from pipeline_lib.errors import TrainingError
from pipeline_lib.train.options import LoopOptions
from pipeline_lib.train.problem import Batch, Batches, Problem
from pipeline_lib.train.seeds import torch_seed
from pipeline_lib.train.share import Share

_SQUARED, _EPSILON = 0.999, 1e-8
"""Of Adam: share of the mean squared gradient that is kept, and what is added to its root."""


def learning_rate(options: LoopOptions, step: int, total: int) -> float:
    """Return the learning rate of step ``step`` (from 0) out of ``total``."""
    warm = options.warm_up * total
    if step < warm:
        return options.learning_rate * (step + 1) / math.ceil(warm)
    if options.schedule == "constant":
        return options.learning_rate
    if options.schedule == "steps":
        passed = sum(step >= milestone * total for milestone in options.milestones)
        return options.learning_rate * float(options.factor**passed)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1)))


@dataclass(frozen=True)
class Rest:
    """The batches of an epoch that are left after the first ``done``."""

    batches: Batches
    done: int

    def __len__(self) -> int:
        return len(self.batches) - self.done

    def __iter__(self) -> Iterator[Batch]:
        return islice(self.batches, self.done, None)


class TrainingModule(pl.LightningModule):
    """Trains a network on a problem.

    Parameters
    ----------
    network
        Network to train, in its final memory format.
    problem
        Batches, loss and scores.
    options
        Options of the loop.
    seed
        Base seed; each epoch draws from a generator of its own.
    share
        Which part of each batch this process computes; the gradients of all are averaged.
    """

    def __init__(
        self, network: nn.Module, problem: Problem, options: LoopOptions, seed: int, share: Share | None = None
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer validation batches than processes
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False) if options.averaging else None
        self.problem, self.loop_options, self.seed, self.share = problem, options, seed, share or Share()
        self.epoch, self.step, self.batch = (
            0,
            0,
            0,
        )  # finished epochs, steps, and batches of this epoch; over all sittings
        self.saved_optimizer: dict[str, Any] | None = None
        self.saved_self: dict[str, Any] | None = None
        self.train_loss, self.scores = 0.0, problem.new_scores()
        self._running_loss: Tensor | None = None
        self._current: Batch | None = None
        self._loss: Tensor | None = None

    @property
    def result(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights if there is one."""
        return self.network if self.average is None else self.average

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer over the network's parameters, in the state of the checkpoint if one was read."""
        optimizer = _optimizer(self.network, self.loop_options)
        if self.saved_optimizer is not None:
            optimizer.load_state_dict(self.saved_optimizer)
        return optimizer

    def train_dataloader(self) -> Batches:
        """Return the batches of the epoch that comes next, or what is left of an interrupted one."""
        return Rest(self.problem.training_batches(self.epoch, self.share), self.batch)

    def val_dataloader(self) -> Batches:
        """Return the validation batches."""
        return self.problem.validation_batches(self.share)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's own random stream, or take up that of an interrupted epoch."""
        self.scores = self.problem.new_scores()
        if self.saved_self is not None:
            self._restore_self(self.saved_self)
            self.saved_self = None
            return
        context: tuple[str | int, ...] = ("epoch", self.epoch)
        if self.share.count > 1:
            context += ("process", self.share.index)
        torch.manual_seed(torch_seed(self.seed, *context))
        self._running_loss = None

    def own_state(self) -> dict[str, Any]:
        """Return what differs between processes in the middle of an epoch: random state, buffers, summed loss."""
        on_gpu = self.device.type == "cuda"
        return {
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(self.device) if on_gpu else None,
            "buffers": {name: value.detach().cpu().clone() for name, value in self.named_buffers()},
            "running_loss": None if self._running_loss is None else self._running_loss.cpu().clone(),
        }

    def _restore_self(self, state: dict[str, Any]) -> None:
        torch.set_rng_state(state["random"])
        if state["random_gpu"] is not None:
            torch.cuda.set_rng_state(state["random_gpu"], self.device)
        for name, value in self.named_buffers():
            value.copy_(state["buffers"][name])
        loss = state["running_loss"]
        self._running_loss = None if loss is None else loss.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        self._current = batch
        loss = self.problem.loss(self.network(_channels_last(batch.inputs)), batch)
        self._loss = loss.detach()
        self._running_loss = self._loss if self._running_loss is None else self._running_loss + self._loss
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop on a non-finite loss or gradient; clip; set the learning rate of this step."""
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._loss is None or self._current is None:
            raise RuntimeError("optimizer step before a training step")
        # The gradient is the mean over all processes already; the loss is summed, so that all notice a bad one.
        loss_value, norm_value = torch.stack([self.share.sum(self._loss.float()), norm.float()]).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            self._stop(bad_loss=not math.isfinite(loss_value))
        limit = self.loop_options.gradient_clip
        if limit is not None and norm_value > limit:
            torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        total = self.loop_options.max_epochs * self.problem.steps_per_epoch
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.loop_options, self.step, total)

    def on_train_batch_end(self, *_: object) -> None:
        """Count the step and follow the weights with their average."""
        self.step += 1
        self.batch += 1
        if self.average is not None:
            # A young average forgets faster, or it would remember the first, untrained weights.
            decay = min(self.loop_options.averaging, (1 + self.step) / (10 + self.step))
            _follow(self.average, self.network, 1 - decay)
        if self.batch == self.problem.steps_per_epoch:
            self._average_buffers()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a validation batch."""
        self.scores.update(self.result(_channels_last(batch.inputs)), batch)

    def close_epoch(self) -> None:
        """Count the epoch and close its mean loss and its scores, when validation has run."""
        if self._running_loss is not None:
            steps = self.problem.steps_per_epoch * self.share.count
            self.train_loss = float(self.share.sum(self._running_loss)) / steps
        if self.share.count > 1:
            self.scores.sums = self.share.sum(self.scores.sums.to(self.device)).cpu()
        self.epoch += 1
        self.batch = 0

    @torch.no_grad()
    def _average_buffers(self) -> None:
        """Give all processes the same running statistics before validation, those over all shares."""
        if self.share.count > 1:
            for value in self.buffers():
                if value.is_floating_point():
                    value.copy_(self.share.sum(value) / self.share.count)

    def _stop(self, *, bad_loss: bool) -> None:
        what = "the loss" if bad_loss else "the gradient"
        own = self._loss is not None and not math.isfinite(float(self._loss))
        named = self.problem.describe(self._current.samples) if self._current is not None else ""
        told = self.share.gather((own, named))
        samples = "; ".join(text for bad, text in told if bad or not bad_loss)
        raise TrainingError(
            f"{what} is not finite in epoch {self.epoch + 1}, step {self.step + 1}; batch: {samples}",
            fix="look at these samples, or lower the learning rate",
        )


def _optimizer(network: nn.Module, options: LoopOptions) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": options.learning_rate, "weight_decay": options.weight_decay}
    if options.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=options.momentum, fused=True, **common)
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), alpha=options.memory, **common)
    betas = options.momentum, _SQUARED
    return torch.optim.AdamW(network.parameters(), betas=betas, eps=_EPSILON, fused=True, **common)


MAPS = 4
"""Dimensions of a batch of maps."""


def _channels_last(inputs: Tensor) -> Tensor:
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == MAPS else inputs


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Move every value of ``average`` towards that of ``network`` by ``weight``; counters are copied."""
    values = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for mean, value in values:
        if mean.is_floating_point():
            mean.lerp_(value, weight)
        else:
            mean.copy_(value)
