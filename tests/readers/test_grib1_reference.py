"""GRIB files of edition 1 against ecCodes: what it writes, what we write, and the real files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_lib.readers import grib1
from tests.readers import layouts

PYTHON = Path(__file__).parents[2] / ".venv-grib" / "bin" / "python"
SCRIPT = Path(__file__).with_name("eccodes_reference.py")
REAL = Path(os.environ.get("GYRE_MIRROR", "")) / "downscaling"
pytestmark = pytest.mark.grib


def eccodes(*words: object) -> None:
    subprocess.run([PYTHON, SCRIPT, *map(str, words)], check=True, env={"OMP_NUM_THREADS": "1"})


def compare(files: Sequence[Path], folder: Path) -> int:
    """Compare all that is read of some files; return how many fields there are."""
    eccodes("read", json.dumps([str(file) for file in files]), folder / "found.npz")
    compared = 0
    with np.load(folder / "found.npz") as theirs:
        for file in files:
            ours = grib1.fields(file)
            said = theirs[f"{file.name} said"]
            assert len(ours) == len(said) > 0
            for place, (field, told) in enumerate(zip(ours, said.tolist(), strict=True)):
                name, expected = f"{file.name} {place}", theirs[f"{file.name} {place}"]
                day, minutes = str(field.run)[:10].replace("-", ""), str(field.run)[11:16].replace(":", "")
                assert [field.parameter, *field.level, int(day), int(minutes), field.hours[-1]] == told
                np.testing.assert_allclose(grib1.values(field), expected, rtol=1e-13, atol=0)
                # Of three decimals; theirs are ascending and steps of single precision may have been added up.
                np.testing.assert_allclose(np.sort(field.grid.latitude), np.sort(theirs[f"{name} latitude"]), atol=1e-9)
                longitude = (theirs[f"{name} longitude"] + 180) % 360 - 180
                np.testing.assert_allclose(field.grid.longitude, np.sort(longitude), atol=1e-9)
                compared += 1
    return compared


def drawn(many: int) -> tuple[dict[str, np.ndarray], dict[str, Mapping[str, Any]]]:
    """Fields of any size and range, some with gaps, one constant; and how they are to be packed."""
    rng = np.random.default_rng(0)
    arrays, keys = {}, {}
    for place in range(many):
        shape = tuple(rng.integers(2, 40, 2).tolist())
        values = 10.0 ** rng.uniform(-6, 6) * (rng.standard_normal(shape) + rng.uniform(-5, 5))
        if place % 3 == 1:
            values[rng.random(shape) < 0.4] = np.nan
        if place == 0:
            values = np.full(shape, 17.5)
        name = f"field{place}"
        arrays[name] = values
        keys[name] = {
            "indicatorOfParameter": 11,
            "indicatorOfTypeOfLevel": 105,
            "level": 2,
            "dataDate": 20000229 if place % 2 else 20181231,
            "dataTime": 600,
            "P1": place % 25,
            "decimalScaleFactor": int(rng.integers(-3, 6)) if place % 2 else 0,
            "bitsPerValue": int(rng.integers(1, 31)),
        }
    return arrays, keys


def test_what_eccodes_writes_is_read_as_it_reads_it(tmp_path: Path) -> None:
    arrays, keys = drawn(60)
    np.savez(tmp_path / "given.npz", keys=json.dumps(keys), **arrays)
    eccodes("write", tmp_path / "given.npz", tmp_path / "written.grib")
    assert compare([tmp_path / "written.grib"], tmp_path) == 60


def test_what_the_tests_write_is_grib(tmp_path: Path) -> None:
    """Else they would only show that we read what we write."""
    rng = np.random.default_rng(1)
    messages = [
        layouts.grib1(
            rng.integers(0, 2**width, (5, 7)),
            parameter,
            hours=hours,
            width=width,
            scale=scale,
            binary=-12,
            reference=-3.5,
            there=rng.random((5, 7)) < 0.5 if width == 12 else None,
        )
        for width, scale, hours, parameter in (
            (12, -14, (3,), (11, 105, 2)),
            (12, 0, (24,), (2, 102, 0)),
            (16, 2, (0, 7), (61, 1, 0)),
            (9, 1, (0,), (33, 105, 10)),
        )
    ]
    file = tmp_path / "ours.grib"
    file.write_bytes(b"".join(messages))
    assert compare([file], tmp_path) == 4


@pytest.mark.skipif("GYRE_MIRROR" not in os.environ, reason="GYRE_MIRROR does not name a folder with the real files")
def test_the_real_files(tmp_path: Path) -> None:
    files = sorted(REAL.glob("ar*_*_20180501000000.grib"))
    assert compare(files, tmp_path) == 2 * (25 + 24 + 25 + 24 + 100 + 75)
