"""Linear regression on all that is seen: the baseline of DeepRain, Kim et al. (2017), arXiv:1711.02316."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("linear_regression")
class LinearRegression(SiteModel):
    """Ridge regression on series, means of fields over blocks, and the nearest point of a prediction."""

    threads = 4

    class Options(BaseOptions):
        """Options of this model."""

        blocks: int = Field(4, gt=0)
        """Blocks along a side of a field; the regression sees their means."""
        penalty: float = Field(0.01, ge=0)
        """Of squared weights of normalised values, per window; 0 is ordinary least squares."""
        least: float | None = None
        """What a forecast is at least, in the unit of the target; null if it may be anything. Of rain 0."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Linear regression",
        summary="A linear function of everything that is seen, fields in means over blocks and a prediction at the"
        " nearest point as well, found by least squares with a penalty.",
        task="site_forecast",
        citation="as in Kim, S., Hong, S., Joh, M., Song, S.: DeepRain: ConvLSTM Network for Precipitation Prediction"
        " using Multichannel Radar Data (2017), arXiv:1711.02316",
        year=2017,
        arxiv="1711.02316",
        facts=(
            Fact(text="It is the baseline that DeepRain's error is 23.0 % below.", confidence="slides"),
            Fact(text="Which values the published regression sees was not found.", confidence="unknown"),
        ),
        limits=(
            "Means over blocks and the penalty are ours: on all 612,060 values of a CIKM sample a regression is neither"
            " quick nor determined.",
            "It forecasts less than no rain unless `least` is set.",
        ),
    )

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network before its fit.

        Raises
        ------
        ConfigError
            If fields have fewer cells than there are to be blocks.
        """
        from pipeline_lib.models.site_baselines import RidgeRegression

        for fields in (site.fields, site.ahead):
            if fields.values and options.blocks**2 > fields.rows * fields.columns:
                what = f"{options.blocks} along each side are more than the {fields.rows} x {fields.columns} cells"
                raise ConfigError(f"{what} of a field", where="linear_regression.blocks", fix="take fewer")
        return RidgeRegression(site, **options.model_dump())
