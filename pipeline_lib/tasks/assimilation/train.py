"""Training of the model that makes the forecasts, and what is known of the states before any observation."""

from __future__ import annotations

import numpy as np

from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.dynamics.train import read_states, train_forecaster
from pipeline_lib.train.request import TrainingRequest


def train(request: TrainingRequest) -> None:
    """Train a forecaster as the dynamics task does, on the first input; the door that the train stage knows.

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
    states = read_states(request, training, "train").states.astype(np.float64)
    climatology = {"mean": states.mean(axis=0).tolist(), "covariance": np.cov(states.T).tolist()}
    method = training.assimilation.model_dump(mode="json")
    facts = {"assimilation": method, "climatology": climatology, "seed": request.seed}
    train_forecaster(request, training, task="assimilation", facts=facts)
