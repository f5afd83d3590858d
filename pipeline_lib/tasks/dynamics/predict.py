"""Forecasts from every state of a period that enough others precede."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.data.trajectories import Ages, ages_of, pieces
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.forecaster import Forecaster, Rollout
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.learning.precision import number_format, resolve_device
from pipeline_lib.tasks.dynamics.given import require_states
from pipeline_lib.tasks.dynamics.names import AGE, FORECAST_OF, FREE_RUN, HISTORY, RUN_STEPS, SHELL, SUBGRID, VARIABLE
from pipeline_lib.tasks.dynamics.starts import starts_with

_SEED = 0
"""Of what a network draws when it begins a forecast."""


def product(trained: Manifest, ds: xr.Dataset, *, device: Device, threads: int | None) -> xr.Dataset:
    """Return the product of a stored model; the predict stage's door.

    Returns
    -------
    xarray.Dataset
        ``forecast`` (time, lead, ...) in the format and unit of the states: what the state is so many steps after
        ``time``, even beyond the end of its trajectory; its attribute ``forecast_of`` is the name of the states. Leads
        count from 1. Forecasts from several true states have their number as attribute ``history``, and start from
        those states alone that enough others of their trajectory and this period precede. With free runs also
        ``free_run`` (time, ...): what the state is at ``time`` in a run that started from the truth ``free_run_age``
        (time,) steps before, in the same trajectory, with the length of a whole run as attribute ``run_steps``; and for
        each diagnostic of the network ``free_run_<name>`` of that state and ``<name>`` of the true one (time,), for
        each of its spectra likewise (time, shell). Where the dataset holds the exact answer of a closure, and the
        network knows one, also ``subgrid`` (time, ...): its answer to the true state, in the unit of the exact one.

    Raises
    ------
    DataError
        If the input variable is missing, has another unit, shape or order than in training, or its states are not one
        time step apart; if the exact term has another shape than the model's, or no
        state has the history that forecasts start from.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(trained.path)
    require_states(ds, model.spec, trained.content)
    (described,) = model.spec.inputs
    history = int(model.spec.sizes.get("history", 1))
    starts = starts_with(history, ages_of(ds))
    states = ds[described.name].load()
    if not isinstance(model.network, Forecaster):
        raise TypeError(f"{model.spec.model} advances no states")
    content = trained.content
    steps, every = int(content["forecast_steps"]), content["free_run_steps"]
    target = resolve_device(device)
    network = model.network.to(target).eval()
    flat = (states.values.reshape(states.sizes["time"], -1).astype(np.float64) - described.mean) / described.scale
    known = flat if history == 1 else flat[starts[:, None] + np.arange(1 - history, 1)]
    found = {VARIABLE: _forecasts(network, known, steps, target)}
    if every is not None:
        age = _ages_of_runs(ages_of(ds), int(every), history)
        found[FREE_RUN] = _free_runs(network, known, age, target)
    ds, flat = ds.isel(time=starts), flat[starts]
    axes = tuple(str(dim) for dim in states.dims[1:])
    variables = {
        name: (
            ("time", "lead", *axes) if name == VARIABLE else ("time", *axes),
            (values * described.scale + described.mean)
            .astype(states.dtype)
            .reshape(*values.shape[:-1], *states.shape[1:]),
        )
        for name, values in found.items()
    }
    coords = {str(d): ds[d] for d in states.dims if d in states.coords}
    out = xr.Dataset(variables, {**coords, "lead": np.arange(1, steps + 1)})
    out.attrs["title"] = "Forecasts"
    what = states.attrs.get("long_name", described.name)
    for name, words in ((VARIABLE, "forecast"), (FREE_RUN, "free run")):
        if name in out:
            attrs = {"units": described.units, "long_name": f"{words} of the {what}"}
            out[name].attrs = {**attrs, "coverage_content_type": "modelResult"}
    out[VARIABLE].attrs |= {FORECAST_OF: described.name, **({HISTORY: history} if history > 1 else {})}
    out["time"].attrs = {**COORDINATE_ATTRS["time"], "long_name": "time of the state that the forecast starts from"}
    out["lead"].attrs = {"long_name": "time steps since the start of the forecast", "units": "1"}
    if every is not None:
        told = {"units": "1", "long_name": "time steps since the start of the free run", RUN_STEPS: int(every)}
        out[AGE] = ("time", age.astype(np.int32), told)
        out = out.assign(_diagnosed(network, flat, found[FREE_RUN], target))
    if SUBGRID in ds and network.term_shape is not None:
        out[SUBGRID] = _term(network, flat, ds[SUBGRID], target)
    return out


def _term(network: Forecaster, states: NDArray[np.float64], exact: xr.DataArray, device: torch.device) -> xr.Variable:
    """What a closure answers to normalised states (time, dimension), in the form of the exact answers (time, ...)."""
    if exact.shape[1:] != network.term_shape:
        fix = "take a source whose exact term is that of this model"
        raise DataError(f"terms are {exact.shape[1:]}, those of the model {network.term_shape}", where=SUBGRID, fix=fix)
    with torch.inference_mode():
        values = network.term(torch.from_numpy(states).to(device, number_format(network)))
    attrs = {"units": exact.attrs["units"], "long_name": "answer of the closure to the state"}
    return xr.Variable(exact.dims, values.cpu().numpy().astype(exact.dtype), attrs)


def _diagnosed(
    network: Forecaster, truth: NDArray[np.float64], free: NDArray[np.float64], device: torch.device
) -> dict[str, xr.Variable]:
    """Diagnostics (time,) and spectra (time, shell) of normalised states (time, dimension), true and of free runs."""
    out = {}
    for prefix, states in (("", truth), (f"{FREE_RUN}_", free)):
        with torch.inference_mode():
            given = torch.from_numpy(states).to(device, number_format(network))
            values = network.diagnose(given) | network.spectrum(given)
        whose = f"{FREE_RUN.replace('_', ' ')}s" if prefix else "states"
        for name, (words, units) in {**network.diagnostics, **network.spectra}.items():
            attrs = {"units": units, "long_name": f"{words} of the {whose}"}
            dims = ("time", SHELL) if name in network.spectra else ("time",)
            out[f"{prefix}{name}"] = xr.Variable(dims, values[name].cpu().double().numpy(), attrs)
    return out


def _forecasts(
    network: Forecaster, states: NDArray[np.float64], steps: int, device: torch.device
) -> NDArray[np.float64]:
    """Forecasts (time, lead, dimension) from normalised states (time, dimension), or (time, history, dimension)."""
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(_SEED)
        start = torch.from_numpy(states).to(device, number_format(network))
        return np.asarray(Rollout(network, steps)(start).cpu().double().numpy())


def _ages_of_runs(ages: Ages, every: int, history: int = 1) -> Ages:
    """Steps since the start of the free run, of each state that has a history.

    One starts with the first of these in each trajectory, and every so many steps of it.
    """
    steps = [np.arange(max(piece.stop - piece.start - history + 1, 0)) % every for piece in pieces(ages)]
    return np.concatenate(steps)


def _free_runs(
    network: Forecaster, states: NDArray[np.float64], age: Ages, device: torch.device
) -> NDArray[np.float64]:
    """States (time, dimension) of runs that start from the truth, as `_forecasts` takes it, where their age is 0."""
    runs = states[age == 0]
    present = runs.reshape(len(runs), -1, runs.shape[-1])[:, -1:]
    found = np.concatenate([present, _forecasts(network, runs, max(int(age.max()), 1), device)], axis=1)
    return np.asarray(found[np.cumsum(age == 0) - 1, age])
