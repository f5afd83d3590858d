"""Files as providers deliver them on a bad day, through the command line: refused with one line, or made right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import Project, command, small_maps

MAPS = small_maps()


def values(change: Callable[[xr.DataArray], xr.DataArray]) -> xr.Dataset:
    return MAPS.assign(adt=change(MAPS.adt).assign_attrs(units="m"))


def days(*index: int) -> xr.Dataset:
    return MAPS.isel(time=list(index))


def axis(name: str, index: int, value: float) -> xr.Dataset:
    changed = MAPS[name].values.copy()
    changed[index] = value
    return MAPS.assign_coords({name: changed})


def times(numbers: np.ndarray, units: str, calendar: str = "standard") -> xr.Dataset:
    return MAPS.assign_coords(time=("time", numbers, {"units": units, "calendar": calendar}))


def units(text: str) -> xr.Dataset:
    return MAPS.assign(adt=MAPS.adt.assign_attrs(units=text))


def issues(times: bool) -> xr.Dataset:
    """Final data up to 20 April, preliminary data after: as the Climate Data Store flags them, or side by side."""
    final = MAPS.time <= np.datetime64("2005-04-20")
    if times:
        return MAPS.assign_coords(expver=("time", np.where(final, "0001", "0005")))
    parts = [MAPS.adt.where(final), MAPS.adt.where(~final)]
    return xr.concat(parts, xr.DataArray([1, 5], dims="expver", name="expver")).to_dataset(name="adt")


NORTH = MAPS.latitude > 34.6
DAY = np.arange(91.0)
SINCE = "days since 2005-04-01"

BAD = {
    "gap (R2)": (days(*range(5), *range(7, 91)), "2005-04-06T00:00 is missing and 1 more"),
    "end is missing": (days(*range(29)), "2005-04-30T00:00 is missing;"),
    "day twice (R1)": (days(*range(10), 9, *range(10, 91)), "2005-04-10T00:00:00 occurs twice"),
    "other time of day": (MAPS.assign_coords(time=MAPS.time + np.timedelta64(12, "h")), "is missing and 29 more"),
    "extra hours": (
        MAPS.assign_coords(time=MAPS.time.values[0] + np.arange(91) * np.timedelta64(12, "h")),
        "2005-04-01T12:00 is not on the declared time step",
    ),
    "360-day calendar": (times(DAY, SINCE, "360_day"), "calendar '360_day'"),
    "no-leap calendar": (times(DAY, SINCE, "noleap"), "calendar 'noleap'"),
    "months since": (times(DAY, "months since 2005-04-01"), "unable to decode time units 'months since"),
    "other time zone": (times(DAY, f"{SINCE} 00:00:00 +02:00"), "2005-04-01T00:00 is missing and 29 more"),
    "year 10218": (times(DAY + 3e6, SINCE), "times lie outside 1677 to 2262"),
    "preliminary and final days": (issues(True), r"mixes issues of the data: expver 0001 and 0005 .* of their own"),
    "preliminary and final side by side": (issues(False), "mixes issues of the data: expver 1 and 5"),
    "unknown unit (R4)": (units("furlong"), "unknown unit 'furlong'"),
    "other quantity": (units("K"), "unit 'K' cannot become 'm'"),
    "all missing": (values(lambda v: v.where(False)), "has no finite value on 2005-04-01"),
    "one map missing": (values(lambda v: v.where(v.time != v.time[3])), "has no finite value on 2005-04-04"),
    "infinite": (values(lambda v: v.where(~NORTH, np.inf)), "holds infinite values on 2005-04-01"),
    "CMIP fill value": (values(lambda v: v.fillna(1e20)), r"value 1e\+20 m on 2005-04-01 is beyond the limit"),
    "netCDF fill value": (values(lambda v: v.fillna(9.969209968386869e36)), r"value 9\.96921e\+36 m .* beyond"),
    "over float32": (values(lambda v: v.fillna(-1e39)), r"value -1e\+39 m .* beyond the limit"),
    "land as 0": (values(lambda v: v.where(NORTH, 0.0)), "exactly 0 at all times .* set zero_is_missing: true"),
    "land as -9999": (values(lambda v: v.where(NORTH, -9999.0)), "exactly -9999 at all times .* as _FillValue"),
    "latitude not a number": (axis("latitude", 3, np.nan), "latitude holds a value that is not finite"),
    "longitude infinite": (axis("longitude", 3, np.inf), "longitude holds a value that is not finite"),
    "latitude twice": (axis("latitude", 3, MAPS.latitude.values[4]), "latitude holds a value twice"),
    "latitude beyond the pole": (axis("latitude", 15, 90.5), "latitude 90.5 is beyond 90 degrees"),
}


def refused(project: Project, message: str) -> None:
    done = project.preprocess()
    assert done.code == 4, done.problems
    assert len(done.problems) == 1, done.problems
    assert re.search(message, done.problems[0]), done.problems[0]
    assert list(project.output.parent.iterdir()) == []


@pytest.mark.parametrize("case", BAD)
def test_refused_with_one_line_and_nothing_written(tmp_path, case):
    maps, message = BAD[case]
    encoding = {"adt": {"_FillValue": None}}
    refused(Project(tmp_path).deliver(maps, encoding=encoding), message)


def test_a_value_beyond_the_declared_limits(tmp_path):
    maps = values(lambda v: v.where(v.time != v.time[7], v - 9999))
    refused(Project(tmp_path).deliver(maps, spec={"valid_min": -5}), "on 2005-04-08 is beyond the limit -5")


def test_damaged_chunks_in_the_providers_file(tmp_path):
    """The first value can be read, so it passes the fetch stage."""
    project = Project(tmp_path)
    project.deliver(MAPS, encoding={"adt": {"zlib": True, "chunksizes": (10, 16, 20)}})
    data = bytearray(project.incoming.read_bytes())
    start = data.rfind(b"\x78\x5e", 0, len(data) // 3)  # begin of a deflated block within April
    assert start > 0
    data[start + 40 : start + 90] = bytes(50)
    project.incoming.write_bytes(data)
    project.raw.unlink()
    refused(project.fetch(), r"maps\.nc: cannot be read: .* fetch it again")


def monthly_of_daily_files(project: Project, change: Callable[[int, xr.Dataset], xr.Dataset]) -> Project:
    """Deliver April as 30 files."""
    where = project.incoming.with_name("{year}{month}{day}.nc")
    project.incoming.parent.mkdir(parents=True)
    for day in range(30):
        maps = change(day, MAPS.isel(time=[day]))
        maps.to_netcdf(where.with_name(f"{MAPS.time.dt.strftime('%Y%m%d').values[day]}.nc"), engine="h5netcdf")
    project.describe(parts="monthly", fetch={"driver": "file", "path": str(where)})
    return project


def test_one_of_thirty_files_lies_on_another_grid(tmp_path):
    def shifted(day: int, maps: xr.Dataset) -> xr.Dataset:
        return maps.assign_coords(latitude=maps.latitude + 0.01) if day == 17 else maps

    project = MonthOfDays(tmp_path)
    monthly_of_daily_files(project, shifted).fetch()
    refused(project, r"20050418\.nc: latitude differs from that of 20050401\.nc")


def test_two_of_thirty_files_hold_the_same_day(tmp_path):
    def repeated(day: int, maps: xr.Dataset) -> xr.Dataset:
        return maps.assign_coords(time=MAPS.time[[16]]) if day == 17 else maps

    project = MonthOfDays(tmp_path)
    monthly_of_daily_files(project, repeated).fetch()
    refused(project, "2005-04-18T00:00 is missing")


class MonthOfDays(Project):
    """A project whose raw part is April."""

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / "2005-04.json"

    def fetch(self) -> Project:
        words = ("fetch", "tiny-adt", "--part", "2005-04", "--catalog", self.folder / "catalog.yaml")
        done = command(*words, "--output", self.raw)
        assert done.code == 0, done.problems
        return self


SAME = {
    "latitude from north to south (R3)": lambda ds: ds.isel(latitude=slice(None, None, -1)),
    "longitudes beyond 180 (R9)": lambda ds: ds.assign_coords(longitude=ds.longitude + 360),
    "days in any order": lambda ds: ds.isel(time=np.random.default_rng(0).permutation(91)),
    "transposed": lambda ds: ds.transpose("longitude", "time", "latitude"),
    "other names": lambda ds: ds.rename(time="t", latitude="lat", longitude="lon"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("plain")).deliver(MAPS)
    assert project.preprocess().code == 0
    return project


@pytest.mark.parametrize("case", SAME)
def test_other_conventions_give_the_same_store_to_the_byte(tmp_path, plain, case):
    project = Project(tmp_path).deliver(SAME[case](MAPS))
    assert project.preprocess().code == 0
    assert read_manifest(project.output).identity == read_manifest(plain.output).identity


def test_thirty_files_give_the_same_store_as_one(tmp_path, plain):
    project = MonthOfDays(tmp_path)
    monthly_of_daily_files(project, lambda day, maps: maps).fetch()
    assert project.preprocess().code == 0
    assert read_manifest(project.output).identity == read_manifest(plain.output).identity


def test_centimetres_are_converted_and_recorded(tmp_path, plain):
    project = Project(tmp_path).deliver(MAPS.assign(adt=(MAPS.adt * 100).assign_attrs(units="cm")))
    assert project.preprocess().code == 0
    assert project.dataset().adt.attrs["units"] == "m"
    assert read_manifest(project.output).content["delivered_units"] == {"adt": "cm"}
    np.testing.assert_allclose(project.dataset().adt, plain.dataset().adt, rtol=1e-6, atol=1e-9)


def test_packed_values_are_stored_unpacked(tmp_path):
    """R8: 50 m in int16 with a scale of 0.001 would wrap around; stores hold plain float32."""
    high = values(lambda v: v + 32)
    packing = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 0.0, "_FillValue": -32768}
    project = Project(tmp_path).deliver(high, encoding={"adt": packing}, preparation=as_is())
    assert project.preprocess().code == 0
    stored = project.dataset().adt
    assert stored.dtype == "float32"
    assert "scale_factor" not in stored.encoding
    np.testing.assert_allclose(stored, high.adt[:30], atol=0.5e-3 + 4e-6)
    project.deliver(values(lambda v: v + 50), preparation=as_is())
    assert project.preprocess().code == 0
    assert float(project.dataset().adt.max()) > 49


def as_is() -> dict:
    return {"name": "as_is", "options": {"variables": ["adt"]}}
