"""The next state from the present one by a perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("perceptron")
class PerceptronMap(StateModel):
    """A perceptron that knows of no time derivative."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Perceptron",
        summary="The increment from one state to the next is a perceptron of the present one.",
        task="dynamics",
        citation="Competitor in Fablet, Ouala, Herzet (2018), arXiv:1712.07003; its sizes there are not known to us",
        parameters=PublishedCount(
            total=563, counts="trainable values for three components, 20 and 20 hidden neurons", confidence="verified"
        ),
        limits=("Knows nothing of the time step: at another one it must be trained again.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        hidden: int = Field(20, gt=0)
        """Neurons of a hidden layer."""
        layers: int = Field(2, gt=0)
        """Hidden layers."""
        activation: Literal["relu", "tanh"] = "tanh"
        """Of the hidden layers."""
        residual: bool = True
        """Whether the answer is added to the present state instead of being the next one."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import MapStep, Perceptron

        function = Perceptron(states.dimension, options.hidden, options.layers, options.activation)
        return MapStep(function, residual=options.residual)
