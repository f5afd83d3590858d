"""Networks of the models that advance shallow water: the solver around a forcing, known or learned."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import torch
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError, TrainingError
from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.models.states import States
from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.shallow_water import Basin, Forcing, Leapfrog, ShallowWater, Theta

if TYPE_CHECKING:
    from pipeline_lib.models.shallow_water_forcing import ShallowWaterForcing

logger = logging.getLogger(__name__)

_COPIES, _FIELDS = 2, 3
"""u, v and h, present and filtered."""
_CHANNELS = 3
"""Of a network: a velocity, the height, the wind stress along that velocity."""
_COMPONENTS = 2
"""Of the forcing."""
_ROUND_OFF = 1e-12
"""Spread, relative to the mean, up to which a channel is constant."""
_SHUFFLE_SEED = 0
"""Of the order of the snapshots: runs differ by their first weights."""


class BasinStep(Forecaster):
    """Leapfrog steps of shallow water from one stored state to the next.

    Parameters
    ----------
    states
        Of shape (6, y, x): u, v, h and their filtered copies.
    theta
        Forcing; that of the equations by default.
    closed, constant_mean
        As of :class:`~pipeline_lib.solvers.shallow_water.ShallowWater`.

    Raises
    ------
    ConfigError
        If the states are of another shape, or no whole number of steps lies between two of them.
    """

    diagnostics: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType(
        {
            "kinetic_energy": ("kinetic energy", "m3 s-2"),
            "potential_energy": ("potential energy", "m3 s-2"),
            "potential_vorticity": ("mean potential vorticity", "m-1 s-1"),
            "mean_height": ("mean height", "m"),
        }
    )

    def __init__(
        self, states: States, theta: Theta | None = None, *, closed: bool = True, constant_mean: bool = False
    ) -> None:
        super().__init__()
        fields, *sides = states.shape
        if fields != _COPIES * _FIELDS or len(sides) != 2 or sides[0] != sides[1]:
            raise ConfigError(
                f"states of shallow water have the shape (6, n, n), these {states.shape}",
                where="shallow water",
                fix="choose a source of that simulation",
            )
        self.basin = Basin.of_size(sides[0])
        try:
            self._steps = self.basin.steps(states.step)
        except ValueError as error:
            raise ConfigError(str(error), where="training.step", fix="correct it") from error
        self.system = ShallowWater(self.basin, theta, closed=closed, constant_mean=constant_mean)
        self._mean, self._scale = states.mean, states.scale

    def physical(self, state: Tensor) -> Tensor:
        """Return the fields (batch, 2, 3, y, x) [m s-1, m] of normalised states (batch, dimension)."""
        size = self.basin.size
        return (state * self._scale + self._mean).reshape(*state.shape[:-1], _COPIES, _FIELDS, size, size)

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state."""
        start, steps = self.physical(state), self._steps
        end = integrate(self.system, start, dt=self.basin.step, steps=steps, scheme=Leapfrog(), every=steps)[-1]
        return (end.flatten(-4) - self._mean) / self._scale, memory

    def diagnose(self, state: Tensor) -> dict[str, Tensor]:
        """Return energies, potential vorticity and mean height of the present fields."""
        present = self.physical(state)[..., 0, :, :, :]
        return {
            "kinetic_energy": self.system.kinetic_energy(present),
            "potential_energy": self.system.potential_energy(present),
            "potential_vorticity": self.system.potential_vorticity(present),
            "mean_height": present[..., 2, :, :].mean((-2, -1)),
        }


