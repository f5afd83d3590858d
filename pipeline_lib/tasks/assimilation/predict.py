"""Analyses of a period: the predict stage's door."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.learning.model_store import LoadedModel, load_model
from pipeline_lib.tasks.assimilation.methods import Prior, analyse, forecast_operator
from pipeline_lib.tasks.assimilation.names import ANALYSIS, SPREAD
from pipeline_lib.tasks.assimilation.options import MethodOptions
from pipeline_lib.train.seeds import torch_seed


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:  # noqa: ARG001 - small matrices
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``analysis`` (time, ...) in the unit of the states and, of ensembles, ``spread``: standard deviation over the
        members.

    Raises
    ------
    DataError
        If an input variable is missing, has another unit, or does not say how precise the observations are.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    model.spec.require(ds)
    states, observation = (ds[variable.name].load() for variable in model.spec.inputs)
    mean, spread = _analysed(model, trained, states, observation)
    dims = tuple(str(dim) for dim in states.dims)
    coords = {name: states[name] for name in dims if name in states.coords}
    described = model.spec.inputs[0]
    out = xr.Dataset({ANALYSIS: (dims, (mean * described.scale + described.mean).astype(states.dtype))}, coords)
    if spread is not None:
        out[SPREAD] = (dims, (spread * described.scale).astype(states.dtype))
    out.attrs["title"] = "Analyses"
    what = states.attrs.get("long_name", described.name)
    for name, words in ((ANALYSIS, "analysis of"), (SPREAD, "standard deviation over the members of the analysis of")):
        if name in out:
            attrs = {"units": described.units, "long_name": f"{words} the {what}"}
            out[name].attrs = {**attrs, "coverage_content_type": "modelResult"}
    out["time"].attrs = dict(COORDINATE_ATTRS["time"])
    return out


def _analysed(
    model: LoadedModel, trained: Manifest, states: xr.DataArray, observation: xr.DataArray
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Analysis and spread (time, component), normalised; windows are analysed together, each by itself."""
    if not isinstance(model.network, Forecaster):
        raise TypeError(f"{model.spec.model} advances no states")
    model.network.double()
    described, content = model.spec.inputs[0], trained.content
    options = MethodOptions.model_validate(content["assimilation"])
    options = options.model_copy(update={"model_error": options.model_error / described.scale})
    variance = observation.attrs.get("error_variance")
    if variance is None:
        raise DataError("does not say how precise it is", where=str(observation.name), fix="set error_variance")
    seen = torch.from_numpy((observation.values.astype(np.float64) - described.mean) / described.scale)
    truth = torch.from_numpy((states.values.astype(np.float64) - described.mean) / described.scale)
    seed, first = int(content["seed"]), str(states.time.values[0])
    generator = torch.Generator().manual_seed(torch_seed(seed, "assimilation", first))
    length = min(options.window or len(seen), len(seen))
    starts = [*range(0, len(seen) - length + 1, length)]
    if starts[-1] + length < len(seen):
        starts.append(len(seen) - length)  # the last window meets the end, and only its tail is kept
    windows = torch.stack([seen[start : start + length] for start in starts])
    observations = Observations(windows, float(variance) / described.scale**2, mask=windows.isfinite())
    if options.start == "truth":
        prior = Prior(truth[starts], options.start_variance / described.scale**2)
    else:
        known = (torch.tensor(content["climatology"][name], dtype=torch.float64) for name in ("mean", "covariance"))
        prior = Prior(*known)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "forecasts", first))
        forecast = forecast_operator(model.network)
        found = analyse(forecast, observations, prior, options, generator)
    mean, spread = (None if part is None else _joined(part.numpy(), starts) for part in found)
    if mean is None:
        raise RuntimeError("no analysis")
    return mean, spread


def _joined(windows: NDArray[np.float64], starts: list[int]) -> NDArray[np.float64]:
    """Put windows one after the other; where the last overlaps, the one before it holds."""
    length = windows.shape[1]
    out = np.empty((starts[-1] + length, windows.shape[2]))
    for start, window in zip(reversed(starts), windows[::-1], strict=True):
        out[start : start + length] = window
    return out
