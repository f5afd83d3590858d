"""Radar pictures of the HKO-7 benchmark, in zip archives of the folders that the Hong Kong Observatory sends.

A frame is an 8-bit grey PNG of 480 x 480 pixels, ``RAD<yymmddHHMMSS>.png``; its mask, of the same name with ``.mask``,
is one byte per pixel, 1 where a forecast is scored, packed by zlib. A pixel p is (70 p / 255 - 10) dBZ. The picture
spans 512 x 512 km around the radar; that its first row is the northernmost is assumed. Times are those of the names,
which the code does not assign to a time zone.

Read in the public code of Shi et al. (2017): the layout; that networks see the pictures as they are, and losses and
scores count what the mask of each frame leaves; and the rule by which the code makes a mask itself, 0 for cells that
are excluded in all frames (beyond the radar's circle, and outliers) and for echoes with 0 < p < 71, which are too weak
to be told from noise. Inferred: that the files were written by this rule. So a 0 of the mask says two things. Where the
echo is weak it is kept, for noise is seen and not scored (``noise_below`` of the preparation ``rain_frames``);
everywhere else the value is missing. A weak echo in a cell that is excluded cannot be told from noise, and is not
scored either.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.lazy import blocks
from pipeline_lib.readers.npz import DAMAGED, check_whole, unreadable
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

REFLECTIVITY = "reflectivity"
_SIDE = 480
_WIDTH_KM = 512.0
_SPAN_DBZ, _LOWEST_DBZ = 70.0, -10.0
_LARGEST = 255
_WEAKEST = 71
"""Pixels from here on are echoes; smaller ones that are not 0 are noise."""
_STAMP = re.compile(r"(?:^|/)RAD(\d{12})\.(png|mask)$")


@READERS.register("hko7")
class Hko7:
    """Reflectivity in dBZ, missing where the mask leaves out what is no weak echo."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Compare the archive's members with their checksums and read its first frame."""
        check_variables(file, variables, [REFLECTIVITY])
        check_whole(file)
        _frame(*_frames([file])[0][1:])

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open the frames of all archives as one dataset."""
        import xarray as xr

        frames = _frames(files)
        values = blocks(_frame, [frame[1:] for frame in frames], [1] * len(frames), (_SIDE, _SIDE))
        centres = _WIDTH_KM / _SIDE * (np.arange(_SIDE) + 0.5 - _SIDE / 2)
        axes = {
            "time": np.array([frame[0] for frame in frames], dtype="datetime64[ns]"),
            "y": ("y", -centres, {"units": "km"}),
            "x": ("x", centres, {"units": "km"}),
        }
        attrs = {"units": "dBZ", "long_name": "radar reflectivity"}
        name = files[0].name if len(files) == 1 else files[0].parent.name
        return {name: xr.Dataset({REFLECTIVITY: (("time", "y", "x"), values, attrs)}, axes)}


def _frames(files: Sequence[Path]) -> list[tuple[datetime, Path, str, Path, str]]:
    """Return time, picture and mask of each frame, by archive and member, in order of time."""
    found: dict[str, dict[str, tuple[Path, str]]] = {"png": {}, "mask": {}}
    for file in files:
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except DAMAGED as error:
            raise unreadable(file, error) from error
        for name in names:
            if (match := _STAMP.search(name)) is not None:
                if match[1] in found[match[2]]:
                    raise DataError(f"{name} is there twice", where=file.name, fix="pack each folder once")
                found[match[2]][match[1]] = (file, name)
    pictures, masks = found["png"], found["mask"]
    if not pictures:
        raise DataError("holds no frame RAD<yymmddHHMMSS>.png", where=", ".join(file.name for file in files))
    for stamp, (file, name) in pictures.items():
        if stamp not in masks:
            raise DataError(f"{name} has no mask", where=file.name, fix="pack radarPNG_mask too")
    return [(_moment(stamp, pictures[stamp]), *pictures[stamp], *masks[stamp]) for stamp in sorted(pictures)]


def _moment(stamp: str, picture: tuple[Path, str]) -> datetime:
    try:
        return datetime.strptime(stamp, "%y%m%d%H%M%S")
    except ValueError as error:
        raise DataError(f"{picture[1]} is not called after a time", where=picture[0].name) from error


def _frame(file: Path, picture: str, mask_file: Path, mask: str) -> np.ndarray:
    """Return a frame (1, row, column) in dBZ, NaN where its mask is 0 and there is no weak echo."""
    from PIL import Image, UnidentifiedImageError

    try:
        with zipfile.ZipFile(file) as archive, Image.open(io.BytesIO(archive.read(picture))) as image:
            mode, size, pixels = image.mode, image.size, np.asarray(image)
        with zipfile.ZipFile(mask_file) as archive:
            trusted = np.frombuffer(zlib.decompress(archive.read(mask)), "uint8")
    except (*DAMAGED, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(
            f"{picture} or its mask cannot be read: {error}", where=file.name, fix="fetch it again"
        ) from error
    if mode != "L" or size != (_SIDE, _SIDE):
        raise DataError(f"{picture} is {mode} of {size} pixels, not 8-bit grey of {_SIDE} x {_SIDE}", where=file.name)
    if trusted.size != _SIDE * _SIDE or (trusted > 1).any():
        raise DataError(f"{mask} is not one 0 or 1 for each of {_SIDE} x {_SIDE} pixels", where=mask_file.name)
    dbz = _SPAN_DBZ * pixels.astype("float64") / _LARGEST + _LOWEST_DBZ
    weak = (pixels > 0) & (pixels < _WEAKEST)
    return np.where((trusted.reshape(dbz.shape) == 1) | weak, dbz, np.nan)[np.newaxis]
