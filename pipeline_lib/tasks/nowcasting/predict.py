"""Forecasts from every frame of a period that enough frames precede."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import torch
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.trajectories import AGE_OF_STATE
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.frame_losses import WEIGHTED, FrameLoss
from pipeline_lib.learning.model_store import ModelSpec, load_model
from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.learning.precision import number_format, resolve_device
from pipeline_lib.rain import NOISE_BELOW, RainScale
from pipeline_lib.tasks.nowcasting.names import KNOWN, VARIABLE
from pipeline_lib.tasks.nowcasting.online import Follower
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.retrieval import add_retrieved, surface_of
from pipeline_lib.tasks.nowcasting.sequences import Index, Rows, require_ends, unpacked_cells
from pipeline_lib.tasks.nowcasting.windows import FrameWindows, StoredFrames, stacked

logger = logging.getLogger(__name__)

_BATCH = 16
"""Forecasts that are made at once."""
_SCALES = (RainScale.prefix, TemperatureScale.prefix, NOISE_BELOW)
"""How attributes begin that say what the values of frames stand for, and so those of forecasts."""


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
        Frames of a period.
    device, threads
        Where to compute, and with how many CPU threads (``None``: all).
    before
        Frames of the period before: forecasts see its last ones, and none starts from them.
    thinned
        Whether only every ``stride``-th start of a row counts, as in the test, or every one.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, y, x) in the unit of the frames, computed when it is read: what the frame is so many
        steps after ``time``, the time of the last frame that was seen. There is one for every frame that enough others
        precede in a row, perhaps thinned out; there may be none. Leads count from 1. Where the frames lack
        values a forecast has some all the same; there is no truth to compare them with. A model that was trained to
        forecast online follows the frames before each start, see
        :func:`~pipeline_lib.tasks.nowcasting.online.follow`. One with a retrieval adds ``retrieved``, what it makes of
        the forecast, and ``retrieved_from_truth`` (valid_time, y, x), what it makes of each true frame of this period.
        The coordinate ``known`` (y, x) marks the cells that a frame should have, the attribute ``facts`` holds what the
        manifest says of the frames, and ``in_order`` whether the forecasts are cheapest when they are read in order.

    Raises
    ------
    DataError
        If an input is missing or has another unit or grid than in training.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    if not isinstance(model.network, Nowcaster):
        raise TypeError(f"{model.spec.model} continues no frames")
    content, sizes = trained.content, model.spec.sizes
    ds, tail = _after(before, ds, model.spec, surface_of(trained))
    rows = _rows(ds, model.spec, content)
    starts = rows.starts(seen=sizes["seen"], leads=0, stride=content["stride"] if thinned else 1)
    starts = starts[starts >= tail]
    facts = _facts(rows, tail, sizes["seen"], content["step_minutes"])
    told = f"{rows.told(tail)}, {facts['too_few_before']} with too few before them"
    logger.info("%s: %d forecasts", told, len(starts))
    on = resolve_device(device)
    forecasts: da.Array | NDArray[Any]
    if starts.size and content.get("online") is not None:
        forecasts = _online(model.network, model.spec, ds, starts, rows, content, on)
    else:
        forecasts = _forecasts(model.network, model.spec, ds, starts, on)
    out = _described(forecasts, ds, starts, model.spec, content)
    add_retrieved(out, VARIABLE, trained, ds, tail=tail)
    known_attrs = {"long_name": "whether a frame should have a value here", "units": "1"}
    out = out.assign_coords(
        {KNOWN: (out[VARIABLE].dims[2:], rows.known[model.spec.inputs[0].name].astype(np.int8), known_attrs)}
    )
    out.attrs = {"title": "Forecasts", "facts": facts, "in_order": content.get("online") is not None}
    return out


def _after(before: xr.Dataset | None, ds: xr.Dataset, spec: ModelSpec, surface: str | None) -> tuple[xr.Dataset, int]:
    """Return the frames of a period behind those of the one before that its first forecasts see, and how many."""
    needed = {variable.name for variable in spec.inputs} | {AGE_OF_STATE, surface}
    ds = ds[[name for name in ds.data_vars if name in needed]]
    if before is None:
        return ds, 0
    last = before[list(ds.data_vars)].isel(time=slice(max(0, before.sizes["time"] - spec.sizes["seen"] + 1), None))
    return concat_times([last, ds], where=["the period before", "the period"]), last.sizes["time"]


def _rows(ds: xr.Dataset, spec: ModelSpec, content: Mapping[str, Any]) -> Rows:
    """Return the rows of frames, which must have the size and the place that the network was built for."""
    sizes, name = spec.sizes, spec.inputs[0].name
    found = stacked(ds.isel(time=slice(0, 1)), _scaling(spec)).shape[1:]
    if found != (expected := (sizes["channels"], sizes["height"], sizes["width"])):
        what = f"frames are {found}, the model was trained on {expected}"
        raise DataError(what, where=name, fix="cut or regrid them")
    require_ends(ds[name], content.get("ends", {}))
    names = [variable.name for variable in spec.inputs]
    known = unpacked_cells(content["known_cells"], ds) if "known_cells" in content else None
    return Rows.of(ds, names, step_minutes=content["step_minutes"], missing=content["missing"], known=known)


def _facts(rows: Rows, tail: int, seen: int, step_minutes: float) -> dict[str, Any]:
    """Return what a manifest says of the frames of a period and of what could not be started from.

    Of frames that do not lack too much, and only if some have gaps: how many, and the share of the known cells of all
    of them that lack a value. Forecasts see these filled.
    """
    before = rows.before[tail:]
    facts: dict[str, Any] = {
        "frames": len(before),
        "incomplete": int((before < 0).sum()),
        "too_few_before": int(((before >= 0) & (before < seen - 1)).sum()),
    }
    lacking = rows.lacking[tail:][before >= 0]
    if lacking.any():
        facts |= {"with_gaps": int((lacking > 0).sum()), "cells_filled": float(lacking.mean())}
    if (before < seen - 1).all():
        wrong = rows.wrong_step(step_minutes)
        facts["no_forecast"] = wrong or f"no {seen} frames lie in a row ({rows.told(tail)})"
    return facts


def _described(
    forecasts: Any,  # noqa: ANN401 - an array of dask or numpy
    ds: xr.Dataset,
    starts: Index,
    spec: ModelSpec,
    content: Mapping[str, Any],
) -> xr.Dataset:
    name, units = spec.inputs[0].name, spec.inputs[0].units
    frames = ds[name]
    coords = {str(d): frames[d] for d in frames.dims[1:] if d in frames.coords}
    out = xr.Dataset(
        {VARIABLE: (("time", "lead", *map(str, frames.dims[1:])), forecasts)},
        {"time": ds["time"].values[starts], **coords, "lead": np.arange(1, spec.sizes["leads"] + 1)},
    )
    what = frames.attrs.get("long_name", name)
    out[VARIABLE].attrs = {
        "units": units,
        "long_name": f"forecast of the {what}",
        "coverage_content_type": "modelResult",
        "forecast_of": name,
        "seen": spec.sizes["seen"],
        **{rule: content[rule] for rule in ("step_minutes", "missing")},
        **{key: number for key, number in frames.attrs.items() if str(key).startswith(_SCALES)},
    }
    out["time"].attrs = {**COORDINATE_ATTRS["time"], "long_name": "time of the last frame that was seen"}
    out["lead"].attrs = {"long_name": f"steps of {content['step_minutes']:g} minutes after it", "units": "1"}
    return out


def _scaling(spec: ModelSpec) -> dict[str, tuple[float, float]]:
    return {variable.name: (variable.mean, variable.scale) for variable in spec.inputs}


def _forecasts(
    network: Nowcaster, spec: ModelSpec, ds: xr.Dataset, starts: Index, device: torch.device
) -> da.Array | NDArray[Any]:
    """Forecasts (start, lead, y, x) from all starts; each batch reads its own frames when it is asked for."""
    sizes, dtype = spec.sizes, ds[spec.inputs[0].name].dtype
    shape = (sizes["leads"], sizes["height"], sizes["width"])
    if not starts.size:
        return np.empty((0, *shape), dtype)
    network = network.to(device).eval()
    times = ds["time"].values

    def batch(of: Index) -> NDArray[Any]:
        needed = np.unique(of[:, None] + np.arange(1 - sizes["seen"], 1))
        frames = stacked(ds.isel(time=needed), _scaling(spec))
        places = np.searchsorted(needed, of)
        windows = FrameWindows(frames, times[needed], places, sizes["seen"], sizes["leads"])
        return _made(network, windows, places, device).astype(dtype, copy=False)

    lazy = delayed(batch, pure=False)
    parts = [starts[first : first + _BATCH] for first in range(0, len(starts), _BATCH)]
    return _joined([lazy(part) for part in parts], [len(part) for part in parts], shape, dtype)


def _joined(
    parts: Sequence[Any], lengths: Sequence[int], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> da.Array:
    """Return what delayed calls make (start, lead, y, x), one behind the other."""
    arrays = [
        da.from_delayed(part, (length, *shape), dtype=dtype)  # type: ignore[no-untyped-call]
        for part, length in zip(parts, lengths, strict=True)
    ]
    joined: da.Array = da.concatenate(arrays)  # type: ignore[no-untyped-call]
    return joined


def _made(network: Nowcaster, windows: FrameWindows, starts: Index, device: torch.device) -> NDArray[np.float32]:
    learned = next(network.parameters(), None) is not None
    seen = windows.seen_at(starts, learned=learned).to(device, number_format(network, without_values=torch.float32))
    with torch.inference_mode():
        made: NDArray[np.float32] = network.forecast(seen).float().cpu().numpy()
    return made


def _online(
    network: Nowcaster,
    spec: ModelSpec,
    ds: xr.Dataset,
    starts: Index,
    rows: Rows,
    content: Mapping[str, Any],
    device: torch.device,
) -> da.Array:
    """Forecasts (start, lead, y, x) from all starts, made when they are read: the weights follow the frames."""
    described = ds[spec.inputs[0].name]
    noise_below = float(described.attrs.get(NOISE_BELOW, 0.0))
    sizes, frames = spec.sizes, StoredFrames(ds, _scaling(spec), ahead=_BATCH)
    windows = FrameWindows(frames, ds["time"].values, starts, sizes["seen"], sizes["leads"], noise_below)
    scale = None
    if content["loss"] in WEIGHTED:
        scale = RainScale.of_attributes(described.attrs, where="the frames")
    network = network.to(device).eval()
    loss = FrameLoss(content["loss"], network.link == "logistic", scale)
    options = OnlineOptions.model_validate(content["online"])
    follower = Follower(network, windows, rows.before, options, loss, device)
    dtype = described.dtype

    def batch(first: int, end: int) -> NDArray[Any]:
        made = [_made(now, windows, starts[part], device) for now, part in follower.through(first, end, _BATCH)]
        return np.concatenate(made).astype(dtype, copy=False)

    lazy, parts = delayed(batch, pure=False), follower.parts(_BATCH)
    shape = (sizes["leads"], sizes["height"], sizes["width"])
    return _joined([lazy(*part) for part in parts], [end - first for first, end in parts], shape, dtype)
