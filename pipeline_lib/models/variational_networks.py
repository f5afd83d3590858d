"""Networks that fill trajectories from partial observations: learned priors and learned solvers (4DVarNet).

After Fablet et al. (2021, J. Adv. Model. Earth Syst. 13, "Learning variational data assimilation models and solvers").
Trajectories have the shape (batch, n, T), normalised. Where the components are sites of a ring, convolutions run over
sites and times and close around the ring; else components are channels, and convolutions run over times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.assimilation.variational import WeakConstraint, flow_prior
from pipeline_lib.errors import ConfigError
from pipeline_lib.solvers.schemes import RK4

POOLING = 4
"""Times that the coarse branch of the two-scale prior averages over."""
SOLVER_KERNEL = 3
"""Times, and sites of a ring, that the recurrent cell of the solver sees."""


class Lorenz96Stencils(nn.Module):
    """The tendency of Lorenz (1996) with free stencils, in normalised variables: (a * x)(b * x) - x + F.

    Stencil a has five taps and b three, both centred: with F nine parameters, which start at Lorenz's equations.
    """

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.tensor([-1.0, 0.0, 0.0, 1.0, 0.0]))
        self.right = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))
        self.forcing = nn.Parameter(torch.tensor(8.0))
        self._mean, self._scale = mean, scale

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives of normalised states (..., sites)."""
        ring = state * self._scale + self._mean
        return (_correlated(ring, self.left) * _correlated(ring, self.right) - ring + self.forcing) / self._scale


def _correlated(ring: Tensor, taps: Tensor) -> Tensor:
    reach = len(taps) // 2
    neighbours = torch.stack([ring.roll(reach - tap, -1) for tap in range(len(taps))], -1)
    return neighbours @ taps


class OdePrior(nn.Module):
    """Each state is one Runge-Kutta step of fourth order from the one before; the first is taken as it is.

    Parameters
    ----------
    tendency
        Maps normalised states (..., n) to their time derivatives.
    step
        Length of a time step.
    """

    def __init__(self, tendency: nn.Module, step: float) -> None:
        super().__init__()
        self.tendency, self._step = tendency, step

    def forward(self, states: Tensor) -> Tensor:
        """Return what the equations expect of trajectories (batch, n, T)."""
        flow = flow_prior(lambda x: RK4(lambda y, _: self.tendency(y), x, 0.0, self._step))
        return flow(states.mT).mT


class _Fields(nn.Module):
    """Trajectories as images: (batch, channels, sites, T), one channel on a ring, one site else."""

    def __init__(self, size: int, *, kernel: int, ring: bool) -> None:
        super().__init__()
        if kernel % 2 == 0 or (ring and kernel > size):
            raise ConfigError(
                f"is {kernel}, but must be odd, and no wider than a ring (the states have {size} components)",
                where="kernel",
                fix="choose another one, or leave ring out",
            )
        self.channels, self.axis = (1, 1) if ring else (size, 2)

    def image(self, states: Tensor) -> Tensor:
        return states.unsqueeze(self.axis)

    def states(self, image: Tensor) -> Tensor:
        return image.squeeze(self.axis)


class _Convolution(nn.Conv2d):
    """Keeps the shape: zeros before and after all times, sites closed around the ring."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, ring: bool, bias: bool = False) -> None:
        size = (kernel if ring else 1, kernel)
        super().__init__(inputs, outputs, size, padding=(0, kernel // 2), bias=bias)
        self._around = kernel // 2 if ring else 0

    def forward(self, image: Tensor) -> Tensor:
        """Return the filtered image."""
        if self._around:
            image = functional.pad(image, (0, 0, self._around, self._around), mode="circular")
        return super().forward(image)


class _Bilinear(nn.Module):
    """A wide convolution, then linear and bilinear terms at each place."""

    def __init__(self, inputs: int, features: int, outputs: int, kernel: int, *, ring: bool) -> None:
        super().__init__()
        self.wide = _Convolution(inputs, 2 * features, kernel, ring=ring)
        self.narrow = nn.Conv2d(2 * features, features, 1, bias=False)
        self.linear, self.left, self.right = (nn.Conv2d(features, features, 1, bias=False) for _ in range(3))
        self.out = nn.Conv2d(2 * features, outputs, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return an image of the same size."""
        inner = self.narrow(functional.relu(self.wide(image)))
        found: Tensor = self.out(torch.cat((self.linear(inner), self.left(inner) * self.right(inner)), 1))
        return found


