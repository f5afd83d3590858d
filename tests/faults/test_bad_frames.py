"""Frames that are missing, late, damaged or of another place: an error in one line, or a skip that is counted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.rain import RainScale
from tests.faults.project import Outcome, command
from tests.faults.radar import (
    COLUMNS,
    EMPTY,
    INCOMPLETE,
    LEADS,
    ROWLESS,
    ROWS,
    SEEN,
    STEP,
    TESTED,
    TIMES,
    Radar,
    content,
    counts_of,
    frames,
    stretch,
)
from tests.readers.layouts import knmi
from tests.workflow.project import edit_yaml

MONTHS = ("2010-09", "2010-10", EMPTY, ROWLESS)
GAPS = {"2010-09-30T23:35": 2, "2010-10-01T00:10": 1}
"""Cells that two frames of the test lack: few enough for them to be used."""
KNOWN = ROWS * COLUMNS - 1
HERE = stretch("2011-03-01T00:00", 8)


def one_line(done: Outcome, code: int, pattern: str) -> None:
    assert done.code == code, done.problems
    assert len(done.problems) == 1, done.problems
    assert re.search(pattern, done.problems[0]), done.problems[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Radar:
    """The project up to its model and products."""
    folder = tmp_path_factory.mktemp("radar")
    ds = frames(TIMES, folder)
    ds.rain_rate.loc[INCOMPLETE][:, : COLUMNS // 2] = np.nan
    for time, cells in GAPS.items():
        ds.rain_rate.loc[np.datetime64(time, "ns")][1, :cells] = np.nan
    radar = Radar.deliver(folder, ds)
    radar.prepare()
    trained = radar.train()
    assert trained.code == 0, trained.problems
    for period in MONTHS:
        done = radar.predict(period)
        assert done.code == 0, done.problems
    scored = radar.score(*map(radar.product, MONTHS))
    assert scored.code == 0, scored.problems
    return radar


def starts(times: np.ndarray, *, before: int, after: int) -> list[np.datetime64]:
    """Times that so many complete frames in a row precede and follow, sought one by one."""
    there = set(times.tolist()) - {INCOMPLETE.astype(int)}
    step = STEP.astype("timedelta64[ns]").astype(int)
    return [t for t in times if all(int(t.astype(int)) + k * step in there for k in range(-before, after + 1))]


def test_forecasts_start_from_the_first_frames_of_a_month_that_others_precede(made):
    products = [xr.open_zarr(made.product(period).with_suffix(".zarr")) for period in MONTHS[:2]]
    found = np.concatenate([product.time.values for product in products])
    assert found.tolist() == [t.astype(int) for t in starts(TESTED, before=SEEN - 1, after=0)]
    assert np.datetime64("2010-10-01T00:00", "ns") in products[1].time.values
    frame = xr.open_zarr(made.folder / "data/tiny-radar/dataset/2010-10.zarr").echo.sel(time="2010-10-01T00:00")
    for lead in (1, LEADS):
        given = products[1].forecast.sel(time="2010-10-01T00:00", lead=lead)
        np.testing.assert_array_equal(given.values, np.nan_to_num(frame.values))


def test_what_is_scored_is_cut_by_the_test_alone(made):
    expected = starts(TESTED, before=SEEN - 1, after=LEADS)
    assert any(str(t).startswith("2010-09-30T23:55") for t in expected)  # its future lies in October
    sample = content(made.model.parent / "score.json")["sample"]
    assert sample["times"] == [str(np.datetime_as_string(t, unit="m")) for t in expected]


def test_months_without_a_start_are_empty_products_that_say_why(made):
    assert content(made.folder / f"data/tiny-radar/dataset/{EMPTY}.json")["times"] == 0
    empty, rowless = (content(made.product(period)) for period in (EMPTY, ROWLESS))
    assert (empty["times"], empty["frames"]) == (0, 0)
    assert (rowless["times"], rowless["frames"], rowless["too_few_before"]) == (0, 4, 4)
    assert rowless["no_forecast"] == "no two frames are 5 minutes apart, most are 420"
    october = content(made.product("2010-10"))
    assert (october["frames"], october["incomplete"], october["too_few_before"]) == (10, 1, 2)
    assert (october["with_gaps"], october["cells_filled"]) == (1, pytest.approx(1 / (9 * KNOWN)))
    assert not {"with_gaps", "cells_filled"} & {*empty, *rowless}
    again = made.predict(ROWLESS)
    assert again.code == 0
    (warning,) = again.problems
    assert "WARNING" in warning
    assert "2010-12.json: empty, no forecast can start: no two frames are 5 minutes apart, most are 420" in warning


def test_the_report_counts_them(made, tmp_path):
    board, page = tmp_path / "leaderboard.json", tmp_path / "report.json"
    score = made.model.parent / "score.json"
    assert not command("leaderboard", made.experiment, "--scores", score, "--output", board).problems
    products, datasets = map(made.product, MONTHS), made.at(made.datasets("test"))
    shown = ["--models", made.model, "--products", *products, "--datasets", *datasets]
    done = command("report", made.experiment, "--leaderboard", board, *shown, "--output", page)
    assert done.code == 0, done.problems
    text = page.with_suffix(".html").read_text()
    assert "Of the 20 frames in the periods of the test 1 lack too much, and 8 have too few before them" in text
    assert f"; 2 lack less, {100 * 3 / (19 * KNOWN):.2g} % of the cells of all that are used" in text
    assert f"{EMPTY} without any frame; " in text
    assert f"; no forecast starts in {ROWLESS}." in text


def test_a_test_without_any_start_is_one_error(made, tmp_path):
    radar = Radar(Path(shutil.copytree(made.folder, tmp_path / "own")))
    split = {"train": ["2010-08-01", "2010-08-01"], "validation": ["2010-08-03", "2010-08-03"], "gap_days": 0}
    edit_yaml(radar.experiment, split={**split, "test": [f"{EMPTY}-01", f"{ROWLESS}-31"]})
    one_line(radar.score(*map(radar.product, MONTHS[2:])), 4, "no two frames are 5 minutes apart, most are 420")
    edit_yaml(radar.experiment, split={**split, "test": [f"{EMPTY}-01", f"{EMPTY}-30"]})
    one_line(radar.score(radar.product(EMPTY)), 7, r"no forecast of 2 frames from 3 lies in the test .*\(0 frames")


def test_a_training_without_any_frame_is_one_error(made, tmp_path):
    radar = Radar(Path(shutil.copytree(made.folder, tmp_path / "own")))
    months = {"validation": [f"{ROWLESS}-01", f"{ROWLESS}-02"], "test": [f"{ROWLESS}-03", f"{ROWLESS}-31"]}
    edit_yaml(radar.experiment, split={"train": [f"{EMPTY}-01", f"{EMPTY}-30"], "gap_days": 0, **months})
    one_line(radar.train(), 4, "echo: is constant or missing on the training days")
    train = ["2010-08-01", "2010-08-01"]
    edit_yaml(radar.experiment, split={"train": train, "gap_days": 0, **months})
    one_line(radar.train(), 4, "echo: no two frames are 5 minutes apart, most are 420; correct training.step_minutes")
    edit_yaml(
        radar.experiment, split={"train": train, "gap_days": 0, **months, "validation": [f"{EMPTY}-01", f"{EMPTY}-02"]}
    )
    one_line(radar.train(), 4, r"validation: no window of 3 \+ 2 frames is left: 0 frames, 0 of them incomplete")


def halved(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(x=ds.x / 2, y=ds.y / 2)


def elsewhere(ds: xr.Dataset) -> xr.Dataset:
    for axis in ("x", "y"):
        ds[axis].attrs["proj4"] = "+proj=laea +lat_0=52 +lon_0=5"
    return ds


def moved(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(x=ds.x + 1000)  # a cell; as many of them, as far apart


def hidden(ds: xr.Dataset) -> xr.Dataset:
    ds.rain_rate[:, :, :2] = np.nan
    return ds


def negative(ds: xr.Dataset) -> xr.Dataset:
    ds.rain_rate[3, 3, 3] = -1.0
    return ds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.isel(time=slice(None, None, 2)), "no forecast can start: no two frames are 5 minutes apart"),
        (lambda ds: ds.isel(time=[0, 1, 3, 4]), r"no forecast can start: no 3 frames lie in a row \(4 frames, 0"),
        (hidden, r"no forecast can start: no 3 frames lie in a row \(8 frames, 8 of them incomplete\)"),
        (halved, "y has a step of 500 metres, the model was trained on 1000; regrid it first"),
        (
            moved,
            "echo: x goes from .* to .*, the model was trained on cells from .*; cut the same place out, or train a",
        ),
        (elsewhere, "lies in the projection .*laea.*, the model was trained on .*stere"),
        (lambda ds: ds.isel(x=slice(4)), r"echo: frames are \(1, 6, 4\), the model was trained on \(1, 6, 8\)"),
        (negative, "a rain rate is negative"),
    ],
    ids=[
        "wrong step",
        "missing frames",
        "always missing here",
        "other step",
        "other cells",
        "other place",
        "other size",
        "negative",
    ],
)
def test_files_of_ones_own_are_refused_with_one_line(made, tmp_path, change, message):
    file = tmp_path / "own.nc"
    change(frames(HERE, tmp_path)).to_netcdf(file, engine="h5netcdf")
    one_line(made.outside(file, output=tmp_path / "out.zarr"), 4, message)
    assert not (tmp_path / "out.zarr").exists()


def test_a_gap_costs_the_starts_around_it_and_no_others(made, tmp_path):
    file = tmp_path / "own.nc"
    frames(HERE, tmp_path).isel(time=[0, 1, 2, 4, 5, 6, 7]).to_netcdf(file, engine="h5netcdf")
    assert not made.outside(file, output=tmp_path / "out.zarr").problems
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "out.zarr").time, HERE[[2, 6, 7]])


def test_frames_of_two_files_that_overlap_are_refused(made, tmp_path):
    for name, part in (("early", slice(0, 5)), ("late", slice(3, 8))):
        frames(HERE[part], tmp_path).to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
    done = made.outside(tmp_path / "early.nc", tmp_path / "late.nc", output=tmp_path / "out.zarr")
    one_line(done, 4, "and 1 more: 2011-03-01T00:15:00 occurs in two files, and 1 more do; remove one of them")


def test_a_forecast_says_what_its_shares_stand_for(made, tmp_path):
    """Whoever has the product alone gets the rain rates of the file that it was made of."""
    file, ds = tmp_path / "own.nc", frames(HERE, tmp_path)
    ds.to_netcdf(file, engine="h5netcdf")
    assert not made.outside(file, output=tmp_path / "out.zarr").problems
    product = xr.open_zarr(tmp_path / "out.zarr").forecast
    scale = RainScale.of_attributes(product.attrs)
    persisted = scale.to_rate(product.sel(lead=1).values)
    rates = ds.sortby("y").rain_rate.values[SEEN - 1 :]
    seen = np.isfinite(rates)
    np.testing.assert_allclose(persisted[seen], np.where(rates > scale.lowest_rate, rates, 0)[seen], rtol=1e-4)
    # A model that asks for reflectivities knows them from the same attributes.
    sizes = content(made.model)["spec"]["sizes"]
    assert (sizes["lowest_dbz"], sizes["highest_dbz"]) == (scale.lowest_dbz, scale.highest_dbz)


def test_dry_frames_are_weather(made, tmp_path):
    file, ds = tmp_path / "own.nc", frames(HERE, tmp_path)
    ds.assign(rain_rate=ds.rain_rate * 0).to_netcdf(file, engine="h5netcdf")
    assert not made.outside(file, output=tmp_path / "out.zarr").problems
    dry = xr.open_zarr(tmp_path / "out.zarr").forecast
    assert dry.sizes["time"] == len(HERE) - SEEN + 1
    assert not dry.any()


def test_negative_rain_does_not_vanish_in_a_mean(tmp_path):
    ds = frames(TIMES, tmp_path)
    ds.rain_rate[40, 2:4, 2:4] = [[-1.0, 5.0], [5.0, 5.0]]
    options = {"variable": "rain_rate", "a": 200.0, "b": 1.6, "lowest_dbz": -10.0, "highest_dbz": 60.0, "reduce": 2}
    radar = Radar.deliver(tmp_path / "own", ds, preparation={"name": "rain_frames", "options": options})
    where = ("--catalog", radar.folder / "config/catalog.yaml")
    raw, output = radar.folder / "raw/all.json", radar.folder / "dataset/2010-09.json"
    assert not command("fetch", "tiny-radar", *where, "--output", raw).problems
    done = command("preprocess", "tiny-radar", "--period", "2010-09", "--raw", raw, *where, "--output", output)
    one_line(done, 4, "a rain rate is negative")


def test_files_of_a_radar_are_read_by_its_reader(made, tmp_path):
    ends = [str(t.astype("datetime64[m]")) for t in HERE[:4]]
    files = [knmi(tmp_path, counts_of(i), end=end) for i, end in enumerate(ends)]
    done = made.outside(*files, output=tmp_path / "out.zarr", more=["--reader", "knmi_radar"])
    assert not done.problems
    frames(HERE[:4], tmp_path).to_netcdf(tmp_path / "same.nc", engine="h5netcdf")
    assert not made.outside(tmp_path / "same.nc", output=tmp_path / "same.zarr").problems
    ours, same = (xr.open_zarr(tmp_path / name).forecast for name in ("out.zarr", "same.zarr"))
    assert ours.shape == (2, LEADS, ROWS, COLUMNS)
    xr.testing.assert_equal(ours, same)
    wrong = made.outside(*files, output=tmp_path / "no.zarr", more=["--reader", "knmi"])
    one_line(wrong, 2, "knmi_radar")
    one_line(made.outside(*files, output=tmp_path / "no.zarr"), 4, "is not a readable netCDF file|has no variable")
