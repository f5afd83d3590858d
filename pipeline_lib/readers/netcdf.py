"""netCDF-4 files, as xarray opens them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_lib.errors import DataError, closest
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr


@READERS.register("netcdf")
class NetCDF:
    """netCDF-4 files that say themselves what they hold."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Open the file and read one value of each variable."""
        import h5netcdf

        try:
            with h5netcdf.File(file, "r") as opened:
                absent = [name for name in variables if name not in opened.variables]
                if absent:
                    raise DataError(
                        f"has no variable {absent[0]!r}", where=file.name, fix=closest(absent[0], opened.variables)
                    )
                for name in variables:
                    variable = opened.variables[name]
                    if 0 in variable.shape:
                        raise DataError(
                            f"variable {name!r} is empty", where=file.name, fix="ask for other days or cells"
                        )
                    variable[(0,) * len(variable.shape)]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise DataError(
                f"is not a readable netCDF-4 file: {error}", where=file.name, fix="run again to fetch it anew"
            ) from error

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each file as a dataset of its own."""
        return {file.name: _open(file) for file in files}


def _open(file: Path) -> xr.Dataset:
    import xarray as xr

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)  # odd times are refused with a line of our own
            return xr.open_dataset(file, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"is not a readable netCDF file: {error}", where=str(file), fix="get a whole copy of it"
        ) from error
