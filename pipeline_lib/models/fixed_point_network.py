"""Observations where there are some, a learned prior's answer elsewhere, over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from pipeline_lib.models.base import ModelCard
from pipeline_lib.models.fourdvarnet import PriorOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import States
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    import torch


@MODELS.register("fixed_point_network")
class FixedPointNetwork(WindowModel):
    """An unrolled fixed-point iteration with a learned prior."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Fixed point of a learned prior",
        summary="A prior network projects a window that holds the observations and its own last answer; a few such"
        " projections are trained end to end.",
        task="assimilation",
        citation="Fablet, Drumetz, Rousseau (2020), End-to-end learning of variational models and solvers for the"
        " resolution of interpolation problems, arXiv:2006.03653",
        year=2020,
        arxiv="2006.03653",
        limits=("The last answer need not pass through the observations.",),
    )

    class Options(PriorOptions):
        """Options of this model."""

        iterations: int = Field(default=5, gt=0)
        """Projections."""

        @model_validator(mode="after")
        def _without_convolutions(self) -> Self:
            if self.prior != "two_scale":
                refuse_unused(self, ("ring",), f"the equations of {self.prior} have no convolutions")
            return self

    @classmethod
    def reconstructor(cls, options: Options, states: States) -> torch.nn.Module:
        """Return the network."""
        from pipeline_lib.models.variational_networks import FixedPoint

        return FixedPoint(options.build_prior(states), iterations=options.iterations)
