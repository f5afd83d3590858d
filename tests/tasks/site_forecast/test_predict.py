"""Products by period against those of the whole record, and what does not fit into memory."""

from __future__ import annotations

import dataclasses
import json
import pickle
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.errors import ConfigError, DataError, ScoreError, StoreError
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.predict.stage import predict_file, predict_period
from pipeline_lib.report.numbers import quantity
from pipeline_lib.tasks.site_forecast.columns import Columns, site_of
from pipeline_lib.tasks.site_forecast.curves import draw_example
from pipeline_lib.tasks.site_forecast.fields import MappedFields
from pipeline_lib.tasks.site_forecast.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.site_forecast.predict import product
from pipeline_lib.tasks.site_forecast.score import score_stores
from pipeline_lib.tasks.site_forecast.windows import read_windows
from tests.tasks.site_forecast.stored import stored_dataset, stored_model, stored_request

CONFIG = Path(__file__).parents[3] / "config"
START, SIDE, SEEN, LEADS = np.datetime64("2016-05-30T00:00", "ns"), 3, 3, 2
INPUTS = ["u", "p", "nwp_u"]
SCALES = dict.fromkeys(INPUTS, (0.5, 2.0))
HOURLY = {"nwp": ("nwp_u",), "nwp_run_hours": 3, "nwp_delay_hours": 0, "seen": SEEN, "leads": LEADS}
WITH_PREDICTION = TrainingOptions(**HOURLY, step_minutes=60, missing=0.2)
WITHOUT = TrainingOptions(seen=SEEN, leads=LEADS, step_minutes=60)
METRICS = ScoringOptions(metrics=["site_rmse"])


def record(hours: int, side: int = SIDE) -> xr.Dataset:
    """Two series and a prediction, an hour apart, from the end of May on."""
    rng = np.random.default_rng(0)
    values = {name: ("time", rng.normal(size=hours), {"units": "1"}) for name in ("u", "p")}
    values["nwp_u"] = (("time", "row", "column"), rng.normal(size=(hours, side, side)), {"units": "1"})
    coords = {"time": START + np.arange(hours) * np.timedelta64(1, "h")}
    coords |= {"station_row": ("station", [1.0]), "station_column": ("station", [2.0])}
    return xr.Dataset(values, coords).astype("float32")


def model(folder: Path, ds: xr.Dataset, training: TrainingOptions, **more: object) -> Manifest:
    """A model that learns nothing."""
    inputs = INPUTS if training.nwp else INPUTS[:2]
    name = "nwp_nearest" if training.nwp else "persistence_series"
    return stored_model(folder, name, site_of(ds, inputs, training, SCALES), inputs, training, **more)


@pytest.mark.parametrize("training", [WITH_PREDICTION, WITHOUT])
def test_periods_one_after_the_other_hold_the_forecasts_of_the_whole_record(tmp_path, training):
    ds = record(96)
    ds.u.values[[20, 70]] = np.nan
    ds.nwp_u.values[60] = np.nan
    trained = model(tmp_path, ds, training)
    whole = product(trained, ds, device="cpu", threads=None)
    halves = [ds.isel(time=slice(0, 48)), ds.isel(time=slice(48, 96))]
    first = product(trained, halves[0], device="cpu", threads=None)
    second = product(trained, halves[1], device="cpu", threads=None, before=halves[0])
    xr.testing.assert_identical(xr.concat([first, second], "time").drop_attrs(), whole.drop_attrs())
    if training.nwp:
        late = whole.attrs["facts"]["before_the_run"]
        assert late == sum(part.attrs["facts"]["before_the_run"] for part in (first, second)) > 0
        assert first.attrs["facts"]["left_to_the_next_period"] == LEADS
        assert second.attrs["facts"]["no_prediction"] == whole.attrs["facts"]["no_prediction"] > 0
        # Every time is a start or counted once.
        facts = whole.attrs["facts"]
        assert facts["frames"] == whole.sizes["time"] + sum(n for name, n in facts.items() if name != "frames")


