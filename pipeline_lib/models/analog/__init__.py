"""Analog forecasting: what followed similar states of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.models.base import Fact, FittedModel, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    import torch

    from pipeline_lib.learning.forecaster import Forecaster

Method = Literal["locally_constant", "locally_incremental", "local_linear"]


@MODELS.register("analog")
class Analog(StateModel, FittedModel):
    """The nearest states of a catalogue and what came after them."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Analog forecasting",
        summary="The k nearest states of a catalogue, weighted by exp(-(distance / median distance)^2), and their"
        " successors: the mean successor, the mean increment, or a linear regression of successors on states. k is the"
        " best of several on the validation states. On a ring each site can be forecast by itself, from analogs of its"
        " neighbourhood.",
        task="dynamics",
        citation="Lguensat, Tandeo, Ailliot, Pulido, Fablet, The analog data assimilation,"
        " Monthly Weather Review 145 (2017), 4093-4107",
        year=2017,
        doi="10.1175/MWR-D-16-0441.1",
        facts=(
            Fact(text="Kernel and regression follow the ideas of the authors' public code; our kernel is scaled so that"
                 " its width has the unit of a distance.", confidence="code"),
            Fact(text="In the authors' code local analogs of a site are looked for among windows of that site alone.",
                 confidence="memory"),
        ),
        limits=(
            "Needs a catalogue that fills the attractor: of whole states, of little use in tens of dimensions. Where"
            " a site depends on few others over a step, analogs of a neighbourhood (reach) avoid that.",
            "Local analogs are for one variable on a ring; sites are drawn independently of each other.",
            "The mean of successors is smoother than any state.",
        ),
    )  # fmt: skip

    class Options(BaseOptions):
        """Options of this model."""

        catalogue: int = Field(8000, gt=0)
        """States, each with its successor, that are searched: the last ones of the training days."""
        neighbours: list[Annotated[int, Field(gt=0)]] = Field(default=[10, 20, 50, 100], min_length=1)
        """Numbers of analogs among which validation chooses."""
        method: Method = "local_linear"
        """How a forecast is made of the analogs."""
        sampled: bool = False
        """Draw forecasts with the spread of the analogs around their mean: for the members of an ensemble."""
        reach: int | None = Field(default=None, gt=0)
        """Neighbours on either side that a site of a ring is forecast from, each site by analogs of this window; null
        for analogs of the whole state."""
        shared: bool = False
        """With ``reach``: look among windows of all sites, for a ring on which all are alike, not only among those of
        the site itself."""

        @model_validator(mode="after")
        def _windows(self) -> Self:
            if self.reach is None:
                refuse_unused(self, ("shared",), "whole states have no windows (reach)")
            return self

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network, its catalogue empty."""
        from pipeline_lib.models.analog.network import AnalogStep

        if max(options.neighbours) > options.catalogue:
            raise DataError(f"holds fewer states than {max(options.neighbours)} neighbours", where="analog.catalogue")
        if options.reach is not None and (len(states.shape) != 1 or states.dimension <= 2 * options.reach):
            raise ConfigError(
                f"states of shape {states.shape} are no ring for {options.reach} neighbours a side",
                where="analog.reach",
                fix="set it lower, or leave it out",
            )
        return AnalogStep(states.dimension, options)

    @classmethod
    def fit(cls, network: Any, train: torch.Tensor, validation: torch.Tensor, *, horizon: int) -> None:  # noqa: ANN401 - what build returns
        """Fill the catalogue and choose the number of analogs."""
        network.remember(train)
        network.choose(validation, horizon)
