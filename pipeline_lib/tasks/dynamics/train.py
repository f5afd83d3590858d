"""Training of a network that advances states, on windows of a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.periods import overlaps
from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Forecaster, Rollout
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, dataset_facts, save_model
from pipeline_lib.models.base import FittedModel
from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares
from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.tasks.dynamics.trajectories import ages_of, require_one
from pipeline_lib.tasks.dynamics.windows import Trajectory, Windows
from pipeline_lib.train.loop import TrainingResult, run_training
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.seeds import generator, torch_seed
from pipeline_lib.train.share import Share

ON_CPU = {"device": "cpu", "precision": "float64"}
"""Where and how a fit in one go computes."""
NO_HISTORY = pd.DataFrame({"epoch": [], "train_loss": []})
"""Of a fit that has no epochs."""
_FEW = 32
"""Learned values up to which the manifest tells them."""
_VALIDATION_WINDOWS = 2000
"""Validation windows at most, evenly spread."""


class SquaredError:
    """Mean squared error over all windows, steps and components: validation scores."""

    def __init__(self, scale: float) -> None:
        self._scale, self._sum, self._count = scale, 0.0, 0

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        self._sum += float(((output - batch.target).double() ** 2).sum())
        self._count += batch.target.numel()

    def totals(self) -> Tensor:
        """Return the sum and the number of its terms."""
        return torch.tensor([self._sum, self._count], dtype=torch.float64)

    def replace(self, totals: Tensor) -> None:
        """Take such sums in place of the own ones."""
        self._sum, self._count = float(totals[0]), int(totals[1])

    def result(self) -> dict[str, float]:
        """Return the loss and the root mean square error of normalised states."""
        mean = self._sum / max(self._count, 1)
        return {"loss": self._scale * mean, "rmse": mean**0.5}


class DynamicsProblem:
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    def __init__(self, options: TrainingOptions, train: Trajectory, validation: Trajectory, *, seed: int) -> None:
        self._options, self._train, self._validation, self._seed = options, train, validation, seed
        self._count = max(options.windows or train.windows, options.batch_size)
        self.steps_per_epoch = self._count // options.batch_size

    def training_batches(self, epoch: int, share: Share) -> Windows:
        """Return the random windows of an epoch."""
        return Windows(self._train, self._options.batch_size, self._count, self._seed, epoch, share)

    def validation_batches(self, share: Share) -> Windows:
        """Return evenly spread windows."""
        count = min(self._validation.windows, _VALIDATION_WINDOWS)
        return Windows(self._validation, self._options.batch_size, count, None, share=share)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of normalised states, scaled."""
        return self._options.loss_scale * torch.nn.functional.mse_loss(output, batch.target)

    def new_scores(self) -> SquaredError:
        """Return empty scores."""
        return SquaredError(self._options.loss_scale)

    def describe(self, samples: Tensor) -> str:
        """Name training windows."""
        return self._train.describe(samples)


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    ConfigError, DataError
        If the states do not fit the options, or are too few.
    """
    training = request.training
    if not isinstance(training, TrainingOptions):
        raise TypeError("training must be TrainingOptions")
    if len(request.inputs) != 1:
        fix = f"name one of {', '.join(request.inputs)}"
        raise ConfigError("a state is one variable", where="inputs", fix=fix)
    every = None if training.free_run is None else round(training.free_run / training.step)
    facts = {"forecast_steps": training.forecast_steps, "free_run_steps": every}
    train_forecaster(request, training, task="dynamics", facts=facts)


def train_forecaster(
    request: TrainingRequest, training: TrainingOptions, *, task: str, facts: Mapping[str, Any]
) -> None:
    """Train a network on the states that the first input holds, and store it for a task, with facts for its manifest.

    Raises
    ------
    Interrupted, TrainingError, ConfigError, DataError
        As :func:`train`.
    """
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    values = request.statistics[request.inputs[0]]
    trajectories = read_states(request, training, "train"), read_states(request, training, "validation")
    sizes = {
        "shape": list(trajectories[0].shape),
        "step": training.step,
        "mean": values["mean"],
        "scale": values["std"],
    }
    network = initialised(request, sizes)
    if not isinstance(network, Forecaster):
        title = request.network_model.card.title
        raise ConfigError(f"{title} advances no states", where="models", fix="choose a model of this task")
    store(request, network, sizes, _found(request, training, network, *trajectories), task=task, facts=facts)


@dataclass(frozen=True)
class Found:
    """What a training ended with, however it was done."""

    weights: Mapping[str, Tensor]
    history: pd.DataFrame
    facts: Mapping[str, Any]
    last: Path | None = None


def _found(
    request: TrainingRequest, training: TrainingOptions, network: Forecaster, train: Trajectory, validation: Trajectory
) -> Found:
    """Find the values of a network: by its own method, by least squares, or step by step along gradients."""
    if issubclass(request.network_model, FittedModel):
        for trajectory in (train, validation):
            require_one(trajectory.ages, where=request.network_model.card.title)
        states = [torch.from_numpy(trajectory.states) for trajectory in (train, validation)]
        history = request.network_model.fit(network.double(), *states, horizon=training.horizon)
        return Found(network.state_dict(), NO_HISTORY if history is None else history, ON_CPU)
    if next(network.parameters(), None) is None:  # equations in which nothing is unknown
        return Found(network.state_dict(), NO_HISTORY, ON_CPU)
    if training.optimizer == "levenberg_marquardt":
        history = fit_least_squares(
            Rollout(network.double(), training.horizon),
            train.spread(training.windows),
            validation.spread(_VALIDATION_WINDOWS),
            iterations=training.max_epochs,
            scale=training.loss_scale,
        )
        epochs = {"best_epoch": int(history["val_loss"].argmin()) + 1, "stopped_epoch": len(history)}
        return Found(network.state_dict(), history, {**ON_CPU, **epochs})
    result = run_training(
        network=Rollout(network, training.horizon),
        problem=DynamicsProblem(training, train, validation, seed=request.seed),
        options=training,
        seed=request.seed,
        folder=request.folder,
        device=request.device,
        devices=request.devices,
        end=request.end,
        run=run_identity(request, train.identity, validation.identity),
    )
    weights = {name.removeprefix("forecaster."): value for name, value in result.weights.items()}
    return Found(weights, result.history, facts_of(result, request), result.last)


def initialised(request: TrainingRequest, sizes: Mapping[str, Any]) -> nn.Module:
    """Return a network whose initial weights are a function of the seed; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(request.seed, "weights"))
        return request.network_model.build(request.model_options, **sizes)


