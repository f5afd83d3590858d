"""Observations interpolated in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pipeline_lib.models.base import FittedModel, ModelCard, NoOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import States
from pipeline_lib.models.windows import WindowModel

if TYPE_CHECKING:
    import torch


@MODELS.register("time_interpolation")
class TimeInterpolation(WindowModel, FittedModel):
    """The first guess of all models that fill windows, as a model; nothing is learned."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Interpolation in time",
        summary="Linear in time between the observations of a component, constant before the first and after the last;"
        " a component that is never observed is its mean over the training states.",
        task="assimilation",
        citation="Textbook method",
        limits=("Takes errors of observations for the truth; knows of a component nothing from the others.",),
    )
    Options = NoOptions

    @classmethod
    def reconstructor(cls, options: NoOptions, states: States) -> torch.nn.Module:  # noqa: ARG003 - there is nothing to say
        """Return the network, which returns its first guess."""
        from pipeline_lib.models.variational_networks import FirstGuess

        return FirstGuess()

    @classmethod
    def fit(cls, network: Any, train: torch.Tensor, validation: torch.Tensor, *, horizon: int) -> None:  # noqa: ANN401 - as in the base
        """Do nothing: there is nothing to learn."""
