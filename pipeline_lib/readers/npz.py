"""Arrays in numpy's npz archives, block by block, and dates that were stored as pickled objects.

Nothing that a pickle names is called: arrays of dates are taken apart by stand-ins that know dates alone.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline_lib.errors import DataError

DAMAGED = (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What reading an archive that is not whole raises."""
_STATE_BYTES = 10
"""Length of a date as the standard library pickles it: year (2 bytes), month, day, hour, minute, second, microsecond
(3)."""


@dataclass(frozen=True)
class Member:
    """An array in an archive: its shape, type, and the place in the member where its values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


def member(file: Path, name: str) -> Member:
    """Return what an archive says of an array.

    Raises
    ------
    DataError
        If there is no such array, or it is not stored row by row.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            return _header(stream)
    except DAMAGED as error:
        raise unreadable(file, error, name) from error


def rows(file: Path, name: str, array: Member, first: int, last: int) -> np.ndarray:
    """Return rows ``first`` to ``last`` (excluded) of an array; raise :class:`DataError` if they cannot be read."""
    size = array.dtype.itemsize * int(np.prod(array.shape[1:]))
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            stream.seek(array.start + first * size)
            values = np.frombuffer(stream.read((last - first) * size), array.dtype)
        return values.reshape(last - first, *array.shape[1:])
    except DAMAGED as error:
        raise unreadable(file, error, name) from error


def dates(file: Path, name: str) -> np.ndarray:
    """Return an array of dates (datetime64[ns]), stored as such or as pickled ``datetime`` objects.

    Raises
    ------
    DataError
        If it cannot be read, or its pickle holds anything but one row of dates.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            header = _header(stream)
            content = stream.read()
        if header.dtype.kind == "M":
            return np.frombuffer(content, header.dtype).astype("datetime64[ns]")
        found = _Dates(io.BytesIO(content)).load()
        listed = found.dates if isinstance(found, _Array) else None
    except Exception as error:  # whatever bytes that are no pickle of dates make the parser do
        raise unreadable(file, error, name) from error
    if listed is None or header.shape != (len(listed),) or not all(type(date) is datetime for date in listed):
        raise DataError(f"{name} is not a row of dates", where=file.name, fix="fetch it again")
    return np.array(listed, dtype="datetime64[ns]")


def check_whole(file: Path) -> None:
    """Compare each member with its checksum; raise :class:`DataError` if one differs or cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except DAMAGED as error:
        raise unreadable(file, error) from error
    if bad is not None:
        raise DataError(f"{bad} differs from its checksum", where=file.name, fix="fetch it again")


def unreadable(file: Path, error: Exception, part: str = "") -> DataError:
    """Return what to tell of an archive, or a part of it, that cannot be read."""
    what = f"{part} in it cannot be read" if part else "is not a readable archive"
    return DataError(f"{what}: {error}", where=file.name, fix="fetch it again")


def _header(stream: IO[bytes]) -> Member:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if fortran and len(shape) > 1:
        raise ValueError("stored column by column")
    return Member(tuple(shape), dtype, stream.tell())


class _Array:
    """Stands for an array of objects: keeps the list in its state and nothing else."""

    dates: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - whatever the pickle says
        self.dates = state[-1] if isinstance(state, tuple) and isinstance(state[-1], list) else None


class _Type:
    """Stands for a numpy type; what it is does not matter, since only dates are taken."""

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - whatever the pickle says
        pass


def _array(*_: object) -> _Array:
    return _Array()


def _type(*_: object) -> _Type:
    return _Type()


def _date(state: bytes) -> datetime:
    if not isinstance(state, bytes) or len(state) != _STATE_BYTES:
        raise pickle.UnpicklingError("a date is not stored as one")
    year, rest, microsecond = int.from_bytes(state[:2], "big"), state[2:7], int.from_bytes(state[7:], "big")
    return datetime(year, rest[0], rest[1], rest[2], rest[3], rest[4], microsecond)


class _Dates(pickle._Unpickler):
    """Takes an array of dates apart; refuses any name but the four that such an array needs, and calls none of them.

    The parser is the one in Python: the one in C believes a damaged pickle how much memory it needs.
    """

    _STAND_INS = {  # noqa: RUF012 - never changed
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _type,
        ("datetime", "datetime"): _date,
    }

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as in the base class
        """Return the stand-in for a name."""
        if (module, name) not in self._STAND_INS:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is no date")
        return self._STAND_INS[module, name]
