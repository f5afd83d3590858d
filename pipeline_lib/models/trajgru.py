"""TrajGRU: recurrent cells that learn where they look back to.

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


@MODELS.register("trajgru")
class TrajGRU(FrameModel):
    """Encoder-forecaster of TrajGRU layers on several levels."""

    class Options(LadderOptions):
        """Options of the network; for HKO-7, ``links`` is 13, 13, 9, see also the base."""

        links: tuple[Width, ...] = (13, 13, 13)
        """Places that each cell looks back to, for each level."""
        flow_hidden: Width = 32
        """Channels of the network that chooses the places."""
        flow_kernel: OddSize = 5
        """Side of that network's kernels."""

        @model_validator(mode="after")
        def _one_for_each_level(self) -> Self:
            self.check_levels(links=self.links)
            return self

    card: ClassVar[ModelCard] = ModelCard(
        title="TrajGRU",
        summary="Gated recurrent units whose neighbourhood is learned: at every step a small network chooses, for each"
        " cell, the places from which it takes the hidden values of the step before. An encoder and a forecaster on"
        " several levels, as of ConvGRU.",
        parameters=PublishedCount(
            total=12_150_053,
            counts="trainable values with the levels of HKO-7, frames of one variable, coordinates",
            confidence="code",
        ),
        facts=(
            Fact(text="the flows start at zero: at first each cell sees its own past only", confidence="code"),
            *RECURRENT_RECIPE,
            Fact(
                text="trainable values with the levels of MovingMNIST++:"
                " 2,842,157 with 5 links, 3,421,277 with 9, 4,000,397 with 13, 4,579,517 with 17",
                confidence="code",
            ),
        ),
        limits=(
            *RECURRENT_LIMITS,
            "Where a GPU must sum gradients in a fixed order, as in our trainings, it takes a slower way to look back.",
            "A training holds the hidden values once for each link and step.",
        ),
        **PAPER,
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.gru_frames import LadderNowcaster, TrajGru

        def cell(level: int, inputs: int | None, width: int) -> Gru:
            return TrajGru(
                inputs,
                width,
                kernel=options.kernel_input,
                leak=options.leak,
                links=options.links[level],
                flow_hidden=options.flow_hidden,
                flow_kernel=options.flow_kernel,
            )

        return LadderNowcaster(options, channels=frames.channels, leads=frames.leads, cell=cell, channels_last=False)
