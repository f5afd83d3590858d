"""The probability of each class for every image of a period."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.precision import resolve_device
from pipeline_lib.tasks.classification.images import pixels_of
from pipeline_lib.tasks.classification.names import TARGET, VARIABLE

_AT_ONCE = 1024
"""Images that are classified at once."""


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``log_probability`` (time, class), float32: the natural logarithm of the probability of each class. Not the
        probability itself, which for a sure answer is 0 for all others, however wrong that is.

    Raises
    ------
    DataError
        If an input variable is missing, has another unit or is not made of images.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    target = resolve_device(device)
    network = model.network.to(target).eval()
    exact = any(value.dtype == torch.float64 for value in network.parameters())
    statistics = {v.name: {"mean": v.mean, "std": v.scale} for v in model.spec.inputs}
    pixels = pixels_of(ds, list(statistics), statistics, np.float64 if exact else np.float32)
    with torch.inference_mode():
        found = [
            network(torch.from_numpy(pixels[start : start + _AT_ONCE]).to(target)).double().log_softmax(dim=1).cpu()
            for start in range(0, len(pixels), _AT_ONCE)
        ]
    out = xr.Dataset(
        {VARIABLE: (("time", "class"), torch.cat(found).numpy().astype(np.float32))},
        {"time": ds["time"], "class": np.arange(len(model.spec.classes))},
    )
    out.attrs["title"] = "Class probabilities"
    out[VARIABLE].attrs = {
        "units": "1",
        "long_name": "natural logarithm of the probability of each class",
        "coverage_content_type": "modelResult",
        TARGET: str(trained.content["target"]),
    }
    out["time"].attrs = {**COORDINATE_ATTRS["time"]}
    out["class"].attrs = {"units": "1", "long_name": "class, counted from 0"}
    return out
