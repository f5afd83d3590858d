"""The equations of Lorenz (1963) with unknown parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import OneStep
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster

COMPONENTS = 3


@MODELS.register("lorenz63_ode")
class Lorenz63Ode(StateModel):
    """Lorenz's three equations; only sigma, rho and beta are learned."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Lorenz ODE",
        summary="The true equations with three parameters to be found: what a forecast can be at best.",
        task="dynamics",
        citation="Notebooks on forecasting Lorenz 63, DLCourse MOi 2022",
        parameters=PublishedCount(total=3, counts="trainable values", confidence="verified"),
        limits=("For the Lorenz 1963 system only.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        initial: tuple[float, float, float] = (5.0, 20.0, 2.0)
        """sigma, rho and beta before training."""
        scheme: OneStep = "rk4"
        """How a step is taken."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import LorenzEquations, OdeStep

        if states.dimension != COMPONENTS:
            raise ConfigError(f"has {COMPONENTS} components, the states have {states.dimension}", where="lorenz63_ode")
        return OdeStep(LorenzEquations(options.initial, states.mean, states.scale), options.scheme, states.step)
