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

    @property
    def divergence(self) -> float | Tensor:
        """Rate at which volumes in state space grow, the same everywhere: -(sigma + 1 + beta)."""
        return -(self.sigma + 1 + self.beta)

    def equilibria(self) -> Tensor:
        """Return the states of rest.

        Returns
        -------
        Tensor
            Shape ``(..., 3, 3)``, equilibrium by component: the origin and the two of steady convection, which are NaN
            where rho < 1; float64 unless a parameter is a tensor.
        """
        excess = torch.as_tensor(self.rho - 1, dtype=None if isinstance(self.rho, Tensor) else torch.float64)
        speed = (self.beta * excess).sqrt()
        height = excess + 0 * speed  # NaN where the speed is
        rest = torch.zeros_like(speed)
        states = ((rest, rest, rest), (speed, speed, height), (-speed, -speed, height))
        return torch.stack([torch.stack(state, -1) for state in states], -2)
