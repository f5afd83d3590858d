"""Scores at each lead of a forecast, averaged over leads: what metrics of several tasks share."""

from __future__ import annotations

import re
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import Counts, Metric, first_line, member

Values = NDArray[np.float64]
LEAD = re.compile(r"(?:^|_)lead_([1-9][0-9]*)$")
"""How the name of a score at one lead ends."""
Arguments = tuple[str, dict[str, object]]
"""Words for a title, and attributes of the member of a family."""


class LeadMetric(Metric):
    """A score at each lead, averaged over leads, or the score at one lead."""

    lead: ClassVar[int | None] = None
    """The only lead that it looks at, if there is one."""
    leads_option: ClassVar[str] = "training.leads"
    """Where an experiment says how long forecasts are."""
    of_truth: ClassVar[bool] = False
    """Whether it is made of the truth alone, and so the same for all competitors."""

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
    def perfect(cls, counts: Counts) -> Values | None:  # noqa: ARG003 - of most there is none
        """Return the score (resample, lead) of a perfect forecast, where it is not the best value there is."""
        return None

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
            raise ConfigError(
                f"needs forecasts of {cls.lead} steps, there are {values.shape[-1]}",
                where="scoring.metrics",
                fix=f"raise {cls.leads_option} or leave the metric out",
            )
        return np.asarray(values[..., cls.lead - 1])

    @classmethod
    def member(cls, argument: str) -> type[Self]:
        """Return this metric at the lead that an argument such as ``lead_3`` ends in, or for what stands before it.

        Raises
        ------
        ConfigError
            If the argument is not what it needs.
        """
        found = LEAD.search(argument)
        words, attributes = cls.with_arguments(argument[: found.start()] if found else argument)
        if found is None and not words:
            raise _no_lead(argument)
        title = first_line(cls).rstrip(".").replace("*", words)
        if found is None:
            return member(cls, argument, title=f"{title}.", **attributes)
        lead = int(found.group(1))
        return member(cls, argument, title=f"{title}, lead {lead}.", lead=lead, **attributes)

    @classmethod
    def with_arguments(cls, text: str) -> Arguments:
        """Return the words in place of the title's star, and the attributes, of what stands before the lead."""
        if text:
            raise _no_lead(text)
        return "", {}


def _no_lead(text: str) -> ConfigError:
    return ConfigError(f"{text!r} is no lead", fix="end the name in _lead_ and a number from 1 on")
