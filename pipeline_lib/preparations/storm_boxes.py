"""Where there is a storm: yes or no for the box around each cell, from reflectivity at several heights."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.made_of_one import MadeOfOne
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.skill.regimes import BOX_CELLS

STORM = "storm"
_DBZ = "dBZ"
_VOLUMES = 4
"""Axes of reflectivity at several heights: time, level, rows, columns."""


@PREPARATIONS.register("storm_boxes")
class StormBoxes(MadeOfOne):
    """Reflectivity to ``storm``, 1 where any echo of a box exceeds a threshold, beside the fields that foretell it.

    Every cell is the middle of a box, so that boxes overlap: fields keep their grid, each box has the same
    neighbourhood as all others, and what moves by a cell moves the boxes by a cell. Boxes side by side, as published
    (recalled: 6 km x 6 km), are every so many of these.
    """

    made, of = STORM, "reflectivity"

    class Options(BaseOptions):
        """Options of this preparation."""

        reflectivity: str = "reflectivity"
        """Canonical name of the reflectivity (dBZ), with or without levels."""
        box: int = Field(3, ge=1)
        """Cells along a side of a box; odd."""
        threshold_dbz: float = 35.0
        """Echoes above it are a storm; by default as in the earlier work of the group of Zhang et al. (2017) on boxes
        (JGR 2017, doi:10.1002/2016JD025783)."""
        keep: tuple[str, ...] = ()
        """Canonical names of variables that the dataset holds besides, as they are: the reflectivity itself, other
        fields on its grid, ``age``."""
        dtype: Literal["float32", "float64"] = "float32"
        """How all of it is stored."""

        @field_validator("box")
        @classmethod
        def _odd(cls, box: int) -> int:
            if box % 2 == 0:
                raise ValueError(f"a box of {box} cells has no cell in its middle; choose an odd number")
            return box

        @field_validator("keep")
        @classmethod
        def _others(cls, names: tuple[str, ...]) -> tuple[str, ...]:
            if STORM in names:
                raise ValueError(f"{STORM!r} is what is made; give the source's variable another name")
            return names

    @staticmethod
    def make(field: xr.DataArray, options: Options) -> xr.DataArray:
        """Return ``storm`` (time, rows, columns), 0 or 1.

        Boxes are cut at the border of the frame. A box is missing where none of its cells holds an echo or its absence.

        Raises
        ------
        DataError
            If it is no reflectivity or lies on no grid.
        """
        if (units := field.attrs.get("units")) != _DBZ:
            fix = "set its units in the catalog entry, or take another variable"
            raise DataError(f"is in {units!r}, not in {_DBZ}", where=options.reflectivity, fix=fix)
        if field.ndim not in (_VOLUMES - 1, _VOLUMES):
            fix = "give it the dimensions (time, level, rows, columns) or (time, rows, columns)"
            raise DataError(f"has dimensions {field.dims}", where=options.reflectivity, fix=fix)
        highest = field.max(str(field.dims[1])) if field.ndim == _VOLUMES else field
        storm: xr.DataArray = xr.apply_ufunc(
            _storms,
            highest,
            kwargs={"box": options.box, "threshold": options.threshold_dbz},
            dask="parallelized",
            output_dtypes=["float64"],
        ).astype(options.dtype)
        storm.attrs = {
            "units": "1",
            "long_name": f"any echo of the box above {options.threshold_dbz:g} dBZ",
            BOX_CELLS: options.box,
        }
        return storm


def _storms(highest: NDArray[np.floating], *, box: int, threshold: float) -> NDArray[np.float64]:
    """Return 1 or 0 for the box around each cell of frames (time, rows, columns), NaN where nothing is known of it."""
    from scipy.ndimage import maximum_filter

    known = np.where(np.isfinite(highest), highest, -np.inf)
    loudest = maximum_filter(known, size=(1, box, box), mode="constant", cval=-np.inf)
    return np.where(np.isneginf(loudest), np.nan, loudest > threshold)
