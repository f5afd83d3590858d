"""Datasets in stores, and requests and models on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import xarray as xr

from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, save_model
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.train import RULES


def stored_dataset(folder: Path, ds: xr.Dataset) -> Manifest:
    """Write a dataset as the one period that its first time lies in."""
    period = str(ds.time.values[0].astype("datetime64[M]"))
    with Artefact(folder / f"{period}.json", kind="dataset", code="test") as out:
        write_zarr(ds, out.payload(f"{period}.zarr"), attrs={})
        out.content = {"period": period, "form": "stations"}
    return read_manifest(folder / f"{period}.json", kind="dataset")


def stored_request(folder: Path, ds: xr.Dataset, inputs: Sequence[str]) -> Any:
    """What a training is told of its data; all days train."""
    manifest, days = stored_dataset(folder, ds), [ds.time.values[i].astype("datetime64[D]").item() for i in (0, -1)]
    statistics = {name: {"mean": 0.5, "std": 2.0, "units": "1"} for name in inputs}
    return SimpleNamespace(
        train=days, inputs=tuple(inputs), statistics=statistics, folder=folder / "run", of=lambda _: [manifest]
    )


def stored_model(
    folder: Path, name: str, site: Site, inputs: Sequence[str], training: TrainingOptions, **more: object
) -> Manifest:
    """Write an untrained model."""
    model, sizes, told = MODELS.get(name), site.model_dump(mode="json"), training.model_dump(mode="json")
    network = model.build(model.Options(), **sizes)
    spec = ModelSpec(
        model=name,
        options={},
        task="site_forecast",
        inputs=tuple(InputVariable(name=name, units="1", mean=0.5, scale=2.0) for name in inputs),
        sizes=sizes,
        parameters=0,
    )
    return save_model(
        folder / "model.json",
        spec=spec,
        weights=network.state_dict(),
        history=pd.DataFrame({"epoch": []}),
        inputs={},
        training={},
        code="test",
        extra={"rules": {rule: told[rule] for rule in RULES}, **more},
    )
