"""Periods: the calendar months in which data are fetched, stored, labelled and predicted."""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np

from pipeline_lib.errors import ConfigError

_MONTH = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$")


def period_of(day: date) -> str:
    """Return the period (``YYYY-MM``) that holds ``day``."""
    return f"{day:%Y-%m}"


def bounds(period: str) -> tuple[date, date]:
    """Return the first and the last day of a period.

    Raises
    ------
    ConfigError
        If ``period`` is not a month of the form ``YYYY-MM``.
    """
    match = _MONTH.match(period)
    if not match:
        raise ConfigError(f"{period!r} is not a period", fix="write a month as YYYY-MM")
    first = date(int(match[1]), int(match[2]), 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, following - timedelta(days=1)


def periods_between(start: date, end: date) -> list[str]:
    """Return the periods that hold the days from ``start`` to ``end``, both included."""
    found = []
    day = start.replace(day=1)
    while day <= end:
        found.append(period_of(day))
        day = bounds(period_of(day))[1] + timedelta(days=1)
    return found


def expected_times(start: date, end: date, step_hours: int) -> np.ndarray:
    """Return the time stamps (datetime64[ns]) every ``step_hours`` from the first to the last day, included."""
    first = np.datetime64(start, "ns")
    last = np.datetime64(end + timedelta(days=1), "ns")
    return np.arange(first, last, np.timedelta64(step_hours, "h"))
