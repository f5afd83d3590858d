"""An ordinary differential equation whose right-hand side is a polynomial of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import OneStep
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("ode_polynomial")
class OdePolynomial(StateModel):
    """dx/dt = D (A x + (B x) (C x + c)), all maps learned."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Polynomial ODE",
        summary="The time derivative is a linear map of linear and bilinear terms, so that Lorenz's equations are"
        " within its reach.",
        task="dynamics",
        citation="Notebooks on forecasting Lorenz 63, DLCourse MOi 2022",
        parameters=PublishedCount(
            total=65, counts="trainable values for three components, five terms", confidence="verified"
        ),
        limits=("Gradient descent finds the weights slowly: many more epochs than for a perceptron.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        terms: int = Field(5, gt=0)
        """Linear terms, and as many bilinear ones."""
        scheme: OneStep = "rk4"
        """How a step is taken."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import OdeStep, Polynomial

        return OdeStep(Polynomial(states.dimension, options.terms), options.scheme, states.step)
