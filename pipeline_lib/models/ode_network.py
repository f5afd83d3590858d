"""An ordinary differential equation whose right-hand side is a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import SchemeOptions
from pipeline_lib.models.states import StateModel, States

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("ode_network")
class OdeNetwork(StateModel):
    """dx/dt = F(x), F a perceptron; the stages of a scheme share it."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Neural ODE",
        summary="A perceptron gives the time derivative of the state; a Runge-Kutta step makes a forecast of it.",
        task="dynamics",
        citation="Notebooks on forecasting Lorenz 63, DLCourse MOi 2022",
        parameters=PublishedCount(
            total=143, counts="trainable values for three components, 20 hidden neurons", confidence="verified"
        ),
        limits=("With Euler steps the network learns a shifted vector field that absorbs part of the scheme's error.",),
    )

    class Options(SchemeOptions):
        """Options of this model."""

        hidden: int = Field(20, gt=0)
        """Neurons of a hidden layer."""
        layers: int = Field(1, gt=0)
        """Hidden layers."""
        activation: Literal["relu", "tanh"] = "relu"
        """Of the hidden layers."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import OdeStep, Perceptron

        tendency = Perceptron(states.dimension, options.hidden, options.layers, options.activation)
        return OdeStep(tendency, options.tableau or options.scheme, states.step)
