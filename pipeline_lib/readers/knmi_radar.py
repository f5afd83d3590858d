"""Rain of the radar composites of KNMI: one HDF5 file per five minutes.

The layout is that of the files themselves (``RAD_NL25_RAP_5min_<yyyymmddHHMM>.h5``): accumulated rain as counts in
``image1/image_data``, what a count means in ``image1/calibration``, the polar stereographic grid in ``geographic``, the
interval in ``overview``. The name tells the end of the interval, and so does the time of a frame here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.lazy import blocks
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

RAIN_RATE = "rain_rate"
_QUANTITY = "ACCUMULATED_PRECIPITATION_[MM]"
_VERSIONS = ("3.",)
"""How the version of the layout that this is written for begins (``hdftag_version_number``)."""
_FORMULA = re.compile(r"GEO=([-+.\dEe]+)\*PV([-+][.\dEe]+)")
_STAMP = re.compile(r"_(\d{12})\.h5$")
_MOMENT = "%d-%b-%Y;%H:%M:%S.%f"
_HOUR = timedelta(hours=1)
_KILOMETRE_M = 1000.0
_IMAGE = "image1/image_data"


@dataclass(frozen=True)
class _Header:
    """What a file says of its image.

    Attributes
    ----------
    start, end
        The interval in which the rain fell.
    factor, offset
        Millimetres are ``factor * count + offset``.
    missing
        Counts that stand for no value.
    grid
        Rows, columns, offsets of the first row and column in pixels, size of a pixel along y and x in km.
    projection
        In PROJ's words, for kilometres.
    """

    start: datetime
    end: datetime
    factor: float
    offset: float
    missing: tuple[int, ...]
    grid: tuple[float, ...]
    projection: str


@READERS.register("knmi_radar")
class KnmiRadar:
    """Rain rate in mm/h: what fell in the interval of a composite, by its length."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read header and image."""
        check_variables(file, variables, [RAIN_RATE])
        _rates(file, _header(file))

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open all composites as one dataset; they must lie on one grid."""
        import xarray as xr

        headers = [_header(file) for file in files]
        first = headers[0]
        for file, header in zip(files, headers, strict=True):
            if (header.grid, header.projection) != (first.grid, first.projection):
                raise DataError(f"lies on another grid than {files[0].name}", where=file.name, fix="fetch one product")
        rows, columns, row_offset, column_offset, height, width = first.grid
        shape = int(rows), int(columns)
        rates = blocks(_rates, list(zip(files, headers, strict=True)), [1] * len(files), shape)
        attrs = {"units": "km", "proj4": _in_metres(first.projection)}
        axes = {
            "time": np.array([header.end for header in headers], dtype="datetime64[ns]"),
            "y": ("y", height * (row_offset + np.arange(shape[0]) + 0.5), attrs),
            "x": ("x", width * (column_offset + np.arange(shape[1]) + 0.5), attrs),
        }
        variable = (("time", "y", "x"), rates, {"units": "mm h-1", "long_name": "rain rate"})
        return {files[0].parent.name if len(files) > 1 else files[0].name: xr.Dataset({RAIN_RATE: variable}, axes)}


def _header(file: Path) -> _Header:
    """Read and check what a file says of its image; raise :class:`DataError` if that is not what this reader knows."""
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            header = _parsed(opened, file.name)
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"is not a readable KNMI composite: {error}", where=file.name, fix="fetch it again") from error
    stamp = _STAMP.search(file.name)
    if stamp is None or stamp[1] != f"{header.end:%Y%m%d%H%M}":
        ends = f"the interval in the file ends at {header.end:%Y-%m-%d %H:%M}, not as its name says"
        raise DataError(ends, where=file.name, fix="is the file renamed?")
    if header.end <= header.start:
        raise DataError("the interval ends before it starts", where=file.name, fix="fetch it again")
    return header


def _parsed(opened: Any, where: str) -> _Header:  # noqa: ANN401 - h5py has no types
    """Turn attributes into a header."""
    overview, image, geographic = (opened[name].attrs for name in ("overview", "image1", "geographic"))
    calibration = opened["image1/calibration"].attrs
    version, quantity = _text(overview["hdftag_version_number"]), _text(image["image_geo_parameter"])
    if not version.startswith(_VERSIONS):
        raise DataError(f"is of version {version!r} of the layout, not {_VERSIONS[0]}x", where=where)
    if quantity != _QUANTITY:
        raise DataError(f"holds {quantity!r}, not {_QUANTITY!r}", where=where, fix="fetch the 5-minute accumulations")
    if _text(geographic["geo_dim_pixel"]) != "KM,KM":
        raise DataError("its grid is not in kilometres", where=where)
    formula = _FORMULA.fullmatch(_text(calibration["calibration_formulas"]))
    if formula is None:
        raise DataError(f"unknown formula {_text(calibration['calibration_formulas'])!r}", where=where)
    names = ("number_rows", "number_columns", "row_offset", "column_offset", "pixel_size_y", "pixel_size_x")
    grid = tuple(_number(geographic[f"geo_{name}"]) for name in names)
    if opened[_IMAGE].shape != grid[:2]:
        raise DataError(f"its image is {opened[_IMAGE].shape}, its grid {grid[:2]}", where=where, fix="fetch it again")
    return _Header(
        start=_moment(overview["product_datetime_start"]),
        end=_moment(overview["product_datetime_end"]),
        factor=float(formula[1]),
        offset=float(formula[2]),
        missing=tuple(int(_number(calibration[f"calibration_{name}"])) for name in ("missing_data", "out_of_image")),
        grid=grid,
        projection=_text(opened["geographic/map_projection"].attrs["projection_proj4_params"]),
    )


def _rates(file: Path, header: _Header) -> np.ndarray:
    """Return the rain rate (1, rows, columns) in mm/h, NaN where there is none."""
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            counts = opened[_IMAGE][...]
    except (OSError, KeyError) as error:
        raise DataError(f"its image cannot be read: {error}", where=file.name, fix="fetch it again") from error
    fell = np.where(np.isin(counts, header.missing), np.nan, header.factor * counts.astype("float64") + header.offset)
    if (fell < 0).any():
        raise DataError(f"holds negative rain, {np.nanmin(fell):g} mm", where=file.name, fix="fetch it again")
    return np.asarray(fell / ((header.end - header.start) / _HOUR))[np.newaxis]


def _in_metres(projection: str) -> str:
    """Return a projection for metres, given one whose ellipsoid is in kilometres."""
    return re.sub(r"\+([ab])=([.\d]+)", lambda m: f"+{m[1]}={float(m[2]) * _KILOMETRE_M:.10g}", projection)


def _text(value: Any) -> str:  # noqa: ANN401 - h5py has no types
    return bytes(np.atleast_1d(value)[0]).decode("ascii")


def _number(value: Any) -> float:  # noqa: ANN401 - h5py has no types
    return float(np.atleast_1d(value)[0])


def _moment(value: Any) -> datetime:  # noqa: ANN401 - h5py has no types
    return datetime.strptime(_text(value), _MOMENT)
