"""A recurrent network on flattened patches, the other way to read PERSIANN and an LSTM (2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.models.base import ModelCard
from pipeline_lib.models.frame_options import Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.window_lstm import CITATION, DOI, FACTS, LEFT_OUT, LocalOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster


@MODELS.register("patch_lstm")
class PatchLSTM(FrameModel):
    """LSTM layers on patches as vectors, which answer with the patch in the next frame."""

    class Options(LocalOptions):
        """Options of this model; sizes are proposed, not published."""

        patch: int = Field(16, gt=0)
        """Side of the patches, in cells; frames that they do not divide are continued as at the border."""
        widths: tuple[Width, ...] = Field((512, 512), min_length=1)
        """Units of the layers, the nearest to the frames first."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Patch LSTM",
        summary="One LSTM for all patches of a frame: at each step it sees a patch as a vector and answers with the"
        " patch in the next frame, from which it goes on. Patches know nothing of each other.",
        task="nowcasting",
        citation=CITATION,
        year=2018,
        doi=DOI,
        facts=FACTS,
        limits=(
            "Patches, layers and training are proposed by us; the published ones are not known.",
            "The layer of 256 between the last LSTM and the patch, proposed for this reading, is left out: one linear"
            " layer answers.",
            "What comes in over the border of a patch is not foreseen: forecasts have seams.",
            "Forecasts smooth from step to step, which warms cold tops and lowers the rain retrieved from them: look at"
            " std_ratio.",
            LEFT_OUT,
        ),
    )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.local_recurrent import LocalRecurrent

        return LocalRecurrent(
            channels=frames.channels,
            leads=frames.leads,
            size=options.patch,
            step=options.patch,
            widths=options.widths,
            kind=options.cell,
            residual=options.residual,
            recompute=options.recompute,
        )
