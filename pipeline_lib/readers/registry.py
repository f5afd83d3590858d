"""The registry of readers and what a reader must offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline_lib.registry import Registry

if TYPE_CHECKING:
    import xarray as xr


class Reader(Protocol):
    """Reads files of one layout."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Look into one file that was just fetched, as far as that says whether it is whole.

        Parameters
        ----------
        file
            The file.
        variables
            Names of the variables that the source promises.

        Raises
        ------
        DataError
            If it is not a readable file of this layout, or lacks a variable.
        """
        ...

    @staticmethod
    def open(files: Sequence[Path]) -> Mapping[str, xr.Dataset]:
        """Open all files of a part; values are read, and checked as far as the layout is concerned, when needed.

        Returns
        -------
        mapping of str to xarray.Dataset
            Datasets of different times and the name of each for messages. Every variable has units.

        Raises
        ------
        DataError
            If a file is not readable, or does not fit its name or the other files.
        """
        ...


READERS: Registry[type[Reader]] = Registry("reader", "READERS", "pipeline_lib.readers")
