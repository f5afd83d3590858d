"""Forecasts from every state of a period."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.forecaster import Forecaster, Rollout
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.precision import resolve_device
from pipeline_lib.tasks.dynamics.names import VARIABLE

_SEED = 0
"""Of what a network draws when it begins a forecast."""


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, ...) in the format and unit of the states: what the state is so many steps after
        ``time``. Leads count from 1.

    Raises
    ------
    DataError
        If the input variable is missing or has another unit.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    (described,) = model.spec.inputs
    states = ds[described.name].load()
    if not isinstance(model.network, Forecaster):
        raise TypeError(f"{model.spec.model} advances no states")
    steps = int(trained.content["forecast_steps"])
    target = resolve_device(device)
    rollout = Rollout(model.network, steps).to(target).eval()
    flat = (states.values.reshape(states.sizes["time"], -1).astype(np.float64) - described.mean) / described.scale
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(_SEED)
        found = rollout(torch.from_numpy(flat).to(target, _format(model.network))).cpu().double().numpy()
    values = (found * described.scale + described.mean).astype(states.dtype)
    dims = ("time", "lead", *states.dims[1:])
    out = xr.Dataset(
        {VARIABLE: (dims, values.reshape(len(values), steps, *states.shape[1:]))},
        {**{str(d): states[d] for d in states.dims if d in states.coords}, "lead": np.arange(1, steps + 1)},
    )
    long_name = f"forecast of the {states.attrs.get('long_name', described.name)}"
    out.attrs["title"] = "Forecasts"
    out[VARIABLE].attrs = {"units": described.units, "long_name": long_name, "coverage_content_type": "modelResult"}
    out["time"].attrs = {**COORDINATE_ATTRS["time"], "long_name": "time of the state that the forecast starts from"}
    out["lead"].attrs = {"long_name": "time steps since the start of the forecast", "units": "1"}
    return out


def _format(network: Forecaster) -> torch.dtype:
    """Return the number format in which a network computes."""
    values = (*network.parameters(), *network.buffers())
    return next((value.dtype for value in values if value.is_floating_point()), torch.float64)
