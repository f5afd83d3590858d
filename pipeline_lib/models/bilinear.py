"""The bilinear residual network of Fablet, Ouala and Herzet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import SchemeOptions
from pipeline_lib.models.states import StateModel, States

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("bilinear")
class BilinearNetwork(StateModel):
    """A bilinear right-hand side in the stages of a Runge-Kutta step, which share it."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Bi-NN (bilinear network)",
        summary="The time derivative is an affine map of affine features and of products of two of them; a Runge-Kutta"
        " step with fixed weights makes a forecast of it. With RK4 this is the authors' Bi-NN(4), with Euler Bi-NN(1).",
        task="dynamics",
        citation="Fablet, Ouala, Herzet, Bilinear residual neural network for the identification and forecasting of"
        " geophysical dynamics, EUSIPCO 2018",
        year=2018,
        arxiv="1712.07003",
        parameters=PublishedCount(
            total=69,
            counts="trainable values for three components, three affine features and three products, in the layout of"
            " later code of one of the authors",
            confidence="code",
        ),
        facts=(
            Fact(text="Published errors of less than 1e-6 on data of the equations cannot be root mean square errors at"
                 " a step of 0.01: an RK4 step with the true parameters is off by 4e-6 already. They can be mean square"
                 " errors, or errors on data that the same scheme made.", confidence="verified"),
            Fact(text="With noise on both ends of a step, a loss over one step is biased, however much data there is;"
                 " a loss over several steps is needed.", confidence="verified"),
        ),
        limits=(
            "Without the second affine map (57 values) Adam stalls; the least-squares fit does not.",
            "With Euler steps it learns a shifted vector field that absorbs part of the scheme's error.",
        ),
    )  # fmt: skip

    class Options(SchemeOptions):
        """Options of this model."""

        linear: int = Field(3, gt=0)
        """Affine features."""
        products: int = Field(3, gt=0)
        """Products of two affine features of their own."""
        output: bool = True
        """Whether a second affine map follows; it adds nothing to what can be said, but helps gradient descent."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import Bilinear, OdeStep

        tendency = Bilinear(states.dimension, linear=options.linear, products=options.products, output=options.output)
        return OdeStep(tendency, options.tableau or options.scheme, states.step)
