"""A numerical weather prediction as it is, at the grid point nearest to a station."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import Fact, ModelCard, NoOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("nwp_nearest")
class NwpNearest(SiteModel):
    """The raw prediction at the nearest grid point."""

    threads = 1
    card: ClassVar[ModelCard] = ModelCard(
        title="Raw NWP",
        summary="What a numerical weather prediction says for each lead at the grid point nearest to the station: what"
        " skill is measured against.",
        task="site_forecast",
        citation="a reference in common use; one of the baselines of MeteoNet's course on wind at a station",
        facts=(
            Fact(text="In MeteoNet the prediction is AROME, its 00 UTC run, hourly to 24 h.", confidence="code"),
            Fact(text="Skill over AROME is 1 - RMSE / RMSE of AROME.", confidence="code"),
        ),
        limits=(
            "Its grid point may be at sea where the station is on land, or lower; nothing is corrected.",
            "It knows nothing of what the station has just measured.",
            "On MeteoNet's files leads are whole hours: its predictions are hourly, and nothing is interpolated. The"
            " course asks for every six minutes.",
        ),
    )

    @classmethod
    def forecaster(cls, options: NoOptions, site: Site) -> SiteForecaster:  # noqa: ARG003 - it has none
        """Return the network, which learns nothing."""
        from pipeline_lib.models.site_baselines import NearestPoint

        return NearestPoint(site)
