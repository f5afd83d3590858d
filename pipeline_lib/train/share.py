"""The part of a training that one of several processes does, and what the processes tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """One of ``count`` equal shares; the default is the whole.

    The methods that talk to the other processes must be called by all of them, in the same order.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.index == 0

    def within(self, size: int) -> slice:
        """Return this share's part of ``size`` things in a row; ``size`` is a multiple of ``count``."""
        part = size // self.count
        return slice(self.index * part, (self.index + 1) * part)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, the same bits in each."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether the flag is set in any process."""
        return flag if self.count == 1 else bool(self.sum(torch.tensor(float(flag), device=device)) > 0)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in order, to all."""
        if self.count == 1:
            return [value]
        values = [value] * self.count
        torch.distributed.all_gather_object(values, value)
        return values
