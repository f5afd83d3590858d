"""What models that forecast at a site have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from pipeline_lib.models.base import NetworkModel
from pipeline_lib.options import Options

if TYPE_CHECKING:
    from pipeline_lib.learning.site_forecaster import SiteForecaster

Scale = tuple[float, float]
"""Mean and standard deviation over the training days, in the unit of the values."""

Cell = tuple[int, int] | Literal["middle", "unknown"]
"""Row and column of a cell: the middle of fields around a site that is no station, unknown if data do not tell."""


class Fields(Options):
    """Fields beside the series, on one grid."""

    rows: int = 0
    """Rows of the grid; none without fields."""
    columns: int = 0
    """Columns of the grid."""
    scales: tuple[Scale, ...] = ()
    """Of each channel: of each variable, or of each level of it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        return len(self.scales), self.rows, self.columns

    @property
    def values(self) -> int:
        """Values at one time."""
        return math.prod(self.shape)


class Site(Options):
    """What a model sees and what it is to forecast."""

    seen: int
    """Times of the past."""
    leads: int
    """Values to forecast, one time step apart; 1 if the value is accumulated already."""
    accumulated: bool = False
    """Whether the only value to forecast belongs to the time of the start."""
    targets: tuple[Scale, ...]
    """Of each variable to forecast."""
    series: tuple[Scale, ...] = ()
    """Of each series that is seen: those of the variables to forecast first."""
    fields: Fields = Fields()
    """Fields that are seen at the times of the past."""
    ahead: Fields = Fields()
    """Fields of a numerical weather prediction, known at the times of the past and at the leads."""
    point: tuple[int, int] | None = None
    """Row and column of the prediction's grid point nearest to the site."""
    cell: Cell = "middle"
    """Where in the fields of the past the site is."""
    speed: bool = False
    """Whether what is forecast is the length of the vector of the prediction's first two channels."""

    @property
    def centre(self) -> tuple[int, int] | None:
        """Row and column of the cell of the fields of the past that the site is in; none if unknown."""
        if self.cell == "unknown":
            return None
        return (self.fields.rows // 2, self.fields.columns // 2) if self.cell == "middle" else self.cell

    @property
    def steps(self) -> int:
        """Times at which the prediction is known."""
        return self.seen if self.accumulated else self.seen + self.leads

    @property
    def values(self) -> int:
        """Values of all that is seen for one forecast."""
        return 2 + self.seen * (len(self.series) + self.fields.values) + self.steps * self.ahead.values


class SiteModel(NetworkModel):
    """A model that forecasts at a site by a :class:`~pipeline_lib.learning.site_forecaster.SiteForecaster`.

    A method in which nothing is learned, such as the last value, is a network without parameters.
    """

    @classmethod
    def build(cls, options: Any, **sizes: Any) -> SiteForecaster:  # noqa: ANN401 - own Options; what `Site` holds
        """Return a freshly initialised network for a site that ``sizes`` describe."""
        return cls.forecaster(options, Site.model_validate(sizes))

    @classmethod
    @abstractmethod
    def forecaster(cls, options: Any, site: Site) -> SiteForecaster:  # noqa: ANN401 - own Options
        """Return a freshly initialised network.

        Parameters
        ----------
        options
            An instance of this class's ``Options``.
        site
            What it sees and what it is to forecast.

        Raises
        ------
        ConfigError
            If it cannot forecast that from this.
        """
