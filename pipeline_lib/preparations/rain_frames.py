"""Frames of a radar as shares of a range of reflectivity, cut and coarsened, and what belongs to their times."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, cast

import numpy as np
import xarray as xr
from pydantic import Field, field_validator, model_validator

from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.made_of_one import MadeOfOne, require
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.rain import NOISE_BELOW, Z_RELATIONS, RainScale, ZName, refuse_negative

ECHO = "echo"
_CELLS = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)]]
_RATE, _DBZ = "mm h-1", "dBZ"


class Quality(BaseOptions):
    """Which cells are good enough."""

    variable: str
    """Canonical name of their quality, at the same times and cells."""
    least: float
    """Cells of a lower quality, in its own unit, are missing, and so are those of which it is not known."""


@PREPARATIONS.register("rain_frames")
class RainFrames(MadeOfOne):
    """Rain rate or reflectivity to ``echo``, between 0 at the lowest and 1 at the highest reflectivity."""

    made = ECHO

    class Options(BaseOptions):
        """Options of this preparation."""

        variable: str
        """Canonical name of the rain rate (mm h-1) or reflectivity (dBZ)."""
        relation: ZName | None = None
        """Published Z-R relation Z = a R^b, with Z in mm6 m-3 and R in mm/h; null for one of your own, by ``a`` and
        ``b``."""
        a: float | None = Field(default=None, gt=0)
        """Factor of a relation of your own."""
        b: float | None = Field(default=None, gt=0)
        """Its exponent."""
        lowest_dbz: float
        """Reflectivity that becomes 0, as do all below it."""
        highest_dbz: float
        """Reflectivity that becomes 1, as do all above it."""
        rows: _CELLS | None = None
        """First row kept and first one not kept, counted from the south; null for all."""
        columns: _CELLS | None = None
        """First column kept and first one not kept, counted from the west; null for all."""
        reduce: int = Field(1, ge=1)
        """Mean rain rate over blocks of so many cells in both directions; cells beyond the last whole block are left
        out."""
        most_missing: float = Field(0.5, ge=0, lt=1)
        """A block of which a larger share is missing is missing; others are the mean of what is there."""
        quality: Quality | None = None
        """Take cells of poor quality for missing, before anything else is made of them; null keeps all."""
        noise_below: float | None = Field(default=None, gt=0, lt=1)
        """Shares below this one that are not 0 are noise: networks see them, losses and scores leave them out. HKO-7:
        0.27647, between its pixels 70 and 71 (Shi et al. 2017, arXiv:1706.03458, and its public code)."""
        dtype: Literal["float32", "float64"] = "float32"
        """How it is stored."""
        keep: tuple[str, ...] = ()
        """Canonical names of variables without rows and columns that are stored beside the echoes as they are, such as
        ``age``, which parts the sequences of a simulation."""

        @field_validator("rows", "columns")
        @classmethod
        def _forward(cls, cells: tuple[int, int] | None) -> tuple[int, int] | None:
            if cells is not None and cells[1] <= cells[0]:
                raise ValueError("the second number must be larger than the first")
            return cells

        @model_validator(mode="after")
        def _upward(self) -> RainFrames.Options:
            if self.highest_dbz <= self.lowest_dbz:
                raise ValueError(f"highest_dbz {self.highest_dbz} is not above lowest_dbz {self.lowest_dbz}")
            return self

        @model_validator(mode="after")
        def _one_relation(self) -> RainFrames.Options:
            if [self.a is None, self.b is None] != [self.relation is not None] * 2:
                raise ValueError("no Z-R relation, or two: give either relation or both a and b")
            return self

        @property
        def scale(self) -> RainScale:
            """What shares stand for."""
            own = cast("tuple[float, float]", (self.a, self.b))
            a, b = own if self.relation is None else Z_RELATIONS[self.relation][:2]
            return RainScale(a, b, self.lowest_dbz, self.highest_dbz)

    @classmethod
    def narrowed(
        cls, options: Options, wanted: Collection[str], contract: Collection[str]
    ) -> tuple[Options, tuple[str, ...]]:
        """Take the quality of what it is made of as well."""
        made, taken = super().narrowed(options, wanted, contract)
        asked = () if options.quality is None else (options.quality.variable,)
        return made, tuple(dict.fromkeys((*taken, *asked)))

    @classmethod
    def prepare(cls, ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return ``echo`` and the variables kept beside it.

        Raises
        ------
        DataError
            If a variable that is to be kept has cells, which are not those of the echoes, a quality has others, or as
            :meth:`make`.
        """
        for name in options.keep:
            if name in ds and ds[name].ndim > 1:
                raise DataError(
                    f"{name} has dimensions {', '.join(map(str, ds[name].dims))}, of which only the first is kept here",
                    where="preparation.options.keep",
                    fix="keep what has one value for each frame",
                )
        return super().prepare(ds if options.quality is None else _good(ds, options.variable, options.quality), options)

    @staticmethod
    def make(field: xr.DataArray, options: Options) -> xr.DataArray:
        """Return ``echo`` (time, y, x) or (time, latitude, longitude), NaN where it is missing.

        Means are taken of the rain rate, not of its logarithm: where no block is made of several cells, that makes no
        difference.

        Raises
        ------
        DataError
            If it is no rain rate or reflectivity, the cells asked for are not there, or, when it is computed, a rain
            rate is negative.
        """
        rate = _rate(_cut(field, options), options)
        if options.reduce > 1:
            # Before means are taken, in which a code for missing rain would be lost.
            rate = _coarse(
                xr.apply_ufunc(refuse_negative, rate, dask="parallelized", output_dtypes=[rate.dtype]), options
            )
        scale = options.scale
        share = xr.apply_ufunc(scale.to_share, rate, dask="parallelized", output_dtypes=["float64"])
        echo: xr.DataArray = share.astype(options.dtype)
        echo.attrs = {"units": "1", "long_name": "radar reflectivity as share of its range", **scale.attributes()}
        if options.noise_below is not None:
            echo.attrs[NOISE_BELOW] = options.noise_below
        return echo