def test_a_month_in_which_no_forecast_can_start_is_empty_and_the_others_are_scored(tmp_path):
    ds = record(96)
    months = [ds.isel(time=slice(0, 48)), ds.isel(time=slice(48, 96))]
    months[1].nwp_u.values[::2] = np.nan
    (tmp_path / "model").mkdir()
    trained = model(tmp_path / "model", ds, WITH_PREDICTION)
    manifests = [stored_dataset(tmp_path, month) for month in months]
    for number, name in enumerate(("05", "06")):
        before = [manifests[0].path] if number else []
        where = {"model": trained.path, "dataset": manifests[number].path, "output": tmp_path / f"products/{name}.json"}
        predict_period(**where, device="cpu", threads=None, code="test", before=before)
    told = [read_manifest(tmp_path / f"products/{name}.json", kind="product").content for name in ("05", "06")]
    assert "no_forecast" not in told[0]
    assert told[1]["times"] == 0
    assert told[1]["incomplete"] == 24
    assert "no time with 3 in a row, and a prediction that was there" in told[1]["no_forecast"]
    stores = [xr.open_zarr(tmp_path / f"products/2016-{name}.zarr") for name in ("05", "06")]
    assert stores[0].sizes["time"]
    counts, _ = score_stores(
        xr.concat(stores, "time", combine_attrs="override"), None, xr.concat(months, "time"), METRICS, where="m"
    )
    assert counts.sizes["time"] == stores[0].sizes["time"]
    with pytest.raises(ScoreError, match="no forecast from 3 times lies in the test"):
        score_stores(stores[1], None, months[0], METRICS, where="m")


def test_a_file_from_outside_without_any_start_is_refused(tmp_path):
    outside = record(2).drop_vars(["nwp_u", "station_row", "station_column"])
    outside.to_netcdf(tmp_path / "two.nc")
    recipe = {"preparation": "as_is", "variables": ["u", "p"], "dtype": "float32"}
    contract = {name: {"units": "1"} for name in ("u", "p")}
    trained = model(tmp_path, record(20), WITHOUT, preparation=recipe, form="states", variables=contract)
    asked = {"model": trained.path, "sources": [tmp_path / "two.nc"], "names": {}, "output": tmp_path / "out.zarr"}
    with pytest.raises(DataError, match=r"two.nc: no forecast can start: there is no time with 3 in a row \(2 frames"):
        predict_file(**asked, device="cpu", threads=None)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("form", ["states", "stations"])
def test_files_from_outside_that_hold_the_same_times_are_refused(tmp_path, form):
    outside = record(9).drop_vars(["nwp_u", "station_row", "station_column"])
    if form == "stations":
        outside = outside.expand_dims(station=[0], axis=1)
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder, part in zip(folders, (slice(0, 5), slice(5, 9), slice(3, 9)), strict=True):
        folder.mkdir()
        outside.isel(time=part).to_netcdf(folder / f"{folder.name}.nc")
    outside.isel(time=slice(5, 9)).to_netcdf(folders[1] / "first.nc")
    recipe = {"preparation": "as_is", "variables": ["u", "p"], "dtype": "float32"}
    contract = {name: {"units": "1"} for name in ("u", "p")}
    training = WITHOUT.model_copy(update={"station": 0, "neighbours": ()} if form == "stations" else {})
    whole = {**outside.data_vars, "nwp_u": record(9).nwp_u}
    trained = model(tmp_path, xr.Dataset(whole), training, preparation=recipe, form=form, variables=contract)

    def made(*files: str) -> xr.Dataset:
        sources, output = [tmp_path / file for file in files], tmp_path / "out.zarr"
        predict_file(model=trained.path, sources=sources, names={}, output=output, device="cpu", threads=None)
        return xr.open_zarr(output)

    with pytest.raises(DataError, match=r"and 1 more: 2016-05-30T03:00:00 occurs in two files, and 1 more do"):
        made("first/first.nc", "third/third.nc")
    with pytest.raises(ConfigError, match=r"--input: several files are called first.nc"):
        made("first/first.nc", "second/first.nc")
    assert not (tmp_path / "out.zarr").exists()
    assert made("second/second.nc", "first/first.nc").time.values.tolist() == outside.time.values[SEEN - 1 :].tolist()


