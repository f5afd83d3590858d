"""How Keras counts the values of a network."""

from __future__ import annotations

from torch import nn


def keras_parameter_count(module: nn.Module) -> int:
    """Return the count that Keras prints: parameters and running statistics, without batch counters."""
    buffers = sum(b.numel() for name, b in module.named_buffers() if not name.endswith("num_batches_tracked"))
    return sum(p.numel() for p in module.parameters()) + buffers
