"""Training of a network that advances states, on windows of a trajectory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.periods import overlaps
from pipeline_lib.errors import ConfigError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.learning.forecaster import Forecaster, Rollout
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, dataset_facts, save_model
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options
from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.tasks.dynamics.windows import Trajectory, Windows
from pipeline_lib.train.loop import TrainingResult, run_training
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.seeds import torch_seed
from pipeline_lib.train.share import Share

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


def train(
    *,
    model: str,
    model_options: Options,
    training: Options,
    inputs: tuple[str, ...],
    days: tuple[tuple[date, date], tuple[date, date]],
    seed: int,
    manifests: Mapping[str, Manifest],
    folder: Path,
    output: Path,
    described: Mapping[str, Any],
    device: Device,
    devices: int,
    threads: int | None,
    end: float | None,
    code: str,
) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Arguments and errors are those of :func:`pipeline_lib.tasks.segmentation.train.train`.
    """
    if not isinstance(training, TrainingOptions):
        raise TypeError("training must be TrainingOptions")
    entry = MODELS.get(model)
    if not issubclass(entry, NetworkModel):
        raise TypeError(f"{model} has no network")
    if len(inputs) != 1:
        raise ConfigError("a state is one variable", where="inputs", fix=f"name one of {', '.join(inputs)}")
    if threads is not None:
        torch.set_num_threads(threads)
    values = json.loads(manifests["statistics"].file("statistics.values.json").read_text(encoding="utf-8"))[inputs[0]]
    arrays = [_trajectory(manifests, inputs[0], *split, values, training) for split in days]
    sizes = {
        "dimension": arrays[0].states.shape[1],
        "step": training.step,
        "mean": values["mean"],
        "scale": values["std"],
    }
    network = _network(entry, model_options, sizes, seed)
    result = run_training(
        network=Rollout(network, training.horizon),
        problem=DynamicsProblem(training, *arrays, seed=seed),
        options=training,
        seed=seed,
        folder=folder,
        device=device,
        devices=devices,
        end=end,
        run={
            "model": f"{entry.__module__}.{entry.__qualname__}",
            "options": model_options.model_dump(mode="json"),
            "train data": arrays[0].identity,
            "validation data": arrays[1].identity,
        },
    )
    spec = ModelSpec(
        model=model,
        options=model_options.model_dump(mode="json"),
        task="dynamics",
        inputs=(InputVariable(name=inputs[0], units=values["units"], mean=values["mean"], scale=values["std"]),),
        sizes=sizes,
        parameters=sum(p.numel() for p in network.parameters()),
    )
    facts = {"devices": devices, "forecast_steps": training.forecast_steps}
    _store(output, spec, result, manifests=manifests, described=described, facts=facts, code=code)


def _network(entry: type[NetworkModel], options: Options, sizes: Mapping[str, Any], seed: int) -> Forecaster:
    """Return a network whose initial weights are a function of ``seed``; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights"))
        network = entry.build(options, **sizes)
    if not isinstance(network, Forecaster):
        raise ConfigError(f"{entry.card.title} advances no states", where="models", fix="choose a model of this task")
    return network


def _store(
    output: Path,
    spec: ModelSpec,
    result: TrainingResult,
    *,
    manifests: Mapping[str, Manifest],
    described: Mapping[str, Any],
    facts: Mapping[str, Any],
    code: str,
) -> None:
    """Store the network without the loop around it."""
    weights = {name.removeprefix("forecaster."): value for name, value in result.weights.items()}
    found = ("best_epoch", "stopped_epoch", "device", "precision")
    save_model(
        output,
        spec=spec,
        weights=weights,
        history=result.history,
        last=result.last,
        inputs=manifests,
        training=described,
        code=code,
        extra={**facts, **{name: getattr(result, name) for name in found}, **dataset_facts(manifests)},
    )


def _trajectory(
    manifests: Mapping[str, Manifest],
    variable: str,
    start: date,
    end: date,
    statistics: Mapping[str, Any],
    training: TrainingOptions,
) -> Trajectory:
    """States of the days from ``start`` to ``end``, normalised."""
    datasets = [m for role, m in manifests.items() if role.startswith("dataset")]
    ds = open_days([m for m in datasets if overlaps(m.content["period"], start, end)], start, end)
    times = ds["time"].values
    step = float((times[1] - times[0]) / np.timedelta64(1, "D"))
    if not np.isclose(step, training.step, rtol=1e-6):
        raise ConfigError(
            f"is {training.step:g}, the states are {step:g} apart", where="training.step", fix="correct it"
        )
    states = (ds[variable].values - statistics["mean"]) / statistics["std"]
    return Trajectory(states.reshape(len(times), -1).astype(np.float32), times, training.horizon)