def test_a_file_from_outside_is_forecast_from_every_time_and_only_a_test_is_thinned_out(tmp_path):
    outside = record(12).drop_vars(["nwp_u", "station_row", "station_column"])
    outside.to_netcdf(tmp_path / "own.nc")
    recipe = {"preparation": "as_is", "variables": ["u", "p"], "dtype": "float32"}
    contract = {name: {"units": "1"} for name in ("u", "p")}
    thinned = WITHOUT.model_copy(update={"stride": 4})
    trained = model(tmp_path, record(20), thinned, preparation=recipe, form="states", variables=contract)
    asked = {"model": trained.path, "sources": [tmp_path / "own.nc"], "names": {}, "output": tmp_path / "out.zarr"}
    predict_file(**asked, device="cpu", threads=None)
    assert xr.open_zarr(tmp_path / "out.zarr").time.values.tolist() == outside.time.values[SEEN - 1 :].tolist()
    test = product(trained, outside, device="cpu", threads=None)
    assert test.time.values.tolist() == outside.time.values[SEEN - 1 :: 4].tolist()


def test_the_sums_of_one_split_hold_nothing_of_the_next():
    deeprain = load_yaml(CONFIG / "experiments/deeprain.yaml")
    assert deeprain["training"]["accumulated_hours"] == 2
    split = load_experiment(CONFIG / "experiments/deeprain.yaml").spec.split
    for first, second in pairwise((split.train, split.validation, split.test)):
        assert second.since - first.until > timedelta(hours=2)


def test_splits_that_are_nearer_than_a_sum_reaches_are_refused(tmp_path):
    deeprain = load_yaml(CONFIG / "experiments/deeprain.yaml")
    deeprain["training"]["accumulated_hours"] = 2.5
    (tmp_path / "deeprain.yaml").write_text(yaml.safe_dump(deeprain))
    with pytest.raises(ConfigError, match=r"days lie between train .* 0.104167 are needed"):
        load_experiment(tmp_path / "deeprain.yaml")


