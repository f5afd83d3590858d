"""The state of a training between two steps: taken, stored as plain values, put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.train.checkpoint import plain
from pipeline_lib.train.module import TrainingModule


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


def capture(
    module: TrainingModule, optimizer: torch.optim.Optimizer, record: Record, run: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the whole state as copies on the CPU; all processes of a training must call it together.

    After an epoch it needs no random state, since every epoch starts a stream of its own; within one it holds
    that of every process.
    """
    return {
        "run": dict(run),
        "epoch": module.epoch,
        "step": module.step,
        "batch": module.batch,
        "network": cpu_state(module.network),
        "average": None if module.average is None else cpu_state(module.average),
        "optimizer": plain(optimizer.state_dict()),
        "record": {**vars(record), "history": list(record.history)},
        "processes": module.share.gather(module.own_state()) if module.batch else [],
    }


def restore(module: TrainingModule, state: Mapping[str, Any]) -> Record:
    """Put a state back into a module and return the record that belongs to it."""
    module.network.load_state_dict(state["network"])
    if module.average is not None:
        module.average.load_state_dict(state["average"])
    module.saved_optimizer = state["optimizer"]
    module.epoch, module.step, module.batch = state["epoch"], state["step"], state["batch"]
    module.saved_self = state["processes"][module.share.index] if module.batch else None
    return Record(**state["record"])


def cpu_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a state dict on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
