"""Extrapolation along an optical flow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frames import FrameModel, Frames, KnownFrames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.motion.depth import check_depth
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster

_PAIR = 2
"""Frames that a flow is found between."""
_UNUSED = {"farneback": ("deviation",), "lucas_kanade": ("window", "poly_n", "poly_sigma")}
"""Options of the other method."""


@MODELS.register("optical_flow")
class OpticalFlow(FrameModel):
    """The flow between the last two frames, and the last frame moved along it."""

    threads = 1
    learns: ClassVar[bool] = False
    card: ClassVar[ModelCard] = ModelCard(
        title="Optical flow",
        summary="The flow from the last frame but one to the last, by Farnebaeck's or Lucas and Kanade's method, stays"
        " as it is; each forecast is interpolated once from the last frame, at the start of the flow's trajectories.",
        task="nowcasting",
        citation="Farnebaeck (2003), Two-frame motion estimation based on polynomial expansion; Lucas, Kanade (1981),"
        " An iterative image registration technique with an application to stereo vision; as a baseline: Akbari"
        " Asanjan, Yang, Hsu, Sorooshian, Lin, Peng (2018), Short-term precipitation forecast based on the PERSIANN"
        " system and LSTM recurrent neural networks, JGR Atmospheres 123",
        year=2003,
        doi="10.1029/2018JD028375",
        facts=(
            Fact(
                text="Farnebaeck's optical flow is a baseline of the forecasts of cloud-top temperature by PERSIANN and"
                " an LSTM (2018).",
                confidence="abstract",
            ),
            Fact(
                text="With which settings is not known; those here (pyramid 0.5, 3 levels, window 15, 3 iterations,"
                " poly n 5, sigma 1.2) are proposed.",
                confidence="unknown",
            ),
        ),
        limits=(
            "Nothing grows or decays, and the flow stays as it is.",
            "A cell that a frame lacks has the value of the last frame seen before that has it, or else that of the"
            " nearest cell that has one: a gap neither moves nor looks like an edge that does.",
            "What grows is taken for what moves: growing cells, of masks above all, become false alarms around them.",
            "The flow is zero in dry places that are far from all echoes: farther than about the window, times two for"
            " each level.",
            "Frames are halved by means of 2 x 2 cells, and the damping of flow where frames say little is ours; other"
            " programs differ in both, and in what they do at the edges.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        method: Literal["farneback", "lucas_kanade"] = "farneback"
        """Polynomials around each cell, or least squares of derivatives around each cell."""
        levels: int = Field(default=3, ge=0)
        """How often the frames are halved for the coarsest grid of the flow."""
        iterations: int = Field(default=3, ge=1)
        """Refinements on each grid."""
        window: int = Field(default=15, ge=1)
        """Farnebaeck: side of the square over which one displacement is sought, in cells; odd."""
        poly_n: int = Field(default=5, ge=1)
        """Farnebaeck: cells to each side that a polynomial is fitted to."""
        poly_sigma: float = Field(default=1.2, gt=0)
        """Farnebaeck: standard deviation of their weights, in cells."""
        deviation: float = Field(default=8.0, gt=0)
        """Lucas-Kanade: standard deviation of the neighbours' weights, in cells."""
        advection: Literal["warps", "trajectories"] = "trajectories"
        """Whether each forecast is the one before moved by a step, or each is interpolated once."""
        outside: Literal["zero", "edge"] = "zero"
        """What comes in from beyond the frames: zeros, as of rain, or what is at their edge, as of temperature."""
        grey: float = Field(default=255.0, gt=0)
        """Grey values per unit of the frames, for the damping; that of 8-bit images by default."""

        motion_of: int = Field(default=0, ge=0)
        """Channel that the flow is found in, 0 for what is forecast. A mask says little of how it moves; what is seen
        beside it, levels one after the other, comes in standard deviations from its mean."""

        @field_validator("window")
        @classmethod
        def _odd(cls, window: int) -> int:
            if window % 2 == 0:
                raise ValueError(f"a window of {window} cells has no middle; choose an odd one")
            return window

        @model_validator(mode="after")
        def _used(self) -> OpticalFlow.Options:
            refuse_unused(self, _UNUSED[self.method], f"method {self.method} has none")
            return self

    @classmethod
    def check_frames(cls, options: Options, known: KnownFrames) -> None:
        """Refuse fewer than two frames, too few channels, and frames that are too small for the levels.

        Raises
        ------
        ConfigError
            With the first mistake.
        """
        if known.seen < _PAIR:
            what = f"a flow needs two frames, but {known.seen} is seen"
            raise ConfigError(what, where="training.seen", fix="let the task show more frames")
        if known.channels is not None and options.motion_of >= known.channels:
            raise ConfigError(
                f"{options.motion_of} is beyond the last of {known.channels} channels, which count from 0",
                where="options.motion_of",
                fix="name a channel that is seen",
            )
        if known.height is not None and known.width is not None:
            check_depth(options.levels, known.height, known.width, where="options.levels")

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network, which learns nothing."""
        from pipeline_lib.models.extrapolations import FlowExtrapolation
        from pipeline_lib.motion.advection import follow_trajectories, warp_repeatedly
        from pipeline_lib.motion.farneback import FarnebackSettings, farneback_flow
        from pipeline_lib.motion.lucas_kanade import lucas_kanade_flow

        cls.check_frames(options, frames.known)
        if options.method == "farneback":
            settings = FarnebackSettings(
                **{name: getattr(options, name) for name in FarnebackSettings.__dataclass_fields__}
            )
            flow = partial(farneback_flow, settings=settings)
        else:
            flow = partial(
                lucas_kanade_flow,
                levels=options.levels,
                iterations=options.iterations,
                deviation=options.deviation,
            )
        advect = follow_trajectories if options.advection == "trajectories" else warp_repeatedly
        moved = partial(advect, outside=options.outside)
        return FlowExtrapolation(frames.leads, flow, moved, grey=options.grey, motion_of=options.motion_of)
