"""Rain rates, reflectivity and shares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.rain import Z_RELATIONS, RainScale
from tests.scales import HKO7

SCALES = st.builds(
    RainScale,
    st.floats(10, 500),
    st.floats(1.0, 2.5),
    st.floats(-30, 0).map(lambda dbz: round(dbz, 3)),
    st.floats(20, 80),
)


# By hand: (10 lg 58.53 + 10) / 70 = 27.673786 / 70 = 0.3953398, and 15.6 / 70 lg R = 0.2228571 lg R on top.
@pytest.mark.parametrize(
    ("rate", "share"),
    [(0.5, 0.3282531), (1.0, 0.3953398), (2.0, 0.4624265), (5.0, 0.5511102), (10.0, 0.6181969), (30.0, 0.7245268)],
)
def test_the_shares_of_the_thresholds_of_hko7(rate, share):
    assert HKO7.to_share(rate) == pytest.approx(share, abs=1e-6)
    assert HKO7.to_rate(share) == pytest.approx(rate, rel=1e-5)


def test_the_scale_of_hko7_is_its_formula():
    assert HKO7.to_dbz(0.5) == 70 * 0.5 - 10
    dbz = np.linspace(-9.9, 59.9, 100)
    rate = 10 ** ((dbz - 10 * math.log10(58.53)) / 15.6)
    np.testing.assert_allclose(HKO7.to_rate(HKO7.of_dbz(dbz)), rate, rtol=1e-12)


def test_marshall_palmer_at_forty_dbz():
    relation = Z_RELATIONS["marshall_palmer"]
    scale = RainScale(relation.a, relation.b, -10, 70)
    # Z = 10^4 = 200 R^1.6.
    assert scale.to_rate(scale.of_dbz(40.0)) == pytest.approx(50 ** (1 / 1.6), rel=1e-12)


@given(SCALES, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_shares_come_back(scale, shares):
    shares = np.array(shares)
    np.testing.assert_allclose(scale.to_share(scale.to_rate(shares)), shares, atol=1e-12)


@given(SCALES, st.floats(0, 1))
def test_rates_within_the_scale_come_back(scale, part):
    highest = scale.to_rate(1.0)
    rate = scale.lowest_rate * (highest / scale.lowest_rate) ** part
    assert scale.to_rate(scale.to_share(rate)) == pytest.approx(rate if rate > scale.lowest_rate else 0, rel=1e-9)


@given(SCALES)
def test_no_rain_is_exactly_nothing_and_so_is_rain_up_to_the_lowest_reflectivity(scale):
    rates = np.array([0.0, scale.lowest_rate / 2, scale.lowest_rate])
    assert (scale.to_share(rates) == 0).all()
    assert scale.to_rate(0.0) == 0
    assert scale.to_rate(-0.1) == 0
    assert 0 < scale.to_share(2 * scale.lowest_rate) < 1


def test_the_scale_ends_and_missing_values_stay_missing():
    assert HKO7.to_share(1e9) == 1
    assert HKO7.to_rate(1.5) == HKO7.to_rate(1.0)
    assert HKO7.of_dbz(-40.0) == 0
    assert math.isnan(HKO7.to_share(np.nan))
    assert math.isnan(HKO7.to_rate(np.nan))


@given(st.lists(st.floats(0, 500, width=32), min_size=1, max_size=30))
def test_tensors_give_what_arrays_give(rates):
    rates = np.array([*rates, np.nan])
    shares = HKO7.to_share(rates)
    tensor = HKO7.to_share(torch.from_numpy(rates))
    np.testing.assert_allclose(tensor.numpy(), shares, rtol=1e-13)
    np.testing.assert_allclose(HKO7.to_rate(tensor).numpy(), HKO7.to_rate(shares), rtol=1e-10)


def test_the_number_format_stays():
    rates = np.array([0.0, 1.0], np.float32)
    assert HKO7.to_share(rates).dtype == np.float32
    assert HKO7.to_share(torch.from_numpy(rates)).dtype == torch.float32


@given(SCALES)
def test_attributes_bring_the_scale_back(scale):
    assert RainScale.of_attributes(scale.attributes()) == scale


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match=r"radar\.zarr: there is no scale .* rain_frames, which writes rain_scale_a"):
        RainScale.of_attributes({"rain_scale_a": 200.0}, where="radar.zarr")
    with pytest.raises(DataError, match="rain_scale_b"):
        RainScale.of_attributes(HKO7.attributes() | {"rain_scale_b": "steep"})
    with pytest.raises(DataError, match="negative"):
        HKO7.to_share(np.array([1.0, -0.1]))
    with pytest.raises(DataError, match="negative"):
        HKO7.to_share(torch.tensor([1.0, -0.1]))
    for a, b, lowest, highest in [(0, 1.6, -10, 60), (200, 0, -10, 60), (200, 1.6, 60, -10), (200, math.nan, 0, 1)]:
        with pytest.raises(ConfigError, match="no scale of rain"):
            RainScale(a, b, lowest, highest)
