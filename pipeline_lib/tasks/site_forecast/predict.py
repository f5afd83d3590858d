"""Forecasts from every time of a period that enough others precede."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.precision import number_format, resolve_device
from pipeline_lib.learning.site_forecaster import SiteForecaster
from pipeline_lib.models.sites import Site
from pipeline_lib.tasks.site_forecast.columns import Columns, site_of, starts_of
from pipeline_lib.tasks.site_forecast.names import DISTRIBUTION, VARIABLE
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.windows import SiteWindows, offsets

logger = logging.getLogger(__name__)

_BATCH = 64
"""Forecasts that are made at once."""


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, target) in the unit of the target: its value so many steps after ``time``, the last
        time that was seen; lead 0 of an accumulated value. With a Gaussian also ``distribution`` (time, lead,
        parameter). There is one for every time that enough others precede in a row, with all that is seen, every
        ``stride``-th of a row.

    Raises
    ------
    DataError
        If an input is missing or has another unit or shape than in training, or nothing can be forecast.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    if not isinstance(model.network, SiteForecaster):
        raise TypeError(f"{model.spec.model} forecasts at no site")
    rules = TrainingOptions.model_validate(trained.content["rules"])
    inputs = model.spec.inputs
    names = [v.name for v in inputs]
    scales = {v.name: (v.mean, v.scale) for v in inputs}
    if rules.accumulated:
        if "target" not in trained.content:
            raise StoreError("does not say what it forecasts", where=str(trained.path), fix="train it again")
        target = trained.content["target"]
        ds, names = _with_target(ds, target, trained.content["target_units"]), [target, *names]
        scales[target] = model.network.site.targets[0]
    columns = Columns.of(ds, names, rules, {name: mean for name, (mean, _) in scales.items()})
    site = site_of(ds, names, rules, scales)
    _check_site(site, model.network.site)
    starts = starts_of(columns, rules, whole_future=False, stride=rules.stride)
    if not starts.size:
        what = f"there is no time with {rules.seen} in a row, and a prediction, if one is seen"
        raise DataError(what, where=names[-1], fix="give more times")
    logger.info("%s: %d forecasts", columns.past.told(), len(starts))
    windows = SiteWindows(columns, starts, site)
    output = _outputs(model.network, windows, resolve_device(device))
    return _described(output, ds, windows, names, trained.content["rules"])


def _with_target(ds: xr.Dataset, name: str, units: str) -> xr.Dataset:
    """Return a dataset with a series for what is forecast and not seen, empty if it has none."""
    if name in ds:
        if ds[name].attrs.get("units") != units:
            what = f"is in {ds[name].attrs.get('units')!r}, the model was trained in {units!r}"
            raise DataError(what, where=name, fix="convert it")
        return ds
    unknown = np.full(ds.sizes["time"], np.nan, dtype=np.float32)
    return ds.assign({name: ("time", unknown, {"units": units})})


def _check_site(found: Site, trained: Site) -> None:
    """Refuse inputs of other sizes than those of training."""
    for name, ours, theirs in (
        ("series", len(found.series), len(trained.series)),
        ("fields", found.fields.shape, trained.fields.shape),
        ("fields of the prediction", found.ahead.shape, trained.ahead.shape),
        ("nearest grid point", found.point, trained.point),
    ):
        if ours != theirs:
            raise DataError(f"{name}: {ours}, the model was trained on {theirs}", where="inputs", fix="cut or regrid")


def _described(
    output: NDArray[np.float32], ds: xr.Dataset, windows: SiteWindows, inputs: Sequence[str], rules: dict[str, Any]
) -> xr.Dataset:
    names = list(inputs[: len(windows.site.targets)])
    stored = ds[names[0]].dtype
    forecast = output[..., : len(names)].astype(stored, copy=False)
    out = xr.Dataset(
        {VARIABLE: (("time", "lead", "target"), forecast)},
        {"time": windows.columns.times[windows.starts], "lead": offsets(windows.site)},
    )
    if output.shape[-1] > len(names):
        out[DISTRIBUTION] = (("time", "lead", "parameter"), output.astype(stored, copy=False))
        out[DISTRIBUTION].attrs = {
            "units": "1",
            "long_name": "means and standard deviations of both targets in their unit, and their correlation",
        }
    out.attrs["title"] = "Forecasts at a site"
    what = ", ".join(str(ds[name].attrs.get("long_name", name)) for name in names)
    out[VARIABLE].attrs = {
        "units": ds[names[0]].attrs["units"],
        "long_name": f"forecast of: {what}",
        "coverage_content_type": "modelResult",
        "inputs": json.dumps(list(inputs)),
        "rules": json.dumps(rules, sort_keys=True),
    }
    out["time"].attrs = {**COORDINATE_ATTRS["time"], "long_name": "last time that was seen"}
    out["lead"].attrs = {"long_name": f"steps of {rules['step_minutes']:g} minutes after it", "units": "1"}
    return out


def _outputs(network: SiteForecaster, windows: SiteWindows, device: torch.device) -> NDArray[np.float32]:
    """Outputs (start, lead, output) of all starts."""
    network = network.to(device).eval()
    exact = number_format(network, without_values=torch.float32)
    made = []
    with torch.inference_mode():
        for first in range(0, windows.windows, _BATCH):
            seen = windows.seen_at(windows.starts[first : first + _BATCH])
            made.append(network(seen.to(device, exact)).float().cpu().numpy())
    return np.concatenate(made)
