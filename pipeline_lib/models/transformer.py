"""A small transformer over the states that it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("transformer")
class Transformer(StateModel):
    """Causal self-attention over a window of states; the answer is an increment."""

    remembers = True
    card: ClassVar[ModelCard] = ModelCard(
        title="Transformer",
        summary="Each state of a sliding window is a token with a learned position; layers of causal self-attention"
        " give the increment from the last state to the next. The window starts with as many true states as"
        " training.history says, by default a single one, and goes on with its own forecasts.",
        task="dynamics",
        citation="Vaswani et al. (2017), Attention is all you need, arXiv:1706.03762; sizes are our own",
        year=2017,
        arxiv="1706.03762",
        parameters=PublishedCount(
            total=17_827, counts="trainable values for three components, a window of 16 states", confidence="verified"
        ),
        facts=(
            Fact(text="Without a residual output that starts at zero the error after one step is said to be about ten"
                 " times larger; not measured here.", confidence="memory"),
        ),
        limits=(
            "A whole state says all about its future: attention to earlier ones then has nothing to find. They help"
            " where parts of it are never seen.",
            "Positions that neither history nor horizon fill are not trained: the three belong together.",
        ),
    )  # fmt: skip

    class Options(BaseOptions):
        """Options of this model."""

        window: int = Field(16, gt=0)
        """States that it attends to, the present one included; of a longer ``training.history`` the last ones."""
        width: int = Field(32, gt=0)
        """Size of a token."""
        heads: int = Field(4, gt=0)
        """Attention heads; the width is a multiple of them."""
        layers: int = Field(2, gt=0)
        """Layers of attention and perceptron, normalised before each."""
        hidden: int = Field(64, gt=0)
        """Neurons of the perceptrons."""

        @model_validator(mode="after")
        def _whole_heads(self) -> Transformer.Options:
            if self.width % self.heads:
                raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
            return self

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.state_networks import AttentionStep

        return AttentionStep(states.dimension, options)
