"""The arrays that a training on trajectories reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.trajectories import Ages, ages_of, require_step
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.models.base import FittedModel
from pipeline_lib.tasks.dynamics.given import AXES, axes_of
from pipeline_lib.tasks.dynamics.names import SUBGRID
from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.seeds import generator

Array = NDArray[np.float32] | NDArray[np.float64]
Split = Literal["train", "validation"]


class Series(NamedTuple):
    """Variables over the days of a split.

    Attributes
    ----------
    arrays
        (time, ...) of each, normalised.
    times
        datetime64 (time,), evenly spaced.
    ages
        Time steps (time,) since the start of each state's trajectory.
    """

    arrays: list[Array]
    times: NDArray[np.datetime64]
    ages: Ages


def read_normalised(request: TrainingRequest, training: TrainingOptions, split: Split, names: Sequence[str]) -> Series:
    """Return variables of the days of a split.

    All are normalised by the statistics of the first, the states, which also have the noise that the options ask for.
    They are float64 where the training computes in it, else float32.

    Raises
    ------
    ConfigError
        If the states are not as far apart as the options say.
    DataError
        If a day of the split or a state is missing, or ages of states are none.
    """
    statistics = request.statistics[names[0]]
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    times = ds["time"].values
    step = float((times[1] - times[0]) / np.timedelta64(1, "D")) if len(times) > 1 else training.step
    if not np.isclose(step, training.step, rtol=1e-6):
        raise ConfigError(
            f"is {training.step:g}, the states are {step:g} apart", where="training.step", fix="correct it"
        )
    ages = ages_of(ds)
    require_step(times, ages, training.step)
    found = [ds[name].values.astype(np.float64) for name in names]
    if training.noise:
        found[0] += training.noise * generator(request.seed, "noise", split).standard_normal(found[0].shape)
    dtype = _number_format(request, training)
    arrays: list[Array] = [((values - statistics["mean"]) / statistics["std"]).astype(dtype) for values in found]
    return Series(arrays, times, ages)


def read_terms(request: TrainingRequest, training: TrainingOptions, split: Split, *, unit: float) -> Array:
    """Return the exact answers of a closure (time, ...) to the states of the days of a split, divided by ``unit``.

    Raises
    ------
    DataError
        If the dataset does not hold them.
    """
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    if SUBGRID not in ds:
        fix = "take a source that makes it, or leave training.target out"
        raise DataError("is not in the dataset", where=SUBGRID, fix=fix)
    values = ds[SUBGRID].values.astype(np.float64) / unit
    return values if _number_format(request, training) is np.float64 else values.astype(np.float32)


def trained_axes(request: TrainingRequest) -> dict[str, Any]:
    """Return what a manifest is to say of the axes of the states that a model is trained on."""
    days = open_days(request.of("dataset"), *request.train)
    return {AXES: axes_of(days[request.inputs[0]])}


def _number_format(request: TrainingRequest, training: TrainingOptions) -> type[np.float32] | type[np.float64]:
    exact = (
        training.precision == "float64"
        or training.optimizer == "levenberg_marquardt"
        or issubclass(request.network_model, FittedModel)
    )
    return np.float64 if exact else np.float32
