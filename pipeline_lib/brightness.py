"""Brightness temperature as the share of a range that networks work on: 0 where it is warmest, as under a clear sky.

Networks see 0 in gaps and beyond the border. So 0 is no cloud, as it is no rain elsewhere; were it the lowest
temperature, every frame would be surrounded by the coldest of clouds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline_lib.errors import ConfigError
from pipeline_lib.stored_scale import StoredScale

Field = TypeVar("Field", bound=Any)
"""A number, or an array of any library."""


@dataclass(frozen=True)
class TemperatureScale(StoredScale):
    """The range of temperatures that the shares 1 to 0 stand for.

    Parameters
    ----------
    lowest, highest
        Temperatures of the shares 1 and 0 [K].

    Raises
    ------
    ConfigError
        If the highest is not above the lowest.
    """

    prefix = "temperature_scale_"
    meaning = "temperatures"
    preparation = "temperature_frames"

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not self.highest > self.lowest:
            raise ConfigError(f"{self.highest:g} K is not above {self.lowest:g} K", fix="give the lower one first")

    @property
    def span(self) -> float:
        """Kelvin from share 0 to share 1: what an error of shares is multiplied by."""
        return self.highest - self.lowest

    def to_share(self, temperature: Field) -> Field:
        """Return the shares of temperatures [K], below 0 and above 1 for those outside the range."""
        share: Field = (-temperature + self.highest) / self.span
        return share