def _good(ds: xr.Dataset, name: str, quality: Quality) -> xr.Dataset:
    """Return a source whose cells of poor or unknown quality are missing."""
    require(ds, (name, quality.variable))
    if ds[quality.variable].dims != ds[name].dims:
        raise DataError(f"has other dimensions than {name}", where=quality.variable, fix="name a quality of each cell")
    return ds.assign({name: ds[name].where(ds[quality.variable] >= quality.least)})


def _cut(frames: xr.DataArray, options: RainFrames.Options) -> xr.DataArray:
    """Return the cells asked for."""
    for axis, name, cells in zip(frames.dims[1:], ("rows", "columns"), (options.rows, options.columns), strict=True):
        if cells is None:
            continue
        if cells[1] > frames.sizes[axis]:
            raise DataError(
                f"{list(cells)} is not within the {frames.sizes[axis]} {name} there are",
                where=f"preparation.options.{name}",
            )
        frames = frames.isel({axis: slice(*cells)})
    return frames


def _rate(frames: xr.DataArray, options: RainFrames.Options) -> xr.DataArray:
    """Return the rain rate in mm/h: as it is, or that of a reflectivity by the Z-R relation.

    The lowest reflectivity is no rain, as it is the share 0: in a block of cells it must not add up to drizzle.
    """
    units = frames.attrs.get("units")
    if units == _RATE:
        return frames
    if units != _DBZ:
        raise DataError(
            f"is in {units!r}, neither a rain rate ({_RATE}) nor a reflectivity ({_DBZ})",
            where=options.variable,
            fix="set its units in the catalog entry",
        )
    scale = options.scale
    rate: xr.DataArray = 10.0 ** ((frames - 10.0 * np.log10(scale.a)) / (10.0 * scale.b))
    return rate.where(~(frames <= options.lowest_dbz), 0.0)  # what is missing is not below, and stays missing


def _coarse(rate: xr.DataArray, options: RainFrames.Options) -> xr.DataArray:
    """Return means over blocks, missing where too much of a block is."""
    axes = rate.dims[1:]
    sizes = dict.fromkeys(axes, options.reduce)
    if any(rate.sizes[axis] < options.reduce for axis in axes):
        raise DataError(
            f"{options.reduce} cells do not fit into {dict(rate.sizes)}", where="preparation.options.reduce"
        )
    missing = rate.isnull().astype("float64").coarsen(sizes, boundary="trim").mean()
    means = rate.coarsen(sizes, boundary="trim").mean()  # of what is not missing
    return means.where(missing <= options.most_missing)
