"""SimVP with gated attention: the model of today that a user of sequence models would try first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster

_SOURCE = "benchmark page of the authors' OpenSTL"


@MODELS.register("simvp")
class SimVp(FrameModel):
    """SimVP, second version."""

    card: ClassVar[ModelCard] = ModelCard(
        title="SimVP",
        summary="Convolutions alone: each frame is encoded, a translator of gated large-kernel attention mixes all"
        " frames at once, and each future frame is decoded. Nothing is recurrent, so all leads are made in one pass.",
        task="nowcasting",
        citation="Gao, Tan, Wu and Li: SimVP, simpler yet better video prediction. CVPR 2022, arXiv:2206.05099; Tan,"
        " Gao, Li and Li: SimVP, towards simple yet powerful spatiotemporal predictive learning, arXiv:2211.12509",
        year=2022,
        arxiv="2211.12509",
        parameters=PublishedCount(
            total=46_800_000, counts="as printed, 46.8 M, for ten frames of 64 x 64 in and out", confidence="code"
        ),
        facts=(
            Fact(
                text="Moving MNIST, 10 to 10 frames, error summed over a frame's pixels: 15.05 after 2,000 epochs,"
                f" 26.69 after 200, with 16.5 GFLOP for ten frames (read from the {_SOURCE})",
                confidence="code",
            ),
            Fact(
                text="On the same page: ConvLSTM-S (15.0 M values, 56.8 GFLOP) 46.26, ConvLSTM-L (33.8 M, 127.0 GFLOP)"
                " 29.88, PredRNN (116.0 GFLOP) 25.04, MIM (179.2 GFLOP) 23.66, PredRNN++ (171.7 GFLOP) 22.45;"
                " trained 'to convergence', of how many epochs its table does not say (read from the"
                f" {_SOURCE})",
                confidence="code",
            ),
        ),
        limits=(
            "Chosen as the strong recent competitor because it needs nothing but convolutions, and a seventh to an"
            " eleventh of the operations of the recurrent networks named above. It leads that table after 2,000"
            " epochs; after 200 it is behind PredRNN, MIM and PredRNN++: of a short training expect no lead. It gives"
            " one forecast, no ensemble.",
            "Where more frames are forecast than seen, the last ones get the skip connection of the last frame seen;"
            " the publication has as many of both. Depths drop at random in the publication, not here.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        width: int = Field(64, gt=0)
        """Channels of an encoded frame, an even number: they are normalised in two groups."""
        hidden: int = Field(512, gt=0)
        """Channels of the translator."""
        layers: int = Field(4, ge=2, le=8)
        """Convolutions of the encoder, and of the decoder; every second one halves the grid."""
        blocks: int = Field(8, ge=2)
        """Blocks of the translator."""
        expansion: float = Field(8.0, gt=0)
        """Channels within a block's perceptron over those of the block."""
        link: Literal["identity", "logistic"] = "identity"
        """``logistic`` for values from 0 to 1."""

        @field_validator("width")
        @classmethod
        def _even(cls, width: int) -> int:
            if width % 2:
                raise ValueError(f"{width} channels are not two groups to normalise; choose an even number")
            return width

        @model_validator(mode="after")
        def _leaves_channels(self) -> SimVp.Options:
            if int(self.hidden * self.expansion) == 0:
                raise ValueError(
                    f"expansion {self.expansion:g} leaves no channel of hidden {self.hidden}; choose a larger one"
                )
            return self

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network.

        Raises
        ------
        ConfigError
            If a block would have no channel.
        """
        from pipeline_lib.models.simvp.network import SimVpNetwork

        # The frames are side by side in the first block.
        if int(frames.seen * options.width * options.expansion) == 0:
            raise ConfigError(
                f"expansion {options.expansion:g} leaves no channel of {frames.seen} x {options.width}",
                where="simvp.expansion",
                fix="choose a larger one",
            )

        return SimVpNetwork(frames, options)
