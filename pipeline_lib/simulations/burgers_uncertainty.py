"""What ensembles of Burgers forecasts know of their errors: mean, variance and local length, over many trajectories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from torch import Tensor, nn

FIELDS = ("u", "V", "nu")
"""Of a state: the mean, the variance, and half the square of the local length scale of the errors."""
VISCOSITY = 0.0025
"""kappa of case B of Pannekoucke & Fablet (2020, Geosci. Model Dev. 13, 3373-3382), as are all defaults here."""
_SYSTEM = "burgers"
"""Example of netgen that the members follow."""
_WAVE = 0.25
"""Phase of the background: it is largest at a quarter of the period."""
_PIECE = 20
"""Steps of all members that are in memory at once."""


@SIMULATIONS.register("burgers_uncertainty")
class BurgersUncertaintySimulation:
    """Ensembles of runs of the equation of Burgers, each around its own background, and their moments at each step."""

    class Options(BaseOptions):
        """Options of this simulation."""

        points: int = Field(241, gt=4)
        """Points on the period, which is 1."""
        viscosity: float = Field(VISCOSITY, gt=0)
        """kappa."""
        maximum: float = Field(0.5, gt=0)
        """U of the background U (1 + cos 2 pi (x - 1/4)) / 2, and the unit of the stored mean."""
        deviation: float = Field(0.005, gt=0)
        """Of the errors at the start, and of the backgrounds; its square is the unit of the stored variance."""
        correlation_length: float = Field(0.02, gt=0)
        """l of their correlation exp(-d^2 / (2 l^2)); l^2 / 2 is the unit of the stored nu."""
        members: int = Field(400, gt=1)
        """Runs of an ensemble."""
        dt: float = Field(0.002, gt=0)
        """Units of time between two states, one Runge-Kutta step."""
        first_step: int = Field(1, ge=0)
        """Steps before the first state of a trajectory that is kept."""
        last_step: int = Field(500, ge=0)
        """Steps before the last one."""
        seed: int = 0
        """Backgrounds and errors are drawn with it."""

        @model_validator(mode="after")
        def _forward(self) -> BurgersUncertaintySimulation.Options:
            if self.last_step < self.first_step:
                raise ValueError(f"last_step is {self.last_step}, before first_step, {self.first_step}")
            return self

        @property
        def units(self) -> tuple[float, float, float]:
            """Values that stand for 1 in the stored fields: all are of order one at the start."""
            return self.maximum, self.deviation**2, self.correlation_length**2 / 2

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``state`` (time, field, x) and ``age`` (time,), one trajectory after the other; the last may be cut.

        The fields are the mean u, the variance V and nu of the members, over ``Options.units``. A trajectory does not
        depend on how many follow it.
        """
        import torch
        import xarray as xr

        kept = options.last_step - options.first_step + 1
        with torch.no_grad():
            states = torch.cat(list(_trajectories(options, count=-(-times // kept))))[:times]
        if not states.isfinite().all():
            raise FetchError("the ensemble leaves the numbers", where="burgers_uncertainty", fix="take a smaller dt")
        scaled = states / states.new_tensor(options.units).unsqueeze(-1)
        age = options.first_step + torch.arange(times) % kept
        attrs = {"units": "1", "long_name": "mean, variance and half the squared length scale of the errors, scaled"}
        ages = {"units": "1", "long_name": "time steps since the start of the trajectory"}
        return xr.Dataset(
            {"state": (("time", "field", "x"), scaled.numpy(), attrs), "age": ("time", age.double().numpy(), ages)},
            {"field": list(FIELDS), "x": (torch.arange(options.points, dtype=torch.float64) / options.points).numpy()},
        )


def _trajectories(options: BurgersUncertaintySimulation.Options, *, count: int) -> Iterator[Tensor]:
    """Moments (kept steps, field, x) of one ensemble after the other."""
    import torch

    from pipeline_lib.netgen.description import find_system
    from pipeline_lib.netgen.ensemble import perturbations
    from pipeline_lib.netgen.source import build
    from pipeline_lib.netgen.system_file import read_system

    system = build(read_system(find_system(_SYSTEM))[0], (options.points,), kappa=options.viscosity)
    generator = torch.Generator().manual_seed(options.seed)
    x = torch.arange(options.points, dtype=torch.float64) / options.points
    around = options.maximum * (1 + torch.cos(2 * math.pi * (x - _WAVE))) / 2
    errors = {"deviation": options.deviation, "correlation_length": options.correlation_length}
    for _ in range(count):
        background = around + perturbations(generator, (), options.points, **errors)
        members = background + perturbations(generator, (options.members,), options.points, **errors)
        yield torch.cat(list(_diagnosed(system, members, options)))[options.first_step :]


def _diagnosed(system: nn.Module, members: Tensor, options: BurgersUncertaintySimulation.Options) -> Iterator[Tensor]:
    """Moments (steps, field, x) of an ensemble (member, x) at its start and after each step, piece by piece."""
    from pipeline_lib.netgen.ensemble import moments
    from pipeline_lib.solvers.schemes import integrate

    yield moments(members).unsqueeze(0)
    members = members.unsqueeze(-2)
    for done in range(0, options.last_step, _PIECE):
        along = integrate(system, members, dt=options.dt, steps=min(_PIECE, options.last_step - done))
        yield moments(along[1:].squeeze(-2))
        members = along[-1]
