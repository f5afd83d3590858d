"""Rain rate as a number from 0 to 1: the share of a range of reflectivity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RainScale:
    """A Z-R relation and a range of reflectivity.

    Attributes
    ----------
    a, b
        Z = a R^b, with Z in mm6 m-3 and R in mm/h.
    lowest_dbz, highest_dbz
        Reflectivities that become 0 and 1.
    """

    a: float
    b: float
    lowest_dbz: float
    highest_dbz: float

    def to_share(self, rate: Any) -> Any:  # noqa: ANN401 - numpy, xarray or a tensor-like array
        """Return dBZ of a rain rate in mm/h as a share of the range, within [0, 1]; NaN stays NaN."""
        with np.errstate(divide="ignore"):
            dbz = 10.0 * np.log10(self.a) + 10.0 * self.b * np.log10(rate)
        return ((dbz - self.lowest_dbz) / (self.highest_dbz - self.lowest_dbz)).clip(0.0, 1.0)

    def attributes(self) -> dict[str, float]:
        """Return the numbers as attributes of a variable."""
        return dict(vars(self))
