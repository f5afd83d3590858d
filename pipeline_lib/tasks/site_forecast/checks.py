"""What planning can tell of forecasts at a site from their options and the source's catalog entry."""

from __future__ import annotations

from pipeline_lib.config.case import Case
from pipeline_lib.errors import ConfigError

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
    _check_head(case)
    case.dataset.check_row(training.step_minutes, training.seen + (0 if training.accumulated else training.leads))


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
