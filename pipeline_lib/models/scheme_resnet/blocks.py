"""Residual blocks as steps of integration schemes: x' = F(x), the step is 1, F is a small network.

References
----------
Lu, Zhong, Li and Dong (2018), Beyond finite layer neural networks: bridging deep architectures and numerical
differential equations, ICML 2018, arXiv 1710.10121; Zhang, Li, Loy and Lin (2017), PolyNet, arXiv 1611.05725; Gomez,
Ren, Urtasun and Grosse (2017), The reversible residual network, arXiv 1707.04585.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from pipeline_lib.solvers.schemes import SCHEMES

_INITIAL_K = (-0.1, 0.0)
"""Between these k is drawn before training: in the authors' code 1 - k is uniform in [1, 1.1]."""


class Block(nn.Module):
    """Takes a state one step on; states have the shape (batch, channels, ...).

    Parameters
    ----------
    branch
        F, which keeps the shape.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    @abstractmethod
    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the state after ``x``; ``previous`` is the one before it, if there is one of this shape."""


class Plain(Block):
    """F(x): a layer of an ordinary network, no step of anything."""

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return F(x)."""
        following: Tensor = self.branch(x)
        return following


class RungeKuttaBlock(Block):
    """A step of an explicit Runge-Kutta scheme whose stages share F; with Euler this is the block of a ResNet.

    Parameters
    ----------
    branch
        F.
    scheme
        Name of a scheme of :mod:`pipeline_lib.solvers.schemes` that needs no past.
    """

    def __init__(self, branch: nn.Module, scheme: str) -> None:
        super().__init__(branch)
        self._take = SCHEMES[scheme].start()

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return x plus the weighted stages."""
        return self._take(lambda state, _: self.branch(state), x, 0.0, 1.0)


class Multistep(Block):
    """(1 - k) x + k x_previous + F(x), k learned: the block of an LM-ResNet.

    Without a past it is an Euler step, since the past is then taken to be x itself. In the authors' code the number
    learned is 1 - k.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__(branch)
        self.k = nn.Parameter(torch.empty(()).uniform_(*_INITIAL_K))

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the step in the form x + k (x_previous - x) + F(x), which for k = 0 is Euler's to the bit."""
        change: Tensor = self.branch(x)
        return x + self.k * ((x if previous is None else previous) - x) + change


class Leapfrog(Block):
    """x_previous + 2 F(x), the explicit midpoint scheme of two steps; without a past an Euler step."""

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the step."""
        change: Tensor = self.branch(x)
        return x + change if previous is None else previous + 2 * change


class SecondOrderPolynomial(Block):
    """x + F(x) + F(F(x)): poly-2 of PolyNet with a shared F, the first terms of backward Euler's (1 - F)^-1 x."""

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the step."""
        once: Tensor = self.branch(x)
        twice: Tensor = self.branch(once)
        return x + once + twice


class Implicit(Block):
    """y = x + F(y), a step of backward Euler, by fixed-point iteration from y = x.

    The iteration converges to the one solution if F is a contraction, that is has a Lipschitz constant L < 1; the error
    after m iterations is then at most L^m / (1 - L) |F(x)| (Banach). Nothing enforces that on a network: weight decay
    makes L smaller, it does not bound it. Gradients are those of the iterations as they were done.

    Parameters
    ----------
    branch
        F.
    iterations
        Evaluations of F; 1 is Euler.
    """

    def __init__(self, branch: nn.Module, iterations: int) -> None:
        super().__init__(branch)
        self._iterations = iterations

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the last iterate."""
        y = x
        for _ in range(self._iterations):
            y = x + self.branch(y)
        return y


class Reversible(Block):
    """a <- a + F(b), b <- b + G(a) for the two halves a, b of the channels: the block of a RevNet.

    Parameters
    ----------
    branch, other
        F and G, for half of the channels each.
    """

    def __init__(self, branch: nn.Module, other: nn.Module) -> None:
        super().__init__(branch)
        self.other = other

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Return the step."""
        a, b = x.chunk(2, dim=1)
        a = a + self.branch(b)
        return torch.cat([a, b + self.other(a)], dim=1)

    def inverse(self, x: Tensor) -> Tensor:
        """Return the state before ``x``: the step undone, exactly but for rounding."""
        a, b = x.chunk(2, dim=1)
        b = b - self.other(a)
        return torch.cat([a - self.branch(b), b], dim=1)
