"""What planning can tell of forecasts of frames from their options and the source's catalog entry."""

from __future__ import annotations

from pipeline_lib.config.case import Case
from pipeline_lib.config.outlook import RAIN, TEMPERATURE
from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.nowcasting.counted import BALANCED
from pipeline_lib.tasks.nowcasting.counted import TEMPERATURE as IN_KELVIN

_SCALES = {BALANCED: (RAIN, "rain_frames"), IN_KELVIN: (TEMPERATURE, "temperature_frames")}
"""What frames must be marked as for parts of the counts, and the preparation that does."""
_WEIGHTED = ("balanced", "balanced_off")
"""Losses with the weights of rain rates."""


def check_case(case: Case) -> None:
    """Refuse a competitor that cannot be trained on these frames, or not be scored as the experiment asks for.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    _check_interior(case)
    _check_scales(case)
    _check_learning(case)
    case.dataset.check_row(case.training.step_minutes, case.training.seen + case.training.leads)


def _check_interior(case: Case) -> None:
    """Refuse a part of the frames that is not within them."""
    shape, interior = case.dataset.of(case.inputs[0]).shape, case.scoring.interior
    if shape is None:
        return
    for name, size, cells in zip(("rows", "columns"), shape[-2:], (interior.rows, interior.columns), strict=True):
        if cells is not None and cells[1] > size:
            what = f"{list(cells)} is not within the {size} {name} there are"
            raise ConfigError(what, where=f"scoring.interior.{name}", fix="correct it")


def _check_scales(case: Case) -> None:
    """Refuse metrics and losses of rain rates or temperatures where frames do not say how they stand for these."""
    marks = case.dataset.of(case.inputs[0]).marks
    if marks is None:
        return
    asked = [(name, "scoring.metrics", getattr(METRICS.get(name), "part", ("",))[0]) for name in case.scoring.metrics]
    if case.training.loss in _WEIGHTED:
        asked.append((f"loss {case.training.loss}", "training.loss", BALANCED))
    for what, where, part in asked:
        mark, preparation = _SCALES.get(part, ("", ""))
        if mark and mark not in marks:
            raise ConfigError(
                f"{what} needs frames of {mark}, and {case.inputs[0]} of {case.dataset.source} are none",
                where=where,
                fix=f"take a source with preparation {preparation}, or leave it out",
            )


def _check_learning(case: Case) -> None:
    """Refuse to let weights follow frames where there are none, and a cross entropy of what is no probability."""
    title = case.model.card.title
    if not getattr(case.model, "learns", True):
        if case.training.online is not None:
            fix = "leave it out for this competitor"
            raise ConfigError(f"{title} has no weights that could follow frames", where="training.online", fix=fix)
    elif case.training.loss == "cross_entropy" and getattr(case.options, "link", None) == "identity":
        fix = "take another loss, or set options.link: logistic"
        raise ConfigError(f"a cross entropy does not go with {title}", where="training.loss", fix=fix)
