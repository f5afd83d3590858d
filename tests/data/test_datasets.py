"""Stored periods as one: cut to days or to moments, complete unless they hold frames."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.data.datasets import concat_times, open_days, require_once
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import write_zarr

HOURS = np.arange("2010-08-24", "2010-08-29", np.timedelta64(6, "h"), dtype="datetime64[ns]")


def stored(folder: Path, form: str, times: np.ndarray) -> Manifest:
    ds = xr.Dataset({"echo": (("time", "y"), np.ones((len(times), 2)))}, {"time": times, "y": [0.0, 1.0]})
    with Artefact(folder / "2010-08.json", kind="dataset", code="test") as out:
        write_zarr(ds, out.payload("2010-08.zarr"), attrs={})
        out.content = {"period": "2010-08", "form": form}
    return read_manifest(folder / "2010-08.json", kind="dataset")


@pytest.mark.parametrize("form", ["maps", "frames"])
def test_days_are_whole_and_moments_belong_to_the_range(tmp_path, form):
    manifest = stored(tmp_path, form, HOURS)
    whole = open_days([manifest], date(2010, 8, 25), date(2010, 8, 26)).time.values
    np.testing.assert_array_equal(whole, HOURS[4:12])
    part = open_days([manifest], datetime(2010, 8, 25, 6), datetime(2010, 8, 26, 12)).time.values
    np.testing.assert_array_equal(part, HOURS[5:11])


def test_a_day_without_data_is_a_gap_of_frames_and_an_error_of_anything_else(tmp_path):
    gap = np.delete(HOURS, slice(8, 12))
    frames = stored(tmp_path, "frames", gap)
    assert len(open_days([frames], date(2010, 8, 25), date(2010, 8, 27)).time) == 8
    (tmp_path / "maps").mkdir()
    maps = stored(tmp_path / "maps", "maps", gap)
    with pytest.raises(DataError, match="holds no data for 2010-08-26"):
        open_days([maps], date(2010, 8, 25), date(2010, 8, 27))
    assert len(open_days([maps], date(2010, 8, 25), date(2010, 8, 27), every_day=False).time) == 8


def test_each_axis_of_times_is_joined_along_itself(tmp_path):
    """Forecasts by their start and true frames by their time; one period has no start."""

    def part(number, starts):
        own = HOURS[4 * number : 4 * number + 4]
        made = xr.Dataset(
            {
                "forecast": (("time", "y"), np.full((starts, 2), float(number))),
                "truth": (("valid_time", "y"), np.arange(8.0).reshape(4, 2) + number),
            },
            {"time": own[:starts], "valid_time": own, "y": [0.0, 1.0], "known": ("y", [1, 0])},
            {"title": str(number)},
        )
        write_zarr(made.chunk(), tmp_path / f"{number}.zarr")
        return xr.open_zarr(tmp_path / f"{number}.zarr", chunks={})

    parts = [part(2, 3), part(0, 2), part(1, 0)]
    joined = concat_times(parts, where=["c", "a", "b"])
    np.testing.assert_array_equal(joined.time, HOURS[[0, 1, 8, 9, 10]])
    np.testing.assert_array_equal(joined.valid_time, HOURS[:12])
    np.testing.assert_array_equal(joined.forecast[:, 0], [0, 0, 2, 2, 2])
    np.testing.assert_array_equal(joined.truth, np.concatenate([part.truth for part in (parts[1], parts[2], parts[0])]))
    np.testing.assert_array_equal(joined.known, [1, 0])
    assert joined.valid_time.encoding["units"] == joined.time.encoding["units"]
    assert joined.truth.chunks is not None
    with pytest.raises(DataError, match="b: y differs from that of a"):
        concat_times([parts[0], parts[1].assign_coords(y=[0.0, 2.0])], where=["a", "b"])


def test_variables_along_other_times_are_refused_and_not_dropped():
    times = HOURS[:4]
    axes = {"time": times, "valid_time": times}
    now = xr.Dataset({"f": ("time", np.ones(4)), "bound": ("valid_time", np.ones(4))}, axes)
    before = xr.Dataset({"f": ("time", np.ones(4)), "bound": (("time", "lead"), np.ones((4, 2)))}, {"time": times})
    for parts in ([now, before], [before, now]):
        with pytest.raises(DataError, match="bound is not along the times of a; make all periods again"):
            concat_times(parts, where=["a", "b"])
    both = xr.Dataset({"f": (("time", "valid_time"), np.ones((4, 4)))}, axes)
    with pytest.raises(DataError, match="f is not along the times of a"):
        concat_times([both, both], where=["a", "b"])


def test_a_time_of_two_files_is_told():
    parts = [xr.Dataset(coords={"time": HOURS[part]}) for part in (slice(0, 6), slice(6, 9))]
    require_once(concat_times(parts, where=["a", "b"]), where="both")
    parts.append(xr.Dataset(coords={"time": HOURS[4:7]}))
    with pytest.raises(DataError, match=r"both: 2010-08-25T00:00:00 occurs in two files, and 2 more do; remove one"):
        require_once(concat_times(parts, where=["a", "b", "c"]), where="both")
