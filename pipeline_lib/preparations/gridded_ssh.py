"""Sea-surface height on a regular grid: currents, and the mesoscale part of the height."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import xarray as xr
from pydantic import Field

from pipeline_lib.options import Options
from pipeline_lib.preparations.registry import PREPARATIONS

_ATTRS = {
    "adt": {
        "units": "m",
        "standard_name": "sea_surface_height_above_geoid",
        "long_name": "absolute dynamic topography",
    },
    "adt_high_pass": {"units": "m", "long_name": "absolute dynamic topography, large scales removed"},
    "ugos": {
        "units": "m s-1",
        "standard_name": "surface_geostrophic_eastward_sea_water_velocity",
        "long_name": "geostrophic velocity, eastward",
    },
    "vgos": {
        "units": "m s-1",
        "standard_name": "surface_geostrophic_northward_sea_water_velocity",
        "long_name": "geostrophic velocity, northward",
    },
}


@PREPARATIONS.register("gridded_ssh")
class GriddedSsh:
    """Absolute dynamic topography, its high-passed part, and geostrophic currents."""

    needs = ("adt",)

    class Options(Options):
        """Options of this preparation."""

        wavelength_km: float = Field(500.0, gt=0)
        """Scales longer than this are taken out of ``adt_high_pass``."""
        order: int = Field(3, ge=1, le=6)
        """Order of the Bessel filter: it reaches ``order * wavelength`` far."""
        coarsen: int = Field(1, ge=1)
        """Mean over blocks of so many cells in both directions before anything else; a block with land is land."""

    @staticmethod
    def produces(options: Options) -> tuple[str, ...]:  # noqa: ARG004 - the same for all options
        """Names of the dataset's variables."""
        return ("adt", "adt_high_pass", "ugos", "vgos")

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],  # noqa: ARG004 - all variables are made together
        contract: Collection[str],
    ) -> tuple[Options, tuple[str, ...]]:
        """Take all there is: currents that the source delivers are those that a model has learned from."""
        return options, tuple(contract)

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return ``adt``, ``adt_high_pass`` (m), ``ugos``, ``vgos`` (m s-1) as float32.

        Currents come from the unfiltered height (``u = -(g/f) dh/dy``, ``v = (g/f) dh/dx``) unless the source delivers
        them. The high-pass is the one of Mason, Pascual and McWilliams (2014).
        """
        from pipeline_lib.ocean.geostrophy import geostrophic_velocity
        from pipeline_lib.ocean.high_pass import bessel_high_pass

        if options.coarsen > 1:
            ds = _coarsened(ds, options.coarsen)
        latitude, longitude = ds.latitude.values, ds.longitude.values

        def high(field: np.ndarray) -> np.ndarray:
            return bessel_high_pass(
                field, latitude, longitude, wavelength_km=options.wavelength_km, order=options.order
            )

        out = xr.Dataset({"adt": ds["adt"], "adt_high_pass": _map_by_map(high, ds["adt"], outputs=1)[0]})
        if "ugos" in ds and "vgos" in ds:
            out["ugos"], out["vgos"] = ds["ugos"], ds["vgos"]
        else:
            velocity = _map_by_map(lambda h: geostrophic_velocity(h, latitude, longitude), ds["adt"], outputs=2)
            out["ugos"], out["vgos"] = velocity
        for name, attrs in _ATTRS.items():
            out[name] = out[name].astype("float32")
            out[name].attrs = dict(attrs)
        return out


def _coarsened(ds: xr.Dataset, factor: int) -> xr.Dataset:
    """Block means; cells beyond the last whole block are dropped."""
    blocks = {"latitude": factor, "longitude": factor}
    return ds.coarsen(blocks, boundary="trim").mean(skipna=False, keep_attrs=True).chunk(dict.fromkeys(blocks, -1))


def _map_by_map(function: Callable[..., object], variable: xr.DataArray, *, outputs: int) -> list[xr.DataArray]:
    """Apply a function of one 2-D map to each time step, lazily for chunked input."""

    def block(values: np.ndarray) -> object:
        stacked = np.empty((outputs, *values.shape), dtype="float32")
        for index in range(values.shape[0]):
            stacked[:, index] = np.asarray(function(values[index])).reshape(outputs, *values.shape[1:])
        return tuple(stacked) if outputs > 1 else stacked[0]

    dims = list(variable.dims)
    result = xr.apply_ufunc(
        block,
        variable,
        input_core_dims=[dims[1:]],
        output_core_dims=[dims[1:]] * outputs,
        dask="parallelized",
        output_dtypes=["float32"] * outputs,
    )
    return [result] if outputs == 1 else list(result)
