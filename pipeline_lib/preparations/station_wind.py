"""Wind at stations by its components."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import field_validator

from pipeline_lib.data.box import Box
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.registry import PREPARATIONS

COMPONENTS = ("u", "v")
_NEAR = 1e-6
"""Degrees by which rounding may move a cell over the edge of a box that it lies on."""


@PREPARATIONS.register("station_wind")
class StationWind:
    """Speed and direction to ``u`` and ``v``, towards the east and the north, beside other series and fields.

    A wind from the direction dd, in degrees clockwise from north, has u = -ff sin dd and v = -ff cos dd. Without wind,
    where no direction is measured, both are 0; they are missing where there is wind without a direction.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    class Options(BaseOptions):
        """Options of this preparation."""

        speed: str = "ff"
        """Canonical name of the speed (m s-1)."""
        direction: str = "dd"
        """Canonical name of the direction that the wind comes from (degree)."""
        keep: tuple[str, ...] = ()
        """Canonical names of variables that the dataset holds besides, as they are."""
        box: Box | None = None
        """Region that fields on a grid of latitude and longitude are cut to; null keeps all of them."""
        dtype: Literal["float32", "float64"] = "float32"
        """How all of it is stored."""

        @field_validator("keep")
        @classmethod
        def _others(cls, names: tuple[str, ...]) -> tuple[str, ...]:
            if set(names) & set(COMPONENTS):
                raise ValueError("'u' and 'v' are what is made; give the source's variables other names")
            return names

    @staticmethod
    def produces(options: Options) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return (*COMPONENTS, *options.keep)

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],
        contract: Collection[str],  # noqa: ARG004 - each variable is made of its own
    ) -> tuple[Options, tuple[str, ...]]:
        """Take speed and direction, and what is wanted of the others."""
        kept = tuple(name for name in options.keep if name in wanted)
        needed = (options.speed, options.direction, *kept)
        return options.model_copy(update={"keep": kept}), tuple(dict.fromkeys(needed))

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return ``u`` and ``v``, and what is kept.

        Raises
        ------
        DataError
            If a variable is not there, or no cell lies in the box.
        """
        absent = [name for name in (options.speed, options.direction, *options.keep) if name not in ds]
        if absent:
            raise DataError(f"has no variable {absent[0]!r}", where="preparation.options")
        speed, angle = ds[options.speed], np.deg2rad(ds[options.direction])
        made = {}
        for name, turned, towards in (("u", np.sin(angle), "east"), ("v", np.cos(angle), "north")):
            made[name] = (-speed * turned).where(speed != 0, 0.0)
            made[name].attrs = {"units": "m s-1", "long_name": f"wind towards the {towards}"}
        whole = _cut(xr.Dataset({**made, **{name: ds[name] for name in options.keep}}), options.box)
        return whole.astype(options.dtype, keep_attrs=True)


def _cut(ds: xr.Dataset, box: Box | None) -> xr.Dataset:
    """Return a dataset with those cells of its fields that lie in a region."""
    if box is None:
        return ds
    where = "preparation.options.box"
    if not {"latitude", "longitude"} <= set(ds.dims):
        raise DataError("nothing that is kept lies on latitudes and longitudes", where=where, fix="leave it out")
    south, west, north, east = box.south - _NEAR, box.west - _NEAR, box.north + _NEAR, box.east + _NEAR
    cut = ds.sel(latitude=slice(south, north), longitude=slice(west, east))
    if not cut.sizes["latitude"] or not cut.sizes["longitude"]:
        edges = [(float(ds[axis].min()), float(ds[axis].max())) for axis in ("longitude", "latitude")]
        what = f"holds no cell: longitudes go from {edges[0][0]:g} to {edges[0][1]:g}, latitudes from {edges[1][0]:g}"
        raise DataError(f"{what} to {edges[1][1]:g}", where=where, fix="correct it")
    return cut
