"""Data that our own solvers make."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline_lib.config.validation import validate
from pipeline_lib.errors import ConfigError
from pipeline_lib.fetch import base
from pipeline_lib.fetch.checks import check_file
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.io.hashing import canonical_json
from pipeline_lib.options import Options
from pipeline_lib.simulations.registry import SIMULATIONS

_HOUR_NS = 3600 * 10**9
_DAY_HOURS = 24
_ROUNDING = 1e-6
"""Relative: by so much may a decimal number of a catalog entry be off."""


@DRIVERS.register("simulate")
class Simulate:
    """Runs a simulation and keeps its states as a netCDF file, one per time step of the source."""

    class Options(Options):
        """Options of the ``simulate`` driver."""

        simulation: str
        """A registered simulation."""
        options: dict[str, Any] = Field(default_factory=dict)
        """Its options."""

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:
        """Return the one file; its address is all that decides what is in it.

        Raises
        ------
        ConfigError
            If there is no last day, the source comes in parts, the time between two states is not that of the calendar
            or the spin-up no multiple of it.
        """
        if request.end is None:
            raise ConfigError("a simulation needs a last day", fix="set time.end")
        if request.part != "all":
            raise ConfigError("a simulation is run in one piece", fix="set parts: whole")
        settings = _settings(options)
        _check_times(settings, request.step_hours)
        times = round((request.end - request.start + timedelta(days=1)) / timedelta(hours=request.step_hours))
        what = {
            "simulation": options.simulation,
            "options": settings.model_dump(mode="json"),
            "start": request.start.isoformat(),
            "step_hours": request.step_hours,
            "times": times,
        }
        return [base.WantedFile(name=f"{options.simulation}.nc", address=canonical_json(what))]

    @staticmethod
    def modules(options: Options) -> list[str]:
        """Return the module of the simulation."""
        return [SIMULATIONS.module(options.simulation)]

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:
        """Run the simulation."""
        import json

        import numpy as np

        what = json.loads(wanted.address)
        made = SIMULATIONS.get(options.simulation).run(_settings(options), times=what["times"])
        step = np.timedelta64(round(what["step_hours"] * _HOUR_NS), "ns")
        made = made.assign_coords(time=np.datetime64(what["start"], "ns") + np.arange(what["times"]) * step)
        file = folder / wanted.name
        encoding = {"time": {"units": "milliseconds since 1970-01-01", "dtype": "int64"}}
        made.to_netcdf(file, engine="h5netcdf", encoding=encoding)
        check_file(file, wanted)
        return file


def _check_times(settings: Options, step_hours: float) -> None:
    """Refuse a time between two states that the calendar does not know: models take a day for the unit of time."""
    dt, spin_up = getattr(settings, "dt", None), getattr(settings, "spin_up", None)
    if dt is None:
        return
    if not math.isclose(dt, step_hours / _DAY_HOURS, rel_tol=_ROUNDING):
        raise ConfigError(
            f"states are {dt:g} units of time apart, time steps {step_hours:g} hours",
            where="fetch.options.dt",
            fix=f"a day stands for a unit: set dt: {step_hours / _DAY_HOURS:g} or time.step_hours: {dt * _DAY_HOURS:g}",
        )
    if spin_up is not None and not math.isclose(spin_up, round(spin_up / dt) * dt, rel_tol=_ROUNDING):
        raise ConfigError(
            f"{spin_up:g} is no multiple of the {dt:g} between two states",
            where="fetch.options.spin_up",
            fix=f"set {round(spin_up / dt) * dt:g}",
        )


def _settings(options: Simulate.Options) -> Options:
    simulation = SIMULATIONS.get(options.simulation)
    return validate(simulation.Options, options.options, where="fetch.options")
