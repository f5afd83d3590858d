"""Radar data of MeteoNet (Météo-France): npz archives of ten or eleven days, every five minutes where there is a frame.

Layout, codes and grid are those of the data set's documentation and sample files: arrays ``data`` (time, row, column),
int16, row 0 in the north; ``dates`` and ``miss_dates``, the frames that are there and those that are not. The archives
hold no coordinates; the constants below are those of ``radar_coords_NW.npz`` and ``radar_coords_SE.npz`` beside them.
The quality of the rain comes in two archives: the mean of each day (``rainfall_mean_quality-code_...``), and what each
frame differs from it (``rainfall_diff_quality-code_...``). That is read as documented, not checked on a file.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers import npz
from pipeline_lib.readers.lazy import blocks
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

_NAME = re.compile(r"_(NW|SE)_(\d{4})_(\d{2})\.([123])\.npz$")
_GRIDS = {"NW": ((565, 784), (51.891, -5.837)), "SE": ((515, 784), (46.245, 2.005))}
"""By domain: rows and columns; latitude and longitude of the first cell."""
_STEP = 0.01
"""Degrees from one cell to the next."""
_DAYS = 10
"""The first and the second archive of a month hold so many days, the third what is left. The documentation
also says that the tenth day is in the second; it may be in either."""
_BLOCK_BYTES = 64 * 2**20
"""Of an archive's values as stored, read at once: to read a block, all before it is unpacked as well."""


@dataclass(frozen=True)
class _Code:
    """What stored numbers mean: value = factor * number, one number for no value, limits of all others.

    Where a number says that there is less than can be told, ``silent``, it stands for the value ``silence``.
    """

    variable: str
    units: str
    long_name: str
    factor: float
    missing: int
    lowest: int
    highest: int
    silent: int | None = None
    silence: float = 0.0


_RAIN = _Code("rain_rate", "mm h-1", "rain rate", 0.01 * 12, -1, 0, np.iinfo("int16").max)
"""Hundredths of a millimetre in five minutes, of which an hour has twelve."""
_NO_ECHO = -10.0
"""dBZ, as the newer product has it, whose echoes begin at -9 dBZ."""
_OLD = _Code("reflectivity", "dBZ", "radar reflectivity", 1.0, 255, 0, 254, silent=0, silence=_NO_ECHO)
"""Whole dBZ, the lower bounds of levels of which the first is 8. By the documentation 0 is all below 8 dBZ: no echo, or
one too weak to be told from it, and never an echo of 0 dBZ. Nine in ten cells of the sample files hold it."""
_NEW = _Code("reflectivity", "dBZ", "radar reflectivity", 0.1, -200, -100, np.iinfo("int16").max)
"""Tenths of a dBZ; -100, below the floor of -9 dBZ, is no echo and stays :data:`_NO_ECHO`."""


_QUALITY, _NO_QUALITY, _BEST = "rain_quality", 255, 100
_MEAN, _DIFFERENCE = "_mean_quality", "_diff_quality"


