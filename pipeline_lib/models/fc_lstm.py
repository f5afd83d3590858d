"""FC-LSTM: the encoder-forecaster that ConvLSTM was compared with, Shi et al. (2015), NIPS 2015, arXiv:1506.04214."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("fc_lstm")
class FcLSTM(FrameModel):
    """Encoder-forecaster of LSTM cells over whole frames."""

    class Options(BaseOptions):
        """Options of the network; the published one for radar has two layers of 2000 units."""

        widths: tuple[Width, ...] = Field((2048, 2048), min_length=1)
        """Units of the layers, the nearest to the frames first."""

    card: ClassVar[ModelCard] = ModelCard(
        title="FC-LSTM",
        summary="LSTM cells with peepholes over frames as vectors: every unit sees every cell, so nothing is known of"
        " neighbours. The baseline of ConvLSTM.",
        task="nowcasting",
        citation="Shi, X., Chen, Z., Wang, H., Yeung, D.-Y., Wong, W.-K., Woo, W.-C.: Convolutional LSTM Network: A"
        " Machine Learning Approach for Precipitation Nowcasting. NIPS 2015; cells after Graves, A.: Generating"
        " Sequences With Recurrent Neural Networks, arXiv:1308.0850",
        year=2015,
        arxiv="1506.04214",
        parameters=PublishedCount(
            total=142_667_776,
            counts="trainable values with two layers of 2048 units, frames of 64 x 64 cells of one variable",
            confidence="verified",
        ),
        facts=(
            Fact(
                text="only an output that reads the last layer alone gives the published parameter count",
                confidence="verified",
            ),
            Fact(
                text="196,066,000 trainable values with two layers of 2000 units and frames of 100 x 100 cells",
                confidence="verified",
            ),
        ),
        limits=(
            "Its size grows with the number of cells of a frame, and it works for frames of one size only.",
            "The published initial weights are not known: ours are PyTorch's, with peepholes of zero.",
            "Values of frames must lie between 0 and 1.",
        ),
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.lstm_frames import FcLstm

        return FcLstm(
            channels=frames.channels,
            height=frames.height,
            width=frames.width,
            leads=frames.leads,
            widths=options.widths,
        )
