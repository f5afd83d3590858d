"""The U-Net that clouds over France were forecast with: past frames are its channels, future ones its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import UNetOptions
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("frame_unet")
class FrameUNet(FrameModel):
    """U-Net over frames."""

    card: ClassVar[ModelCard] = ModelCard(
        title="U-Net over frames",
        summary="A U-Net of five levels that sees all past frames at once, as channels, and answers with all future"
        " ones. It knows nothing of time: each lead is a map of its own.",
        task="nowcasting",
        citation="Ronneberger, Fischer and Brox: U-Net. MICCAI 2015; cloud cover: Berthomier, Pradel and Perez (2020),"
        " Cloud cover nowcasting with deep learning, arXiv:2009.11577, in the form of the public code of Broad-UNet and"
        " SmaAt-UNet",
        year=2020,
        arxiv="2009.11577",
        parameters=PublishedCount(
            total=17_268_294,
            counts="trainable values with four frames seen and six forecast; derived from the public code's layers",
            confidence="code",
        ),
        facts=(
            Fact(text="17,272,577 values with twelve frames seen and one forecast, as derived", confidence="code"),
            Fact(
                text="On the French cloud set (means over 15 to 90 min): accuracy 0.890 and F1 0.907, persistence 0.851"
                " and 0.849; recalled, uncertain",
                confidence="memory",
            ),
        ),
        limits=(
            "The published cloud set is not public; scores on other data are not comparable.",
            "Maximum pooling needs four halvings: frames are padded to a multiple of 16 cells by repeating the border.",
        ),
    )

    class Options(UNetOptions):
        """Options of this model."""

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network."""
        from pipeline_lib.models.unet_frames import UNetOverFrames

        return UNetOverFrames(frames, options)
