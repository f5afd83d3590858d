"""From a request to a stored model: what trainings of all tasks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pipeline_lib.learning.model_store import InputVariable, ModelSpec, dataset_facts, save_model
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.options import Options
from pipeline_lib.train.options import LoopOptions
from pipeline_lib.train.problem import Problem
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.seeds import torch_seed

FEW = 32
"""Learned values up to which a manifest tells them."""


def _no_history() -> pd.DataFrame:
    return pd.DataFrame({"epoch": [], "train_loss": []})


@dataclass(frozen=True)
class Outcome:
    """What a training ended with, however it was done.

    Attributes
    ----------
    weights
        State dict of the network.
    history
        One row per epoch; none if there were no epochs.
    facts
        What the manifest says of it, plain values.
    last
        The last checkpoint, if there were any.
    """

    weights: Mapping[str, Tensor]
    history: pd.DataFrame = field(default_factory=_no_history)
    facts: Mapping[str, Any] = field(default_factory=dict)
    last: Path | None = None

    @classmethod
    def of_fit(cls, network: nn.Module, history: pd.DataFrame | None = None, **facts: object) -> Outcome:
        """Return that of a network whose values were found in one go, on the CPU and in float64."""
        told = {"device": "cpu", "precision": "float64", **facts}
        return cls(network.state_dict(), _no_history() if history is None else history, told)


def fresh_network(model: type[NetworkModel], options: Options, *, seed: int, **sizes: Any) -> nn.Module:  # noqa: ANN401 - the task's
    """Return a network whose initial weights are a function of ``seed``; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights"))
        return model.build(options, **sizes)


def descend(
    request: TrainingRequest,
    network: nn.Module,
    problem: Problem,
    options: LoopOptions,
    *,
    data: Mapping[str, Any],
    inner: str = "",
) -> Outcome:
    """Train a network along gradients, or go on where an interrupted training of the same request stopped.

    Parameters
    ----------
    request
        Where and in how many processes to compute, until when, and what it is.
    network, problem, options
        As :func:`~pipeline_lib.train.loop.run_training` takes them.
    data
        Plain values that tell these data from others; a checkpoint remembers them.
    inner
        Name of the part of ``network`` whose weights are wanted; empty for all of it.

    Raises
    ------
    Interrupted, TrainingError, ConfigError
        As :func:`~pipeline_lib.train.loop.run_training`.
    """
    # Lightning takes seconds to load, and a fit in one go needs none of it.
    from pipeline_lib.train.loop import run_training

    model = request.network_model
    result = run_training(
        network=network,
        problem=problem,
        options=options,
        seed=request.seed,
        folder=request.folder,
        device=request.device,
        devices=request.devices,
        end=request.end,
        run={
            "model": f"{model.__module__}.{model.__qualname__}",
            "options": request.model_options.model_dump(mode="json"),
            **data,
        },
    )
    prefix = f"{inner}." if inner else ""
    weights = {name.removeprefix(prefix): value for name, value in result.weights.items()}
    found = ("best_epoch", "stopped_epoch", "device", "precision")
    facts = {**{name: getattr(result, name) for name in found}, "devices": request.devices}
    return Outcome(weights, result.history, facts, result.last)


def learned_values(network: nn.Module, outcome: Outcome) -> dict[str, Any]:
    """Return values that were learned, if they are so few that one can look at them, for the manifest.

    Returns
    -------
    dict
        Under ``learned`` numbers or lists of numbers, by the last parts of their names; nothing if two are alike.
    """
    weights = {name: outcome.weights[name].flatten().tolist() for name, _ in network.named_parameters()}
    values = {name.rsplit(".", 1)[-1]: value for name, value in weights.items()}
    if not 0 < sum(map(len, weights.values())) <= FEW or len(values) < len(weights):
        return {}
    return {"learned": {name: value[0] if len(value) == 1 else value for name, value in values.items()}}


def keep(
    request: TrainingRequest,
    network: nn.Module,
    outcome: Outcome,
    *,
    task: str,
    sizes: Mapping[str, Any],
    scaling: Mapping[str, tuple[float, float]],
    classes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Store a trained model.

    Parameters
    ----------
    request, network, outcome
        What was asked for, whose weights they are, and how the training ended.
    task
        Registered name.
    sizes, classes
        What the network was built with, and the names of its output channels.
    scaling
        What was subtracted from each input that is seen and what it was then divided by, in their units and order.
    facts
        Further plain facts for the manifest.
    beside
        Plain values that were fitted besides the network, by the name of the JSON file to keep them in.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    seen = tuple(
        InputVariable(name=name, units=request.statistics[name]["units"], mean=mean, scale=scale)
        for name, (mean, scale) in scaling.items()
    )
    spec = ModelSpec(
        model=request.model,
        options=request.model_options.model_dump(mode="json"),
        task=task,
        inputs=seen,
        classes=tuple(classes),
        sizes=dict(sizes),
        parameters=sum(p.numel() for p in network.parameters()),
    )
    few = learned_values(network, outcome)
    save_model(
        request.output,
        spec=spec,
        weights=outcome.weights,
        history=outcome.history,
        last=outcome.last,
        inputs=request.manifests,
        training=request.described,
        code=request.code,
        extra={**outcome.facts, **(facts or {}), **few, **dataset_facts(request.manifests)},
        beside=beside,
    )


def standard_scaling(
    statistics: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of variables over the training days."""
    return {name: (float(statistics[name]["mean"]), float(statistics[name]["std"])) for name in names}
