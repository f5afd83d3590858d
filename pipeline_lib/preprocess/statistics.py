"""Mean and standard deviation of each input variable over the training days, and only those."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.manifest import Artefact, read_manifest


def training_statistics(
    *, datasets: Sequence[Path], inputs: Sequence[str], train: tuple[date, date], output: Path, code: str
) -> None:
    """Write the normalisation of an experiment: mean and standard deviation per input, over finite cells.

    Parameters
    ----------
    datasets
        Manifests of the periods that hold the training days.
    inputs
        Variables, in the order in which networks see them.
    train
        First and last training day.
    output
        Manifest to write, with ``statistics.values.json`` beside it.
    """
    manifests = [read_manifest(path, kind="dataset", verify="deep") for path in datasets]
    ds = open_days(manifests, *train)
    values = {name: _moments(ds[name]) for name in inputs}
    with Artefact(output, kind="statistics", code=code) as out:
        write_json(out.payload("statistics.values.json"), values)
        for manifest in manifests:
            out.add_input(f"dataset {manifest.content['period']}", manifest)
        out.options = {"inputs": list(inputs), "train": [day.isoformat() for day in train]}
        out.content = {"variables": values, "days": int(ds.sizes["time"])}


def _moments(variable: xr.DataArray) -> dict[str, object]:
    """Mean and standard deviation, summed map by map so that memory does not grow with the archive."""
    count, total, square = 0, 0.0, 0.0
    for _, values in time_blocks(variable):
        for field in values.astype("float64"):
            finite = field[np.isfinite(field)]
            count, total, square = count + finite.size, total + finite.sum(), square + (finite**2).sum()
    mean = total / max(count, 1)
    variance = square / max(count, 1) - mean**2
    if count == 0 or not variance > 0:
        raise DataError("is constant or missing on the training days", where=str(variable.name))
    return {"mean": mean, "std": float(np.sqrt(variance)), "units": str(variable.attrs["units"])}