def facts_of(result: TrainingResult, request: TrainingRequest) -> dict[str, Any]:
    """Return what the manifest of a model says of the training loop's work."""
    found = ("best_epoch", "stopped_epoch", "device", "precision")
    return {**{name: getattr(result, name) for name in found}, "devices": request.devices}


def run_identity(request: TrainingRequest, train: str, validation: str) -> dict[str, Any]:
    """Return what a checkpoint remembers of the run: model, options, identities of its data."""
    return {
        "model": f"{request.network_model.__module__}.{request.network_model.__qualname__}",
        "options": request.model_options.model_dump(mode="json"),
        "train data": train,
        "validation data": validation,
    }


def store(
    request: TrainingRequest,
    network: nn.Module,
    sizes: Mapping[str, Any],
    found: Found,
    *,
    task: str,
    facts: Mapping[str, Any],
) -> None:
    """Store a trained network; all its inputs are normalised by the statistics of the first."""
    statistics = request.statistics
    mean, scale = (statistics[request.inputs[0]][name] for name in ("mean", "std"))
    spec = ModelSpec(
        model=request.model,
        options=request.model_options.model_dump(mode="json"),
        task=task,
        inputs=tuple(
            InputVariable(name=name, units=statistics[name]["units"], mean=mean, scale=scale) for name in request.inputs
        ),
        sizes=dict(sizes),
        parameters=sum(p.numel() for p in network.parameters()),
    )
    save_model(
        request.output,
        spec=spec,
        weights=found.weights,
        history=found.history,
        last=found.last,
        inputs=request.manifests,
        training=request.described,
        code=request.code,
        extra={**found.facts, **facts, **_learned(network, found), **dataset_facts(request.manifests)},
    )


def _learned(network: nn.Module, found: Found) -> dict[str, Any]:
    """Values that were learned, by the last part of their names, if they are so few that one can look at them."""
    weights = {name: found.weights[name].flatten().tolist() for name, _ in network.named_parameters()}
    values = {name.rsplit(".", 1)[-1]: value for name, value in weights.items()}
    if not 0 < sum(map(len, weights.values())) <= _FEW or len(values) < len(weights):
        return {}
    return {"learned": {name: value[0] if len(value) == 1 else value for name, value in values.items()}}


def read_states(
    request: TrainingRequest, training: TrainingOptions, split: Literal["train", "validation"]
) -> Trajectory:
    """Return the states of the days of a split, normalised, with the noise that the options ask for."""
    variable = request.inputs[0]
    statistics = request.statistics[variable]
    start, end = request.train if split == "train" else request.validation
    ds = open_days([m for m in request.of("dataset") if overlaps(m.content["period"], start, end)], start, end)
    times = ds["time"].values
    step = float((times[1] - times[0]) / np.timedelta64(1, "D"))
    if not np.isclose(step, training.step, rtol=1e-6):
        raise ConfigError(
            f"is {training.step:g}, the states are {step:g} apart", where="training.step", fix="correct it"
        )
    states = ds[variable].values.reshape(len(times), -1).astype(np.float64)
    if training.noise:
        states += training.noise * generator(request.seed, "noise", split).standard_normal(states.shape)
    states = (states - statistics["mean"]) / statistics["std"]
    exact = (
        training.precision == "float64"
        or training.optimizer == "levenberg_marquardt"
        or issubclass(request.network_model, FittedModel)
    )
    dtype = np.float64 if exact else np.float32
    return Trajectory(
        states.astype(dtype), times, training.horizon, ds[variable].shape[1:], ages_of(ds), training.from_age
    )
