"""Brightness temperature as the share of a range that networks work on: 0 where it is warmest, as under a clear sky.

Networks see 0 in gaps and beyond the border. So 0 is no cloud, as it is no rain elsewhere; were it the lowest
temperature, every frame would be surrounded by the coldest of clouds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pipeline_lib.errors import ConfigError, DataError

Field = TypeVar("Field", bound=Any)
"""A number, or an array of any library."""


@dataclass(frozen=True)
class TemperatureScale:
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

    def to_temperature(self, share: Field) -> Field:
        """Return the temperatures [K] of shares."""
        temperature: Field = -share * self.span + self.highest
        return temperature

    def attributes(self) -> dict[str, float]:
        """Return the scale as attributes of a variable that holds shares."""
        return {f"temperature_scale_{name}": number for name, number in asdict(self).items()}

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any], *, where: str = "") -> TemperatureScale:
        """Return the scale that :meth:`attributes` wrote.

        Raises
        ------
        DataError
            If an attribute is missing or not a number.
        """
        names = [f"temperature_scale_{name}" for name in cls.__dataclass_fields__]
        try:
            return cls(*[float(attributes[name]) for name in names])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "there is no scale that turns the values into temperatures", where=where, fix=f"set {', '.join(names)}"
            ) from error
