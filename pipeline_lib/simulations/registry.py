"""The registry of simulations and what a simulation must offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pipeline_lib.options import Options
from pipeline_lib.registry import Registry

if TYPE_CHECKING:
    import xarray as xr


class Simulation(Protocol):
    """Makes the data of a source: integrates a model, or takes what an installed package holds.

    Equal options give equal bytes on the same processor.
    """

    Options: ClassVar[type[Options]]
    """Options of the ``options`` block of the driver."""

    @staticmethod
    def run(options: Any, *, times: int) -> xr.Dataset:  # noqa: ANN401 - the implementation's own Options
        """Return ``times`` states: dimension ``time`` first, without coordinate, in float64.

        Every variable has the attributes ``units`` and ``long_name``.

        Raises
        ------
        FetchError
            If the simulation blows up.
        """
        ...


SIMULATIONS: Registry[type[Simulation]] = Registry("simulation", "SIMULATIONS", "pipeline_lib.simulations")
