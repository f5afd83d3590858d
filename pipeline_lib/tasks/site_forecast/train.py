"""Training of a network that forecasts at a site."""

from __future__ import annotations

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.site_forecaster import FittedForecaster, SiteForecaster
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.problem import SiteProblem
from pipeline_lib.tasks.site_forecast.windows import read_windows
from pipeline_lib.train.outcome import Outcome, descend, fresh_network, keep, standard_scaling
from pipeline_lib.train.request import TrainingRequest

RULES = (
    "targets",
    "station",
    "neighbours",
    "nwp",
    "speed",
    "nwp_run_hours",
    "nwp_delay_hours",
    "accumulated",
    "accumulated_hours",
    "seen",
    "leads",
    "step_minutes",
    "stride",
    "missing",
)
"""Training options that say what a forecast sees and what it is of: a stored model keeps them."""


def train(request: TrainingRequest) -> None:
    """Train a network on stored periods and store it; the door that the train stage knows.

    Raises
    ------
    Interrupted, TrainingError
        As :func:`~pipeline_lib.train.loop.run_training`.
    ConfigError
        If the loss does not fit the network, or options of stations change nothing.
    DataError
        If there are no windows.
    StoreError
        If the fields find no room on disk.
    """
    training = request.training_as(TrainingOptions)
    windows = read_windows(request, training, "train"), read_windows(request, training, "validation")
    sizes = windows[0].site.model_dump(mode="json")
    network = fresh_network(request.network_model, request.model_options, seed=request.seed, **sizes)
    title = request.network_model.card.title
    if not isinstance(network, SiteForecaster):
        raise ConfigError(f"{title} forecasts at no site", where="models", fix="choose a model of this task")
    if isinstance(network, FittedForecaster):
        network.double()
        network.fit(windows[0].in_order())
        outcome = Outcome.of_fit(network)
    elif next(network.parameters(), None) is None:
        outcome = Outcome.of_fit(network)
    else:
        if (training.loss == "likelihood") != (network.head == "gaussian"):
            what = f"{training.loss} does not go with {title}, which answers with a {network.head}"
            raise ConfigError(
                what, where="training.loss", fix="a likelihood goes with the head gaussian, and only that"
            )
        problem = SiteProblem(training, *windows, seed=request.seed)
        data = {"train data": windows[0].identity, "validation data": windows[1].identity}
        outcome = descend(request, network, problem, training, data=data)
    told = training.model_dump(mode="json") | {"neighbours": list(windows[0].columns.neighbours)}
    seen = request.inputs[training.targets :] if training.accumulated else request.inputs
    keep(
        request,
        network,
        outcome,
        task="site_forecast",
        sizes=sizes,
        scaling=standard_scaling(request.statistics, seen),
        facts={
            "rules": {name: told[name] for name in RULES},
            "windows": {"train": windows[0].windows, "validation": windows[1].windows},
            **(_answer(request) if training.accumulated else {}),
        },
    )


def _answer(request: TrainingRequest) -> dict[str, str]:
    """Return what a sum that is forecast and not seen is called: files from outside need not hold it."""
    target = request.inputs[0]
    return {"target": target, "target_units": request.statistics[target]["units"]}
