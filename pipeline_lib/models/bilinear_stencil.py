"""A bilinear network whose weights are shared by all sites of a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import SchemeOptions
from pipeline_lib.models.states import StateModel, States

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("bilinear_stencil")
class BilinearStencil(StateModel):
    """The quadratic polynomial of a site and its neighbours, in the stages of a Runge-Kutta step."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Bi-NN on a stencil",
        summary="The time derivative at a site is a polynomial of second order of the states within two sites, the same"
        " everywhere on the ring: the form of the Lorenz 1996 equations.",
        task="dynamics",
        citation="Our translation-invariant form of Fablet, Ouala, Herzet (2018), arXiv:1712.07003",
        parameters=PublishedCount(total=21, counts="trainable values, two neighbours a side", confidence="verified"),
        limits=("For one variable on a ring.",),
    )

    class Options(SchemeOptions):
        """Options of this model."""

        reach: int = Field(2, gt=0)
        """Neighbours on either side."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import OdeStep, Stencil

        if states.dimension <= 2 * options.reach:
            raise ConfigError(
                f"{states.dimension} components are no ring for {options.reach} neighbours a side",
                where="bilinear_stencil",
            )
        return OdeStep(Stencil(options.reach), options.tableau or options.scheme, states.step)
