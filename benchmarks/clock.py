"""What a piece of work takes: processor time on a CPU, robust on a shared machine; time of the clock on a GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

MIB = 2**20


def spent(device: torch.device, work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds and, on a GPU, the peak of its memory [MiB]."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start, math.nan
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() / MIB


def best(device: torch.device, *works: Callable[[], object], turns: int) -> list[float]:
    """Return the least seconds of each of several pieces of work, taken in turns."""
    least = [math.inf] * len(works)
    for _ in range(turns):
        least = [min(so_far, spent(device, work)[0]) for so_far, work in zip(least, works, strict=True)]
    return least
