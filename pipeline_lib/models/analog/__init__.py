"""Analog forecasting: what followed similar states of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline_lib.errors import DataError
from pipeline_lib.models.base import Fact, FittedModel, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

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
        " best of several on the validation states.",
        task="dynamics",
        citation="Lguensat, Tandeo, Ailliot, Pulido, Fablet, The analog data assimilation,"
        " Monthly Weather Review 145 (2017), 4093-4107",
        year=2017,
        doi="10.1175/MWR-D-16-0441.1",
        facts=(
            Fact(text="Kernel and regression follow the ideas of the authors' public code; our kernel is scaled so that"
                 " its width has the unit of a distance.", confidence="code"),
        ),
        limits=(
            "Needs a catalogue that fills the attractor: of little use in tens of dimensions.",
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

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network, its catalogue empty."""
        from pipeline_lib.models.analog.network import AnalogStep

        if max(options.neighbours) > options.catalogue:
            raise DataError(f"holds fewer states than {max(options.neighbours)} neighbours", where="analog.catalogue")
        return AnalogStep(states.dimension, options)

    @classmethod
    def fit(cls, network: Any, train: torch.Tensor, validation: torch.Tensor, *, horizon: int) -> None:  # noqa: ANN401 - what build returns
        """Fill the catalogue and choose the number of analogs."""
        network.remember(train)
        network.choose(validation, horizon)
