"""Training of a network that advances states, on windows of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from pipeline_lib.data.trajectories import require_one
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.forecaster import Forecaster, Rollout, TermAlone
from pipeline_lib.models.base import FittedModel
from pipeline_lib.tasks.dynamics.names import SUBGRID
from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.tasks.dynamics.problem import DynamicsProblem
from pipeline_lib.tasks.dynamics.reading import Split, read_normalised, read_terms, trained_axes
from pipeline_lib.tasks.dynamics.windows import StatesAndTerms, Trajectory
from pipeline_lib.train.outcome import Outcome, descend, fresh_network, keep
from pipeline_lib.train.request import TrainingRequest


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    ConfigError, DataError
        If the states do not fit the options, or are too few.
    """
    training = request.training_as(TrainingOptions)
    if len(request.inputs) != 1:
        fix = f"name one of {', '.join(request.inputs)}"
        raise ConfigError("a state is one variable", where="inputs", fix=fix)
    every = None if training.free_run is None else round(training.free_run / training.step)
    facts = {"forecast_steps": training.forecast_steps, "free_run_steps": every}
    train_forecaster(request, training, task="dynamics", facts=facts)


def train_forecaster(
    request: TrainingRequest,
    training: TrainingOptions,
    *,
    task: str,
    facts: Mapping[str, Any],
    check: Callable[[Forecaster], object] | None = None,
) -> None:
    """Train a network on the states that the first input holds, and store it for a task, with facts for its manifest.

    Before it is trained, ``check`` may refuse it.

    Raises
    ------
    Interrupted, TrainingError, ConfigError, DataError
        As :func:`train`.
    """
    values = request.statistics[request.inputs[0]]
    trajectories = read_states(request, training, "train"), read_states(request, training, "validation")
    sizes = {
        "shape": list(trajectories[0].shape),
        "step": training.step,
        "history": training.history,
        "mean": values["mean"],
        "scale": values["std"],
    }
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    if not isinstance(network, Forecaster):
        title = request.network_model.card.title
        raise ConfigError(f"{title} advances no states", where="models", fix="choose a model of this task")
    if check is not None:
        check(network)
    if training.target == SUBGRID:
        _require_term(network, trajectories[0], request.network_model.card.title)
    outcome = _outcome(request, training, network, *trajectories)
    scaling = dict.fromkeys(request.inputs, (values["mean"], values["std"]))
    facts = {**facts, **trained_axes(request)}
    if SUBGRID in request.of("dataset")[0].content["variables"]:
        facts = {**facts, "target": SUBGRID}  # a file from outside need not hold it
    keep(request, network, outcome, task=task, sizes=sizes, scaling=scaling, facts=facts)


def _require_term(network: Forecaster, trajectory: Trajectory, title: str) -> None:
    """Refuse a network without a closure, or one of other terms than those stored."""
    if network.term_shape is None or not isinstance(trajectory, StatesAndTerms):
        fix = "leave it out, or choose a model that has one"
        raise ConfigError(f"{title} has no closure to learn", where="training.target", fix=fix)
    stored = trajectory.terms.shape[1:]
    if stored != network.term_shape:
        fix = "take a source whose exact term is that of this model"
        raise DataError(f"terms are {stored}, those of {title} {network.term_shape}", where=SUBGRID, fix=fix)


def _outcome(
    request: TrainingRequest, training: TrainingOptions, network: Forecaster, train: Trajectory, validation: Trajectory
) -> Outcome:
    """Find the values of a network: by its own method, by least squares, or step by step along gradients."""
    if issubclass(request.network_model, FittedModel):
        if training.from_age:
            what = f"{request.network_model.card.title} learns from states of all ages"
            raise ConfigError(what, where="training.from_age", fix="leave it out")
        for trajectory in (train, validation):
            require_one(trajectory.ages, where=request.network_model.card.title)
        states = [torch.from_numpy(trajectory.states) for trajectory in (train, validation)]
        history = request.network_model.fit(network.double(), *states, horizon=training.horizon)
        return Outcome.of_fit(network, history)
    if next(network.parameters(), None) is None:  # equations in which nothing is unknown
        return Outcome.of_fit(network)
    through_the_solver = training.target == "state"
    learner = Rollout(network, training.horizon) if through_the_solver else TermAlone(network, _unit(request, training))
    if training.optimizer == "levenberg_marquardt":
        # Slow to load, and most trainings need none of it.
        from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares

        history = fit_least_squares(
            learner.double(),
            train.spread(training.windows),
            validation.spread(DynamicsProblem.validation_windows),
            iterations=training.max_epochs,
            scale=training.loss_scale,
        )
        best = int(history["val_loss"].argmin())  # of epoch 0 on, which is the start
        return Outcome.of_fit(network, history, best_epoch=best, stopped_epoch=len(history) - 1)
    problem = DynamicsProblem(training, train, validation, seed=request.seed)
    data = {"train data": train.identity, "validation data": validation.identity}
    return descend(request, learner, problem, training, data=data, inner="forecaster")


def _unit(request: TrainingRequest, training: TrainingOptions) -> float:
    """What terms are divided by: they then say what they change a normalised state by in one time step."""
    return float(request.statistics[request.inputs[0]]["std"]) / training.step


def read_states(request: TrainingRequest, training: TrainingOptions, split: Split) -> Trajectory:
    """Return the states of the days of a split, normalised, with the noise that the options ask for.

    Beside them the exact terms of a closure, where these are what is learned from: changes of a normalised state in
    one time step.
    """
    read = read_normalised(request, training, split, request.inputs[:1])
    states = read.arrays[0]
    flat, shape = states.reshape(len(states), -1), states.shape[1:]
    if training.target == "state":
        return Trajectory(
            flat, read.times, training.horizon, shape, read.ages, training.from_age, split, training.history
        )
    terms = read_terms(request, training, split, unit=_unit(request, training))
    return StatesAndTerms(
        flat, read.times, shape=shape, ages=read.ages, from_age=training.from_age, split=split, terms=terms
    )