class _Archives:
    """What the three kinds of archives have in common."""

    code: ClassVar[_Code]

    @classmethod
    def check(cls, file: Path, variables: Sequence[str]) -> None:
        """Compare the archive with its checksums, its dates with its name and its shape with the domain."""
        check_variables(file, variables, [cls.code.variable])
        npz.check_whole(file)
        _times(file)
        _array(file)

    @classmethod
    def open(cls, files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each archive as a dataset of its own."""
        attrs = {"units": cls.code.units, "long_name": cls.code.long_name}
        return {file.name: _opened(file, partial(_values, code=cls.code), cls.code.variable, attrs) for file in files}


@READERS.register("meteonet_rainfall")
class MeteonetRainfall(_Archives):
    """Rain rate in mm/h from accumulations of five minutes."""

    code = _RAIN


@READERS.register("meteonet_reflectivity_old")
class MeteonetReflectivityOld(_Archives):
    """Reflectivity in dBZ, product until October 2018; -10 dBZ for all below 8 dBZ, which it does not tell apart."""

    code = _OLD


@READERS.register("meteonet_reflectivity_new")
class MeteonetReflectivityNew(_Archives):
    """Reflectivity in dBZ, product from February 2018 on."""

    code = _NEW


@READERS.register("meteonet_quality")
class MeteonetQuality:
    """Quality of the rain rate from 0 (very bad) to 100 % (perfect), from archives of means and of differences."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Compare the archive with its checksums, its dates with its name and its shape with the domain."""
        check_variables(file, variables, [_QUALITY])
        if not _is_of_quality(file):
            raise DataError(f"is called neither {_MEAN[1:]} nor {_DIFFERENCE[1:]}", where=file.name)
        npz.check_whole(file)
        _times(file)
        _array(file)

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each archive of differences, with that of means beside it, as a dataset of its own."""
        means = {file.name.replace(_MEAN, _DIFFERENCE): file for file in files if _MEAN in file.name}
        frames = {file.name: file for file in files if _MEAN not in file.name}
        if alone := sorted(set(means) ^ set(frames)):
            raise DataError("has no archive of means, or of differences, beside it", where=alone[0], fix="fetch both")
        attrs = {"units": "%", "long_name": "quality of the rain rate"}
        return {
            name: _opened(file, partial(_quality, means=means[name]), _QUALITY, attrs) for name, file in frames.items()
        }


@READERS.register("meteonet_rainfall_with_quality")
class MeteonetRainfallWithQuality:
    """Rain rate in mm/h and its quality in per cent, from archives of both; frames may have no quality."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Compare the archive with its checksums, its dates with its name and its shape with the domain."""
        check_variables(file, variables, [_RAIN.variable, _QUALITY])
        (MeteonetQuality if _is_of_quality(file) else MeteonetRainfall).check(file, [])

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each archive of rain, with the quality of its frames, as a dataset of its own."""
        qualities = MeteonetQuality.open([file for file in files if _is_of_quality(file)])
        beside = {_domain(Path(name)): ds[_QUALITY] for name, ds in qualities.items()}
        found = {}
        for name, ds in MeteonetRainfall.open([file for file in files if not _is_of_quality(file)]).items():
            quality = beside.get(_domain(Path(name)))
            if quality is None:
                raise DataError("has no archives of its quality beside it", where=name, fix="fetch them")
            found[name] = ds.assign({_QUALITY: quality.reindex(time=ds.time)})
        return found


def _is_of_quality(file: Path) -> bool:
    return _MEAN in file.name or _DIFFERENCE in file.name


def _opened(file: Path, load: Callable[..., np.ndarray], variable: str, attrs: dict[str, str]) -> xr.Dataset:
    """Return the frames of an archive; ``load`` reads a block of them."""
    import xarray as xr

    times, array = _times(file), _array(file)
    if len(times) != array.shape[0]:
        raise DataError(f"has {array.shape[0]} frames and {len(times)} dates", where=file.name, fix="fetch it again")
    many = max(1, _BLOCK_BYTES // (array.dtype.itemsize * int(np.prod(array.shape[1:]))))
    spans = [(first, min(first + many, len(times))) for first in range(0, len(times), many)]
    calls, lengths = [(file, array, *span) for span in spans], [last - first for first, last in spans]
    values = blocks(load, calls, lengths, array.shape[1:])
    (north, west), (height, width) = _GRIDS[_domain(file)[0]][1], array.shape[1:]
    coordinates = {
        "time": times,
        "latitude": ("latitude", north - _STEP * np.arange(height), {"units": "degrees_north"}),
        "longitude": ("longitude", west + _STEP * np.arange(width), {"units": "degrees_east"}),
    }
    return xr.Dataset({variable: (("time", "latitude", "longitude"), values, attrs)}, coordinates)


def _values(file: Path, array: npz.Member, first: int, last: int, *, code: _Code) -> np.ndarray:
    """Return a block of frames in the unit of the code, NaN where there is no value."""
    stored = npz.rows(file, "data", array, first, last)
    missing = stored == code.missing
    wrong = ~missing & ((stored < code.lowest) | (stored > code.highest))
    if wrong.any():
        raise DataError(
            f"holds {stored[wrong][0]}, not {code.missing} (missing) or {code.lowest} to {code.highest}",
            where=file.name,
            fix="is it another product? correct reader in the catalog entry",
        )
    values = code.factor * stored.astype("float64")
    if code.silent is not None:
        values[stored == code.silent] = code.silence
    return np.where(missing, np.nan, values)


def _quality(file: Path, array: npz.Member, first: int, last: int, *, means: Path) -> np.ndarray:
    """Return a block of qualities in per cent, NaN where there is none."""
    differences = npz.rows(file, "data", array, first, last).astype("int64")
    wanted, days = (dates.astype("datetime64[D]") for dates in (_times(file)[first:last], _times(means)))
    lacking = np.setdiff1d(wanted, days)
    if lacking.size:
        raise DataError(f"has no mean of {lacking[0]}", where=means.name, fix="fetch both archives again")
    place = np.searchsorted(days, wanted)
    quality = npz.rows(means, "data", _array(means), int(place[0]), int(place[-1]) + 1)[place - place[0]] + differences
    missing = differences == _NO_QUALITY
    wrong = ~missing & ((quality < 0) | (quality > _BEST))
    if wrong.any():
        what = f"says {quality[wrong][0]} % with the mean of the day, not 0 to {_BEST}"
        raise DataError(what, where=file.name, fix="do both archives belong together?")
    return np.where(missing, np.nan, quality.astype("float64"))


def _array(file: Path) -> npz.Member:
    array, expected = npz.member(file, "data"), _GRIDS[_domain(file)[0]][0]
    if array.shape[1:] != expected or len(array.shape) != 3 or array.dtype.kind not in "iu":
        raise DataError(
            f"data is {array.dtype} of shape {array.shape}, not whole numbers of shape (time, {expected[0]}, "
            f"{expected[1]})",
            where=file.name,
        )
    return array


def _times(file: Path) -> np.ndarray:
    """Return the times of the frames, checked against the name and against the times said to be missing."""
    _, first, last = _domain(file)
    times = npz.dates(file, "dates")
    if not times.size or (np.diff(times) <= np.timedelta64(0)).any():
        raise DataError("its dates do not grow", where=file.name, fix="fetch it again")
    if times[0] < first or times[-1] >= last:
        raise DataError(
            f"has frames from {times[0]:.16} to {times[-1]:.16}, not as its name says",
            where=file.name,
            fix="is the file renamed?",
        )
    both = np.intersect1d(times, npz.dates(file, "miss_dates"))
    if both.size:
        raise DataError(f"{both[0]:.16} is among its dates and among those missing", where=file.name)
    return times


def _domain(file: Path) -> tuple[str, np.datetime64, np.datetime64]:
    """Return domain, first moment and the moment after the last that a name stands for."""
    found = _NAME.search(file.name)
    if found is None or not 1 <= int(found[3]) <= 12:
        raise DataError("is not called <kind>_<NW or SE>_<year>_<month>.<1, 2 or 3>.npz", where=file.name)
    third, (_, days) = int(found[4]), calendar.monthrange(int(found[2]), int(found[3]))
    start = np.datetime64(f"{found[2]}-{found[3]}-01", "ns")
    before = (0, _DAYS - 1, 2 * _DAYS)[third - 1]
    after = third * _DAYS if third < 3 else days
    return found[1], start + np.timedelta64(before, "D"), start + np.timedelta64(after, "D")
