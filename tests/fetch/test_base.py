"""Addresses with placeholders, names of files, logins in texts."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.fetch.base import FetchRequest, check_placeholders, expand, file_name, redact


def request(start: date, end: date | None) -> FetchRequest:
    return FetchRequest(source="s", part="2005-04", start=start, end=end, variables=("adt",))


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 400))
def test_one_address_per_day_as_pandas_counts_days(start: date, days: int) -> None:
    end = start + timedelta(days=days)
    expected = [f"{day:%Y/%m/%d}" for day in pd.date_range(start, end)]
    assert expand("{year}/{month}/{day}", request(start, end)) == expected


def test_one_address_for_a_month() -> None:
    assert expand("a/{year}-{month}/{part}.nc", request(date(2005, 4, 1), None)) == ["a/2005-04/2005-04.nc"]


@pytest.mark.parametrize("template", ["{hour}", "{}", "{0}", "{year!r}", "{year:>9}", "{", "a}b", "{part[0]}"])
def test_other_words_in_braces_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"not known|do not match"):
        check_placeholders(template)


@pytest.mark.parametrize("path", ["", "/", "..", "a/..", "a/b\n.nc", "a\x00"])
def test_unusable_names_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        file_name(path)


def test_logins_are_taken_out() -> None:
    assert redact("see http://a:b@host/x and https://t@h") == "see http://***@host/x and https://***@h"
    assert redact("http://host/a@b stays") == "http://host/a@b stays"
