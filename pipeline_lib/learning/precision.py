"""The device and the number format that training and prediction use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pipeline_lib.errors import TrainingError
from pipeline_lib.learning.device import Device, Precision


def resolve_device(device: Device, count: int = 1) -> torch.device:
    """Return the kind of device to compute on; ``auto`` takes GPUs if there are any.

    Parameters
    ----------
    device
        What is asked for.
    count
        How many of them are needed, if they are GPUs.

    Raises
    ------
    TrainingError
        If GPUs are asked for and torch sees none, or too few.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
        raise TrainingError(
            f"a GPU was asked for, but {build}", where="device: cuda", fix="set device: auto, or run on a GPU node"
        )
    if torch.cuda.device_count() < count:
        raise TrainingError(
            f"{count} GPUs were asked for, torch sees {torch.cuda.device_count()}",
            where="devices",
            fix="set devices to what the job has, or ask the scheduler for more",
        )
    return torch.device("cuda")


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Return what ``auto`` means: bfloat16 where the hardware computes in it, float32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which a network computes in ``precision``, already resolved."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def memory_advice(advice: str, *, where: str) -> Iterator[None]:
    """Turn an out-of-memory error of torch into a :class:`TrainingError` that carries ``advice``."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError("not enough memory", where=where, fix=advice) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise TrainingError("not enough memory", where=where, fix=advice) from error


def number_format(network: nn.Module, *, without_values: torch.dtype = torch.float64) -> torch.dtype:
    """Return the number format in which a network computes; ``without_values`` if it has none of its own."""
    values = (*network.parameters(), *network.buffers())
    return next((value.dtype for value in values if value.is_floating_point()), without_values)
