"""Convolutions over frames, without recurrence: the 2D and 3D baselines of the HKO-7 benchmark.

Shi, Gao, Lausen, Wang, Yeung, Wong and Woo (2017), Deep Learning for Precipitation Nowcasting: A Benchmark and A New
Model, NIPS 2017, arXiv:1706.03458.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.frame_options import Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.hko7 import PAPER
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("frame_cnn")
class FrameCNN(FrameModel):
    """Encoder-decoder of convolutions, in the plane or in the plane and time."""

    class Options(BaseOptions):
        """Options of the network; for HKO-7, ``coarsening`` is 15 and ``width`` 70 (2d) or 128 (3d)."""

        kind: Literal["2d", "3d"] = "2d"
        """Whether all frames are channels of one map, or time is an axis of the kernels."""
        width: Width = 70
        """Channels of the first layers; those between have up to eight times as many."""
        coarsening: Literal[2, 15] = 2
        """By how much the layers before the first normalisation coarsen: 2 as for MovingMNIST++, 15 as for HKO-7. The
        next ones do so by 8; frames that the product does not divide are padded."""
        leak: float = Field(0.2, ge=0, lt=1)
        """Slope of the activations below zero."""

    card: ClassVar[ModelCard] = ModelCard(
        title="CNN over frames",
        summary="Strided convolutions with batch normalisation down to a few cells and transposed ones up again; all"
        " frames of the past go in at once, all forecasts come out at once. In 2D frames are channels, in 3D kernels"
        " span four frames.",
        parameters=PublishedCount(
            total=6_680_000,
            counts="trainable values, rounded, in 2D with the layers for HKO-7; derived from the authors' options",
            confidence="code",
        ),
        facts=(
            Fact(
                text="with the authors' options about 6.68 million trainable values in 2D and 66.4 million in 3D for"
                " HKO-7, 5.04 and 19.77 million for MovingMNIST++",
                confidence="code",
            ),
            Fact(
                text="for MovingMNIST++ the paper prints 29.06 million trainable values in 2D and 32.52 million in 3D",
                confidence="memory",
            ),
            Fact(
                text="for HKO-7 trained by Adam with beta1 0.5 and a learning rate of 1e-4, times 0.7 every 20,000"
                " steps, 8 sequences a step, 80,000 steps; for MovingMNIST++ 32 sequences a step",
                confidence="code",
            ),
            Fact(
                text="no activation follows the transposed convolutions after the last normalisation", confidence="code"
            ),
        ),
        limits=(
            "Layers before a normalisation have no bias here, since it would be taken off again; the exact counts"
            " differ from the authors' by so much.",
            "How time is shortened and stretched in 3D is known for 5 or 10 frames to 10 or 20; for others it follows"
            " the same rule, and forecasts to spare are cut off.",
            "It forecasts a fixed number of frames.",
        ),
        **PAPER,
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.frame_cnn.network import FrameConvolutions

        return FrameConvolutions(options, frames)
