"""Convolutions from interpolated observations to states."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import States
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import torch


@MODELS.register("direct_network")
class DirectWindowNetwork(WindowModel):
    """Convolutions from an interpolation to the states."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Direct network",
        summary="Three convolutions from the interpolated observations and their mask to what the interpolation lacks.",
        task="assimilation",
        citation="Our own baseline of the systems that solve for a window",
        limits=("Knows no dynamics but what its windows show.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        features: int = Field(default=30, gt=0)
        """Channels between the convolutions."""
        kernel: int = Field(default=11, gt=0)
        """Odd width of the first two."""
        ring: bool = False
        """Whether components are sites of a ring, over which convolutions run."""

    @classmethod
    def reconstructor(cls, options: Options, states: States) -> torch.nn.Module:
        """Return the network."""
        from pipeline_lib.models.variational_networks import DirectNetwork

        return DirectNetwork(states.dimension, features=options.features, kernel=options.kernel, ring=options.ring)
