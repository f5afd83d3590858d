"""The next state as an affine function of the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("linear_map")
class LinearMap(StateModel):
    """One affine map, applied again and again."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Linear map",
        summary="The next state is W x + b: the least that a learned forecast can be.",
        task="dynamics",
        citation="Notebooks on forecasting Lorenz 63, DLCourse MOi 2022",
        parameters=PublishedCount(total=12, counts="trainable values for three components", confidence="verified"),
        limits=("A chaotic flow is not linear: it can do little more than relax to the mean.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        residual: bool = False
        """Add the present state: x + W x + b."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        import torch

        from pipeline_lib.models.state_networks import MapStep

        return MapStep(torch.nn.Linear(states.dimension, states.dimension), residual=options.residual)
