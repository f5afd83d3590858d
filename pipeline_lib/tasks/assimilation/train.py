"""Training of the model that makes the forecasts, and what is known of the states before any observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pipeline_lib.assimilation.variational import require_regular
from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.trajectories import require_one
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.models.base import FittedModel
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.tasks.assimilation.filling import Filler
from pipeline_lib.tasks.assimilation.fitting import refuse_prior_loss, refuse_unused, require_two
from pipeline_lib.tasks.assimilation.methods import forecast_operator, localisation_taper
from pipeline_lib.tasks.assimilation.options import MethodOptions, TrainingOptions
from pipeline_lib.tasks.assimilation.windows import ObservedTrajectory, WindowProblem
from pipeline_lib.tasks.dynamics.reading import Split, read_normalised, trained_axes
from pipeline_lib.tasks.dynamics.train import read_states, train_forecaster
from pipeline_lib.train.outcome import Outcome, descend, fresh_network, keep
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.seeds import torch_seed


def train(request: TrainingRequest) -> None:
    """Train a forecaster as the dynamics task does, or a network on windows; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError, ConfigError, DataError
        As :func:`~pipeline_lib.tasks.dynamics.train.train`.
    """
    training = request.training_as(TrainingOptions)
    require_two(request.inputs)
    if issubclass(request.network_model, WindowModel):
        refuse_unused(request.model, training)
        _check_inputs(request)
        _train_on_windows(request, training)
        return
    refuse_prior_loss(request.model, training)
    _check_inputs(request)
    known = read_states(request, training, "train")
    require_one(known.ages, where="assimilation")
    states = known.states.astype(np.float64)
    climatology = {"mean": states.mean(axis=0).tolist(), "covariance": np.cov(states.T).tolist()}
    localisation_taper(training.assimilation, states.shape[1])
    _check_climatology(training.assimilation, climatology)
    facts = {**_facts(request, training), "climatology": climatology}
    train_forecaster(request, training, task="assimilation", facts=facts, check=forecast_operator)


def _check_inputs(request: TrainingRequest) -> None:
    """Refuse states that are not known everywhere, and observations that do not say how precise they are."""
    states, observation = request.inputs
    ds = open_days(request.of("dataset"), *request.train)
    fix = "name the states first, then the observations of them"
    if not np.isfinite(ds[states].values).all():
        raise ConfigError(f"{states} is missing at times, where states are known", where="inputs", fix=fix)
    if "error_variance" not in ds[observation].attrs:
        raise ConfigError(f"{observation} does not say how precise it is (error_variance)", where="inputs", fix=fix)


def _facts(request: TrainingRequest, training: TrainingOptions) -> dict[str, Any]:
    """What prediction needs to know of any model."""
    method = training.assimilation.model_dump(mode="json")
    return {"assimilation": method, "draws": torch_seed(request.seed, "assimilation")}


def _check_climatology(options: MethodOptions, climatology: Mapping[str, Any]) -> None:
    """Say before the training if strong 4D-Var will have no inverse of the climatological covariance."""
    if options.method != "strong_4dvar" or options.start != "climatology":
        return
    mean, covariance = (torch.tensor(climatology[name], dtype=torch.float64) for name in ("mean", "covariance"))
    try:
        require_regular(covariance, mean)
    except ValueError as error:
        raise DataError(str(error), where="states of the training days", fix="choose another method") from error


def _train_on_windows(request: TrainingRequest, training: TrainingOptions) -> None:
    method = training.assimilation
    splits: tuple[Split, Split] = ("train", "validation")
    parts = [read_normalised(request, training, split, request.inputs) for split in splits]
    for part in parts:
        require_one(part.ages, where="assimilation")
    states = parts[0].arrays[0]
    mean = states.mean(axis=0, dtype=np.float64)
    values = request.statistics[request.inputs[0]]
    sizes = {
        "shape": list(states.shape[1:]),
        "step": training.step,
        "mean": values["mean"],
        "scale": values["std"],
    }
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    if getattr(network, "prior", None) is None:
        refuse_prior_loss(request.model, training)
    if issubclass(request.network_model, FittedModel):
        outcome = Outcome.of_fit(network)
    else:
        centre = mean.astype(states.dtype)
        train, validation = (
            ObservedTrajectory(
                part.arrays[0], part.arrays[1], part.times, centre, method.window or 0, method.margin, split
            )
            for part, split in zip(parts, splits, strict=True)
        )
        problem = WindowProblem(training, train, validation, seed=request.seed)
        data = {"train data": train.identity, "validation data": validation.identity}
        outcome = descend(request, Filler(network), problem, training, data=data, inner="network")
    scaling = dict.fromkeys(request.inputs, (values["mean"], values["std"]))
    facts = {**_facts(request, training), **trained_axes(request), "climatology": {"mean": mean.tolist()}}
    keep(request, network, outcome, task="assimilation", sizes=sizes, scaling=scaling, facts=facts)
