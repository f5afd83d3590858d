"""What holds for all sums over frames: pooling, leading axes, masks, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import ScoreError
from pipeline_lib.skill.balanced import balanced_errors
from pipeline_lib.skill.contingency import contingency
from pipeline_lib.skill.continuous import cross_entropy_sums, error_sums, moment_sums
from pipeline_lib.skill.neighbourhood import fraction_sums
from pipeline_lib.skill.spectra import radial_spectrum
from tests.scales import HKO7
from tests.skill.cases import cases, draw, pooled

THRESHOLDS = (0.2, 0.5, 0.9)


def cross_entropy_inside(forecast, truth, valid=None):
    """The forecasts of the cases reach 0 and 1, where a cross entropy is infinite."""
    return cross_entropy_sums(0.1 + 0.8 * np.asarray(forecast), truth, valid)


CELL_BY_CELL = {
    "contingency": lambda f, t, v=None: contingency(f, t, THRESHOLDS, v),
    "balanced": lambda f, t, v=None: balanced_errors(f, t, HKO7, v),
    "errors": error_sums,
    "moments": moment_sums,
    "cross entropy": cross_entropy_inside,
}
ALL = CELL_BY_CELL | {"fractions": lambda f, t, v=None: fraction_sums(f, t, THRESHOLDS, (1, 3), v)}
all_sums = pytest.mark.parametrize("sums", ALL.values(), ids=ALL)
cell_by_cell = pytest.mark.parametrize("sums", CELL_BY_CELL.values(), ids=CELL_BY_CELL)


def close(got, wanted):
    assert got.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-12, atol=1e-12, err_msg=name)


@cell_by_cell
@settings(max_examples=20)
@given(case=cases)
def test_pooled_frames_are_one_large_frame(sums, case):
    forecast, truth, valid = case
    rows = (-1, truth.shape[-1])
    whole = sums(forecast.reshape(rows), truth.reshape(rows), valid.reshape(rows))
    parts = pooled(sums(forecast, truth, valid))
    if "frames" in whole:
        assert whole.pop("frames") == valid.any()
        assert parts.pop("frames") == sum(mask.any() for mask in valid)
    close(parts, whole)


@cell_by_cell
@settings(max_examples=20)
@given(case=cases)
def test_a_mask_takes_cells_out(sums, case):
    forecast, truth, valid = (part[0] for part in case)
    if valid.any():
        close(sums(forecast, truth, valid), sums(forecast[valid][None], truth[valid][None]))


@all_sums
@settings(max_examples=20)
@given(case=cases, junk=st.sampled_from([np.nan, np.inf, 0.5, 1e9]))
def test_what_lies_outside_the_mask_does_not_matter(sums, case, junk):
    forecast, truth, valid = case
    inside = sums(np.where(valid, forecast, 0), np.where(valid, truth, 0), valid)
    close(sums(np.where(valid, forecast, junk), np.where(valid, truth, junk), valid), inside)


@all_sums
def test_axes_in_front_stay_and_one_mask_serves_all_frames(sums):
    forecast, truth, valid = draw(1, (2, 3, 6, 5))
    valid = valid[0, 0]
    together = sums(forecast, truth, valid)
    for i in range(2):
        for j in range(3):
            close({name: values[i, j] for name, values in together.items()}, sums(forecast[i, j], truth[i, j], valid))


@all_sums
def test_sums_cannot_be_had_of_what_does_not_fit(sums):
    forecast, truth, valid = draw(2, (2, 4, 5), valid=0.5)
    broken = forecast.copy()
    first = tuple(np.argwhere(valid)[0])
    broken[first] = np.nan
    with pytest.raises(ScoreError, match="forecast frames: 1 valid cells have no finite value"):
        sums(broken, truth, valid)
    broken = truth.copy()
    broken[first] = np.inf
    with pytest.raises(ScoreError, match="true frames: 1 valid cells have no finite value"):
        sums(forecast, broken, valid)
    with pytest.raises(ScoreError, match="differ in shape"):
        sums(forecast[:, 1:], truth)
    with pytest.raises(ScoreError, match="boolean"):
        sums(forecast, truth, valid.astype(float))
    with pytest.raises(ScoreError, match="does not fit"):
        sums(forecast, truth, valid[:, 1:])
    with pytest.raises(ScoreError, match="no frames"):
        sums(forecast[0, 0], truth[0, 0])


def test_a_spectrum_refuses_the_same():
    frames = np.zeros((2, 4, 5))
    frames[1, 2, 2] = np.nan
    with pytest.raises(ScoreError, match="1 valid cells"):
        radial_spectrum(frames)
    assert np.isfinite(radial_spectrum(frames, ~np.isnan(frames)).power).all()


def test_pooling_over_dates_leaves_the_leads():
    forecast, truth, _ = draw(3, (4, 2, 5, 5))
    sums = contingency(forecast, truth, THRESHOLDS)
    assert pooled(sums)["hits"].shape == (2, 3)
    assert pooled(sums, axis=(0, 1))["hits"].shape == (3,)
