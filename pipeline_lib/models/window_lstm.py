"""A recurrent network on the surroundings of each pixel, as for cloud-top temperature before PERSIANN (2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frame_options import OddSize, Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster

CITATION = (
    "Akbari Asanjan, A., Yang, T., Hsu, K., Sorooshian, S., Lin, J., Peng, Q.: Short-Term Precipitation Forecast Based"
    " on the PERSIANN System and LSTM Recurrent Neural Networks. JGR Atmospheres 123, 12543-12563, 2018"
)
DOI = "10.1029/2018JD028375"
FACTS = (
    Fact(
        text="An LSTM forecasts cloud-top brightness temperature, and PERSIANN makes rain of its forecasts, 0 to 6"
        " hours ahead; a simple recurrent network, persistence and Farnebaeck's optical flow go through the same"
        " chain.",
        confidence="abstract",
    ),
    Fact(
        text="The LSTM has better correlation and RMSE of temperature than these, and better POD, FAR, CSI, correlation"
        " and RMSE of rain than these and the numerical model RAP; the gain is largest for convective rain.",
        confidence="abstract",
    ),
    Fact(
        text="Whether the published network saw the surroundings of pixels or flattened patches is not known, nor are"
        " its size and its scores at each lead.",
        confidence="unknown",
    ),
    Fact(
        text="Which PERSIANN made the rain, pixel by pixel or by cloud patches (CCS), is not known; the retrieval of"
        " this task goes pixel by pixel.",
        confidence="unknown",
    ),
)

LEFT_OUT = (
    "Left out: the numerical model RAP, a published baseline, and rain summed over hours to compare with it (proposed);"
    " scheduled sampling (proposed)."
)


class LocalOptions(BaseOptions):
    """Options that recurrent networks on parts of frames share."""

    cell: Literal["lstm", "rnn"] = "lstm"
    """LSTM cells, or the simple recurrent units they are compared with."""
    residual: bool = False
    """Whether the last frame is added to each answer, so that the network learns what changes; ours."""
    recompute: bool = False
    """Compute values within a step again when gradients are, instead of keeping them: less memory, more time."""


@MODELS.register("window_lstm")
class WindowLSTM(FrameModel):
    """LSTM layers on the window around each pixel, which answer with the pixel in the next frame."""

    class Options(LocalOptions):
        """Options of this model; sizes are proposed, not published."""

        window: OddSize = 7
        """Side of the window around each pixel, in cells."""
        widths: tuple[Width, ...] = Field((128, 128), min_length=1)
        """Units of the layers, the nearest to the frames first."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Window LSTM",
        summary="One small LSTM for all pixels: at each step it sees the window around a pixel and answers with the"
        " pixel in the next frame. Forecast frames are put together from all pixels, and it goes on from them.",
        task="nowcasting",
        citation=CITATION,
        year=2018,
        doi=DOI,
        facts=FACTS,
        limits=(
            "Window, layers and training are proposed by us; the published ones are not known.",
            "A window sees no farther than its half side at each step: what moves faster comes as a surprise.",
            "Forecasts smooth from step to step, which warms cold tops and lowers the rain retrieved from them: look at"
            " std_ratio.",
            "Beyond the border of the frames all is taken to be as at the border.",
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
            size=options.window,
            step=1,
            widths=options.widths,
            kind=options.cell,
            residual=options.residual,
            recompute=options.recompute,
        )
