"""Stored twins and the requests to train on them, as the train stage makes them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.assimilation.train import train
from pipeline_lib.train.request import TrainingRequest

CODE = "0" * 20
STEP = 0.01
DAYS = date(2000, 1, 1), date(2000, 1, 2)
PERIOD = "2000-01"


def circling(days: int = 3, components: int = 3, seed: int = 0) -> xr.Dataset:
    """States that turn around means of their own, the first observed every eight times with errors of variance 0.01."""
    time = np.arange(round(days / STEP))
    phase = 2 * np.pi * (time[:, None] / 60 + np.arange(components) / components)
    states = np.arange(1, components + 1) * (np.sin(phase) + 5 * np.arange(components))
    seen = np.full(states.shape, np.nan)
    errors = 0.1 * np.random.default_rng(seed).standard_normal(len(time))
    seen[::8, 0] = (states[:, 0] + errors)[::8]
    dims, attrs = ("time", "component"), {"units": "1"}
    stamps = np.datetime64(DAYS[0], "ns") + time * np.timedelta64(864, "s")
    variables = {"state": (dims, states, attrs), "observation": (dims, seen, {**attrs, "error_variance": 0.01})}
    return xr.Dataset(variables, {"time": stamps})


def request(folder: Path, ds: xr.Dataset, model: str, *, options: dict | None = None, **training) -> TrainingRequest:
    """A request to train on the first day and validate on the second."""
    dataset, statistics = folder / "dataset" / f"{PERIOD}.json", folder / "statistics.json"
    with Artefact(dataset, kind="dataset", code=CODE) as out:
        write_zarr(ds, out.payload(f"{PERIOD}.zarr"))
        out.options = {"preparation": "observed_states"}
        out.content = {"period": PERIOD, "form": "states", "variables": {}, "grid_step": None}
    first = ds.sel(time=str(DAYS[0]))
    values = {str(n): {"mean": float(v.mean()), "std": float(v.std()), "units": "1"} for n, v in first.items()}
    with Artefact(statistics, kind="statistics", code=CODE) as out:
        out.payload("statistics.values.json").write_text(json.dumps(values))
    manifests = {"dataset": read_manifest(dataset), "statistics": read_manifest(statistics)}
    entry = MODELS.get(model)
    return TrainingRequest(
        model=model,
        model_options=entry.Options.model_validate(options or {}),
        training=TrainingOptions.model_validate({"step": STEP, "horizon": 1, **training}),
        inputs=("state", "observation"),
        train=(DAYS[0], DAYS[0]),
        validation=(DAYS[1], DAYS[1]),
        seed=0,
        manifests=manifests,
        folder=folder / "checkpoints",
        output=folder / "model.json",
        described={"seed": 0},
        device="cpu",
        devices=1,
        threads=1,
        end=None,
        code=CODE,
    )


def trained(folder: Path, ds: xr.Dataset, model: str, **options) -> Manifest:
    """The stored model of such a request."""
    asked = request(folder, ds, model, **options)
    train(asked)
    return read_manifest(asked.output, kind="model", verify="deep")
