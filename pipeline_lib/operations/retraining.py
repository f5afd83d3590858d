"""The retraining policy: when the next model is due, and from which day on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from pipeline_lib.data.periods import bounds
from pipeline_lib.operations.generations import (
    Generation,
    first_missing_day,
    generations,
    in_charge,
    operations_of,
    write_generation,
)
from pipeline_lib.operations.inventory import is_finished
from pipeline_lib.operations.sources import SourceDesk
from pipeline_lib.plan import Plan

logger = logging.getLogger(__name__)


def periods_before_the_next_model(
    plan: Plan, desk: SourceDesk, experiment: str, on_hand: Sequence[str], todo: Sequence[str]
) -> list[str]:
    """Return those of ``todo`` that the models of today predict; the rest waits for a new one that is due."""
    due = _due_after_periods(plan, desk, experiment, on_hand)
    return [p for p in todo if due is None or p < due]


def next_generation(
    plan: Plan, desk: SourceDesk, experiment: str, on_hand: Sequence[str]
) -> tuple[Generation | None, str]:
    """Write the next generation if one is due and its days are here; return it, or what it waits for.

    Raises
    ------
    StoreError
        If its file cannot be written.
    """
    policy = operations_of(plan.experiment(experiment)).retrain
    known = generations(plan, experiment)
    newest = known[-1]
    match policy.when:
        case "periods":
            period, reason = _due_after_periods(plan, desk, experiment, on_hand), f"every {policy.periods} periods"
        case "skill":
            period, reason = _due_by_skill(plan, desk, experiment, on_hand), "the skill fell below the threshold"
        case _:
            return None, ""
    if period is None:
        return None, ""
    start, _ = bounds(period)
    missing = first_missing_day(plan, newest, start, policy.window, list(on_hand))
    if missing is not None:
        return None, f"a new model is due ({reason}) but waits for {missing}, which is missing"
    logger.info("%s: a new model from %s on: %s", experiment, start, reason)
    return write_generation(plan, experiment, newest, start, reason), ""


def _due_after_periods(plan: Plan, desk: SourceDesk, experiment: str, on_hand: Sequence[str]) -> str | None:
    """Return the first period that needs a new model because the newest one has predicted its share."""
    policy = operations_of(plan.experiment(experiment)).retrain
    if policy.when != "periods":
        return None
    known = generations(plan, experiment)
    newest = known[-1].name
    mine = [p for p in on_hand if in_charge(known, p) == newest]
    waiting: list[str] = []
    for period in reversed(mine[policy.periods :]):  # what is finished stays with the model that made it
        if is_finished(plan, desk, newest, period):
            break
        waiting.insert(0, period)
    return waiting[0] if waiting else None


def _due_by_skill(plan: Plan, desk: SourceDesk, experiment: str, on_hand: Sequence[str]) -> str | None:
    """Return the period after the first one at which the newest model's score was too low."""
    from pipeline_lib.operations.drift import points

    known = generations(plan, experiment)
    mine = [p for p in on_hand if in_charge(known, p) == known[-1].name]
    for point in points(plan, experiment, known[-1], mine):
        if point.alert:
            following = bounds(point.period)[1] + timedelta(days=1)
            return desk.source.periods(following, following)[0]
    return None
