"""Intake's way to files that it cannot open by itself: a driver that asks the entry's reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake.source.base import DataSource

from pipeline_lib.data.datasets import concat_times
from pipeline_lib.errors import DataError
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr


class Files(DataSource):  # type: ignore[misc]
    """The fetched files of an entry, opened by the reader that its ``gyre`` block names."""

    container = "xarray"
    name = "gyre_files"
    version = "1"
    partition_access = False

    def __init__(self, urlpath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata=metadata)
        self.urlpath = urlpath

    def to_dask(self) -> xr.Dataset:
        """Return the files as one lazy dataset, as the reader delivers them.

        Raises
        ------
        DataError
            If there is no file, or the reader refuses one.
        """
        pattern = Path(self.urlpath)
        files = sorted(pattern.parent.glob(pattern.name))
        if not files:
            raise DataError("no such file", where=self.urlpath)
        opened = READERS.get(self.metadata["gyre"]["reader"]).open(files)
        return concat_times(list(opened.values()), where=list(opened))

    def read(self) -> xr.Dataset:
        """Return the same, loaded."""
        return self.to_dask().load()
