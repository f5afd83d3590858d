"""Applying a trained network to whole maps of any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.data.grids import is_periodic
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.io.zarr_store import time_chunk
from pipeline_lib.learning.device import Device, Precision
from pipeline_lib.learning.model_store import LoadedModel, load_model
from pipeline_lib.learning.precision import autocast, memory_advice, resolve_device, resolve_precision
from pipeline_lib.models.base import AlgorithmModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.segmentation.arrays import DIMS, Normalisation, sea_mask
from pipeline_lib.tasks.segmentation.classes import CLASSES, LAND, flag_attrs
from pipeline_lib.tasks.segmentation.tiles import Predict, Tiling, predict_map

_OUT_OF_MEMORY = "take --device cpu, or a machine with more memory"


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model, computed block by block when it is written; the predict stage's door.

    Parameters
    ----------
    trained
        Manifest of a network or of an algorithm.
    ds
        Dataset in canonical form.
    device, threads
        Where to compute, and with how many CPU threads (``None``: all).

    Returns
    -------
    xarray.Dataset
        ``eddy_class`` int8 (time, latitude, longitude), :data:`~.classes.LAND` without data; for networks also
        ``eddy_probability`` float32 (class, time, latitude, longitude), NaN without data.

    Raises
    ------
    DataError
        If an input variable is missing or has another unit.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if "algorithm" in trained.content:
        make = partial(_by_algorithm, described=trained.content["algorithm"])
    else:
        # In the number format of training, so that all months of a product are of one kind wherever they are computed.
        model = load_model(trained.path)
        make = partial(_by_network, model=model, device=device, precision=trained.content["precision"])
        model.spec.require(ds)
        ds = ds[[variable.name for variable in model.spec.inputs]]
    times = ds.sizes["time"]
    cells = ds.sizes["latitude"] * ds.sizes["longitude"]
    steps = time_chunk(times=times, cell_bytes=cells * len(CLASSES) * np.dtype("float32").itemsize)
    first = make(ds.isel(time=[0]).load())
    template = first.chunk().isel(time=np.zeros(times, int)).assign_coords(time=ds["time"]).chunk(time=steps)
    lazy = ds.chunk({"time": steps, "latitude": -1, "longitude": -1})
    maps: xr.Dataset = lazy.map_blocks(make, template=template)
    return maps


def _by_network(ds: xr.Dataset, *, model: LoadedModel, device: Device, precision: Precision) -> xr.Dataset:
    probability = predict_dataset(model, ds, device=device, precision=precision)
    sea = probability.notnull().all("class")
    return _cf(class_map(probability).where(sea, LAND).astype(np.int8), probability)


def _by_algorithm(ds: xr.Dataset, *, described: Mapping[str, Any]) -> xr.Dataset:
    entry = MODELS.get(described["model"])
    if not issubclass(entry, AlgorithmModel):
        raise TypeError(f"{described['model']} is not an algorithm")
    missing = [name for name in entry.needs if name not in ds]
    if missing:
        raise DataError(f"{described['model']} needs {missing[0]!r}", where="inputs")
    codes = entry.predict(ds[list(entry.needs)], entry.Options.model_validate(described["options"]))
    # Where there is sea but the algorithm lacks a value, such as a current beside an islet, it sees no eddy.
    anything = xr.concat([ds[name].notnull() for name in ds.data_vars], "variable").any("variable")
    return _cf(codes.where(anything, LAND).astype(np.int8), None)


def _cf(codes: xr.DataArray, probability: xr.DataArray | None) -> xr.Dataset:
    """Put maps into a dataset with CF attributes."""
    out = codes.rename("eddy_class").drop_vars("class", errors="ignore").to_dataset()
    out["eddy_class"].attrs = {"long_name": "class of mesoscale eddy", "coverage_content_type": "modelResult"}
    out["eddy_class"].attrs |= flag_attrs() | {"_FillValue": np.int8(LAND)}
    if probability is not None:
        out["eddy_probability"] = probability.transpose("class", ...).assign_coords({"class": range(len(CLASSES))})
        out["eddy_probability"].attrs = {"long_name": "probability of the class", "units": "1"}
        out["class"] = out["class"].astype("int8")
        out["class"].attrs = {"long_name": "class of mesoscale eddy"} | flag_attrs()
    for name, attrs in COORDINATE_ATTRS.items():
        out[name].attrs = dict(attrs)
    return out


def network_function(network: nn.Module, device: torch.device, precision: Precision) -> Predict:
    """Return a network as a function from NumPy inputs (batch, channel, h, w) to class probabilities."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    network = network.to(device, dtype, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def predict(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(inputs).to(device, dtype, memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(device, precision), memory_advice(_OUT_OF_MEMORY, where="prediction"):
            logits = network(x)
        return torch.softmax(logits.float(), dim=1).cpu().numpy()

    return predict


def predict_dataset(
    model: LoadedModel,
    ds: xr.Dataset,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
) -> xr.DataArray:
    """Return class probabilities of a dataset in canonical form.

    Parameters
    ----------
    model
        A stored model; its input variables are taken from ``ds`` by name and their units compared.
    ds
        Dataset with dims (time, latitude, longitude).
    device, precision
        As in training.

    Returns
    -------
    xarray.DataArray
        ``probability``, float32 (time, class, latitude, longitude), NaN where an input is missing; the coordinate
        ``class`` holds the class names.

    Raises
    ------
    DataError
        If an input variable is missing or has another unit.
    """
    model.spec.require(ds)
    normalisation = Normalisation(
        variables=tuple(v.name for v in model.spec.inputs),
        mean=tuple(v.mean for v in model.spec.inputs),
        scale=tuple(v.scale for v in model.spec.inputs),
    )
    target = resolve_device(device)
    predict = network_function(model.network, target, resolve_precision(precision, target))
    periodic = is_periodic(ds["longitude"].values)
    fields = []
    for day in _days(ds[list(normalisation.variables)]):
        field = predict_map(
            normalisation.apply(day)[0],
            predict,
            Tiling(),
            multiple=model.size_multiple,
            periodic=periodic,
        )
        fields.append(np.where(sea_mask(day, normalisation.variables), field, np.float32(np.nan)))
    return xr.DataArray(
        np.stack(fields),
        name="probability",
        dims=("time", "class", "latitude", "longitude"),
        coords={**{name: ds[name] for name in DIMS}, "class": list(model.spec.classes)},
        attrs={"units": "1", "long_name": "probability of the class"},
    )


def class_map(probability: xr.DataArray) -> xr.DataArray:
    """Return the most probable class code, int8 (time, latitude, longitude), 0 where there is no probability."""
    codes = probability.fillna(0.0).argmax("class").astype(np.int8)
    return codes.rename("class_code").transpose(*DIMS)


def _days(ds: xr.Dataset) -> Iterator[xr.Dataset]:
    for i in range(ds.sizes["time"]):
        yield ds.isel(time=[i]).compute()
