"""Persistence of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import ModelCard, NoOptions
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("last_frame")
class LastFrame(FrameModel):
    """The last frame that was seen, at every lead."""

    threads = 1
    learns: ClassVar[bool] = False
    card: ClassVar[ModelCard] = ModelCard(
        title="Last frame",
        summary="Persistence: every forecast is the last frame that was seen. What any nowcast has to beat.",
        task="nowcasting",
        citation="a reference in common use; as in Shi et al. (2017), arXiv:1706.03458",
        limits=(
            "Nothing moves, grows or decays.",
            "A cell that a frame lacks has the value of the last frame seen before that has it, or else that of the"
            " nearest cell that has one.",
        ),
    )

    @classmethod
    def nowcaster(cls, options: NoOptions, frames: Frames) -> Nowcaster:  # noqa: ARG003 - it has none
        """Return the network, which learns nothing."""
        from pipeline_lib.models.extrapolations import Persistence

        return Persistence(frames.leads)
