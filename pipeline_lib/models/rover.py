"""ROVER: extrapolation of radar echoes along a variational optical flow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frames import FrameModel, Frames, KnownFrames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.motion.depth import check_depth
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster

_WEIGHTS = {"rover1": (1.0,), "rover2": (0.5, 0.5), "rover3": (0.7, 0.2, 0.1)}
"""Of the flows between the last frames, the latest first (Shi et al. 2015)."""


@MODELS.register("rover")
class Rover(FrameModel):
    """Variational optical flow of the last frames, and the last frame moved along it."""

    threads = 1
    learns: ClassVar[bool] = False
    card: ClassVar[ModelCard] = ModelCard(
        title="ROVER",
        summary="A variational multigrid flow between the last radar frames stays as it is, and the last frame is moved"
        " along it. The operational method that learned nowcasts were first compared with.",
        task="nowcasting",
        citation="Woo, Wong (2017), Operational application of optical flow techniques to radar-based rainfall"
        " nowcasting, Atmosphere 8; as a baseline: Shi, Chen, Wang, Yeung, Wong, Woo (2015), Convolutional LSTM"
        " network: a machine learning approach for precipitation nowcasting, NIPS; Shi, Gao, Lausen, Wang,"
        " Yeung, Wong, Woo (2017), Deep learning for precipitation nowcasting: a benchmark and a new model, NIPS",
        year=2017,
        arxiv="1706.03458",
        facts=(
            Fact(text="ROVER1 moves along the flow between the last two frames.", confidence="memory"),
            Fact(text="ROVER2 takes the mean of the last two flows.", confidence="memory"),
            Fact(text="ROVER3 weighs the last three flows by 0.7, 0.2 and 0.1.", confidence="memory"),
            Fact(
                text="The HKO-7 benchmark takes levels 6 to 0, n1 = n2 = 2, rho = 1.5, alpha = 2000 and sigma = 4.5,"
                " the last two frames and 20 bilinear warps of a warped frame, with zeros from outside.",
                confidence="code",
            ),
            Fact(
                text="Its non-linear variant stretches reflectivity by an arc tangent around 33 dBZ with sharpness 4,"
                " scaled to [0, 1], and undoes it after the forecast; a pixel p is 70 p - 10 dBZ.",
                confidence="code",
            ),
            Fact(
                text="The flow program that the benchmark calls says that it is the method of Bruhn et al. (2003) with"
                " a recursive multigrid algorithm.",
                confidence="memory",
            ),
            Fact(text="Whether alpha is meant for grey values of 0 to 255, as taken here.", confidence="unknown"),
        ),
        limits=(
            "ROVER itself is not public: this is an implementation of the published equations, with our own grids and"
            " transfers between them.",
            "Nothing grows or decays, and the flow stays as it is.",
            "From beyond the border come zeros, as of rain; for frames in which 0 is something, take optical_flow with"
            " outside: edge.",
            "A cell that a frame lacks has the value of the last frame seen before that has it, or else that of the"
            " nearest cell that has one: a gap neither moves nor looks like an edge that does.",
            "Made linear once, the flow of echoes that move many cells per frame is some per cent too fast; see warps.",
        ),
        licence="The flow program that the benchmark calls is under a BSD licence; nothing of it is used here.",
    )

    class Options(BaseOptions):
        """Options of this model."""

        variant: Literal["rover1", "rover2", "rover3"] = "rover1"
        """Flows that count: the last one, the mean of two, or three weighed by 0.7, 0.2 and 0.1 (Shi et al. 2015)."""
        response: Literal["linear", "nonlinear"] = "linear"
        """Whether frames are stretched around an intensity while they are worked on."""
        centre: float = 33.0
        """Reflectivity in dBZ around which the non-linear response stretches (HKO-7)."""
        sharpness: float = Field(default=4.0, gt=0)
        """Distance in dBZ at which the stretch has come half its way (HKO-7)."""
        lowest: float | None = None
        """Reflectivity in dBZ of a frame's value 0; null takes that of the frames' scale, as of ``rain_frames``."""
        highest: float | None = None
        """Reflectivity in dBZ of a frame's value 1; null likewise."""
        weakest: float | None = None
        """Values of frames below this one count as 0; null leaves all as they are, of either sign. HKO-7 takes 71/255
        for the least that is not noise."""
        advection: Literal["warps", "trajectories"] = "warps"
        """Whether each forecast is the one before moved by a step (HKO-7), or each is interpolated once."""
        max_level: int = Field(default=6, ge=0)
        """How often the grid of the frames is halved for the coarsest grid of the flow."""
        start_level: int = Field(default=0, ge=0)
        """How often it is halved for the finest grid of the flow."""
        n1: int = Field(default=2, ge=0)
        """Relaxation sweeps before the correction by a coarser grid."""
        n2: int = Field(default=2, ge=1)
        """Relaxation sweeps after it."""
        rho: float = Field(default=1.5, ge=0)
        """Standard deviation, in cells, of the Gaussian over which the flow fits the frames."""
        alpha: float = Field(default=2000.0, gt=0)
        """Weight of the smoothness of the flow against squared grey values."""
        sigma: float = Field(default=4.5, ge=0)
        """Standard deviation, in cells, of the Gaussian under which the flow sees the frames."""
        warps: int = Field(default=0, ge=0)
        """Times that the flow is refined about itself, ours; 0 is the published linear method."""
        grey: float = Field(default=255.0, gt=0)
        """Grey values per unit of the frames, for alpha; that of 8-bit images by default."""

        @model_validator(mode="after")
        def _used(self) -> Rover.Options:
            if self.response == "linear":
                refuse_unused(self, ("centre", "sharpness", "lowest", "highest"), "response linear stretches nothing")
            return self

        @model_validator(mode="after")
        def _ordered(self) -> Rover.Options:
            if (self.lowest is None) != (self.highest is None):
                raise ValueError("lowest and highest are the two ends of one scale: give both, or neither")
            if self.ends is not None and self.ends[0] >= self.ends[1]:
                raise ValueError(f"lowest ({self.lowest:g} dBZ) is not below highest ({self.highest:g} dBZ)")
            return self

        @property
        def ends(self) -> tuple[float, float] | None:
            """Lowest and highest, where they are given."""
            return None if self.lowest is None or self.highest is None else (self.lowest, self.highest)

    @classmethod
    def check_frames(cls, options: Options, known: KnownFrames) -> None:
        """Refuse too few or too small frames, and a stretch around a reflectivity of frames that have none.

        Raises
        ------
        ConfigError
            With the first mistake.
        """
        needed = len(_WEIGHTS[options.variant]) + 1
        if known.seen < needed:
            raise ConfigError(
                f"{options.variant} reads {needed} frames, but {known.seen} are seen",
                where="options.variant",
                fix="let the task show more frames, or choose a variant that reads fewer",
            )
        if known.height is not None and known.width is not None:
            check_depth(options.max_level, known.height, known.width, where="options.max_level")
        if options.response == "nonlinear" and options.ends is None and known.rain is False:
            raise ConfigError(
                "nonlinear stretches frames around a reflectivity, and these do not say which they stand for",
                where="options.response",
                fix="take a source with preparation rain_frames, set lowest and highest, or leave it out",
            )
        if options.ends is not None and known.dbz is not None and options.ends != known.dbz:
            what = f"are {list(options.ends)} dBZ, those of the frames {list(known.dbz)}"
            raise ConfigError(what, where="options.lowest and highest", fix="leave them out")

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network, which learns nothing."""
        from pipeline_lib.models.extrapolations import ArctanResponse, FlowExtrapolation
        from pipeline_lib.motion.advection import follow_trajectories, warp_repeatedly
        from pipeline_lib.motion.variational import VariationalSettings, check_levels, variational_flow

        cls.check_frames(options, frames.known)
        settings = VariationalSettings(
            **{name: getattr(options, name) for name in VariationalSettings.__dataclass_fields__}
        )
        check_levels(settings, frames.height, frames.width)
        stretch, ends = None, frames.known.dbz or options.ends
        if options.response == "nonlinear" and ends is not None:
            span = ends[1] - ends[0]
            stretch = ArctanResponse((options.centre - ends[0]) / span, options.sharpness / span)
        return FlowExtrapolation(
            frames.leads,
            partial(variational_flow, settings=settings),
            follow_trajectories if options.advection == "trajectories" else warp_repeatedly,
            grey=options.grey,
            weights=_WEIGHTS[options.variant],
            weakest=options.weakest,
            response=stretch,
        )
