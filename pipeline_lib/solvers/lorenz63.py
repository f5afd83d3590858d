"""The system of Lorenz (1963): three variables of convection, the smallest chaotic flow that everybody knows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lorenz63:
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z (Lorenz 1963, J. Atmos. Sci. 20, eqs. 25-27).

    Called with states of shape ``(..., 3)`` and a time, which plays no part; returns tendencies of the same shape.
    Time is without unit, as are the variables.

    Parameters
    ----------
    sigma, rho, beta
        Numbers or tensors that broadcast against the batch ``(...)``; tensors may need gradients. The defaults are
        Lorenz's own.
    """

    sigma: float | Tensor = 10.0
    rho: float | Tensor = 28.0
    beta: float | Tensor = 8 / 3

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return the time derivative of states of shape ``(..., 3)``."""
        x, y, z = state.unbind(-1)
        return torch.stack((self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z), -1)
