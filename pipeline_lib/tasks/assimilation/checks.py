"""What planning can tell of an analysis from its options and the source's catalog entry."""

from __future__ import annotations

from pipeline_lib.config.case import Case
from pipeline_lib.config.outlook import PRECISION
from pipeline_lib.errors import ConfigError
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.tasks.assimilation.fitting import refuse_prior_loss, refuse_unused, require_two


def check_case(case: Case) -> None:
    """Refuse a competitor whose inputs, options or windows no stage could do anything with.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    require_two(case.inputs)
    _check_marks(case)
    if issubclass(case.model, WindowModel):
        refuse_unused(case.name, case.training)
    else:
        refuse_prior_loss(case.name, case.training)
    _check_window(case)


def _check_marks(case: Case) -> None:
    """Refuse inputs that are not the states first and then observations that say how precise they are."""
    fix = "name the states first, then the observations of them"
    states, observation = (case.dataset.of(name).marks for name in case.inputs)
    if observation is not None and PRECISION not in observation:
        what = f"{case.inputs[1]} does not say how precise it is"
        raise ConfigError(what, where="inputs", fix=fix)
    if states is not None and PRECISION in states:
        raise ConfigError(f"{case.inputs[0]} are observations, not states", where="inputs", fix=fix)


def _check_window(case: Case) -> None:
    """Refuse windows that a period of the test, each analysed by itself, or a split that is learned from has not."""
    window = case.training.assimilation.window
    if window is None:
        return
    places = {"a period of the test": min((whole for whole, _ in case.periods), default=window)}
    if issubclass(case.model, WindowModel):
        places |= {f"split.{name}": case.times[name] for name in ("train", "validation")}
    for place, there in places.items():
        if window > there:
            raise ConfigError(
                f"is {window} time steps, {place} holds {there}",
                where="training.assimilation.window",
                fix="set a shorter one, or choose days that hold whole windows",
            )
