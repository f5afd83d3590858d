"""What a generated module does with fields. The source of these functions is copied into it: torch is all it needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolved(field: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Return the convolution (a correlation, as in networks) along one axis, where the kernel fits whole.

    A sum over shifted fields: library convolutions may round single precision to ten bits on a GPU (TF32), which
    differences of neighbours do not survive.
    """
    size = field.shape[axis] - kernel.numel() + 1
    weights = kernel.unbind()
    total = weights[0] * field.narrow(axis, 0, size)
    for shift, weight in enumerate(weights[1:], start=1):
        total = torch.addcmul(total, weight, field.narrow(axis, shift, size))
    return total


def wrapped(field: Tensor, axis: int, width: int) -> Tensor:
    """Return a periodic field with its continuation to both sides."""
    size = field.shape[axis]
    return torch.cat((field.narrow(axis, size - width, width), field, field.narrow(axis, 0, width)), axis)


def mirrored(field: Tensor, axis: int, width: int, low: float | None, high: float | None) -> Tensor:
    """Return a field continued behind walls: even if the value there is None, odd about the value otherwise."""
    size = field.shape[axis]
    first = field.narrow(axis, 0, width).flip(axis)
    last = field.narrow(axis, size - width, width).flip(axis)
    first = first if low is None else 2 * low - first
    last = last if high is None else 2 * high - last
    return torch.cat((first, field, last), axis)


def check_field(name: str, field: Tensor, sizes: tuple[int, ...]) -> None:
    """Raise ValueError if the last dimensions of a given field are not the points along its coordinates."""
    if field.shape[-len(sizes) :] != sizes:
        raise ValueError(f"{name} has shape {tuple(field.shape)}; it must end with its points, {sizes}")


def on_grid(field: Tensor, axes: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """Return a given field, whose last dimensions are these axes of the grid, on all axes in their order."""
    batch = field.dim() - len(axes)
    ordered = field.permute(*range(batch), *(batch + axes.index(axis) for axis in sorted(axes)))
    sizes = (size if axis in axes else 1 for axis, size in enumerate(shape))
    return ordered.reshape(*field.shape[:batch], *sizes).expand(*field.shape[:batch], *shape)


def network_field(network: nn.Module, inputs: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
    """Return the field that a network makes of others: it sees (batch, inputs, *shape), returns (batch, 1, *shape)."""
    same = torch.broadcast_tensors(*inputs)  # type: ignore[no-untyped-call]
    stacked = torch.stack(same, -1 - len(shape))
    batch = stacked.shape[: -1 - len(shape)]
    made: Tensor = network(stacked.reshape(batch.numel(), len(inputs), *shape))
    if made.shape != (batch.numel(), 1, *shape):
        raise ValueError(f"the network returned {tuple(made.shape)}, not {(batch.numel(), 1, *shape)}")
    return made.reshape(*batch, *shape)
