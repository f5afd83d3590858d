"""Radar over a site and the rain that follows: the sum against the cells written out, the heights, the reflectivity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.simulations.site_rain import SiteRain

SMALL = {"length": 3, "side": 16, "borders": "open", "first": 2, "last": 5, "radius": (2.0, 2.0)}


def run(times, **options):
    return SiteRain.run(SiteRain.Options(**{**SMALL, **options}), times=times)


def rates(ds):
    return 10 ** ((ds.reflectivity.values - 10 * np.log10(200)) / 16)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), times=st.integers(1, 8))
def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning(seed, times):
    ds, longer = run(times, seed=seed), run(9, seed=seed)
    assert ds.identical(longer.isel(time=slice(times)))
    assert ds.reflectivity.dims == ("time", "level", "row", "column")
    assert dict(ds.sizes) == {"time": times, "level": 4, "row": 16, "column": 16}
    assert ds.age.values.tolist() == [n % 3 for n in range(times)]
    assert (ds.rain.values >= 0).all()
    assert (ds.reflectivity.values >= -10).all()


def test_the_sum_is_what_falls_on_the_middle_between_the_two_times():
    # The same cells, seen for long enough: the volumes of a longer sequence hold what the shorter one sums up.
    calm = {"growth": False, "speed": (1.0, 1.0), "seed": 4, "cells": 6.0, "floor": -60.0, "borders": "periodic"}
    short = run(3, **calm, length=3, first=2, last=5, depth=(1e9, 1e9))
    long = run(8, **calm, length=8, first=1, last=2, depth=(1e9, 1e9))
    np.testing.assert_array_equal(short.reflectivity, long.reflectivity[:3])
    fell = rates(long)[:, 0, 8, 8]
    expected = [np.trapezoid(fell[start + 2 : start + 6]) * 0.1 for start in range(3)]
    np.testing.assert_allclose(short.rain, expected, rtol=1e-6)
    assert len(set(expected)) == 3


def test_higher_up_there_is_less_of_a_cell_and_more_of_a_deep_one():
    ds = run(3, depth=(3.0, 3.0), floor=-60.0, peak=20.0, seed=2)
    above = rates(ds)
    for level, height in enumerate((0.5, 1.5, 2.5, 3.5)):
        np.testing.assert_allclose(
            above[:, level] / np.exp(-((height / 3) ** 2)),
            above[:, 0] / np.exp(-((0.5 / 3) ** 2)),
            rtol=1e-4,
            atol=1e-3,
        )


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="the sum is from 6 to 5"):
        SiteRain.Options(first=6, last=5)
