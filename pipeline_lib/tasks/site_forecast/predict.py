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
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.rows import Index
from pipeline_lib.data.trajectories import AGE_OF_STATE
from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.bivariate_gaussian import PARAMETERS
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.precision import number_format, resolve_device
from pipeline_lib.learning.site_forecaster import SiteForecaster
from pipeline_lib.models.sites import Site
from pipeline_lib.tasks.site_forecast.columns import Columns, available, site_of, starts_of
from pipeline_lib.tasks.site_forecast.names import DISTRIBUTION, VARIABLE
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.windows import SiteWindows, offsets

logger = logging.getLogger(__name__)

_LOST = ("too_few_before", "no_prediction", "left_to_the_next_period", "before_the_run")
"""Facts that count times from which no forecast starts, though all that is seen of their own time is there."""
_BATCH = 64
"""Forecasts that are made at once."""


def product(
    trained: Manifest,
    ds: xr.Dataset,
    *,
    device: Device,
    threads: int | None,
    before: xr.Dataset | None = None,
    thinned: bool = True,
) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Parameters
    ----------
    trained
        Manifest of the model.
    ds
        Series and fields of a period.
    device, threads
        Where to compute, and with how many CPU threads (``None``: all).
    before
        Those of the period before: forecasts see its end, and those start in it for which only this period holds the
        prediction of their last lead.
    thinned
        Whether only every ``stride``-th start of a row counts, as in the test, or every one.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, target) in the unit of the target: its value so many steps after ``time``, the last
        time that was seen; lead 0 of an accumulated value. With a Gaussian also ``distribution`` (time, lead,
        parameter). There is one for every time that enough others precede in a row, with all that is seen,
        perhaps thinned out; there may be none. The attribute ``facts`` holds what the manifest says of the times
        that none starts from.

    Raises
    ------
    DataError
        If an input is missing or has another unit or shape than in training.
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
    ds, tail = _after(before, ds, names, rules)
    columns = Columns.of(ds, names, rules, {name: mean for name, (mean, _) in scales.items()})
    site = site_of(ds, names, rules, scales)
    _check_site(site, model.network.site)
    starts = starts_of(columns, rules, whole_future=False, stride=rules.stride if thinned else 1)
    starts = starts[starts >= _first(tail, rules)]
    facts = _facts(columns, starts, tail, rules)
    lost = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in facts.items() if name in _LOST and number)
    logger.info("%s: %d forecasts; %s", columns.past.told(tail), len(starts), f"none from: {lost}" if lost else "all")
    windows = SiteWindows(columns, starts, site)
    output = _outputs(model.network, windows, resolve_device(device))
    out = _described(output, ds, windows, names, trained.content["rules"])
    out.attrs["facts"] = facts
    return out


def _after(
    before: xr.Dataset | None, ds: xr.Dataset, inputs: Sequence[str], rules: TrainingOptions
) -> tuple[xr.Dataset, int]:
    """Return a period behind the end of the one before that its first forecasts see, and how many times that has."""
    if before is None:
        return ds, 0
    # Other variables are left out, and no coordinate: where stations are may lie on an axis that no variable has.
    ds, before = (part.drop_vars(set(part.data_vars) - {*inputs, AGE_OF_STATE}) for part in (ds, before))
    needed = rules.seen - 1 + (rules.leads if rules.nwp else 0)
    last = before.isel(time=slice(max(0, before.sizes["time"] - needed), None))
    return concat_times([last, ds], where=["the period before", "the period"]), last.sizes["time"]


def _first(tail: int, rules: TrainingOptions) -> int:
    """Return the first time to start from, behind the end of the period before.

    From the last times of that one no forecast was made with it if the prediction of the last lead was not in it.
    """
    return max(0, tail - rules.leads) if rules.nwp else tail


def _facts(columns: Columns, starts: Index, tail: int, rules: TrainingOptions) -> dict[str, Any]:
    """Return what a manifest says of the times of a period and of those that no forecast starts from."""
    before = columns.past.before[tail:]
    facts: dict[str, Any] = {
        "frames": len(before),
        "incomplete": int((before < 0).sum()),
        "too_few_before": int(((before >= 0) & (before < rules.seen - 1)).sum()),
    }
    if rules.nwp:
        places = np.arange(_first(tail, rules), len(columns.times))
        places = places[columns.past.before[places] >= rules.seen - 1]
        whole, last = columns.future.after[places] >= rules.leads, places >= len(columns.times) - rules.leads
        facts["no_prediction"] = int((~whole & ~last).sum())
        facts["left_to_the_next_period"] = int((~whole & last).sum())
        facts["before_the_run"] = int((whole & ~available(columns.times[places], rules)).sum())
    if not starts.size:
        wrong = columns.past.wrong_step(rules.step_minutes)
        also = ", and a prediction that was there" if rules.nwp else ""
        facts["no_forecast"] = wrong or f"there is no time with {rules.seen} in a row{also} ({columns.past.told(tail)})"
    return facts


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
        ("cell of the site in the fields", found.centre, trained.centre),
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
    """Outputs (start, lead, output) of all starts; there may be none."""
    width = PARAMETERS if network.head == "gaussian" else len(windows.site.targets)
    # What a network returns may be a view of all that it saw: values are copied out of it.
    made = np.empty((windows.windows, windows.site.leads, width), np.float32)
    network = network.to(device).eval()
    exact = number_format(network, without_values=torch.float32)
    with torch.inference_mode():
        for first in range(0, windows.windows, _BATCH):
            seen = windows.seen_at(windows.starts[first : first + _BATCH])
            made[first : first + _BATCH] = network(seen.to(device, exact)).float().cpu().numpy()
    return made
