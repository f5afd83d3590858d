"""Months and days as periods."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline_lib.data.periods import bounds, overlaps, period_of, periods_between
from pipeline_lib.errors import ConfigError

JUNE = date(2005, 6, 1)


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("2005-12", date(2005, 12, 1), date(2005, 12, 31)),
        ("2004-02", date(2004, 2, 1), date(2004, 2, 29)),
        ("2005-06-07", date(2005, 6, 7), date(2005, 6, 7)),
    ],
)
def test_bounds(period, first, last):
    assert bounds(period) == (first, last)


@pytest.mark.parametrize(
    "text", ["2005", "2005-13", "2005-02-30", "2005-6", "2005-06-1", "20050607", "2005-06x", "٢٠٠٥-06", ""]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(ConfigError, match="is not a period; write a month as YYYY-MM or a day as YYYY-MM-DD"):
        bounds(text)


def test_months_without_a_first_daily_day():
    assert periods_between(date(2004, 12, 31), date(2005, 2, 1)) == ["2004-12", "2005-01", "2005-02"]
    assert periods_between(date(2005, 2, 2), date(2005, 2, 1)) == []


def test_months_become_days():
    found = periods_between(date(2005, 4, 20), date(2005, 6, 3), JUNE)
    assert found == ["2005-04", "2005-05", "2005-06-01", "2005-06-02", "2005-06-03"]
    assert period_of(date(2005, 5, 31), JUNE) == "2005-05"
    assert period_of(JUNE, JUNE) == "2005-06-01"


def test_each_day_lies_in_the_one_period_that_overlaps_it():
    periods = periods_between(date(2005, 5, 1), date(2005, 6, 9), JUNE)
    for day in (date(2005, 5, 1), date(2005, 5, 31), JUNE, date(2005, 6, 9)):
        assert [p for p in periods if overlaps(p, day, day)] == [period_of(day, JUNE)]
