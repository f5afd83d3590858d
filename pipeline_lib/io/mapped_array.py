"""Arrays that may be larger than memory: written block by block into a file without a name, and mapped from there.

The file ends with the last process that has it open, however that process ends, so that nothing is left behind; the
system keeps of it in memory what there is room for.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline_lib.errors import StoreError

Key = NDArray[np.intp] | tuple[NDArray[np.intp], int]
"""Numbers of rows, and of a column of each."""


class ArrayFile:
    """Takes the blocks of an array, one after the other along its first axis.

    Parameters
    ----------
    folder
        Where the file lies, without a name; it is made if it is not there.
    shape
        Of the whole array.
    dtype
        Of its values.
    purpose
        Who keeps what there, for the message about a lack of room.

    Raises
    ------
    StoreError
        If the folder or the file cannot be written.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike = np.float32, *, purpose: str) -> None:
        self._folder, self._shape, self._dtype, self._purpose = folder, shape, np.dtype(dtype), purpose
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - as long as the array
        except OSError as error:
            raise self._no_room(error) from error

    def write(self, block: NDArray[Any]) -> None:
        """Append a block (..., *shape[1:]).

        Raises
        ------
        StoreError
            If there is no room for it.
        """
        try:  # written, not mapped: a full disk is an error here, a crash there
            self._file.write(np.ascontiguousarray(block, self._dtype).data)
        except OSError as error:
            raise self._no_room(error) from error

    def mapped(self) -> MappedArray:
        """Return the array, once all its blocks are written.

        Raises
        ------
        StoreError
            If there is no room for the last of them.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._no_room(error) from error
        return MappedArray(_values(self._file, self._shape, self._dtype), self._file)

    def _no_room(self, error: OSError) -> StoreError:
        megabytes = math.prod(self._shape) * self._dtype.itemsize / 1e6
        return StoreError(
            f"cannot be written: {error.strerror or error}",
            where=str(self._folder),
            fix=f"make room: {self._purpose} there, {megabytes:.0f} MB",
        )


def _values(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    # Nothing cannot be mapped.
    return np.memmap(file, dtype=dtype, mode="r", shape=shape) if math.prod(shape) else np.empty(shape, dtype)


@dataclass(frozen=True)
class MappedArray:
    """An array in a file without a name; another process maps the same file as long as this one has it open.

    Attributes
    ----------
    values
        The array, which cannot be changed.
    file
        What it is mapped from.
    """

    values: NDArray[Any]
    file: IO[bytes]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.values.shape

    def __getitem__(self, key: Key) -> NDArray[Any]:
        """Return a part of the array, in memory."""
        return np.asarray(self.values[key])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole array, as numpy asks for it."""
        return np.array(self.values, dtype, copy=copy)

    def __getstate__(self) -> dict[str, Any]:
        """Hand over where Linux shows the open file in place of all that is in it."""
        path = f"/proc/{os.getpid()}/fd/{self.file.fileno()}"
        return {"shape": self.shape, "dtype": self.values.dtype, "path": path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open and map the file again."""
        file = Path(state["path"]).open("rb")  # noqa: SIM115 - as long as the array
        self.__dict__.update(values=_values(file, state["shape"], state["dtype"]), file=file)
