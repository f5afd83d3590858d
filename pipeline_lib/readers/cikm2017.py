"""Samples of the CIKM AnalytiCup 2017 (Shenzhen): radar over a site for an hour and a half, and the rain that followed.

A line of the text file is ``<sample>,<rain>,<values>``: the values, apart by blanks, are 15 frames of six minutes x 4
heights x 101 rows x 101 columns of 1 km with the site in the middle; the rain is what fell there from one to two hours
later, in mm (layout read in public code). Recalled, not checked: a value p is (95 p / 255 - 10) dBZ, -1 is missing.
That the first row is the northernmost is assumed. The organisers removed the times: here sample n, from 0, starts 2 n
hours after the first of January 2000, so that no two samples are six minutes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.lazy import blocks
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

FRAMES, HEIGHTS_M, SIDE = 15, (500, 1500, 2500, 3500), 101
RAIN = "rain"
_SHAPE = (FRAMES, len(HEIGHTS_M), SIDE, SIDE)
_FRAME, _SAMPLE = np.timedelta64(6, "m"), np.timedelta64(2, "h")
_EPOCH = np.datetime64("2000-01-01", "ns")
_MISSING, _LARGEST = -1, 255
_SPAN_DBZ, _LOWEST_DBZ = 95.0, -10.0
_READ_BYTES = 16 * 2**20


@READERS.register("cikm2017")
class Cikm2017:
    """Reflectivity in dBZ at each height, and the rain of a sample at its last frame, NaN at the others."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read the first sample and the last."""
        check_variables(file, variables, [*map(_name, HEIGHTS_M), RAIN])
        lines = _lines(file)
        for line in (lines[0], lines[-1]):
            _sample(*line)

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open the one file; where the samples begin is looked up at once, which takes as long as reading it."""
        import xarray as xr

        if len(files) != 1:
            what = f"has {len(files)} files, and the samples of each begin anew"
            raise DataError(what, where=files[0].parent.name, fix="make each a source of its own")
        lines = _lines(files[0])
        values = blocks(_sample, lines, [FRAMES] * len(lines), _SHAPE[1:])
        starts = _EPOCH + np.arange(len(lines)) * _SAMPLE
        kilometres = np.arange(SIDE) - (SIDE - 1) / 2
        axes = {
            "time": (starts[:, np.newaxis] + np.arange(FRAMES) * _FRAME).ravel(),
            "y": ("y", -kilometres, {"units": "km"}),
            "x": ("x", kilometres, {"units": "km"}),
        }
        variables = {
            _name(height): (
                ("time", "y", "x"),
                values[:, place],
                {"units": "dBZ", "long_name": f"radar reflectivity at {height} m"},
            )
            for place, height in enumerate(HEIGHTS_M)
        }
        rain = np.full((len(lines), FRAMES), np.nan)
        rain[:, -1] = [_rain(*line) for line in lines]
        series = {
            RAIN: (
                "time",
                rain.ravel(),
                {"units": "kg m-2", "long_name": "rain from one to two hours after the sample"},
            )
        }
        return {files[0].name: xr.Dataset(variables | series, axes)}


def _name(height: int) -> str:
    return f"reflectivity_{height}m"


def _lines(file: Path) -> list[tuple[Path, int, int]]:
    """Return file, first byte and length of each line that is not empty."""
    ends, offset = [], 0
    try:
        with file.open("rb") as stream:
            while block := stream.read(_READ_BYTES):
                ends.extend((np.flatnonzero(np.frombuffer(block, "uint8") == ord("\n")) + offset).tolist())
                offset += len(block)
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=file.name, fix="fetch it again") from error
    starts = [0, *(end + 1 for end in ends)]
    found = [(file, start, end - start) for start, end in zip(starts, [*ends, offset], strict=True) if end > start]
    if not found:
        raise DataError("holds no sample", where=file.name, fix="fetch it again")
    return found


def _sample(file: Path, start: int, length: int) -> np.ndarray:
    """Return the frames of a sample (frame, height, row, column) in dBZ, NaN for -1."""
    sample, _, values = _parts(file, start, length)
    try:
        numbers = np.loadtxt([values], dtype="int16", ndmin=1) if values.strip() else np.empty(0, "int16")
    except (ValueError, OverflowError) as error:
        raise DataError(f"{sample}: holds what is no number: {error}", where=file.name, fix="fetch it again") from error
    if numbers.size != np.prod(_SHAPE):
        what = f"{sample}: has {numbers.size} values, not {np.prod(_SHAPE)}"
        raise DataError(what, where=file.name, fix="fetch it again")
    if numbers.min() < _MISSING or numbers.max() > _LARGEST:
        raise DataError(f"{sample}: holds values beyond {_MISSING} (missing) to {_LARGEST}", where=file.name)
    dbz = _SPAN_DBZ * numbers.astype("float64") / _LARGEST + _LOWEST_DBZ
    return np.where(numbers == _MISSING, np.nan, dbz).reshape(_SHAPE)


def _rain(file: Path, start: int, length: int) -> float:
    """Return the rain of a sample in mm, NaN where the organisers do not tell it."""
    sample, rain, _ = _parts(file, start, min(length, 200))
    try:
        fell = float(rain) if rain.strip() else np.nan
    except ValueError as error:
        raise DataError(f"{sample}: rain is {rain!r}", where=file.name, fix="fetch it again") from error
    if fell < 0:
        raise DataError(f"{sample}: rain is {fell:g} mm", where=file.name, fix="fetch it again")
    return fell


def _parts(file: Path, start: int, length: int) -> tuple[str, str, str]:
    """Return name, rain and values of a line as text."""
    with file.open("rb") as stream:
        stream.seek(start)
        parts = stream.read(length).decode("ascii", errors="replace").split(",")
    if len(parts) != 3:
        raise DataError(f"byte {start}: is not <sample>,<rain>,<values>", where=file.name, fix="fetch it again")
    return parts[0], parts[1], parts[2]
