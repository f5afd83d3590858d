"""Persistence of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline_lib.models.base import ModelCard, NoOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("persistence_series")
class PersistenceSeries(SiteModel):
    """The last value at the site, at every lead."""

    threads = 1
    card: ClassVar[ModelCard] = ModelCard(
        title="Persistence",
        summary="Every forecast is the last value that the station measured. What any forecast of a few minutes has to"
        " beat.",
        task="site_forecast",
        citation="a reference in common use; one of the baselines of MeteoNet's course on wind at a station",
        limits=("Nothing changes: it knows neither the time of day nor the weather that comes.",),
    )

    @classmethod
    def forecaster(cls, options: NoOptions, site: Site) -> SiteForecaster:  # noqa: ARG003 - it has none
        """Return the network, which learns nothing."""
        from pipeline_lib.models.site_baselines import LastValue

        return LastValue(site)
