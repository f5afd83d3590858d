"""Options of the training loop that every task shares."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.learning.device import Precision
from pipeline_lib.options import Options, refuse_unused

_KEEPS_GRADIENTS = ("adam", "sgd")
"""Optimizers with a momentum."""


class LoopOptions(Options):
    """How long and how fast to train; the defaults are plain Adam with early stopping."""

    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    """Adam, stochastic gradient descent with ``momentum``, or RMSProp with ``memory``."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of ``sgd``: share of the last step that is taken again; of ``adam``: share of the mean gradient that is kept."""
    memory: float = Field(default=0.9, ge=0, lt=1)
    """Of ``rmsprop``: share of the mean squared gradient that is kept."""
    batch_size: int = Field(default=32, gt=0)
    """Samples per step."""
    max_epochs: int = Field(default=100, gt=0)
    """Epochs at most."""
    patience: int | None = Field(default=5, gt=0)
    """Stop after this many epochs without a better validation loss; null trains to the end."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Largest learning rate."""
    schedule: Literal["constant", "cosine", "steps"] = "constant"
    """``cosine`` lets the learning rate fall to zero along half a cosine over all epochs; ``steps`` multiplies it
    by ``factor`` at each of ``milestones``."""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Of ``steps``: shares of all steps, whatever their order."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Of ``steps``: what the learning rate is multiplied by."""
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly to its largest value."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of Adam (AdamW), a penalty in the gradient with the others; 0 is none."""
    gradient_clip: float | None = Field(default=None, gt=0)
    """Scale gradients down to this norm at most."""
    averaging: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, which is then validated and kept; 0 turns it off."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware computes in it, float32 elsewhere; ``float64`` is for exact data."""

    @model_validator(mode="after")
    def _used_in_the_loop(self) -> Self:
        if self.optimizer not in _KEEPS_GRADIENTS:
            refuse_unused(self, ("momentum",), f"optimizer {self.optimizer} has none")
        if self.optimizer != "rmsprop":
            refuse_unused(self, ("memory",), f"optimizer {self.optimizer} has none")
        if self.schedule != "steps":
            refuse_unused(self, ("milestones", "factor"), f"schedule {self.schedule} has none")
        return self
