"""The next state from the present one by a perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("perceptron")
class PerceptronMap(StateModel):
    """A perceptron that knows of no time derivative."""

    remembers = True
    card: ClassVar[ModelCard] = ModelCard(
        title="Perceptron (MLP)",
        summary="The increment from one state to the next is a perceptron of the present one, or of the last ones (time"
        " delays) where forecasts start from several true states.",
        task="dynamics",
        citation="Competitor in Fablet, Ouala, Herzet (2018), arXiv:1712.07003; its sizes there are not known to us",
        parameters=PublishedCount(
            total=563, counts="trainable values for three components, 20 and 20 hidden neurons", confidence="verified"
        ),
        limits=("Knows nothing of the time step: at another one it must be trained again.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        past: int | None = Field(None, gt=0)
        """States that it sees, the present one included; null for all of ``training.history``, by default one."""
        hidden: int = Field(20, gt=0)
        """Neurons of a hidden layer."""
        layers: int = Field(2, gt=0)
        """Hidden layers."""
        activation: Literal["relu", "tanh"] = "tanh"
        """Of the hidden layers."""
        residual: bool = True
        """Whether the answer is added to the present state instead of being the next one."""

    @classmethod
    def check_history(cls, options: Options, history: int) -> None:
        """Refuse to see more states than a forecast starts from."""
        if (options.past or 1) > history:
            fix = f"set training.history to {options.past} or more"
            raise ConfigError(f"is {options.past}, forecasts start from {history}", where="options.past", fix=fix)

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import DelayStep, MapStep, Perceptron

        past = options.past or states.history
        sizes = options.hidden, options.layers, options.activation
        if past == 1:
            return MapStep(Perceptron(states.dimension, *sizes), residual=options.residual)
        function = Perceptron(states.dimension, *sizes, inputs=past * states.dimension)
        return DelayStep(function, past, residual=options.residual)
