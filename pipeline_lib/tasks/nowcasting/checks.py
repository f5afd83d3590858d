"""What planning can tell of forecasts of frames from their options and the source's catalog entry."""

from __future__ import annotations

import math
from typing import Any

from pipeline_lib.config.case import Case
from pipeline_lib.config.outlook import RAIN, TEMPERATURE, Variable
from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.frames import FrameModel, KnownFrames
from pipeline_lib.skill.balanced import weight_bounds
from pipeline_lib.tasks.nowcasting.counted import BALANCED, EVENTS, FRACTIONS, IN_RATES, PARTED, RETRIEVED, counted_by
from pipeline_lib.tasks.nowcasting.counted import TEMPERATURE as IN_KELVIN

_SCALES = {
    BALANCED: (RAIN, "rain_frames"),
    IN_RATES: (RAIN, "rain_frames"),
    IN_KELVIN: (TEMPERATURE, "temperature_frames"),
}
"""What frames must be marked as for parts of the counts, and the preparation that does."""
_LOSSES = {"balanced": BALANCED, "balanced_off": IN_RATES}
"""Losses that need the same as a part of the counts."""


def check_case(case: Case) -> None:
    """Refuse a competitor that cannot be trained on these frames, or not be scored as the experiment asks for.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    counted_by(case.scoring).check(*(case.dataset.of(case.inputs[0]).shape or (None, None))[-2:])
    _check_scales(case)
    _check_thresholds(case)
    _check_learning(case)
    case.dataset.check_row(case.training.step_minutes, case.training.seen + case.training.leads)
    if issubclass(case.model, FrameModel):
        case.model.check_frames(case.options, _known_frames(case))


def _known_frames(case: Case) -> KnownFrames:
    """Return what the entry tells of the frames that a model sees."""
    frames, shapes = case.dataset.of(case.inputs[0]), [case.dataset.of(name).shape for name in case.inputs]
    # Rows and columns come last; what has levels makes a channel of each.
    channels = [None if shape is None else math.prod(shape[:-2]) for shape in shapes]
    height, width = (frames.shape or (None, None))[-2:]
    return KnownFrames(
        seen=case.training.seen,
        channels=None if None in channels else sum(number for number in channels if number is not None),
        height=height,
        width=width,
        dbz=None if frames.scale is None else (frames.scale.lowest_dbz, frames.scale.highest_dbz),
        rain=None if frames.marks is None else RAIN in frames.marks,
    )


def _check_scales(case: Case) -> None:
    """Refuse metrics and losses of rain rates or temperatures where frames do not say how they stand for these."""
    frames = case.dataset.of(case.inputs[0])
    if frames.marks is None:
        return
    asked = [(name, "scoring.metrics", getattr(METRICS.get(name), "part", ("",))[0]) for name in case.scoring.metrics]
    if (loss := case.training.loss) in _LOSSES:
        asked.append((f"loss {loss}", "training.loss", _LOSSES[loss]))
    for what, where, part in asked:
        mark, preparation = _SCALES.get(part, ("", ""))
        if mark and mark not in frames.marks:
            raise ConfigError(
                f"{what} needs frames of {mark}, and {case.inputs[0]} of {case.dataset.source} are none",
                where=where,
                fix=f"take a source with preparation {preparation}, or leave it out",
            )
        if part == BALANCED and frames.scale is not None:
            weight_bounds(frames.scale, what=what, where=where)


def _check_thresholds(case: Case) -> None:
    """Refuse events that are everywhere or nowhere, whatever the frames are: thresholds beyond all their values."""
    for name in case.scoring.metrics:
        part: tuple[Any, ...] = getattr(METRICS.get(name), "part", ("",))
        if part[0] == RETRIEVED and len(part) > 1:
            _check_threshold(name, part[1], case.dataset.of(case.training.retrieval.target))
        elif part[0] in (EVENTS, FRACTIONS, PARTED):
            _check_threshold(name, part[1], case.dataset.of(case.inputs[0]))


def _check_threshold(name: str, threshold: float, variable: Variable) -> None:
    if variable.scale is not None:
        return variable.scale.require_rates([threshold], what=name, where="scoring.metrics")
    lowest, highest = variable.limits
    if not lowest < threshold <= highest:
        always = threshold <= lowest
        raise ConfigError(
            f"{name} asks for values of {threshold:g} and more, which {'all' if always else 'no'} values are:"
            f" they go from {lowest:g} to {highest:g}",
            where="scoring.metrics",
            fix="choose a threshold between these",
        )
    return None


def _check_learning(case: Case) -> None:
    """Refuse echoes of temperatures, weights to follow frames where there are none, entropies of no probabilities."""
    title, marks = case.model.card.title, case.dataset.of(case.inputs[0]).marks
    if case.training.wet and marks is not None and TEMPERATURE in marks:
        what = "is of echoes, and of temperatures every cell would be one"
        raise ConfigError(what, where="training.wet", fix="leave it out")
    if not getattr(case.model, "learns", True):
        if case.training.online is not None:
            fix = "leave it out for this competitor"
            raise ConfigError(f"{title} has no weights that could follow frames", where="training.online", fix=fix)
    elif case.training.loss == "cross_entropy" and getattr(case.options, "link", None) == "identity":
        fix = "take another loss, or set options.link: logistic"
        raise ConfigError(f"a cross entropy does not go with {title}", where="training.loss", fix=fix)