class LearnedForcing(nn.Module):
    """Theta by a network of two layers at every cell, one for each component: 929 values each with 32 hidden channels.

    Each sees the velocity along its component, the height and the wind stress of a cell and its eight neighbours,
    standardised; beyond the basin all is 0. A 3x3 convolution, ReLU, and a 1x1 convolution.

    Parameters
    ----------
    options
        Options of the model.
    """

    def __init__(self, options: ShallowWaterForcing.Options) -> None:
        super().__init__()
        self.options, hidden = options, options.hidden
        self.layers = nn.Sequential(
            nn.Conv2d(_COMPONENTS * _CHANNELS, _COMPONENTS * hidden, 3, padding=1, groups=_COMPONENTS),
            nn.ReLU(),
            nn.Conv2d(_COMPONENTS * hidden, _COMPONENTS, 1, groups=_COMPONENTS),
        )
        for name, channels in (("input", _COMPONENTS * _CHANNELS), ("target", _COMPONENTS)):
            self.register_buffer(f"{name}_mean", torch.zeros(channels, 1, 1, dtype=torch.float64))
            self.register_buffer(f"{name}_scale", torch.ones(channels, 1, 1, dtype=torch.float64))

    def standardise(self, name: str, values: Tensor) -> Tensor:
        """Return standardised inputs or targets (..., channels, y, x)."""
        found: Tensor = (values - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_scale")
        return found

    def measure(self, name: str, values: Tensor) -> None:
        """Take mean and standard deviation of each channel of ``values``; that of a constant channel counts as 1."""
        spread, mean = torch.std_mean(values, (0, 2, 3), correction=0)
        spread = torch.where(spread > _ROUND_OFF * mean.abs(), spread, 1.0)
        self.get_buffer(f"{name}_mean").copy_(mean[:, None, None])
        self.get_buffer(f"{name}_scale").copy_(spread[:, None, None])

    def forward(self, u: Tensor, v: Tensor, h: Tensor, tau: Tensor) -> Tensor:
        """Return theta [m s-2], shape ``(..., 2, y, x)``."""
        x = self.standardise("input", channels(u, v, h, tau))
        found = self.layers(x.flatten(0, -4)).reshape(*x.shape[:-3], _COMPONENTS, *x.shape[-2:])
        theta: Tensor = found * self.get_buffer("target_scale") + self.get_buffer("target_mean")
        return theta


def channels(u: Tensor, v: Tensor, h: Tensor, tau: Tensor) -> Tensor:
    """Return what the two networks see, one after the other, shape ``(..., 6, y, x)``."""
    along_x, along_y = (stress.expand_as(u) for stress in tau.unbind(-3))
    return torch.stack((u, h, along_x, v, h, along_y), -3)


def fit_forcing(network: BasinStep, train: Tensor, validation: Tensor) -> pd.DataFrame:
    """Fit the learned forcing of a network to the forcing of the equations, snapshot by snapshot, by Adam.

    The loss is the mean squared error of standardised forcings and, if the options ask for it, the squared mean over a
    snapshot's wall faces of the forcing out of the basin, in units of the larger standard deviation: what starts a flow
    through the walls. The target is 0 there, where the equations are not forced. The regression runs in single
    precision, where a step takes half the time (four snapshots of 80 x 80 cells, one thread); the network then
    computes in the precision that it had.

    Parameters
    ----------
    network
        Its forcing is a `LearnedForcing`; changed in place.
    train, validation
        Normalised states (time, dimension).

    Returns
    -------
    pandas.DataFrame
        One row per epoch: epoch, train_loss, val_loss (without penalty), correlation_u, correlation_v. The values kept
        are those of the least ``val_loss``.

    Raises
    ------
    TrainingError
        If the loss leaves the numbers.
    """
    learned = network.system.theta
    if not isinstance(learned, LearnedForcing):
        raise TypeError("the forcing is not a learned one")
    options = learned.options
    inputs, targets = _snapshots(network, train)
    learned.measure("input", inputs)
    learned.measure("target", targets)
    x, y = _standardised(learned, inputs, targets)
    x_seen, y_seen = _standardised(learned, *_snapshots(network, validation))
    precision = next(learned.layers.parameters()).dtype
    learned.layers.float()
    descent = torch.optim.Adam(learned.layers.parameters(), lr=options.learning_rate)
    order = torch.Generator().manual_seed(_SHUFFLE_SEED)
    rows: list[dict[str, float]] = []
    best, least = copy.deepcopy(learned.layers.state_dict()), torch.inf
    for epoch in range(1, options.epochs + 1):
        batches = torch.split(torch.randperm(len(x), generator=order), options.batch_size)
        train_loss = sum(_descend(learned, descent, x[chosen], y[chosen]) * len(chosen) for chosen in batches) / len(x)
        with torch.no_grad():
            found = learned.layers(x_seen)
        error = float((found - y_seen).square().mean())
        if not error < torch.inf:
            raise TrainingError("the loss leaves the numbers", where=f"epoch {epoch}", fix="lower learning_rate")
        if error < least:
            best, least = copy.deepcopy(learned.layers.state_dict()), error
        along_x, along_y = (_correlation(found[:, i], y_seen[:, i]) for i in range(_COMPONENTS))
        rows.append(
            {"epoch": epoch, "train_loss": train_loss, "val_loss": error}
            | {"correlation_u": along_x, "correlation_v": along_y}
        )
        logger.info("epoch %d: validation loss %.3g, correlations %.6f %.6f", epoch, error, along_x, along_y)
    learned.layers.load_state_dict(best)
    learned.layers.to(precision)
    return pd.DataFrame(rows)


def _standardised(learned: LearnedForcing, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return learned.standardise("input", inputs).float(), learned.standardise("target", targets).float()


def _descend(learned: LearnedForcing, descent: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """Take one step on a batch of standardised snapshots; return its loss before the step."""
    descent.zero_grad()
    found = learned.layers(x)
    loss = nn.functional.mse_loss(found, y)
    if learned.options.penalty:
        scale = learned.get_buffer("target_scale").to(y)
        relative = scale / scale.max()
        loss = loss + learned.options.penalty * _outwards((found - y) * relative).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    descent.step()
    return float(loss.detach())


def _snapshots(network: BasinStep, states: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs (time, 6, y, x) and targets (time, 2, y, x) of the regression."""
    u, v, h = network.physical(states)[:, 0].unbind(1)
    tau, basin = network.system.tau, network.basin
    closed = ShallowWater(basin).inside.to(tau)
    return channels(u, v, h, tau), closed * Forcing(basin)(u, v, h, tau)


def _outwards(theta: Tensor) -> Tensor:
    """Mean over wall faces, eastern and southern, of the forcing out of the basin (batch,)."""
    return (theta[:, 0, :, -1].mean(-1) - theta[:, 1, 0, :].mean(-1)) / 2


def _correlation(found: Tensor, truth: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((found.flatten(), truth.flatten())))[0, 1])
