"""An ordinary differential equation whose right-hand side is a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import ModelCard, NetworkModel, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import torch

OneStep = Literal["euler", "midpoint", "heun", "ssp3", "rk4", "rk38", "dormand_prince"]
"""Schemes that need no past."""


@MODELS.register("ode_network")
class OdeNetwork(NetworkModel):
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

    @classmethod
    def build(cls, options: Options, *, dimension: int, step: float, mean: float, scale: float) -> torch.nn.Module:  # noqa: ARG003 - normalised
        """Return the network."""
        from pipeline_lib.models.state_networks import OdeStep, Perceptron

        return OdeStep(Perceptron(dimension, options.hidden, options.layers, options.activation), options.scheme, step)
