"""A hybrid of stations and numerical weather prediction, with the nearest grid point put in.

After the design of Marcille et al. (2024), Artificial Intelligence for the Earth Systems 3, as recalled.
"""

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


@MODELS.register("station_nwp")
class StationNWP(SiteModel):
    """Encoders of stations and prediction, and the nearest grid point beside them."""

    threads = 4

    class Options(BaseOptions):
        """Options of the network."""

        widths: tuple[Width, ...] = Field((8, 16, 32), min_length=1)
        """Maps of the convolutions over the prediction's fields, each of which halves the grid."""
        code: Width = 8
        """Values that are left of the box at each time."""
        station_width: Width = 32
        """Maps of the convolutions over time, and values that are left of the stations' past."""
        hidden: Width = 128
        """Units of the layer before the answer."""
        head: Literal["value", "gaussian"] = "value"
        """``value``, or ``gaussian``: mean, standard deviations and correlation of two components."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Stations and NWP",
        summary="Convolutions over time read what stations measured, convolutions over the plane the predicted fields;"
        " beside their codes stands the prediction at the nearest grid point, from which the forecast departs.",
        task="site_forecast",
        citation="after Marcille et al. (2024), Artificial Intelligence for the Earth Systems 3, as recalled, for"
        " another task; a relative is Baggio and Muzy (2025), arXiv:2503.18797",
        year=2024,
        facts=(
            Fact(
                text="Marcille et al.: convolutional encoders for stations and AROME, the closest grid point injected;"
                " a bivariate Gaussian of (u, v) by five outputs, trained on its likelihood; 1 to 6 h ahead. Scores"
                " were not retrieved.",
                confidence="memory",
            ),
            Fact(
                text="Baggio and Muzy: RMSE up to 30 % below AROME's, from stations and predictions, 1 to 6 h ahead.",
                confidence="memory",
            ),
            Fact(text="MeteoNet's course prescribes no network and gives no scores.", confidence="code"),
        ),
        limits=(
            "All sizes are ours, as are the departure from the nearest grid point's value and the linear path beside"
            " the layers.",
            "The variant with a normalising flow is not here.",
            "A forecast needs all stations that it sees: a gap in one of them stops it.",
            "On MeteoNet's files leads are whole hours: its predictions are hourly, and nothing is interpolated. The"
            " course asks for every six minutes.",
        ),
    )

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.site_networks import StationNwp

        return StationNwp(site, **options.model_dump())