def lazily(ds: xr.Dataset, folder: Path) -> xr.Dataset:
    """The same in a store, in several chunks."""
    write_zarr(ds, folder / f"{ds.sizes['time']}.zarr", attrs={})
    return xr.open_zarr(folder / f"{ds.sizes['time']}.zarr", chunks={})


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that numpy and Python held while something was done."""
    work()  # what is imported and kept at the first time
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_fields_of_a_record(tmp_path, monkeypatch):
    side, short, long = 64, 24, 120
    monkeypatch.setattr("pipeline_lib.io.zarr_store.CHUNK_BYTES", 8 * 4 * side**2)
    monkeypatch.setattr("pipeline_lib.tasks.site_forecast.predict._BATCH", 4)
    records = [lazily(record(hours, side), tmp_path) for hours in (short, long)]
    trained = model(tmp_path, records[0], WITH_PREDICTION)

    def trains(ds: xr.Dataset) -> None:
        columns = Columns.of(ds, INPUTS, WITH_PREDICTION, dict.fromkeys(INPUTS, 0.0)).mapped(tmp_path / "run")
        assert columns.ahead.shape == (ds.sizes["time"], 1, side, side)

    with dask.config.set(scheduler="synchronous"):
        made = [product(trained, ds, device="cpu", threads=None) for ds in records]
        for work in (
            lambda number: trains(records[number]),
            lambda number: product(trained, records[number], device="cpu", threads=None),
            lambda number: score_stores(made[number], None, records[number], METRICS, where="m"),
        ):
            taken = [peak(lambda number=number, work=work: work(number)) for number in (0, 1)]
            assert taken[1] - taken[0] < 0.5 * (long - short) * 4 * side**2


def test_windows_are_cut_from_a_file_with_the_values_of_the_dataset(tmp_path):
    ds = record(30)
    ds.nwp_u.values[12, 0, 0] = np.nan
    read = read_windows(stored_request(tmp_path, ds, INPUTS), WITH_PREDICTION, "train")
    assert isinstance(read.columns.ahead, MappedFields)
    assert isinstance(read.columns.ahead.values.values, np.memmap)
    assert list((tmp_path / "run").iterdir()) == []  # nothing that a process which is killed could leave
    there = Columns.of(ds, INPUTS, WITH_PREDICTION, dict.fromkeys(INPUTS, 0.5))
    stored = dataclasses.replace(read, columns=there)
    handed = pickle.loads(pickle.dumps(read))
    assert handed.identity == read.identity
    for windows in (stored, handed):
        for part, expected in zip(windows.cut(np.arange(9)), read.cut(np.arange(9)), strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=0, equal_nan=True)
    with pytest.raises(TypeError, match="not read as a whole"):
        _ = stored.identity
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot be written: .* make room: a training keeps its fields there, 0 MB"):
        there.mapped(file / "run")


def example(ds: xr.Dataset, starts: np.ndarray, **rules: object) -> list:
    """The panels of the figure, of a forecast of zeros from these times."""
    told = json.dumps({"step_minutes": 60.0, "station": None, **rules})
    attrs = {"rules": told, "inputs": json.dumps(INPUTS)}
    forecast = xr.Dataset(
        {"forecast": (("time", "lead", "target"), np.zeros((len(starts), LEADS, 1), np.float32), attrs)},
        {"time": starts, "lead": np.arange(1, LEADS + 1)},
    )
    runs = SimpleNamespace(runs=[None], colour="C0", dash="-", title="model")
    return draw_example(SimpleNamespace(valid=[runs], product=lambda _: forecast, dataset=ds)).figure.axes


def test_the_example_finds_the_truth_at_times_that_files_rounded():
    ds = record(40)
    shifts = np.random.default_rng(1).integers(-400, 401, 40) * np.timedelta64(1, "ms")
    ds = ds.assign_coords(time=ds.time.values + shifts)
    panels = example(ds, ds.time.values[2:32])
    assert len(panels) == LEADS
    assert panels[0].get_ylabel() == quantity(ds.u.attrs, "u")
    for lead, panel in enumerate(panels, start=1):
        np.testing.assert_array_equal(panel.lines[0].get_ydata(), ds.u.values[2 + lead : 32 + lead])


@pytest.mark.parametrize("stride", [1, 3])
def test_the_example_s_lines_end_where_times_or_starts_are_missing(stride):
    """Starts of some hours of each day and one that stands alone; the truth lacks two times."""
    ds = record(60)
    starts = [5, 6, 7, 8, 9, 20, 30, 31, 33] if stride == 1 else [5, 8, 11, 20, 30, 33]
    lines = {1: [[5, 6, 7, 8, 9], [20], [30, 31], [33]], 3: [[5, 8, 11], [20], [30, 33]]}[stride]
    times = ds.time.values
    truth, forecast = example(ds.isel(time=np.delete(np.arange(60), [15, 16])), times[starts], stride=stride)[0].lines

    def pieces(line) -> list[list[int]]:
        there, hours = ~np.isnan(line.get_ydata()), (line.get_xdata() - times[0]) / np.timedelta64(1, "h")
        cuts = np.flatnonzero(~there)
        return [part.astype(int).tolist() for part in np.split(hours[there], np.cumsum(there)[cuts])]

    assert pieces(truth) == [list(range(6, 15)), list(range(17, 35))]
    assert pieces(forecast) == [[start + 1 for start in part] for part in lines]
    alone = [forecast.get_xdata()[i] for i in forecast.get_markevery()]
    assert alone == [times[part[0] + 1] for part in lines if len(part) == 1]
    assert truth.get_marker() == "None"


def test_the_example_shows_the_truth_where_forecasts_are_if_all_stand_alone():
    """As those of sequences, each with one forecast: between them lies a hundred times as much truth."""
    ds, starts = record(60), [5, 9, 20, 33]
    times = ds.time.values
    truth, forecast = example(ds, times[starts])[0].lines
    np.testing.assert_array_equal(truth.get_xdata(), times[starts] + np.timedelta64(1, "h"))
    np.testing.assert_array_equal(truth.get_ydata(), ds.u.values[np.array(starts) + 1])
    assert (truth.get_marker(), truth.get_linestyle()) == ("_", "None")
    assert len(forecast.get_markevery()) == len(starts)
