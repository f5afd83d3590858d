"""Tiny files in the exact layout of each provider."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from PIL import Image

MISSING = 65535


def knmi(
    folder: Path, counts: Any, *, end: str = "2010-08-26T00:15", name: str = "", minutes: int = 5, **changed: Any
) -> Path:
    """A KNMI composite; ``changed`` replaces attributes by name."""
    last = datetime.fromisoformat(end)
    counts = np.asarray(counts, dtype="uint16")
    file = folder / (name or f"RAD_NL25_RAP_5min_{last:%Y%m%d%H%M}.h5")
    groups: dict[str, dict[str, Any]] = {
        "overview": {
            "hdftag_version_number": np.bytes_("3.5"),
            "product_datetime_start": np.array([_moment(last - timedelta(minutes=minutes))]),
            "product_datetime_end": np.array([_moment(last)]),
            "product_group_name": np.bytes_("RAD_NL25_RAU_5mi"),
        },
        "geographic": {
            "geo_dim_pixel": np.bytes_("KM,KM"),
            "geo_number_rows": np.array([counts.shape[0]], "int32"),
            "geo_number_columns": np.array([counts.shape[1]], "int32"),
            "geo_row_offset": np.array([3650.0], "float32"),
            "geo_column_offset": np.array([0.0], "float32"),
            "geo_pixel_size_x": np.array([1.0], "float32"),
            "geo_pixel_size_y": np.array([-1.0], "float32"),
            "geo_pixel_def": np.bytes_("LU"),
        },
        "geographic/map_projection": {
            "projection_name": np.bytes_("STEREOGRAPHIC"),
            "projection_proj4_params": np.bytes_(
                "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0"
            ),
        },
        "image1": {"image_geo_parameter": np.bytes_("ACCUMULATED_PRECIPITATION_[MM]")},
        "image1/calibration": {
            "calibration_formulas": np.bytes_("GEO=0.01*PV+0.0"),
            "calibration_missing_data": np.array([MISSING], "int32"),
            "calibration_out_of_image": np.array([MISSING], "int32"),
        },
    }
    with h5py.File(file, "w") as opened:
        for group, attributes in groups.items():
            made = opened.create_group(group)
            for key, value in attributes.items():
                made.attrs[key] = changed.get(key, value)
        opened["image1"].create_dataset("image_data", data=counts, compression="gzip")
    return file


def _moment(value: datetime) -> np.bytes_:
    return np.bytes_(value.strftime("%d-%b-%Y;%H:%M:%S.000").upper())


def meteonet(
    folder: Path, name: str, dates: Sequence[datetime], fill: Callable[[np.ndarray], None] = lambda data: None,
    *, missing_dates: Sequence[datetime] = (), dtype: str = "int16", shape: tuple[int, int] = (565, 784),
) -> Path:  # fmt: skip
    """An archive of MeteoNet, with dates as pickled objects; ``fill`` sets values in place."""
    data = np.zeros((len(dates), *shape), dtype)
    fill(data)
    file = folder / name
    listed = {"dates": np.array(dates, dtype=object), "miss_dates": np.array(missing_dates, dtype=object)}
    np.savez_compressed(file, data=data, **listed)
    return file


def grib1(
    whole: Any, parameter: tuple[int, int, int], *, day: str = "2018-05-01", hours: tuple[int, ...] = (0,),
    reference: float = 0.0, binary: int = 0, scale: int = 0, width: int = 12, there: Any = None,
    corner: tuple[int, int] = (46246, 2000), step: int = 25, **changed: int,
) -> bytes:  # fmt: skip
    """A message of GRIB edition 1: whole numbers (row, column) from the north-west, packed in so many bits each.

    Values are (reference + whole * 2 ** binary) / 10 ** scale. ``there`` is a map of the points that have one;
    ``changed`` sets an octet of a section, counted from 1: ``product_18=2``.
    """
    whole = np.asarray(whole)
    (rows, columns), (north, west) = whole.shape, corner
    year, month, date = map(int, day.split("-"))
    product = bytearray(28)
    product[3:12] = 1, 85, 204, 255, 128 + 64 * (there is not None), *parameter[:2], 0, parameter[2]
    product[12:18] = (year - 1) % 100 + 1, month, date, 0, 0, 1
    product[18:21] = (*hours, 4) if len(hours) == 2 else (hours[0], 0, int(hours[0] == 0))
    product[24:28] = (year - 1) // 100 + 1, 0, *_signed(scale, 2)
    grid = bytearray(32)
    grid[4:6] = 255, 0
    grid[6:10] = *columns.to_bytes(2, "big"), *rows.to_bytes(2, "big")
    ends = north, west, north - (rows - 1) * step, west + (columns - 1) * step
    grid[10:16] = *_signed(ends[0], 3), *_signed(ends[1], 3)
    grid[16:23] = 128, *_signed(ends[2], 3), *_signed(ends[3], 3)
    grid[23:27] = *step.to_bytes(2, "big"), *step.to_bytes(2, "big")
    kept = whole.ravel() if there is None else whole[np.asarray(there, bool)]
    values, unused = _bits([(int(number), width) for number in kept])
    data = bytearray(11) + values
    data[3:11] = unused, *_signed(binary, 2), *_hexadecimal(reference), width
    sections = {"product": product, "grid": grid, "map": bytearray(), "data": data}
    if there is not None:
        points, free = _bits([(int(point), 1) for point in np.ravel(there)])
        sections["map"] = bytearray(6) + points
        sections["map"][3] = free
    for section in sections.values():
        section[:3] = len(section).to_bytes(3, "big") if section else b""
    for key, value in changed.items():
        name, octet = key.split("_")
        sections[name][int(octet) - 1] = value
    inner = b"".join(sections.values())
    return b"GRIB" + (len(inner) + 12).to_bytes(3, "big") + b"\1" + inner + b"7777"


def _bits(numbers: Sequence[tuple[int, int]]) -> tuple[bytearray, int]:
    """Numbers of so many bits each behind one another, to an even octet; and how many bits are not used."""
    text = "".join(f"{number:0{width}b}" for number, width in numbers if width)
    unused = -len(text) % 16
    text += "0" * unused
    return bytearray(int(text[place : place + 8], 2) for place in range(0, len(text), 8)), unused


def _signed(number: int, octets: int) -> bytes:
    return (abs(number) + (number < 0) * (1 << (8 * octets - 1))).to_bytes(octets, "big")


def _hexadecimal(number: float) -> bytes:
    """A number with an exponent of 16."""
    exponent, fraction = 64, abs(number)
    while fraction >= 1:
        fraction, exponent = fraction / 16, exponent + 1
    while 0 < fraction < 1 / 16:
        fraction, exponent = fraction * 16, exponent - 1
    assert fraction * 2**24 == int(fraction * 2**24), "not representable"
    return bytes([exponent + 128 * (number < 0)]) + int(fraction * 2**24).to_bytes(3, "big")


def hko7(file: Path, frames: Mapping[str, tuple[np.ndarray, np.ndarray | None]], *, stored: int = 0) -> Path:
    """A zip archive of pictures and masks by stamp; no mask where it is ``None``."""
    with zipfile.ZipFile(file, "w", stored) as archive:
        for stamp, (pixels, mask) in frames.items():
            day = f"20{stamp[:2]}/{stamp[2:4]}/{stamp[4:6]}"
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"radarPNG/{day}/RAD{stamp}.png", picture.getvalue())
            if mask is not None:
                archive.writestr(f"radarPNG_mask/{day}/RAD{stamp}.mask", zlib.compress(mask.astype(bool).tobytes(), 2))
    return file


def cikm(file: Path, samples: Sequence[tuple[str, str, np.ndarray]], *, last_break: bool = True) -> Path:
    """A text file of samples: name, rain as written, values."""
    lines = [f"{name},{rain},{' '.join(map(str, values.ravel().tolist()))}" for name, rain, values in samples]
    file.write_text("\n".join(lines) + ("\n" if last_break else ""))
    return file


def merged_ir(file: Path, values: np.ndarray, times: Sequence[str]) -> Path:
    """An hour of the merged infrared composite, south to north, times in days."""
    rows, columns = values.shape[1:]
    ds = xr.Dataset(
        {
            "Tb": (
                ("time", "lat", "lon"),
                values.astype("float32"),
                {"units": "K", "standard_name": "brightness_temperature"},
            )
        },
        {
            "time": np.array(times, dtype="datetime64[ns]"),
            "lat": ("lat", np.linspace(-59.98, 59.98, rows).astype("float32"), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(-179.98, 179.98, columns).astype("float32"), {"units": "degrees_east"}),
        },
    )
    encoding = {"Tb": {"_FillValue": -9999.0}, "time": {"units": "days since 1970-01-01 00:00:00", "dtype": "float64"}}
    ds.to_netcdf(file, engine="h5netcdf", encoding=encoding)
    return file


def meteonet_satellite(file: Path, classes: np.ndarray, hours: Sequence[float]) -> Path:
    """Cloud types CT of MeteoNet (time, row from the north, column from the west), at hours since 1901.

    As its sample: time without limit, a chunk for each picture, nothing packed, attributes of the time alone, and class
    0 for no data instead of a fill value.
    """
    rows, columns = classes.shape[1:]
    since = {"units": "hours since 1901-01-01 00:00:00.0", "calendar": "gregorian"}
    ds = xr.Dataset(
        {"CT": (("time", "lat", "lon"), classes.astype("uint8"))},
        {
            "time": ("time", np.array(hours, dtype="float64"), since),
            "lat": np.linspace(51.896, 46.25, rows),
            "lon": np.linspace(-5.842, 2.0, columns),
        },
        {"creating_function": "create_nc_file", "appending_function": "append_unlimited_dim_nc_file"},
    )
    encoding: dict[str, dict[str, Any]] = {name: {"_FillValue": None} for name in ("CT", "time", "lat", "lon")}
    encoding["CT"]["chunksizes"] = (1, rows, columns)
    ds.to_netcdf(file, engine="h5netcdf", unlimited_dims=["time"], encoding=encoding)
    return file
