"""DeepRain: rain at a site by ConvLSTM over radar at several heights.

Kim, Hong, Joh and Song (2017), DeepRain: ConvLSTM Network for Precipitation Prediction using Multichannel Radar Data,
arXiv:1711.02316.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frame_options import OddSize, Width
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("deeprain")
class DeepRain(SiteModel):
    """ConvLSTM layers, and a dense end that turns their last state into one sum of rain."""

    threads = 16

    class Options(BaseOptions):
        """Options of the network; the defaults are two stacked layers of the proposed sizes."""

        cells: Literal["convolutional", "dense"] = "convolutional"
        """ConvLSTM, or FC-LSTM over frames as vectors, the published baseline."""
        widths: tuple[Width, ...] = Field((32, 32), min_length=1)
        """Channels of the layers, or units of dense ones."""
        kernel: OddSize = 3
        """Side of the kernels, on a layer's input and on its own hidden values."""
        patch: int = Field(1, gt=0)
        """Side of the squares of cells that become channels of one cell; fields that it does not divide are padded."""
        crop: OddSize = 5
        """Side of the square around the site, in cells of the layers, that the end sees; and the mean of all. Near a
        border of the fields the square is the nearest one within them."""
        hidden: Width = 64
        """Units of the layer before the answer."""

        @model_validator(mode="after")
        def _used(self) -> DeepRain.Options:
            if self.cells == "dense":
                refuse_unused(self, ("kernel", "patch", "crop"), "dense cells see all of a frame as one vector")
            return self

    card: ClassVar[ModelCard] = ModelCard(
        title="DeepRain",
        summary="One or two stacked ConvLSTM layers read radar at four heights; from the last state, its mean and the"
        " cells around the site, dense layers tell the rain there from one to two hours later.",
        task="site_forecast",
        citation="Kim, S., Hong, S., Joh, M., Song, S.: DeepRain: ConvLSTM Network for Precipitation Prediction using"
        " Multichannel Radar Data (2017), arXiv:1711.02316",
        year=2017,
        arxiv="1711.02316",
        facts=(
            Fact(
                text="Samples of the CIKM AnalytiCup 2017: 15 frames of six minutes at four heights on 101 x 101 km,"
                " and the rain at the centre from one to two hours later.",
                confidence="slides",
            ),
            Fact(text="Mean squared error, Adam, learning rate 1e-3.", confidence="slides"),
            Fact(text="Two stacked layers have an RMSE of 11.31, 23.0 % below linear regression.", confidence="slides"),
            Fact(
                text="Proposed, not published: kernels 3 x 3, widths 32 and 32, mean and centre crop, a layer of 64,"
                " softplus. Kernel and width of the original were not found, nor batch and epochs.",
                confidence="unknown",
            ),
            Fact(text="One layer alone has some 11.51: the gain may be within seeds.", confidence="memory"),
        ),
        limits=(
            "All sizes are proposed by us.",
            "Of the contest only the file for training has a source here (cikm-2017-rain): the answers of its tests"
            " were never all public (recalled). That it holds 10,000 samples is recalled, not checked.",
            "The site is in the middle of the fields, as in the contest, unless it is a station: then where its"
            " coordinates say (ours).",
            "What comes in over the border within two hours cannot be seen, and of fast cells the crop sees little.",
            "Sums of rain have a heavy tail: a few samples rule the RMSE.",
        ),
    )

    @classmethod
    def check_shapes(cls, options: Options, shapes: Sequence[tuple[int, ...] | None]) -> None:
        """Refuse a crop that none of the inputs has room for, and inputs without fields.

        Raises
        ------
        ConfigError
            If all sizes are known, and no field is large enough.
        """
        fields = [shape[-2:] for shape in shapes if shape is not None and len(shape) > 1]
        if None in shapes:
            return
        if not fields:
            raise ConfigError("deeprain sees fields, and there are none", where="inputs", fix="add them to inputs")
        most = max(-(-min(field) // options.patch) for field in fields)
        if options.cells != "dense" and options.crop > most:
            what = f"is {options.crop} cells, fields are {most} across"
            raise ConfigError(what, where="options.crop", fix="take a smaller crop or patch")

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.deeprain.network import RainNetwork

        return RainNetwork(site, options)
