"""Training of the model that makes the forecasts, and what is known of the states before any observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import FittedModel
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.tasks.assimilation.filling import Filler
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.assimilation.windows import ObservedTrajectory, WindowProblem
from pipeline_lib.tasks.dynamics.train import read_states, train_forecaster
from pipeline_lib.train.outcome import Outcome, descend, fresh_network, keep
from pipeline_lib.train.request import Days, TrainingRequest
from pipeline_lib.train.seeds import torch_seed


def train(request: TrainingRequest) -> None:
    """Train a forecaster as the dynamics task does, or a network on windows; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError, ConfigError, DataError
        As :func:`~pipeline_lib.tasks.dynamics.train.train`.
    """
    training = request.training
    if not isinstance(training, TrainingOptions):
        raise TypeError("training must be TrainingOptions")
    if len(request.inputs) != 2:
        raise ConfigError(
            f"are {', '.join(request.inputs)}", where="inputs", fix="name the states and the observations of them"
        )
    if issubclass(request.network_model, WindowModel):
        _train_on_windows(request, training)
        return
    states = read_states(request, training, "train").states.astype(np.float64)
    climatology = {"mean": states.mean(axis=0).tolist(), "covariance": np.cov(states.T).tolist()}
    method = training.assimilation.model_dump(mode="json")
    facts = {"assimilation": method, "climatology": climatology, "draws": torch_seed(request.seed, "assimilation")}
    train_forecaster(request, training, task="assimilation", facts=facts)


def _train_on_windows(request: TrainingRequest, training: TrainingOptions) -> None:
    length = training.assimilation.window
    if length is None:
        raise ConfigError(
            f"{request.model} fills windows", where="training.assimilation.window", fix="set their length in time steps"
        )
    values = request.statistics[request.inputs[0]]
    train, validation = (_observed(request, days, values, length) for days in (request.train, request.validation))
    sizes = {
        "shape": list(train.states.shape[1:]),
        "step": training.step,
        "mean": values["mean"],
        "scale": values["std"],
    }
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    if issubclass(request.network_model, FittedModel):
        outcome = Outcome.of_fit(network)
    else:
        problem = WindowProblem(training, train, validation, seed=request.seed)
        data = {"train data": train.identity, "validation data": validation.identity}
        outcome = descend(request, Filler(network), problem, training, data=data, inner="network")
    scaling = [(values["mean"], values["std"])] * len(request.inputs)
    facts = {
        "assimilation": training.assimilation.model_dump(mode="json"),
        "draws": torch_seed(request.seed, "assimilation"),
    }
    keep(request, network, outcome, task="assimilation", sizes=sizes, scaling=scaling, facts=facts)


def _observed(request: TrainingRequest, days: Days, values: Mapping[str, Any], length: int) -> ObservedTrajectory:
    """States and observations of the days of a split, both normalised by the statistics of the states."""
    ds = open_days(request.of("dataset"), *days)
    states, observation = (
        ((ds[name].values.astype(np.float64) - values["mean"]) / values["std"]).astype(np.float32)
        for name in request.inputs
    )
    return ObservedTrajectory(states, observation, ds["time"].values, length)
