"""Convolutions over the fields of a numerical weather prediction around a station."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard
from pipeline_lib.models.frame_options import Width
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Site, SiteModel
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster


@MODELS.register("nwp_cnn")
class NwpCNN(SiteModel):
    """A CNN on the box of the prediction."""

    threads = 4

    class Options(BaseOptions):
        """Options of the network."""

        widths: tuple[Width, ...] = Field((8, 16, 32), min_length=1)
        """Maps of the convolutions, each of which halves the grid."""
        code: Width = 16
        """Values that are left of the box at each lead."""
        hidden: Width = 64
        """Units of the layer before the answer."""
        head: Literal["value", "gaussian"] = "value"
        """``value``, or ``gaussian``: mean, standard deviations and correlation of two components."""

    card: ClassVar[ModelCard] = ModelCard(
        title="CNN of NWP",
        summary="The same convolutions over the predicted fields around the station at each lead; from their codes and"
        " the time of day a layer answers for all leads.",
        task="site_forecast",
        citation="our own design; MeteoNet's course on wind at a station names a CNN on maps and prescribes no network",
        facts=(
            Fact(
                text="The course's box is 42 to 45 N, 4 to 8 E of AROME, 120 x 159 points of mean sea-level pressure,"
                " wind, temperature and humidity.",
                confidence="code",
            ),
        ),
        limits=(
            "All sizes are ours.",
            "Means over the whole box are taken at the end: that the station is at one place of it, the network cannot"
            " tell. It knows nothing of what the station has just measured either.",
            "On MeteoNet's files leads are whole hours: its predictions are hourly, and nothing is interpolated. The"
            " course asks for every six minutes.",
        ),
    )

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.site_networks import NwpCnn

        return NwpCnn(site, **options.model_dump())
