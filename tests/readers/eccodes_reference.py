"""GRIB files by ecCodes; run by an environment of its own, see ``test_grib1_reference.py``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import eccodes
import numpy as np

KEYS = ("indicatorOfParameter", "indicatorOfTypeOfLevel:int", "level", "dataDate", "dataTime", "endStep")


def write(given: str, file: str) -> None:
    """Write fields (row, column; NaN where there is none), each with the keys that are to be set."""
    with np.load(given) as stored, Path(file).open("wb") as stream:
        for name, keys in json.loads(str(stored["keys"])).items():
            values = stored[name]
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            places = {
                "Ni": values.shape[1],
                "Nj": values.shape[0],
                "latitudeOfFirstGridPoint": 46246,
                "latitudeOfLastGridPoint": 46246 - 25 * (values.shape[0] - 1),
                "longitudeOfFirstGridPoint": -2000,
                "longitudeOfLastGridPoint": -2000 + 25 * (values.shape[1] - 1),
                "iDirectionIncrement": 25,
                "jDirectionIncrement": 25,
                "bitmapPresent": int(np.isnan(values).any()),
                "missingValue": 9999,
            }
            for key, value in {**places, **keys}.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, np.where(np.isnan(values), 9999, values).ravel())
            eccodes.codes_write(message, stream)
            eccodes.codes_release(message)


def read(given: str, found: str) -> None:
    """Write the values of all messages of files, and what is said of them, into an archive."""
    arrays: dict[str, np.ndarray] = {}
    for file in json.loads(given):
        said = []
        with Path(file).open("rb") as stream:
            while (message := eccodes.codes_grib_new_from_file(stream)) is not None:
                eccodes.codes_set(message, "missingValue", 1e30)
                values = eccodes.codes_get_values(message)
                shape = [eccodes.codes_get(message, key) for key in ("Nj", "Ni")]
                arrays[f"{Path(file).name} {len(said)}"] = np.where(values == 1e30, np.nan, values).reshape(shape)
                axes = (eccodes.codes_get_array(message, f"distinct{name}") for name in ("Latitudes", "Longitudes"))
                for name, axis in zip(("latitude", "longitude"), axes, strict=True):
                    arrays[f"{Path(file).name} {len(said)} {name}"] = axis
                said.append([eccodes.codes_get(message, key.split(":")[0], int) for key in KEYS])
                eccodes.codes_release(message)
        arrays[f"{Path(file).name} said"] = np.array(said)
    np.savez(found, **arrays)


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
