"""A tiny radar whose record has holes, and the stages on it, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pipeline_lib.plan import Plan
from pipeline_lib.readers.knmi_radar import KnmiRadar
from tests.faults.project import Outcome, command
from tests.faults.stages import plan_of
from tests.readers.layouts import MISSING, knmi
from tests.workflow.project import catalog, write_files

ROWS, COLUMNS = 6, 8
SEEN, LEADS, STRIDE = 3, 2, 1
STEP = np.timedelta64(5, "m")
EMPTY, ROWLESS = "2010-11", "2010-12"
"""Months without any frame, and without two in a row."""


def stretch(first: str, frames: int, step: np.timedelta64 = STEP) -> np.ndarray:
    """Times of frames in a row."""
    return np.datetime64(first, "ns") + np.arange(frames) * step


TRAINED = np.concatenate([stretch("2010-08-01T00:00", 30), stretch("2010-08-03T00:00", 10)])
TESTED = np.concatenate(
    [
        stretch("2010-09-30T23:30", 12),  # six frames before midnight, six after
        stretch("2010-10-02T00:00", 4),
        stretch(f"{ROWLESS}-01T00:00", 4, np.timedelta64(7, "h")),
    ]
)
TIMES = np.concatenate([TRAINED, TESTED])
INCOMPLETE = np.datetime64("2010-10-02T00:00", "ns")
"""A frame of the test that lacks half of its cells."""


def counts_of(number: int) -> np.ndarray:
    """Hundredths of a millimetre of a shower that moves; no radar sees the first cell."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    counts = (300 * np.exp(-(((y - 3) ** 2 + (x - number % COLUMNS) ** 2) / 4))).astype(int)
    counts[0, 0] = MISSING
    return counts


def frames(times: np.ndarray, folder: Path) -> xr.Dataset:
    """Rain rates (time, y, x) in mm/h on the grid of a composite."""
    (one,) = KnmiRadar.open([knmi(folder, counts_of(0))]).values()
    counts = np.stack([counts_of(i) for i in range(len(times))]).astype(float)
    values = np.where(counts == MISSING, np.nan, counts * 0.12)
    ds = xr.Dataset({"rain_rate": (one.rain_rate.dims, values, one.rain_rate.attrs)}, one.drop_vars("time").coords)
    return ds.assign_coords(time=times)


EXPERIMENT: dict[str, Any] = {
    "title": "Tiny radar",
    "task": "nowcasting",
    "source": "tiny-radar",
    "inputs": ["echo"],
    "split": {
        "train": ["2010-08-01", "2010-08-01"],
        "validation": ["2010-08-03", "2010-08-03"],
        "test": ["2010-09-30", "2010-12-31"],
        "gap_days": 0,
    },
    "training": {"seen": SEEN, "leads": LEADS, "stride": STRIDE, "step_minutes": 5},
    "scoring": {"metrics": ["frame_mse", "csi_0.5"]},
    "models": ["last_frame"],
}
PREPARATION = {
    "name": "rain_frames",
    "options": {"variable": "rain_rate", "a": 200.0, "b": 1.6, "lowest_dbz": -10.0, "highest_dbz": 60.0},
}


@dataclass(frozen=True)
class Radar:
    """A project on such a record."""

    folder: Path

    @classmethod
    def deliver(cls, folder: Path, ds: xr.Dataset, **changed: Any) -> Radar:
        """Write the provider's file, catalog, configuration and experiment."""
        file = folder / "incoming" / "maps.nc"
        file.parent.mkdir(parents=True)
        ds.to_netcdf(file, engine="h5netcdf")
        raw = catalog(file)
        entry = raw["sources"].pop("tiny-adt")
        entry["args"]["urlpath"] = "{{ data_dir }}/tiny-radar/raw/maps.nc"
        entry["metadata"]["gyre"] |= {
            "variables": {"rain_rate": {"name": "rain_rate", "units": "mm h-1"}},
            "time": {"start": "2010-08-01", "end": "2010-12-31", "step_hours": 1 / 12},
            "form": "frames",
            "preparation": PREPARATION,
        } | changed
        raw["sources"]["tiny-radar"] = entry
        write_files(folder, "tiny", EXPERIMENT, raw, device="cpu")
        return cls(folder)

    @property
    def experiment(self) -> Path:
        """The experiment's file."""
        return self.folder / "config/experiments/tiny.yaml"

    @property
    def model(self) -> Path:
        """Manifest of the model."""
        return self.folder / "results/tiny/last_frame/seed0/model.json"

    @property
    def plan(self) -> Plan:
        """The plan, with paths relative to the folder."""
        return plan_of(self.folder)

    def at(self, paths: Iterable[str]) -> list[Path]:
        """Return paths of the plan as they are from here."""
        return [self.folder / path for path in paths]

    def prepare(self) -> None:
        """Fetch, and preprocess every period that the experiment needs."""
        where = ("--catalog", self.folder / "config/catalog.yaml")
        raw = self.folder / "data/tiny-radar/raw/all.json"
        assert not command("fetch", "tiny-radar", *where, "--output", raw).problems
        for period, path in zip(self.periods, self.at(self.datasets(*self.splits)), strict=True):
            done = command("preprocess", "tiny-radar", "--period", period, "--raw", raw, *where, "--output", path)
            assert done.code == 0, done.problems

    splits = ("train", "validation", "test")

    @property
    def periods(self) -> list[str]:
        """All periods of the experiment."""
        return self.plan.periods("tiny", *self.splits)

    def datasets(self, *splits: str) -> list[str]:
        """Manifests of the datasets of some splits."""
        return self.plan.datasets("tiny", *splits)

    def train(self) -> Outcome:
        """Statistics and training of the one model."""
        statistics = self.folder / "results/tiny/statistics.json"
        done = command(
            "statistics", self.experiment, "--datasets", *self.at(self.datasets("train")), "--output", statistics
        )
        if done.code:
            return done
        learnt = self.at(self.datasets("train", "validation"))
        which = ("--model", "last_frame", "--seed", 0, "--statistics", statistics, "--device", "cpu", "--threads", 1)
        return command("train", self.experiment, *which, "--datasets", *learnt, "--output", self.model)

    def predict(self, period: str) -> Outcome:
        """Predict a period of the test as the workflow does."""
        dataset, before = self.plan.dataset_of("tiny", period), self.plan.datasets_before("tiny", period)
        words = ["--dataset", self.folder / dataset, "--before", *self.at(before), "--output", self.product(period)]
        return command("predict", "--model", self.model, *words, "--device", "cpu", "--threads", 1)

    def product(self, period: str) -> Path:
        """Manifest of a product."""
        return self.model.parent / "products" / f"{period}.json"

    def score(self, *products: Path) -> Outcome:
        """Score the test."""
        words = ["--products", *products, "--datasets", *self.at(self.datasets("test"))]
        which = ("--model", "last_frame", "--seed", 0)
        return command("score", self.experiment, *which, *words, "--output", self.model.parent / "score.json")

    def outside(self, *files: Path, output: Path, more: Iterable[object] = ()) -> Outcome:
        """Predict files of one's own."""
        words = ["--input", *files, "--output", output, "--device", "cpu", "--threads", 1]
        return command("predict", "--model", self.model, *words, *more)


def content(manifest: Path) -> dict[str, Any]:
    """What a manifest says."""
    said: dict[str, Any] = json.loads(manifest.read_text())["content"]
    return said
