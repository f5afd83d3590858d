"""The networks of the models that advance states."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.schemes import SCHEMES, RungeKutta, Scheme, Tendency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_lib.models.schemes import Tableau


class MapStep(Forecaster):
    """x <- f(x), or x + f(x)."""

    def __init__(self, function: nn.Module, *, residual: bool) -> None:
        super().__init__()
        self.map, self.residual = function, residual

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state."""
        following: Tensor = self.map(state)
        return (state + following if self.residual else following), memory


class DelayStep(Forecaster):
    """x <- f(the last states and x), or x + f; it remembers those before the present one, oldest first.

    Parameters
    ----------
    function
        Maps states (batch, past * dimension), oldest first, to (batch, dimension).
    past
        States that it sees, the present one included.
    residual
        Whether its answer is added to the present one.
    """

    def __init__(self, function: nn.Module, past: int, *, residual: bool) -> None:
        super().__init__()
        self.map, self.residual, self._past = function, residual, past

    def recall(self, past: Tensor) -> Tensor:
        """Return the last states of the past."""
        return past[:, 1 - self._past :]

    def advance(self, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next state and those before it."""
        seen = torch.cat([memory, state[:, None]], dim=1)
        following: Tensor = self.map(seen.flatten(1))
        return (state + following if self.residual else following), seen[:, 1:]


class OdeStep(Forecaster):
    """One step of a scheme; the scheme's weights are fixed, its stages share the tendency.

    Parameters
    ----------
    tendency
        Maps states (batch, dimension) to their time derivatives.
    scheme
        Name of a scheme that needs no past, or a tableau.
    step
        Length of a step.
    """

    def __init__(self, tendency: nn.Module, scheme: str | Tableau, step: float) -> None:
        super().__init__()
        self.tendency, self._step, self._take = tendency, step, _scheme(scheme).start()

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the state one step later."""
        return self._take(lambda x, _: self.tendency(x), state, 0.0, self._step), memory


def _scheme(chosen: str | Tableau) -> Scheme:
    if isinstance(chosen, str):
        return SCHEMES[chosen]
    return RungeKutta(tuple(map(tuple, chosen.stages)), tuple(chosen.weights))


class MultistepStep(Forecaster):
    """x_next = (1 - k) x + k x_before + h F(x), a linear scheme of two steps whose weight k is learned or given.

    The scheme is consistent with x' = F(x) / (1 + k) (Lu et al. 2018, ICML, the modified equation of LM-ResNet). Its
    first step, which has no state before, is one of Euler for that equation.

    Parameters
    ----------
    tendency
        F: maps states (batch, dimension) to the same shape.
    step
        Length h of a step.
    weight
        k; ``None`` to learn it, from 0 on.
    """

    def __init__(self, tendency: nn.Module, step: float, weight: float | None = None) -> None:
        super().__init__()
        self.tendency, self._step = tendency, step
        if weight is None:
            self.k: Tensor = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("k", torch.tensor(weight))

    def begin(self, state: Tensor) -> tuple[Tensor, ...]:
        """Return a memory without a state in it."""
        return ()

    def advance(self, state: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the state one step later, and the present one, which is all that is remembered."""
        change: Tensor = self._step * self.tendency(state)
        if not memory:
            return state + change / (1 + self.k), (state,)
        return state + self.k * (memory[0] - state) + change, (state,)


class Perceptron(nn.Sequential):
    """Hidden layers of equal size; it takes as many values as it returns, unless ``inputs`` says how many."""

    def __init__(self, dimension: int, hidden: int, layers: int, activation: str, inputs: int | None = None) -> None:
        between = nn.ReLU if activation == "relu" else nn.Tanh
        sizes = [inputs or dimension] + [hidden] * layers
        inner = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), between())]
        super().__init__(*inner, nn.Linear(hidden, dimension))


class Polynomial(nn.Module):
    """D (A x + (B x) (C x + c))."""

    def __init__(self, dimension: int, terms: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, terms, bias=False)
        self.left = nn.Linear(dimension, terms, bias=False)
        self.right = nn.Linear(dimension, terms)
        self.out = nn.Linear(terms, dimension, bias=False)

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives."""
        derivative: Tensor = self.out(self.linear(state) + self.left(state) * self.right(state))
        return derivative


class Bilinear(nn.Module):
    """W [A x + a ; (U x + u) * (V x + v)] + w, and one more affine map after it if that is asked for.

    Parameters
    ----------
    dimension
        Components of a state.
    linear, products
        Affine features, and products of two.
    output
        Whether the second affine map follows.
    """

    def __init__(self, dimension: int, *, linear: int, products: int, output: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, linear)
        self.left = nn.Linear(dimension, products)
        self.right = nn.Linear(dimension, products)
        self.mix = nn.Linear(linear + products, dimension)
        self.out = nn.Linear(dimension, dimension) if output else nn.Identity()

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives."""
        features = torch.cat([self.linear(state), self.left(state) * self.right(state)], dim=-1)
        derivative: Tensor = self.out(self.mix(features))
        return derivative


class Stencil(nn.Module):
    """A quadratic polynomial of the neighbours on a ring, the same at every site.

    Parameters
    ----------
    reach
        Neighbours on either side.
    """

    def __init__(self, reach: int) -> None:
        super().__init__()
        width = 2 * reach + 1
        self._offsets = range(-reach, reach + 1)
        self._first, self._second = torch.triu_indices(width, width).tolist()
        self.out = nn.Linear(width + len(self._first), 1)

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives."""
        near = torch.stack([state.roll(-offset, -1) for offset in self._offsets], dim=-1)
        derivative: Tensor = self.out(torch.cat([near, near[..., self._first] * near[..., self._second]], dim=-1))
        return derivative.squeeze(-1)


class LorenzEquations(nn.Module):
    """The tendency of Lorenz (1963) in normalised variables."""

    def __init__(self, initial: Sequence[float], mean: float, scale: float) -> None:
        super().__init__()
        self.parameters_sought = nn.Parameter(torch.tensor(initial, dtype=torch.float32))
        self._mean, self._scale = mean, scale

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives of normalised states: a derivative is scaled, but has no mean to take off."""
        equations = Lorenz63(*self.parameters_sought.unbind())
        return equations(state * self._scale + self._mean, 0.0) / self._scale


class KnownTendency(nn.Module):
    """The tendency of a known system in normalised variables."""

    def __init__(self, system: Tendency, mean: float, scale: float) -> None:
        super().__init__()
        self._system, self._mean, self._scale = system, mean, scale

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives of normalised states."""
        return self._system(state * self._scale + self._mean, 0.0) / self._scale


class RecurrentOptions(Protocol):
    """What the network needs to know."""

    cell: Any
    hidden: int
    initial: Any
    residual: bool


class RecurrentStep(Forecaster):
    """A recurrent cell with a linear output."""

    def __init__(self, dimension: int, options: RecurrentOptions) -> None:
        super().__init__()
        cell = nn.LSTMCell if options.cell == "lstm" else nn.GRUCell
        self.cell: nn.Module = cell(dimension, options.hidden)
        self.out = nn.Linear(options.hidden, dimension)
        self._parts = 2 if options.cell == "lstm" else 1
        self._hidden, self._random, self._residual = options.hidden, options.initial == "random", options.residual

    def begin(self, state: Tensor) -> list[Tensor]:
        """Return the memory (and the cell state of an LSTM) before the first step."""
        make = torch.randn if self._random else torch.zeros
        return [make(len(state), self._hidden, dtype=state.dtype, device=state.device) for _ in range(self._parts)]

    def advance(self, state: Tensor, memory: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the next state and the memory after it."""
        found = self.cell(state, tuple(memory) if self._parts > 1 else memory[0])
        memory = list(found) if self._parts > 1 else [found]
        following: Tensor = self.out(memory[0])
        return (state + following if self._residual else following), memory


class AttentionOptions(Protocol):
    """What the network needs to know."""

    window: int
    width: int
    heads: int
    layers: int
    hidden: int


class AttentionStep(Forecaster):
    """Causal self-attention over the last states; it remembers those before the present one, oldest first."""

    def __init__(self, dimension: int, options: AttentionOptions) -> None:
        super().__init__()
        self.embed = nn.Linear(dimension, options.width)
        self.positions = nn.Parameter(0.02 * torch.randn(options.window, options.width))
        layer = nn.TransformerEncoderLayer(
            options.width, options.heads, options.hidden, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.out = nn.Linear(options.width, dimension)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self._window = options.window

    def begin(self, state: Tensor) -> Tensor:
        """Return an empty window."""
        return state[:, None][:, :0]

    def recall(self, past: Tensor) -> Tensor:
        """Return the last states of the past."""
        return past[:, -self._window :]

    def increments(self, states: Tensor) -> Tensor:
        """Return what follows each state (batch, time, dimension) of a window, minus that state."""
        count = states.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(count, device=states.device, dtype=states.dtype)
        tokens = self.embed(states) + self.positions[:count]
        found: Tensor = self.out(self.layers(tokens, mask=mask, is_causal=True))
        return found

    def advance(self, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next state and the window that ends with the present one."""
        seen = torch.cat([memory, state[:, None]], dim=1)[:, -self._window :]
        return state + self.increments(seen)[:, -1], seen
