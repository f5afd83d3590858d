"""Periods: months, or from a source's ``daily_from`` on days, in which data are fetched, stored and predicted."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import numpy as np

from pipeline_lib.errors import ConfigError

_HOUR_NS = 3600 * 10**9
PERIOD = r"\d{4}-\d{2}(?:-\d{2})?"
"""Regular expression of a period's name; :func:`bounds` says whether there is such a month or day."""


def period_of(day: date, daily_from: date | None = None) -> str:
    """Return the period that holds ``day``: a month (``YYYY-MM``), from ``daily_from`` on a day (``YYYY-MM-DD``)."""
    return day.isoformat() if daily_from is not None and day >= daily_from else f"{day:%Y-%m}"


def bounds(period: str) -> tuple[date, date]:
    """Return the first and the last day of a period.

    Raises
    ------
    ConfigError
        If ``period`` is neither a month of the form ``YYYY-MM`` nor a day of the form ``YYYY-MM-DD``.
    """
    whole_month = len(period) == len("YYYY-MM")
    try:
        if not re.fullmatch(PERIOD, period, re.ASCII):
            raise ValueError(period)
        first = date.fromisoformat(f"{period}-01" if whole_month else period)
    except ValueError as error:
        fix = "write a month as YYYY-MM or a day as YYYY-MM-DD"
        raise ConfigError(f"{period!r} is not a period", fix=fix) from error
    if not whole_month:
        return first, first
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, following - timedelta(days=1)


def day_of(moment: date) -> date:
    """Return the day of a day or of a moment."""
    return moment.date() if isinstance(moment, datetime) else moment


def overlaps(period: str, start: date, end: date) -> bool:
    """Whether a period holds a day from ``start`` to ``end``, both included."""
    first, last = bounds(period)
    return first <= end and last >= start


def periods_between(start: date, end: date, daily_from: date | None = None) -> list[str]:
    """Return the periods that hold the days from ``start`` to ``end``, both included."""
    found = []
    day = start
    while day <= end:
        found.append(period_of(day, daily_from))
        day = bounds(found[-1])[1] + timedelta(days=1)
    return found


def expected_times(start: date, end: date, step_hours: float) -> np.ndarray:
    """Return the time stamps (datetime64[ns]) every ``step_hours`` from the first to the last day, included."""
    first = np.datetime64(start, "ns")
    last = np.datetime64(end + timedelta(days=1), "ns")
    return np.arange(first, last, np.timedelta64(round(step_hours * _HOUR_NS), "ns"))
