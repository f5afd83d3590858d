"""Scores at each lead of a forecast, averaged over leads: what metrics of several tasks share."""

from __future__ import annotations

import re
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import Counts, Direction

Values = NDArray[np.float64]
LEAD = re.compile(r"(?:^|_)lead_([1-9][0-9]*)$")
"""How the name of a score at one lead ends."""


class LeadMetric:
    """A score at each lead, averaged over leads, or the score at one lead."""

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None
    lead: ClassVar[int | None] = None
    """The only lead that it looks at, if there is one."""

    score: ClassVar[staticmethod[[Counts], Values]]
    """Makes the score of counts."""

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts by the names that the score knows them by."""
        return counts

    @classmethod
    def by_lead(cls, counts: Counts) -> Values:
        """Return the score (resample, lead)."""
        return cls.score(cls.needed(counts))

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample, NaN if the score is undefined at one of the leads that it is a mean of.

        Raises
        ------
        ConfigError
            If forecasts are shorter than the lead.
        """
        values = cls.by_lead(counts)
        if cls.lead is None:
            return np.asarray(values.mean(axis=-1))
        if values.shape[-1] < cls.lead:
            raise ConfigError(f"needs {cls.lead} leads, there are {values.shape[-1]}", where="scoring.metrics")
        return np.asarray(values[..., cls.lead - 1])

    @classmethod
    def at_lead(cls, argument: str) -> type[Self]:
        """Return this metric at the lead that an argument such as ``lead_3`` names.

        Raises
        ------
        ConfigError
            If it names none.
        """
        found = LEAD.fullmatch(argument)
        if found is None:
            raise ConfigError(f"{argument!r} is no lead", fix="name it as in site_rmse_lead_3")
        title = (cls.__doc__ or "").splitlines()[0].rstrip(".")
        lead = int(found.group(1))
        return type(f"{cls.__name__}_{argument}", (cls,), {"__doc__": f"{title}, lead {lead}.", "lead": lead})