class TwoScalePrior(_Fields):
    """The sum of a bilinear network at full resolution and one on averages over four times.

    That no layer has a bias is known of the first only, and assumed of the others.

    Parameters
    ----------
    size
        Number of components n.
    features
        Linear terms, and as many bilinear ones: 30 for Lorenz (1963), 50 for Lorenz (1996).
    kernel
        Odd width of the first convolution: 11 in both.
    ring
        Whether components are sites of a ring.

    Raises
    ------
    ConfigError
        If the kernel is even or wider than the ring.
    """

    def __init__(self, size: int, *, features: int, kernel: int = 11, ring: bool = False) -> None:
        super().__init__(size, kernel=kernel, ring=ring)
        self.fine = _Bilinear(self.channels, features, self.channels, kernel, ring=ring)
        self.coarse = _Bilinear(self.channels, features, features, kernel, ring=ring)
        window = (1, POOLING)
        self.pool = nn.AvgPool2d(window, ceil_mode=True)  # at the end over the times that are left
        self.spread = nn.ConvTranspose2d(features, self.channels, window, stride=window, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Return what the network expects of trajectories (batch, n, T)."""
        image = self.image(states)
        coarse = self.spread(self.coarse(self.pool(image)))
        return self.states(self.fine(image) + coarse[..., : states.shape[-1]])


class GradientNetwork(_Fields):
    """A convolutional LSTM (Shi et al. 2015, arXiv 1506.04214, without peepholes) that turns gradients into steps.

    Parameters
    ----------
    size
        Number of components n.
    hidden
        Channels of the cell.
    dropout
        Probability that an entry of a gradient is left out in training.
    ring
        Whether components are sites of a ring.
    """

    def __init__(self, size: int, *, hidden: int, dropout: float = 0.25, ring: bool = False) -> None:
        super().__init__(size, kernel=SOLVER_KERNEL, ring=ring)
        self.hidden, self.dropout = hidden, nn.Dropout(dropout)
        self.gates = _Convolution(self.channels + hidden, 4 * hidden, SOLVER_KERNEL, ring=ring, bias=True)
        self.out = nn.Conv2d(hidden, self.channels, 1, bias=False)

    def forward(self, gradient: Tensor, memory: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return a step (batch, n, T) and the memory after it; before the first step there is no memory."""
        image = self.image(self.dropout(gradient))
        if memory is None:
            empty = image.new_zeros(len(image), self.hidden, *image.shape[2:])
            memory = (empty, empty)
        into, forget, outlet, content = self.gates(torch.cat((image, memory[0]), 1)).chunk(4, 1)
        cell = torch.sigmoid(forget) * memory[1] + torch.sigmoid(into) * torch.tanh(content)
        shown = torch.sigmoid(outlet) * torch.tanh(cell)
        return self.states(self.out(shown)), (shown, cell)


class GradientSolver(nn.Module):
    """4DVarNet: a few steps down the weak-constraint cost, each chosen by a recurrent network from the gradient.

    ``x <- x - network(gradient / rms) / iterations``, where rms is the root mean square of the first gradient, of each
    window by itself and without gradient: what a window becomes does not depend on the others of its batch. The weights
    of both terms of the cost and of the channels are trained too. Gradients are taken inside whether or not the caller
    takes some; if not, nothing is kept for them.

    Parameters
    ----------
    prior
        Maps trajectories (batch, n, T) to what the dynamics expect.
    network
        Turns gradients into steps.
    iterations
        Number of steps.

    Raises
    ------
    RuntimeError
        In torch's inference mode, or with tensors made in it: they have no gradients.
    """

    def __init__(self, prior: nn.Module, network: GradientNetwork, *, iterations: int) -> None:
        super().__init__()
        self.prior, self.network, self.iterations = prior, network, iterations
        self.observed_weight, self.prior_weight = (nn.Parameter(torch.ones(())) for _ in range(2))
        self.channel_weights = nn.Parameter(torch.ones(network.channels, 1))

    def cost(self, values: Tensor, mask: Tensor) -> WeakConstraint:
        """Return the cost of trajectories (batch, n, T), given values and a mask of the same shape."""
        observed, trusted = (w * self.channel_weights for w in (self.observed_weight, self.prior_weight))
        return WeakConstraint(values, mask, self.prior, observed, trusted)

    def forward(self, start: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Return trajectories (batch, n, T) from a first guess, values and mask."""
        if torch.is_inference_mode_enabled() or any(given.is_inference() for given in (start, values, mask)):
            raise RuntimeError("the solver takes gradients: call it under torch.no_grad(), not torch.inference_mode()")
        keep, memory, rms = torch.is_grad_enabled(), None, None
        state = start
        for _ in range(self.iterations):
            with torch.enable_grad():
                state = state if keep and state.requires_grad else state.detach().requires_grad_()
                total = self.cost(values, mask)(state).sum()
                (gradient,) = torch.autograd.grad(total, state, create_graph=keep)
            if rms is None:
                rms = gradient.detach().square().mean((-1, -2), keepdim=True).sqrt()
                rms = rms.clamp(min=torch.finfo(rms.dtype).tiny)
            step, memory = self.network(gradient / rms, memory)
            state = state - step / self.iterations
        return state


class FixedPoint(nn.Module):
    """Observations where there are some, the prior's answer elsewhere, over and over; the last answer is the result.

    Parameters
    ----------
    prior
        Maps trajectories (batch, n, T) to what the dynamics expect.
    iterations
        Number of answers.
    """

    def __init__(self, prior: nn.Module, *, iterations: int) -> None:
        super().__init__()
        self.prior, self.iterations = prior, iterations

    def forward(self, start: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Return trajectories (batch, n, T) from a first guess, values and mask."""
        state = start
        for _ in range(self.iterations):
            state = self.prior(torch.where(mask, values, state))
        return state


class DirectNetwork(_Fields):
    """Three convolutions from a first guess and the mask to what the guess lacks; our own layers.

    Parameters
    ----------
    size
        Number of components n.
    features
        Channels between the convolutions.
    kernel
        Odd width of the first two.
    ring
        Whether components are sites of a ring.

    Raises
    ------
    ConfigError
        If the kernel is even or wider than the ring.
    """

    def __init__(self, size: int, *, features: int, kernel: int = 11, ring: bool = False) -> None:
        super().__init__(size, kernel=kernel, ring=ring)
        self.layers = nn.Sequential(
            _Convolution(2 * self.channels, features, kernel, ring=ring, bias=True),
            nn.ReLU(),
            _Convolution(features, features, kernel, ring=ring, bias=True),
            nn.ReLU(),
            nn.Conv2d(features, self.channels, 1),
        )

    def forward(self, start: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Return trajectories (batch, n, T) from a first guess, values and mask."""
        guess = torch.where(mask, values, start)
        image = torch.cat((self.image(guess), self.image(mask.to(guess.dtype))), 1)
        return guess + self.states(self.layers(image))


class FirstGuess(nn.Module):
    """Returns the first guess."""

    def forward(self, start: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Return trajectories (batch, n, T) as they came."""
        return start
