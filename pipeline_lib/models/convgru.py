"""ConvGRU on several levels, the strongest baseline of TrajGRU.

Shi, Gao, Lausen, Wang, Yeung, Wong and Woo (2017), Deep Learning for Precipitation Nowcasting: A Benchmark and A New
Model, NIPS 2017, arXiv:1706.03458.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import LadderOptions, OddSize, Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.hko7 import PAPER, RECURRENT_LIMITS, RECURRENT_RECIPE
from pipeline_lib.models.registry import MODELS

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster
    from pipeline_lib.models.gru_frames import Gru


@MODELS.register("convgru")
class ConvGRU(FrameModel):
    """Encoder-forecaster of ConvGRU layers on several levels."""

    class Options(LadderOptions):
        """Options of the network; for HKO-7, ``kernel_state`` is 5, 5, 3, see also the base."""

        kernel_state: tuple[OddSize, ...] = (5, 5, 5)
        """Side of the kernels on the hidden values, for each level."""
        dilation: tuple[Width, ...] = (1, 1, 1)
        """Distance of the cells of those kernels, for each level."""

        @model_validator(mode="after")
        def _one_for_each_level(self) -> Self:
            self.check_levels(kernel_state=self.kernel_state, dilation=self.dilation)
            return self

    card: ClassVar[ModelCard] = ModelCard(
        title="ConvGRU",
        summary="Gated recurrent units with convolutions on several levels: an encoder reads the frames from fine to"
        " coarse, a forecaster goes on from its states from coarse to fine. Activations are leaky, the candidate's"
        " too.",
        parameters=PublishedCount(
            total=13_649_081,
            counts="trainable values with the levels of HKO-7, frames of one variable, coordinates",
            confidence="code",
        ),
        facts=(
            *RECURRENT_RECIPE,
            Fact(
                text="trainable values with the levels of MovingMNIST++:"
                " 2,604,817 with kernels of 3 dilated by 2, 4,767,505 with kernels of 5, 8,011,537 with 7",
                confidence="code",
            ),
        ),
        limits=(*RECURRENT_LIMITS,),
        **PAPER,
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.gru_frames import ConvGru, LadderNowcaster

        def cell(level: int, inputs: int | None, width: int) -> Gru:
            return ConvGru(
                inputs,
                width,
                kernel=options.kernel_input,
                leak=options.leak,
                kernel_state=options.kernel_state[level],
                dilation=options.dilation[level],
            )

        return LadderNowcaster(options, channels=frames.channels, leads=frames.leads, cell=cell)
