"""The fractions skill score against loops, SciPy's filter, the package `scores` and what Roberts and Lean derive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from scores.spatial import fss_2d_single_field

from pipeline_lib.errors import ConfigError
from pipeline_lib.skill.contingency import contingency, csi
from pipeline_lib.skill.neighbourhood import fraction_sums, fss
from tests.skill.cases import cases, draw, pooled

THRESHOLDS = (0.3, 0.6)
WINDOWS = (1, 3, 5, 99)


def by_hand(forecast, truth, threshold, window, valid):
    rows, columns = truth.shape
    difference = squares = 0.0
    for row, column in np.argwhere(valid):
        fractions = []
        for field in (forecast, truth):
            events = 0
            for i in range(row - window // 2, row + window // 2 + 1):
                for j in range(column - window // 2, column + window // 2 + 1):
                    if 0 <= i < rows and 0 <= j < columns and valid[i, j]:
                        events += field[i, j] >= threshold
            fractions.append(events / window**2)
        difference += (fractions[0] - fractions[1]) ** 2
        squares += fractions[0] ** 2 + fractions[1] ** 2
    return difference, squares


@settings(max_examples=15)
@given(cases, st.sampled_from([1, 3, 5, 11]))
def test_sums_are_those_of_a_loop(case, window):
    sums = fraction_sums(case[0], case[1], THRESHOLDS, (window,), case[2])
    for frame, parts in enumerate(zip(*case, strict=True)):
        for i, threshold in enumerate(THRESHOLDS):
            wanted = by_hand(parts[0], parts[1], threshold, window, parts[2])
            got = sums["fraction_differences"][frame, i, 0], sums["fraction_squares"][frame, i, 0]
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5, 9]))
def test_fractions_are_those_of_a_filter_with_nothing_outside(seed, window):
    forecast, truth, _ = draw(seed, (12, 14))
    F, O = (uniform_filter((x >= 0.3).astype(float), window, mode="constant") for x in (forecast, truth))  # noqa: E741
    sums = fraction_sums(forecast, truth, (0.3,), (window,))
    assert sums["fraction_differences"].item() == pytest.approx(((F - O) ** 2).sum(), abs=1e-10)
    assert sums["fraction_squares"].item() == pytest.approx((F**2 + O**2).sum(), rel=1e-10)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 7]))
def test_the_score_is_that_of_another_library_on_a_frame_with_a_dry_margin(seed, window):
    forecast, truth, _ = draw(seed, (12, 14))
    # The other library takes the windows that fit, so the margin has to be in its frames.
    padded = [np.pad(x, window // 2, constant_values=-1.0) for x in (forecast, truth)]
    wanted = fss_2d_single_field(
        *padded, event_threshold=0.3, window_size=(window, window), threshold_operator=np.greater_equal
    )
    assert fss(fraction_sums(forecast, truth, (0.3,), (window,))).item() == pytest.approx(float(wanted), rel=1e-10)


@given(cases)
def test_windows_beyond_the_domain_leave_the_frequencies(case):
    forecast, truth, valid = case
    score = fss(fraction_sums(forecast, truth, THRESHOLDS, (99,), valid))[..., 0]
    f, o = (((x[..., None] >= THRESHOLDS) & valid[..., None]).sum((1, 2)) for x in (forecast, truth))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(score, 2 * f * o / (f**2 + o**2), rtol=1e-10)


@given(cases)
def test_a_perfect_forecast_scores_one_at_all_scales(case):
    _, truth, valid = case
    score = fss(fraction_sums(truth, truth, THRESHOLDS, WINDOWS, valid))
    happens = ((truth[..., None] >= THRESHOLDS) & valid[..., None]).any((1, 2))[..., None]
    np.testing.assert_array_equal(score, np.where(happens, np.ones(len(WINDOWS)), np.nan))


@given(cases)
def test_a_window_of_one_cell_is_the_dice_of_the_events(case):
    index = csi(pooled(contingency(case[0], case[1], THRESHOLDS, case[2])))
    score = fss(pooled(fraction_sums(case[0], case[1], THRESHOLDS, (1,), case[2])))
    np.testing.assert_allclose(score[:, 0], 2 * index / (1 + index), rtol=1e-12)


def test_a_shifted_event_is_worth_more_at_larger_scales():
    truth, forecast = np.zeros((2, 41, 41))
    truth[20, 20] = forecast[20, 24] = 1
    score = fss(fraction_sums(forecast, truth, (0.5,), (1, 3, 5, 9, 21)))[0]
    # Two squares of n x n cells, 4 cells apart, share (n - 4) n cells.
    np.testing.assert_allclose(score, [0, 0, 1 / 5, 5 / 9, 17 / 21], atol=1e-12)


def test_far_dry_frames_side_by_side_are_pooled_frames():
    forecast, truth, _ = draw(5, (3, 8, 8))
    gap = ((0, 0), (2, 2), (2, 2))
    wide = [np.hstack(np.pad(x, gap, constant_values=0)) for x in (forecast, truth)]
    apart = [np.pad(x, gap, constant_values=0) for x in (forecast, truth)]
    together = fraction_sums(*wide, THRESHOLDS, (1, 3, 5))
    for name, values in pooled(fraction_sums(*apart, THRESHOLDS, (1, 3, 5))).items():
        np.testing.assert_allclose(values, together[name], rtol=1e-12)


@pytest.mark.parametrize("window", [2, 0, -3])
def test_a_window_has_a_centre(window):
    with pytest.raises(ConfigError, match=f"a window of {window} cells has no cell at its centre"):
        fraction_sums([[1.0]], [[1.0]], (0.5,), (3, window))
