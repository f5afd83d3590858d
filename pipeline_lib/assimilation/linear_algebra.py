"""Matrix functions for batches in which single members may have gone to infinity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _SymmetricRoot(torch.autograd.Function):
    """The square root of symmetric positive definite matrices.

    torch differentiates eigenvectors, which have no derivative where eigenvalues coincide; the root has one everywhere
    (Higham 2008, Functions of Matrices, section 3.2).
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        values, vectors = torch.linalg.eigh(matrix)
        roots = values.clamp(min=0.0).sqrt()
        ctx.save_for_backward(roots, vectors)
        root: Tensor = (vectors * roots.unsqueeze(-2)) @ vectors.mT
        return root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        roots, vectors = ctx.saved_tensors
        (gradient,) = gradients
        inner: Tensor = vectors.mT @ gradient @ vectors / (roots.unsqueeze(-1) + roots.unsqueeze(-2))
        outer: Tensor = vectors @ ((inner + inner.mT) / 2) @ vectors.mT
        return outer


def finite_part(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices with the unit matrix in place of those that are not finite, and which are finite ``(..., 1, 1)``.

    LAPACK refuses a whole batch for one of them.
    """
    finite = torch.isfinite(matrix).all(-1, keepdim=True).all(-2, keepdim=True)
    if bool(finite.all()):
        return matrix, finite
    unit = torch.eye(matrix.shape[-2], matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(finite, matrix, unit), finite


def symmetric_root(matrix: Tensor) -> Tensor:
    """Return the square root of symmetric positive definite matrices ``(..., k, k)``; NaN where one is not finite."""
    safe, finite = finite_part(matrix)
    root: Tensor = _SymmetricRoot.apply(safe)  # type: ignore[no-untyped-call]
    return torch.where(finite, root, torch.nan)


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Return X of ``matrix X = right`` for symmetric positive definite matrices; NaN where one is none.

    Parameters
    ----------
    matrix
        Shape ``(..., k, k)``.
    right
        Shape ``(..., k, j)``.
    """
    factor, trouble = torch.linalg.cholesky_ex(matrix)
    solved = torch.cholesky_solve(right, factor)
    return torch.where((trouble == 0)[..., None, None], solved, torch.nan)


def covariance_root(covariance: float | Tensor, size: int, like: Tensor) -> Tensor:
    """Return L with L L' = covariance.

    Parameters
    ----------
    covariance
        One variance, variances ``(n,)``, or a symmetric positive semi-definite matrix ``(n, n)``.
    size
        n.
    like
        Tensor whose dtype and device the root gets.

    Returns
    -------
    Tensor
        Shape ``(n, n)``.

    Raises
    ------
    ValueError
        If the shape does not fit, or the matrix is not a covariance.
    """
    given = torch.as_tensor(covariance, dtype=like.dtype, device=like.device)
    if given.ndim < 2:
        given = torch.diag(given.expand(size)) if given.shape in ((), (1,), (size,)) else given
    if given.shape != (size, size):
        raise ValueError(f"covariance of shape {tuple(given.shape)} for a state of {size} components")
    values, vectors = torch.linalg.eigh(given)
    least = -values.abs().max() * size * torch.finfo(like.dtype).eps
    if not torch.allclose(given, given.mT) or bool((values < least).any()):
        raise ValueError("the covariance is not symmetric with eigenvalues of at least 0")
    root: Tensor = vectors * values.clamp(min=0.0).sqrt()
    return root
