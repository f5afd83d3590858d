"""Tiny experiments on frames, through all stages by the command line, in this process."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.learning.model_store import load_model
from tests.faults.project import command
from tests.faults.stages import jobs, plan_of
from tests.workflow.project import catalog, write_files


def write_frames_project(folder: Path, experiment: dict, *, entry: dict | None = None, **block) -> None:
    """Write catalog, configuration and experiment of a source of frames, whose raw data is ``maps.nc``.

    ``entry`` replaces what the catalog's entry says of other files, ``block`` is what describes the source.
    """
    raw = catalog(Path(__file__))
    made = raw["sources"].pop("tiny-adt")
    made["args"]["urlpath"] = f"{{{{ data_dir }}}}/{experiment['source']}/raw/maps.nc"
    made |= entry or {}
    made["metadata"]["gyre"] |= {"form": "frames", **block}
    raw["sources"][experiment["source"]] = made
    write_files(folder, "tiny", experiment, raw, device="cpu")


@dataclass(frozen=True)
class Finished:
    """What an experiment of one seed and one period left behind."""

    folder: Path
    source: str
    period: str

    @classmethod
    def of(cls, folder: Path, source: str, period: str, *, report: bool = True) -> Finished:
        """Run all stages, or all but the report, which takes as long as the others together."""
        plan = plan_of(folder)
        with contextlib.chdir(folder):
            for job in (job for job in jobs(plan, "tiny") if report or job.stage != "report"):
                done = command(*job.arguments)
                assert done.code == 0, (job.arguments, done.problems)
        return cls(folder, source, period)

    @property
    def results(self) -> Path:
        """Folder of the experiment's results."""
        return self.folder / "results/tiny"

    def dataset(self) -> xr.Dataset:
        """The frames, of all splits."""
        manifest = read_manifest(self.folder / f"data/{self.source}/dataset/{self.period}.json", verify="deep")
        return xr.open_zarr(manifest.file(f"{self.period}.zarr")).load()

    def product(self, model: str) -> xr.Dataset:
        """The forecasts of a competitor."""
        file = self.results / model / f"seed0/products/{self.period}.json"
        return xr.open_zarr(read_manifest(file, kind="product", verify="deep").file(f"{self.period}.zarr")).load()

    def model(self, name: str) -> Manifest:
        """Manifest of a competitor's model."""
        return read_manifest(self.results / name / "seed0/model.json", kind="model", verify="deep")

    def counts(self, model: str) -> xr.Dataset:
        """What a competitor's scores are made of."""
        return read_counts(self.results / model / "seed0/counts.parquet")

    def scores(self) -> pd.Series:
        """Values of the leaderboard by model and metric."""
        return pd.read_csv(self.results / "leaderboard.csv").set_index(["model", "metric"])["value"]

    def history(self, model: str) -> pd.DataFrame:
        """What the training logged, epoch by epoch."""
        return pd.read_csv(self.results / model / "seed0/history.csv")

    def forecast(self, model: str, frames: np.ndarray, starts: list[int], seen: int) -> np.ndarray:
        """Forecasts (start, lead, y, x) that the stored weights make of frames; a gap is seen as 0."""
        network = load_model(self.model(model).path).network.eval()
        past = np.stack([np.nan_to_num(frames[i - seen + 1 : i + 1]) for i in starts])[:, :, None]
        with torch.inference_mode():
            return network.forecast(torch.from_numpy(past)).numpy().astype(float)


def futures(frames: np.ndarray, starts: list[int], leads: int) -> np.ndarray:
    """The true frames (start, lead, y, x) after each start."""
    return np.stack([frames[i + 1 : i + 1 + leads] for i in starts]).astype(float)


def starts_within(
    times: np.ndarray, first: str, last: str, *, seen: int, leads: int, step: np.timedelta64
) -> list[int]:
    """Places of the frames that so many up to them and after them lie in a row with, all within a stretch of time."""
    inside = (times >= np.datetime64(first)) & (times <= np.datetime64(last))
    return [
        i
        for i in range(seen - 1, len(times) - leads)
        if inside[i - seen + 1 : i + 1 + leads].all()
        and times[i + leads] - times[i - seen + 1] == (seen + leads - 1) * step
    ]
