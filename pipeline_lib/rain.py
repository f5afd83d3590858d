"""Rain as radars see it: reflectivity, rain rate, and the share of a range of reflectivity that networks work on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.stored_scale import StoredScale

if TYPE_CHECKING:
    from torch import Tensor

Field = TypeVar("Field", float, NDArray[Any], "Tensor")
"""A number, an array or a tensor; what comes out is of the same kind as what goes in."""


class ZRelation(NamedTuple):
    """Reflectivity from rain rate, ``Z = a R^b`` with Z in mm6 m-3 and R in mm/h."""

    a: float
    b: float
    source: str
    confidence: Literal["code", "memory"]
    """How sure the two numbers are: read in public code or documentation, recalled only."""


ZName = Literal["marshall_palmer", "meteonet", "hko7"]
"""Names of published relations."""
Z_RELATIONS: Mapping[ZName, ZRelation] = {
    "marshall_palmer": ZRelation(200.0, 1.6, "Marshall and Palmer (1948), J. Meteorol. 5, 165-166", "memory"),
    "hko7": ZRelation(58.53, 1.56, "Shi et al. (2017), arXiv:1706.03458, and its public code", "code"),
    "meteonet": ZRelation(200.0, 1.6, "the producer of the rain rates of MeteoNet, in its documentation", "code"),
}
"""Published relations between reflectivity and rain rate."""


NOISE_BELOW = "noise_below"
"""Attribute of a variable of shares: those below it that are not 0 are noise, which networks see and nobody is asked
about."""


@dataclass(frozen=True)
class RainScale(StoredScale):
    """A relation between reflectivity and rain rate, and the range of reflectivity that the share 0 to 1 stands for.

    The share is ``(dBZ - lowest) / (highest - lowest)`` with ``dBZ = 10 log10 a + 10 b log10 R`` (Shi et al. 2017,
    arXiv:1706.03458). No rain has no reflectivity in dB; it is the share 0. So is rain up to :attr:`lowest_rate`, and
    the share 0 is no rain: less than 0.02 mm/h are lost on the scale of HKO-7. Rain beyond the highest reflectivity has
    the share 1. Missing values (NaN) stay missing.

    Parameters
    ----------
    a, b
        Of the relation Z = a R^b, Z in mm6 m-3 and R in mm/h.
    lowest_dbz, highest_dbz
        Reflectivity of the shares 0 and 1 [dBZ].

    Raises
    ------
    ConfigError
        If the relation or the range is not a rising one.
    """

    prefix = "rain_scale_"
    meaning = "rain rates"
    preparation = "rain_frames"

    a: float
    b: float
    lowest_dbz: float
    highest_dbz: float

    def __post_init__(self) -> None:
        rising = self.a > 0 and self.b > 0 and self.highest_dbz > self.lowest_dbz
        if not (rising and all(math.isfinite(number) for number in asdict(self).values())):
            raise ConfigError(
                f"{self} is no scale of rain", fix="give a and b above 0 and a highest_dbz above lowest_dbz"
            )

    @property
    def lowest_rate(self) -> float:
        """The rain rate of the lowest reflectivity [mm/h]: up to here rain counts as none."""
        return float(self._rate(self.lowest_dbz))

    @property
    def highest_rate(self) -> float:
        """The rain rate of the highest reflectivity [mm/h]: all rain beyond counts as this one."""
        return float(self._rate(self.highest_dbz))

    def require_rates(self, rates: Iterable[float], *, what: str, where: str = "") -> None:
        """Refuse rain rates [mm/h] that shares cannot be told apart by: all shares would lie on one side of them.

        Raises
        ------
        ConfigError
            Naming the first that is not above :attr:`lowest_rate` and below :attr:`highest_rate`, and ``what`` asks.
        """
        for rate in rates:
            if not self.lowest_rate < rate < self.highest_rate:
                raise ConfigError(
                    f"{what} asks where it rains {rate:g} mm/h or more, and the scale of the frames ends at"
                    f" {self.lowest_rate:.3g} and {self.highest_rate:.3g} mm/h",
                    where=where,
                    fix="choose rates between these, or other limits of dBZ in the source's preparation",
                )

    def to_share(self, rate: Field) -> Field:
        """Return the share of rain rates [mm/h].

        Raises
        ------
        DataError
            If a rate is negative.
        """
        library = _library(rate)
        wet = library.clip(refuse_negative(rate), self.lowest_rate, None)
        dbz = 10 * math.log10(self.a) + 10 * self.b * library.log10(wet)
        share: Field = library.where(rate <= self.lowest_rate, 0.0, self.of_dbz(dbz))[()]
        return share

    def to_rate(self, share: Field) -> Field:
        """Return the rain rates [mm/h] of shares; those below 0 and above 1 count as 0 and 1."""
        library = _library(share)
        wet = self._rate(self.to_dbz(library.clip(share, 0.0, 1.0)))
        rate: Field = library.where(share <= 0, 0.0, wet)[()]
        return rate

    def to_dbz(self, share: Field) -> Field:
        """Return the reflectivity [dBZ] of shares; that of no rain is the lowest of the scale."""
        return self.lowest_dbz + (self.highest_dbz - self.lowest_dbz) * share

    def of_dbz(self, dbz: Field) -> Field:
        """Return the share of reflectivities [dBZ], cut to 0 and 1 outside the scale."""
        unbounded = (dbz - self.lowest_dbz) / (self.highest_dbz - self.lowest_dbz)
        share: Field = _library(dbz).clip(unbounded, 0.0, 1.0)
        return share

    def _rate(self, dbz: Any) -> Any:  # noqa: ANN401 - any Field, of which mypy cannot raise powers
        return 10 ** ((dbz - 10 * math.log10(self.a)) / (10 * self.b))


def refuse_negative(rate: Field) -> Field:
    """Return rain rates; raise :class:`DataError` if one is negative."""
    if bool(_library(rate).any(rate < 0)):
        raise DataError("a rain rate is negative", fix="mark missing rates as NaN and set noise below 0 to 0")
    return rate


def _library(values: Any) -> Any:  # noqa: ANN401 - a Field; a module with the functions of numpy
    if isinstance(values, np.ndarray | np.generic | float | int):
        return np
    import torch

    return torch
