"""Recurrent networks that feed on their own forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("recurrent")
class Recurrent(StateModel):
    """A recurrent cell and a linear layer that reads the next state off it."""

    remembers = True
    card: ClassVar[ModelCard] = ModelCard(
        title="Recurrent network",
        summary="LSTM or GRU cell with a linear output; each forecast is the input of the next step. True"
        " states before the first forecast (training.history) go through the cell like forecasts; without them its"
        " memory holds nothing but what it forecast itself.",
        task="dynamics",
        citation="Notebooks on forecasting Lorenz 63, DLCourse MOi 2022;"
        " Hochreiter and Schmidhuber (1997), Long short-term memory; Cho et al. (2014), arXiv:1406.1078",
        parameters=PublishedCount(
            total=2063,
            counts="trainable values of the LSTM for three components, 20 hidden units",
            confidence="verified",
        ),
        limits=(
            "With a random initial memory, forecasts depend on the draw, at test as well.",
            "With a zero one and a short training horizon it drifts beyond that horizon unless it is residual.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        cell: Literal["lstm", "gru"] = "lstm"
        """Kind of memory."""
        hidden: int = Field(20, gt=0)
        """Size of the memory."""
        initial: Literal["random", "zero"] = "random"
        """The memory before the first step: standard normal noise, or zero."""
        residual: bool = False
        """Whether the output is added to the state instead of being it."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import RecurrentStep

        return RecurrentStep(states.dimension, options)
