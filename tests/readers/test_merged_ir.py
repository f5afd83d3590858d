"""Merged infrared: two half hours in each file, held against its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.readers.merged_ir import MergedIr
from tests.readers.layouts import merged_ir

NAME = "merg_2015010104_4km-pixel.nc4"
TIMES = ("2015-01-01T04:00", "2015-01-01T04:30")
VALUES = np.random.default_rng(0).uniform(190, 310, (2, 6, 8))


def test_both_frames_with_gaps(tmp_path: Path) -> None:
    holes = VALUES.copy()
    holes[1, 2:4, 3] = np.nan
    file = merged_ir(tmp_path / NAME, holes, TIMES)
    MergedIr.check(file, ["Tb"])
    [ds] = MergedIr.open([file]).values()
    np.testing.assert_array_equal(ds.Tb, holes.astype("float32"))
    np.testing.assert_array_equal(ds.time, np.array(TIMES, dtype="datetime64[ns]"))


def test_an_hour_may_lack_a_frame(tmp_path: Path) -> None:
    [ds] = MergedIr.open([merged_ir(tmp_path / NAME, VALUES[:1], TIMES[1:])]).values()
    assert ds.time.values.tolist() == np.array(TIMES[1:], dtype="datetime64[ns]").tolist()


@pytest.mark.parametrize(
    ("name", "times", "told"),
    [
        (NAME, ("2015-01-01T05:00", "2015-01-01T05:30"), "holds 2015-01-01T05:30, not as its name says"),
        (NAME, ("2015-01-01T04:00", "2015-01-01T04:20"), "holds 2015-01-01T04:20"),
        ("merg_2015010125_4km-pixel.nc4", TIMES, "not called after an hour"),
        ("ir.nc4", TIMES, "is not called merg_"),
    ],
)
def test_another_hour_than_the_name_says_is_refused(
    tmp_path: Path, name: str, times: tuple[str, str], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        MergedIr.check(merged_ir(tmp_path / name, VALUES, times), ["Tb"])


def test_damage_is_told(tmp_path: Path) -> None:
    file = merged_ir(tmp_path / NAME, VALUES, TIMES)
    with pytest.raises(DataError, match="has no variable 'TB'; known: Tb"):
        MergedIr.check(file, ["TB"])
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match="is not a readable netCDF-4 file"):
        MergedIr.check(file, ["Tb"])
