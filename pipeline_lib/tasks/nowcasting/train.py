"""Training of a network that continues frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.frame_losses import WEIGHTED
from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.rain import RainScale
from pipeline_lib.skill.balanced import weight_bounds
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.problem import NowcastingProblem
from pipeline_lib.tasks.nowcasting.retrieval import FILE, fit_retrieval
from pipeline_lib.tasks.nowcasting.sequences import ends_of, packed_cells
from pipeline_lib.tasks.nowcasting.windows import SplitFrames, find_windows
from pipeline_lib.train.outcome import Outcome, descend, fresh_network, keep
from pipeline_lib.train.request import TrainingRequest

logger = logging.getLogger(__name__)

_NO_UNIT = "1"
_FAR = 3.0
"""Standard deviations from the mean to 0 from which on a border of zeros is told as strange; ours."""


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    ConfigError
        If the loss does not fit the network or the frames, or weights are to follow frames where there are none.
    DataError
        If there are no windows.
    StoreError
        If the frames find no room on disk.
    """
    training = request.training_as(TrainingOptions)
    train = find_windows(request, training, "train")
    splits = train, find_windows(request, training, "validation", known=train.known)
    channels, height, width = train.shape
    sizes: dict[str, Any] = {
        "seen": training.seen,
        "leads": training.leads,
        "channels": channels,
        "height": height,
        "width": width,
        **_reflectivities(train),
    }
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    if not isinstance(network, Nowcaster):
        title = request.network_model.card.title
        raise ConfigError(f"{title} continues no frames", where="models", fix="choose a model of this task")
    _check_range(request, training, network, splits)
    _tell_far_from_zero(request, network)
    retrieval, beside = _retrieval(request, training)  # a mistake in it is told before hours of training
    outcome = Outcome.of_fit(network)
    if next(network.parameters(), None) is not None:
        outcome = _descent(request, training, network, splits)
    elif training.online is not None:
        title = request.network_model.card.title
        fix = "leave it out for this competitor"
        raise ConfigError(f"{title} has no weights that could follow frames", where="training.online", fix=fix)
    plain = training.model_dump(mode="json")
    rules = {name: plain[name] for name in ("step_minutes", "stride", "missing", "loss", "online")}
    windows, too_dry = (
        dict(zip(("train", "validation"), numbers, strict=True))
        for numbers in ([len(split.starts) for split in splits], [split.too_dry for split in splits])
    )
    cells = {"known_cells": packed_cells(train.known), "ends": ends_of(train.ds[request.inputs[0]])}
    keep(
        request,
        network,
        outcome,
        task="nowcasting",
        sizes=sizes,
        scaling=train.scaling,
        facts={**rules, "windows": windows, "too_dry": too_dry, **cells, **retrieval},
        beside=beside,
    )


def _reflectivities(frames: SplitFrames) -> dict[str, float]:
    """Return which reflectivities the values 0 and 1 stand for, of frames that say so."""
    try:
        scale = RainScale.of_attributes(frames.ds[next(iter(frames.scaling))].attrs)
    except DataError:
        return {}
    return {"lowest_dbz": scale.lowest_dbz, "highest_dbz": scale.highest_dbz}


def _retrieval(request: TrainingRequest, training: TrainingOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit the retrieval, if there is to be one; return facts for the manifest, and it by the name of its file."""
    if training.retrieval is None:
        return {}, {}
    days = open_days(request.of("dataset"), *request.train)
    fitted = fit_retrieval(days, request.inputs[0], training.retrieval)
    options = training.retrieval.model_dump(mode="json")
    facts = {"options": options, "train": [day.isoformat() for day in request.train]}
    # A file of the user's own, to forecast from, need not hold the target.
    return {"retrieval": facts, "target": training.retrieval.target}, {FILE: fitted.to_plain()}


def _check_range(
    request: TrainingRequest, training: TrainingOptions, network: Nowcaster, splits: Sequence[SplitFrames]
) -> None:
    """Refuse frames beyond 0 and 1 where link or loss need them there: a loss would sink without end."""
    if network.link != "logistic" and training.loss not in ("cross_entropy", *WEIGHTED):
        return
    for split in splits:
        lowest, highest = split.limits()
        if lowest < 0 or highest > 1:
            raise DataError(
                f"holds values from {lowest:g} to {highest:g}, and the network or its loss needs 0 to 1",
                where=request.inputs[0],
                fix="scale them in the source's preparation, or take an identity link and another loss",
            )


def _tell_far_from_zero(request: TrainingRequest, network: Nowcaster) -> None:
    """Warn of frames in a unit of their own, such as kelvin, in which 0 is like nothing that they hold.

    Shares, counts and masks have no unit, and 0 is none of what they are of.
    """
    name = request.inputs[0]
    found = request.statistics[name]
    away = abs(found["mean"]) / found["std"]
    if found["units"] == _NO_UNIT or away <= _FAR or next(network.parameters(), None) is None:
        return
    logger.warning(
        "%s: networks see 0 in gaps and beyond the border, and the mean, %.3g %s, is %.1f standard deviations from it;"
        " scale the frames in the source's preparation",
        name,
        found["mean"],
        found["units"],
        away,
    )


def _descent(
    request: TrainingRequest,
    training: TrainingOptions,
    network: Nowcaster,
    splits: tuple[SplitFrames, SplitFrames],
) -> Outcome:
    logistic = network.link == "logistic"
    if training.loss == "cross_entropy" and not logistic:
        title = request.network_model.card.title
        fix = "take another loss, or a network whose values lie between 0 and 1"
        raise ConfigError(f"a cross entropy does not go with {title}", where="training.loss", fix=fix)
    scale = None
    if training.loss in WEIGHTED:
        ds = open_days(request.of("dataset"), *request.train)
        try:
            scale = RainScale.of_attributes(ds[request.inputs[0]].attrs, where=request.inputs[0])
        except DataError as error:
            raise ConfigError(error.what, where="training.loss", fix="take another loss") from error
    if scale is not None and training.loss == "balanced":
        weight_bounds(scale, what="loss balanced", where="training.loss")
    windows, others = (split.windows_in(request.folder) for split in splits)
    problem = NowcastingProblem(training, windows, others, logistic=logistic, scale=scale, seed=request.seed)
    data = {"train data": windows.identity, "validation data": others.identity}
    return descend(request, network, problem, training, data=data)
