"""A numerical weather prediction at the nearest grid point, corrected by ordinary least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("nwp_corrected")
class NwpCorrected(SiteModel):
    """A straight line from the prediction to the station, for each lead."""

    threads = 1

    class Options(BaseOptions):
        """Options of this model."""

        daily: bool = True
        """Whether a sine and a cosine of the time of day are added to the line."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Corrected NWP",
        summary="The prediction at the nearest grid point times a factor plus an offset, and a wave of the day, found"
        " by ordinary least squares for each lead.",
        task="site_forecast",
        citation="output statistics in common use; one of the baselines of MeteoNet's course on wind at a station",
        facts=(
            Fact(text="The course's baseline is AROME with its bias corrected by least squares.", confidence="code"),
        ),
        limits=(
            "The time of day among the predictors is ours; without it (daily: false) it is the plain line.",
            "Of two targets, each is corrected from its own component alone.",
        ),
    )

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network before its fit."""
        from pipeline_lib.models.site_baselines import CorrectedPoint

        return CorrectedPoint(site, daily=options.daily)
