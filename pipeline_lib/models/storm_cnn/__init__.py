"""Convolutions over heights and the plane that foretell storms, their initiation too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frame_options import Width
from pipeline_lib.models.frames import FrameModel, Frames
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.nowcaster import Nowcaster

_TRIMMED = 2
"""Cells by which each convolution of 3 x 3 makes a window smaller."""
_MAP = 2
"""Axes of a map, without time."""


def _levels(number: int) -> str:
    return "no levels" if number == 1 else f"{number} levels"


@MODELS.register("storm_cnn")
class StormCNN(FrameModel):
    """3D-SCN: successive convolutions over all variables and a block of space."""

    card: ClassVar[ModelCard] = ModelCard(
        title="3D-SCN",
        summary="For each box, from the volumes of radar and boundary layer around it, whether there will be a storm."
        " 3-D convolutions whose kernels span all variables and times follow each other without pooling.",
        task="nowcasting",
        citation="Zhang et al. (2017), convective storm nowcasting by a 3D successive convolution network,"
        " arXiv:1702.04517; IEEE BigData 2019",
        year=2017,
        doi="10.1109/BigData47090.2019.9005568",
        arxiv="1702.04517",
        facts=(
            Fact(
                text="Seen are 3-D radar reflectivity, vertical velocity and buoyancy, the latter two from VDRAS; raw"
                " values, no features made by hand.",
                confidence="slides",
            ),
            Fact(text="Each box is classified, storm or none, 30 minutes ahead.", confidence="slides"),
            Fact(
                text="Cross-channel 3-D convolutions, stacked, without pooling, trained end to end.",
                confidence="slides",
            ),
            Fact(
                text="Proposed, not published: windows of 8 levels x 24 x 24 points at three times; convolutions of 3 x"
                " 3 x 3, 3 x 3 x 3, 3 x 3 x 3 and 2 x 3 x 3 cells with 32, 64, 64 and 128 maps, a layer of 256, dropout"
                " 0.5. How many layers of what size the original has was not found, nor how many values.",
                confidence="unknown",
            ),
            Fact(
                text="A storm is any echo of the box above 35 dBZ, as in the group's earlier work on boxes (2017).",
                confidence="memory",
            ),
            Fact(text="Boxes of 6 km x 6 km on VDRAS fields of 3 km; recalled, uncertain.", confidence="memory"),
            Fact(
                text="Deep networks beat extrapolation, and cases show initiation and growth; figures were not found.",
                confidence="slides",
            ),
        ),
        limits=(
            "All sizes of layers are proposed by us; so are the ReLU after each, and one logit in place of a softmax of"
            " two, which is the same function with half of the last weights.",
            "The published network answers for one box, from a window cut around it. This one slides over the frame:"
            " each box gets the answer of its own window, by the same function, computed once where windows overlap."
            " Beyond the frame its border is repeated.",
            "The published network answers for 30 minutes, this one for each lead.",
            "Volumes come from states, as simulated sources make them, in which nothing is missing. Frames of real"
            " radars have no levels here: each level is then a variable of its own, seen as a map.",
            "The loss has no balance of classes: forecasts are probabilities, and rare ones seldom reach 0.5.",
            "Left out: the earlier method of the group, a support vector machine on features made by hand, as a"
            " baseline (recalled); a training that leaves out part of the boxes without storms (recalled); and early"
            " stopping on CSI (proposed): ours stops on the validation loss.",
            "VDRAS is not public. Re-analyses may use radar data from after their nominal time: then they foretell"
            " nothing.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model; the defaults are the proposed sizes, for three volumes of 8 levels."""

        levels: int = Field(8, ge=1)
        """Levels of a volume."""
        volumes: int = Field(1, ge=0)
        """Variables with levels. They follow the one that is forecast, before all variables without levels, which are
        seen at every level. The one that is forecast is not seen."""
        variables: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1)
        """Variables that are seen, numbered from 1, the first after the one that is forecast; null for all."""
        widths: tuple[Width, ...] = Field((32, 64, 64, 128), min_length=1)
        """Maps of each convolution, over 3 x 3 cells of 3 levels, or of what is left of them."""
        window: int = Field(24, ge=3)
        """Cells along a side of what is seen of a frame for a box; an even one reaches a cell farther in both axes'
        direction."""
        hidden: Width = 256
        """Values of the layer that sees all that the convolutions left of the window."""
        dropout: float = Field(0.5, ge=0, lt=1)
        """Share of these that is dropped in training."""

        @model_validator(mode="after")
        def _leaves_something(self) -> StormCNN.Options:
            if self.window <= _TRIMMED * len(self.widths):
                layers = len(self.widths)
                least = _TRIMMED * layers + 1
                raise ValueError(f"{layers} convolutions leave nothing of {self.window} cells: give {least} or more")
            if self.variables is not None and len(set(self.variables)) < len(self.variables):
                raise ValueError("variables names one twice")
            return self

    @classmethod
    def check_shapes(cls, options: Options, shapes: Sequence[tuple[int, ...] | None]) -> None:
        """Refuse numbers of variables beyond the last of the inputs, and levels where the layout says otherwise.

        Channels are told apart by their places alone: in another order, what is called a volume would be cut out of
        several variables. A variable with one level is a map.

        Raises
        ------
        ConfigError
            Naming the first that is not there, or has other levels; inputs by their place, the first is 0.
        """
        there = len(shapes) - 1
        if options.variables is not None and max(options.variables) > there:
            raise ConfigError(
                f"variable {max(options.variables)} is to be seen, there are {there} after the first",
                where="options.variables",
                fix="number them from 1, in the order of inputs",
            )
        if options.volumes > there:
            what = f"is {options.volumes}, and {there} inputs follow the one that is forecast"
            raise ConfigError(what, where="options.volumes", fix="correct it, or inputs")
        for number, shape in enumerate(shapes):
            if shape is None:
                continue
            levels = shape[0] if len(shape) > _MAP else 1
            wanted = options.levels if 0 < number <= options.volumes else 1
            if levels != wanted:
                raise ConfigError(
                    f"input {number} has {_levels(levels)}, and is to have {_levels(wanted)}: inputs are the one that"
                    f" is forecast, then {options.volumes} of {options.levels} levels, then those without levels",
                    where="options",
                    fix="order inputs so, or correct options.levels and options.volumes",
                )

    @classmethod
    def nowcaster(cls, options: Options, frames: Frames) -> Nowcaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.storm_cnn.network import StormNetwork

        return StormNetwork(frames, options)
