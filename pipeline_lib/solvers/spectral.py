"""What the periodic solvers share: wavenumbers, dealiasing, filters to coarser grids, spectra in shells.

Fields are real and periodic over their last two or three axes, in a square or cubic box. *Coefficients* are those of
`torch.fft.rfftn` with ``norm="forward"``: the last axis holds the modes of one sign, and a coefficient does not depend
on the size of the grid. Leading dimensions are a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Spectrum = Callable[[Tensor], Tensor]
"""What the shells of wavenumbers 1, 2, … of the box hold."""


def coefficients(field: Tensor, dims: int) -> Tensor:
    """Return the coefficients of a real field over its last ``dims`` axes."""
    hat: Tensor = torch.fft.rfftn(field, dim=_axes(dims), norm="forward")
    return hat


def values(hat: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the field on a grid of ``sizes`` whose coefficients are ``hat``."""
    field: Tensor = torch.fft.irfftn(hat, s=tuple(sizes), dim=_axes(len(sizes)), norm="forward")
    return field


def wavenumbers(sizes: Sequence[int], length: float = 2 * math.pi, *, odd: bool = False) -> list[Tensor]:
    """Angular wavenumbers of the coefficients, one broadcastable float64 tensor per axis.

    Parameters
    ----------
    sizes
        Points along each axis.
    length
        Side of the box.
    odd
        For derivatives of odd order: that of the Nyquist mode, which is real on the grid, is 0.

    Returns
    -------
    list of Tensor
        The n-th varies along the n-th axis of the coefficients only.
    """
    axes = []
    for axis, size in enumerate(sizes):
        last = axis == len(sizes) - 1
        modes = (torch.fft.rfftfreq if last else torch.fft.fftfreq)(size, 1 / size, dtype=torch.float64)
        if odd and size % 2 == 0:
            modes = modes * (modes.abs() < size // 2)
        shape = [1] * len(sizes)
        shape[axis] = -1
        axes.append((2 * math.pi / length * modes).reshape(shape))
    return axes


def dealiased_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Even sizes, 3/2 as large or more: there products of two fields do not alias (Orszag 1971, J. Atmos. Sci. 28)."""
    return tuple(2 * math.ceil(3 * size / 4) for size in sizes)


def resized(hat: Tensor, sizes: Sequence[int], new: Sequence[int]) -> Tensor:
    """Coefficients on another grid: modes are cut off or padded with zeros; Nyquist modes are left out.

    Parameters
    ----------
    hat
        Coefficients on a grid of ``sizes``.
    sizes, new
        Points along each axis before and after, finer or coarser.

    Returns
    -------
    Tensor
        Coefficients on a grid of ``new``: the Galerkin projection on the modes that both grids tell apart.
    """
    for axis, (old, size) in enumerate(zip(sizes, new, strict=True)):
        dim = axis - len(sizes)
        coarser = min(old, size)
        positive, negative = (coarser + 1) // 2, (coarser - 1) // 2
        parts = [hat.narrow(dim, 0, positive)]
        if dim == -1:
            parts.append(_zeros(hat, dim, size // 2 + 1 - positive))
        else:
            parts += [_zeros(hat, dim, size - positive - negative), hat.narrow(dim, old - negative, negative)]
        hat = torch.cat(parts, dim)
    return hat


def cut_off(field: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sharp spectral filter: the field without the modes that a coarser grid does not resolve, on that grid.

    The coarse Nyquist mode is what that grid sees of the modes of both signs, so that filtering twice is filtering
    once and a filter to the same grid changes nothing.

    Parameters
    ----------
    field
        Shape ``(..., *fine)``.
    sizes
        Points along each of the last axes.

    Returns
    -------
    Tensor
        Shape ``(..., *sizes)``.

    Raises
    ------
    ValueError
        If a size is larger than the field's.
    """
    fine = field.shape[-len(sizes) :]
    if any(size > old for size, old in zip(sizes, fine, strict=True)):
        raise ValueError(f"a filter leads to a coarser grid, not from {tuple(fine)} to {tuple(sizes)}")
    for dim, size in zip(_axes(len(sizes)), sizes, strict=True):
        if size < field.shape[dim]:
            field = _cut_off_along(field.movedim(dim, -1), size).movedim(-1, dim)
    return field


def _cut_off_along(field: Tensor, size: int) -> Tensor:
    hat = torch.fft.rfft(field, norm="forward")[..., : size // 2 + 1]
    if size % 2 == 0:
        # The modes of both signs, conjugates of each other, fall on the one Nyquist mode of the coarse grid.
        hat = torch.cat([hat[..., :-1], 2 * hat[..., -1:].real + 0j], -1)
    coarse: Tensor = torch.fft.irfft(hat, n=size, norm="forward")
    return coarse


def truncated(field: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sharp spectral filter that leaves out Nyquist modes: what it returns has all its derivatives on the coarse grid.

    Parameters
    ----------
    field
        Shape ``(..., *fine)``.
    sizes
        Points along each of the last axes.

    Returns
    -------
    Tensor
        Shape ``(..., *sizes)``.
    """
    hat = coefficients(field, len(sizes))
    return values(resized(hat, field.shape[-len(sizes) :], sizes), sizes)


def shells(sizes: Sequence[int]) -> Tensor:
    """Shell that each coefficient belongs to: its distance from the origin in modes of the box, rounded."""
    squares = sum((modes**2 for modes in wavenumbers(sizes)), start=torch.zeros(()))
    return squares.sqrt().round().long()


def shell_sums(power: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sum over the modes of each shell, both signs.

    Parameters
    ----------
    power
        A value per coefficient, shape ``(..., *coefficients)``, the same for modes of opposite sign.
    sizes
        Points along each axis of the grid.

    Returns
    -------
    Tensor
        Shape ``(..., shells)``: shell K holds the modes whose distance from the origin rounds to K.
    """
    index = shells(sizes).to(power.device)
    paired = torch.full(index.shape[-1:], 2.0, dtype=power.dtype, device=power.device)
    alone = torch.arange(index.shape[-1], device=power.device)
    paired = torch.where((alone == 0) | (2 * alone == sizes[-1]), 1.0, paired)
    flat = (power * paired).flatten(-len(sizes))
    empty = torch.zeros(*flat.shape[:-1], int(index.max()) + 1, dtype=power.dtype, device=power.device)
    return empty.index_add(-1, index.flatten(), flat)


def spectrum(field: Tensor, dims: int) -> Tensor:
    """Isotropic spectrum: half the variance that each shell of wavenumbers holds.

    Of the components of a velocity, summed, it is the energy spectrum; of vorticity, the enstrophy spectrum. The sum
    over the shells is half the mean square of the field (Parseval).

    Parameters
    ----------
    field
        Periodic over its last ``dims`` axes.
    dims
        Dimensions of the box.

    Returns
    -------
    Tensor
        Shape ``(..., shells)``, from shell 0, the mean, to the corners of the grid.
    """
    return shell_sums(coefficients(field, dims).abs() ** 2 / 2, field.shape[-dims:])


def scaled_to(hat: Tensor, power: Tensor, wanted: Spectrum, sizes: Sequence[int]) -> Tensor:
    """Scale coefficients shell by shell so that the shells of their power are those wanted; the mean becomes 0.

    Parameters
    ----------
    hat
        Coefficients, shape ``(..., *coefficients)``.
    power
        What the spectrum is about, quadratic in ``hat``, of a shape that ``hat`` broadcasts to.
    wanted
        Spectrum as a function of the shells 1, 2, …; shells without power stay empty.
    sizes
        Points along each axis of the grid.

    Returns
    -------
    Tensor
        Shape of ``hat``.
    """
    held = shell_sums(power, sizes)
    target = wanted(torch.arange(1, held.shape[-1], dtype=held.dtype, device=held.device))
    target = torch.cat([target.new_zeros(1), target])
    gain = torch.where(held > 0, target / torch.where(held > 0, held, 1.0), 0.0).sqrt()
    return hat * gain[..., shells(sizes).to(hat.device)]


def _axes(dims: int) -> tuple[int, ...]:
    return tuple(range(-dims, 0))


def _zeros(hat: Tensor, dim: int, size: int) -> Tensor:
    shape = list(hat.shape)
    shape[dim] = size
    return hat.new_zeros(shape)
