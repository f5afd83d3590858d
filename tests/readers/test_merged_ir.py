"""Merged infrared: two half hours in each file, held against its name."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.catalog import Catalog
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.readers.merged_ir import MergedIr
from tests.fetch.helpers import write_catalog
from tests.readers.layouts import merged_ir
from tests.readers.preprocessing import preprocess

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


def test_a_day_goes_on_without_the_hours_that_the_archive_lacks(tmp_path: Path) -> None:
    kept = (0, 1, 3)
    for hour in kept:
        times = (f"2015-01-01T{hour:02}:00", f"2015-01-01T{hour:02}:30")
        merged_ir(tmp_path / f"merg_20150101{hour:02}_4km-pixel.nc4", VALUES, times)
    made = copy.deepcopy(load_yaml(Path("config/catalog.yaml"))["sources"]["merged-ir"])
    gyre = made["metadata"]["gyre"]
    gyre["time"] = {"start": "2015-01-01", "step_hours": 0.5, "daily_from": "2015-01-01"}
    gyre["fetch"] |= {"path": f"{tmp_path}/{{file}}", "files": gyre["fetch"]["files"][:4]}
    source = Catalog.load(write_catalog(tmp_path, merged_ir=made)).source("merged-ir")
    raw, out = tmp_path / "raw" / "2015-01-01.json", tmp_path / "dataset" / "2015-01-01.json"
    fetch_source(source, part="2015-01-01", output=raw, code="c")
    assert read_manifest(raw).content["absent"] == ["merg_2015010102_4km-pixel.nc4"]
    preprocess(source, raw, out, "2015-01-01")
    ds = open_days([read_manifest(out, verify="deep")], *source.days("2015-01-01"))
    minutes = (ds.time.values - np.datetime64("2015-01-01")) / np.timedelta64(1, "m")
    assert minutes.tolist() == [60 * hour + half for hour in kept for half in (0, 30)]
