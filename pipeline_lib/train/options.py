"""Options of the training loop that every task shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline_lib.learning.device import Precision
from pipeline_lib.options import Options


class LoopOptions(Options):
    """How long and how fast to train; the defaults are plain Adam with early stopping."""

    max_epochs: int = Field(default=100, gt=0)
    """Epochs at most."""
    patience: int | None = Field(default=5, gt=0)
    """Stop after this many epochs without a better validation loss; null trains to the end."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Largest learning rate of Adam."""
    schedule: Literal["constant", "cosine"] = "constant"
    """``cosine`` lets the learning rate fall to zero along half a cosine over all epochs."""
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly to its largest value."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    gradient_clip: float | None = Field(default=None, gt=0)
    """Scale gradients down to this norm at most."""
    averaging: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, which is then validated and kept; 0 turns it off."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware computes in it, float32 elsewhere; ``float64`` is for exact data."""
