"""Forecasts from every frame of a period that enough frames precede."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.frame_losses import WEIGHTED, FrameLoss
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.learning.precision import resolve_device
from pipeline_lib.rain import NOISE_BELOW, RainScale
from pipeline_lib.tasks.nowcasting.names import VARIABLE
from pipeline_lib.tasks.nowcasting.online import follow
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.sequences import Rows
from pipeline_lib.tasks.nowcasting.windows import FrameWindows, stacked

logger = logging.getLogger(__name__)

_BATCH = 16
"""Forecasts that are made at once."""


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, y, x) in the unit of the frames: what the frame is so many steps after ``time``, the
        time of the last frame that was seen. There is one for every frame that enough others precede in a row, every
        ``stride``-th of a row. Leads count from 1. Where the frames lack values a forecast
        has some all the same; there is no truth to compare them with. A model that was trained to forecast online
        follows the frames before each start, see :func:`~pipeline_lib.tasks.nowcasting.online.follow`.

    Raises
    ------
    DataError
        If an input is missing or has another unit or grid than in training, or no frames lie in a row.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    if not isinstance(model.network, Nowcaster):
        raise TypeError(f"{model.spec.model} continues no frames")
    content, sizes = trained.content, model.spec.sizes
    name = model.spec.inputs[0].name
    frames = stacked(ds, {v.name: (v.mean, v.scale) for v in model.spec.inputs})
    if frames.shape[1:] != (expected := (sizes["channels"], sizes["height"], sizes["width"])):
        raise DataError(
            f"frames are {frames.shape[1:]}, the model was trained on {expected}", where=name, fix="cut or regrid them"
        )
    rows = Rows.of(ds, name, step_minutes=content["step_minutes"], missing=content["missing"])
    starts = rows.starts(seen=sizes["seen"], leads=0, stride=content["stride"])
    if not starts.size:
        raise DataError(f"no {sizes['seen']} frames lie in a row", where=name, fix="give more frames")
    # Frames of the period before are not at hand: the first of each row start no forecast.
    logger.info("%d frames, %d of them incomplete: %d forecasts", len(ds.time), rows.incomplete, len(starts))
    described = ds[name]
    windows = FrameWindows(
        frames, ds["time"].values, starts, sizes["seen"], sizes["leads"], float(described.attrs.get(NOISE_BELOW, 0.0))
    )
    network = model.network.to(on := resolve_device(device))
    forecast = _forecasts(network, windows, _groups(network, windows, rows, content, described.attrs, on), on)
    coords = {str(d): described[d] for d in described.dims[1:] if d in described.coords}
    out = xr.Dataset(
        {VARIABLE: (("time", "lead", *described.dims[1:]), forecast.astype(described.dtype, copy=False))},
        {"time": ds["time"].values[starts], **coords, "lead": np.arange(1, sizes["leads"] + 1)},
    )
    out.attrs["title"] = "Forecasts"
    what = described.attrs.get("long_name", name)
    out[VARIABLE].attrs = {
        "units": model.spec.inputs[0].units,
        "long_name": f"forecast of the {what}",
        "coverage_content_type": "modelResult",
        "forecast_of": name,
        "seen": sizes["seen"],
        **{rule: content[rule] for rule in ("step_minutes", "missing")},
    }
    out["time"].attrs = {**COORDINATE_ATTRS["time"], "long_name": "time of the last frame that was seen"}
    out["lead"].attrs = {"long_name": f"steps of {content['step_minutes']:g} minutes after it", "units": "1"}
    return out


def _groups(
    network: Nowcaster,
    windows: FrameWindows,
    rows: Rows,
    content: Mapping[str, Any],
    attributes: Mapping[Any, Any],
    device: torch.device,
) -> Iterable[slice]:
    """Starts whose forecasts are made with the same weights; the network gets these as the groups are gone through."""
    if content.get("online") is None:
        return [slice(0, windows.windows)]
    options = OnlineOptions.model_validate(content["online"])
    weighted = content["loss"] in WEIGHTED
    scale = RainScale.of_attributes(attributes, where="the frames") if weighted else None
    loss = FrameLoss(content["loss"], network.link == "logistic", scale)
    return follow(network, windows, rows.before, options, loss, device)


def _forecasts(
    network: Nowcaster, windows: FrameWindows, groups: Iterable[slice], device: torch.device
) -> NDArray[np.float32]:
    """Forecasts (start, lead, y, x) from all starts."""
    network.eval()
    made = np.empty((windows.windows, windows.leads, *windows.frames.shape[2:]), np.float32)
    for part in _batches(groups):
        with torch.inference_mode():
            made[part] = network.forecast(windows.seen_at(windows.starts[part]).to(device)).float().cpu().numpy()
    return made


def _batches(groups: Iterable[slice]) -> Iterator[slice]:
    for group in groups:
        for first in range(group.start, group.stop, _BATCH):
            yield slice(first, min(first + _BATCH, group.stop))
