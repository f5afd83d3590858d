"""What planning can tell of forecasts at a site from their options and the source's catalog entry."""

from __future__ import annotations

from pipeline_lib.config.case import Case
from pipeline_lib.data.units import same_unit
from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.site_forecast.options import TrainingOptions

_BOTH = 2
"""Components that a Gaussian is of."""


def check_case(case: Case) -> None:
    """Refuse a competitor that cannot see or forecast what its options say.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    training = case.training
    missing = sorted(set(training.nwp) - set(case.inputs))
    if missing:
        raise ConfigError(f"{missing[0]!r} is not among the inputs", where="training.nwp", fix="name it in inputs")
    if training.targets > len(case.inputs):
        what = f"is {training.targets}, and there are fewer inputs"
        raise ConfigError(what, where="training.targets", fix="name the targets first in inputs")
    _check_units(case)
    _check_loss(case)
    _check_head(case)
    _check_run(case.training)
    case.dataset.check_row(training.step_minutes, training.seen + (0 if training.accumulated else training.leads))


def _check_units(case: Case) -> None:
    """Refuse targets that are fields, and targets and fields that foretell them of several units."""
    targets = case.inputs[: case.training.targets]
    for name in targets:
        if len(case.dataset.of(name).shape or ()) > 1:
            raise ConfigError(f"{name} is forecast and is a field", where="inputs", fix="name a series first")
    first = case.dataset.of(targets[0]).contract
    for name in (*targets, *case.training.foretelling):
        found = case.dataset.of(name).contract
        if first is None or found is None or same_unit(found.units, first.units):
            continue
        what = f"{name} is in {found.units}, and {targets[0]} in {first.units}"
        if name in targets:
            raise ConfigError(what, where="inputs", fix="name targets of one unit first, or set training.targets: 1")
        raise ConfigError(what, where="training.nwp", fix="name those fields first that foretell the targets")


def _check_loss(case: Case) -> None:
    """Refuse logarithms of values that may lie below 0."""
    for name in case.inputs[: case.training.targets] if case.training.loss == "log_squared" else ():
        contract = case.dataset.of(name).contract
        if contract is not None and (contract.valid_min is None or contract.valid_min < 0):
            what = f"log_squared is for values that are not below 0, and {name} has no valid_min of 0 or more"
            fix = f"take another loss, or set valid_min of {name} in the catalog entry if it has one"
            raise ConfigError(what, where="training.loss", fix=fix)


def _check_run(training: TrainingOptions) -> None:
    """Refuse a delay that no forecast can wait for: before the run of its last lead is there the next one has begun."""
    if training.nwp_delay_hours is None:
        return
    ahead = training.leads * training.step_minutes / 60
    if training.nwp_delay_hours + ahead >= training.nwp_run_hours:
        raise ConfigError(
            f"is {training.nwp_delay_hours:g}: with runs every {training.nwp_run_hours:g} hours no forecast of"
            f" {ahead:g} hours could start, since the run of its last lead is never there in time",
            where="training.nwp_delay_hours",
            fix="correct it or nwp_run_hours, or forecast fewer leads",
        )


def _check_head(case: Case) -> None:
    """Refuse a Gaussian of other than two targets, and a loss that does not go with what the network answers."""
    head, targets = getattr(case.options, "head", None), case.training.targets
    if head is None:
        return
    if head == "gaussian" and targets != _BOTH:
        what = f"is of {_BOTH} components, here are {targets} targets"
        raise ConfigError(what, where="options.head", fix="set training.targets: 2, or head: value")
    if (case.training.loss == "likelihood") != (head == "gaussian"):
        title = case.model.card.title
        what = f"{case.training.loss} does not go with {title}, which answers with a {head}"
        raise ConfigError(what, where="training.loss", fix="a likelihood goes with the head gaussian, and only that")
