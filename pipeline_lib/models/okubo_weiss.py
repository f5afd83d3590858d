"""Okubo-Weiss: eddies where rotation wins over strain, the classical baseline without learning.

Okubo (1970), Horizontal dispersion of floatable particles, Deep-Sea Research 17; Weiss (1991), The dynamics of
enstrophy transfer in two-dimensional hydrodynamics, Physica D 48.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.errors import DataError
from pipeline_lib.models.base import AlgorithmModel, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import xarray as xr


@MODELS.register("okubo_weiss")
class OkuboWeiss(AlgorithmModel):
    """Connected regions with W < -threshold times the standard deviation of W over the map."""

    class Options(BaseOptions):
        """Options of the Okubo-Weiss baseline."""

        threshold: float = Field(default=0.2, gt=0)
        """Threshold in standard deviations of W [1]."""
        fewest_cells: int = Field(default=8, ge=1)
        """Regions with fewer cells are dropped."""

    card = ModelCard(
        title="Okubo-Weiss",
        summary="Eddies are connected regions where squared vorticity exceeds squared strain by a fifth of a standard"
        " deviation; the sign of vorticity gives the class. No training.",
        task="segmentation",
        citation="Okubo, A.: Horizontal dispersion of floatable particles in the vicinity of velocity singularities."
        " Deep-Sea Research 17 (1970); Weiss, J.: The dynamics of enstrophy transfer in two-dimensional hydrodynamics."
        " Physica D 48 (1991)",
        year=1991,
        limits=("finds cores of rotation, which are smaller than the closed contours of the labels",),
    )
    needs: ClassVar[tuple[str, ...]] = ("ugos", "vgos")

    @classmethod
    def predict(cls, ds: xr.Dataset, options: Options) -> xr.DataArray:
        """Return the class map of a dataset with ``ugos`` and ``vgos`` [m s-1].

        Raises
        ------
        DataError
            If a velocity component is missing.
        """
        import numpy as np
        import xarray as xr

        from pipeline_lib.ocean.okubo_weiss import okubo_weiss_regions

        missing = [name for name in cls.needs if name not in ds]
        if missing:
            raise DataError(f"Okubo-Weiss needs {missing[0]!r}, which the dataset lacks", where="inputs")
        dims = ("time", "latitude", "longitude")
        u, v = (ds[name].transpose(*dims) for name in cls.needs)
        classes = [
            okubo_weiss_regions(
                u.values[i],
                v.values[i],
                ds["latitude"].values,
                ds["longitude"].values,
                threshold=options.threshold,
                fewest_cells=options.fewest_cells,
            ).classes
            for i in range(ds.sizes["time"])
        ]
        shape = tuple(ds.sizes[d] for d in dims)
        values = np.reshape(np.array(classes, np.int8), shape)
        return xr.DataArray(values, name="class_code", dims=dims, coords={d: ds[d] for d in dims})
