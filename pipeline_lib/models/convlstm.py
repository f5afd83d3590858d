"""ConvLSTM: recurrent cells whose gates are convolutions, for nowcasting of rain.

Shi, Chen, Wang, Yeung, Wong and Woo (2015), Convolutional LSTM Network: A Machine Learning Approach for Precipitation
Nowcasting, NIPS 2015, arXiv:1506.04214.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import OddSize, Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("convlstm")
class ConvLSTM(FrameModel):
    """Encoder-forecaster of ConvLSTM cells; the defaults are the published network for radar."""

    class Options(BaseOptions):
        """Options of the network; those of Moving-MNIST are patch 4, kernels 5 and 5 or 9 and 1, widths from 64 on."""

        patch: int = Field(2, gt=0)
        """Side of the squares of cells that become channels of one cell; frames that it does not divide are padded."""
        kernel_input: OddSize = 3
        """Side of the kernels on a layer's input."""
        kernel_state: OddSize = 3
        """Side of the kernels on a layer's own hidden values."""
        widths: tuple[Width, ...] = Field((64, 64), min_length=1)
        """Channels of the layers, the nearest to the frames first."""

    card: ClassVar[ModelCard] = ModelCard(
        title="ConvLSTM",
        summary="Recurrent cells with convolutions for gates and one peephole weight per channel: an encoder reads the"
        " frames, a forecaster goes on from its states without input, and all of the forecaster's layers together give"
        " the frames of the future.",
        task="nowcasting",
        citation="Shi, X., Chen, Z., Wang, H., Yeung, D.-Y., Wong, W.-K., Woo, W.-C.: Convolutional LSTM Network: A"
        " Machine Learning Approach for Precipitation Nowcasting. NIPS 2015",
        year=2015,
        arxiv="1506.04214",
        parameters=PublishedCount(
            total=7_585_296,
            counts="trainable values with three layers of 128, 64 and 64 channels, kernels 5x5, patches 4x4 of one"
            " variable",
            confidence="verified",
        ),
        facts=(
            Fact(
                text="only peepholes of one weight per channel, a first layer of the forecaster without input and an"
                " output that reads all layers give the five published parameter counts of Moving-MNIST",
                confidence="verified",
            ),
            Fact(text="896,260 trainable values with the options of the radar experiment", confidence="verified"),
            Fact(
                text="trained on the cross entropy of grey values, summed over cells and frames, by RMSProp with a"
                " learning rate of 1e-3 and a decay of 0.9, with early stopping",
                confidence="memory",
            ),
            Fact(text="no forecast frame is fed back, in training or after it", confidence="memory"),
        ),
        limits=(
            "The published initial weights are not known: ours are PyTorch's, with peepholes of zero.",
            "Whether the forecaster's layers are stacked in the order of the encoder's cannot be told from the counts;"
            " here they are.",
            "What it forecasts blurs as lead time grows.",
            "Values of frames must lie between 0 and 1.",
        ),
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.lstm_frames import ConvLstm

        return ConvLstm(channels=frames.channels, leads=frames.leads, **options.model_dump())
