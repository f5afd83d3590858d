"""A small U-Net over frames: each convolution in two cheap steps, and attention on each level of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import OddSize, UNetOptions
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("smaat_unet")
class SmaAtUNet(FrameModel):
    """SmaAt-UNet."""

    card: ClassVar[ModelCard] = ModelCard(
        title="SmaAt-UNet",
        summary="The U-Net over frames with a quarter of its values: depthwise-separable convolutions, and attention to"
        " channels and places (CBAM) on each level of the encoder before it goes over to the decoder.",
        task="nowcasting",
        citation="Trebing, Stanczyk and Mehrkanoon: SmaAt-UNet, precipitation nowcasting using a small attention-UNet"
        " architecture. Pattern Recognition Letters 145 (2021), arXiv:2007.04417; attention: Woo, Park, Lee and Kweon:"
        " CBAM, convolutional block attention module. ECCV 2018, arXiv:1807.06521",
        year=2021,
        arxiv="2007.04417",
        parameters=PublishedCount(
            total=4_032_678,
            counts="trainable values with four frames seen and six forecast; derived from the public code's layers",
            confidence="code",
        ),
        facts=(
            Fact(
                text="4,033,537 values with twelve frames seen and one forecast, as derived",
                confidence="code",
            ),
            Fact(
                text="On the French cloud set (means over 15 to 90 min): accuracy 0.890 and F1 0.906, the U-Net 0.890"
                " and 0.907; recalled, uncertain",
                confidence="memory",
            ),
            Fact(
                text="Trained with squared errors and Adam, learning rate 0.001, a tenth of it after 4 epochs without"
                " progress, stopped after 15 of these, 200 at most; squared errors are summed and divided by the size"
                " of the batch, so that printed errors depend on it",
                confidence="code",
            ),
        ),
        limits=(
            "The published cloud set is not public; scores on other data are not comparable.",
            "Maximum pooling needs four halvings: frames are padded to a multiple of 16 cells by repeating the border.",
            "Fewer values are not less time: separable convolutions move more memory for each multiplication.",
        ),
    )

    class Options(UNetOptions):
        """Options of this model."""

        kernels: int = Field(2, gt=0)
        """Kernels for each channel of the depthwise step."""
        reduction: int = Field(16, gt=0)
        """Channels over hidden values of the attention to channels; of few channels one hidden value is left."""
        attention_kernel: OddSize = 7
        """Cells along a side of the kernel of the attention to places."""

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network."""
        from functools import partial

        from pipeline_lib.models.smaat_unet.network import Attention, SeparableConvolution
        from pipeline_lib.models.unet_frames import UNetOverFrames

        return UNetOverFrames(
            frames,
            options,
            convolution=partial(SeparableConvolution, kernels=options.kernels),
            attention=partial(Attention, reduction=options.reduction, kernel=options.attention_kernel),
        )
