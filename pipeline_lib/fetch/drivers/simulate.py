"""Data that our own solvers make."""

from __future__ import annotations

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
        """Return the one file; its address is all that decides what is in it."""
        if request.end is None:
            raise ConfigError("a simulation needs a last day", fix="set time.end")
        if request.part != "all":
            raise ConfigError("a simulation is run in one piece", fix="set parts: whole")
        times = round((request.end - request.start + timedelta(days=1)) / timedelta(hours=request.step_hours))
        what = {
            "simulation": options.simulation,
            "options": _settings(options).model_dump(mode="json"),
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


def _settings(options: Simulate.Options) -> Options:
    simulation = SIMULATIONS.get(options.simulation)
    return validate(simulation.Options, options.options, where="fetch.options")
