"""An ordinary differential equation whose right-hand side is a small network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster

OneStep = Literal["euler", "midpoint", "heun", "ssp3", "rk4", "rk38", "dormand_prince", "backward_euler"]
"""Schemes that need no past."""


class Tableau(BaseOptions):
    """An explicit Runge-Kutta scheme by its numbers, as textbooks print them."""

    stages: list[list[float]] = Field(default=[])
    """Rows of the tableau below its diagonal, from the second stage on: row i has i numbers."""
    weights: list[float] = Field(min_length=1)
    """Weights of the stages; they sum to 1."""

    @model_validator(mode="after")
    def _explicit(self) -> Tableau:
        if [len(row) for row in self.stages] != list(range(1, len(self.weights))):
            raise ValueError("row i of stages has i numbers, and there is one row less than there are weights")
        if not math.isclose(sum(self.weights), 1.0, abs_tol=1e-12):
            raise ValueError(f"weights sum to {sum(self.weights):g}, not to 1")
        return self


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

    class Options(BaseOptions):
        """Options of this model."""

        hidden: int = Field(20, gt=0)
        """Neurons of a hidden layer."""
        layers: int = Field(1, gt=0)
        """Hidden layers."""
        activation: Literal["relu", "tanh"] = "relu"
        """Of the hidden layers."""
        scheme: OneStep = "rk4"
        """How a step is taken."""
        tableau: Tableau | None = None
        """A Runge-Kutta scheme of one's own, in place of ``scheme``."""

        @model_validator(mode="after")
        def _one_scheme(self) -> Self:
            if self.tableau is not None:
                refuse_unused(self, ("scheme",), "tableau stands in its place")
            return self

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import OdeStep, Perceptron

        tendency = Perceptron(states.dimension, options.hidden, options.layers, options.activation)
        return OdeStep(tendency, options.tableau or options.scheme, states.step)
