"""An ordinary differential equation in a linear multistep scheme that is learned with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("multistep_ode")
class MultistepOde(StateModel):
    """x_next = (1 - k) x + k x_before + h F(x), F a perceptron, k learned: the step of an LM-ResNet."""

    remembers = True
    card: ClassVar[ModelCard] = ModelCard(
        title="Multistep ODE",
        summary="A perceptron gives the change of the state; a linear scheme of two steps with one learned weight makes"
        " a forecast of it, as the blocks of an LM-ResNet do. With weight 0 it is Euler's scheme, with 1 leapfrog.",
        task="dynamics",
        citation="Lu, Zhong, Li, Dong, Beyond finite layer neural networks: bridging deep architectures and numerical"
        " differential equations, ICML 2018",
        year=2018,
        arxiv="1710.10121",
        parameters=PublishedCount(
            total=144,
            counts="trainable values for three components, 20 hidden neurons: the perceptron's and k; a count of ours",
            confidence="verified",
        ),
        limits=(
            "A forecast from a single state starts with a step of Euler; of a longer training.history it sees the last"
            " two states.",
            "The scheme is stable for k above -1 and up to 1 only, and of second order for 1 alone; nothing holds a"
            " learned k there.",
            "With weight 1 (leapfrog) nothing damps the second solution that a scheme of two steps has: steps can be"
            " undone, but long free runs may run away.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        hidden: int = Field(20, gt=0)
        """Neurons of a hidden layer."""
        layers: int = Field(1, gt=0)
        """Hidden layers."""
        activation: Literal["relu", "tanh"] = "relu"
        """Of the hidden layers."""
        weight: float | None = Field(None, gt=-1, le=1)
        """k; null learns it. 1 is leapfrog, whose steps can be undone: a reversible network."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import MultistepStep, Perceptron

        tendency = Perceptron(states.dimension, options.hidden, options.layers, options.activation)
        return MultistepStep(tendency, states.step, options.weight)
