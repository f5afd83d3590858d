"""Analyses of a period: the predict stage's door."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.data.trajectories import ages_of, require_one
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.learning.model_store import InputVariable, LoadedModel, load_model
from pipeline_lib.learning.precision import number_format, resolve_device
from pipeline_lib.tasks.assimilation.filling import Filler, first_guess, without_margins
from pipeline_lib.tasks.assimilation.methods import Prior, analyse, forecast_operator
from pipeline_lib.tasks.assimilation.names import ANALYSIS, KNOWN_AT_START, POSITION, SPREAD, USED
from pipeline_lib.tasks.assimilation.options import MethodOptions
from pipeline_lib.tasks.dynamics.given import require_states

_Value = TypeVar("_Value", bound=np.generic)
_USED_ATTRS = {
    "units": "1",
    "long_name": "whether there was an observation to use",
    "flag_values": np.array([0, 1], dtype=np.int8),
    "flag_meanings": "no yes",
    "coverage_content_type": "auxiliaryInformation",
}
_POSITION_ATTRS = {
    "units": "1",
    "long_name": "time steps since the start of the window",
    "coverage_content_type": "auxiliaryInformation",
}
_WINDOWS = 64
"""Windows that a network fills at once."""


class _Analysed(NamedTuple):
    """Mean and spread, normalised, and what was used (time, component); the position in the window (time,)."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    used: NDArray[np.bool_]
    position: NDArray[np.int32]


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``analysis`` (time, ...) in the unit of the states and, of ensembles, ``spread``: standard deviation over the
        members; ``used``: 1 where there was an observation to use; ``window_position`` (time,): time steps since the
        start of the window, with what was known at this as attribute ``known_at_start``.

    Raises
    ------
    DataError
        If an input variable is missing, has another unit, shape or order than in training, or does not say how precise
        the observations are; if the states are not one time step apart, of several trajectories, or fewer than a
        window.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    require_states(ds, model.spec, trained.content)
    require_one(ages_of(ds), where="assimilation")
    states, observation = (ds[variable.name].load() for variable in model.spec.inputs)
    found = _analysed(model, trained, states, observation, device)
    dims = tuple(str(dim) for dim in states.dims)
    coords = {name: states[name] for name in dims if name in states.coords}
    described = model.spec.inputs[0]
    out = xr.Dataset({ANALYSIS: (dims, (found.mean * described.scale + described.mean).astype(states.dtype))}, coords)
    if found.spread is not None:
        out[SPREAD] = (dims, (found.spread * described.scale).astype(states.dtype))
    out.attrs["title"] = "Analyses"
    what = states.attrs.get("long_name", described.name)
    for name, words in ((ANALYSIS, "analysis of"), (SPREAD, "standard deviation over the members of the analysis of")):
        if name in out:
            attrs = {"units": described.units, "long_name": f"{words} the {what}"}
            out[name].attrs = {**attrs, "coverage_content_type": "modelResult"}
    out[USED] = (dims, found.used.astype(np.int8), _USED_ATTRS)
    known = {KNOWN_AT_START: trained.content["assimilation"]["start"]}
    out[POSITION] = ("time", found.position, {**_POSITION_ATTRS, **known})
    out["time"].attrs = dict(COORDINATE_ATTRS["time"])
    return out


def _analysed(
    model: LoadedModel, trained: Manifest, states: xr.DataArray, observation: xr.DataArray, device: Device
) -> _Analysed:
    """Windows are analysed together, each by itself."""
    described = model.spec.inputs[0]
    options = MethodOptions.model_validate(trained.content["assimilation"])
    seen = torch.from_numpy((observation.values.astype(np.float64) - described.mean) / described.scale)
    length = options.window or len(seen)
    if length > len(seen):
        raise DataError(
            f"is {length} time steps, the period from {states.time.values[0]:.10} on holds {len(seen)}",
            where="training.assimilation.window",
            fix="set a shorter one, or choose days whose periods hold whole windows",
        )
    starts = [*range(0, len(seen) - length + 1, length)]
    if starts[-1] + length < len(seen):
        starts.append(len(seen) - length)  # the last window meets the end, and only its tail is kept
    windows = without_margins(torch.stack([seen[start : start + length] for start in starts]), options.margin)
    if isinstance(model.network, Forecaster):
        mean, spread = _with_forecasts(model.network, trained, described, windows, starts, states, observation)
    else:
        start = torch.tensor(trained.content["climatology"]["mean"], dtype=torch.float64)
        mean, spread = _filled(model.network, windows, start, resolve_device(device)), None
    position = np.broadcast_to(np.arange(length, dtype=np.int32)[:, None], (len(starts), length, 1))
    return _Analysed(
        _joined(mean.numpy(), starts),
        None if spread is None else _joined(spread.numpy(), starts),
        _joined(windows.isfinite().numpy(), starts),
        _joined(position, starts)[:, 0],
    )


def _filled(network: nn.Module, windows: Tensor, mean: Tensor, device: torch.device) -> Tensor:
    """States (batch, time, component) of windows of observations, by a network that fills them from a mean."""
    filler, dtype = Filler(network).to(device).eval(), number_format(network)
    with torch.no_grad():
        inputs = first_guess(windows, mean).to(device, dtype)
        found = torch.cat([filler(part)[:, 0] for part in torch.split(inputs, _WINDOWS)])
    return found.mT.cpu().double()


def _with_forecasts(
    network: Forecaster,
    trained: Manifest,
    described: InputVariable,
    windows: Tensor,
    starts: list[int],
    states: xr.DataArray,
    observation: xr.DataArray,
) -> tuple[Tensor, Tensor | None]:
    """Analysis and spread (batch, time, component) with a network as forecast operator."""
    content = trained.content
    options = MethodOptions.model_validate(content["assimilation"])
    options = options.model_copy(update={"model_error": options.model_error / described.scale})
    variance = observation.attrs.get("error_variance")
    if variance is None:
        raise DataError("does not say how precise it is", where=str(observation.name), fix="set error_variance")
    observations = Observations(windows, float(variance) / described.scale**2, mask=windows.isfinite())
    mean, covariance = (
        torch.tensor(content["climatology"][name], dtype=torch.float64) for name in ("mean", "covariance")
    )
    prior = Prior(mean, covariance)
    if options.start == "truth":
        truth = torch.from_numpy((states.values[starts].astype(np.float64) - described.mean) / described.scale)
        prior = Prior(truth, options.start_variance / described.scale**2, climatology=covariance)
    # Of the model's seed and the period, so that no two draw the same.
    drawn = (int(content["draws"]) + int(states.time.values[0].astype(np.int64))) % 2**63
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn)
        generator = torch.Generator().manual_seed(drawn)
        return analyse(forecast_operator(network.double()), observations, prior, options, generator)


def _joined(windows: NDArray[_Value], starts: list[int]) -> NDArray[_Value]:
    """Put windows one after the other; where the last overlaps, the one before it holds."""
    length = windows.shape[1]
    out = np.empty((starts[-1] + length, windows.shape[2]), windows.dtype)
    for start, window in zip(reversed(starts), windows[::-1], strict=True):
        out[start : start + length] = window
    return out
