"""An LSTM over the series of a station and its neighbours."""

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


@MODELS.register("station_lstm")
class StationLSTM(SiteModel):
    """Recurrent cells over what stations measured."""

    threads = 2

    class Options(BaseOptions):
        """Options of the network."""

        width: Width = 64
        """Units of a layer of the LSTM."""
        layers: int = Field(1, gt=0)
        """Layers of the LSTM."""
        hidden: Width = 64
        """Units of the layer before the answer."""
        head: Literal["value", "gaussian"] = "value"
        """``value``, or ``gaussian``: mean, standard deviations and correlation of two components."""

    card: ClassVar[ModelCard] = ModelCard(
        title="LSTM of stations",
        summary="An LSTM reads the past of the station and its neighbours; from its last state and the time of day a"
        " layer answers for all leads, as a departure from the last value.",
        task="site_forecast",
        citation="our own design; MeteoNet's course on wind at a station names an LSTM and prescribes no network",
        facts=(Fact(text="MeteoNet's course prescribes no network and gives no scores.", confidence="code"),),
        limits=(
            "All sizes are ours, as are the time of day and the departure from the last value.",
            "A forecast needs all stations that it sees: a gap in one of them stops it.",
        ),
    )

    @classmethod
    def forecaster(cls, options: Options, site: Site) -> SiteForecaster:
        """Return the network with fresh weights."""
        from pipeline_lib.models.site_networks import StationLstm

        return StationLstm(site, **options.model_dump())
